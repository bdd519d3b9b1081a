"""The formats of files with data: from the bytes of a file to its rows or columns, and where each row stands."""

import codecs
import contextlib
import csv
import io
import json
import math
import re
import reprlib
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, TypeAlias

from textenv.errors import ArgumentError
from textenv.models.pieces import half_character

TEXT_COLUMNS: Final = ("prompt", "response", "completion", "text", "chosen", "rejected", "annotator")
"""Columns of .csv and .tsv files whose cells stay text, even where all of them are numbers."""

MOST_LEVELS: Final = 100  # of lists and objects within each other; JSON itself knows no limit, Python does
_LINE_END: Final = re.compile(r"\r\n|\r|\n")  # and no other: U+2028 may stand within a text
_GAP: Final = re.compile(r"[ \t\r\n]*")
_NUMBER: Final = re.compile(r"[+-]?((0|[1-9][0-9]*)(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?")
_WHOLE: Final = re.compile(r"[+-]?[0-9]+")
_BOOLEANS: Final = {"True": True, "False": False, "true": True, "false": False, "TRUE": True, "FALSE": False}

Columns: TypeAlias = dict[str, list[Any]]


@dataclass(frozen=True)
class Places:
    """Where each row of a source stands, as messages name it.

    >>> Places("prompts: films.csv, line ", [2, 5])[1]
    'prompts: films.csv, line 5'
    """

    prefix: str
    numbers: Sequence[int]
    """n numbers, counted from 1."""

    def __len__(self) -> int:
        return len(self.numbers)

    def __getitem__(self, index: int) -> str:
        return f"{self.prefix}{self.numbers[index]}"


class Read(NamedTuple):
    """What a source holds, before it is made rows or columns."""

    content: Columns | list[Any]
    """Columns of equal length, or rows: mappings from column to value, or single texts."""
    places: Places


def shown(value: Any) -> str:
    """Return a value as messages show it, shortened where it is long or deeply nested.

    >>> shown("a" * 1000)
    "'aaaaaaaaaaaaaaaaaaaaaaaaaaa...aaaaaaaaaaaaaaaaaaaaaaaaaaaa'"
    """
    short = reprlib.Repr()
    short.maxlevel = 3
    short.maxstring = short.maxother = 60
    return short.repr(value).replace("\n", " ")


def names_of(names: Iterable[Any], where: str) -> list[str]:
    """Return names of columns as texts.

    Args:
        names: of all columns.
        where: the place of the names, as messages begin.

    Raises:
        ArgumentError: a name is blank, comes twice or holds half of a character.
    """
    texts = [str(name) for name in names]
    for number, name in enumerate(texts, 1):
        if not name.strip():
            raise ArgumentError(
                f"{where}: column {number} has no name; name it or leave it out (pandas writes one for the index, unless to_csv is "
                "given index=False)."
            )
        if texts.index(name) < number - 1:
            raise ArgumentError(f'{where}: two columns are named "{shown(name)[1:-1]}"; rename or drop one.')
        if half_character(name) is not None:
            raise ArgumentError(f"{where}: the column name {name!r} holds half of a character; rename it.")
    return texts


def _decoded(data: bytes, where: str) -> str:
    """Decode UTF-8, with or without a byte order mark."""
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise ArgumentError(f"{where} cannot be read: it is in UTF-16; save it in UTF-8.")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = error.object[: error.start].decode("utf-8-sig")
        byte = error.object[error.start]
        raise ArgumentError(
            f"{where}, line {_line(before)} cannot be read: it is not in UTF-8 (byte 0x{byte:02x}); save the file in UTF-8."
        ) from error
    if "\0" in text:
        line = _line(text[: text.index("\0")])
        raise ArgumentError(f"{where}, line {line} cannot be read: it holds a NUL, as no text does; save the file in UTF-8.")
    return text


def _line(before: str) -> int:
    """Return the number of the line that follows a beginning of a text."""
    return len(_LINE_END.findall(before)) + 1


def _lines(data: bytes, where: str) -> tuple[list[str], Places]:
    lines = [(number, line) for number, line in enumerate(_LINE_END.split(_decoded(data, where)), 1) if line.strip()]
    return [line for _, line in lines], Places(f"{where}, line ", [number for number, _ in lines])


def _read_lines(data: bytes, where: str) -> Read:
    return Read(*_lines(data, where))


def _read_json_lines(data: bytes, where: str) -> Read:
    texts, places = _lines(data, where)
    if texts and texts[0].lstrip().startswith("["):
        raise ArgumentError(f"{places[0]} begins an array, but a .jsonl file has a row per line; name the file .json.")
    rows = []
    for index, text in enumerate(texts):
        with _json_faults(places[index], text):
            rows.append(_DECODER.decode(text))
    return Read(rows, places)


def _read_json(data: bytes, where: str) -> Read:
    text = _decoded(data, where)
    rows: list[Any] = []
    at = _skip(text, 0)
    if at < len(text) and text[at] != "[":
        raise ArgumentError(
            f'{where} cannot be read: a .json file holds an array of rows, [{{"prompt": ...}}, ...], but this one begins with '
            f"{shown(text[at])}; if each of its lines is a row, name it .jsonl."
        )
    opened = at < len(text)
    at = _skip(text, at + 1)
    # Element by element, so that a message can name the row.
    while opened and text[at : at + 1] != "]":
        with _json_faults(f"{where}, row {len(rows) + 1}", text):
            if rows and text[at : at + 1] != ",":
                raise json.JSONDecodeError("Expecting ',' or ']'", text, at)
            row, at = _DECODER.raw_decode(text, _skip(text, at + 1) if rows else at)
        rows.append(row)
        at = _skip(text, at)
    if text[at + 1 :].strip():
        raise ArgumentError(f"{where}, line {_line(text[: at + 1])} cannot be read: something follows the end of the array.")
    return Read(rows, Places(f"{where}, row ", range(1, len(rows) + 1)))


def _skip(text: str, at: int) -> int:
    gap = _GAP.match(text, at)
    return at if gap is None else gap.end()


@contextlib.contextmanager
def _json_faults(place: str, text: str) -> Iterator[None]:
    try:
        yield
    except RecursionError as error:
        raise ArgumentError(f"{place} is nested more than {MOST_LEVELS} levels deep; flatten it.") from error
    except json.JSONDecodeError as error:
        in_file = f"line {error.lineno}, " if "\n" in text else ""
        raise ArgumentError(f"{place} is no JSON: {error.msg} at {in_file}column {error.colno}.") from error
    except ValueError as error:
        raise ArgumentError(f"{place} cannot be read: {str(error).partition(';')[0]}.") from error


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):
        names = [name for name, _ in pairs]
        doubled = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"it holds the key {shown(doubled)} twice")
    return made


def _constant(name: str) -> None:
    # Python and pandas write NaN, which is no JSON, for what is missing.
    if name != "NaN":
        raise ValueError(f"{name} is no JSON number")


def _finite(digits: str) -> float:
    number = float(digits)
    if math.isinf(number):
        raise ValueError(f"the number {shown(digits)[1:-1]} is too large")
    return number


_DECODER: Final = json.JSONDecoder(object_pairs_hook=_unique, parse_constant=_constant, parse_float=_finite)


def _read_csv(data: bytes, where: str, delimiter: str = ",") -> Read:
    text = _decoded(data, where)
    with _fields_of(len(text)):
        return _read_records(text, where, delimiter)


@contextlib.contextmanager
def _fields_of(most: int) -> Iterator[None]:
    """Let fields have that many characters for a block: the limit guards memory, which the text takes already."""
    with _one_at_a_time:
        before = csv.field_size_limit()
        csv.field_size_limit(max(before, most))
        try:
            yield
        finally:
            csv.field_size_limit(before)


_one_at_a_time: Final = threading.Lock()
"""The limit is the process's, and two threads would each put back what the other had set."""


def _read_records(text: str, where: str, delimiter: str) -> Read:
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    names: list[str] = []
    rows: list[list[str]] = []
    numbers: list[int] = []
    line = 1
    try:
        for fields in reader:
            if fields and not names:
                names = names_of(fields, f"{where}, line {line}")
                if len(names) == 1 and re.search(r"[;\t,]", names[0]):
                    raise ArgumentError(
                        f'{where}, line {line} is a single column, "{names[0]}"; a .csv file is divided by commas, a .tsv file by tabs.'
                    )
            elif fields:
                _check_fields(len(fields), len(names), f"{where}, line {line}", delimiter)
                rows.append(fields)
                numbers.append(line)
            line = reader.line_num + 1
    except csv.Error as error:
        raise ArgumentError(
            f"{where}, line {line} cannot be read: {error}; a text that begins with a quotation mark stands in quotation marks, with "
            "those within it doubled."
        ) from error
    columns = {name: _cells(name, [row[index] for row in rows]) for index, name in enumerate(names)}
    return Read(columns, Places(f"{where}, line ", numbers))


def _check_fields(fields: int, names: int, place: str, delimiter: str) -> None:
    if fields != names:
        separator = {",": "commas", "\t": "tabs"}[delimiter]
        raise ArgumentError(
            f"{place} has {fields} field{'s' if fields > 1 else ''}, but the header has {names}; "
            f"put texts with {separator} in quotation marks, and leave cells empty where there is nothing."
        )


def _cells(name: str, cells: list[str]) -> list[Any]:
    """Return the cells of a column, None where one is empty, as numbers or truth values where all of them are.

    >>> _cells("year", ["1999", "", "2024"]), _cells("label", ["007", "1"]), _cells("prompt", ["12", "7"])
    ([1999, None, 2024], ['007', '1'], ['12', '7'])
    """
    filled = [cell for cell in cells if cell]
    convert: Callable[[str], Any] = str
    if name in TEXT_COLUMNS:
        pass
    elif all(cell in _BOOLEANS for cell in filled):
        convert = _BOOLEANS.__getitem__
    elif all(_NUMBER.fullmatch(cell) for cell in filled):
        convert = int if all(_WHOLE.fullmatch(cell) for cell in filled) else _number
    try:
        return [convert(cell) if cell else None for cell in cells]
    except ValueError:  # a number that Python cannot hold stays as it is written
        return [cell or None for cell in cells]


def _number(cell: str) -> float:
    """Return a number of a column with fractions, an integer only where floating point has none that is equal.

    >>> _number("3"), _number("9007199254740993")
    (3.0, 9007199254740993)
    """
    if _WHOLE.fullmatch(cell) and (whole := int(cell)) != float(cell):
        return whole
    return _finite(cell)


def _read_tsv(data: bytes, where: str) -> Read:
    return _read_csv(data, where, "\t")


def _read_parquet(data: bytes, where: str) -> Read:
    import pyarrow
    import pyarrow.parquet

    try:
        table = pyarrow.parquet.ParquetFile(pyarrow.BufferReader(data)).read()
    except (pyarrow.ArrowException, OSError) as error:
        raise ArgumentError(f"{where} cannot be read: {str(error).splitlines()[0].rstrip('.')}.") from error
    # The index of a pandas frame is no column of it; without a name it has one of this kind here.
    table = table.drop_columns([name for name in table.column_names if re.fullmatch(r"__index_level_\d+__", name)])
    places = Places(f"{where}, row ", range(1, table.num_rows + 1))
    return Read(arrow_columns(table, where, places), places)


def arrow_columns(table: Any, where: str, places: Places) -> Columns:
    """Return the columns of an Arrow table or batch.

    Args:
        table: of n rows.
        where: the table, as messages begin.
        places: of its rows.

    Raises:
        ArgumentError: two columns have one name, or a text is not in UTF-8.
    """
    columns: Columns = {}
    for name, column in zip(names_of(table.schema.names, where), table.columns, strict=True):
        try:
            columns[name] = column.to_pylist()
        except UnicodeDecodeError:
            for index in range(len(column)):
                try:
                    column[index].as_py()
                except UnicodeDecodeError as error:
                    raise ArgumentError(f'{places[index]}: "{name}" is not in UTF-8; decode it first.') from error
    return columns


FORMATS: Final[dict[str, Callable[[bytes, str], Read]]] = {
    ".txt": _read_lines,
    ".csv": _read_csv,
    ".tsv": _read_tsv,
    ".json": _read_json,
    ".jsonl": _read_json_lines,
    ".parquet": _read_parquet,
}
"""Readers of files by suffix in lower case."""
