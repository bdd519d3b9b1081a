"""What a command line can say of an environment."""

import dataclasses
from typing import Any

import pytest

import textenv
from textenv.envs.options import TaskOptions, settle_task, task_options
from textenv.envs.registry import BUILT_IN, own_arguments, task_of
from textenv.envs.task import Task
from textenv.errors import ArgumentError


def names(options: type[TaskOptions]) -> dict[str, str]:
    return {field.metadata["name"]: field.name for field in dataclasses.fields(options)}


@pytest.mark.parametrize("id", [None, *BUILT_IN])
def test_every_environment_takes_what_its_options_say(id: str | None) -> None:
    options = names(task_options(id))
    assert {"prompts", "max_prompt_tokens", "max_new_tokens", "stop", "reward", "judge"} <= options.keys()
    assert options.keys() - {field.name for field in dataclasses.fields(Task)} == own_arguments(id or "").keys()
    assert task_options(id)().given() == {}


def test_zero_and_an_empty_text_are_given_too() -> None:
    options: Any = task_options(None)
    assert options(missing_eos_penalty=0.0, min_new_tokens=0, prompts="").given() == {
        "missing_eos_penalty": 0.0,
        "min_new_tokens": 0,
        "prompts": "",
    }
    assert options().given() == {}


def test_arguments_of_its_own_are_read_with_their_defaults() -> None:
    assert own_arguments("TextSentiment-v0") == {"target": "positive"}
    assert task_options("TextSentiment-v0")(target="negative", stop=(".", "!")).given() == {"target": "negative", "stop": [".", "!"]}  # type: ignore[call-arg]
    for id in BUILT_IN:
        assert task_of(id, **own_arguments(id))


def test_names_that_are_taken_get_a_prefix_unless_they_mean_the_same() -> None:
    textenv.register("Own-v0", prompts=["a"], reward=len)
    options = names(task_options("Own-v0", frozenset({"prompts", "reward", "seed"})))
    assert options["prompts"] == "env_prompts"
    assert "reward" not in options
    assert task_options("Own-v0", frozenset({"prompts"}))(env_prompts="b.txt").given() == {"prompts": "b.txt"}  # type: ignore[call-arg]


@dataclasses.dataclass(frozen=True)
class Config:
    """Of a command."""

    task: Any
    reward: str | None = None

    def __post_init__(self) -> None:
        settle_task(self)


@pytest.mark.parametrize(
    ("task", "sentence"),
    [
        (["target"], "task must map names of arguments of the environment to values"),
        ({"stop": len}, "stop must be plain data, which the run's folder can hold, got builtin_function_or_method"),
        ({"reward": "tiny-sentiment"}, "reward is an option of its own"),
        ({"stop": None}, "stop is None, which no option can say; leave it out"),
        ({"stop": ["a", None]}, "stop must be plain data"),
    ],
)
def test_what_no_file_can_hold_is_refused(task: Any, sentence: str) -> None:
    with pytest.raises(ArgumentError, match=sentence):
        Config(task)


def test_a_task_becomes_plain_data() -> None:
    assert Config({"stop": (".", "!"), "max_new_tokens": 3}).task == {"stop": [".", "!"], "max_new_tokens": 3}
    assert Config(task_options(None)(max_new_tokens=3)).task == {"max_new_tokens": 3}  # type: ignore[call-arg]
