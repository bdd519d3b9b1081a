"""Values of a store are of the kinds of their columns and fit each other, or the store is damaged."""

from pathlib import Path
from typing import Any

import pytest

from textenv.errors import ArgumentError, LoadError
from textenv.preferences.rows import columns_json, decode, list_json

FILE = Path("store.db")
ROW = {"item": 7, "prompt": "p", "shown": "[1, 0]", "responses": '["a", "b"]', "ranks": "[1, 2]", "ratings": "[7, null]"}


def decoded(**changed: Any) -> dict[str, Any]:
    row = {**ROW, **changed}
    return decode(FILE, " ".join(row), tuple(row.values()))


def test_a_row_is_read_as_it_was_written() -> None:
    assert decoded() == {"item": 7, "prompt": "p", "shown": (1, 0), "responses": ("a", "b"), "ranks": (1, 2), "ratings": (7, None)}
    assert decode(FILE, "sources columns since", (None, '{"a": [1, null]}', 1.5)) == {
        "sources": None,
        "columns": {"a": [1, None]},
        "since": 1.5,
    }
    assert list_json([None, None]) is list_json(None) is None
    assert list_json(("\u00e9", None)) == '["\u00e9", null]'
    assert columns_json({"a": "\u00e9"}, "p") == '{"a": "\u00e9"}'


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"prompt": b"\xff"}, r"in item 7, \"prompt\" is b'.*': it is no text"),
        ({"annotator": 5}, 'in item 7, "annotator" is 5: it is no text'),
        ({"token": None}, 'in item 7, "token" is None: it is no text'),
        ({"item": "[[["}, r"in item '\[\[\[', \"item\" is '\[\[\[': it is no whole number"),
        ({"since": "x"}, "in item 7, \"since\" is 'x': it is no number"),
        ({"ranks": "[1"}, r"in item 7, \"ranks\" is '\[1': it is no JSON, Expecting"),
        ({"ranks": "[" * 3000}, 'in item 7, "ranks" is .*: (it is no JSON|maximum recursion depth)'),
        ({"responses": "null"}, "in item 7, \"responses\" is 'null': it is no JSON list"),
        ({"columns": "[]"}, r"in item 7, \"columns\" is '\[\]': it is no JSON object"),
        ({"shown": "[0, true]"}, r"in item 7, \"shown\" is '\[0, true\]': it is no list of whole numbers"),
        ({"shown": "[0, 0]"}, r"in item 7, \"shown\" is '\[0, 0\]': it is no order of the responses"),
        ({"shown": "[0, 2]"}, "it is no order of the responses"),
        ({"shown": "[0]"}, "it is no order of the responses"),
        ({"responses": '["a"]'}, "in item 7, the values do not fit: A comparison needs two or more responses"),
        ({"responses": '["a", 5]'}, 'in item 7, the values do not fit: .*"responses" is 5, not text'),
        ({"responses": r'["a", "\ud800"]'}, '"responses" holds .*half of a character'),
        ({"ranks": "[1, 2, 3]"}, "in item 7, the values do not fit: The ranks of 2 responses"),
        ({"ratings": "[1e999, 1]"}, "in item 7, the values do not fit: A rating must be a number between 1 and 7, got inf"),
        ({"sources": "[null, null]"}, '"sources" is missing'),
    ],
)
def test_what_is_damaged_is_named(changed: dict[str, Any], says: str) -> None:
    with pytest.raises(LoadError, match=rf"^The comparison store store\.db is damaged: .*{says}.*; restore it from a copy\.$"):
        decoded(**changed)


@pytest.mark.parametrize("columns", [{1: 2}, {"a": object()}, {"a": b"b"}, {"a": [{None: 1}]}, 5, ["a"]])
def test_what_json_would_change_or_lose_is_no_column(columns: Any) -> None:
    with pytest.raises(ArgumentError, match=r"A store keeps columns as JSON.* for the prompt 'p'"):
        columns_json(columns, "p")
