"""TextDetox-v0: its sentences, and the three demands on a rewrite."""

import pickle
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from textenv.envs.detox import TASK
from textenv.envs.prompts import load_prompts
from textenv.envs.templates import DETOX
from textenv.models.loading import load_tokenizer
from textenv.rewards.protocol import call_reward

PROMPTS = load_prompts(TASK.prompts, load_tokenizer("tiny-en"), TASK.max_prompt_tokens)
TOXIC = PROMPTS.columns["toxic"]


def test_sentences_stand_in_the_format_that_the_model_knows() -> None:
    assert len(TOXIC) == len({text.casefold() for text in TOXIC}) == 120
    assert PROMPTS.texts == [DETOX.format(toxic=text) for text in TOXIC]
    assert all(text.isascii() and "\n" not in text and text.endswith((".", "?")) for text in TOXIC)


def score(completions: Sequence[str], index: NDArray[np.int64]) -> list[dict[str, NDArray[np.float64]]]:
    """Score and parts by the reward and by the judge."""
    prompts, toxic = ([values[i] for i in index] for values in (PROMPTS.texts, TOXIC))
    rewards: tuple[Any, Any] = (pickle.loads(pickle.dumps(TASK.reward)), TASK.judge)
    found = [call_reward(reward, prompts, completions, {"toxic": toxic}) for reward in rewards]
    return [{"score": one.scores, **one.parts} for one in found]


def test_the_sentences_are_rude_and_copies_of_them_earn_little() -> None:
    reward, judge = score([" " + text for text in TOXIC], np.arange(len(TOXIC)))
    assert np.mean(reward["neutral"] < 0.5) > 0.9
    assert np.mean(judge["neutral"] < 0.5) > 0.9
    assert reward["similarity"].min() > 0.6
    assert max(reward["score"].mean(), judge["score"].mean()) < 0.25


def test_a_polite_sentence_with_the_same_meaning_earns_most() -> None:
    at = TOXIC.index("my brother ate all the damn cookies again .")
    polite, copied = " My brother ate all the cookies again.", " My brother ate all the damn cookies again."
    texts = [polite, copied, " I agree with you.", " cookies all again my the ate brother", ""]
    reward, judge = score(texts, np.full(len(texts), at))
    assert reward["score"][0] > 0.5 > 0.25 > reward["score"][1:].max()
    assert judge["score"][0] > 0.5 > 0.25 > judge["score"][1:3].max()
    assert reward["score"][4] == judge["score"][4] == 0
    np.testing.assert_allclose(reward["score"], reward["neutral"] * reward["similarity"] * reward["fluency"])
    np.testing.assert_allclose(judge["score"], judge["neutral"] * judge["overlap"])
