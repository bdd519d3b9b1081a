"""`textenv comparisons`."""

import dataclasses
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from tyro.conf import Positional

from textenv.commands.output import messages, print_json, results
from textenv.preferences.agreement import agreement
from textenv.preferences.comparison import Comparison
from textenv.preferences.loading import Format, is_database, load_comparisons, write_comparisons
from textenv.preferences.names import tidy_name
from textenv.preferences.store import ComparisonStore, Item
from textenv.terminal import say


@dataclasses.dataclass(frozen=True, kw_only=True)
class ComparisonsConfig:
    """Which store, and what to read into it or write from it."""

    store: Positional[Path]
    """Comparison store; --add makes it if it is missing."""
    add: Path | None = None
    """File of comparisons to read into it: .csv, .tsv, .json, .jsonl or .parquet (or .gz) in any of the formats, or another store."""
    export: Path | None = None
    """File to write its judgements to: .jsonl or .parquet."""
    format: Format = "textenv"
    """Of that file: textenv keeps everything; trl (prompt, chosen, rejected) and hh (chosen, rejected) have a row for each pair in which
    one response is better."""


def comparisons(config: ComparisonsConfig, console: Console) -> dict[str, Any]:
    """Read and write comparisons as `textenv comparisons` does.

    Args:
        config: see `ComparisonsConfig`.
        console: is told what was read and written.

    Returns:
        items, judged (items with a judgement), judgements, annotators (name to judgements), and of the pairs that two or more of them
        judged: pairs, agreement, agreement_low, agreement_high (of its 95 % interval) and alpha, each None where there are none.

    Raises:
        ArgumentError: a file is not what it should be, or contradicts the store; the store is as before.
        LoadError: there is no such store.
        SaveError: the store or the file cannot be written.
    """
    given = None if config.add is None else _read(config.add)  # before a store is made for it
    with ComparisonStore(config.store, create=given is not None) as store:
        if given is not None:
            items, labels = store.add_comparisons(*given)
            say(console, f"{items} items and {labels} judgements of {config.add} are new.")
        judged = store.comparisons()
        if config.export is not None:
            rows = write_comparisons(judged, config.export, format=config.format)
            say(console, f"{rows} rows are in {config.export}.{_left_out(judged, config.format)}")
        progress = store.progress()
    measured = agreement(judged)
    numbers = {"agreement": measured.share, "agreement_low": measured.low, "agreement_high": measured.high, "alpha": measured.alpha}
    return {
        "items": progress.items,
        "judged": progress.done,
        "judgements": progress.labels,
        "annotators": progress.annotators,
        "pairs": measured.pairs,
        **{name: None if math.isnan(value) else value for name, value in numbers.items()},
    }


def _read(path: Path) -> tuple[list[Comparison], list[Item]]:
    """Read judgements, and of a store its items too, judged or not and with their columns."""
    if not is_database(path):
        return load_comparisons(path), []
    with ComparisonStore(path) as store:
        # One that can only be read, or that was made by an older textenv, has names as they were typed.
        judged = [dataclasses.replace(comparison, annotator=tidy_name(comparison.annotator)) for comparison in store.comparisons()]
        return judged, store.items()


def _left_out(judged: Sequence[Comparison], format: Format) -> str:
    """Say what a format of pairs cannot hold."""
    counts = {
        "ties": sum(len(comparison.ties) for comparison in judged),
        "judgements without ranks": sum(comparison.ranks is None for comparison in judged),
        "ratings": sum(rating is not None for comparison in judged for rating in comparison.ratings or ()),
    }
    lost = [f"{count} {what}" for what, count in counts.items() if count]
    return f" Its format cannot hold {', '.join(lost)}." if lost and format != "textenv" else ""


def run(config: ComparisonsConfig, *, json: bool) -> None:
    """Read, write, and print what the store holds."""
    found = comparisons(config, messages())
    if json:
        print_json({"store": str(config.store), **found})
        return
    console = results()
    say(console, f"{config.store}: {found['items']} items, {found['judged']} of them judged, {found['judgements']} judgements.")
    for name, count in found["annotators"].items():
        say(console, f"  {name or '(no name)'}: {count}")
    if found["agreement"] is not None:
        interval = f"{100 * found['agreement_low']:.1f} to {100 * found['agreement_high']:.1f} %"
        alpha = "" if found["alpha"] is None else f"; Krippendorff's alpha {found['alpha']:.3f}"
        say(console, f"Annotators agree on {100 * found['agreement']:.1f} % ({interval}) of {found['pairs']} pairs{alpha}.")
