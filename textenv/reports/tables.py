"""Tables of a run that grow by a row while it runs: CSV files whose first column is `update`."""

import csv
import io
import re
from pathlib import Path
from typing import Any, Final

from textenv.errors import LoadError
from textenv.files import read_plain, replacing, saving, sync

Row = dict[str, str]

_UPDATE: Final = re.compile(r"\d{1,15}", re.ASCII)


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
            update: the last that counts.
            complete: whether there must be a row of each update from 1 on.

        Raises:
            LoadError: the file is damaged, or rows are missing.
        """
        if not self.file.exists() and not self.file.is_symlink():
            return None
        if not self.file.is_file():
            raise _damaged(self.file, "it is no plain file")
        rows = [row for row in read_table(self.file)[1] if int(row["update"]) <= update]
        if complete and len(rows) != update:
            raise _damaged(self.file, f"it holds {len(rows)} of the {update} updates that the checkpoint counts")
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
        LoadError: it is damaged: no such table, a row of other columns, an update that is no number
            or comes twice.
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
    updates = set[int]()
    for number, line in enumerate(lines, start=2):
        if len(line) != len(columns):
            raise _damaged(file, f"row {number} has {len(line)} fields, the head {len(columns)}")
        if not _UPDATE.fullmatch(line[0]):
            raise _damaged(file, f"row {number} has the update {line[0]!r}, which is no number")
        if int(line[0]) in updates:
            raise _damaged(
                file,
                f"update {line[0]} comes twice, as two processes have written it; keep one row of each update",
            )
        updates.add(int(line[0]))
    return columns, [dict(zip(columns, line, strict=True)) for line in lines]


def _damaged(file: Path, reason: str) -> LoadError:
    return LoadError(f"{file} is damaged: {reason}; restore it from a copy, or choose another --out.")
