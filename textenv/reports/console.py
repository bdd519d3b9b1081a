"""Tables for the terminal."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.table import Column, Table
from rich.text import Text

from textenv.reports.evaluation import Measured
from textenv.terminal import plain

# Short enough that the table fits 80 columns: field, heading, digits, whether with its standard error.
_COLUMNS = {
    "score": ("score", 3, True),
    "judge": ("judge", 3, True),
    "kl_k1": ("KL k1", 2, True),
    "kl_exact": ("KL exact", 2, True),
    "distinct2": ("dist-2", 2, False),
    "perplexity": ("ppl", 1, False),
    "n": ("n", 0, False),
}

# Field, what it is, digits.
_MEASURES = {
    "score": ("score", 3),
    "judge": ("judge, mean", 3),
    "positive": ("judge ≥ 0.5, share of episodes", 3),
    "kl_k1": ("KL to the reference, k1, nats a sequence", 3),
    "kl_k2": ("KL to the reference, k2, nats a sequence", 3),
    "kl_k3": ("KL to the reference, k3, nats a sequence", 3),
    "kl_exact": ("KL to the reference, exact by state, nats a sequence", 3),
    "length": ("length, tokens", 2),
    "distinct2": ("distinct-2", 3),
    "perplexity": ("perplexity under the reference", 2),
}


def comparison_table(rows: Mapping[str, Mapping[str, float]]) -> Table:
    """Put summaries (see `reports.evaluation.summarise`) under each other, with ± one standard error where there is room for it."""
    caption = "± one standard error; KL in nats a sequence; ppl: perplexity under the reference; dist-2: distinct-2 of n texts"
    headings = [heading for heading, _, _ in _COLUMNS.values()]
    table = Table("policy", *headings, box=None, pad_edge=False, padding=(0, 1, 0, 0), caption=caption)
    for name, row in rows.items():
        cells = []
        for key, (_, digits, with_error) in _COLUMNS.items():
            value, error = row.get(key, math.nan), row.get(f"{key}_se", math.nan)
            text = "" if math.isnan(value) else f"{round(value, digits) + 0.0:.{digits}f}"  # + 0.0: no -0.00
            cells.append(f"{text} ±{f'{error:.{digits}f}'.removeprefix('0')}" if with_error and text and not math.isnan(error) else text)
        table.add_row(name, *cells)
    return table


def measures_table(row: Mapping[str, float], title: str) -> Table:
    """Put the measures of one summary (see `reports.evaluation.summarise`) under each other, each with its standard error."""
    caption = (
        f"n = {row['n']} episodes. Standard errors over prompts, whose episodes are not independent: cluster-robust for means, "
        "jackknife for distinct-2 and perplexity; over episodes if there is but one prompt."
    )
    table = Table("measure", "value", "± one standard error", title=title, caption=caption)
    parts = {key: (f"score, part {key[6:]}", 3) for key in row if key.startswith("score_") and not key.endswith("_se")}
    for key, (what, digits) in {"score": _MEASURES["score"], **parts, **_MEASURES}.items():
        if key in row:
            error = row[f"{key}_se"]
            table.add_row(what, f"{row[key]:.{digits}f}", "" if math.isnan(error) else f"{error:.{digits}f}")
    return table


def examples_table(before: Measured, after: Measured, rows: Sequence[int]) -> Table:
    """Show the same prompts before and after, each with its completion, score and judge's score."""
    table = Table("prompt", "before", "score", "judge", "after", "score", "judge", show_lines=True)
    for row in rows:
        cells: list[Text | str] = [plain(before.episodes.prompts[row])]
        for measured in (before, after):
            judge = "" if measured.judge is None else f"{measured.judge[row]:.2f}"
            cells += [plain(measured.episodes.completions[row].strip()), f"{float(measured.episodes.scores[row]):.2f}", judge]
        table.add_row(*cells)
    return table


def samples_table(samples: Sequence[Mapping[str, Any]]) -> Table:
    """Show prompts with their completions, scores and ends; each sample has prompt, completion, score, judge and finish_reason."""
    table = Table("prompt", "completion", "score", "judge", "end", show_lines=True)
    for sample in samples:
        judge = "" if sample["judge"] is None else f"{sample['judge']:.2f}"
        texts = plain(sample["prompt"]), plain(sample["completion"].strip())
        table.add_row(*texts, f"{sample['score']:.2f}", judge, sample["finish_reason"])
    return table


def _short(names: Sequence[str]) -> dict[str, str]:
    """Leave out the folders of players that differ without them, as a table has little room."""
    last = {name: Path(name).name or name for name in names}
    return last if len(set(last.values())) == len(last) else {name: name for name in names}


def win_rates_table(pairs: Sequence[Mapping[str, Any]], title: str) -> Table:
    """Put pairs of players under each other; each has first, second, wins, ties, losses, win_rate, low and high."""
    caption = "win rate of the first: wins and half of the ties; 95 % interval, over prompts"
    short = _short([pair[side] for pair in pairs for side in ("first", "second")])
    headings = (
        Column("first", overflow="fold"),
        Column("second", overflow="fold"),
        "wins",
        "ties",
        "losses",
        "win rate",
        Column("interval", no_wrap=True),
    )
    table = Table(*headings, title=title, caption=caption)
    for pair in pairs:
        counts = (str(pair[name]) for name in ("wins", "ties", "losses"))
        interval = f"{pair['low']:.3f} to {pair['high']:.3f}"
        table.add_row(plain(short[pair["first"]]), plain(short[pair["second"]]), *counts, f"{pair['win_rate']:.3f}", interval)
    return table


def strengths_table(strengths: Sequence[Mapping[str, Any]]) -> Table:
    """Put players under each other, the strongest first; each has player, log_odds, low and high, and the first of them is the measure."""
    short = _short([row["player"] for row in strengths])
    measure = short[strengths[0]["player"]]
    caption = f"Bradley-Terry: log-odds of beating {measure}, ties as half wins; 95 % intervals, over prompts"
    table = Table(Column("player", overflow="fold"), "log-odds", "interval", Column(plain(f"beats {measure}")), caption=plain(caption))
    for row in sorted(strengths, key=lambda row: -row["log_odds"]):
        if row is strengths[0]:
            table.add_row(plain(measure), "0", "", "")
            continue
        interval = f"{row['low']:.2f} to {row['high']:.2f}"
        table.add_row(plain(short[row["player"]]), f"{row['log_odds']:.2f}", interval, f"{1 / (1 + math.exp(-row['log_odds'])):.3f}")
    return table
