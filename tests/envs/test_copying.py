"""TextCopy-v0: what it asks and what it pays."""

from itertools import product
from typing import Any

import gymnasium
import numpy as np
import pytest

from textenv.envs.copying import TASK, copied_share


@pytest.mark.parametrize(
    ("word", "text", "score"),
    [
        ("ab", "ab", 1),
        ("ab", "", 0),
        ("ab", "a", 1 / 2),
        ("ab", "b", 0),
        ("ab", "ba", 0),
        ("ab", "abc", 2 / 3),
        ("ab", "ab>a", 2 / 4),
        ("abc", "ab", 2 / 3),
        ("abc", "acc", 2 / 3),
        ("abc", ">bc", 2 / 3),
        ("abc", "abcc", 3 / 4),
        ("aaa", "aaaa", 3 / 4),
    ],
)
def test_the_share_is_counted_over_the_longer(word: str, text: str, score: float) -> None:
    assert copied_share([f"{word}>"], [text]) == [pytest.approx(score)]


def test_prompts_are_all_short_words() -> None:
    words = {"".join(letters) for length in (2, 3) for letters in product("abc", repeat=length)}
    assert len(TASK.prompts) == 36
    assert {prompt.removesuffix(">") for prompt in TASK.prompts} == words
    assert all(prompt.endswith(">") for prompt in TASK.prompts)


def test_a_perfect_copy_earns_one_from_every_prompt_and_nothing_else_does() -> None:
    env: Any = gymnasium.make("TextCopy-v0")
    letters, eos = "abc>", 4
    for index, prompt in enumerate(TASK.prompts):
        _, info = env.reset(seed=0, options={"prompt_index": index})
        assert (info["prompt"], info["prompt_tokens_dropped"]) == (prompt, 0)
        steps = [env.step(np.int64(token)) for token in [*map(letters.index, prompt[:-1]), eos]]
        assert [step[1] for step in steps] == [0.0] * (len(prompt) - 1) + [1.0]
        assert steps[-1][-1]["completion"] == prompt[:-1]
    texts = ["".join(text) for n in range(5) for text in product(letters, repeat=n)]
    for prompt in ("ab>", "cab>"):
        scores = copied_share([prompt] * len(texts), texts)
        assert [text for text, score in zip(texts, scores, strict=True) if score == 1] == [prompt[:-1]]
        assert min(scores) == 0
