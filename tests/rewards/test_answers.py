"""Rewards that compare the words of an answer."""

import pytest

from textenv.rewards.answers import Answer, ListOf, differs
from textenv.rewards.protocol import call_reward

QUESTION = "What does a cow eat?"


@pytest.mark.parametrize(
    ("text", "score"),
    [
        ("Grass.", 1.0),
        ("A cow eats grass.", 1.0),
        ("Cows eat GRASS!", 1.0),
        ("A cow eats hay.", 0.0),
        ("A cow does not eat grass.", 0.0),
        ("Grass, hay.", 2 / 3),
        ("grass grass grass", 2 / 4),
        ("What does a cow eat?", 0.0),
        ("cow eat", 0.0),
        ("", 0.0),
        (" ", 0.0),
    ],
)
def test_what_is_said_beyond_the_question_counts(text: str, score: float) -> None:
    assert Answer()([text], reference=["Grass."], question=[QUESTION]) == [pytest.approx(score)]


@pytest.mark.parametrize(("text", "score"), [("No legs.", 1.0), ("Two legs.", 0.0), ("A shark has no legs.", 1.0)])
def test_a_denial_answers_a_denial(text: str, score: float) -> None:
    assert Answer()([text], reference=["No legs."], question=["How many legs does a shark have?"]) == [pytest.approx(score)]


def test_a_reference_of_the_questions_own_words_counts_whole() -> None:
    question = ["Is Tom happy, sad or angry?"] * 3
    assert Answer()(["Sad.", "Angry.", "Tom is sad."], reference=["Sad."] * 3, question=question) == pytest.approx([1, 0, 2 / 3])


def test_columns_may_have_other_names() -> None:
    reward = Answer(reference="gold", question="asked")
    assert reward.columns == ("gold", "asked")
    assert Answer(question=None).columns == ("reference",)
    assert Answer(question=None)(["a red ball"], reference=["the red kite"]) == [0.5]
    scores = call_reward(reward, ["p"], ["Two."], {"gold": ["Two."], "asked": [""]})
    assert scores.scores.tolist() == [1.0]


@pytest.mark.parametrize(
    ("text", "score"),
    [
        ("Apple, pear and plum.", 1.0),
        ("apple; pear\nplum", 1.0),
        ("Apple and pear.", 2 / 3),
        ("Apple, apple and apple.", 1 / 3),
        ("Apple, pear, plum, lemon and stone.", 3 / 5),
        ("stone", 0.0),
        ("apple pear plum", 0.0),
        ("", 0.0),
    ],
)
def test_a_list_is_paid_by_its_right_items(text: str, score: float) -> None:
    assert ListOf()([text], members=[["apple", "pear", "plum", "lemon"]]) == [pytest.approx(score)]


def test_a_copy_differs_in_nothing() -> None:
    assert differs(["Tom ran.", " tom RAN", ""], ["Tom ran."] * 3) == [0.0, 0.0, 1.0]
