"""What stands in each section of the report, as plain rows for its template."""

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from markupsafe import Markup

from textenv.reports.captions import AXES, METRICS, caption
from textenv.reports.captions import CURVES as N_CURVES
from textenv.reports.evaluation import clusters, standard_error
from textenv.reports.loading import LoadedRun
from textenv.reports.plots import Series, curves, histogram, plane

# Name in the summary, heading, what it is, digits.
MEASURES = (
    ("score", "score", "what the reward says of a finished text, mean", 3),
    ("judge", "judge", "the task's independent judge, which training never asks, mean", 3),
    ("kl_k1", "KL k1", "KL to the reference, estimator k1 (log π - log π_ref of the texts), nats a sequence", 2),
    ("kl_exact", "KL exact", "the exact KL in each state, summed over the states of a text, nats a sequence", 2),
    ("distinct2", "distinct-2", "share of different pairs of words among all, over n texts; it falls with n", 3),
    ("perplexity", "perplexity", "of the texts under the reference, a token", 1),
)

# Column of the metrics, heading, unit or meaning.
CURVES = tuple((name, *METRICS[name]) for name in list(METRICS)[:N_CURVES])

# What a token can be coloured by: column, heading, unit.
COLOURINGS = (
    ("log_ratio", "log-ratio", "log π - log π_ref, nats"),
    ("value", "value", "of the state before the token, as the critic sees it"),
    ("advantage", "advantage", "as the learner weighs the token"),
)
FACTS = ("log_prob", "ref_log_prob", "log_ratio", "value", "advantage", "reward")


def number(value: float | None, digits: int, error: float | None = None) -> str:
    r"""Write a number with ± one standard error where it is known.

    >>> number(0.8361, 3, 0.0042), number(math.nan, 2), number(-0.001, 1)
    ('0.836 ±\xa00.004', '—', '0.0')
    """
    if value is None or math.isnan(value):
        return "—"
    text = f"{round(value, digits) + 0.0:.{digits}f}"  # + 0.0 takes the sign from a zero
    return text if error is None or math.isnan(error) else f"{text} ±\N{NO-BREAK SPACE}{error:.{digits}f}"


def summary_rows(runs: Sequence[LoadedRun], policies: Sequence[str] = ("before", "after")) -> list[dict[str, Any]]:
    """Put each measure into a row: its heading, what it is, and a cell a run and policy, "—" where it is unknown.

    Where no run has a judge there is no row of it.
    """
    rows = []
    for name, heading, meaning, digits in MEASURES:
        tables = [run.summary["table"] if run.summary else {} for run in runs]
        policies_of_runs = [table.get(policy, {}) for table in tables for policy in policies]
        cells = [number(row.get(name), digits, row.get(f"{name}_se")) for row in policies_of_runs]
        if name == "judge" and set(cells) == {"—"}:
            continue
        rows.append({"heading": heading, "meaning": meaning, "cells": cells})
    return rows


def curve_figures(runs: Sequence[LoadedRun]) -> list[dict[str, Any]]:
    """Draw each metric over the episodes, all runs over each other; a metric that no run has is left out."""
    return _figures(runs, [name for name, _, _ in CURVES])


def other_figures(runs: Sequence[LoadedRun]) -> list[dict[str, Any]]:
    """Draw the metrics that are not among the curves: those of single agents, and numbers that somebody's own agent reports."""
    names = dict.fromkeys(
        name
        for run in runs
        for name in run.metrics.select_dtypes("number").columns
        if name not in AXES and name not in [curve for curve, _, _ in CURVES]
    )
    ordered = [name for name in METRICS if name in names]
    return _figures(runs, [*ordered, *(name for name in names if name not in METRICS)])


def _figures(runs: Sequence[LoadedRun], names: Sequence[str]) -> list[dict[str, Any]]:
    figures = []
    for place, name in enumerate(names):
        heading, unit = caption(name)
        lines = [line for i, run in enumerate(runs) for line in _lines(i, run, name)]
        if lines:
            # The name may be any text, and is no part of an id.
            svg = curves(f"curve-{name if name in METRICS else place}", lines, "episodes")
            figures.append({"name": name, "heading": heading, "unit": unit, "svg": svg})
    return figures


def _lines(index: int, run: LoadedRun, name: str) -> list[Series]:
    """Take a metric of the updates, and its means in the evaluations before the first, between them, and after the last of them."""
    lines = []
    if name in run.metrics and run.metrics[name].notna().any():
        lines.append(Series(index, run.metrics["episodes"].to_numpy(), run.metrics[name].to_numpy()))
    if name not in ("score", "judge", "kl_k1", "kl_k2", "kl_k3"):
        return lines
    ends = {"before": 0.0, "after": float(run.metrics["episodes"].max()) if len(run.metrics) else 0.0}
    points = list[list[float]]()
    if name in run.evaluations:
        points += run.evaluations[["episodes", name, f"{name}_se"]].to_numpy(dtype=np.float64).tolist()
    for phase, end in ends.items():
        known = run.episodes[(run.episodes["phase"] == phase) & run.episodes[name].notna()]
        if len(known):
            values = known[name].to_numpy(dtype=np.float64)
            points.append([end, values.mean(), standard_error(values, clusters(known["prompt_index"].to_numpy()))])
    return [*lines, Series(index, *np.array(sorted(points)).T)] if points else lines


def proxy_and_judge(runs: Sequence[LoadedRun]) -> Markup | None:
    """Draw score and judge of the evaluations during training over √KL, as Gao et al., https://arxiv.org/abs/2210.10760, figure 1, do.

    Returns:
        None if no run has an evaluation by a judge.
    """
    paths: dict[str, list[Series]] = {"score": [], "judge": []}
    for i, run in enumerate(runs):
        if "judge" in run.evaluations and len(run.evaluations):
            distance = np.sqrt(run.evaluations["kl_exact"].clip(lower=0).to_numpy())
            for name, found in paths.items():
                found.append(Series(i, distance, run.evaluations[name].to_numpy(), run.evaluations[f"{name}_se"].to_numpy()))
    return plane("proxy-and-judge", paths["score"], paths["judge"], "√KL(π‖π_ref), exact, nats a sequence") if paths["judge"] else None


def score_figures(runs: Sequence[LoadedRun]) -> list[Markup | None]:
    """Draw the scores of each run before and after training; None where one is missing."""
    figures = []
    for i, run in enumerate(runs):
        before, after = (run.episodes.loc[run.episodes["phase"] == phase, "score"].to_numpy() for phase in ("before", "after"))
        figures.append(histogram(f"scores-{i}", before, after, i, "score") if len(before) and len(after) else None)
    return figures


def prompt_pairs(run: LoadedRun, n: int = 10) -> list[dict[str, Any]]:
    """Put the first episode of each of n prompts before training beside the one after it, without choosing by score."""
    before, after = (run.episodes[run.episodes["phase"] == phase].reset_index(drop=True) for phase in ("before", "after"))
    if not len(before) or not len(after):
        return []
    rows = before.drop_duplicates("prompt_index").index[:n]
    return [{"prompt": before["prompt"][row], "before": _text(before.loc[row]), "after": _text(after.loc[row])} for row in rows]


def extremes(run: LoadedRun, n: int = 3) -> dict[str, list[dict[str, Any]]]:
    """Choose the n best, middle and worst episodes by score after training."""
    after = run.episodes[run.episodes["phase"] == "after"].sort_values("score", ascending=False, kind="stable")
    middle = max(0, (len(after) - n) // 2)
    picks = {"best": after.head(n), "median": after.iloc[middle : middle + n], "worst": after.tail(n)}
    return {name: [{"prompt": row["prompt"], **_text(row)} for _, row in rows.iterrows()] for name, rows in picks.items() if len(rows)}


def _text(row: pd.Series) -> dict[str, Any]:
    """Describe an episode's text."""
    facts = [f"score {number(row['score'], 3)}", f"judge {number(row['judge'], 3)}", f"KL k1 {number(row['kl_k1'], 2)} nats"]
    facts += [f"{row['length']} tokens", f"ended by {row['finish_reason']}"]
    return {"completion": row["completion"], "facts": [fact for fact in facts if "—" not in fact]}


def token_maps(runs: Sequence[LoadedRun], n: int = 8) -> dict[str, Any]:
    """Choose n episodes of each run's last update, evenly from the worst score to the best, with all that is known of their tokens.

    Returns:
        `runs`: a list a run of episodes, each with prompt, facts and tokens (text, id, facts as text, and weights -1 to 1 for each
        colouring). `scales`: the size that is coloured fully by colouring, over all that is shown; NaN where nothing is known.
    """
    chosen = [_last_update(run, n) for run in runs]
    shown = pd.concat([tokens for _, tokens in chosen])
    scales = {name: float(shown[name].abs().quantile(0.98)) if len(shown) else math.nan for name, _, _ in COLOURINGS}
    maps = [[_token_map(row, tokens[tokens["episode"] == row["episode"]], scales) for _, row in rows.iterrows()] for rows, tokens in chosen]
    return {"runs": maps, "scales": scales}


def _last_update(run: LoadedRun, n: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    train = run.episodes[run.episodes["phase"] == "train"]
    last = train[train["update"] == train["update"].max()].sort_values("score", kind="stable")
    picks = np.unique(np.linspace(0, len(last) - 1, min(n, len(last))).round().astype(int))
    rows = last.iloc[picks]
    return rows, run.tokens[(run.tokens["phase"] == "train") & run.tokens["episode"].isin(rows["episode"])]


def _token_map(row: pd.Series, tokens: pd.DataFrame, scales: Mapping[str, float]) -> dict[str, Any]:
    shown = []
    for token in tokens.to_dict("records"):
        ended = row["finish_reason"] == "eos" and token["t"] == row["length"] - 1
        weights = {name: float(np.clip(np.nan_to_num(token[name] / scale), -1, 1)) if scale > 0 else 0.0 for name, scale in scales.items()}
        facts = ["—" if math.isnan(token[name]) else f"{token[name]:.6g}" for name in FACTS]
        shown.append({"text": token["text"], "end": ended, "id": token["token"], "facts": facts, "weights": weights})
    return {"prompt": row["prompt"], **_text(row), "tokens": shown}


def config_rows(runs: Sequence[LoadedRun]) -> list[dict[str, Any]]:
    """Put each setting into a row, nested ones with dots; those that differ between runs come first and are marked."""
    flat = [_flat(run.config) for run in runs]
    names = list(dict.fromkeys(name for settings in flat for name in settings))
    cells = {name: [settings.get(name, "—") for settings in flat] for name in names}
    rows = [{"name": name, "cells": values, "differs": len(set(values)) > 1} for name, values in cells.items()]
    return sorted(rows, key=lambda row: not row["differs"])


def _flat(config: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    settings: dict[str, str] = {}
    for name, value in config.items():
        if isinstance(value, dict):
            settings |= _flat(value, f"{prefix}{name}.")
        else:
            settings[prefix + name] = value if isinstance(value, str) else json.dumps(value)
    return settings


def alarms(run: LoadedRun) -> list[tuple[int, str]]:
    """List the alarms: update and sentences, those of collapse and those of over-optimisation."""
    found = []
    for table in (run.metrics, run.evaluations):
        if "alarm" in table:
            rows = table[table["alarm"].notna()]
            found += list(zip(rows["update"].tolist(), rows["alarm"].tolist(), strict=True))
    return sorted(found, key=lambda alarm: alarm[0])
