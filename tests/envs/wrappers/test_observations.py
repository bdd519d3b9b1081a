"""Texts and embeddings: what they show, and that their spaces hold it."""

from itertools import pairwise
from typing import Any

import gymnasium
import numpy as np
import pytest

from textenv import wrappers
from textenv.envs.rules import Rules
from textenv.envs.single import TextEnv
from textenv.envs.task import Task
from textenv.envs.wrappers.observations import text_space
from textenv.errors import LoadError
from textenv.models.loading import load_tokenizer, toy_tokenizer

TOKENIZER = load_tokenizer("tiny-en")


def characters(completions: list[str]) -> list[int]:
    return [len(text) for text in completions]


def written(env: Any, text: str) -> list[Any]:
    """Write a text token by token and list what was observed."""
    seen = [env.reset(seed=0)[0]]
    for token in env.unwrapped.rules.tokenizer.encode(text):
        seen.append(env.step(np.int64(token))[0])
        assert seen[-1] in env.observation_space
    return seen


def english(**fields: Any) -> TextEnv:
    return TextEnv(Task(prompts=["The film"], reward=characters, max_prompt_tokens=4, max_new_tokens=12, **fields))


def test_text_is_prompt_and_completion() -> None:
    env = wrappers.TextObservation(english())
    seen = written(env, " was good.\n")
    assert (seen[0], seen[-1]) == ("The film", "The film was good.\n")
    assert all(longer.startswith(shorter) for shorter, longer in pairwise(seen))


def test_the_end_of_text_is_not_shown() -> None:
    env = wrappers.TextObservation(gymnasium.make("TextCopy-v0"))
    env.reset(options={"prompt_index": 0})
    text, _, _, _, info = env.step(np.int64(env.unwrapped.rules.contract.end))
    assert text == info["prompt"] + info["completion"] == "aa>"


@pytest.mark.parametrize("text", ["电影", "☃!", "\n\n", "e\u0301\U0001f600", "\N{REPLACEMENT CHARACTER}"])
def test_every_text_of_bytes_is_in_the_space(text: str) -> None:
    env = wrappers.TextObservation(english())
    assert written(env, text)[-1] == "The film" + text
    assert "x" * (env.observation_space.max_length + 1) not in env.observation_space
    assert 3 not in env.observation_space
    assert env.observation_space.sample() in env.observation_space


def test_whole_characters_have_an_exact_charset() -> None:
    task = Task(prompts=["好"], reward=characters, tokenizer=toy_tokenizer("好电\n"), max_prompt_tokens=2, max_new_tokens=3, model=None)
    env = wrappers.TextObservation(TextEnv(task))
    assert written(env, "电\n好")[-1] == "好电\n好"
    assert env.observation_space.character_set == set("好电\n ")
    assert "影" not in env.observation_space


def test_the_longest_text_fits() -> None:
    rules = Rules(english().task)
    longest = max(range(rules.vocabulary), key=lambda id: len(TOKENIZER.decode([id])))
    assert len(TOKENIZER.decode([longest])) * rules.width <= text_space(rules).max_length


def test_an_embedding_is_that_of_the_text_at_length_one() -> None:
    from sentence_transformers import SentenceTransformer

    from textenv.models.hub import locate

    env = wrappers.EmbeddingObservation(english())
    seen = written(env, " was good")
    expected = SentenceTransformer(locate("tiny-embed"), device="cpu").encode(["The film was good"])[0].astype(np.float32)
    assert seen[-1].dtype == np.float32
    np.testing.assert_allclose(seen[-1], expected / np.linalg.norm(expected), atol=1e-3)
    assert np.linalg.norm(seen[-1]) == pytest.approx(1, abs=1e-6)
    assert np.abs(seen[-1] - seen[0]).max() > 0.01


def test_no_text_is_embedded_as_zero() -> None:
    envs = wrappers.EmbeddingObservation(gymnasium.make_vec("TextCopy-v0", num_envs=2))
    observations, _ = envs.reset(seed=0, options={"prompt_queue": [0]})
    assert not observations[1].any()
    assert observations[0].any()


@pytest.mark.parametrize("model", ["tiny-embet", "no/such/folder"])
def test_a_model_that_is_not_there_is_refused(model: str) -> None:
    with pytest.raises(LoadError, match=r"tiny-embet|There is no folder"):
        wrappers.EmbeddingObservation(gymnasium.make("TextCopy-v0"), model)
