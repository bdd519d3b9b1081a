r"""Reading and writing comparisons: stores, JSON lines, Parquet, and the preference formats of the Hugging Face libraries.

A row of textenv's own format has the fields of `Comparison`. The others have a row a pair, of these columns:

- `trl`, TRL's explicit prompt: prompt, chosen, rejected;
- `hh`, TRL's implicit prompt and HH-RLHF: chosen and rejected, whole texts that begin alike.

Each may be of texts or, when it is read, of conversations, lists of messages `{"role": ..., "content": ...}`; these become texts as
HH-RLHF writes dialogues, "\n\nHuman: ...\n\nAssistant: ...".
TRL's formats: https://huggingface.co/docs/trl/dataset_formats#preference; HH-RLHF: https://huggingface.co/datasets/Anthropic/hh-rlhf.
"""

import dataclasses
import json
import os
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Literal

from textenv.data import MOST_CHARACTERS, read_rows, text_fault
from textenv.errors import ArgumentError, did_you_mean
from textenv.files import replacing
from textenv.formats import shown
from textenv.preferences.comparison import Comparison
from textenv.preferences.store import ComparisonStore

Format = Literal["textenv", "trl", "hh"]

_FIELDS: Final = tuple(field.name for field in dataclasses.fields(Comparison))
_SQLITE: Final = b"SQLite format 3\0"
_SPEAKERS: Final = {"system": "System", "user": "Human", "assistant": "Assistant"}
_REPLY: Final = "\n\nAssistant:"


def load_comparisons(source: Any) -> list[Comparison]:
    """Read comparisons.

    Args:
        source: the path of a comparison store, what `textenv.data.read_rows` takes, or a list of comparisons. Rows are in one of
            the formats of this module.

    Returns:
        At least one.

    Raises:
        ArgumentError: there are none, the file is none of these, or a row is not what its format says; the message names the row.
            Rows whose chosen and rejected texts are equal are left out with a warning, since they say nothing.
        LoadError: the store is none.
    """
    if isinstance(source, str | os.PathLike) and os.path.isfile(source) and is_database(Path(source)):
        with ComparisonStore(Path(source)) as store:
            comparisons = store.comparisons()
        if not comparisons:
            raise ArgumentError(f"{source} holds no judgements yet; textenv label {source} asks for them.")
        return comparisons
    rows, places = read_rows(source, "comparisons")
    if not rows:
        raise ArgumentError("comparisons is empty; give at least one.")
    comparisons, equal = [], []
    for index, row in enumerate(rows):
        comparison = row if isinstance(row, Comparison) else _comparison(row, places[index])
        if comparison is None:
            equal.append(places[index])
        else:
            comparisons.append(comparison)
    if equal:
        fault = f"{equal[0]}: chosen and rejected are the same, so that neither is better"
        if not comparisons:
            raise ArgumentError(f"{fault}; there is no other comparison.")
        warnings.warn(f"{fault}; {len(equal)} of {len(rows)} comparisons are left out for that.", stacklevel=2)
    return comparisons


def write_comparisons(comparisons: Sequence[Comparison], path: Path, *, format: Format = "textenv") -> int:
    """Write comparisons into a .jsonl or .parquet file, which is whole or not there.

    Args:
        comparisons: at least one.
        path: of the file; it is replaced.
        format: of its rows, see the module. Only textenv's has a place for ties, "cannot tell", ratings, annotators and sources.

    Returns:
        The number of rows: of comparisons, or of pairs in which one response is better.

    Raises:
        ArgumentError: the suffix is none of these, or there is nothing to write.
        SaveError: the file cannot be written.
    """
    if path.suffix not in (".jsonl", ".parquet"):
        raise ArgumentError(f"Comparisons are written to .jsonl or .parquet files, got {path}.")
    rows = list(_written(comparisons, format))
    if not rows:
        raise ArgumentError(f"There is nothing to write to {path}: no comparison{'' if format == 'textenv' else ' has a better response'}.")
    with replacing(path) as new:
        if path.suffix == ".parquet":
            _write_parquet(rows, new)
        else:
            new.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return len(rows)


# Writing


def _written(comparisons: Sequence[Comparison], format: Format) -> Iterator[dict[str, Any]]:
    for judged in comparisons:
        if format == "textenv":
            yield {name: list(value) if isinstance(value, tuple) else value for name, value in vars(judged).items()}
            continue
        for better, worse in judged.pairs:
            chosen, rejected = judged.responses[better], judged.responses[worse]
            if format == "trl":
                yield {"prompt": judged.prompt, "chosen": chosen, "rejected": rejected}
            else:
                yield {"chosen": judged.prompt + chosen, "rejected": judged.prompt + rejected}


def _write_parquet(rows: list[dict[str, Any]], path: Path) -> None:
    import pyarrow
    import pyarrow.parquet

    lists = {"responses": pyarrow.string(), "sources": pyarrow.string(), "ranks": pyarrow.int64(), "ratings": pyarrow.float64()}
    # With types, since a column in which all is missing has none.
    schema = pyarrow.schema([(name, pyarrow.list_(lists[name]) if name in lists else pyarrow.string()) for name in rows[0]])
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows, schema), path)


# Reading


def is_database(path: Path) -> bool:
    """Tell whether a file is a SQLite database, as comparison stores are.

    Raises:
        ArgumentError: it cannot be read.
    """
    try:
        with path.open("rb") as file:
            return file.read(len(_SQLITE)) == _SQLITE
    except OSError as error:
        raise ArgumentError(f"{path} cannot be read: {error.strerror}.") from error


def _comparison(row: Any, where: str) -> Comparison | None:
    if not isinstance(row, Mapping):
        raise ArgumentError(f"{where} is {shown(row)}, not a row with columns.")
    try:
        return _own(row) if "responses" in row else _pair(row)
    except ArgumentError as error:
        raise ArgumentError(f"{where}: {error}") from error


def _own(row: Mapping[str, Any]) -> Comparison:
    """Read a row of textenv's format; what is misspelt must not read as missing."""
    for name in row:
        if name not in _FIELDS:
            raise ArgumentError(f'A comparison has no column "{name}".{did_you_mean(str(name), _FIELDS)}')
    lists: dict[str, Any] = {}
    for name in ("responses", "ranks", "ratings", "sources"):
        values = _without_arrays(row.get(name))
        if _is_missing(values) and name != "responses":
            continue
        if not isinstance(values, list):
            raise ArgumentError(f'"{name}" must be a list, got {shown(values)}.')
        lists[name] = tuple(_text(value, name) for value in values) if name in ("responses", "sources") else tuple(values)
    if "ratings" in lists:
        lists["ratings"] = tuple(None if _is_missing(rating) else _number(rating) for rating in lists["ratings"])
    if "ranks" in lists:
        lists["ranks"] = tuple(_whole(rank) for rank in lists["ranks"])
    annotator = row.get("annotator")
    return Comparison(
        prompt=_text(row.get("prompt"), "prompt"), annotator="" if _is_missing(annotator) else _text(annotator, "annotator"), **lists
    )


def _pair(row: Mapping[str, Any]) -> Comparison | None:
    """Read a pair, None where its texts are equal."""
    missing = [name for name in ("chosen", "rejected") if name not in row]
    if missing:
        raise ArgumentError(
            f'The column "{missing[0]}" is missing; comparisons have the columns prompt and responses, or chosen and rejected,'
            f" got {', '.join(map(str, row)) or 'none'}."
        )
    chosen, rejected, prompt = (_without_arrays(row.get(name)) for name in ("chosen", "rejected", "prompt"))
    if isinstance(chosen, list) and isinstance(rejected, list):
        chosen, rejected, prompt = _dialogue(chosen, prompt), _dialogue(rejected, prompt), None
    chosen, rejected = _text(chosen, "chosen"), _text(rejected, "rejected")
    if chosen == rejected:
        return None
    if _is_missing(prompt):
        end = _end_of_prompt(chosen, rejected)
        prompt, chosen, rejected = chosen[:end], chosen[end:], rejected[end:]
    return Comparison(prompt=_text(prompt, "prompt"), responses=(chosen, rejected), ranks=(1, 2))


def _end_of_prompt(chosen: str, rejected: str) -> int:
    """Find where two whole texts part: where the assistant begins the last turn that both have, else at the end of a word.

    >>> _end_of_prompt("The sky is blue.", "The sky is black.")
    10
    """
    differs = (i for i, (a, b) in enumerate(zip(chosen, rejected, strict=False)) if a != b)
    common = chosen[: next(differs, min(len(chosen), len(rejected)))]
    turn = common.rfind(_REPLY)
    if turn >= 0:
        return turn + len(_REPLY)
    for end in range(len(common), 0, -1):
        if _ends_word(chosen, end) and _ends_word(rejected, end):
            return end
    raise ArgumentError(f"Chosen and rejected have no common beginning that could be their prompt: {shown(chosen)} and {shown(rejected)}.")


def _ends_word(text: str, end: int) -> bool:
    """Tell whether a text may be cut at a place: not within a word of an alphabet, nor between a space and what follows it."""
    before, after = text[end - 1], text[end : end + 1]
    return not before.isspace() and not (_is_lettered(before) and _is_lettered(after))


def _is_lettered(character: str) -> bool:
    return character.isdigit() or character.lower() != character.upper()


def _dialogue(messages: list[Any], prompt: Any) -> str:
    """Write a conversation as one text, the prompt before it where it holds the answer only."""
    for message in (*messages, *(prompt if isinstance(prompt, list) else ())):
        if not isinstance(message, Mapping) or message.get("role") not in _SPEAKERS:
            raise ArgumentError(f"A message has a content and a role, {', '.join(_SPEAKERS)}, got {shown(message)}.")
    if messages and messages[0]["role"] == "assistant" and not _is_missing(prompt):
        messages = [*(prompt if isinstance(prompt, list) else [{"role": "user", "content": prompt}]), *messages]
    return "".join(f"\n\n{_SPEAKERS[message['role']]}: {_text(message.get('content'), 'content')}" for message in messages)


def _without_arrays(value: Any) -> Any:
    """Turn the array that a pandas frame holds in place of a list, or a tuple, into one."""
    return value.tolist() if hasattr(value, "tolist") else list(value) if isinstance(value, tuple) else value


def _is_missing(value: Any) -> bool:
    return value is None or (isinstance(value, float) and value != value)  # pandas has NaN where there is nothing


def _text(value: Any, name: str) -> str:
    fault = text_fault(value, name, MOST_CHARACTERS)
    if fault is not None:
        raise ArgumentError(fault)
    return str(value)


def _number(value: Any) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise ArgumentError(f'"ratings" must be numbers, got {shown(value)}.')
    try:
        return float(value)
    except OverflowError as error:
        raise ArgumentError(f'"ratings" holds too large a number, {shown(value)}.') from error


def _whole(rank: Any) -> Any:
    """Return a whole number as an integer, since pandas makes floats of integers where one is missing."""
    return int(rank) if isinstance(rank, float) and rank.is_integer() else rank
