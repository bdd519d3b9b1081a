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
        ("aab", "baa", 1),
        ("aab", "aab", 1 / 3),
        ("abbb", "bb", 2 / 4),
        ("abbb", "bbba>", 4 / 5),
    ],
)
def test_the_share_is_of_the_word_read_backwards(word: str, text: str, score: float) -> None:
    assert reversed_share([f"{word}>"], [text]) == [pytest.approx(score)]


def test_prompts_are_all_short_words_and_only_the_word_backwards_earns_one() -> None:
    words = ["".join(letters) for length in (1, 2, 3, 4) for letters in product("ab", repeat=length)]
    assert [prompt.removesuffix(">") for prompt in TASK.prompts] == words
    texts = ["".join(text) for n in range(6) for text in product("ab>", repeat=n)]
    for word in words:
        scores = reversed_share([f"{word}>"] * len(texts), texts)
        assert [text for text, score in zip(texts, scores, strict=True) if score == 1] == [word[::-1]]


def test_an_episode() -> None:
    env: Any = gymnasium.make("TextReverse-v0")
    env.reset(seed=0, options={"prompt_index": TASK.prompts.index("abbb>")})
    assert [env.step(np.int64(token))[1] for token in (1, 1, 1, 0, 3)] == [0, 0, 0, 0, 1]
