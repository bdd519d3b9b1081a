"""TextLength-v0: what it asks, what it pays, and that its lengths vary."""

from typing import Any

import gymnasium
import numpy as np
import pytest

from textenv.envs.length import SYMBOLS, TASK, letters_alone, nearness
from textenv.models.policy import LanguagePolicy
from textenv.rollouts.collect import collect


@pytest.mark.parametrize(
    ("prompt", "text", "score"),
    [
        ("1>", "", 1.75),
        ("1>", "b", 2),
        ("1>", "ab", 1.75),
        ("1>", "ababababa", 0),
        ("4>", "aaaa", 2),
        ("4>", "bbbbbbb", 1.25),
        ("8>", "", 0),
        ("8>", "ababbbaa", 2),
    ],
)
def test_the_score_falls_with_the_distance(prompt: str, text: str, score: float) -> None:
    assert nearness([prompt], [text]) == [pytest.approx(score)]


def test_letters_and_the_end_are_allowed() -> None:
    observation = np.array([SYMBOLS.index("4"), SYMBOLS.index(">"), 0, *[-1] * 8], dtype=np.int32)
    assert np.flatnonzero(letters_alone(observation)).tolist() == [0, 1, len(SYMBOLS)]


def test_an_episode() -> None:
    env: Any = gymnasium.make("TextLength-v0")
    env.reset(seed=0, options={"prompt_index": TASK.prompts.index("2>")})
    assert [env.step(np.int64(token))[1] for token in (1, 0, 11)] == [0, 0, 2]


def test_lengths_vary_before_training() -> None:
    envs: Any = gymnasium.make_vec("TextLength-v0", num_envs=64)
    lengths = collect(LanguagePolicy.for_rules(envs.unwrapped.rules), envs, 256, seed=0).lengths.double()
    assert (int(lengths.min()), int(lengths.max())) == (1, 9)
    assert float(lengths.std() / lengths.mean()) > 0.5
