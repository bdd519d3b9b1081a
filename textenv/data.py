"""One reader for prompts, responses, comparisons and plain texts: from what a user has to rows and columns.

The formats are those of `FORMATS`, each also compressed as .gz, and in memory lists, dicts of columns and the
tables of pandas, Polars, Arrow and `datasets`. Every one of them gives the same columns for the same content:
a missing cell is None, and nothing is cut, shifted or replaced.

Messages count from 1. In a file of lines they name the *line*, as an editor shows it, with the header as line
1 and a row of several lines by its first; everywhere else they name the *row*.
"""

import gzip
import io
import os
import re
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from textenv.errors import ArgumentError, LoadError, install
from textenv.formats import FORMATS, MOST_LEVELS, Columns, Places, Read, arrow_columns, names_of, shown
from textenv.models.hub import require_hub
from textenv.models.pieces import half_character

MOST_CHARACTERS: Final = 1_000_000
"""Of a text that is read in one piece: a million take about two seconds and half a gigabyte to tokenise, and
no context has room for them."""


@dataclass(frozen=True)
class Table:
    """A source as columns of n rows."""

    columns: Columns
    places: Places
    """Of the n rows."""

    def texts(self, name: str, most: int | None = None) -> list[str]:
        """Return a column of texts.

        Args:
            name: of a column that there is.
            most: characters that one of them may have; None: any number.

        Raises:
            ArgumentError: a cell is missing, is no text or is too long; the message names its row.
        """
        for index, value in enumerate(self.columns[name]):
            fault = text_fault(value, name, most)
            if fault is not None:
                raise ArgumentError(f"{self.places[index]}: {fault}")
        return list(self.columns[name])


def text_fault(value: Any, name: str, most: int | None = None) -> str | None:
    """Return what is wrong with a cell that should be a text, None where it is one.

    Args:
        value: of the cell.
        name: of its column.
        most: characters that it may have; None: any number.
    """
    if value is None:
        return f'"{name}" is missing; give a text or leave the row out.'
    if not isinstance(value, str):
        return f'"{name}" is {shown(value)}, not text.'
    if most is not None and len(value) > most:
        return f'"{name}" has {len(value):,} characters, more than the {most:,} that are read; shorten or divide it.'
    return None


def read_columns(source: Any, what: str, bare: str = "prompt") -> Table:
    """Read a source whose rows all have the same columns.

    Args:
        source: a path of one of `FORMATS`; a list of rows or of texts; a dict of columns; a frame, series, table or
            array of pandas, Polars or Arrow; a `datasets` object, streamed or not, or the id of one on the hub.
        what: the argument that errors name.
        bare: the column that single texts make up.

    Raises:
        ArgumentError: it is none of them, cannot be read, or a row is not like the first; the message names the row.
        LoadError: a hub id cannot be reached.
    """
    content, places = _read(source, what)
    columns = content if isinstance(content, dict) else _columns(content, places, bare)
    for name, values in columns.items():
        for index, value in enumerate(values):
            _check_value(value, name, places[index])
    return Table(columns, places)


def read_rows(source: Any, what: str) -> tuple[list[Any], Places]:
    """Read a source whose rows may have different columns.

    Args:
        source: see `read_columns`.
        what: the argument that errors name.

    Returns:
        Rows, most of them mappings from column to value, and their places.

    Raises:
        ArgumentError: it cannot be read.
        LoadError: a hub id cannot be reached.
    """
    content, places = _read(source, what)
    if isinstance(content, dict):
        content = [dict(zip(content, values, strict=True)) for values in zip(*content.values(), strict=True)]
    for index, row in enumerate(content):
        for name, value in row.items() if isinstance(row, Mapping) else [("text", row)]:
            _check_value(value, name, places[index])
    return content, places


def _columns(rows: list[Any], places: Places, bare: str) -> Columns:
    if not rows:
        return {}
    tabular = isinstance(rows[0], Mapping)
    for index, row in enumerate(rows):
        if isinstance(row, Mapping) != tabular:
            raise ArgumentError(f"{places[index]} is {_kind(row)}, but the first is {_kind(rows[0])}; give either rows or texts.")
    if not tabular:
        return {bare: rows}
    names = names_of(rows[0], places[0])
    for index, row in enumerate(rows):
        if row.keys() != rows[0].keys():
            columns = ", ".join(map(str, row)) or "none"
            raise ArgumentError(
                f"{places[index]} has the columns {columns}, but the first row has {', '.join(names)}; "
                "give every row the same columns, with null (None) where there is nothing."
            )
    return {name: [row[key] for row in rows] for name, key in zip(names, rows[0], strict=True)}


def _kind(row: Any) -> str:
    return "a row with columns" if isinstance(row, Mapping) else shown(row)


def _check_value(value: Any, name: Any, place: str) -> None:
    """Refuse half of a character, anywhere in a value, and what is nested too deeply to be copied or shown."""
    level = [value]
    for _ in range(MOST_LEVELS):
        inner: list[Any] = []
        for part in level:
            if isinstance(part, str):
                half = half_character(part)
                if half is not None:
                    raise ArgumentError(f'{place}: "{name}" holds {half!r}, half of a character, which no tokenizer reads; take it out.')
            elif isinstance(part, Mapping):
                inner += [*part.keys(), *part.values()]
            elif isinstance(part, list | tuple):
                # One of the numbers stands for all of them: embeddings hold millions.
                inner += part[:1] if _NUMBERS.issuperset(map(type, part)) else part
        if not inner:
            return
        level = inner
    raise ArgumentError(f'{place}: "{name}" is nested more than {MOST_LEVELS} levels deep; flatten it.')


_NUMBERS: Final = frozenset({int, float, bool, type(None)})


def _read(source: Any, what: str) -> Read:
    if isinstance(source, str | os.PathLike):
        return _read_path(source, what)
    content = _in_memory(source, what)
    if isinstance(content, dict):
        size = len(next(iter(content.values()), ()))
        for name, values in content.items():
            if len(values) != size:
                raise ArgumentError(f'{what}: the column "{name}" has {len(values)} rows, but "{next(iter(content))}" has {size}.')
    else:
        size = len(content)
    return Read(content, Places(f"{what}: row ", range(1, size + 1)))


# Files


def _read_path(source: str | os.PathLike[str], what: str) -> Read:
    name = os.fspath(source)
    suffix, is_compressed = _format(name)
    if os.path.isdir(name):
        raise ArgumentError(f"{what}: {name} is a folder; give one of its files.")
    if suffix is None and os.path.isfile(name):
        raise ArgumentError(f"{what}: {name} is in none of the formats that are read: {_formats()}.")
    if suffix is None and _may_be_on_the_hub(name):
        return _read_hub(name, what)
    if not os.path.isfile(name):
        hint = "" if suffix else ", and this is no hub id; put single texts into a list"
        raise ArgumentError(f"{what}: there is no file {shown(name)[1:-1]}{hint}.")
    where = f"{what}: {name}"
    try:
        data = Path(name).read_bytes()
        if is_compressed:
            data = _decompressed(data, where)
    except OSError as error:
        raise ArgumentError(f"{where} cannot be read: {error.strerror or error}.") from error
    return FORMATS[suffix or ""](data, where)


def _decompressed(data: bytes, where: str) -> bytes:
    if data and not data.startswith(_GZIP):
        raise ArgumentError(f"{where} cannot be read: it is not compressed; take .gz off its name.")
    try:
        return gzip.decompress(data)
    except EOFError as error:
        raise ArgumentError(f"{where} cannot be read: its end is missing; copy it again.") from error
    except (gzip.BadGzipFile, zlib.error) as error:
        raise ArgumentError(f"{where} cannot be read: its compressed data are damaged; copy it again.") from error


_GZIP: Final = b"\x1f\x8b"
"""First bytes of what gzip writes: RFC 1952, section 2.3.1."""


def _format(name: str) -> tuple[str | None, bool]:
    """Return the suffix of a name, None where there is no reader for it, and whether it is compressed.

    >>> _format("Films.CSV.gz")
    ('.csv', True)
    """
    lower = name.lower()
    is_compressed = lower.endswith(".gz")
    suffix = os.path.splitext(lower.removesuffix(".gz"))[1]
    return suffix if suffix in FORMATS else None, is_compressed


def _formats() -> str:
    *others, last = FORMATS
    return f"{', '.join(others)} or {last}, or one of them with .gz"


def _may_be_on_the_hub(name: str) -> bool:
    """Tell a hub id, `name` or `owner/name`, from the path of a file that is missing."""
    if re.fullmatch(r"\w[\w.-]{,95}(/[\w.-]{1,96})?", name) is None:
        return False
    folder, file = os.path.split(name)
    return not os.path.isdir(folder) if folder else re.search(r"\.\w{1,8}$", file) is None


def _read_hub(name: str, what: str) -> Read:
    try:
        import datasets
    except ImportError as error:
        raise ArgumentError(f'{what}="{name}" is a hub id, which needs the extra: {install("datasets")}.') from error
    require_hub(name, "data set")
    try:
        loaded = datasets.load_dataset(name, split="train")
    except (OSError, ValueError) as error:
        raise LoadError(f'The data set "{name}" cannot be loaded: {str(error).splitlines()[0]}') from error
    return _read(loaded, what)


# In memory


def _in_memory(source: Any, what: str) -> Columns | list[Any]:
    if isinstance(source, io.IOBase):
        raise ArgumentError(f"{what} is an open file; give its path.")
    if isinstance(source, Iterator):
        raise ArgumentError(f"{what} is a {type(source).__name__}, which can be read only once; give a list of it, list(...).")
    for base in type(source).__mro__:
        reader = _LIBRARIES.get(base.__module__.partition(".")[0])
        if reader is not None:
            return reader(source, what)
    if isinstance(source, Mapping):
        return _mapping(source, what)
    if not isinstance(source, Iterable) or isinstance(source, bytes | bytearray | set | frozenset):
        raise ArgumentError(f"{what} must be a list, a DataFrame, a data set, a hub id or a path, got {type(source).__name__}.")
    dimensions = getattr(source, "ndim", 1)
    if dimensions != 1:
        raise ArgumentError(f"{what} is an array of {dimensions} dimensions; give a list of texts.")
    to_list = getattr(source, "tolist", None)
    return list(to_list() if to_list else source)  # NumPy's texts are not Python's


def _mapping(source: Mapping[Any, Any], what: str) -> Columns:
    names = names_of(source, what)
    for name, values in zip(names, source.values(), strict=True):
        if isinstance(values, str | bytes) or not isinstance(values, Iterable) or getattr(values, "ndim", 1) == 0:
            raise ArgumentError(f'{what}: the column "{name}" is {shown(values)}, not a list; put a single row into a list.')
    return {name: list(values) for name, values in zip(names, source.values(), strict=True)}


def _from_pandas(source: Any, what: str) -> Columns | list[Any]:
    if not hasattr(source, "columns"):  # a series or an index
        return _pandas_cells(source)
    if source.columns.nlevels > 1:
        raise ArgumentError(f"{what} has columns of {source.columns.nlevels} levels; give them single names.")
    names = names_of(source.columns, what)
    return {name: _pandas_cells(source.iloc[:, index]) for index, name in enumerate(names)}


def _pandas_cells(series: Any) -> list[Any]:
    """Return the cells of a series, None where one is missing, and lists in the place of arrays."""
    cells: list[Any] = []
    for value, is_missing in zip(series.tolist(), series.isna().tolist(), strict=True):
        if is_missing:
            cells.append(None)
        else:
            cells.append(value.tolist() if hasattr(value, "tolist") else value)
    return cells


def _from_polars(source: Any, what: str) -> Columns | list[Any]:
    frame = source.collect() if hasattr(source, "collect") else source
    if hasattr(frame, "columns"):
        return {name: frame[name].to_list() for name in names_of(frame.columns, what)}
    return list(frame.to_list())


def _from_arrow(source: Any, what: str) -> Columns | list[Any]:
    table = source.to_table() if hasattr(source, "to_table") else source  # of the files of an Arrow data set
    if not hasattr(table, "schema"):  # an array
        return list(table.to_pylist())
    return arrow_columns(table, what, Places(f"{what}: row ", range(1, table.num_rows + 1)))


def _from_datasets(source: Any, what: str) -> Columns | list[Any]:
    if isinstance(source, Mapping):
        raise ArgumentError(f"{what} is a dict of data sets; choose one of its splits: {', '.join(map(str, source))}.")
    if not hasattr(source, "column_names"):  # a single column
        return list(source)
    plain = source.with_format(None)
    if not hasattr(plain, "__len__"):  # a stream, which may not know its columns
        return list(plain)
    return {name: list(plain[name]) for name in names_of(plain.column_names, what)}


_LIBRARIES: Final[dict[str, Callable[[Any, str], Columns | list[Any]]]] = {
    "pandas": _from_pandas,
    "polars": _from_polars,
    "pyarrow": _from_arrow,
    "datasets": _from_datasets,
}
"""Readers of the tables of libraries by the name of the library, so that none need be installed."""
