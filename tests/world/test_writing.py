"""Exercises of writing: lists, stories and descriptions."""

import re
from random import Random

import pytest

from textenv.world.judging import is_right, named, sentences
from textenv.world.tables import ANIMALS
from textenv.world.writing import describe, ideas, long_story, story, true_sentences


def test_every_group_has_more_members_than_are_asked_for() -> None:
    rng = Random(0)
    for _ in range(300):
        facts = ideas(rng).facts
        assert len(facts["members"]) >= facts["count"] == 3


@pytest.mark.parametrize(
    ("group", "near"),
    [
        ("farm animals", "Hen, cow and pig."),
        ("pets", "Goldfish, cat and dog."),
        ("wild animals", "Owl, lion and whale."),
        ("colours", "Pink, red and blue."),
    ],
)
def test_what_is_a_member_too_is_right_and_no_usual_mistake(group: str, near: str) -> None:
    rng, asked = Random(0), 0
    while asked < 60:
        exercise = ideas(rng)
        if exercise.request.rstrip(".?").endswith(f"three {group}"):
            asked += 1
            assert is_right(near, exercise)
            assert not any(is_right(text, exercise) for text in exercise.wrong)
            members = {*exercise.facts["members"]}
            for text in exercise.wrong:
                items = re.split(", | and ", text.rstrip(".").lower())
                assert len({*items}) < 3 or {*items} - members, text


def test_a_story_names_what_was_wanted_and_a_long_one_is_longer() -> None:
    rng = Random(0)
    for _ in range(50):
        short, long = story(rng), long_story(rng)
        for exercise in (short, long):
            assert named(exercise.answer, exercise.facts["wanted"]) == {*exercise.facts["wanted"]}
            assert named(exercise.request, exercise.facts["wanted"]) == {*exercise.facts["wanted"]}
        assert len(sentences(short.answer)) <= 6 < len(sentences(long.answer))


def test_a_description_begins_with_the_kind() -> None:
    rng = Random(0)
    for _ in range(50):
        exercise = describe(rng)
        assert f"{exercise.facts['animal']} is a" in exercise.answer


def test_sentences_about_an_animal_take_the_values_of_another() -> None:
    cow, bee = ANIMALS[0], next(animal for animal in ANIMALS if animal.name == "bee")
    assert true_sentences(cow)["food"] == "It eats grass."
    assert true_sentences(cow, bee)["kind"] == "A cow is an insect."
