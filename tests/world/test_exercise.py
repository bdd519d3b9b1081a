"""What all generators of exercises share."""

from random import Random

import pytest

from textenv.world.exercise import Exercise, closed, filled, other_values, people
from textenv.world.stories import scene


def test_a_closed_exercise_begins_its_answers_with_a_capital_and_drops_mistakes_that_are_right() -> None:
    exercise = closed(Random(0), "animal_fact", ("What?",), ("grass.", "it eats grass."), ("hay.", "grass."))
    assert exercise.accepted == ("Grass.", "It eats grass.")
    assert exercise.answer in exercise.accepted
    assert exercise.wrong == ("Hay.",)


def test_a_form_is_filled_with_the_right_article() -> None:
    assert filled(("{}.", "a bee is a {}."), "insect") == ("insect.", "a bee is an insect.")


@pytest.mark.parametrize("seed", range(5))
def test_other_values_are_different_and_not_the_right_one(seed: int) -> None:
    drawn = other_values(Random(seed), "a", ["a", "b", "b", "c", "a"])
    assert sorted(drawn) == ["b", "c"]


def test_people_are_those_slots_that_name_people() -> None:
    slots = scene(Random(0))
    assert people(slots).keys() == {"who", "other", "he", "He", "his", "him"}


def test_an_exercise_cannot_be_changed() -> None:
    with pytest.raises(AttributeError):
        Exercise(skill="chat", request="Hello!", answer="Hello!").answer = "Bye!"  # type: ignore[misc]
