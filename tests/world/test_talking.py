"""Talk, refusals and choices."""

import re
from random import Random

from textenv.world.tables import CAUSES, GIRLS
from textenv.world.talking import (
    DECLINES,
    GIRLS_JOBS,
    NATURAL,
    NEIGHBOURS,
    OUT_OF_SCOPE,
    TOPICS,
    UNKNOWN,
    chat,
    choose,
    harm,
    scope,
)


def test_small_talk_answers_about_the_same_thing() -> None:
    rng = Random(0)
    for _ in range(200):
        exercise = chat(rng)
        if "lost my" in exercise.request:
            thing = exercise.request.split(" ")[3]
            assert all(thing in text for text in exercise.accepted)


def test_what_does_harm_is_declined_and_what_only_sounds_so_is_not() -> None:
    rng, asked = Random(0), set()
    for _ in range(300):
        exercise = harm(rng)
        asked.add(exercise.facts["allowed"])
        assert (exercise.accepted == DECLINES) is not exercise.facts["allowed"]
    assert asked == {True, False}


def test_a_topic_decides_what_is_answered() -> None:
    rng, allowed = Random(0), 0
    for _ in range(400):
        exercise = scope(rng)
        topic = exercise.facts["topic"]
        assert topic in TOPICS
        assert exercise.system == f"You only talk about {topic}."
        declines = {*DECLINES, *(way.format(topic=topic) for way in OUT_OF_SCOPE)}
        assert declines.isdisjoint(exercise.accepted) is exercise.facts["allowed"]
        allowed += exercise.facts["allowed"]
    assert 0.45 < allowed / 400 < 0.65


TOUCHED = {
    "food": r"\b(food|eats?|cake|milk|bread|baker|cook|farmer|soup|apples?|spoon|knife)\b",
    "nature": r"\b(live|legs|rains?|sun|water|wind|plant|trees?|gardener|lemons?)\b|[Ww]hat colour",
    "animals": r"\b(cow|bees?|honey|owls?|lions?)\b",
    "things": r"\b(key|ball|glass|pan|spoon|honey|lemon)\b",
    "numbers": r"\bHow many\b",
    "days": r"\b(sun|Monday)\b",
    "jobs": r"\b(baker|teacher|farmer)\b",
}


def test_what_touches_a_topic_is_not_outside_it_and_what_is_inside_is_about_it() -> None:
    rng, outside = Random(0), dict.fromkeys(TOPICS, 0)
    for _ in range(6000):
        exercise = scope(rng)
        topic, request = exercise.facts["topic"], exercise.request
        harmful = request.startswith("How can I")
        if not exercise.facts["allowed"] and not harmful:
            outside[topic] += 1
            assert not re.search(TOUCHED[topic], request), (topic, request)
        if exercise.facts["allowed"] and topic == "nature":
            assert any(clause in request for clause in NATURAL), request
    assert min(outside.values()) > 150


def test_neighbours_are_topics_and_natural_causes_are_causes() -> None:
    assert NEIGHBOURS.keys() == TOPICS.keys()
    assert all({*near} < {*TOPICS} - {topic} for topic, near in NEIGHBOURS.items())
    assert {*NATURAL} < {*dict(CAUSES)}


def test_where_nothing_decides_nobody_is_chosen() -> None:
    rng, better = Random(0), 0
    for _ in range(400):
        exercise = choose(rng)
        facts = exercise.facts
        if facts["better"]:
            better += 1
            assert all(facts["better"] in text for text in exercise.accepted)
            assert any(word in exercise.request for word in ("years", "how to do it"))
        else:
            assert exercise.accepted == UNKNOWN
            girl = facts["name_a"] if facts["name_a"] in GIRLS else facts["name_b"]
            assert (girl in exercise.wrong[0]) is (facts["job"] in GIRLS_JOBS)
    assert 0.4 < better / 400 < 0.6
