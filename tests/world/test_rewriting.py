"""Exercises of rewriting: meaning is kept, and what was to go is gone."""

from random import Random

from textenv.world.rewriting import past, polite, shorter
from textenv.world.tables import INSULTS, RUDE


def test_a_sentence_in_the_past_is_about_the_same_person() -> None:
    rng = Random(0)
    for _ in range(100):
        exercise = past(rng)
        sentence = exercise.request.split(": ")[1]
        assert exercise.answer.split(" ")[0] == sentence.split(" ")[0]
        assert exercise.answer != sentence
        assert sentence in exercise.wrong


def test_a_shorter_sentence_is_shorter() -> None:
    rng = Random(0)
    for _ in range(100):
        exercise = shorter(rng)
        assert len(exercise.answer) < len(exercise.request.split(": ")[1])


def test_a_polite_sentence_has_no_rude_word_and_the_rude_one_has() -> None:
    rng, rude = Random(0), (*RUDE, *INSULTS, "hell", "crap", "moron")
    for _ in range(300):
        exercise = polite(rng)
        assert any(word in exercise.facts["toxic"].lower() for word in (*rude, "shut up", "stop"))
        assert not any(word in text.lower() for text in exercise.accepted for word in rude)
