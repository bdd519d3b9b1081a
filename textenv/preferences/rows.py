"""Rows of a comparison store: lists and columns as JSON, and a check of whatever is read back."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

from textenv.errors import ArgumentError, LoadError
from textenv.formats import MOST_LEVELS, shown
from textenv.preferences.comparison import Comparison


def list_json(values: Sequence[Any] | None) -> str | None:
    """Return a list as JSON, None for one that says nothing."""
    if values is None or all(value is None for value in values):
        return None
    return json.dumps(list(values), ensure_ascii=False)


def columns_json(columns: dict[str, Any], prompt: str) -> str:
    """Return the columns of an item as JSON that reads back as the same.

    Args:
        columns: by name.
        prompt: of the item, for messages.

    Raises:
        ArgumentError: they hold what JSON does not, a key that is no text among it, or are nested too deeply.
    """
    try:
        text = json.dumps(columns, ensure_ascii=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise ArgumentError(f"A store keeps columns as JSON: {error}, for the prompt {prompt!r}.") from error
    if not isinstance(columns, dict):
        raise ArgumentError(f"A store keeps columns as JSON, a value by name, got {shown(columns)}, for the prompt {prompt!r}.")
    level: list[Any] = [columns]
    for _ in range(MOST_LEVELS):
        inner: list[Any] = []
        for node in level:
            if isinstance(node, dict):
                # JSON would make a text of a number, which reads back as another key.
                for key in node:
                    if not isinstance(key, str):
                        raise ArgumentError(f"A store keeps columns as JSON, whose keys are texts, got {key!r}, for the prompt {prompt!r}.")
                inner += node.values()
            elif isinstance(node, list | tuple):
                inner += node
        if not inner:
            return text
        level = inner
    raise ArgumentError(f"A store keeps columns of at most {MOST_LEVELS} levels; flatten those of the prompt {prompt!r}.")


def decode(file: Path, names: str, row: Sequence[Any]) -> dict[str, Any]:
    """Return the values of a row by name, of the kinds that their columns have.

    Args:
        file: the store, for messages.
        names: of the columns, with spaces between; "item" is the id of the item that the row is of.
        row: as SQLite returns it, which keeps any kind of value in any column.

    Raises:
        LoadError: a value is of another kind, is no JSON, or does not fit the others.
    """
    values = dict(zip(names.split(), row, strict=True))
    where = f"in item {values['item']!r}, " if "item" in values else ""
    decoded = {}
    for name, value in values.items():
        try:
            decoded[name] = _KINDS[name](value)
        except (ValueError, RecursionError) as error:
            raise _damaged(file, f'{where}"{name}" is {shown(value)}: {error}') from error
    if "responses" in decoded:
        fields = {name: decoded[name] for name in ("ranks", "ratings", "sources", "annotator") if name in decoded}
        try:
            Comparison(prompt=decoded["prompt"], responses=decoded["responses"], **fields)
        except ArgumentError as error:
            raise _damaged(file, f"{where}the values do not fit: {str(error).rstrip('.')}") from error
        order = decoded.get("shown")
        if order is not None and sorted(order) != [*range(len(decoded["responses"]))]:
            raise _damaged(file, f'{where}"shown" is {shown(values["shown"])}: it is no order of the responses')
    return decoded


def _damaged(file: Path, reason: str) -> LoadError:
    return LoadError(f"The comparison store {file} is damaged: {reason}; restore it from a copy.")


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError("it is no text")
    return value


def _number(value: Any) -> float:
    if not isinstance(value, int | float):
        raise ValueError("it is no number")
    return value


def _whole(value: Any) -> int:
    if not isinstance(value, int):
        raise ValueError("it is no whole number")
    return value


def _json(value: Any) -> Any:
    try:
        return json.loads(_text(value))
    except json.JSONDecodeError as error:
        raise ValueError(f"it is no JSON, {error}") from error


def _columns(value: Any) -> dict[str, Any]:
    columns = _json(value)
    if not isinstance(columns, dict):
        raise ValueError("it is no JSON object")
    return columns


def _list(value: Any) -> tuple[Any, ...]:
    values = _json(value)
    if not isinstance(values, list):
        raise ValueError("it is no JSON list")
    return tuple(values)


def _list_or_none(value: Any) -> tuple[Any, ...] | None:
    return None if value is None else _list(value)


def _order(value: Any) -> tuple[int, ...]:
    values = _list(value)
    if any(type(place) is not int for place in values):
        raise ValueError("it is no list of whole numbers")
    return values


_KINDS: Final[dict[str, Callable[[Any], Any]]] = {
    **dict.fromkeys(("prompt", "annotator", "token"), _text),
    **dict.fromkeys(("item", "k", "items", "done", "labels"), _whole),
    **dict.fromkeys(("since", "expires"), _number),
    **dict.fromkeys(("sources", "ranks", "ratings"), _list_or_none),
    "responses": _list,
    "columns": _columns,
    "shown": _order,
}
"""What a value must be by the name of its column, and how it is read."""
