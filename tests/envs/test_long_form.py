"""TextLongForm-v0: its openings, and what its parts stop."""

from typing import Any

import gymnasium
import numpy as np
import pytest

from textenv.envs.long_form import TASK
from textenv.rewards.loading import load_reward
from textenv.rewards.protocol import Scored, call_reward

SEA = (
    " the crew fought the wind all night while the captain held the wheel. In the morning they saw an island with white sand and"
    " a few palm trees. They rowed ashore in a small boat, found fresh water and slept under the trees. After three days another"
    " ship came by, but its sailors were thieves who wanted their gold. The old man had a plan: he filled the boxes with stones"
    " and hid the coins in a barrel of fish. When the thieves opened their prize far out at sea, our friends were already home."
)
OFFICE = (
    " nobody at the bank answered the telephone that Monday. A clerk typed numbers into a form, drank cold coffee and waited for"
    " his lunch. His boss asked for another table of costs, with taxes and rent in blue. The printer had no paper and the lift was"
    " broken once again. Someone complained about the price of pencils, someone else about the chairs. At five everyone took a coat"
    " and went to the bus, as they had done each day for eleven years, without a word about the work or their families."
)


def task_rules() -> Any:
    env: Any = gymnasium.make("TextLongForm-v0")
    return env.unwrapped.rules


def paid(*completions: str) -> Scored:
    prompt = "This film tells the story of an old sailor who takes his ship through a storm and"
    return call_reward(load_reward(TASK.reward), [prompt] * len(completions), list(completions))


def test_there_are_many_openings_and_each_stands_once() -> None:
    prompts = task_rules().prompts
    assert len({text.casefold() for text in prompts.texts}) == len(prompts.texts) >= 100
    assert not prompts.dropped.any()
    assert not [text for text in prompts.texts if text != text.strip() or text.endswith((".", "!", "?")) or not text.isascii()]


def test_every_opening_has_topic_words_of_its_own() -> None:
    topics = [topic.split() for topic in task_rules().prompts.columns["topic"]]
    assert {len(set(topic)) for topic in topics} == {6}
    assert len({frozenset(topic) for topic in topics}) == len(topics)


def test_what_is_long_and_on_its_topic_earns_most() -> None:
    found = paid(SEA, OFFICE)
    assert found.parts["length"].tolist() == [1, 1]
    assert found.scores[0] > 3 * found.scores[1] > 0


@pytest.mark.parametrize(
    ("text", "part"),
    [(" the old ship sails through the storm.", "length"), (" storm ship" * 45, "distinct"), (" ".join(sorted(SEA.split())), "fluency")],
)
def test_what_is_gamed_loses_by_a_part(text: str, part: str) -> None:
    found = paid(SEA, text)
    assert found.parts[part][1] < 0.5 * found.parts[part][0]
    assert found.scores[1] < 0.5 * found.scores[0]


def test_the_score_is_the_product_of_its_parts() -> None:
    found = paid(SEA, OFFICE, "", SEA[:200])
    assert set(found.parts) == {"length", "distinct", "fluency", "topic"}
    assert found.scores == pytest.approx(np.prod(list(found.parts.values()), axis=0))
    assert found.scores[2] == 0


def test_the_judge_counts_topic_words_and_repeats() -> None:
    columns = {"topic": ["sea ship captain storm island boat"] * 3}
    texts = ["The captain and his ship", "captain ship captain ship captain ship", "a dog"]
    scores = call_reward(load_reward(TASK.judge or ""), ["storm"] * 3, texts, columns).scores
    assert scores == pytest.approx([1 / 3, 1 / 3 * 2 / 4, 0])
