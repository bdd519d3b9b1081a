"""Every wrapper, around one environment and around many, in every autoreset mode."""

import contextlib
import copy
import io
import pickle
import warnings
from collections.abc import Callable
from functools import partial
from typing import Any

import gymnasium
import numpy as np
import pytest
import stable_baselines3.common.env_checker
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import AutoresetMode

from textenv import wrappers
from textenv.envs.task import Task
from textenv.envs.vector import TextVectorEnv
from textenv.envs.wrappers.base import action_masks, restricted
from textenv.errors import ArgumentError, OrderError

N, STEPS = 3, 14


def assert_same(found: Any, expected: Any) -> None:
    """Compare observations: text and tokens to the bit, what a model computed to 1e-5."""
    if isinstance(expected, dict):
        assert set(found) == set(expected)
        for name in expected:
            assert_same(found[name], expected[name])
    elif isinstance(expected, tuple):
        assert len(found) == len(expected)
        for one, other in zip(found, expected, strict=True):
            assert_same(one, other)
    elif isinstance(expected, str):
        assert found == expected
    else:
        assert (found.dtype, found.shape) == (expected.dtype, expected.shape)
        np.testing.assert_allclose(found, expected, atol=1e-5 if np.issubdtype(found.dtype, np.floating) else 0)


def rows_of(batch: Any) -> list[Any]:
    if isinstance(batch, dict):
        return [{name: values[row] for name, values in batch.items()} for row in range(N)]
    return list(batch)


@pytest.mark.parametrize("mode", AutoresetMode)
def test_rows_are_single_environments(wrapper: Callable[[Any], Any], mode: AutoresetMode) -> None:
    envs = wrapper(gymnasium.make_vec("TextCopy-v0", num_envs=N, autoreset_mode=mode))
    singles = [wrapper(gymnasium.make("TextCopy-v0")) for _ in range(N)]
    assert envs.single_observation_space == singles[0].observation_space
    assert envs.single_action_space == singles[0].action_space
    generator = np.random.default_rng(0)
    observations, _ = envs.reset(seed=5)
    expected = [env.reset(seed=5 + row)[0] for row, env in enumerate(singles)]
    waiting, ends = [False] * N, 0
    for _ in range(STEPS):
        assert observations in envs.observation_space
        for found, wanted in zip(rows_of(observations), expected, strict=True):
            assert_same(found, wanted)
            assert wanted in envs.single_observation_space
        masks = np.stack([env.action_masks() for env in singles])
        assert np.array_equal(envs.action_masks(), masks)
        actions = np.array([generator.choice(np.flatnonzero(mask)) for mask in masks])
        observations, rewards, terminated, truncated, infos = envs.step(actions)
        assert not truncated.any()
        for row, env in enumerate(singles):
            if waiting[row]:
                assert (rewards[row], terminated[row]) == (0.0, False)
                expected[row], _ = env.reset()
                waiting[row] = False
                continue
            expected[row], reward, ended, _, info = env.step(actions[row])
            assert rewards[row] == pytest.approx(reward, abs=1e-6)
            assert terminated[row] == ended
            if not ended:
                continue
            ends += 1
            final = infos.get("final_info", infos)
            for name, value in info.items():
                assert final[f"_{name}"][row]
                assert final[name][row] == (pytest.approx(value, abs=1e-6) if isinstance(value, float) else value)
            if mode is AutoresetMode.SAME_STEP:
                assert_same(infos["final_obs"][row], expected[row])
                assert infos["final_obs"][row] in envs.single_observation_space
                expected[row], _ = env.reset()
            waiting[row] = mode is AutoresetMode.NEXT_STEP
        if mode is AutoresetMode.DISABLED and terminated.any():
            observations, _ = envs.reset(options={"reset_mask": terminated})
            for row in np.flatnonzero(terminated).tolist():
                expected[row], _ = singles[row].reset()
    assert ends >= N


def test_gymnasiums_checker_is_content(wrapper: Callable[[Any], Any]) -> None:
    env = wrapper(gymnasium.make("TextCopy-v0", render_mode="ansi"))
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):  # it renders for humans too
        warnings.filterwarnings("ignore", message=".*is different from the unwrapped version")  # it says so of every wrapper
        check_env(env)


@pytest.mark.parametrize("make", [gymnasium.make, gymnasium.make_vec])
def test_a_pickled_copy_goes_on_alike(wrapper: Callable[[Any], Any], make: Callable[..., Any]) -> None:
    env = wrapper(make("TextCopy-v0"))
    env.reset(seed=1)
    actions = np.zeros(1, dtype=np.int64) if make is gymnasium.make_vec else np.int64(0)
    env.step(actions)
    again = pickle.loads(pickle.dumps(env))
    one, other = env.step(actions), again.step(actions)
    assert_same(other[0], one[0])
    assert other[1] == pytest.approx(one[1], abs=1e-6)


def test_gymnasium_makes_a_wrapped_environment_again_from_its_spec(wrapper: Callable[[Any], Any]) -> None:
    env = wrapper(gymnasium.make("TextCopy-v0"))
    again: Any = gymnasium.make(env.spec)
    assert repr(again) == repr(env)
    assert again.rows.rules is not env.rows.rules
    assert_same(again.reset(seed=2)[0], env.reset(seed=2)[0])
    assert repr(wrapper(gymnasium.make_vec("TextCopy-v0", num_envs=2))).startswith(repr(env).partition("<Order")[0])


def test_what_is_no_text_environment_is_refused(wrapper: Callable[[Any], Any]) -> None:
    with pytest.raises(ArgumentError, match=r"needs a text environment.*got CartPoleEnv"):
        wrapper(gymnasium.make("CartPole-v1"))
    with pytest.raises(ArgumentError, match=r"put TextObservation.*around all other wrappers"):
        wrapper(wrappers.TextObservation(gymnasium.make("TextCopy-v0")))


@pytest.mark.parametrize("make", [gymnasium.make, gymnasium.make_vec])
def test_what_writes_tokens_does_not_stand_around_slots(make: Callable[..., Any]) -> None:
    slots = wrappers.TopKActions(make("TextCopy-v0"), 2)
    for wrapper in (partial(wrappers.KLShaping, kl_coef=0.1), partial(wrappers.TopKActions, k=2), wrappers.RecordEpisodes):
        with pytest.raises(ArgumentError, match=r"observation_space of <TopKActions.*EmbeddingObservation around all.*TopKActions next"):
            wrapper(slots)
        with pytest.raises(ArgumentError, match=r"reads and writes tokens, but the observation_space of <EmbeddingObservation"):
            wrapper(wrappers.EmbeddingObservation(slots))
    with pytest.raises(ArgumentError, match="This reads tokens, but the observation_space of <EmbeddingObservation"):
        wrappers.TextObservation(wrappers.EmbeddingObservation(slots))


def test_a_view_takes_the_place_of_the_tokens_beside_the_candidates() -> None:
    plain, mode = gymnasium.make_vec("TextCopy-v0", num_envs=N), AutoresetMode.SAME_STEP
    slots = wrappers.TopKActions(gymnasium.make_vec("TextCopy-v0", num_envs=N, autoreset_mode=mode), 5)
    views = [wrapper(copy.deepcopy(slots)) for wrapper in (wrappers.TextObservation, wrappers.EmbeddingObservation)]
    assert views[1].single_observation_space == gymnasium.spaces.Dict(
        slots.single_observation_space.spaces | {"observation": gymnasium.spaces.Box(-1, 1, (96,), np.float32)}
    )
    alone = [wrapper(copy.deepcopy(plain)) for wrapper in (wrappers.TextObservation, wrappers.EmbeddingObservation)]
    seen = slots.reset(seed=3)[0]
    found, wanted = [view.reset(seed=3)[0] for view in views], [view.reset(seed=3)[0] for view in alone]
    ends = 0
    for _ in range(STEPS):
        for view, text in zip(found, wanted, strict=True):
            assert_same(view, seen | {"observation": text})
        actions = np.argmax(slots.action_masks(), axis=1)
        tokens = slots.rows.slots[np.arange(N), actions]
        seen, *_, infos = slots.step(actions)
        stepped, texts = [view.step(actions) for view in views], [view.step(tokens) for view in alone]
        for row in np.flatnonzero(infos.get("_final_obs", np.zeros(N))).tolist():
            ends += 1
            for (*_, one), (*_, other) in zip(stepped, texts, strict=True):
                assert_same(one["final_obs"][row], infos["final_obs"][row] | {"observation": other["final_obs"][row]})
        found, wanted = [step[0] for step in stepped], [step[0] for step in texts]
    assert ends >= N


def test_stable_baselines_checker_is_content_with_the_candidates_beside_a_view() -> None:
    env = wrappers.TopKActions(wrappers.KLShaping(wrappers.ActionMask(gymnasium.make("TextCopy-v0"), top_k=3), 0.1), 3)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Your observation candidates has an unconventional shape")  # it will be flattened
        stable_baselines3.common.env_checker.check_env(wrappers.EmbeddingObservation(env))


def test_the_first_step_needs_a_reset_of_the_wrapper(wrapper: Callable[[Any], Any]) -> None:
    inner = gymnasium.make("TextCopy-v0")
    inner.reset()
    with pytest.raises(OrderError, match="reset"):
        wrapper(inner).step(np.int64(0))


def test_wrappers_stand_around_wrappers() -> None:
    env = wrappers.KLShaping(wrappers.ActionMask(gymnasium.make_vec("TextCopy-v0", num_envs=2), ban=["b"]), 0.1)
    env = wrappers.TextObservation(wrappers.RecordEpisodes(gymnasium.wrappers.vector.RecordEpisodeStatistics(env)))
    assert restricted(env)
    assert env.action_masks().tolist() == [[True, False, True, True, True]] * 2
    texts, _ = env.reset(seed=0, options={"prompt_index": [0, 1]})
    assert texts == ("aa>", "ab>")
    texts, *_ = env.step(np.array([0, 2]))
    assert texts == ("aa>a", "ab>c")


def test_masks_are_found_through_any_wrapper(toy: Callable[..., Task]) -> None:
    plain = TextVectorEnv(toy(), 2)
    assert not restricted(plain)
    assert restricted(gymnasium.wrappers.vector.RecordEpisodeStatistics(TextVectorEnv(toy(min_new_tokens=1), 2)))
    plain.reset(seed=0)
    assert action_masks(gymnasium.wrappers.vector.RecordEpisodeStatistics(plain)).shape == (2, 4)
    assert action_masks(gymnasium.make("TextCopy-v0")).shape == (1, 5)


def test_parked_rows_are_left_alone(wrapper: Callable[[Any], Any]) -> None:
    envs = wrapper(gymnasium.make_vec("TextCopy-v0", num_envs=2))
    envs.reset(seed=0, options={"prompt_queue": [0]})
    ended = np.zeros(2, dtype=np.bool_)
    for _ in range(4):
        observations, rewards, terminated, _, _ = envs.step(np.zeros(2, dtype=np.int64))
        assert observations in envs.observation_space
        assert rewards[1] == 0.0
        ended |= terminated
    assert ended.tolist() == [True, False]
