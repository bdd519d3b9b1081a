"use strict";

const undo = document.querySelector("button[form=undo]");
const form = document.getElementById("label");

// What a page has that was not submitted is kept under the token of its lease, over a reload, a closed tab or a server that died.
const storage = {
  get: (area, key) => { try { return area()?.getItem(key) ?? null; } catch { return null; } },
  set: (area, key, value) => { try { area().setItem(key, value); } catch { /* a browser may keep nothing */ } },
  remove: (area, key) => { try { area().removeItem(key); } catch { /* likewise */ } },
};
const lasting = () => localStorage, passing = () => sessionStorage;

// The server has answered: what was submitted is on its disk.
const submitted = storage.get(passing, "submitted");
if (submitted !== null && submitted !== form?.token.value) storage.remove(lasting, `draft ${submitted}`);
storage.remove(passing, "submitted");

if (form) {
  const cards = [...form.querySelectorAll("article")];
  const status = document.getElementById("status");
  const submit = form.querySelector("button.main"), cannotTell = form.querySelector("[name=cannot_tell]");
  const key = `draft ${form.token.value}`;
  const letter = card => card.querySelector("h2").textContent;
  const radios = (what, card) => [...card.querySelectorAll(`[name^=${what}-]`)];
  const chosen = (what, card) => radios(what, card).find(radio => radio.checked)?.value ?? "";
  const unranked = () => cards.filter(card => !chosen("rank", card));
  let current = cards[0], seconds = 0, since = document.hidden ? null : performance.now();

  const choose = (what, card, value) => {
    for (const radio of radios(what, card)) radio.checked = radio.value === value;
  };

  const elapsed = () => seconds + (since === null ? 0 : (performance.now() - since) / 1000);

  const save = () => storage.set(lasting, key, JSON.stringify({
    rank: cards.map(card => chosen("rank", card)), rating: cards.map(card => chosen("rating", card)), seconds: elapsed(),
  }));

  const restore = () => {
    const draft = JSON.parse(storage.get(lasting, key) ?? "null");
    if (!draft) return;
    cards.forEach((card, place) => { choose("rank", card, draft.rank[place]); choose("rating", card, draft.rating[place]); });
    seconds = draft.seconds;
  };

  const tell = (before = "") => {
    const left = unranked().length;
    status.textContent = before + (left ? `${left} of ${cards.length} without a rank.` : "All are ranked: Enter submits.");
  };

  // Then on to the next response without a rank, or where all have one, as after an undo, to the next.
  const rank = value => {
    choose("rank", current, value);
    save();
    tell(`${letter(current)}: ${value ? `rank ${value}` : "no rank"}. `);
    if (!value) { current.focus(); return; }
    const after = cards.slice(cards.indexOf(current) + 1);
    ([...after, ...cards].find(card => !chosen("rank", card)) ?? after[0] ?? current).focus();
  };

  const rate = value => {
    choose("rating", current, value);
    save();
    tell(`${letter(current)}: rating ${value}. `);
    current.focus();
  };

  const move = step => cards[Math.min(Math.max(cards.indexOf(current) + step, 0), cards.length - 1)].focus();

  const trySubmit = () => {
    const [first] = unranked();
    if (first) { first.focus(); tell(); } else { form.requestSubmit(submit); }
  };

  form.addEventListener("focusin", event => { current = event.target.closest("article") ?? current; });
  form.addEventListener("change", () => { save(); tell(); });
  form.addEventListener("submit", () => {
    form.seconds.value = elapsed();
    save();
    storage.set(passing, "submitted", form.token.value);
  });
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) { seconds = elapsed(); since = null; save(); } else { since = performance.now(); }
  });

  document.addEventListener("keydown", event => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing || event.repeat) return;
    const digit = /^(?:Digit|Numpad)(\d)$/.exec(event.code)?.[1];
    const onRadio = event.target.type === "radio", onControl = event.target.closest("button, a, summary, input:not([type=radio])");
    const act = {
      j: () => move(1), k: () => move(-1), c: () => cannotTell.click(),
      arrowdown: onRadio ? null : () => move(1), arrowup: onRadio ? null : () => move(-1),
      enter: onControl ? null : trySubmit,
    }[event.key.toLowerCase()]
      ?? (digit === undefined ? null
        : event.shiftKey && form.dataset.ratings !== "0" ? (+digit >= 1 && +digit <= +form.dataset.ratings ? () => rate(digit) : null)
        : digit === "0" ? () => rank("") : +digit <= cards.length ? () => rank(digit) : null);
    if (!act) return;
    event.preventDefault();
    act();
  });

  restore();
  tell();
  (unranked()[0] ?? cards[0]).focus({preventScroll: true});
}

document.addEventListener("keydown", event => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing || event.repeat) return;
  if (event.key.toLowerCase() === "u") undo.click();
});
