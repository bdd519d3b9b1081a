"""TextSummarize-v0: its texts, and what its parts stop."""

from typing import Any

import gymnasium
import numpy as np
import pytest

from textenv.envs.summarize import TASK
from textenv.envs.templates import SUMMARY
from textenv.rewards.loading import load_reward
from textenv.rewards.protocol import Scored, call_reward

TEXT = (
    "My father is selling the boat that he loved. He says that his back hurts. But each evening he drives to the harbour and looks at it."
)
REFERENCE = "My father sold his old boat and misses it."


def task_rules() -> Any:
    env: Any = gymnasium.make("TextSummarize-v0")
    return env.unwrapped.rules


def paid(*completions: str) -> Scored:
    n = len(completions)
    columns = {"text": [TEXT] * n, "reference": [REFERENCE] * n}
    return call_reward(load_reward(TASK.reward), [SUMMARY.format(text=TEXT)] * n, list(completions), columns)


def test_there_are_many_texts_and_each_stands_once() -> None:
    rules = task_rules()
    texts = rules.prompts.columns["text"]
    assert len(set(texts)) == len(set(rules.prompts.columns["reference"])) == len(texts) >= 100
    assert rules.prompts.texts == [SUMMARY.format(text=text) for text in texts]
    assert not rules.prompts.dropped.any()
    assert all(len(ids) <= 160 for ids in rules.tokenizer(texts)["input_ids"])
    assert all(text.isascii() and text.isprintable() and text == text.strip() for text in texts)


def test_references_are_short_and_not_copied() -> None:
    columns = task_rules().prompts.columns
    references = columns["reference"]
    assert all(6 <= len(reference.split()) <= 16 and reference.endswith(".") for reference in references)
    assert all(reference not in text for reference, text in zip(references, columns["text"], strict=True))
    prompts = [SUMMARY.format(text=text) for text in columns["text"]]
    assert call_reward(load_reward(TASK.reward), prompts, references, columns).scores.mean() > 0.5


def test_a_summary_earns_more_than_another_text() -> None:
    scores = paid(REFERENCE, " Dad sold the boat and now he misses it.", " The jokes in this comedy are for children of ten.").scores
    assert scores[0] > scores[1] > 2 * scores[2]


@pytest.mark.parametrize(
    ("text", "part"),
    [
        (" " + TEXT.partition(".")[0] + ".", "novelty"),
        (" boat", "length"),
        (" My father sold his old boat" * 6, "length"),
        ("", "content"),
    ],
)
def test_what_is_gamed_loses_by_a_part(text: str, part: str) -> None:
    found = paid(" Dad sold the boat and now he misses it.", text)
    assert found.parts[part][1] < 0.5 * found.parts[part][0]
    assert found.scores[1] < found.scores[0]


def test_the_score_is_the_product_of_its_parts() -> None:
    found = paid(" Dad sold the boat.", " Nothing of that kind happened in the film.", " My father is selling the boat.")
    assert set(found.parts) == {"content", "content_rouge", "content_similarity", "length", "novelty", "fluency"}
    assert found.scores == pytest.approx(np.prod([found.parts[name] for name in ("content", "length", "novelty", "fluency")], axis=0))


def test_words_of_the_text_in_disorder_are_no_summary() -> None:
    words = TEXT.replace(".", "").split()[:16]
    found = paid(REFERENCE, " " + " ".join(words[::2] + words[1::2]))
    assert found.scores[1] < 0.5 * found.scores[0]


def test_a_summary_is_one_line() -> None:
    env: Any = gymnasium.make("TextSummarize-v0")
    env.reset(seed=0)
    tokenizer = env.unwrapped.rules.tokenizer
    *_, last = (env.step(np.int64(token)) for token in tokenizer(" A good film.\n")["input_ids"])
    assert (last[2], last[4]["completion"]) == (True, " A good film.\n")


def test_the_judge_reads_characters() -> None:
    assert TASK.judge is not None
    good, bad = call_reward(load_reward(TASK.judge), ["", ""], [REFERENCE, "xyz"], {"reference": [REFERENCE] * 2}).scores
    assert good == pytest.approx(1)
    assert 0 <= bad < 0.02
