"""A toy task."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from textenv.envs.task import Task
from textenv.models.loading import toy_tokenizer


def count_a(completions: Sequence[str]) -> list[float]:
    return [float(text.count("a")) for text in completions]


@pytest.fixture(scope="session")
def toy() -> Callable[..., Task]:
    """Make a task over the tokens a, b, . and the end of text (0, 1, 2, 3), with P = T = 3."""
    tokenizer = toy_tokenizer("ab.")

    def make(**fields: Any) -> Task:
        defaults = {"prompts": ["b", "ab", "bab"], "reward": count_a, "tokenizer": tokenizer, "model": None}
        return Task(**{**defaults, "max_prompt_tokens": 3, "max_new_tokens": 3, **fields})

    return make
