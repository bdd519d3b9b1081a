"""The state machine: against a plain model of an episode, against single envs, and under Gymnasium's own vector tools."""

import copy
import functools
import pickle
from collections.abc import Callable, Sequence
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium.vector import AsyncVectorEnv, AutoresetMode, SyncVectorEnv
from gymnasium.wrappers.vector import DictInfoToList, NumpyToTorch, RecordEpisodeStatistics
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

import textenv
from tests.envs.sizes import by_id
from textenv.envs.checker import check_rows
from textenv.envs.task import Task
from textenv.envs.vector import TextVectorEnv, text_envs
from textenv.errors import ActionError, ArgumentError, OrderError, RewardError
from textenv.models.loading import toy_tokenizer
from textenv.models.policy import LanguagePolicy

MODES = list(AutoresetMode)
LETTERS = "ab."
EOS = 3
TOKENIZER = toy_tokenizer(LETTERS)


def by_mode(function: Any) -> Any:
    return pytest.mark.parametrize("mode", MODES, ids=lambda mode: mode.name)(function)


def allowed_actions(envs: Any, generator: np.random.Generator) -> NDArray[np.int64]:
    return np.array([generator.choice(np.flatnonzero(row)) for row in envs.unwrapped.action_masks()])


def assert_same(found: Any, expected: Any, where: str = "infos") -> None:
    """Compare nested infos to the bit, dtypes included."""
    assert type(found) is type(expected), f"{where}: {type(found)} and {type(expected)}"
    if isinstance(expected, dict):
        assert found.keys() == expected.keys(), f"{where}: {found.keys()} and {expected.keys()}"
        for name in expected:
            assert_same(found[name], expected[name], f"{where}[{name!r}]")
    elif isinstance(expected, np.ndarray) and expected.dtype != object:
        assert found.dtype == expected.dtype, where
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5 if expected.dtype.kind == "f" else 0, err_msg=where)
    elif isinstance(expected, np.ndarray):
        assert found.shape == expected.shape, where
        for index, (a, b) in enumerate(zip(found, expected, strict=True)):
            assert_same(a, b, f"{where}[{index}]")
    else:
        assert found == expected, where


# Against a plain model


class Plain:
    """One episode as a person would play it with pen and paper."""

    def __init__(self, task: Task, prompt: str) -> None:
        self.task, self.ended, self.reason = task, False, ""
        ids = [LETTERS.index(letter) for letter in prompt] or [EOS]
        self.dropped = max(0, len(ids) - task.max_prompt_tokens)
        self.prompt_ids = ids[self.dropped :]
        self.prompt = prompt[self.dropped :]
        self.response: list[int] = []

    @property
    def text(self) -> str:
        return "".join(LETTERS[token] for token in self.response if token != EOS)

    @property
    def observation(self) -> list[int]:
        before = self.task.max_prompt_tokens - len(self.prompt_ids)
        after = self.task.max_new_tokens - len(self.response)
        return [-1] * before + self.prompt_ids + self.response + [-1] * after

    @property
    def score(self) -> float:
        return 4.0 * self.text.count("a") + 2.0 * self.text.count("b") + len(self.prompt) / 8

    def write(self, token: int) -> float:
        self.response.append(token)
        if token == EOS and len(self.response) > self.task.min_new_tokens:
            self.reason = "eos"
        elif self.task.stop is not None and "." in self.text:
            self.reason = "stop"
        elif len(self.response) == self.task.max_new_tokens:
            self.reason = "length"
        self.ended = self.reason != ""
        penalty = self.task.missing_eos_penalty if self.reason == "length" else 0.0
        return self.score - penalty if self.ended else 0.0


def plain_score(prompts: Sequence[str], completions: Sequence[str]) -> list[float]:
    return [4.0 * b.count("a") + 2.0 * b.count("b") + len(a) / 8 for a, b in zip(prompts, completions, strict=True)]


def assert_final_info(info: dict[str, Any], row: int, episode: Plain, index: int) -> None:
    expected = {
        "prompt": episode.prompt,
        "prompt_index": index,
        "completion": episode.text,
        "score": episode.score,
        "finish_reason": episode.reason,
        "length": len(episode.response),
    }
    assert {name: info[name][row] for name in expected} == expected
    assert all(info[f"_{name}"][row] for name in expected)


@st.composite
def tasks(draw: st.DrawFn) -> Task:
    most = draw(st.integers(1, 4))
    return Task(
        prompts=draw(st.lists(st.text(LETTERS, max_size=6), min_size=1, max_size=4)),
        reward=plain_score,
        tokenizer=TOKENIZER,
        max_prompt_tokens=draw(st.integers(1, 4)),
        on_long_prompt="truncate",
        max_new_tokens=most,
        min_new_tokens=draw(st.integers(0, most)),
        stop=draw(st.sampled_from([None, "."])),
        missing_eos_penalty=draw(st.sampled_from([0.0, 0.5])),
        model=None,
    )


@by_mode
@settings(deadline=None, derandomize=True, max_examples=60, report_multiple_bugs=False)
@given(data=st.data())
def test_every_row_follows_a_plain_model(mode: AutoresetMode, data: st.DataObject) -> None:
    task = data.draw(tasks())
    n = data.draw(st.integers(1, 3))
    texts = list(task.prompts)
    envs = TextVectorEnv(task, n, autoreset_mode=mode)
    plain: list[Plain] = []
    indices: list[int] = []

    def begin(rows: Sequence[int], infos: dict[str, Any]) -> None:
        for row in rows:
            indices[row] = int(infos["prompt_index"][row])
            plain[row] = Plain(task, texts[indices[row]])
            assert infos["prompt"][row] == plain[row].prompt
            assert infos["prompt_tokens_dropped"][row] == plain[row].dropped

    observations, infos = envs.reset(seed=data.draw(st.integers(0, 99)))
    plain, indices = [Plain(task, "")] * n, [0] * n
    begin(range(n), infos)
    for _ in range(data.draw(st.integers(1, 12))):
        waiting = [row for row in range(n) if plain[row].ended]  # only in NEXT_STEP mode
        actions = data.draw(st.lists(st.integers(0, EOS), min_size=n, max_size=n))
        observations, rewards, terminated, truncated, infos = envs.step(np.array(actions))
        paid = [0.0 if row in waiting else plain[row].write(actions[row]) for row in range(n)]
        ended = [row for row in range(n) if plain[row].ended and row not in waiting]
        assert rewards.tolist() == paid
        assert np.flatnonzero(terminated).tolist() == ended
        assert not truncated.any()
        for row in ended:
            same_step = mode is AutoresetMode.SAME_STEP
            last = infos["final_obs"][row] if same_step else observations[row]
            assert last.tolist() == plain[row].observation
            assert_final_info(infos["final_info"] if same_step else infos, row, plain[row], indices[row])
        if mode is AutoresetMode.SAME_STEP:
            begin(ended, infos)
        elif mode is AutoresetMode.NEXT_STEP:
            begin(waiting, infos)
        else:
            mask = np.array(data.draw(st.lists(st.booleans(), min_size=n, max_size=n))) | terminated
            if mask.any():
                chosen = data.draw(st.lists(st.integers(0, len(texts) - 1), min_size=n, max_size=n))
                observations, infos = envs.reset(options={"reset_mask": mask, "prompt_index": chosen})
                assert infos["_prompt"].tolist() == mask.tolist()
                begin(np.flatnonzero(mask).tolist(), infos)
                assert [indices[row] for row in np.flatnonzero(mask)] == [chosen[row] for row in np.flatnonzero(mask)]
        assert observations.tolist() == [episode.observation for episode in plain]
        assert observations.dtype == np.int32


# Against single envs


@pytest.mark.slow  # `check` does this for every id and mode, with another seed, in tests/envs/test_checker.py
@by_mode
@by_id
def test_rows_equal_single_envs(id: str, fields: dict[str, Any], mode: AutoresetMode) -> None:
    check_rows(id, mode, num_envs=3, seed=5, **fields)


@by_mode
@by_id
def test_infos_equal_those_of_sync_vector_env(id: str, fields: dict[str, Any], mode: AutoresetMode) -> None:
    mine: Any = gymnasium.make_vec(id, num_envs=3, autoreset_mode=mode, **fields)
    theirs: Any = SyncVectorEnv([functools.partial(gymnasium.make, id, **fields)] * 3, autoreset_mode=mode)
    assert mine.observation_space == theirs.observation_space
    assert mine.action_space == theirs.action_space
    assert mine.metadata == theirs.metadata
    found, expected = mine.reset(seed=3), theirs.reset(seed=3)
    generator, ends = np.random.default_rng(0), 0
    for _ in range(2 * mine.unwrapped.rules.response_columns + 2):
        np.testing.assert_array_equal(found[0], expected[0])
        assert_same(found[-1], expected[-1])
        actions = allowed_actions(mine, generator)
        found, expected = mine.step(actions), theirs.step(actions)
        for name, a, b in zip(("rewards", "terminated", "truncated"), found[1:4], expected[1:4], strict=True):
            assert_same(a, b, name)
        ends += int(found[2].sum())
        if mode is AutoresetMode.DISABLED and found[2].any():
            np.testing.assert_array_equal(found[0], expected[0])
            assert_same(found[-1], expected[-1])
            # SyncVectorEnv takes the mask out of the dict it is given.
            found, expected = (envs.reset(options={"reset_mask": found[2].copy()}) for envs in (mine, theirs))
    assert ends >= 3
    mine.close()
    theirs.close()


@by_id
def test_async_vector_env_equals_the_rows(id: str, fields: dict[str, Any]) -> None:
    make = functools.partial(gymnasium.make, f"textenv:{id}", **fields)
    # A plain fork of this process, in which torch has already run, may hang; the server forks before torch runs.
    theirs: Any = AsyncVectorEnv([make, make], context="forkserver", autoreset_mode=AutoresetMode.SAME_STEP)
    try:
        mine: Any = gymnasium.make_vec(id, num_envs=2, **fields)
        found, expected = mine.reset(seed=4), theirs.reset(seed=4)
        generator = np.random.default_rng(1)
        for _ in range(mine.unwrapped.rules.response_columns + 2):
            np.testing.assert_array_equal(found[0], expected[0])
            assert_same(found[-1], expected[-1])
            actions = allowed_actions(mine, generator)
            found, expected = mine.step(actions), theirs.step(actions)
            assert_same(found[1], expected[1], "rewards")
            assert_same(found[2], expected[2], "terminated")
    finally:
        theirs.close()


def test_seeds_are_one_a_row_or_one_for_all(toy: Callable[..., Task]) -> None:
    envs = TextVectorEnv(toy(prompts=[letter * n for letter in "ab" for n in (1, 2, 3)]), 3)

    def prompts(**arguments: Any) -> list[int]:
        return [*envs.reset(**arguments)[1]["prompt_index"]]

    assert prompts(seed=8) == prompts(seed=[8, 9, 10]) == prompts(seed=np.int64(8))
    assert prompts(seed=[10, 9, 8]) == prompts(seed=8)[::-1]
    first = [prompts(seed=8), prompts(), prompts()]
    assert first == [prompts(seed=8), prompts(), prompts()]
    assert first[0] != first[1] or first[1] != first[2]
    prompts(seed=8)
    later = prompts()
    prompts(seed=8)
    assert prompts(seed=[None, 9, None])[0::2] == later[0::2]
    with pytest.raises(ArgumentError, match="3 of them, one a row, got 2"):
        envs.reset(seed=[1, 2])


@by_id
def test_a_run_repeats_and_a_pickled_copy_goes_on_alike(id: str, fields: dict[str, Any]) -> None:
    runs: list[list[Any]] = []
    for _ in range(2):
        envs: Any = gymnasium.make_vec(id, num_envs=2, **fields).unwrapped
        seen, generator = [envs.reset(seed=2)[0].tolist()], np.random.default_rng(2)
        for step in range(envs.rules.response_columns + 3):
            if step == 2:
                envs = pickle.loads(pickle.dumps(envs)) if runs else envs
            observations, rewards, terminated, _, infos = envs.step(allowed_actions(envs, generator))
            seen.append((observations.tolist(), rewards.tolist(), terminated.tolist(), [*infos.get("prompt", [])]))
        runs.append(seen)
    assert runs[0] == runs[1]


# Under Gymnasium's vector wrappers


@by_mode
@by_id
def test_record_episode_statistics_returns_the_scores(id: str, fields: dict[str, Any], mode: AutoresetMode) -> None:
    envs: Any = RecordEpisodeStatistics(gymnasium.make_vec(id, num_envs=3, autoreset_mode=mode, missing_eos_penalty=0.25, **fields))
    envs.reset(seed=1)
    generator, returns, lengths = np.random.default_rng(1), [], []
    for _ in range(2 * envs.unwrapped.rules.response_columns + 2):
        _, _, terminated, _, infos = envs.step(allowed_actions(envs, generator))
        final = infos.get("final_info", infos)
        for row in np.flatnonzero(terminated):
            returns.append(final["score"][row] - 0.25 * (final["finish_reason"][row] == "length"))
            lengths.append(final["length"][row])
            assert infos["episode"]["r"][row] == pytest.approx(returns[-1])
        if mode is AutoresetMode.DISABLED and terminated.any():
            envs.reset(options={"reset_mask": terminated})
    assert len(returns) >= 3
    np.testing.assert_allclose(envs.return_queue, returns)
    assert [*envs.length_queue] == lengths


@by_mode
@by_id
def test_dict_info_to_list_and_numpy_to_torch(id: str, fields: dict[str, Any], mode: AutoresetMode) -> None:
    """NumpyToTorch alone fails on object arrays, so on any info with text and on any `final_obs`; on lists it works."""
    plain: Any = gymnasium.make_vec(id, num_envs=2, autoreset_mode=mode, **fields)
    listed: Any = DictInfoToList(gymnasium.make_vec(id, num_envs=2, autoreset_mode=mode, **fields))
    tensors: Any = NumpyToTorch(DictInfoToList(gymnasium.make_vec(id, num_envs=2, autoreset_mode=mode, **fields)))
    for envs in (plain, listed, tensors):
        envs.reset(seed=6)
    generator, ends = np.random.default_rng(6), 0
    for _ in range(plain.unwrapped.rules.response_columns + 3):
        actions = allowed_actions(plain, generator)
        observations, rewards, terminated, _, infos = plain.step(actions)
        rows = listed.step(actions)[-1]
        converted = tensors.step(torch.from_numpy(actions))
        assert converted[0].dtype == torch.int32
        np.testing.assert_array_equal(converted[0], observations)
        np.testing.assert_allclose(converted[1], rewards, rtol=0, atol=1e-5)
        assert converted[2].tolist() == terminated.tolist()
        for row in np.flatnonzero(terminated):
            same_step = mode is AutoresetMode.SAME_STEP
            final = infos["final_info"] if same_step else infos
            mine = rows[row]["final_info"] if same_step else rows[row]
            assert mine["completion"] == final["completion"][row]
            assert mine["score"] == pytest.approx(final["score"][row])
            theirs = converted[-1][row]["final_info"] if same_step else converted[-1][row]
            assert theirs["score"].item() == pytest.approx(final["score"][row])
            ends += 1
        if mode is AutoresetMode.DISABLED and terminated.any():
            for envs in (plain, listed, tensors):
                envs.reset(options={"reset_mask": terminated.copy()})
    assert ends >= 2


# Reset options


@by_mode
def test_prompt_index_chooses_the_first_prompts(toy: Callable[..., Task], mode: AutoresetMode) -> None:
    envs = TextVectorEnv(toy(), 3, autoreset_mode=mode)
    observations, infos = envs.reset(seed=0, options={"prompt_index": [2, 0, 2]})
    assert observations.tolist() == [[1, 0, 1, -1, -1, -1], [-1, -1, 1, -1, -1, -1], [1, 0, 1, -1, -1, -1]]
    assert [*infos["prompt"]] == ["bab", "b", "bab"]


@by_mode
def test_a_queue_plays_exactly_its_prompts_and_parks_the_rows(toy: Callable[..., Task], mode: AutoresetMode) -> None:
    envs = TextVectorEnv(toy(), 2, autoreset_mode=mode)
    observations, infos = envs.reset(seed=0, options={"prompt_queue": [2, 2, 0, 1, 0]})
    started = [int(index) for index in infos["prompt_index"]]
    played: list[int] = []
    for step in range(12):
        # Row 1 ends at once, row 0 by its length; what a parked row is given does not matter.
        parked = (observations == -1).all(1)
        actions = np.where(parked, 999, [0, EOS])
        observations, rewards, terminated, _, infos = envs.step(actions)
        assert not terminated[parked].any()
        assert not rewards[parked].any()
        final = infos.get("final_info", infos)
        played += [int(final["prompt_index"][row]) for row in np.flatnonzero(terminated)]
        if mode is AutoresetMode.DISABLED and terminated.any():
            observations, infos = envs.reset(options={"reset_mask": terminated})
        started += [int(infos["prompt_index"][row]) for row in np.flatnonzero(infos.get("_prompt_tokens_dropped", []))]
        assert (observations[parked] == -1).all(), step
    assert started == [2, 2, 0, 1, 0]
    assert sorted(played) == [0, 0, 1, 2, 2]
    assert (observations == -1).all()
    assert not envs.ended.any()
    _, infos = envs.reset()  # the next full reset plays on without the queue
    assert (envs.step(np.array([0, 0]))[0] >= 0).any(1).all()
    assert infos["_prompt"].all()


def test_parked_rows_play_again_when_they_are_reset(toy: Callable[..., Task]) -> None:
    envs = TextVectorEnv(toy(), 3)
    envs.reset(seed=0, options={"prompt_queue": [1]})
    for _ in range(2):
        envs.step(np.array([EOS, EOS, EOS]))
    observations, _ = envs.reset()
    assert (observations >= 0).any(axis=1).all()
    terminated = envs.step(np.array([EOS, EOS, EOS]))[2]
    assert terminated.all()


def test_a_masked_reset_in_a_queue_may_choose_its_prompt(toy: Callable[..., Task]) -> None:
    envs = TextVectorEnv(toy(), 2, autoreset_mode="DISABLED")
    envs.reset(seed=0, options={"prompt_queue": [0, 0, 1]})
    _, infos = envs.reset(options={"reset_mask": np.array([True, False]), "prompt_index": [2, 2]})
    assert infos["prompt"][0] == "bab"
    _, infos = envs.reset(options={"reset_mask": np.array([False, True])})
    assert infos["prompt"][1] == "ab"


def test_rows_left_out_of_a_reset_go_on(toy: Callable[..., Task]) -> None:
    envs = TextVectorEnv(toy(), 2, autoreset_mode="DISABLED")
    envs.reset(seed=0, options={"prompt_index": [0, 1]})
    envs.step(np.array([0, 1]))
    observations, infos = envs.reset(options={"reset_mask": np.array([True, False]), "prompt_index": [2, 2]})
    assert observations.tolist() == [[1, 0, 1, -1, -1, -1], [-1, 0, 1, 1, -1, -1]]
    assert infos["_prompt"].tolist() == [True, False]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"prompt_indx": [0, 0]}, 'Did you mean "prompt_index"'),
        ({"prompt_index": [0]}, r"shape \(2,\), got \(1,\)"),
        ({"prompt_index": [0, 3]}, "integers from 0 to 2"),
        ({"prompt_index": [0, -1]}, "integers from 0 to 2"),
        ({"prompt_index": [0.0, 1.0]}, "integers from 0 to 2"),
        ({"prompt_queue": [[0, 1]]}, "flat list"),
        ({"prompt_queue": [0, 7]}, "integers from 0 to 2"),
        ({"prompt_queue": [0], "prompt_index": [0, 0]}, 'without "prompt_index"'),
        ({"reset_mask": np.array([False, False])}, "one of them True"),
        ({"reset_mask": np.array([True])}, "2 booleans"),
        ({"reset_mask": [1, 0]}, "2 booleans"),
    ],
)
def test_wrong_reset_options_are_refused_and_change_nothing(toy: Callable[..., Task], options: dict[str, Any], message: str) -> None:
    envs, untouched = (TextVectorEnv(toy(), 2) for _ in range(2))
    for each in (envs, untouched):
        each.reset(seed=0)
    with pytest.raises(ArgumentError, match=message):
        envs.reset(seed=1, options=options)
    for _ in range(4):
        np.testing.assert_array_equal(envs.step(np.array([0, EOS]))[0], untouched.step(np.array([0, EOS]))[0])


def test_the_first_reset_starts_every_row(toy: Callable[..., Task]) -> None:
    envs = TextVectorEnv(toy(), 2, autoreset_mode="DISABLED")
    with pytest.raises(OrderError, match="first reset"):
        envs.reset(seed=0, options={"reset_mask": np.array([True, False])})
    with pytest.raises(OrderError, match=r"Call reset\(\) before"):
        envs.step(np.array([0, 0]))


# Refused steps


def test_order_of_calls(toy: Callable[..., Task]) -> None:
    envs = TextVectorEnv(toy(), 2, autoreset_mode="DISABLED")
    with pytest.raises(OrderError, match=r"Call reset\(\) before"):
        envs.step(np.array([0, 0]))
    envs.reset(seed=0)
    observations = envs.step(np.array([0, EOS]))[0]
    assert envs.ended.tolist() == [False, True]
    with pytest.raises(OrderError, match=r"rows \[1\] have ended"):
        envs.step(np.array([0, 0]))
    after, *_ = envs.reset(options={"reset_mask": np.array([False, True])})
    np.testing.assert_array_equal(after[0], observations[0])


@pytest.mark.parametrize(
    ("actions", "message"),
    [
        ([0], r"shape \(2,\), got the shape \(1,\)"),
        ([[0, 1]], r"shape \(2,\), got the shape \(1, 2\)"),
        (0, r"got the shape \(\)"),
        ([0.0, 1.0], "got an array of float64"),
        ([True, False], "got an array of bool"),
        (["a", "b"], "Actions are token ids"),
        ([0, 4], "Row 1: the action 4 is no token id; they go from 0 to 3"),
        ([-1, 0], "Row 0: the action -1 is no token id"),
    ],
)
def test_impossible_actions_are_refused_and_change_nothing(toy: Callable[..., Task], actions: Any, message: str) -> None:
    envs = TextVectorEnv(toy(), 2)
    before, _ = envs.reset(seed=0)
    with pytest.raises(ActionError, match=message):
        envs.step(np.array(actions))
    after, *_ = envs.step(np.array([1, 2]))
    before[:, 3] = [1, 2]
    np.testing.assert_array_equal(after, before)


class Fragile:
    """A reward that fails as it is told to, and works otherwise."""

    name = "fragile"

    def __init__(self) -> None:
        self.fault: Any = None
        self.calls: list[int] = []

    def __call__(self, prompts: Sequence[str], completions: Sequence[str]) -> Any:
        self.calls.append(len(completions))
        scores = plain_score(prompts, completions)
        return self.fault(scores) if self.fault else scores


def blow_up(scores: list[float]) -> list[float]:
    raise ZeroDivisionError("no more")


FAULTS = {
    "raises": blow_up,
    "none": lambda scores: None,
    "nan": lambda scores: [*scores[:-1], float("nan")],
    "none inside": lambda scores: [*scores[:-1], None],
    "too few": lambda scores: scores[:-1],
    "one number": lambda scores: 0.5,
    "text": lambda scores: ["good"] * len(scores),
}


@by_mode
@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("kl_coef", [0.0, 0.1])
def test_a_failing_reward_is_named_and_nothing_is_half_written(
    toy: Callable[..., Task], mode: AutoresetMode, fault: str, kl_coef: float
) -> None:
    rewards = [Fragile(), Fragile()]
    broken, untouched = (TextVectorEnv(toy(reward=reward), 3, autoreset_mode=mode, kl_coef=kl_coef) for reward in rewards)
    for envs in (broken, untouched):
        envs.reset(seed=0, options={"prompt_index": [0, 1, 2]})
        envs.step(np.array([0, 0, 0]))
    actions = np.array([1, EOS, EOS])
    rewards[0].fault = FAULTS[fault]
    with pytest.raises(RewardError) as error:
        broken.step(actions)
    assert "fragile" in str(error.value)
    if fault in ("raises", "nan", "none inside", "text"):
        row = "'bab'" if fault in ("nan", "none inside") else "'ab'"
        assert row in str(error.value)
        assert "'a'" in str(error.value)
    rewards[0].fault = None
    for step in ([1, EOS, EOS], [0, 0, 0], [EOS, 0, 1]):
        if mode is AutoresetMode.DISABLED and untouched.ended.any():
            mask = untouched.ended
            for envs in (broken, untouched):
                envs.reset(options={"reset_mask": mask})
        found, expected = (envs.step(np.array(step)) for envs in (broken, untouched))
        np.testing.assert_array_equal(found[0], expected[0])
        np.testing.assert_allclose(found[1], expected[1], rtol=0, atol=1e-6)
        np.testing.assert_array_equal(found[2], expected[2])
        assert_same(found[-1], expected[-1])


@pytest.mark.parametrize("kl_coef", [0.0, 0.1])
@pytest.mark.parametrize("stop", [KeyboardInterrupt, SystemExit, ZeroDivisionError])
def test_a_step_that_is_broken_off_has_changed_no_row(toy: Callable[..., Task], stop: type[BaseException], kl_coef: float) -> None:
    def breaks_off(scores: list[float]) -> list[float]:
        raise stop

    rewards = [Fragile(), Fragile()]
    broken, untouched = (TextVectorEnv(toy(reward=reward), 3, render_mode="ansi", kl_coef=kl_coef) for reward in rewards)
    for envs in (broken, untouched):
        envs.reset(seed=0, options={"prompt_index": [0, 1, 2]})
        envs.step(np.array([0, 0, 0]))
    rewards[0].fault = breaks_off
    for _ in range(2):
        with pytest.raises(RewardError if stop is ZeroDivisionError else stop):
            broken.step(np.array([1, EOS, 0]))
        assert broken.render() == untouched.render()
    rewards[0].fault = None
    left_out = np.array([False, False, True])
    results = [envs.reset(options={"reset_mask": left_out}) + envs.step(np.array([1, EOS, EOS])) for envs in (broken, untouched)]
    for after, expected in zip(*results, strict=True):
        if isinstance(after, dict):
            assert_same(after, expected)
        else:
            np.testing.assert_allclose(after, expected, rtol=0, atol=1e-6)


def test_the_reward_is_called_once_for_all_that_end_together(toy: Callable[..., Task]) -> None:
    reward = Fragile()
    envs = TextVectorEnv(toy(reward=reward), 4)
    envs.reset(seed=0)
    envs.step(np.array([0, EOS, EOS, 1]))
    envs.step(np.array([0, 0, 0, 0]))
    envs.step(np.array([0, EOS, 0, EOS]))
    assert reward.calls == [2, 3]


# Making


@pytest.mark.parametrize("num_envs", [0, -1, 1.0, "2", True, None])
def test_num_envs_is_a_positive_integer(toy: Callable[..., Task], num_envs: Any) -> None:
    with pytest.raises(ArgumentError, match="num_envs must be an integer of at least 1"):
        TextVectorEnv(toy(), num_envs)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"autoreset_mode": "Never"}, "NEXT_STEP, SAME_STEP, DISABLED"),
        ({"autoreset_mode": 1}, "NEXT_STEP, SAME_STEP, DISABLED"),
        ({"render_mode": "rgb"}, 'render_mode must be None, "ansi", "human" or "rgb_array", got \'rgb\''),
        ({"infos": "arrays"}, 'infos must be "texts" or "numbers", got'),
        ({"max_new_token": 3}, 'Did you mean "max_new_tokens"'),
        ({"kl_coeff": 3}, 'Did you mean "kl_coef"'),
    ],
)
def test_wrong_arguments_are_refused(toy: Callable[..., Task], arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        TextVectorEnv(toy(), 2, **arguments)


@pytest.mark.parametrize(("spelt", "mode"), [(mode.name, mode) for mode in MODES] + [(mode.value, mode) for mode in MODES])
def test_autoreset_modes_by_name(spelt: str, mode: AutoresetMode) -> None:
    envs: Any = gymnasium.make_vec("TextCopy-v0", num_envs=2, autoreset_mode=spelt)
    assert envs.unwrapped.autoreset_mode is mode
    assert envs.metadata["autoreset_mode"] is mode
    assert TextVectorEnv.metadata["autoreset_mode"] is AutoresetMode.SAME_STEP


def test_an_env_is_made_again_from_its_spec() -> None:
    made: Any = gymnasium.make_vec("TextCopy-v0", num_envs=2, autoreset_mode=AutoresetMode.DISABLED, stop=["a"], max_new_tokens=3)
    again: Any = gymnasium.make_vec(made.spec, num_envs=2)
    assert again.unwrapped.autoreset_mode is AutoresetMode.DISABLED
    assert again.unwrapped.task == made.unwrapped.task


class Uncopied:
    """A reward that is too big to copy."""

    def __call__(self, completions: Sequence[str]) -> list[float]:
        return [0.0] * len(completions)

    def __deepcopy__(self, memo: Any) -> "Uncopied":
        raise MemoryError("a model was copied")


def test_models_in_keywords_are_never_copied() -> None:
    reward = Uncopied()
    envs: Any = gymnasium.make_vec("TextCopy-v0", num_envs=2, reward=reward, judge=reward)
    assert envs.unwrapped.rules.reward is reward
    held = copy.deepcopy(envs.spec)
    assert envs.spec.id == "TextCopy-v0"
    again: Any = gymnasium.make_vec(held, num_envs=2)
    assert again.unwrapped.rules.reward is reward
    assert again.unwrapped.task.judge is reward


def test_observations_and_infos_are_copies(toy: Callable[..., Task]) -> None:
    envs = TextVectorEnv(toy(reward=lambda completions, pieces: [[1.0] * len(row) for row in pieces]), 2, autoreset_mode="DISABLED")
    observations, _ = envs.reset(seed=0, options={"prompt_index": [0, 0]})
    observations[:] = 7
    envs.ended[:] = True
    observations, _, _, _, infos = envs.step(np.array([EOS, 0]))
    assert observations.tolist() == [[-1, -1, 1, 3, -1, -1], [-1, -1, 1, 0, -1, -1]]
    infos["token_scores"][:] = 9
    observations[:] = 7
    after, _ = envs.reset(options={"reset_mask": np.array([True, False])})
    assert after[1].tolist() == [-1, -1, 1, 0, -1, -1]


# Masks, shaping, rendering


def only_when_running(observation: NDArray[np.int32]) -> NDArray[np.bool_]:
    """Allow what differs from the last token; it knows nothing of states in which nothing can be written."""
    assert (observation[:3] >= 0).any()
    assert observation[-1] == -1
    mask: NDArray[np.bool_] = np.arange(4) != observation[observation >= 0][-1]
    return mask


@by_mode
def test_action_masks_are_asked_for_running_rows_only(toy: Callable[..., Task], mode: AutoresetMode) -> None:
    envs = TextVectorEnv(toy(action_mask=only_when_running, min_new_tokens=1), 2, autoreset_mode=mode)
    envs.reset(seed=0, options={"prompt_queue": [0, 1]})
    assert envs.action_masks().tolist() == [[True, False, True, False]] * 2
    envs.step(np.array([0, 0]))
    assert envs.action_masks().tolist() == [[False, True, True, True]] * 2
    envs.step(np.array([1, EOS]))
    assert envs.action_masks()[0].tolist() == [True, False, True, True]
    if mode is AutoresetMode.DISABLED:
        envs.reset(options={"reset_mask": np.array([False, True])})
    envs.step(np.array([0, 0]))
    assert envs.action_masks().shape == (2, 4)
    assert envs.action_masks().any(1).all()


def test_shaping_and_score_are_paid_apart_in_every_mode() -> None:
    for mode in MODES:
        envs: Any = gymnasium.make_vec("TextCopy-v0", num_envs=3, autoreset_mode=mode, kl_coef=0.1, missing_eos_penalty=0.5).unwrapped
        reference = LanguagePolicy.for_rules(envs.rules)
        observations, _ = envs.reset(seed=0)
        generator, paid, expected, ends = np.random.default_rng(0), np.zeros(3), np.zeros(3), 0
        for _ in range(14):
            running = ~envs.ended
            with torch.no_grad():
                log_probs = reference.next_log_probs(observations, cached=False).double().numpy()
            actions = generator.integers(0, 5, size=3)
            entropy = -(np.exp(log_probs) * log_probs).sum(1)
            expected += np.where(running, 0.1 * (log_probs[np.arange(3), actions] + entropy), 0.0)
            observations, rewards, terminated, _, infos = envs.step(actions)
            paid += rewards
            final = infos.get("final_info", infos)
            for row in np.flatnonzero(terminated):
                penalty = 0.5 * (final["finish_reason"][row] == "length")
                assert final["shaping"][row] == pytest.approx(expected[row], abs=1e-5)
                assert paid[row] == pytest.approx(final["score"][row] - penalty + final["shaping"][row], abs=1e-6)
                paid[row] = expected[row] = 0.0
                ends += 1
            if mode is AutoresetMode.DISABLED and terminated.any():
                observations, _ = envs.reset(options={"reset_mask": terminated})
        assert ends >= 6


def test_render_shows_every_row(toy: Callable[..., Task], capsys: pytest.CaptureFixture[str]) -> None:
    envs = TextVectorEnv(toy(), 2, render_mode="ansi", autoreset_mode="DISABLED")
    envs.reset(seed=0, options={"prompt_index": [1, 2]})
    envs.step(np.array([0, EOS]))
    frames = envs.render()
    assert frames is not None
    assert frames[0] == "\x1b[2mab\x1b[0ma"
    assert "bab" in frames[1]
    assert "+0.000" in frames[1]
    assert capsys.readouterr().out == ""
    envs.render_mode = "human"
    assert envs.render() is None
    assert capsys.readouterr().out == "\n".join(frames) + "\n"
    envs.render_mode = None
    with pytest.warns(UserWarning, match="without a render_mode"):
        assert envs.render() is None


def test_text_envs_are_found_under_wrappers(toy: Callable[..., Task]) -> None:
    envs = TextVectorEnv(toy(), 2)
    assert text_envs(DictInfoToList(envs)) is text_envs(envs) is envs
    for other in (gymnasium.make_vec("CartPole-v1", num_envs=1), gymnasium.make("TextCopy-v0"), None):
        with pytest.raises(ArgumentError, match="needs the vector env of a text environment"):
            text_envs(other)


def test_prompts_are_those_of_the_set(toy: Callable[..., Task]) -> None:
    envs = textenv.TextVectorEnv(toy(max_prompt_tokens=2, on_long_prompt="truncate"), 1)
    assert [*envs.prompts] == ["b", "ab", "ab"]


def letters_less_ends(completions: Sequence[str]) -> list[float]:
    return [2.0 * text.count("a") - text.count(".") for text in completions]


@by_mode
def test_every_token_is_paid_what_it_adds(toy: Callable[..., Task], mode: AutoresetMode) -> None:
    made = [TextVectorEnv(toy(reward=letters_less_ends, potential=phi), 3, autoreset_mode=mode) for phi in (letters_less_ends, None)]
    assert all(
        np.array_equal(*pair) for pair in zip(*(envs.reset(seed=1) for envs in made), strict=True) if isinstance(pair[0], np.ndarray)
    )
    paid = np.zeros((2, 3))
    for actions in ([0, 2, 0], [0, 0, EOS], [2, 1, 0]):
        (_, by_token, ended, _, infos), (_, at_end, *_) = (envs.step(np.array(actions)) for envs in made)
        paid += [by_token, at_end]
        if actions == [0, 2, 0]:
            assert by_token.tolist() == [2, -1, 2]
        for row in np.flatnonzero(ended):
            assert paid[0, row] == paid[1, row] == infos.get("final_info", infos)["score"][row]
            paid[:, row] = 0
        if mode is AutoresetMode.DISABLED and ended.any():
            for envs in made:
                envs.reset(options={"reset_mask": ended})
