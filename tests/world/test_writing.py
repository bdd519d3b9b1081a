"""Exercises of writing: lists, stories and descriptions."""

from random import Random

from textenv.world.judging import named, sentences
from textenv.world.tables import ANIMALS
from textenv.world.writing import describe, ideas, long_story, story, true_sentences


def test_every_group_has_more_members_than_are_asked_for() -> None:
    rng = Random(0)
    for _ in range(300):
        facts = ideas(rng).facts
        assert len(facts["members"]) >= facts["count"] == 3


def test_a_story_names_what_was_wanted_and_a_long_one_is_longer() -> None:
    rng = Random(0)
    for _ in range(50):
        short, long = story(rng), long_story(rng)
        for exercise in (short, long):
            assert named(exercise.answer, exercise.facts["wanted"]) == {*exercise.facts["wanted"]}
            assert all(word in exercise.request for word in exercise.facts["wanted"])
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
