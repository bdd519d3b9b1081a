"""`textenv list`."""

import json
from collections.abc import Callable

from textenv.envs.registry import registered_ids


def test_every_id_with_what_it_asks_for(call: Callable[..., str]) -> None:
    shown = call("list")
    assert all(id in shown for id in registered_ids())
    assert "copy a word, then end." in shown


def test_as_json(call: Callable[..., str]) -> None:
    rows = json.loads(call("list", "--json"))
    assert [row["id"] for row in rows] == registered_ids()
    assert {"id": "TextCopy-v0", "task": "copy a word, then end."} in rows
