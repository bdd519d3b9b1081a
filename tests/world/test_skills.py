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
