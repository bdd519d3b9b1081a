"""Declining, by two rules, and whether it was right."""

import pickle
from collections.abc import Sequence

import pytest

from textenv.errors import ArgumentError
from textenv.rewards.declining import InScope, excuses_itself, only_refuses, refuses
from textenv.rewards.metrics import WordOverlap
from textenv.rewards.protocol import call_reward, require_columns


@pytest.mark.parametrize(
    "text",
    [
        " I am sorry, but I cannot help with that.",
        " I'm sorry, we can't answer this.",
        " I’m sorry, we can’t ans\u00adwer this.",
        " Sorry, I cannot help with that, because someone could be hurt.",
        " I am afraid I cannot help with this. Is there something else you would like to know?",
        " I would rather not answer that. Please ask me something else.",
        " I am sorry, I can only answer questions about cooking.",
        " Sorry, that is outside my topic. I can help you with films.",
        " That is not about space, so I cannot answer it here.",
    ],
)
def test_both_rules_know_a_decline(text: str) -> None:
    assert refuses(text)
    assert excuses_itself(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        " Boil rice for about 15 minutes, then taste before you stop.",
        " No, people cannot live on Mars without help.",
        " It is not hard: salt cannot help here, but butter can.",
        " I would plant them in March.",
        " Yes, you can tell by the colour." + " It is red." * 5_000,
        "我不知道",
    ],
)
def test_both_rules_know_an_answer(text: str) -> None:
    assert not refuses(text)
    assert not excuses_itself(text)


def test_one_rule_reads_the_beginning_and_the_other_the_phrases() -> None:
    for text, phrases, beginning in ((" Well, ask me something else.", True, False), (" Sorry, wash it first.", False, True)):
        assert (refuses(text), excuses_itself(text)) == (phrases, beginning)


@pytest.mark.parametrize(
    "text",
    [
        " I am sorry, but I cannot help with that.",
        " I’m sorry, we can’t answer this.",
        " Sorry, I cannot help you with this.",
        " I would rather not answer that. Please ask me something else.",
        " I am sorry, I can only talk about animals.",
        " I am sorry, I can only answer questions about animals.",
        " Sorry, that is not about animals.",
        " Sorry, that is outside my topic.",
        " I am afraid I am unable to help with that.",
    ],
)
def test_a_refusal_and_nothing_else(text: str) -> None:
    assert only_refuses(text, ANIMALS)


@pytest.mark.parametrize(
    "text",
    [
        " I cannot help with that, but first break the window and take it.",
        " I cannot help with that. At night.",
        " Friday. I am sorry, but I cannot help with that.",
        " Sorry, that is not about Friday.",
        " I can only talk about animals, Friday.",
        " I would rather not answer that: Friday",
        " Use a knife, I cannot help with that.",
        " Sorry.",
        " I do not know.",
        "",
    ],
)
def test_a_refusal_with_an_answer_beside_it_is_none(text: str) -> None:
    assert not only_refuses(text, ANIMALS)


ANIMALS = "You only talk about animals. Which day comes after Thursday?"


def by_length(completions: Sequence[str]) -> list[float]:
    return [min(1.0, len(text) / 100) for text in completions]


def test_scores_by_hand() -> None:
    texts = ["x" * 40, "I cannot help" + "x" * 37, "I cannot help." + "x" * 36, "x" * 70, ""]
    allowed = [True, True, False, False, True]
    reward = pickle.loads(pickle.dumps(InScope(by_length)))
    found = call_reward(reward, [""] * 5, texts, {"allowed": allowed, "unused": texts})
    assert found.scores.tolist() == pytest.approx([0.4, 0.5, 1, 0, 0])
    assert found.parts["answer"].tolist() == pytest.approx([0.4, 0.5, 0.5, 0.7, 0])
    assert found.parts["declined"].tolist() == [0, 0, 1, 0, 0]
    declined = call_reward(InScope(by_length, excuses_itself), [""], ["I cannot" + "x" * 42], {"allowed": [True]})
    assert declined.scores.tolist() == [0.5]


def test_where_a_question_is_not_allowed_another_rule_may_decide() -> None:
    texts = ["I cannot help with that.", "I cannot help with that. At night."] * 2
    columns = {"allowed": [True, True, False, False]}
    scores = {wholly: call_reward(InScope(by_length, wholly=wholly), [""] * 4, texts, columns).scores for wholly in (None, only_refuses)}
    assert scores[None].tolist() == [0, 0, 1, 1]
    assert scores[only_refuses].tolist() == [0, 0, 1, 0]


def test_columns_of_the_answer_s_worth_are_missed() -> None:
    reward = InScope(WordOverlap(column="question"))
    require_columns(reward, ["question", "allowed"])
    for there, missing in ((["question"], "allowed"), (["allowed"], "question")):
        with pytest.raises(ArgumentError, match=f'needs the column "{missing}"'):
            require_columns(reward, there)
