"""TextReverse-v0: what it asks and what it pays."""

from itertools import product
from typing import Any

import gymnasium
import numpy as np
import pytest

from textenv.envs.reversing import TASK, reversed_share


@pytest.mark.parametrize(
    ("word", "text", "score"),
    [
        ("ab", "ba", 1),
        ("ab", "", 0),
        ("ab", "ab", 0),
        ("ab", "b", 1 / 2),
        ("ab", "bab", 2 / 3),
        ("abc", "cba", 1),
        ("abc", "abc", 1 / 3),
        ("abb", "bb", 2 / 3),
        ("abc", "cba>", 3 / 4),
    ],
)
def test_the_share_is_of_the_word_read_backwards(word: str, text: str, score: float) -> None:
    assert reversed_share([f"{word}>"], [text]) == [pytest.approx(score)]


def test_only_the_word_backwards_earns_one() -> None:
    texts = ["".join(text) for n in range(5) for text in product("abc>", repeat=n)]
    for prompt in TASK.prompts:
        scores = reversed_share([prompt] * len(texts), texts)
        assert [text for text, score in zip(texts, scores, strict=True) if score == 1] == [prompt[-2::-1]]


def test_an_episode() -> None:
    env: Any = gymnasium.make("TextReverse-v0")
    env.reset(seed=0, options={"prompt_index": TASK.prompts.index("abc>")})
    assert [env.step(np.int64(token))[1] for token in (2, 1, 0, 4)] == [0, 0, 0, 1]
