"""The tables and pictures that are made of the results of `benchmarks.regret`."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.harness import write_between_markers
from textenv.envs.grid import CELLS, TERMINALS, cell_values, draw

GRID = "TextGridWorld-v0"
_MOVES = 6


def write_page(results: dict[str, Any], page: Path) -> None:
    """Write tables between the markers of a page, and the picture of the values beside it."""
    parts = [toys_table(results["toys"]), agents_table(results)]
    if GRID in results["toys"]:
        panels = value_panels(results)
        parts.append("\n".join(["```text", *text_panels(panels), "```"]))
        draw_values(panels, page.with_name("grid_values.svg"))
    write_between_markers(page, "\n\n".join(parts))


def toys_table(toys: dict[str, Any]) -> str:
    """One row a toy: how large it is, and what can be reached."""
    lines = ["| toy | prompts | states | J_ref | J* at β 0.1 | score and KL there | J* at β 0 |", "|---|---|---|---|---|---|---|"]
    for toy, found in toys.items():
        best, start, most = found["optimum"]["0.1"], found["reference"]["0.1"], found["optimum"]["0.0"]
        cells = [f"`{toy}`", len(found["values"]), found["states"], f"{start['objective']:.3f}", f"{best['objective']:.3f}"]
        cells += [f"{best['score']:.3f}, {best['kl']:.2f}", f"{most['objective']:.3f}"]
        lines.append(f"| {' | '.join(map(str, cells))} |")
    return "\n".join(lines)


def agents_table(results: dict[str, Any]) -> str:
    """One row an agent: the share it reaches in each toy, mean and range over the seeds, how long, and how true its values are."""
    toys = list(results["toys"])
    lines = [f"| agent | β | episodes | {' | '.join(f'`{toy}`' for toy in toys)} | seconds a run | error of V |"]
    lines.append("|---" * (len(toys) + 5) + "|")
    for name, by_toy in results["rows"].items():
        some = next(iter(by_toy.values()))
        seconds = [run["seconds"] for found in by_toy.values() for run in found["runs"]]
        truth = [run["value_error"] for found in by_toy.values() for run in found["runs"] if "value_error" in run]
        cells = [name, f"{some['kl_coef']:g}", f"{some['episodes']:,}", *(share(by_toy.get(toy)) for toy in toys)]
        cells += [f"{min(seconds):.0f} to {max(seconds):.0f}", f"{min(truth):.2f} to {max(truth):.2f}" if truth else ""]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def share(found: dict[str, Any] | None) -> str:
    """Mean of the shares and their range.

    >>> share({"runs": [{"share": 0.9}, {"share": 1.0}]})
    '0.950 (0.900 to 1.000)'
    """
    if found is None:
        return ""
    shares = [run["share"] for run in found["runs"]]
    return f"{sum(shares) / len(shares):.3f} ({min(shares):.3f} to {max(shares):.3f})"


def value_panels(results: dict[str, Any]) -> dict[str, dict[str, float]]:
    """Values of the grid's cells by title: the best ones, and those that the critic of the first seed has learnt."""
    soft = results["toys"][GRID]["values"]
    cells = [prompt.removesuffix(":") for prompt in soft]
    panels = {f"V*, β 0, {_MOVES} moves left": cell_values(_MOVES), "V*, β 0.1": dict(zip(cells, soft.values(), strict=True))}
    for name, by_toy in results["rows"].items():
        if GRID in by_toy and "values" in by_toy[GRID]["runs"][0]:
            panels[f"learnt, {name}"] = dict(zip(cells, by_toy[GRID]["runs"][0]["values"], strict=True))
    return panels


def text_panels(panels: Mapping[str, Mapping[str, float]]) -> list[str]:
    """The grid and the first three panels beside each other, as lines of text."""
    drawn = {"the grid": draw(), **{title: draw(values) for title, values in list(panels.items())[:3]}}
    rows = zip(*(picture.splitlines() for picture in drawn.values()), strict=True)
    titles = "".join(f"{'':>6}{title:<34}" for title in drawn)
    return [line.rstrip() for line in [titles, *("    ".join(row) for row in rows)]]


def draw_values(panels: Mapping[str, Mapping[str, float]], path: Path) -> None:
    """Draw the grid once a panel, cells coloured by their value."""
    from matplotlib.figure import Figure

    columns = 3
    rows = -(-len(panels) // columns)
    figure = Figure(figsize=(4.2 * columns, 3.0 * rows), layout="constrained")
    for index, (title, values) in enumerate(panels.items(), 1):
        axes = figure.add_subplot(rows, columns, index)
        for cell, mark in CELLS.items():
            x, y = "ABCDE".index(cell[0]), int(cell[1]) - 1
            value = TERMINALS.get(cell, values.get(cell))
            shade = 0.0 if value is None else min(1.0, max(0.0, (value + 3) / 8))
            colour = "#444444" if value is None else (1 - 0.75 * shade, 1 - 0.25 * shade, 1 - 0.55 * shade)
            axes.add_patch(_square(x, y, colour, terminal=cell in TERMINALS))
            if value is not None:
                axes.text(x, y, mark if cell in TERMINALS else f"{value:.2f}", ha="center", va="center", fontsize=10)
        axes.set(xlim=(-0.5, 4.5), ylim=(3.5, -0.5), aspect="equal", title=title)
        axes.set_xticks(range(5), list("ABCDE"))
        axes.set_yticks(range(4), list("1234"))
        axes.tick_params(length=0)
    figure.savefig(path, format="svg", metadata={"Date": None})


def _square(x: int, y: int, colour: Any, terminal: bool) -> Any:
    from matplotlib.patches import Rectangle

    return Rectangle((x - 0.5, y - 0.5), 1, 1, facecolor=colour, edgecolor="black", linewidth=2.5 if terminal else 0.8)
