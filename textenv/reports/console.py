"""Tables for the terminal."""

import math
from collections.abc import Mapping, Sequence

from rich.markup import escape
from rich.table import Table

from textenv.reports.evaluation import Measured

# Short enough that the table fits 80 columns: field, heading, digits.
_COLUMNS = {
    "score": ("score", 3),
    "judge": ("judge", 3),
    "kl_k1": ("KL k1", 2),
    "kl_exact": ("KL exact", 2),
    "distinct2": ("dist-2", 2),
    "perplexity": ("ppl", 1),
    "n": ("n", 0),
}


def comparison_table(rows: Mapping[str, Mapping[str, float]]) -> Table:
    """Put summaries (see `reports.evaluation.summarise`) under each other, with ± one standard error where it is known."""
    caption = "± one standard error; KL in nats a sequence; ppl: perplexity under the reference; dist-2: distinct-2 of n texts"
    table = Table("policy", *(heading for heading, _ in _COLUMNS.values()), box=None, pad_edge=False, padding=(0, 1, 0, 0), caption=caption)
    for name, row in rows.items():
        cells = []
        for key, (_, digits) in _COLUMNS.items():
            value, error = row.get(key, math.nan), row.get(f"{key}_se", math.nan)
            text = "" if math.isnan(value) else f"{value:.{digits}f}"
            cells.append(text if math.isnan(error) or not text else f"{text} ±{f'{error:.{digits}f}'.removeprefix('0')}")
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
