from collections import Counter
from random import Random

import pytest

from textenv.build.questions import TOPICS, question


def drawn(count: int) -> list[tuple[str | None, str, str]]:
    rng = Random(0)
    return [question(rng) for _ in range(count)]


def test_questions_repeat_with_the_seed() -> None:
    assert drawn(200) == drawn(200)


def test_questions_have_the_shares_they_promise() -> None:
    triples = drawn(6000)
    refusals = ("I am sorry", "Sorry", "I am afraid", "I would rather", "That is not about")
    declined = [answer.startswith(refusals) for _, _, answer in triples]
    topics = Counter(topic for topic, _, _ in triples)
    assert topics[None] / 6000 == pytest.approx(0.5, abs=0.03)
    assert set(topics) == {None, *TOPICS}
    # Harmful (1/6), and of the rest with a topic (5/12) one in four off topic.
    assert sum(declined) / 6000 == pytest.approx(1 / 6 + 5 / 48, abs=0.02)


def test_questions_are_many_and_whole() -> None:
    triples = drawn(6000)
    assert len({(asked, answer) for _, asked, answer in triples}) > 300
    for _, asked, answer in triples:
        assert asked[-1] in "?."
        assert answer[-1] in ".?"
        assert "{" not in asked + answer


def test_off_topic_answers_name_the_topic_asked_for() -> None:
    for topic, _, answer in drawn(2000):
        if answer.startswith(("I am sorry, I can only", "Sorry, that is outside", "That is not about")):
            assert topic is not None
            assert topic in answer
