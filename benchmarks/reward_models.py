"""Reward models of tiny-en on judgements of people: the table and the picture of docs/reward_models.md.

Run: python -m benchmarks.reward_models --corpora DIR [--seeds 3]

Two corpora of pairs: ParaDetox, in which a neutral rewriting of a toxic sentence is the better one, and the harmless pairs of HH-RLHF, in
which the better one is an assistant's less harmful reply. ParaDetox is learnt twice, as it is written and by its words alone: its
toxic sentences stand in lower case with spaces before the marks, its rewritings mostly do not, so that the writing alone tells them apart.
"""

import dataclasses
import json
import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # before torch: idle threads sleep

import pandas as pd
import tyro
from matplotlib.figure import Figure

from benchmarks.harness import ROOT, machine, write_between_markers
from textenv.agents.reward_model import RewardModelConfig, fit_reward_model
from textenv.preferences.accuracy import judged
from textenv.preferences.comparison import Comparison
from textenv.preferences.loading import load_comparisons
from textenv.preferences.tables import part_of

RESULTS: Final = ROOT / "benchmarks" / "results" / "reward_models.json"
PAGE: Final = ROOT / "docs" / "reward_models.md"
SHARES: Final = (0.125, 0.25, 0.5, 1.0)
MOST: Final = 1200
"""Comparisons of a corpus, so that a training takes less than a minute on one thread that is free."""
ONCE: Final = RewardModelConfig(epochs=1, batch_size=16, learning_rate=2e-4, held_out=0.3)


def words_alone(text: str) -> str:
    """Take away what tells the halves of ParaDetox apart beside their words.

    >>> words_alone("That 's BAD , dude !")
    "that's bad dude"
    """
    return " ".join(re.sub(r"[^\w'*@#$ ]+", " ", text.lower().replace("’", "'").replace(" '", "'")).split())


def paradetox(corpora: Path, written: Callable[[str], str] = str.strip) -> list[Comparison]:
    """A comparison a toxic sentence: its rewritings tie, and it is worse than each; rewritings that leave it as it is are left out."""
    found = []
    for toxic, *rewritings in pd.read_parquet(corpora / "paradetox.parquet").itertuples(index=False):
        worse = written(toxic)
        better = dict.fromkeys(written(text) for text in rewritings if isinstance(text, str) and written(text) not in ("", worse))
        if better and worse:
            found.append(Comparison(prompt="", responses=(*better, worse), ranks=(*[1] * len(better), 2)))
    return found[:MOST]


def hh_harmless(corpora: Path) -> list[Comparison]:
    """The pairs of HH-RLHF, split into prompt and replies."""
    return load_comparisons(corpora / "hh_harmless_pairs.parquet")[:MOST]


CORPORA: Final[dict[str, tuple[Callable[[Path], list[Comparison]], RewardModelConfig, Sequence[float]]]] = {
    "ParaDetox, words alone": (lambda corpora: paradetox(corpora, words_alone), ONCE, SHARES),
    "ParaDetox, as written": (paradetox, ONCE, (1.0,)),
    "HH harmless": (hh_harmless, dataclasses.replace(ONCE, max_tokens=48), (1.0,)),
}
"""Name to how it is read, how it is learnt, and the shares of the learning curve."""


def measure(comparisons: Sequence[Comparison], config: RewardModelConfig, shares: Sequence[float]) -> list[dict[str, Any]]:
    """Fit reward models to shares of some comparisons.

    Returns:
        Of each: seed, learnt, seconds, best_step, scale_error, and what `judged` says of the comparisons that were not seen.
    """
    rows = []
    for share in shares:
        made = fit_reward_model(part_of(comparisons, config.held_out, share), "tiny-en", config, on_row=print)
        told = {
            "seed": config.seed,
            "learnt": made.learnt,
            "seconds": made.fitted.history[-1]["seconds"],
            "best_step": made.fitted.best_step,
        }
        rows.append({**told, "scale_error": made.scale_error, **judged(made.pairs(made.unseen))})
    return rows


def markdown(results: dict[str, list[dict[str, Any]]]) -> str:
    """A row a corpus, of the runs on all of its comparisons."""
    lines = [
        "| comparisons | learnt | held-out pairs | accuracy, a seed each | 95 % of the first | calibration error | calibration slope |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, rows in results.items():
        full = [row for row in rows if row["learnt"] == max(row["learnt"] for row in rows)]
        first = full[0]
        accuracies = ", ".join(f"{row['accuracy']:.3f}" for row in full)
        errors = ", ".join(f"{row['calibration_error']:.3f}" for row in full)
        slopes = ", ".join(f"{row['calibration_slope']:.2f} ± {row['calibration_slope_se']:.2f}" for row in full)
        interval = f"{first['accuracy_low']:.3f} to {first['accuracy_high']:.3f}"
        lines.append(f"| {name} | {first['learnt']:,} | {first['pairs']:,} | {accuracies} | {interval} | {errors} | {slopes} |")
    return "\n".join(lines)


def draw(results: dict[str, list[dict[str, Any]]], path: Path) -> None:
    """Draw held-out accuracy against the number of comparisons, and how often each corpus' first model is right when it is so sure."""
    figure = Figure(figsize=(8.5, 3.4), layout="constrained")
    curve, calibration = figure.subplots(1, 2)
    for name, rows in results.items():
        sizes = sorted({row["learnt"] for row in rows})
        if len(sizes) > 1:
            for seed in sorted({row["seed"] for row in rows}):
                own = sorted((row["learnt"], row["accuracy"]) for row in rows if row["seed"] == seed)
                curve.plot(*zip(*own, strict=True), color="C0", marker="o", markersize=3, linewidth=1, label=name if seed == 0 else None)
            last = next(row for row in rows if row["learnt"] == sizes[-1])
            curve.axhspan(last["accuracy_low"], last["accuracy_high"], color="C0", alpha=0.12, linewidth=0)
        table = next(row for row in rows if row["learnt"] == sizes[-1])["reliability"]
        sure, right, pairs = ([one[part] for one in table] for part in ("expected", "right", "n"))
        calibration.scatter(sure, right, s=pairs, alpha=0.7, label=name)
    curve.set(xlabel="comparisons", ylabel="held-out accuracy", title="Accuracy against the number of comparisons")
    calibration.plot([0.5, 1], [0.5, 1], color="grey", linestyle="--", linewidth=1, label="calibrated")
    calibration.set(
        xlabel="probability that the preferred one is better", ylabel="share in which it is", title="Calibration (areas: pairs)"
    )
    for axes in (curve, calibration):
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(frameon=False, fontsize=8, loc="lower right")
        axes.title.set_fontsize(10)
    figure.savefig(path, format="svg", metadata={"Date": None})


def main(corpora: Path, seeds: int = 3, out: Path = RESULTS, page: Path = PAGE) -> None:
    """Measure, and write the results, the table and the picture.

    Args:
        corpora: folder with paradetox.parquet and hh_harmless_pairs.parquet.
        seeds: trainings of each.
        out: file of the results.
        page: with the markers of a table.
    """
    results: dict[str, list[dict[str, Any]]] = {}
    for name, (read, config, shares) in CORPORA.items():
        comparisons, results[name] = read(corpora), []
        for seed in range(seeds):
            print(f"{name}: {len(comparisons)} comparisons, seed {seed}", flush=True)
            results[name] += measure(comparisons, dataclasses.replace(config, seed=seed), shares)
            out.write_text(json.dumps({**machine(), "results": results}, indent=1) + "\n", encoding="utf-8")
    write_between_markers(page, markdown(results))
    draw(results, page.with_suffix(".svg"))
    print(markdown(results))


if __name__ == "__main__":
    tyro.cli(main)
