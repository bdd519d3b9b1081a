"""The table of environments, its cards, and `register`."""

import dataclasses
import re
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import gymnasium
import numpy as np
import pytest

import textenv
from textenv.envs.registry import BUILT_IN, card, find_id, register, registered_ids, task_of, task_on
from textenv.envs.task import Task
from textenv.errors import ArgumentError
from textenv.models.loading import toy_tokenizer
from textenv.rewards.loading import load_reward
from textenv.rewards.protocol import call_reward

HEADINGS = [
    "Description",
    "Prompts",
    "Observation Space",
    "Action Space",
    "Rewards",
    "Episode End",
    "Arguments",
    "References",
    "Version History",
]
MAKERS: list[Callable[..., Any]] = [gymnasium.make, lambda id, **fields: gymnasium.make_vec(id, num_envs=2, **fields)]
by_maker = pytest.mark.parametrize("make", MAKERS, ids=["make", "make_vec"])


def shouting(prompts: Sequence[str], completions: Sequence[str]) -> list[float]:
    return [float((a + b).count("!")) for a, b in zip(prompts, completions, strict=True)]


TOY = {"tokenizer": toy_tokenizer("ab!"), "max_prompt_tokens": 4, "max_new_tokens": 3, "model": None}


def test_an_environment_of_ones_own_in_a_few_lines() -> None:
    textenv.register("Yell-v0", prompts=["a!", "b"], reward=shouting, **TOY)
    env: Any = gymnasium.make("Yell-v0")
    observation, _ = env.reset(seed=0, options={"prompt_index": 0})
    assert observation.tolist() == [-1, -1, 0, 2, -1, -1, -1]
    env.step(np.int64(2))
    assert env.step(np.int64(3))[1] == 2.0
    envs: Any = gymnasium.make_vec("Yell-v0", num_envs=2, max_new_tokens=1)
    envs.reset(seed=0, options={"prompt_index": [0, 1]})
    assert envs.step(np.array([2, 0]))[1].tolist() == [2.0, 0.0]
    assert "Yell-v0" in registered_ids()
    assert registered_ids() == sorted(registered_ids())
    assert card("Yell-v0") == "Yell-v0: registered with textenv.register."
    textenv.check("Yell-v0")


def test_ids_may_have_a_namespace_or_no_version() -> None:
    for id in ("mine/Yell-v2", "Whisper"):
        register(id, prompts=["a"], reward=shouting, **TOY)
        env: Any = gymnasium.make(id)
        assert env.spec.id == id


def test_registering_again_replaces() -> None:
    register("Yell-v0", prompts=["a"], reward=shouting, **TOY)
    before: Any = gymnasium.make("Yell-v0")
    register("Yell-v0", prompts=["b", "!"], reward=shouting, **TOY)
    after: Any = gymnasium.make("Yell-v0")
    assert after.unwrapped.rules.prompts.texts == ["b", "!"]
    assert before.unwrapped.rules.prompts.texts == ["a"]
    assert registered_ids().count("Yell-v0") == 1


@pytest.mark.parametrize(
    ("id", "message"),
    [
        ("TextCopy-v0", "is taken; choose another name or a new version"),
        ("CartPole-v1", "is taken"),
        ("not an id!", 'use the form "Name-v0"'),
        ("Yell v0", 'use the form "Name-v0"'),
        ("", 'use the form "Name-v0"'),
        ("a/b/c-v0", 'use the form "Name-v0"'),
        ("TextCopy", "cannot be registered"),
    ],
)
def test_taken_and_malformed_ids_are_refused_and_leave_nothing(id: str, message: str) -> None:
    before = dict(gymnasium.registry), registered_ids()
    with pytest.raises(ArgumentError, match=message):
        register(id, prompts=["a"], reward=shouting, **TOY)
    assert (dict(gymnasium.registry), registered_ids()) == before


def test_wrong_fields_are_refused_and_leave_nothing() -> None:
    with pytest.raises(ArgumentError, match='Did you mean "max_new_tokens"'):
        register("Yell-v0", prompts=["a"], reward=shouting, max_new_token=3)
    with pytest.raises(ArgumentError, match="reward must be"):
        register("Yell-v0", prompts=["a"], reward=None)
    assert "Yell-v0" not in {*registered_ids(), *gymnasium.registry}


class Uncopied:
    """A reward that is too big to copy."""

    def __call__(self, completions: Sequence[str]) -> list[float]:
        return [0.0] * len(completions)

    def __deepcopy__(self, memo: Any) -> "Uncopied":
        raise MemoryError("a model was copied")


@by_maker
def test_what_is_registered_is_never_copied(make: Callable[..., Any]) -> None:
    reward, prompts = Uncopied(), ["a"]
    register("Yell-v0", prompts=prompts, reward=reward, **TOY)
    env = make("Yell-v0")
    assert env.unwrapped.rules.reward is reward
    assert env.unwrapped.task.prompts is prompts
    assert env.spec.kwargs["task"] == "Yell-v0"


# Misspelt ids and arguments


@by_maker
def test_misspelt_ids(make: Callable[..., Any]) -> None:
    with pytest.raises(gymnasium.error.NameNotFound, match="Did you mean: `TextCopy`"):
        make("TextCoppy-v0")
    for function in (task_of, card, textenv.check):
        with pytest.raises(ArgumentError, match=r'no environment "TextCoppy-v0"\. Did you mean "TextCopy-v0"'):
            function("TextCoppy-v0")


@by_maker
@pytest.mark.parametrize(("name", "meant"), [("max_new_token", "max_new_tokens"), ("rewards", "reward"), ("kl_coeff", "kl_coef")])
def test_misspelt_arguments(make: Callable[..., Any], name: str, meant: str) -> None:
    with pytest.raises(ArgumentError, match=f'no argument "{name}". Did you mean "{meant}"'):
        make("TextCopy-v0", **{name: 3})


@by_maker
@pytest.mark.parametrize("fields", [{"stop": 3}, {"missing_eos_penalty": "x"}, {"max_new_tokens": "x"}, {"prompts": 3}, {"kl_coef": "x"}])
def test_wrong_arguments_are_not_printed_with_all_others(make: Callable[..., Any], fields: dict[str, Any]) -> None:
    """Gymnasium adds every keyword, models too, to the text of a TypeError."""
    with pytest.raises(ArgumentError) as error:
        make("TextCopy-v0", **fields)
    assert "kwargs" not in str(error.value)


def test_ids_may_name_the_module_that_registers_them() -> None:
    assert find_id("TextCopy-v0") == find_id("textenv:TextCopy-v0") == "TextCopy-v0"
    for id in ("no_such_module:TextCopy-v0", "textenv.no_such_module:TextCopy-v0", "no_such_module.part:TextCopy-v0"):
        module = id.partition(":")[0]
        with pytest.raises(ArgumentError, match=f'The module "{module}" cannot be imported: it is neither in this folder'):
            find_id(id)
    with pytest.raises(ArgumentError, match=r"installed packages; leave \.py out\.$"):
        find_id("textenv.py:TextCopy-v0")
    with pytest.raises(
        ArgumentError, match=r'"TextCoppy-v0"\. Did you mean "TextCopy-v0"\? One of your own .* registers it: "my_module:TextCoppy-v0"'
    ):
        find_id("TextCoppy-v0")


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], str]:
    """Write a module that can be imported, and return its name, which no other test has."""
    monkeypatch.syspath_prepend(tmp_path)

    def write(code: str) -> str:
        name = f"module_{tmp_path.name}"
        (tmp_path / f"{name}.py").write_text(code)
        return name

    return write


def test_modules_say_which_ids_they_register(module: Callable[[str], str]) -> None:
    name = module(
        "import textenv\n"
        "for id in ('Whistle-v0', 'Hum-v0'):\n"
        "    textenv.register(id, prompts=['a'], reward=lambda completions: [0.0] * len(completions))\n"
    )
    for _ in range(2):  # the second time it is imported already
        with pytest.raises(
            ArgumentError, match=f'"{name}" registers no environment "Hum-v1".*; those it registers: .*Hum-v0, .*Whistle-v0'
        ):
            find_id(f"{name}:Hum-v1")
    assert find_id(f"{name}:Hum-v0") == "Hum-v0"


def test_modules_that_register_nothing(module: Callable[[str], str]) -> None:
    name = module("x = 1\n")
    with pytest.raises(ArgumentError, match="those it registers: none"):
        find_id(f"{name}:Hum-v0")


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("x = 1\ny = undefined\n", "it raises NameError: name 'undefined' is not defined .MODULE.py, line 2"),
        ("import no_such_library\n", "it raises ModuleNotFoundError: No module named 'no_such_library' .MODULE.py, line 1"),
        ("def f(:\n", "it raises SyntaxError: .*MODULE.py, line 1"),
        (
            "import textenv\ntextenv.register('H-v0', prompts=['a'], reward=min, max_new_tokens=0)\n",
            "max_new_tokens .* got 0 .MODULE.py, line 2",
        ),
    ],
)
def test_modules_that_raise(module: Callable[[str], str], code: str, message: str) -> None:
    name = module(code)
    with pytest.raises(ArgumentError, match=f'The module "{name}" cannot be imported: .*{message.replace("MODULE", name)}'):
        find_id(f"{name}:H-v0")


# Built-in environments


def test_gymnasium_knows_the_built_in_ids() -> None:
    theirs = {id for id, spec in gymnasium.registry.items() if spec.entry_point == "textenv.envs.single:TextEnv"}
    assert theirs >= set(BUILT_IN)
    assert set(registered_ids()) == theirs
    for id in BUILT_IN:
        spec = gymnasium.spec(id)
        assert spec.kwargs == {"task": id}
        assert spec.vector_entry_point == "textenv.envs.vector:TextVectorEnv"
        assert re.search(r"-v\d+$", id)


@pytest.mark.parametrize("id", BUILT_IN)
def test_a_built_in_id_is_its_module_s_task(id: str) -> None:
    task = task_of(id)
    assert isinstance(task, Task)
    module = import_module(BUILT_IN[id])
    assert task == (module.task() if hasattr(module, "task") else module.TASK)
    assert task_of(task) is task
    assert task_of(id, max_new_tokens=5).max_new_tokens == 5


def test_an_environment_may_take_arguments_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("shouting")

    def task(*, loudness: int = 1) -> Task:
        return Task(prompts=["!" * loudness], reward="tiny-sentiment", max_new_tokens=3)

    monkeypatch.setattr(module, "task", task, raising=False)
    monkeypatch.setitem(sys.modules, "shouting", module)
    monkeypatch.setitem(BUILT_IN, "Shouting-v0", "shouting")
    assert task_of("Shouting-v0").prompts == ["!"]
    found = task_of("Shouting-v0", loudness=3, max_new_tokens=7)
    assert (found.prompts, found.max_new_tokens) == (["!!!"], 7)
    with pytest.raises(ArgumentError, match=r'There is no argument "loudnes"\. Did you mean "loudness"'):
        task_of("Shouting-v0", loudnes=3)


@pytest.mark.parametrize("id", BUILT_IN)
def test_cards_have_every_heading_with_something_under_it(id: str) -> None:
    text = card(id)
    assert text.startswith(f"{id}: ")
    found = re.findall(r"^([A-Z][A-Za-z ]+):\n((?:    .+\n|\n)+)", text + "\n", re.MULTILINE)
    assert [heading for heading, _ in found] == HEADINGS
    assert all(len(body.split()) >= 2 for _, body in found)
    assert re.search(r"^    v\d+: ", found[-1][1], re.MULTILINE)


@pytest.mark.parametrize("id", BUILT_IN)
def test_cards_tell_the_spaces_and_sizes(id: str) -> None:
    env: Any = gymnasium.make(id)
    text = card(id)
    assert f"`{env.observation_space}`" in text
    assert f"`Discrete({env.action_space.n})`" in text
    rules = env.unwrapped.rules
    assert f"{rules.prompt_columns} prompt and {rules.response_columns} response columns" in text
    assert re.search(rf"\b{len(rules.prompts.texts)}\b", text.partition("Prompts:")[2].partition("Observation Space:")[0])


def test_another_reward_goes_without_the_potential_of_the_first() -> None:
    assert task_of("TextHaiku-v0").potential is not None
    assert task_of("TextHaiku-v0", max_new_tokens=5).potential is not None
    assert task_of("TextHaiku-v0", reward="tiny-sentiment").potential is None
    assert task_of("TextHaiku-v0", reward="tiny-sentiment", potential="tiny-sentiment").potential == "tiny-sentiment"


@dataclasses.dataclass(frozen=True)
class Placed:
    """Scores that need a device."""

    device: str = "cpu"

    def __call__(self, completions: Sequence[str]) -> list[float]:
        return [float(self.device == "cuda:1")] * len(completions)


def test_scorers_are_loaded_for_a_device() -> None:
    other = task_on("TextHaiku-v0", {}, reward="tiny-sentiment")
    assert (other.reward, other.potential, other.judge) == (load_reward("tiny-sentiment"), None, task_of("TextHaiku-v0").judge)
    textenv.register("Placed-v0", prompts=["a"], reward=Placed(), judge=Placed(), potential=Placed())
    for reward, potential in ((None, Placed("cuda:1")), (Placed(), None)):
        task = task_on("Placed-v0", {}, reward=reward, device="cuda:1")
        assert (task.reward, task.potential, task.judge) == (Placed("cuda:1"), potential, Placed("cuda:1"))


def test_options_come_before_all_else_and_reach_the_scorers() -> None:
    prompts, completions = ["The film "] * 2, ["is wonderful.", "is terrible."]
    usual, task = task_on("TextSentiment-v0", {}), task_on("TextSentiment-v0", {"target": "negative", "max_new_tokens": 3})
    for name in ("reward", "judge"):
        positive, negative = (np.asarray(call_reward(getattr(of, name), prompts, completions).scores) for of in (usual, task))
        np.testing.assert_allclose(negative, 1 - positive, rtol=0, atol=1e-12)
    assert task.max_new_tokens == 3
    assert task_on("TextCopy-v0", {"judge": "tiny-sentiment"}, judge="tiny-toxicity").judge is load_reward("tiny-sentiment")


def test_a_model_of_any_tokenizer_acts_with_whole_prompts() -> None:
    """With another tokenizer the same prompts have other lengths; the command line lets them take what they need."""
    letters = toy_tokenizer([chr(code) for code in range(32, 127)])
    with pytest.raises(ArgumentError, match=r"prompts have more than max_prompt_tokens=\d+ tokens; the longest, "):
        gymnasium.make("TextSentiment-v0", tokenizer=letters)
    task = task_on("TextSentiment-v0", {}, model="tiny-en").replace(tokenizer=letters)
    env: Any = gymnasium.make("TextSentiment-v0", task=task)
    rules = env.unwrapped.rules
    assert rules.prompt_columns == max(len(text) for text in rules.prompts.texts) > rules.task.max_prompt_tokens
    assert not rules.prompts.dropped.any()
    env = gymnasium.make("TextSentiment-v0", task=task_on("TextSentiment-v0", {}, model="tiny-en"))
    same = env.unwrapped.rules
    assert same.prompt_columns == same.task.max_prompt_tokens
