"""Tables for the terminal."""

import math
from collections.abc import Mapping, Sequence

from rich.markup import escape
from rich.table import Table

from textenv.reports.evaluation import Measured

_COLUMNS = {
    "score": "score",
    "judge": "judge",
    "kl_k1": "KL k1 (nats/seq)",
    "kl_exact": "KL exact (nats/seq)",
    "distinct2": "distinct-2",
    "perplexity": "ref. perplexity",
    "length": "length",
    "n": "n",
}


def comparison_table(rows: Mapping[str, Mapping[str, float]]) -> Table:
    """Put summaries (see `reports.evaluation.summarise`) under each other, with ± one standard error where it is known."""
    table = Table("policy", *_COLUMNS.values())
    for name, row in rows.items():
        cells = []
        for key in _COLUMNS:
            value, error = row.get(key, math.nan), row.get(f"{key}_se", math.nan)
            text = "" if math.isnan(value) else f"{value:.0f}" if key == "n" else f"{value:.1f}" if key == "perplexity" else f"{value:.3f}"
            cells.append(text if math.isnan(error) or not text else f"{text} ± {error:.3f}")
        table.add_row(name, *cells)
    return table


def examples_table(before: Measured, after: Measured, rows: Sequence[int]) -> Table:
    """Show the same prompts before and after, each with its completion, score and judge's score."""
    table = Table("prompt", "before", "score", "judge", "after", "score", "judge", show_lines=True)
    for row in rows:
        cells = [escape(before.episodes.prompts[row])]
        for measured in (before, after):
            judge = "" if measured.judge is None else f"{measured.judge[row]:.2f}"
            cells += [escape(measured.episodes.completions[row].strip()), f"{float(measured.episodes.scores[row]):.2f}", judge]
        table.add_row(*cells)
    return table
