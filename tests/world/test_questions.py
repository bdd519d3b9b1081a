"""Questions about the tables: the answers are what the tables say."""

from random import Random

import pytest

from textenv.world.questions import animal_fact, cause, food_fact, job_fact, next_day, opposite, sums, use
from textenv.world.tables import CAUSES, DAYS, NUMBERS, OPPOSITES, THINGS


def test_an_animal_question_is_answered_from_its_row() -> None:
    seen = {}
    rng = Random(0)
    for _ in range(2000):
        exercise = animal_fact(rng)
        seen[exercise.request] = exercise.accepted
    assert "Mice." in seen["What do owls eat?"]
    assert "No legs." in seen["How many legs do sharks have?"]
    assert "A bee is an insect." in seen["What is a bee?"]


@pytest.mark.parametrize("make", [food_fact, job_fact, use, cause])
def test_all_forms_of_an_answer_hold_the_same_fact(make) -> None:  # type: ignore[no-untyped-def]
    rng = Random(0)
    for _ in range(100):
        exercise = make(rng)
        assert len(exercise.accepted) in (2, 3)
        assert len(exercise.wrong) >= 2


def test_sums_are_right() -> None:
    rng = Random(0)
    for _ in range(300):
        exercise = sums(rng)
        a, word, b = exercise.request.rstrip("?").split(" ")[-3:]
        result = NUMBERS.index(a) + (1 if word == "plus" else -1) * NUMBERS.index(b)
        assert f"{NUMBERS[result].capitalize()}." in exercise.accepted


def test_days_follow_each_other() -> None:
    rng = Random(0)
    for _ in range(100):
        exercise = next_day(rng)
        step = 1 if "after" in exercise.request else -1
        day = exercise.request.rstrip("?").split(" ")[-1]
        assert f"{DAYS[(DAYS.index(day) + step) % 7]}." in exercise.accepted


def test_opposites_go_both_ways_and_the_word_itself_is_a_usual_mistake() -> None:
    rng, both = Random(0), {**dict(OPPOSITES), **{b: a for a, b in OPPOSITES}}
    for _ in range(100):
        exercise = opposite(rng)
        word = exercise.request.rstrip("?").split(" ")[-1]
        assert f"{both[word].capitalize()}." in exercise.accepted
        assert f"{word.capitalize()}." in exercise.wrong


def test_every_cause_and_thing_is_asked_for() -> None:
    rng = Random(0)
    effects = {cause(rng).accepted[0].rstrip(".").lower() for _ in range(1000)}
    uses = {use(rng).accepted[0].removeprefix("To ").rstrip(".") for _ in range(1000)}
    assert effects == {then.lower() for _, then in CAUSES}
    assert uses == {thing.use for thing in THINGS}
