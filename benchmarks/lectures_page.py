"""The tables and pictures of docs/lectures.md, made of the results of `benchmarks.lectures`."""

import math
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import matplotlib.pyplot as plt

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Seeds = Mapping[str, Any]
"""What was measured with each seed."""


def write_page(results: Mapping[str, Any], page: Path) -> None:
    """Write the table of each claim that was measured between its markers, and the pictures beside the page."""
    text, claims = page.read_text(encoding="utf-8"), results["claims"]
    for claim, tabulate in TABLES.items():
        if claim in claims:
            text = between_markers(text, claim, tabulate(claims[claim]))
    text = between_markers(text, "seconds", seconds_table(results))
    page.write_text(text, encoding="utf-8")
    for claim, draw in PICTURES.items():
        if claim in claims:
            draw(claims[claim], page.with_name(f"lectures_{claim}.svg"))


def between_markers(text: str, name: str, part: str) -> str:
    """Replace what stands between two markers.

    >>> between_markers("a <!-- x: start -->b<!-- x: end --> c", "x", "d")
    'a <!-- x: start -->\\n\\nd\\n\\n<!-- x: end --> c'

    Raises:
        ValueError: the text has not both.
    """
    start, end = f"<!-- {name}: start -->", f"<!-- {name}: end -->"
    before, begun, rest = text.partition(start)
    _, ended, after = rest.partition(end)
    if not begun or not ended:
        raise ValueError(f"The page needs the lines {start} and {end}, with the table between them.")
    return f"{before}{start}\n\n{part}\n\n{end}{after}"


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Lay rows out in Markdown."""
    lines = [f"| {' | '.join(heads)} |", f"|{'---|' * len(heads)}"]
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in rows)])


def over_seeds(values: Sequence[Sequence[float]], digits: int = 3) -> str:
    """Show the mean over seeds and a standard error: over the seeds or over the requests, whichever is larger.

    Seeds share requests, of some skills all of them, so that the error over requests does not shrink with more seeds.

    >>> over_seeds([(0.5, 0.01)]), over_seeds([(0.4, 0.01), (0.6, 0.01)])
    ('0.500 ± 0.010', '0.500 ± 0.100')

    Args:
        values: of each seed, the mean and its standard error over requests.
        digits: after the point.
    """
    means = [value for value, _ in values]
    error = statistics.fmean(error for _, error in values)
    if len(means) > 1:
        error = max(error, statistics.stdev(means) / math.sqrt(len(means)))
    return f"{statistics.fmean(means):.{digits}f} ± {error:.{digits}f}"


def interval(values: Sequence[float]) -> str:
    """Show a number and its interval.

    >>> interval([0.5, 0.4, 0.6])
    '0.500 (0.400 to 0.600)'
    """
    return f"{values[0]:.3f} ({values[1]:.3f} to {values[2]:.3f})"


def columns(seeds: Seeds, name: str, column: str) -> list[Any]:
    """Collect a cell of the tables of all seeds."""
    return [measured["table"][name][column] for measured in seeds.values()]


def names(seeds: Seeds) -> list[str]:
    """Return the rows of a table."""
    return list(next(iter(seeds.values()))["table"])


def unseen_table(seeds: Seeds) -> str:
    """Accuracies of each policy on the two skills that were held out, and on the others."""
    skills = [*next(iter(seeds.values()))["skills"], "the others"]
    rows = [[name, *(over_seeds(columns(seeds, name, skill)) for skill in skills)] for name in names(seeds)]
    return table(("policy", *(f"`{skill}`" for skill in skills[:-1]), skills[-1]), rows)


def figure1_table(seeds: Seeds) -> str:
    """What the judge says of each policy, and how often it wins over the fine-tuned one, a seed each."""
    rows = []
    for name in names(seeds):
        won = columns(seeds, name, "wins")
        cells = ["; ".join(map(interval, won)) if None not in won else ""]
        cells += [over_seeds(columns(seeds, name, "judge"))]
        for column, digits in (("distinct2", 3), ("length", 1)):
            cells.append(f"{statistics.fmean(columns(seeds, name, column)):.{digits}f}")
        rows.append([name, *cells])
    heads = ("policy", "wins over SFT", "answers that are right", "distinct-2", "tokens an answer")
    return table(heads, rows)


def tax_table(seeds: Seeds) -> str:
    """Accuracies in the format of documents and as conversations, and bits per byte of documents."""
    ways = ("zero-shot", "few-shot", "in a new format", "as a conversation")
    rows = []
    for name in names(seeds):
        bits = statistics.fmean(columns(seeds, name, "bits per byte"))
        rows.append([name, *(over_seeds(columns(seeds, name, way)) for way in ways), f"{bits:.3f}"])
    return table(("policy", *ways, "bits per byte of documents"), rows)


def truth_table(seeds: Seeds) -> str:
    """Shares of answers by `benchmarks.lectures_answers.verdict`; and of the statements, those that are false."""
    kinds = ("true", "false", "nothing", "other")
    rows = []
    for name in names(seeds):
        cells = [over_seeds(columns(seeds, name, kind)) for kind in kinds]
        said = [statistics.fmean(value for value, _ in columns(seeds, name, kind)) for kind in kinds]
        lies = said[1] / (said[0] + said[1]) if said[0] + said[1] else math.nan
        rows.append([name, *cells, f"{lies:.3f}"])
    heads = ("policy", "states what is true", "what is false", "nothing", "something else", "false among statements")
    return table(heads, rows)


def labelers_table(seeds: Seeds) -> str:
    """Accuracies on annotators who gave training data and on those who gave none, a row a seed."""
    rows = []
    for seed, measured in seeds.items():
        accuracies = [measured[f"{kind} annotators"] for kind in ("training", "held-out")]
        cells = [interval([each[f"accuracy{end}"] for end in ("", "_low", "_high")]) for each in accuracies]
        truth = [f"{measured['truth alone'][kind]:.3f}" for kind in ("training", "held out")]
        agree = measured["annotators agree"]
        agreed = "" if agree is None else f"{agree['rate']:.3f}"
        rows.append([seed, " and ".join(measured["held_out"]), *cells, *truth, agreed])
    heads = (
        "seed",
        "held out",
        "accuracy on training annotators",
        "on held-out annotators",
        "the exact judge on the former",
        "on the latter",
        "two annotators agree",
    )
    return table(heads, rows)


def overoptimisation_table(seeds: Seeds) -> str:
    """What the evaluations of each run begin with, the judge's best, the alarm and the end."""
    rows = []
    for seed, runs in seeds.items():
        for name, run in runs.items():
            if not isinstance(run, dict):
                continue
            points = run["rows"]
            best = max(points, key=lambda point: point["judge"])
            rang = run["alarms"][0][0] if run["alarms"] else None
            heard = next((point for point in points if point["update"] == rang), None)
            for when, point in (
                ("start", points[0]),
                ("judge's best", best),
                ("alarm", heard),
                ("end", points[-1]),
            ):
                if point is not None:
                    rows.append([f"{name}, seed {seed}", when, *_point(point)])
    heads = (
        "run",
        "when",
        "update",
        "KL",
        "reward model",
        "judge",
        "distinct-2",
        "perplexity",
        "tokens",
    )
    return f"{table(heads, rows)}\n\n{held_out_table(seeds)}"


def held_out_table(seeds: Seeds) -> str:
    """What the judge says of answers to held-out requests, before and after each run."""
    rows = []
    for seed, runs in seeds.items():
        judged = [each["held out"] if isinstance(each, dict) else each for each in runs.values() if not isinstance(each, float)]
        rows.append([seed, *(f"{mean:.3f} ± {error:.3f}" for mean, error in judged)])
    players = [name for name, each in next(iter(seeds.values())).items() if not isinstance(each, float)]
    return table(("seed", *(f"judge of {name} on held-out requests" for name in players)), rows)


def _point(point: Mapping[str, float]) -> list[str]:
    scores = [f"{point[key]:.3f} ± {point[f'{key}_se']:.3f}" for key in ("score", "judge")]
    kl, distinct2 = f"{point['kl_exact']:.2f}", f"{point['distinct2']:.3f}"
    ends = [f"{point['perplexity']:.2f}", f"{point['length']:.1f}"]
    return [f"{point['update']:.0f}", kl, *scores, distinct2, *ends]


def seconds_table(results: Mapping[str, Any]) -> str:
    """Processor time of the claims and of the pieces that they share, a mean over seeds."""
    rows = []
    for claim, seeds in results["claims"].items():
        spent = [measured["seconds"] for measured in seeds.values()]
        rows.append([f"claim `{claim}`", f"{statistics.fmean(spent):.0f}", str(len(spent))])
    pieces = results.get("pieces", {})
    for name in sorted({name for made in pieces.values() for name in made}):
        spent = [made[name] for made in pieces.values() if name in made]
        rows.append([f"piece `{name}`", f"{statistics.fmean(spent):.0f}", str(len(spent))])
    return table(("what", "seconds a seed", "seeds"), rows)


TABLES: Final[dict[str, Callable[[Seeds], str]]] = {
    "unseen": unseen_table,
    "figure1": figure1_table,
    "tax": tax_table,
    "truth": truth_table,
    "labelers": labelers_table,
    "overoptimisation": overoptimisation_table,
}
STYLE: Final = {"svg.fonttype": "none", "svg.hashsalt": "lectures"}


def draw_figure1(seeds: Seeds, place: Path) -> None:
    """Draw the win rates over the fine-tuned policy, a bar a seed with its interval."""
    players = [name for name in names(seeds) if name != "SFT"]
    width = 0.8 / len(seeds)
    with plt.rc_context(STYLE):
        figure, axes = plt.subplots(figsize=(6.5, 3.2), layout="constrained")
        for number, seed in enumerate(seeds):
            won = [seeds[seed]["table"][name]["wins"] for name in players]
            rates, low, high = zip(*won, strict=True)
            ends = [
                [a - b for a, b in zip(rates, low, strict=True)],
                [b - a for a, b in zip(rates, high, strict=True)],
            ]
            at = [index + width * (number - (len(seeds) - 1) / 2) for index in range(len(players))]
            axes.bar(at, rates, width=0.9 * width, yerr=ends, capsize=2, label=f"seed {seed}")
        axes.axhline(0.5, color="grey", linewidth=0.8)
        axes.set(xticks=range(len(players)), xticklabels=[name.replace(", ", ",\n") for name in players], ylabel="win rate over SFT")
        axes.set_ylim(0, 1)
        axes.legend(fontsize="small", frameon=False)
        _save(figure, place)


def draw_overoptimisation(seeds: Seeds, place: Path) -> None:
    """Draw the reward model's score and the judge's over √KL, with and without β, and where the alarm rang."""
    with plt.rc_context(STYLE):
        figure, (above, below) = plt.subplots(2, 1, figsize=(6, 5.2), sharex=True, layout="constrained")
        for seed, runs in seeds.items():
            paths = {name: run for name, run in runs.items() if isinstance(run, dict)}
            for number, (name, run) in enumerate(paths.items()):
                label = name if seed == next(iter(seeds)) else None
                for axes, key in ((above, "score"), (below, "judge")):
                    _path(axes, run, key, f"C{number}", label)
        above.set_ylabel("reward model")
        below.set(xlabel="√KL from SFT, nats a sequence", ylabel="exact judge")
        above.legend(fontsize="small", frameon=False)
        _save(figure, place)


def _path(axes: "Axes", run: Mapping[str, Any], key: str, colour: str, label: str | None) -> None:
    """Draw a run over √KL, a ring around the evaluation in which the alarm first rang."""
    points = run["rows"]
    over = [math.sqrt(max(0.0, point["kl_exact"])) for point in points]
    axes.plot(
        over,
        [point[key] for point in points],
        "o-",
        color=colour,
        markersize=3,
        linewidth=1,
        label=label,
    )
    rang = run["alarms"][0][0] if run["alarms"] else None
    for x, point in zip(over, points, strict=True):
        if point["update"] == rang:
            axes.plot([x], [point[key]], "o", color="red", markersize=11, markerfacecolor="none")


def _save(figure: Any, place: Path) -> None:
    figure.savefig(place, metadata={"Date": None})
    plt.close(figure)


PICTURES: Final[dict[str, Callable[[Seeds, Path], None]]] = {
    "figure1": draw_figure1,
    "overoptimisation": draw_overoptimisation,
}
