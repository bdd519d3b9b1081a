"""What a checkpoint counts is taken only if it can be so."""

from typing import Any

import pytest
import torch

from textenv.errors import LoadError
from textenv.reports.counters import Counters, check_kinds, is_count, is_number

STATE: dict[str, Any] = {"updates": 2, "tokens": 7, "seconds": 1.5, "first": {"entropy": 2.0}, "told": ["k1"], "episodes": 32}


def test_counters_come_from_a_state() -> None:
    assert Counters.load(STATE) == Counters(updates=2, tokens=7, seconds=1.5, first={"entropy": 2.0}, told=["k1"])


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *[(name, value) for name in ("updates", "tokens") for value in ("x", 2.5, -1, True, None, [2])],
        ("updates", 33),
        ("updates", 10**8),
        ("episodes", "many"),
        ("seconds", "long"),
        ("first", []),
        ("first", {"entropy": "high"}),
        ("told", "k1"),
        ("told", [1]),
    ],
)
def test_what_cannot_be_counted_is_refused(name: str, value: Any) -> None:
    with pytest.raises(LoadError, match=f"its {name} cannot be|it cannot be of .* updates and .* episodes"):
        Counters.load({**STATE, name: value})


def test_kinds() -> None:
    mine = {"seed": 3, "kl_coef": 0.1, "device": "cpu", "waiting": [1], "order": {}, "generator": torch.zeros(1), "parted": False}
    check_kinds(mine, {**mine, "kl_coef": 0, "waiting": [], "order": {"a": 1}, "unknown": 1})
    for name, value in {
        "seed": "x",
        "kl_coef": None,
        "device": 1,
        "waiting": ["a"],
        "order": [],
        "generator": [0],
        "parted": 0,
    }.items():
        with pytest.raises(LoadError, match=f"its {name} cannot be"):
            check_kinds(mine, {**mine, name: value})


def test_numbers_and_counts() -> None:
    assert [is_number(value) for value in (1, 0.5, float("inf"), True, "1", None, 10**30)] == [True] * 3 + [False] * 4
    assert [is_count(value) for value in (0, 7, -1, 0.0, True)] == [True, True, False, False, False]
