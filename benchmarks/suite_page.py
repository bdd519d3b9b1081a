"""What is shown of the results of `benchmarks.suite`: the tables of docs/environments.md and the line of a card."""

import math
import re
import statistics
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np

from benchmarks.harness import write_between_markers
from benchmarks.strangers import stranger_of
from textenv.envs.registry import source

Record = Mapping[str, Any]
"""Of an environment: what `suite.measure_environment` yields."""

QUOTED: Final = 4
"""Texts of an environment that the page shows."""
ENOUGH: Final = 2.0
"""Standard errors by which a change must exceed 0."""


# Numbers


def mean_and_error(record: Record, when: str, name: str) -> tuple[float, float]:
    """Return the mean over the seeds and its standard error, over the seeds or with one over its prompts; NaN where there is none."""
    return _over_seeds([run[when].get(name, math.nan) for run in record["runs"]], record["runs"][0][when].get(f"{name}_se", math.nan))


def _over_seeds(values: Sequence[float], alone: float = math.nan) -> tuple[float, float]:
    if len(values) == 1:
        return values[0], alone
    return statistics.fmean(values), float(np.std(values, ddof=1)) / math.sqrt(len(values))


def change(record: Record, name: str) -> tuple[float, float, float]:
    """Compute by how much training raises a measure: the mean over the seeds and two standard errors.

    Returns:
        The change; its standard error over the seeds, NaN for one; and over the prompts, paired by prompt: the mean of
        those of the seeds, which is never too small, as if all seeds had met the same prompts and luck. NaN where there is none.
    """
    rises = [run["after"].get(name, math.nan) - run["before"].get(name, math.nan) for run in record["runs"]]
    errors = [run.get("errors", {}).get(name, math.nan) for run in record["runs"]]
    return *_over_seeds(rises), statistics.fmean(errors)


def has(record: Record, name: str) -> bool:
    """Tell whether a measure was taken."""
    return name in record["runs"][0]["before"]


def rises(record: Record, name: str) -> bool:
    """Tell whether training raises a measure by more than two standard errors: of both kinds, where there are both."""
    value, *errors = change(record, name)
    taken = [error for error in errors if not math.isnan(error)]
    return bool(taken) and value > ENOUGH * max(taken)


class Returns(NamedTuple):
    """J = score - β KL of an environment, means over the seeds; NaN where it was not measured."""

    beta: float
    reference: float
    """J_ref, of the model before training: its score."""
    reached: float
    """J, of the model after training."""
    optimum: float
    """J*."""
    half: float
    """J* as half of the samples estimate it; NaN where it is exact."""
    share: float
    """The normalised return (J - J_ref) / (J* - J_ref)."""
    share_error: float
    """Its standard error; NaN for one seed."""
    at_most: bool
    """Whether the policy went further from the reference than the samples can show, so that J* is too low and the share too high."""


def returns(record: Record) -> Returns:
    """Compute how much of the attainable training attains; see `suite.attainable`.

    The error is that of a ratio of means over the seeds (Cochran, "Sampling Techniques", section 2.11): of gain less share x
    room, over the mean room.
    """
    runs = record["runs"]
    bounds = [run.get("attainable", {}) for run in runs]
    beta = bounds[0].get("beta", math.nan)
    starts = [bound.get("reference", run["before"]["score"]) for bound, run in zip(bounds, runs, strict=True)]
    ends = [run["after"]["score"] - beta * run["after"]["kl_exact"] for run in runs]
    start = statistics.fmean(starts)
    gains = [end - before for end, before in zip(ends, starts, strict=True)]
    rooms = [bound.get("optimum", math.nan) - before for bound, before in zip(bounds, starts, strict=True)]
    room = statistics.fmean(rooms) or math.nan
    share = statistics.fmean(gains) / room
    _, share_error = _over_seeds([(gain - share * each) / room for gain, each in zip(gains, rooms, strict=True)])
    optimum, half = (statistics.fmean(bound.get(name, math.nan) for bound in bounds) for name in ("optimum", "half"))
    farthest = math.log(bounds[0].get("samples", math.inf))
    at_most = share > 0 and statistics.fmean(run["after"]["kl_exact"] for run in runs) > farthest
    return Returns(beta, start, statistics.fmean(ends), optimum, half, share, share_error, at_most)


def not_improved(results: Mapping[str, Record]) -> list[str]:
    """Say where score or judge does not rise by more than two standard errors."""
    return [
        f"{id}: {name} {_change(record, name)}."
        for id, record in results.items()
        for name in ("score", "judge")
        if has(record, name) and not rises(record, name)
    ]


# Tables


def tables(results: Mapping[str, Record]) -> str:
    """Return the tables of docs/environments.md, a row an environment, under a heading each."""
    parts = [
        ("What training changes", _changes(results)),
        ("How much there was to gain", _room(results)),
        ("What strangers say", _strangers(results)),
        ("Scores before training", _histograms(results)),
    ]
    return "\n\n".join(f"## {title}\n\n{text}" for title, text in parts)


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = ["| " + " | ".join(heads) + " |", "|---" * len(heads) + "|"]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows)])


def _number(value: float, digits: int = 3) -> str:
    return "" if math.isnan(value) else f"{value:.{digits}f}"


def _cell(record: Record, when: str, name: str, digits: int = 3) -> str:
    return _with_error(*mean_and_error(record, when, name), digits)


def _with_error(value: float, error: float, digits: int) -> str:
    return _number(value, digits) + ("" if math.isnan(error) else f" ±{error:.{digits}f}")


def _mean(record: Record, when: str, name: str, digits: int = 3) -> str:
    return _number(statistics.fmean(run.get(when, {}).get(name, math.nan) for run in record["runs"]), digits)


def _change(record: Record, name: str) -> str:
    """Write a change and its two errors, "-" for one that is not known."""
    value, *errors = change(record, name)
    if math.isnan(value):
        return ""
    if all(map(math.isnan, errors)):
        return f"{value:+.3f}"
    return f"{value:+.3f} ({', '.join(_number(error) or '-' for error in errors)})"


def _verdict(record: Record, names: Sequence[str]) -> str:
    """Write whether all of these measures rise that were taken, and which do not; no verdict of one seed, or where no error is known."""
    if len(record["runs"]) == 1:
        return "one seed"
    taken = [name for name in names if has(record, name)]
    if any(math.isnan(error) for name in taken for error in change(record, name)[2:]):
        return ""
    flat = [name for name in taken if not rises(record, name)]
    return f"**no: {' and '.join(flat)}**" if flat else "yes"


def _changes(results: Mapping[str, Record]) -> str:
    heads = ["id"]
    for name in ("score", "judge"):
        heads += [f"{name} before", "after", "change (± seeds, ± prompts)"]
    rows = []
    for id, record in results.items():
        cells = [f"`{id}`"]
        for name in ("score", "judge"):
            cells += [_mean(record, "before", name), _mean(record, "after", name), _change(record, name)]
        cells += [_verdict(record, ("score", "judge"))]
        cells += [f"{record['runs'][0]['episodes']:,}", ", ".join(f"{run['seconds']:.0f}" for run in record["runs"])]
        rows.append(cells)
    return _table([*heads, "all rise by more than 2 errors", "episodes", "seconds of each seed"], rows)


def _room(results: Mapping[str, Record]) -> str:
    heads = ["id", "best of 16: score", "its judge", "β", "J_ref", "J", "J*", "J* of half as many", "share of the attainable"]
    rows = []
    for id, record in results.items():
        attained = returns(record)
        cells = [f"`{id}`", _mean(record, "best", "score"), _mean(record, "best", "judge")]
        cells += ["" if math.isnan(attained.beta) else f"{attained.beta:g}"]
        cells += [_number(value) for value in (attained.reference, attained.reached, attained.optimum, attained.half)]
        share = _with_error(attained.share, attained.share_error, 2)
        cells += [f"≤ {share}" if attained.at_most and share else share]
        cells += [_cell(record, "after", name, 2) for name in ("kl_k1", "kl_exact")]
        cells += [_cell(record, when, "distinct2", 2) for when in ("before", "after")]
        rows.append(cells)
    return _table([*heads, "KL k1", "KL exact", "distinct-2 before", "after"], rows)


def _strangers(results: Mapping[str, Record]) -> str:
    rows = []
    for id, record in results.items():
        stranger = stranger_of(id)
        if stranger is None or not has(record, "stranger"):
            continue
        names = [name for name in record["runs"][0]["before"] if name.startswith("stranger") and not name.endswith("_se")]
        for name in names:
            part = name != "stranger"
            heads = ["", f"of it: {name.removeprefix('stranger_')}"] if part else [f"`{id}`", stranger.name]
            cells = [_mean(record, "before", name), _mean(record, "after", name), _change(record, name)]
            rows.append([*heads, *cells, "" if part else _verdict(record, [name]).replace(": stranger", "")])
    return _table(["id", "scorer", "before", "after", "change (± seeds, ± prompts)", "rises by more than 2 errors"], rows)


def _histograms(results: Mapping[str, Record]) -> str:
    rows = []
    for id, record in results.items():
        bins = record["histogram"]
        percent = " ".join(map(str, bins["percent"]))
        device = f"{record['device']}, {record['threads']} threads"
        rows.append([f"`{id}`", percent, f"{bins['low']:g}", f"{bins['high']:g}", device, str(len(record["runs"]))])
    return _table(["id", "percent in ten bins", "from", "to", "device", "seeds"], rows)


# Texts


def texts_to_read(record: Record) -> str:
    """Write the texts of an environment for a person: prompt, before and after, with their scores."""
    lines = []
    for number, text in enumerate(record["texts"], start=1):
        lines.append(f"{number}. {text['prompt']}")
        for when in ("before", "after"):
            lines.append(f"   {when} [{_scores(text[when])}]: {text[when]['completion']}")
    return "\n".join(lines)


def _scores(side: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {side[name]:.2f}" for name in ("score", "judge", "stranger") if name in side)


def quotes(results: Mapping[str, Record]) -> str:
    """Return the first texts of each environment as tables."""
    parts = []
    for id, record in results.items():
        chosen = record.get("texts", [])[:QUOTED]
        if chosen:
            rows = [
                [
                    _escaped(text["prompt"]),
                    *(f"{_escaped(text[when]['completion'])} [{_scores(text[when])}]" for when in ("before", "after")),
                ]
                for text in chosen
            ]
            parts.append(f"### {id}\n\n{_table(['prompt', 'before', 'after'], rows)}")
    return "\n\n".join(parts)


def _escaped(text: str) -> str:
    """Write a text into a cell of a table as it is; line breaks are shown as a slash, an empty text as a word.

    >>> _escaped("a *b*\\nc | d")
    'a \\\\*b\\\\* / c \\\\| d'
    """
    plain = re.sub(r"([\\`*_{}\[\]<>#|~$])", r"\\\1", text.strip())
    return re.sub(r"\s*\n\s*", " / ", plain) or "(nothing)"


# Page and cards


def page_part(results: Mapping[str, Record]) -> str:
    """Return what stands between the markers of docs/environments.md."""
    texts = quotes(results)
    return tables(results) + (f"\n\n## Texts before and after\n\n{texts}" if texts else "")


def write_page(results: Mapping[str, Record], page: Path) -> None:
    """Write the generated part of the page; what stands outside its markers is left alone."""
    write_between_markers(page, page_part(results))


def card_line(record: Record) -> str:
    """Return the line of a card that says how the model scores before it has learnt."""
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


def write_cards(results: Mapping[str, Record]) -> None:
    """Write the line of every card."""
    for id, record in results.items():
        module = source(id).read_text(encoding="utf-8")
        source(id).write_text(with_card_line(module, card_line(record)), encoding="utf-8")
