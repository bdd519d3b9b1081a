"""Observations and infos, taken apart and put together."""

import numpy as np
from gymnasium import spaces

from textenv.envs.wrappers.layout import info_of, put, row_of, tokens_of


def test_the_tokens_are_all_or_an_entry() -> None:
    tokens, others = np.arange(3), np.ones(2)
    assert tokens_of(tokens) is tokens
    assert tokens_of({"observation": tokens, "others": others}) is tokens
    assert put(tokens, "text") == "text"
    whole = {"observation": tokens, "others": others}
    assert put(whole, "text") == {"observation": "text", "others": others}
    assert whole["observation"] is tokens  # what was given stays


def test_spaces_are_laid_out_alike() -> None:
    tokens, text, others = spaces.Box(-1, 4, (3,), np.int32), spaces.Text(9), spaces.Discrete(2)
    assert tokens_of(tokens) is tokens
    assert put(tokens, text) is text
    whole = spaces.Dict(observation=tokens, others=others)
    assert tokens_of(whole) == tokens
    assert put(whole, text) == spaces.Dict(observation=text, others=others)
    assert tokens_of(whole) == tokens


def test_one_of_a_batch() -> None:
    assert row_of(("a", "b"), 1) == "b"
    assert row_of({"observation": ("a", "b"), "others": [1, 2]}, 0) == {"observation": "a", "others": 1}
    infos = {"score": np.array([0.0, 0.5]), "_score": np.array([False, True]), "plain": 3}
    assert info_of(infos, 1) == {"score": 0.5}
    assert info_of(infos, 0) == {}
