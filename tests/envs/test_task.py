"""The task record refuses what cannot be meant."""

import dataclasses
import pickle
from typing import Any

import numpy as np
import pytest

from textenv.agents import AGENTS, agent_class
from textenv.envs.task import TRAINING, Task, stop_function
from textenv.errors import ArgumentError


def reward(completions: list[str]) -> list[float]:
    return [0.0] * len(completions)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"max_prompt_tokens": 0}, "max_prompt_tokens must be an integer of at least 1, got 0"),
        ({"max_new_tokens": 0}, "max_new_tokens must be an integer of at least 1"),
        ({"max_new_tokens": 2.0}, "max_new_tokens must be an integer"),
        ({"max_new_tokens": True}, "max_new_tokens must be an integer"),
        ({"max_new_tokens": "8"}, "max_new_tokens must be an integer"),
        ({"min_new_tokens": -1}, "min_new_tokens must be an integer of at least 0"),
        ({"min_new_tokens": 5, "max_new_tokens": 4}, "min_new_tokens=5 exceeds max_new_tokens=4"),
        ({"on_long_prompt": "cut"}, '"error", "truncate" or "widen", got \'cut\''),
        ({"missing_eos_penalty": -0.1}, "missing_eos_penalty must be a number of at least 0"),
        ({"missing_eos_penalty": float("nan")}, "missing_eos_penalty must be a number"),
        ({"missing_eos_penalty": float("inf")}, "missing_eos_penalty must be a number"),
        ({"missing_eos_penalty": "1"}, "missing_eos_penalty must be a number"),
        ({"missing_eos_penalty": None}, "missing_eos_penalty must be a number"),
        ({"reward": None}, "reward must be a name, a path or a callable, got None"),
        ({"reward": 1.0}, "reward must be a name, a path or a callable, got 1.0"),
        ({"training": ["episodes"]}, "training must map options of training to values"),
        ({"training": {"episods": 64}}, r"no option 'episods'\. Did you mean \"episodes\"\?"),
        ({"training": {"seed": 1}}, "training has no option 'seed'"),
        ({"training": {3: 1}}, r"training has no option 3\."),
        ({"training": {"kl_coef": None}}, "kl_coef in training must be a number, a text"),
        ({"training": {"epochs": [1]}}, "epochs in training must be a number, a text"),
    ],
)
def test_fields_out_of_range_are_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        Task(**{"prompts": ["x"], "reward": reward, **fields})


def test_scorers_are_names_or_callables() -> None:
    for field in ("judge", "potential"):
        values: dict[str, Any] = {field: 3}
        with pytest.raises(ArgumentError, match=f"{field} must be None, a name, a path or a callable, got 3"):
            Task(prompts=["a"], reward="r", **values)


def test_limits_themselves_are_allowed() -> None:
    task = Task(prompts=["x"], reward="tiny-sentiment", max_prompt_tokens=1, max_new_tokens=4, min_new_tokens=4)
    assert (task.max_prompt_tokens, task.max_new_tokens, task.min_new_tokens) == (1, 4, 4)
    numbers: dict[str, Any] = {"missing_eos_penalty": np.float32(0.5), "max_new_tokens": np.int64(9)}
    assert task.replace(**numbers).missing_eos_penalty == 0.5


def test_a_task_is_frozen_and_keyword_only() -> None:
    task = Task(prompts=["x"], reward=reward)
    with pytest.raises(dataclasses.FrozenInstanceError):
        task.max_new_tokens = 3  # type: ignore[misc]
    with pytest.raises(TypeError):
        Task(["x"], reward)  # type: ignore[call-arg]


def test_replace_copies_and_checks() -> None:
    task = Task(prompts=["x"], reward=reward)
    shorter = task.replace(max_new_tokens=3, stop="!")
    assert (task.max_new_tokens, task.stop) == (24, None)
    assert (shorter.max_new_tokens, shorter.stop, shorter.prompts) == (3, "!", ["x"])
    with pytest.raises(ArgumentError, match="max_new_tokens must be"):
        task.replace(max_new_tokens=0)


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("max_new_token", "max_new_tokens"),
        ("prompt", "prompts"),
        ("tokeniser", "tokenizer"),
        ("kl_coeff", "kl_coef"),
        ("autoreset", "autoreset_mode"),
    ],
)
def test_misspelt_fields_are_named(name: str, meant: str) -> None:
    with pytest.raises(ArgumentError, match=f'There is no argument "{name}". Did you mean "{meant}"'):
        Task(prompts=["x"], reward=reward).replace(**{name: 1})


def test_stop_rules() -> None:
    assert stop_function(None) is None
    rule = stop_function("ab")
    assert rule is not None
    assert [rule(text) for text in ("", "a", "b", "ba", "ab", "cabc")] == [False, False, False, False, True, True]
    either = stop_function(("!", "\n\n"))
    assert either is not None
    assert [either(text) for text in ("a\nb", "a\n\nb", "no!", "no")] == [False, True, True, False]

    def long(completion: str) -> bool:
        return len(completion) > 2

    assert stop_function(long) is long


@pytest.mark.parametrize("stop", ["", [], (), [""], ["a", ""], ["a", 1], 3, {"a": 1}])
def test_stop_rules_that_mean_nothing_are_refused(stop: Any) -> None:
    with pytest.raises(ArgumentError, match="stop must be a string, several, or a function"):
        stop_function(stop)


def test_training_takes_the_options_of_all_agents_and_no_others() -> None:
    options = {field.name for name in AGENTS for field in dataclasses.fields(agent_class(name).Config)}
    assert {"episodes", *options} == TRAINING


def test_whoever_made_the_training_changes_no_task_by_it() -> None:
    training = {"episodes": 64}
    task = Task(prompts=["x"], reward=reward, training=training)
    training["episodes"] = 1
    assert task.training == {"episodes": 64}
    assert pickle.loads(pickle.dumps(task)) == task
