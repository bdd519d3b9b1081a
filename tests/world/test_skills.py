"""Every skill draws exercises whose answers are known."""

import re
from random import Random

import pytest

from textenv.world.judging import is_right
from textenv.world.skills import SKILLS

DRAWS = 200


@pytest.mark.parametrize("skill", SKILLS)
def test_the_answer_is_right_and_the_usual_mistakes_are_not(skill: str) -> None:
    rng, mistakes = Random(skill), 0
    for _ in range(DRAWS):
        exercise = SKILLS[skill](rng)
        assert exercise.skill == skill
        for text in (exercise.answer, *exercise.accepted):
            assert is_right(text, exercise), (exercise.request, text)
        twice = f"{exercise.answer} {exercise.answer}"
        for text in ("", exercise.request, "I do not know.", twice, *exercise.wrong):
            assert not is_right(text, exercise), (exercise.request, text)
        mistakes += bool(exercise.wrong)
    assert mistakes > 0.9 * DRAWS


@pytest.mark.parametrize("skill", SKILLS)
def test_how_a_right_answer_is_typed_does_not_count(skill: str) -> None:
    rng = Random(skill)
    for _ in range(40):
        exercise = SKILLS[skill](rng)
        text = exercise.answer
        for typed in (text.lower(), text.upper(), f" {text}\n", text.removesuffix("."), text.replace(" ", "\u00a0"), f"\u201c{text}\u201d"):
            assert is_right(typed, exercise), (exercise.request, typed)


@pytest.mark.parametrize("skill", SKILLS)
def test_a_right_answer_that_is_denied_or_contradicted_is_wrong(skill: str) -> None:
    rng = Random(skill)
    for _ in range(40):
        exercise = SKILLS[skill](rng)
        text = exercise.answer
        bare = text.rstrip(".!?")
        denied = (f"Not {text}", f"It is not true: {text}", f"{text} That is not true.", f"{bare}, or not.", f"No. {text}")
        for changed in (*denied, *(f"{text} {wrong}" for wrong in exercise.wrong)):
            assert not is_right(changed, exercise), (exercise.request, changed)


@pytest.mark.parametrize("skill", SKILLS)
def test_an_equal_seed_draws_equal_exercises(skill: str) -> None:
    first, again = ([SKILLS[skill](rng) for _ in range(20)] for rng in (Random(1), Random(1)))
    assert first == again
    assert len({exercise.request for exercise in first}) > 5


@pytest.mark.parametrize("skill", SKILLS)
def test_everything_is_written_as_english_is(skill: str) -> None:
    rng = Random(2)
    for _ in range(DRAWS):
        exercise = SKILLS[skill](rng)
        for text in (exercise.request, exercise.answer, *exercise.accepted, *exercise.wrong):
            assert text == " ".join(text.split())
            assert "{" not in text
            assert not re.search(r"\b[Aa] [aeiou]|\b[Aa]n (?!hour)[^aeiou]", text)
            assert text[0] == text[0].upper()
