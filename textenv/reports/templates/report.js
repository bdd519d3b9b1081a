"use strict";
const tip = document.getElementById("tip");
const token = (target) => (target instanceof Element ? target.closest(".token") : null);

function show(element) {
  tip.querySelector("code").textContent = JSON.stringify(element.textContent);
  tip.querySelector("span").textContent = `token ${element.dataset.id}`;
  const facts = element.dataset.facts.split("|");
  tip.querySelectorAll("dd").forEach((place, i) => { place.textContent = facts[i]; });
  tip.hidden = false;
  const box = element.getClientRects()[0];
  const left = Math.min(box.left, document.documentElement.clientWidth - tip.offsetWidth - 8);
  const below = box.bottom + 6 + tip.offsetHeight <= document.documentElement.clientHeight;
  const top = below ? box.bottom + 6 : Math.max(4, box.top - 6 - tip.offsetHeight);
  tip.style.left = `${Math.max(8, left) + window.scrollX}px`;
  tip.style.top = `${top + window.scrollY}px`;
}

// What is pointed at comes first, then what has the focus.
function leave() {
  const focused = token(document.activeElement);
  if (focused) show(focused);
  else tip.hidden = true;
}

document.addEventListener("mouseover", (event) => { if (token(event.target)) show(token(event.target)); });
document.addEventListener("mouseout", (event) => { if (token(event.target)) leave(); });
document.addEventListener("focusin", (event) => {
  const element = token(event.target);
  if (!element) return;
  for (const other of element.parentElement.children) other.tabIndex = other === element ? 0 : -1;
  show(element);
});
document.addEventListener("focusout", (event) => { if (token(event.target)) tip.hidden = true; });

document.addEventListener("keydown", (event) => {
  if (event.key === "Escape") tip.hidden = true;
  const element = token(event.target);
  if (!element || event.altKey || event.ctrlKey || event.metaKey) return;
  const next = {
    ArrowRight: element.nextElementSibling,
    ArrowLeft: element.previousElementSibling,
    Home: element.parentElement.firstElementChild,
    End: element.parentElement.lastElementChild,
  }[event.key];
  if (next === undefined) return;
  event.preventDefault();
  if (next) next.focus();
});
