"""TextCount-v0: what it asks and what it pays."""

from itertools import product
from typing import Any

import gymnasium
import numpy as np
import pytest

from textenv.envs.counting import TASK, closeness


@pytest.mark.parametrize(
    ("word", "text", "score"),
    [
        ("b", "0", 1),
        ("b", "4", 0),
        ("b", "", 0),
        ("aaaa", "4", 1),
        ("aaaa", "3", 3 / 4),
        ("abab", "4", 1 / 2),
        ("abab", "22", 1 / 2),
        ("abab", "1b", 3 / 8),
        ("abab", "2>0", 1 / 3),
        ("abab", "a2", 0),
        ("abab", ">", 0),
    ],
)
def test_the_score_falls_with_the_distance_and_the_length(word: str, text: str, score: float) -> None:
    assert closeness([f"{word}>"], [text]) == [pytest.approx(score)]


def test_prompts_are_all_short_words_and_only_the_number_earns_one() -> None:
    words = ["".join(letters) for length in (1, 2, 3, 4) for letters in product("ab", repeat=length)]
    assert [prompt.removesuffix(">") for prompt in TASK.prompts] == words
    texts = ["".join(text) for n in range(4) for text in product("ab>01234", repeat=n)]
    for word in words:
        scores = closeness([f"{word}>"] * len(texts), texts)
        assert [text for text, score in zip(texts, scores, strict=True) if score == 1] == [str(word.count("a"))]
        assert min(scores) == 0


def test_an_episode() -> None:
    env: Any = gymnasium.make("TextCount-v0")
    env.reset(seed=0, options={"prompt_index": TASK.prompts.index("abaa>")})
    assert [env.step(np.int64(token))[1] for token in (6, 8)] == [0, 1]
