"""`textenv.check`: silent for what keeps the contract, and a ContractError for each thing that does not."""

import itertools
import re
import time
from collections.abc import Sequence
from typing import Any, cast

import gymnasium
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode

import textenv
from tests.envs.sizes import by_id
from textenv.commands.output import hide_loading_bars
from textenv.envs.checker import check_rows
from textenv.envs.single import TextEnv
from textenv.envs.vector import TextVectorEnv
from textenv.errors import ArgumentError, ContractError, RewardError
from textenv.models.loading import toy_tokenizer

TOY = {"tokenizer": toy_tokenizer("ab."), "max_prompt_tokens": 3, "max_new_tokens": 3, "model": None}


def length(completions: Sequence[str]) -> list[float]:
    return [float(len(text)) for text in completions]


@by_id
def test_every_environment_keeps_the_contract(id: str, fields: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    hide_loading_bars()
    textenv.check(id, **fields)
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("fields", [{"kl_coef": 0.1}, {"min_new_tokens": 2, "missing_eos_penalty": 0.5}, {"stop": "a"}])
def test_arguments_are_checked_along(fields: dict[str, Any]) -> None:
    textenv.check("TextCopy-v0", **fields)


# Tasks that break the contract

_calls = itertools.count()


def drifting(completions: Sequence[str]) -> list[float]:
    return [float(next(_calls)) for _ in completions]


def by_place(completions: Sequence[str]) -> list[float]:
    return [float(place) for place, _ in enumerate(completions)]


def lowering(completions: list[str]) -> list[float]:
    completions[:] = [text.lower() + "." for text in completions]
    return length(completions)


def noting(completions: Sequence[str], word: list[list[str]]) -> list[float]:
    for words, text in zip(word, completions, strict=True):
        words.append(text)
    return length(completions)


def words_over_letters(completions: Sequence[str]) -> list[float]:
    return [len(text.split()) / len(text) for text in completions]


def third_letter(text: str) -> bool:
    return text[2] == "b"


def no_array(observation: Any) -> Any:
    return [True, False]


ROWS = [{"prompt": "a", "word": ["a", "b"]}, {"prompt": "b", "word": ["b", "a"]}]


@pytest.mark.parametrize(
    ("error", "fields", "message"),
    [
        (ContractError, {"reward": drifting}, r"Broken-v0: the reward drifting scored '' \d+ and then \d+; it must score a text alike"),
        (ContractError, {"reward": by_place}, r"Broken-v0: the reward by_place scored .* 0 alone and 1 among 4 texts"),
        (ContractError, {"reward": lowering}, "Broken-v0: lowering changes the completions that it is given"),
        (ContractError, {"judge": lowering}, "Broken-v0: lowering changes the completions that it is given"),
        (ContractError, {"reward": noting, "prompts": ROWS}, "Broken-v0: noting changes the word that it is given"),
        (ContractError, {"reward": lambda completions: [0.0] * len(completions)}, "Broken-v0: it must pickle, .* its reward does not"),
        (ContractError, {"judge": lambda completions: [0.0] * len(completions)}, "Broken-v0: it must pickle, .* its judge does not"),
        (ContractError, {"stop": lambda text: False}, "Broken-v0: it must pickle, .* its stop does not"),
        (ContractError, {"stop": third_letter}, "Broken-v0: its stop rule raises IndexError on '': string index out of range"),
        (ArgumentError, {"action_mask": no_array}, r"action_mask must return 4 booleans, .* got an array of shape \(2,\) of bool"),
        (RewardError, {"reward": words_over_letters}, "words_over_letters raised ZeroDivisionError: .* the completion ''"),
        (RewardError, {"judge": words_over_letters}, "words_over_letters raised ZeroDivisionError"),
        (RewardError, {"reward": lambda completions: [1.0]}, "returned 1 values for 4 completions"),
        (RewardError, {"reward": lambda completions: "high"}, "returned 'high', which is no row of numbers"),
        (RewardError, {"reward": lambda completions: 0.5}, "returned 0.5 instead of 1 values"),
        *(
            (
                RewardError,
                {"reward": lambda completions, value=value: [value] * len(completions)},
                f"returned {value!r}, which is no finite",
            )
            for value in (None, float("nan"), "0.5")
        ),
    ],
)
def test_tasks_that_break_it(error: type[Exception], fields: dict[str, Any], message: str) -> None:
    textenv.register("Broken-v0", **{"prompts": ["a", "b"], "reward": length, **TOY, **fields})
    with pytest.raises(error, match=message):
        textenv.check("Broken-v0")


def by_pieces(pieces: Sequence[Sequence[str]]) -> list[list[float]]:
    return [[float(len(piece)) for piece in row] for row in pieces]


def test_rewards_by_pieces_keep_it() -> None:
    textenv.check("TextCopy-v0", reward=by_pieces)


def test_a_failing_reward_and_an_unknown_id_keep_their_own_errors() -> None:
    def failing(completions: Sequence[str]) -> list[float]:
        raise ValueError("no")

    with pytest.raises(RewardError, match="failing"):
        textenv.check("TextCopy-v0", reward=failing)
    with pytest.raises(ArgumentError, match="Did you mean"):
        textenv.check("TextCopie-v0")


# Environments that break the contract


class PaysEarly(TextEnv):
    def step(self, action: Any) -> Any:
        observation, reward, terminated, truncated, info = super().step(action)
        return observation, reward + 0.1, terminated, truncated, info


class PaysWrong(TextEnv):
    def step(self, action: Any) -> Any:
        observation, reward, terminated, truncated, info = super().step(action)
        return observation, reward + terminated, terminated, truncated, info


class Truncates(TextEnv):
    def step(self, action: Any) -> Any:
        observation, reward, terminated, _, info = super().step(action)
        return observation, reward, terminated, terminated, info


class NeverEnds(TextEnv):
    def step(self, action: Any) -> Any:
        if self._row.ended[0]:
            self.reset()
        observation, _, _, truncated, info = super().step(action)
        return observation, 0.0, False, truncated, info


class TellsLess(TextEnv):
    def step(self, action: Any) -> Any:
        *rest, info = super().step(action)
        info.pop("score", None)
        return (*rest, info)


class Miscounts(TextEnv):
    def step(self, action: Any) -> Any:
        *rest, info = super().step(action)
        return (*rest, info | ({"length": info["length"] + 1} if "length" in info else {}))


class PadsRight(TextEnv):
    def reset(self, **kwargs: Any) -> Any:
        observation, info = super().reset(**kwargs)
        columns = self.rules.prompt_columns
        tokens = observation[:columns][observation[:columns] >= 0]
        observation[:columns] = np.pad(tokens, (0, columns - len(tokens)), constant_values=-1)
        return observation, info


class FillsTheResponse(TextEnv):
    def reset(self, **kwargs: Any) -> Any:
        observation, info = super().reset(**kwargs)
        observation[self.rules.prompt_columns :] = 0
        return observation, info


class WritesElsewhere(TextEnv):
    def step(self, action: Any) -> Any:
        observation, *rest = super().step(action)
        return (np.roll(observation, 1), *rest)


class NamesAnotherPrompt(TextEnv):
    def reset(self, **kwargs: Any) -> Any:
        observation, info = super().reset(**kwargs)
        return observation, info | {"prompt_index": (info["prompt_index"] + 1) % 2}


class IgnoresSeeds(TextEnv):
    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        return super().reset(options=options)


class Alternates(TextEnv):
    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        return super().reset(seed=seed, options={"prompt_index": next(_calls) % 2} if seed == 7 else options)


class TakesNoSeed(TextEnv):
    def reset(self, **others: Any) -> Any:
        return super().reset(**others)


class SwallowsErrors(TextEnv):
    def step(self, action: Any) -> Any:
        action = action if np.shape(action) == () and int(action) == action and 0 <= action < 4 else 0
        return super().step(np.int64(action))


class GoesOnAfterTheEnd(TextEnv):
    def step(self, action: Any) -> Any:
        if self._row.ended[0]:
            return np.zeros(6, dtype=np.int32), 0.0, True, False, {}
        return super().step(action)


class StepsBeforeReset(TextEnv):
    def step(self, action: Any) -> Any:
        if not self._row._started:
            return np.zeros(6, dtype=np.int32), 0.0, False, False, {}
        return super().step(action)


class WrongDtype(TextEnv):
    def reset(self, **kwargs: Any) -> Any:
        observation, info = super().reset(**kwargs)
        return observation.astype(np.float64), info


class Unpicklable(TextEnv):
    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.lock = (each for each in "a generator")


class ForgetsInPickles(TextEnv):
    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._row.reset(options={"prompt_index": 1 - self._row._prompt})


BROKEN = {
    PaysEarly: "the score must be paid by the last step",
    PaysWrong: "the episode must pay its score less the penalty",
    Truncates: "terminated, never truncated",
    NeverEnds: "the last response column must end the episode",
    TellsLess: r"the last info must have \['score'\]",
    Miscounts: "must count the response tokens",
    PadsRight: "the prompt must be left-padded",
    FillsTheResponse: "the response columns must be -1 after a reset",
    WritesElsewhere: "must write its token into the next response column",
    NamesAnotherPrompt: "must be the prompt of that index",
    IgnoresSeeds: "gymnasium.utils.env_checker says: .*seed",
    Alternates: "equal seeds and actions must give equal episodes",
    TakesNoSeed: "gymnasium.utils.env_checker says: .*`seed`",
    SwallowsErrors: "the action 4 must raise ActionError",
    GoesOnAfterTheEnd: "a step after the end must raise OrderError",
    StepsBeforeReset: "a step before the first reset must raise OrderError",
    WrongDtype: "env_checker says",
    Unpicklable: "it must pickle",
    ForgetsInPickles: "a pickled copy must go on",
}


@pytest.mark.parametrize("broken", BROKEN, ids=lambda broken: broken.__name__)
def test_environments_that_break_it(broken: type[TextEnv]) -> None:
    textenv.register("Broken-v0", prompts=["ab", "b"], reward=length, min_new_tokens=2, **TOY)
    gymnasium.registry["Broken-v0"].entry_point = cast(Any, broken)
    with pytest.raises(ContractError) as error:
        textenv.check("Broken-v0")
    assert re.match(f"Broken-v0: .*({BROKEN[broken]})", str(error.value), re.DOTALL)


class ShiftedSeeds(TextVectorEnv):
    def reset(self, *, seed: Any = None, options: dict[str, Any] | None = None) -> Any:
        return super().reset(seed=None if seed is None else seed + 1, options=options)


class LateScores(TextVectorEnv):
    def step(self, actions: Any) -> Any:
        observations, rewards, *rest = super().step(actions)
        return (observations, 0 * rewards, *rest)


class OtherTexts(TextVectorEnv):
    def step(self, actions: Any) -> Any:
        *rest, infos = super().step(actions)
        for info in (infos, infos.get("final_info", {})):
            if "completion" in info:
                info["completion"] = np.array([f"{text}?" for text in info["completion"]], dtype=object)
        return (*rest, infos)


class NoFinalObservation(TextVectorEnv):
    def step(self, actions: Any) -> Any:
        observations, *rest, infos = super().step(actions)
        return (observations, *rest, infos | {"final_obs": observations})


class StaleObservation(TextVectorEnv):
    def step(self, actions: Any) -> Any:
        observations, *rest = super().step(actions)
        observations[:, -2] = -1
        return (observations, *rest)


@pytest.mark.parametrize(
    ("broken", "mode", "message"),
    [
        (ShiftedSeeds, AutoresetMode.SAME_STEP, "after the first reset"),
        (LateScores, AutoresetMode.NEXT_STEP, "NEXT_STEP.* in its end or reward"),
        (OtherTexts, AutoresetMode.SAME_STEP, "in its completion"),
        (OtherTexts, AutoresetMode.DISABLED, "in its completion"),
        (NoFinalObservation, AutoresetMode.SAME_STEP, "in its last observation"),
        (StaleObservation, AutoresetMode.DISABLED, "in its (last )?observation"),
    ],
)
def test_vector_envs_that_differ(broken: type[TextVectorEnv], mode: AutoresetMode, message: str) -> None:
    prompts = ["ab", "b", "aa", "ba", "bb", "a"]
    textenv.register("Broken-v0", prompts=prompts, reward=length, **{**TOY, "min_new_tokens": 3})
    check_rows("Broken-v0", mode, num_envs=4)
    gymnasium.registry["Broken-v0"].vector_entry_point = cast(Any, broken)
    with pytest.raises(ContractError, match=f"Broken-v0: .*{message}"):
        check_rows("Broken-v0", mode, num_envs=4)


def test_a_check_is_a_matter_of_seconds() -> None:
    start = time.process_time()
    textenv.check("TextCopy-v0")
    assert time.process_time() - start < 5
