"""One area in this process: a line of JSON for every try, as soon as it is made."""

import gc
import importlib
import json
import resource
import sys
import tempfile
import time
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any, Final

from benchmarks.attack.outcomes import Row, Try, plain

MEMORY: Final = 3 * 2**30
"""Bytes that an area, and each process that it starts, may take."""


def rows_of(area: str) -> Sequence[Row]:
    """Return the rows of an area, from the module of its name."""
    rows: Sequence[Row] = importlib.import_module(f"benchmarks.attack.{area}").ROWS
    return rows


def attack(area: str, seed: int, into: Path, row: str = "", rows: Sequence[Row] | None = None) -> None:
    """Run the rows of an area.

    Args:
        area: its name.
        seed: of the inputs and of the moments of kills.
        into: file that the lines are appended to; the last says that the area is whole.
        row: run only rows whose attack holds this.
        rows: by default those of the area.
    """
    warnings.simplefilter("ignore")
    with into.open("a", encoding="utf-8") as file:
        for each in rows_of(area) if rows is None else rows:
            if row in each.attack:
                _attack_row(each, area, seed, file)
        _write(file, {"whole": True})


def _attack_row(row: Row, area: str, seed: int, file: IO[str]) -> None:
    begun = time.perf_counter()
    _write(file, {"area": area, "attack": row.attack, "promise": row.promise})
    with tempfile.TemporaryDirectory(prefix="textenv-attack-", ignore_cleanup_errors=True) as folder:
        try:
            for tried in row.tries(Path(folder), seed):
                on_one_line = tried._replace(input=plain(tried.input), fault=plain(tried.fault))
                _write(file, {"try": on_one_line._asdict()})
        except Exception as error:
            # An attack that breaks has proven nothing, so it counts as one that did not hold.
            broken = Try("the attack itself", plain(f"broke: {type(error).__name__}: {error}"))
            _write(file, {"try": broken._asdict()})
    gc.collect()  # what errors held of one row must not be missing to the next
    _write(file, {"seconds": time.perf_counter() - begun})


def _write(file: IO[str], line: Mapping[str, Any]) -> None:
    file.write(json.dumps(line) + "\n")
    file.flush()


if __name__ == "__main__":
    # What reads a file without end runs out of its own memory, not of the machine's.
    resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, MEMORY))
    # A call that is stopped by its time limit while it imports them leaves them broken for all that follow.
    for name in ("torch", "transformers", "pandas", "pyarrow.parquet", "datasets", "textenv.training", "textenv.options"):
        importlib.import_module(name)
    given = json.loads(sys.argv[1])
    attack(given["area"], given["seed"], Path(given["into"]), given["row"])
