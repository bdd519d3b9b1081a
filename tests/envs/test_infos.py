"""Infos as texts and as numbers."""

from collections.abc import Callable
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode

from textenv import wrappers
from textenv.envs.infos import FINISH_REASONS, add_infos, first_row
from textenv.envs.task import Task
from textenv.envs.vector import TextVectorEnv, text_envs
from textenv.errors import ArgumentError
from textenv.models.policy import LanguagePolicy
from textenv.rollouts.collect import collect

N = 3
LAYERS: dict[str, Callable[[Any], Any]] = {
    "none": lambda env: env,
    "shaped twice": lambda env: wrappers.KLShaping(wrappers.KLShaping(env, 0.1), 0.2, per="sequence"),
    "embeddings": lambda env: wrappers.EmbeddingObservation(wrappers.RecordEpisodes(env)),
    "candidates": lambda env: wrappers.TopKActions(wrappers.ActionMask(env, top_k=3), 3),
    "embeddings over candidates": lambda env: wrappers.EmbeddingObservation(wrappers.TopKActions(env, 2)),
    "strings": wrappers.TextObservation,
}


def layout(infos: dict[str, Any]) -> dict[str, Any]:
    """Describe every entry by its type and shape."""
    return {
        name: layout(value) if isinstance(value, dict) else (np.asarray(value).dtype.kind, np.shape(value)) for name, value in infos.items()
    }


def by_length(completions: Any, pieces: Any) -> list[list[float]]:
    return [[1.0] * len(row) for row in pieces]


@pytest.mark.parametrize("mode", AutoresetMode)
@pytest.mark.parametrize("layer", LAYERS)
def test_numbers_are_the_same_entries_at_every_step(layer: str, mode: AutoresetMode) -> None:
    made = gymnasium.make_vec("TextCopy-v0", num_envs=N, autoreset_mode=mode, infos="numbers", kl_coef=0.0)
    envs = LAYERS[layer](made)
    _, first = envs.reset(seed=0)
    generator, ends = np.random.default_rng(0), 0
    expected = layout(first)
    for _ in range(12):
        masks = envs.action_masks() if hasattr(envs, "action_masks") else np.ones((N, 2), dtype=bool)
        actions = np.array([generator.choice(np.flatnonzero(mask)) for mask in masks])
        _, _, terminated, _, infos = envs.step(actions)
        assert layout(infos) == expected
        ends += int(terminated.sum())
        last = infos.get("final_info", infos)
        assert ((last["finish_reason"] > 0) == terminated).all()
        assert (last["score"][~terminated] == 0).all()
        if mode is AutoresetMode.DISABLED and terminated.any():
            _, infos = envs.reset(options={"reset_mask": terminated})
            assert layout(infos) == expected
    assert ends >= N
    strings = layer == "strings" and mode is AutoresetMode.SAME_STEP
    dtypes = {entry[0] for name, entry in expected.items() if isinstance(entry, tuple) and not (strings and name == "final_obs")}
    assert dtypes <= set("ifb")


@pytest.mark.parametrize("kl_coef", [0.0, 0.1])
@pytest.mark.parametrize("reward", [by_length, None])
def test_numbers_are_those_of_the_texts(toy: Callable[..., Task], kl_coef: float, reward: Any) -> None:
    fields = {} if reward is None else {"reward": reward}
    tells, counts = (TextVectorEnv(toy(**fields), N, infos=infos, kl_coef=kl_coef, stop="bb") for infos in ("texts", "numbers"))
    for envs in (tells, counts):
        envs.reset(seed=0)
    generator, reasons = np.random.default_rng(1), set()
    for _ in range(30):
        actions = generator.integers(4, size=N)
        seen, paid, terminated, _, texts = tells.step(actions)
        also, likewise, ended, _, numbers = counts.step(actions)
        np.testing.assert_array_equal(seen, also)
        np.testing.assert_array_equal(paid, likewise)
        np.testing.assert_array_equal(terminated, ended)
        assert (numbers["length"] == (seen[:, 3:] >= 0).sum(1)).all()
        for row in np.flatnonzero(terminated).tolist():
            last, final = texts["final_info"], numbers["final_info"]
            reasons.add(last["finish_reason"][row])
            assert FINISH_REASONS[final["finish_reason"][row]] == last["finish_reason"][row]
            assert set(final) - set(last) == {"prompt_tokens_dropped", "_prompt_tokens_dropped"}
            for name in set(final) - {"finish_reason", "prompt_tokens_dropped", "_prompt_tokens_dropped"}:
                np.testing.assert_array_equal(final[name][row], last[name][row])
            np.testing.assert_array_equal(numbers["final_obs"][row], texts["final_obs"][row])
            assert numbers["prompt_index"][row] == texts["prompt_index"][row]
    assert reasons == {"eos", "stop", "length"}


def test_one_environment_tells_the_numbers_of_its_row(toy: Callable[..., Task]) -> None:
    env: Any = wrappers.KLShaping(gymnasium.make("TextCopy-v0", infos="numbers"), 0.1)
    _, first = env.reset(seed=0)
    _, _, _, _, running = env.step(0)
    _, _, ended, _, last = env.step(env.unwrapped.rules.contract.end)
    assert ended
    kinds = {name: type(value) for name, value in first.items()}
    assert [{name: type(value) for name, value in info.items()} for info in (running, last)] == [kinds] * 2
    assert [info["length"] for info in (first, running, last)] == [0, 1, 2]
    assert [info["finish_reason"] for info in (first, running, last)] == [0, 0, 1]
    assert first["shaping"] == 0.0
    assert running["shaping"] != last["shaping"]


def test_parked_rows_are_masked(toy: Callable[..., Task]) -> None:
    envs = TextVectorEnv(toy(), 2, infos="numbers")
    _, infos = envs.reset(seed=0, options={"prompt_queue": [1]})
    assert infos["_score"].tolist() == [True, False]


def test_what_reads_texts_refuses_numbers() -> None:
    envs: Any = gymnasium.make_vec("TextCopy-v0", num_envs=2, infos="numbers")
    with pytest.raises(ArgumentError, match='make the envs without infos="numbers"'):
        text_envs(envs)
    with pytest.raises(ArgumentError, match='make the envs without infos="numbers"'):
        collect(LanguagePolicy.for_rules(envs.unwrapped.rules), envs, 2)
    assert text_envs(envs, numbers=True) is envs.unwrapped


def test_infos_of_a_few_rows() -> None:
    infos = add_infos({}, [1], [{"score": 0.5, "text": "a", "each": np.ones(2)}], 2)
    infos = add_infos(infos, [0], [{"score": 1.5}], 2)
    assert infos["score"].tolist() == [1.5, 0.5]
    assert infos["_text"].tolist() == [False, True]
    assert infos["each"].shape == (2, 2)
    assert first_row(infos) == {"score": 1.5}
