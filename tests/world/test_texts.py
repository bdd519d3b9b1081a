"""Exercises on stories: the story says what is asked."""

from random import Random

from textenv.world.plots import PLOTS
from textenv.world.texts import draw_story, extract, feeling, kind, reading, summary


def test_a_story_is_told_with_its_slots() -> None:
    plot, slots, text = draw_story(Random(0))
    assert plot in PLOTS
    assert slots["who"] in text


def test_the_answer_to_a_question_on_a_story_stands_in_it() -> None:
    rng = Random(0)
    for _ in range(300):
        exercise = reading(rng)
        words = exercise.accepted[0].rstrip(".").split(" ")
        assert words[-1].lower() in exercise.request.lower()


def test_what_is_extracted_stands_in_the_text() -> None:
    rng = Random(0)
    for _ in range(300):
        exercise = extract(rng)
        for word in exercise.accepted[0].rstrip(".").split(" and "):
            assert word.lower() in exercise.request.lower()


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
        assert all(value in exercise.request for value in exercise.facts["key"].values()), exercise
