"""Rules for the people and things of a text."""

import pickle
from collections.abc import Callable
from typing import Any

import pytest

from textenv.errors import ArgumentError, RewardError
from textenv.rewards.names import Cast, Roles
from textenv.rewards.protocol import call_reward

NAMES = ("Tom", "Lily", "Ben", "ball", "kite")


@pytest.mark.parametrize(
    ("text", "wanted", "score"),
    [
        ("Tom lost his ball. LILY found it.", "Lily Tom ball", 1.0),
        ("Tom lost his ball.", "Lily Tom ball", 2 / 3),
        ("Tom, Lily, ball. Ben saw Ben, and Ben ran.", "Lily Tom ball", 3 / 6),
        ("Ben lost his kite.", "Lily Tom ball", 0.0),
        ("Tom Tom Tom Ben", "Tom", 3 / 4),
        ("Somebody lost something.", "Tom", 0.0),
        ("", "Tom", 0.0),
        ("Tomorrow", "Tom", 0.0),
        ("Somebody ran.", " ", 1.0),
        ("Tom ran.", "", 0.0),
        ("Tom saw Ben's hat.", "Tom", 1 / 2),
        ("Tom’s hat, and the girls' kite", "Tom kite", 1.0),
    ],
)
def test_a_text_is_about_those_who_are_wanted(text: str, wanted: str, score: float) -> None:
    assert Cast(NAMES)([text], wanted=[wanted]) == [pytest.approx(score)]


LOST = "Tom lost his ball at the park, and Lily found it."


@pytest.mark.parametrize(
    ("text", "reference", "score"),
    [
        (LOST, LOST, 1.0),
        (LOST.upper(), LOST, 1.0),
        ("Tom ran. Lily sat.", "Lily sat. Tom ran.", 1.0),
        ("Tom ran. Lily sat.", "Tom sat. Lily ran.", 0.0),
        ("Tom ran home.", "Tom ran away.", 1 / 2),
        ("Tom ran.", "Tom ran. Lily sat.", 1 / 2),
        ("Tom ran. Lily sat.", "Tom ran.", 1 / 2),
        ("Tom ran. Tom sat.", "Tom ran and sat.", 4 / 5),
        ("I saw Tom.", "They called Tom.", 1.0),
        ("I saw Tom.", "Tom ran.", 0.0),
        ("", "Tom ran.", 0.0),
        ("He ran.", "She sat.", 1.0),
        ("Ben's dog ran and Tom's cat sat.", "Tom's dog ran and Ben's cat sat.", 0.0),
        ("", "", 1.0),
    ],
)
def test_each_person_does_what_the_reference_says(text: str, reference: str, score: float) -> None:
    assert Roles(NAMES[:3])([text], reference=[reference]) == [pytest.approx(score)]


def test_two_people_who_are_swapped_earn_little() -> None:
    swapped = LOST.replace("Tom", "-").replace("Lily", "Tom").replace("-", "Lily")
    assert Roles(NAMES[:3])([swapped], reference=[LOST])[0] < 0.3


@pytest.mark.parametrize("reward", [Cast(NAMES), Roles(NAMES)])
def test_the_column_is_read_and_holds_texts(reward: Any) -> None:
    (column,) = reward.columns
    copy = pickle.loads(pickle.dumps(reward))
    with pytest.raises(ArgumentError, match="needs a list of names, got <generator"):
        type(reward)(name for name in NAMES)
    assert call_reward(copy, ["p"] * 2, [LOST, "Ben ran."], {column: [LOST] * 2}).scores.tolist() == [1.0, 0.0]
    assert reward([], **{column: []}) == []
    with pytest.raises(RewardError, match=f'column "{column}" must hold texts, got 3'):
        reward([LOST], **{column: [3]})


@pytest.mark.parametrize("make", [Cast, Roles])
def test_names_are_single_words(make: Callable[..., Any]) -> None:
    for names, message in (((), r"needs a list of names, got \(\)"), ("Tom", "got 'Tom'"), (["Tom", "Tom B."], "'Tom B.'"), ([1], "got 1")):
        with pytest.raises(ArgumentError, match=f"{make.__name__} .*{message}"):
            make(names)


def test_names_that_nobody_knows_are_refused() -> None:
    """Else a text about nobody would be about them."""
    with pytest.raises(RewardError, match=r"Cast knows none of the names in 'Priya sitar' of the column \"wanted\"; give it those"):
        Cast(NAMES)(["Somebody ran."], wanted=["Priya sitar"])


def test_a_name_may_bring_its_punctuation() -> None:
    assert Cast(["Tom\n", "Ann."])(["Tom met Ann.", "Bob ran."], wanted=["Ann Tom"] * 2) == [1.0, 0.0]
