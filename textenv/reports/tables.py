"""Tables of a run that grow by a row while it runs: CSV files whose first column is `update`."""

import csv
import io
import itertools
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from textenv.errors import ArgumentError, LoadError
from textenv.files import read_plain, replacing, saving, sync

Row = dict[str, str]

_UPDATE: Final = re.compile(r"\d{1,15}", re.ASCII)


COLUMNS: Final = ("update", "distinct2", "seconds", "tokens_per_second", "alarm")
"""Of `metrics.csv`, beside what an agent reports."""
NEEDED: Final = ("score", "entropy", "kl_k1")
"""Metrics of every agent, for the progress and the alarms."""


class Table:
    """Appends rows to a CSV file by the names in its head.

    Args:
        file: which may be there already, from another version with other columns.
    """

    def __init__(self, file: Path) -> None:
        self.file = file
        self._columns: list[str] | None = None

    def append(self, row: dict[str, Any]) -> None:
        """Append a row, in which columns may be missing.

        New columns go behind the others, and the rows before have nothing there.

        Raises:
            LoadError: the rows before are damaged.
            SaveError: it cannot be written.
        """
        with saving(self.file):
            if self._columns is None:
                self._columns = read_table(self.file)[0]
            new = [name for name in row if name not in self._columns]
            if new and self._columns:
                rows = read_table(self.file)[1]
                self._write([*self._columns, *new], rows)
            started = bool(self._columns)
            self._columns += new
            with self.file.open("a", newline="", encoding="utf-8") as handle:
                writer = csv.DictWriter(handle, self._columns, restval="")
                if not started:
                    writer.writeheader()
                writer.writerow(row)
            sync(self.file)

    def until(self, update: int, *, complete: bool) -> list[Row] | None:
        """Return the rows up to an update, None where there is no table.

        Args:
            update: the last that counts, from 1 on.
            complete: whether there must be a row of each update from 1 on, and nothing else.

        Raises:
            LoadError: the file is damaged, or rows are missing.
        """
        if not complete and not self.file.exists() and not self.file.is_symlink():
            return None
        if not self.file.is_file():
            raise _damaged(self.file, "it is missing or no plain file")
        rows = [row for row in read_table(self.file)[1] if int(row["update"]) <= update]
        if complete:
            fault = updates_fault([int(row["update"]) for row in rows], update)
            if fault:
                raise _damaged(self.file, fault)
        return rows

    def keep(self, rows: list[Row]) -> None:
        """Replace the file, or a link in its place, by one of these rows of it.

        Raises:
            SaveError: it cannot be written.
        """
        columns = read_table(self.file)[0]
        self._write(columns, rows)
        self._columns = columns

    def _write(self, columns: list[str], rows: list[Row]) -> None:
        with replacing(self.file) as new, new.open("w", newline="", encoding="utf-8") as handle:
            if not columns:
                return  # an empty file stays one
            writer = csv.DictWriter(handle, columns, restval="")
            writer.writeheader()
            writer.writerows(rows)


def read_table(file: Path) -> tuple[list[str], list[Row]]:
    """Read a table of updates; a last row that is torn, as a death leaves it, is left out.

    Returns:
        The columns and the rows, none of a file that is not there, is empty or is no plain file.

    Raises:
        LoadError: it is damaged: no such table, a row of other columns, an update that is no number,
            comes twice or comes after a later one.
    """
    if not file.is_file():
        return [], []
    try:
        text = read_plain(file).decode()
    except (OSError, ValueError) as error:
        raise _damaged(file, str(error)) from error
    try:
        columns, *lines = list(csv.reader(io.StringIO(text, newline=""))) or [[]]
    except csv.Error as error:
        raise _damaged(file, str(error)) from error
    if lines and (not text.endswith("\n") or len(lines[-1]) < len(columns)):
        lines.pop()
    if columns and (columns[0] != "update" or len(set(columns)) < len(columns)):
        raise _damaged(file, 'its head is not one of different names that begin with "update"')
    updates = list[int]()
    for number, line in enumerate(lines, start=2):
        if len(line) != len(columns):
            raise _damaged(file, f"row {number} has {len(line)} fields, the head {len(columns)}")
        if not _UPDATE.fullmatch(line[0]):
            raise _damaged(file, f"row {number} has the update {line[0]!r}, which is no number")
        updates.append(int(line[0]))
    fault = order_fault(updates)
    if fault:
        raise _damaged(file, fault)
    return columns, [dict(zip(columns, line, strict=True)) for line in lines]


def check_metrics(agent: str, metrics: Mapping[str, float]) -> None:
    """Refuse an agent's metrics that cannot be a row of `metrics.csv`.

    Args:
        agent: its name.
        metrics: what its `update` returned, by name.

    Raises:
        ArgumentError: one has the name of a column that the run writes itself, or one is missing that the run reads.
    """
    taken = [name for name in COLUMNS if name in metrics]
    if taken:
        raise ArgumentError(f'The agent "{agent}" reports the metric "{taken[0]}", a column that each run writes itself; rename it.')
    missing = [name for name in NEEDED if name not in metrics]
    if missing:
        raise ArgumentError(f'The agent "{agent}" does not report the metric "{missing[0]}"; return what `Learner.report` returns.')


def order_fault(updates: Sequence[int]) -> str:
    """Return what is wrong with the order of the updates of a table; empty if each comes once, after those before it.

    >>> order_fault([1, 3, 2])
    'update 2 comes after update 3; put the rows into their order'
    """
    counts = Counter(updates)
    for before, after in itertools.pairwise(updates):
        if after <= before and counts[after] > 1:
            return f"update {after} comes twice, as two processes have written it; keep one row of each update"
        if after < before:
            return f"update {after} comes after update {before}; put the rows into their order"
    return ""


def updates_fault(updates: Sequence[int], counted: int) -> str:
    """Return what is wrong with the updates of a table of metrics; empty if they are 1, 2, ... and no fewer than are counted.

    >>> updates_fault([1, 2, 4], 3)
    'it lacks update 3'
    >>> updates_fault([0, 1, 2], 2)
    'it holds update 0, but updates count from 1'

    Args:
        updates: of its rows, in their order.
        counted: how many the checkpoint counts.
    """
    if updates and updates[0] < 1:
        return f"it holds update {updates[0]}, but updates count from 1"
    missing = next((wanted for wanted, update in enumerate(updates, 1) if update != wanted), None)
    if missing is not None:
        return f"it lacks update {missing}"
    if len(updates) < counted:
        return f"it holds {len(updates)} of the {counted} updates that the checkpoint counts"
    return ""


def _damaged(file: Path, reason: str) -> LoadError:
    return LoadError(f"{file} is damaged: {reason}; restore it from a copy, or choose another --out.")
