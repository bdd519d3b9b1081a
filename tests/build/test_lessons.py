"""What the models of the micro-world are taught."""

from itertools import islice
from random import Random

import pytest

from textenv.build import lessons
from textenv.build.lessons import (
    HELD_OUT,
    conversation,
    demonstrations,
    documents,
    exercises,
    is_held_out,
    plain_question,
    slip,
)
from textenv.world.exercise import Exercise
from textenv.world.judging import is_right
from textenv.world.skills import SKILLS


def test_one_request_in_five_is_held_out_whatever_its_answer() -> None:
    held = [is_held_out(Exercise(skill="chat", request=f"Is number {i} held out?", answer="")) for i in range(2000)]
    assert sum(held) / len(held) == pytest.approx(HELD_OUT / 100, abs=0.03)
    assert not is_held_out(Exercise(skill="chat", request="Hello!", answer=""))


@pytest.mark.parametrize("held_out", [True, False])
@pytest.mark.parametrize("skill", SKILLS)
def test_exercises_are_drawn_from_one_side(skill: str, held_out: bool) -> None:
    assert all(is_held_out(each) is held_out for each in islice(exercises(skill, Random(0), held_out), 20))


def test_documents_are_of_every_kind_repeat_and_hold_nothing_that_is_held_out() -> None:
    texts = documents(400, seed=0)
    assert texts == documents(400, seed=0) != documents(400, seed=1)
    pages = [text for text in texts if text.startswith("Question: ")]
    assert 0.35 < len(pages) / len(texts) < 0.55
    asked = [line.removeprefix("Question: ") for page in pages for line in page.split("\n") if line.startswith("Question: ")]
    unread = [text for text in asked if is_held_out(Exercise(skill="", request=text, answer=""))]
    # Of a system's sentence and a request a page makes one line, whose hash is another.
    assert all(text.startswith("You only talk about") for text in unread)
    assert all(page.count("\nAnswer: ") == page.count("Question: ") for page in pages)
    assert max(map(len, pages)) < 2 * lessons.PAGE


def test_annotators_err_in_the_share_that_is_said() -> None:
    clean, erring = (demonstrations(2400, seed=0, slips=slips) for slips in (False, True))
    assert [turn.prompt for turn in clean] == [turn.prompt for turn in erring]
    wrong = sum(a.answer != b.answer for a, b in zip(clean, erring, strict=True)) / 2400
    expected = sum(lessons.SLIPS.get(skill, lessons.SLIP) for skill in SKILLS) / len(SKILLS)
    assert wrong == pytest.approx(expected, abs=0.03)
    assert demonstrations(90, seed=1, skills=("animal_fact", "sums")) != demonstrations(90, seed=2, skills=("animal_fact", "sums"))


@pytest.mark.parametrize("skill", SKILLS)
def test_a_slip_is_no_right_answer(skill: str) -> None:
    rng = Random(0)
    for exercise in islice(exercises(skill, rng, held_out=False), 300):
        text = slip(exercise, rng)
        assert text
        assert not is_right(text, exercise), (exercise.request, text)


def test_prompts_end_where_the_answer_begins() -> None:
    exercise = Exercise(skill="scope", request="What is a cow?", answer="", system="You only talk about food.")
    assert conversation(exercise) == "<|system|> You only talk about food.<|end|><|user|> What is a cow?<|end|><|assistant|>"
    assert plain_question(exercise) == "Question: You only talk about food. What is a cow?\nAnswer:"
