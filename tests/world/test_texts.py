"""Exercises on stories: the story says what is asked."""

import re
from random import Random

import pytest

from textenv.world.judging import named
from textenv.world.plots import PLOTS
from textenv.world.stories import scene
from textenv.world.texts import EXTRACTED, _is_told, draw_story, extract, feeling, kind, reading, summary


def test_a_story_is_told_with_its_slots() -> None:
    plot, slots, text = draw_story(Random(0))
    assert plot in PLOTS
    assert slots["who"] in text


def test_the_answer_to_a_question_on_a_story_stands_in_it() -> None:
    rng = Random(0)
    for _ in range(1000):
        exercise = reading(rng)
        text, question = exercise.request.lower(), exercise.facts["question"].lower()
        last = exercise.accepted[0].rstrip(".").split(" ")[-1].lower()
        assert named(text.replace(question, ""), [last]), exercise


@pytest.mark.parametrize(
    ("slots", "short", "text", "is_told"),
    [
        ({"animal": "hen"}, "a hen", "It was dark when Tom saw it.", False),
        ({"animal": "hen"}, "a hen", "Tom saw a hen.", True),
        ({"thing": "hat"}, "his hat", "It was just what he had wanted.", False),
        ({"thing": "hat"}, "at the park, what else", "Tom was at the park.", True),
    ],
)
def test_a_word_within_another_is_not_told(slots: dict[str, str], short: str, text: str, is_told: bool) -> None:
    assert _is_told(short, {**scene(Random(0), who="Tom", place="park"), **slots}, text) is is_told


def test_what_is_extracted_stands_in_the_text_and_nothing_else_of_its_kind() -> None:
    rng, kinds = Random(0), set[str]()
    for _ in range(1500):
        exercise = extract(rng)
        request, text = re.split(r"text[:?] ", exercise.request)
        (asked,) = named(request, [*EXTRACTED])
        kinds.add(asked)
        stated = {word.lower() for word in named(text, EXTRACTED[asked])}
        assert stated == set(exercise.accepted[0].lower().rstrip(".").split(" and ")), exercise
    assert kinds == EXTRACTED.keys()


def test_the_word_for_a_feeling_is_not_in_the_story() -> None:
    rng = Random(0)
    for _ in range(100):
        exercise = feeling(rng)
        story = exercise.request.split("afraid?")[-1] or exercise.request.split(" Is ")[0]
        assert exercise.accepted[0].rstrip(".").lower() not in story.lower().split(" ")


def test_kinds_are_four() -> None:
    rng = Random(0)
    assert {kind(rng).accepted[0] for _ in range(200)} == {"Animal.", "Food.", "Job.", "Thing."}


def test_a_summary_is_asked_for_a_story_that_names_its_key() -> None:
    rng = Random(0)
    for _ in range(100):
        exercise = summary(rng)
        assert exercise.facts["text"] in exercise.request
        values = exercise.facts["key"].values()
        assert named(exercise.facts["text"], values) == {*values}, exercise
