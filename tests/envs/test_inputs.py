"""Odd values of every argument of make, reset and step: taken, or refused in one sentence of ours."""

from collections.abc import Callable
from typing import Any

import gymnasium
import numpy as np
import pytest

from textenv.envs.inputs import as_array, brief, read_seed, read_seeds
from textenv.errors import ActionError, ArgumentError, TextenvError

ID = "TextCopy-v0"
ODD: list[Any] = [
    None, True, -1, 1.5, float("nan"), float("inf"), 10**30, 2**40, "", "x", b"x", [], {}, set(), object(), np.array([1, 2]),
    np.int64(1), np.bool_(True), len, [[1], [2, 3]], "\ud83d", 1j, {5: 1}, [None], [0, 1], [np.int64(1), 2], [1.5, 2],
    [10**30, 2], np.array(3), ["a", "b"], [True, False], range(3),
]  # fmt: skip
ARGUMENTS = (
    "prompts", "reward", "tokenizer", "end_tokens", "max_prompt_tokens", "max_new_tokens", "min_new_tokens", "stop", "action_mask",
    "missing_eos_penalty", "on_long_prompt", "potential", "judge", "model", "kl_coef", "reference", "render_mode", "infos",
    "autoreset_mode", "num_envs",
)  # fmt: skip


def refused_in_a_sentence(call: Callable[[], Any]) -> bool:
    """Call, and check what is raised, if something is."""
    try:
        call()
    except TextenvError as error:
        message = str(error)
        assert message.endswith((".", "?"))
        assert "\n" not in message
        assert len(message) < 1000
        return True
    return False


@pytest.mark.parametrize("name", ARGUMENTS)
def test_make(name: str) -> None:
    def make(value: Any) -> None:
        arguments: dict[str, Any] = {"num_envs": 2} | ({"kl_coef": 0.1} if name == "reference" else {}) | {name: value}
        gymnasium.make_vec(ID, **arguments).reset(seed=0)

    refused = [refused_in_a_sentence(lambda value=value: make(value)) for value in ODD]  # type: ignore[misc]
    assert any(refused)


@pytest.mark.parametrize("name", ["prompt_index", "prompt_queue", "reset_mask", "options", "seed", "step"])
def test_reset_and_step(name: str) -> None:
    envs: Any = gymnasium.make_vec(ID, num_envs=2)
    env: Any = gymnasium.make(ID)
    envs.reset(seed=0)
    env.reset(seed=0)
    calls: dict[str, Callable[[Any, Any], Any]] = {
        "options": lambda made, value: made.reset(options=value),
        "seed": lambda made, value: made.reset(seed=value),
        "step": lambda made, value: made.step(value),
    }
    call = calls.get(name, lambda made, value: made.reset(options={name: value}))
    for value in ODD:
        refused_in_a_sentence(lambda value=value: call(envs, value))  # type: ignore[misc]
        envs.reset(seed=0)
        envs.step(np.zeros(2, dtype=np.int64))  # whatever was asked, it goes on
        refused_in_a_sentence(lambda value=value: call(env, value))  # type: ignore[misc]
        env.reset(seed=0)
        env.step(0)


@pytest.mark.parametrize(
    "seed", [True, np.bool_(True), -1, 1.5, "3", [True, 1], [1, -1], [1.0, 2], np.array([1.0, 2.0]), {1, 2}, np.array(3.0)]
)
def test_seeds_that_are_none(seed: Any) -> None:
    for call in (lambda: read_seeds(seed, 2), lambda: read_seed(seed)):
        with pytest.raises(ArgumentError, match=r"^seed must be an integer of at least 0"):
            call()


def test_seeds_of_numpy() -> None:
    assert read_seeds([np.int64(1), None], 2) == read_seeds((1, None), 2) == [1, None]
    assert read_seeds(np.array([4, 7]), 2) == [4, 7]
    assert read_seeds(np.uint8(3), 2) == [3, 4]
    assert read_seed(np.int32(3)) == 3
    with pytest.raises(ArgumentError, match="2 of them, one a row, got 3"):
        read_seeds([1, 2, 3], 2)


def test_a_refused_reset_changes_no_generator() -> None:
    one, other = gymnasium.make(ID), gymnasium.make(ID)
    for env in (one, other):
        env.reset(seed=0)
    for options in ({"prompt_index": 10**6}, {"prompt": 1}, 5):
        with pytest.raises(ArgumentError):
            one.reset(seed=9, options=options)  # type: ignore[arg-type]
    prompts = [[env.reset()[1]["prompt_index"] for _ in range(8)] for env in (one, other)]
    assert prompts[0] == prompts[1]


def test_sizes_that_no_machine_has() -> None:
    with pytest.raises(ArgumentError, match="max_new_tokens must be at most 1048576, got 1099511627776"):
        gymnasium.make(ID, max_new_tokens=2**40)
    with pytest.raises(ArgumentError, match=r"num_envs=1099511627776 times 8 columns.*lower one of them"):
        gymnasium.make_vec(ID, num_envs=2**40)


def test_ragged_actions() -> None:
    envs: Any = gymnasium.make_vec(ID, num_envs=2)
    envs.reset(seed=0)
    with pytest.raises(ActionError, match=r"an array of the shape \(2,\), got \[\[1\], \[2, 3\]\]"):
        envs.step([[1], [2, 3]])
    assert as_array([[1], [2, 3]]) is None


def test_a_value_in_a_sentence_is_short() -> None:
    assert "\n" not in brief(np.zeros((50, 50)))
    assert len(brief(np.zeros((50, 50)))) < 100
    assert len(brief("x" * 10_000)) < 100
