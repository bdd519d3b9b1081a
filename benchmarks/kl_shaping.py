"""Where the KL shaping for black-box agents leads, exactly: its optimum against that of E[score] - β KL.

An agent that is paid β (log π_ref(a|s) + H(π_ref(·|s))) at every token beside the score, has an entropy bonus of β and
estimates values from what it is paid, comes to rest where in every state

    π(a|s) ∝ exp(Q(s, a)/β),   Q(s, a) = β (log π_ref(a|s) + H(π_ref(·|s))) + score or V(s'),   V(s) = Σ_a π(a|s) Q(s, a)

for its bonus raises the entropy of each state but does not enter the values. "uncentred" is the same without H(π_ref).

Run: python -m benchmarks.kl_shaping
"""

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # before torch: idle threads sleep

import torch
import tyro

from benchmarks.harness import ROOT, write_between_markers
from textenv import LanguagePolicy, Task
from textenv.envs.exact import ExactMDP
from textenv.envs.registry import task_of
from textenv.envs.rules import Rules
from textenv.models.loading import toy_tokenizer
from textenv.reports.run import versions

RESULTS: Final = ROOT / "benchmarks" / "results"
KL_COEFS: Final = (0.01, 0.03, 0.1, 0.3, 1.0)


def has_an_a(completions: Sequence[str]) -> list[float]:
    """Pay 1 for a text with an "a" in it, whatever its length."""
    return [float("a" in text) for text in completions]


def toys() -> dict[str, Task]:
    """Name the tasks: the registered toys, and one in which texts of every length can be right."""
    registered = {id: task_of(id) for id in ("TextCopy-v0", "TextReverse-v0", "TextCount-v0", "TextGridWorld-v0")}
    tokenizer = toy_tokenizer("abc>")
    free = Task(prompts=["a>", "b>", "c>"], reward=has_an_a, tokenizer=tokenizer, max_prompt_tokens=2, max_new_tokens=6, model=None)
    return registered | {"any text with an a": free}


def shaped_optimum(mdp: ExactMDP, kl_coef: float, centred: bool) -> list[torch.Tensor]:
    """Solve the shaped problem by backward induction: log π, one (S, V) a level."""
    policy: list[torch.Tensor] = []
    after = torch.zeros(1, dtype=torch.float64)
    for level, reference in zip(reversed(mdp.levels), reversed(mdp.reference), strict=True):
        later = torch.where(level.child >= 0, after[level.child.clamp(min=0)], level.scores)  # (S, V)
        entropy = torch.special.entr(reference.exp()).sum(-1)  # (S,)
        q = kl_coef * reference + later  # -inf where forbidden
        policy.insert(0, torch.log_softmax(q / kl_coef, -1))
        probs = policy[0].exp()
        after = torch.where(probs > 0, probs * q, 0.0).sum(-1) + kl_coef * entropy * centred
    return policy


def measure(task: Task) -> list[dict[str, Any]]:
    """Give score, KL and J of the reference, the optimum and both shapings at every β."""
    rules = Rules(task)
    mdp = ExactMDP(rules, LanguagePolicy.for_rules(rules))
    rows = []
    for kl_coef in KL_COEFS:
        found = {
            "reference": mdp.evaluate(mdp.reference, kl_coef),
            "optimum": mdp.solve(kl_coef).evaluation,
            "centred": mdp.evaluate(shaped_optimum(mdp, kl_coef, True), kl_coef),
            "uncentred": mdp.evaluate(shaped_optimum(mdp, kl_coef, False), kl_coef),
        }
        rows.append({"kl_coef": kl_coef, **{name: evaluation._asdict() for name, evaluation in found.items()}})
    return rows


def table(toys: dict[str, list[dict[str, Any]]]) -> str:
    """Lay J out as a table, a row a toy and β."""
    lines = ["| toy | β | reference | optimum | centred | uncentred |", "|---|---|---|---|---|---|"]
    for name, rows in toys.items():
        for row in rows:
            cells = (f"{row[which]['objective']:.3f}" for which in ("reference", "optimum", "centred", "uncentred"))
            lines.append(f"| {name} | {row['kl_coef']:g} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main(out: Path = RESULTS / "kl_shaping.json", page: Path = ROOT / "docs" / "wrappers.md") -> None:
    """Measure every toy, write it all, and print J and put it into the page on wrappers."""
    results = {name: measure(task) for name, task in toys().items()}
    print(table(results))
    write_between_markers(page, table(results))
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps({"toys": results, "versions": versions()}, indent=2) + "\n")


if __name__ == "__main__":
    tyro.cli(main)
