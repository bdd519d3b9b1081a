"""PPO with the defaults of `textenv train` in every environment: the table of docs/environments.md and a line of every card.

Run: python -m benchmarks.suite [--only ID ...] [--seeds 3]
Then: python -m benchmarks.suite --table --cards
"""

import json
import math
import os
import re
import statistics
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # before torch: idle threads sleep

import numpy as np
import pandas as pd
import tyro
from rich.console import Console

from benchmarks.harness import ROOT, machine, write_between_markers
from textenv.commands.output import hide_loading_bars
from textenv.envs.registry import BUILT_IN, find_id, source
from textenv.errors import TextenvError
from textenv.files import replacing
from textenv.training import TrainConfig, train

RESULTS: Final = ROOT / "benchmarks" / "results" / "suite.json"
PAGE: Final = ROOT / "docs" / "environments.md"

EPISODES: Final = {
    "TextCopy-v0": 24_576,
    "TextCount-v0": 24_576,
    "TextGridWorld-v0": 24_576,
    "TextInstruct-v0": 4096,
    "TextLength-v0": 24_576,
    "TextLongForm-v0": 2048,
    "TextReverse-v0": 24_576,
    "TextSummarize-v0": 4096,
}
"""To learn from in at most about 90 s on two cores of an x86-64 CPU; elsewhere `DEFAULT_EPISODES`."""
DEFAULT_EPISODES: Final = 6144
BINS: Final = 10

Record = Mapping[str, Any]
"""What `measure_environment` returns."""


def measure_environment(id: str, seeds: int, episodes: int, console: Console | None = None) -> dict[str, Any]:
    """Train once a seed, and keep what was measured before and after.

    Returns:
        device, threads and versions; episodes; runs, each with seed, seconds and before and after, the measures of
        `reports.evaluation.summarise`; histogram, see `histogram`, of all scores before training.
    """
    runs, scores = [], []
    with tempfile.TemporaryDirectory() as folder:
        for seed in range(seeds):
            out = Path(folder) / str(seed)
            summary = train(TrainConfig(env=id, episodes=episodes, seed=seed, out=out), console, results=Console(quiet=True))
            rows = {when: _finite(summary["table"][when]) for when in ("before", "after")}
            runs.append({"seed": seed, "seconds": summary["train_seconds"], **rows})
            scores += pd.read_parquet(out / "evaluation" / "before.parquet")["score"].tolist()
    return {**machine(), "episodes": episodes, "runs": runs, "histogram": histogram(scores)}


def _finite(row: Mapping[str, float]) -> dict[str, float]:
    return {name: value for name, value in row.items() if math.isfinite(value)}


def histogram(scores: Sequence[float]) -> dict[str, Any]:
    """Count scores in ten equal bins: from 0 to 1 where all lie there, else from the lowest to the highest, rounded outward.

    >>> histogram([0.05, 0.5, 0.55, 1.0])
    {'mean': 0.525, 'low': 0, 'high': 1, 'percent': [25, 0, 0, 0, 0, 50, 0, 0, 0, 25]}
    """
    low, high = min(scores), max(scores)
    inside = low >= 0 and high <= 1
    edges = (0, 1) if inside else (math.floor(10 * low) / 10, math.ceil(10 * high) / 10)
    counts, _ = np.histogram(scores, bins=BINS, range=edges)
    percent = [round(100 * count / len(scores)) for count in counts.tolist()]
    return {"mean": statistics.fmean(scores), "low": edges[0], "high": edges[1], "percent": percent}


def merge(file: Path, records: Mapping[str, Record]) -> dict[str, Record]:
    """Write records by id, and keep those of other ids that the file has."""
    old: dict[str, Record] = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    merged = dict(sorted({**old, **records}.items()))
    file.parent.mkdir(parents=True, exist_ok=True)
    with replacing(file) as new:
        new.write_text(json.dumps(merged, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    return merged


# What is shown


def mean_and_error(record: Record, when: str, name: str) -> tuple[float, float]:
    """Mean over the seeds and its standard error: over the seeds, or with one over its prompts; NaN where there is none."""
    values = np.array([run[when].get(name, math.nan) for run in record["runs"]])
    if len(values) == 1:
        return float(values[0]), record["runs"][0][when].get(f"{name}_se", math.nan)
    return float(values.mean()), float(values.std(ddof=1)) / math.sqrt(len(values))


def _cell(record: Record, when: str, name: str, digits: int = 3) -> str:
    value, error = mean_and_error(record, when, name)
    if math.isnan(value):
        return ""
    return f"{value:.{digits}f}" + ("" if math.isnan(error) else f" ±{error:.{digits}f}")


def markdown(results: Mapping[str, Record]) -> str:
    """The tables of docs/environments.md, a row an environment: what training changed, and the scores before it."""
    heads = (
        "id",
        "score before",
        "after",
        "judge before",
        "after",
        "KL k1",
        "KL exact",
        "distinct-2 before",
        "after",
        "episodes",
        "seconds",
    )
    lines = ["| " + " | ".join(heads) + " |", "|---" * len(heads) + "|"]
    for id, record in results.items():
        cells = [f"`{id}`"]
        cells += [_cell(record, when, name) for name in ("score", "judge") for when in ("before", "after")]
        cells += [_cell(record, "after", name, 2) for name in ("kl_k1", "kl_exact")]
        cells += [_cell(record, when, "distinct2", 2) for when in ("before", "after")]
        cells += [f"{record['episodes']:,}", f"{statistics.fmean(run['seconds'] for run in record['runs']):.0f}"]
        lines.append("| " + " | ".join(cells) + " |")
    lines += ["", "| id | scores before training, percent in ten bins | from | to | device | seeds |", "|---|---|---|---|---|---|"]
    for id, record in results.items():
        bins = record["histogram"]
        percent = " ".join(map(str, bins["percent"]))
        device = f"{record['device']}, {record['threads']} threads"
        lines.append(f"| `{id}` | {percent} | {bins['low']:g} | {bins['high']:g} | {device} | {len(record['runs'])} |")
    return "\n".join(lines)


def card_line(record: Record) -> str:
    """The line of a card that tells how the model scores before it has learnt."""
    bins = record["histogram"]
    mean = f"{bins['mean']:.2f}"
    percent = " ".join(map(str, bins["percent"]))
    return f"Before training: mean {mean}; ten bins from {bins['low']:g} to {bins['high']:g} in percent: {percent}."


def with_card_line(module: str, line: str) -> str:
    """Put the line at the end of the card's section on rewards, in place of an older one.

    Args:
        module: source of an environment.
        line: see `card_line`.
    """
    start, heading, rest = module.partition("\nRewards:\n")
    rewards, end, after = rest.partition("\n\nEpisode End:")
    if not heading or not end:
        raise ValueError('The card has no section "Rewards:" with "Episode End:" after it.')
    rewards = re.sub(r"\n    Before training: .*", "", rewards)
    return f"{start}{heading}{rewards}\n    {line}{end}{after}"


def not_improved(results: Mapping[str, Record]) -> list[str]:
    """Say where score or judge did not rise."""
    said = []
    for id, record in results.items():
        for name in ("score", "judge"):
            before, after = (mean_and_error(record, when, name)[0] for when in ("before", "after"))
            if after <= before:
                said.append(f"{id}: {name} {before:.3f} before, {after:.3f} after.")
    return said


def write_cards(results: Mapping[str, Record]) -> None:
    """Write the line of every card."""
    for id, record in results.items():
        module = source(id).read_text(encoding="utf-8")
        source(id).write_text(with_card_line(module, card_line(record)), encoding="utf-8")


def main(
    only: tuple[str, ...] = (),
    seeds: int = 1,
    episodes: int | None = None,
    table: bool = False,
    cards: bool = False,
    out: Path = RESULTS,
) -> None:
    """Measure environments one after the other and keep the results, or write what is kept into the page or the cards.

    Args:
        only: ids to measure; the others keep their results.
        seeds: runs of each, of the seeds from 0 on.
        episodes: to learn from, in place of the table in this file.
        table: write the tables of docs/environments.md, and measure nothing.
        cards: write the line of every card, and measure nothing.
        out: file of the results.
    """
    if table:
        write_between_markers(PAGE, markdown(merge(out, {})))
    if cards:
        write_cards(merge(out, {}))
    if table or cards:
        return
    for id in only:
        find_id(id)
    hide_loading_bars()
    measured, failed = dict[str, Record](), list[str]()
    for id in only or BUILT_IN:
        try:
            measured[id] = measure_environment(id, seeds, episodes or EPISODES.get(id, DEFAULT_EPISODES))
        except TextenvError as error:
            failed.append(f"{id}: {error}")
        else:
            merge(out, {id: measured[id]})
    print(markdown(measured), *failed, *not_improved(measured), sep="\n")
    if failed or not_improved(measured):
        sys.exit(1)


if __name__ == "__main__":
    tyro.cli(main)
