"""Handles carry what must not be copied."""

import copy
import pickle
from typing import Any

from gymnasium.envs.registration import EnvSpec

from textenv.envs.handles import Handle, hold_spec, release


class Uncopied:
    def __deepcopy__(self, memo: Any) -> "Uncopied":
        raise MemoryError("a model was copied")


def test_a_handle_survives_a_deep_copy_as_itself() -> None:
    model = Uncopied()
    handle = Handle(model)
    copied = copy.deepcopy({"nested": [handle]})["nested"][0]
    assert copied is handle
    assert release(copied) is model
    assert repr(handle) == "Handle(Uncopied)"


def test_release_leaves_other_values_as_they_are() -> None:
    values: list[Any] = [None, 0, "a", [Handle(1)], Uncopied()]
    assert all(release(value) is value for value in values)
    assert release(Handle(None)) is None


def test_a_handle_pickles_with_what_it_holds() -> None:
    assert release(pickle.loads(pickle.dumps(Handle([1, 2])))) == [1, 2]


def test_a_spec_keeps_plain_data_and_holds_the_rest() -> None:
    model, held = Uncopied(), Handle("x")
    plain = {"task": "TextCopy-v0", "n": 3, "share": 0.5, "flag": True, "nothing": None}
    spec = hold_spec(EnvSpec("X-v0", entry_point="x:X", kwargs={**plain, "model": model, "list": [1], "held": held}))
    assert {name: spec.kwargs[name] for name in plain} == plain
    assert spec.kwargs["held"] is held
    assert spec.kwargs["model"].held is model
    assert release(copy.deepcopy(spec).kwargs["model"]) is model
    assert release(spec.kwargs["list"]) == [1]
    assert hold_spec(None) is None
