"""Exercises on a story of three to six sentences: questions, classification, extraction, summary."""

from random import Random
from typing import Final

from textenv.world.exercise import Exercise, closed, filled, people
from textenv.world.judging import named
from textenv.world.plots import PLOTS, Plot
from textenv.world.stories import article, fill, scene, tell
from textenv.world.tables import (
    ANIMALS,
    BOYS,
    COLOURS,
    DAYS,
    FEELINGS,
    FOODS,
    GIRLS,
    JOBS,
    PLACES,
    THINGS,
)

EXTRACTED: Final[dict[str, tuple[str, ...]]] = {
    "people": GIRLS + BOYS,
    "thing": (
        *(thing.name for thing in THINGS),
        *("bag", "bench", "bike", "box", "bus", "house", "roof", "tree", "wall"),
    ),
    "animal": tuple(animal.name for animal in ANIMALS),
    "colour": COLOURS,
    "day": DAYS,
    "place": (*PLACES, "house"),
}
"""What a story may name of each kind that is asked for, in its slots or without."""


def draw_story(rng: Random) -> tuple[Plot, dict[str, str], str]:
    """Draw a plot, what fills its slots, and the story that tells it."""
    plot = rng.choice(PLOTS)
    slots = scene(rng)
    return plot, slots, tell(plot, slots, rng)


def reading(rng: Random) -> Exercise:
    """Ask about a story of three to six sentences; only what the story says is asked."""
    while True:
        plot, slots, text = draw_story(rng)
        question, short, full = (fill(part, slots) for part in rng.choice(plot.questions))
        if _is_told(short, slots, text):
            break
    people = [slots["who"], slots["other"]]
    mistakes: list[str] = []
    if short in people:
        mistakes = [person for person in people if person != short]
        wrong = tuple(text for person in mistakes for text in (f"{person}.", full.replace(short, person)))
    else:
        drawn = scene(rng)
        template = next(part for part in plot.questions if fill(part[0], slots) == question)
        mixed = {
            **drawn,
            **{name: slots[name] for name in ("who", "other", "he", "He", "his", "him")},
        }
        wrong = (f"{fill(template[1], mixed)}.", fill(template[2], mixed))
        if short in FEELINGS:
            others = [each for each in FEELINGS if each != short]
            wrong = tuple(text.replace(short, other) for other in others for text in (f"{short}.", full))
    request = rng.choice((f"{text} {question}", f"Read this: {text} {question}", f"{text} Tell me: {question}"))
    asked = {"question": question}
    return closed(rng, "reading", (request,), (f"{short}.", full), wrong, facts=asked)


def _is_told(short: str, slots: dict[str, str], text: str) -> bool:
    """Tell whether the story names what the short answer holds, since some ways of telling leave a day or a place out."""
    values = [
        slots[name]
        for name in (
            "day",
            "place",
            "colour",
            "number",
            "thing",
            "food",
            "animal",
            "foods",
            "who",
            "other",
        )
    ]
    return named(short, values) <= named(text, values)


def feeling(rng: Random) -> Exercise:
    """Ask how the main person of a story feels, without the word that says so."""
    plot, slots, text = draw_story(rng)
    sentences = text.split(". ")
    clues = {"happy": "smiled", "sad": "cried", "angry": "shouted", "afraid": "trembled"}
    text = f"{'. '.join(sentences[:-1])}. Then {slots['who']} {clues[plot.feeling]}."
    requests = (
        f"{text} Is {slots['who']} happy, sad, angry or afraid?",
        f"How does {slots['who']} feel: happy, sad, angry or afraid? {text}",
    )
    forms = ("{}.", f"{slots['who']} is {{}}.")
    others = [each for each in FEELINGS if each != plot.feeling]
    return closed(
        rng,
        "feeling",
        requests,
        filled(forms, plot.feeling),
        tuple(text for other in others for text in filled(forms, other)),
    )


def kind(rng: Random) -> Exercise:
    """Ask which of four kinds a word is."""
    word, right = rng.choice(
        [
            *((animal.name, "animal") for animal in ANIMALS),
            *((food.name, "food") for food in FOODS if food.name != "orange"),
            *((job.name, "job") for job in JOBS),
            *((thing.name, "thing") for thing in THINGS),
        ]
    )
    counted = all(word != food.name or food.name != food.plural for food in FOODS)
    name = article(word) if counted else word
    requests = (
        f"Is {name} an animal, a food, a job or a thing?",
        f"Put {word} into one group: animal, food, job, thing.",
    )
    value = {"animal": "an animal", "food": "a food", "job": "a job", "thing": "a thing"}
    others = [each for each in value if each != right]
    accepted = (f"{right}.", f"{value[right]}.", f"{name} is {value[right]}.")
    return closed(
        rng,
        "kind",
        requests,
        accepted,
        tuple(text for other in others for text in (f"{other}.", f"{value[other]}.")),
    )


def extract(rng: Random) -> Exercise:
    """Ask for all the people, or the animal, thing, colour, day or place that a story names."""
    while True:
        _, slots, text = draw_story(rng)
        name, requests = rng.choice(
            (
                ("people", ("Name the people in this text:", "Who are the people in this text?")),
                ("thing", ("Which thing is in this text?", "Find the thing in this text:")),
                ("animal", ("Which animal is in this text?", "Find the animal in this text:")),
                ("colour", ("Which colour is in this text?", "Find the colour in this text:")),
                ("day", ("Which day is in this text?", "Find the day in this text:")),
                ("place", ("Which place is in this text?", "Find the place in this text:")),
            )
        )
        values = [slots["who"], slots["other"]] if name == "people" else [slots[name]]
        # Two of a kind would make two right answers of which one is accepted.
        if named(text, EXTRACTED[name]) == set(values):
            break
    if name == "people":
        a, b = sorted(values, key=text.index)
        accepted: tuple[str, ...] = (f"{a} and {b}.", f"{b} and {a}.")
        wrong: tuple[str, ...] = (f"{a}.", f"{b}.", f"{a} and {rng.choice(GIRLS)}.")
    else:
        accepted = (f"{values[0]}.", f"the {values[0]}.") if name in ("thing", "animal", "place") else (f"{values[0]}.",)
        drawn = scene(rng)
        wrong = (f"{drawn[name]}.", f"{slots['who']}.")
    return closed(rng, "extract", tuple(f"{request} {text}" for request in requests), accepted, wrong)


def summary(rng: Random) -> Exercise:
    """Ask for a story of three to six sentences in one."""
    plot, slots, text = draw_story(rng)
    while "place" in plot.key and not named(text, [slots["place"]]):
        plot, slots, text = draw_story(rng)
    mixed = {**scene(rng), **people(slots)}
    swapped = {**slots, "who": slots["other"], "other": slots["who"]}
    another = rng.choice([each for each in PLOTS if each is not plot])
    accepted = tuple(fill(way, slots) for way in (*plot.summary, *plot.mutual))
    wrong = tuple(
        way
        for way in (
            fill(rng.choice(plot.summary), mixed),
            fill(rng.choice(plot.summary), swapped),
            fill(rng.choice(another.summary), slots),
            text.split(". ")[0] + ".",
        )
        if way not in accepted
    )
    requests = (
        f"Sum this up in one sentence: {text}",
        f"{text} What is this about?",
        f"Give a summary: {text}",
    )
    return Exercise(
        skill="summary",
        request=rng.choice(requests),
        # Those of `mutual` are never taught.
        answer=rng.choice(accepted[: len(plot.summary)]),
        accepted=accepted,
        wrong=wrong,
        facts={"text": text, "plot": plot.name, "key": {name: slots[name] for name in plot.key}},
    )
