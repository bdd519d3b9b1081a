"""Short stories of the micro-world: scenes that fill a plot's slots, tellings of plots, and how tellings are read again."""

import re
from collections.abc import Collection, Mapping, Sequence
from functools import cache
from random import Random
from typing import Final, NamedTuple

from textenv.world.plots import PLOTS, Plot
from textenv.world.tables import ANIMALS, BOYS, COLOURS, DAYS, FOODS, GIRLS, NUMBERS, PLACES, THINGS

_COUNTED: Final = tuple(food for food in FOODS if food.name != food.plural)
_CARRIED: Final = tuple(thing for thing in THINGS if thing.kind != "piece of furniture" and thing.name != "ladder")


def article(noun: str) -> str:
    """Put "a" or "an" before a noun.

    >>> article("owl"), article("cow")
    ('an owl', 'a cow')
    """
    return f"an {noun}" if noun[0] in "aeiou" else f"a {noun}"


def fill(template: str, slots: Mapping[str, str]) -> str:
    """Fill the slots of a sentence, and write "an" where a word with a vowel has come to stand after "a".

    >>> fill("a {colour} {thing}", {"colour": "orange", "thing": "kite"})
    'an orange kite'
    """
    return articled(template.format(**slots))


def articled(text: str) -> str:
    """Write "an" for "a" before a vowel."""
    return re.sub(r"\b([Aa]) (?=[aeiou])", r"\1n ", text)


def capitalised(text: str) -> str:
    """Begin a text with a capital, leaving the rest as it is."""
    return text[:1].upper() + text[1:]


def pronouns(name: str) -> dict[str, str]:
    """Return the pronouns of a person: the slots he, He, his and him."""
    if name in GIRLS:
        return {"he": "she", "He": "She", "his": "her", "him": "her"}
    return {"he": "he", "He": "He", "his": "his", "him": "him"}


def scene(rng: Random, **fixed: str) -> dict[str, str]:
    """Draw what fills the slots of a plot.

    Args:
        rng: source of the draws.
        **fixed: slots that are given, of who, other, animal, thing, place, day, food, foods, number and colour.
    """
    people = rng.sample(GIRLS + BOYS, 2)
    slots = {
        "who": people[0],
        "other": people[1],
        "animal": rng.choice(ANIMALS).name,
        "thing": rng.choice(_CARRIED).name,
        "place": rng.choice(PLACES),
        "day": rng.choice(DAYS),
        "food": rng.choice(FOODS).plural,
        "foods": rng.choice(_COUNTED).plural,
        "number": rng.choice(NUMBERS[2:13]),
        "colour": rng.choice(COLOURS),
        **fixed,
    }
    return {
        **slots,
        **pronouns(slots["who"]),
        "an_animal": article(slots["animal"]),
        "an_Animal": capitalised(article(slots["animal"])),
    }


def tell(plot: Plot, slots: Mapping[str, str], rng: Random) -> str:
    """Write a plot out: each sentence in one of its ways."""
    chosen = (rng.choice(ways) for ways in plot.sentences)
    return " ".join(fill(sentence, slots) for sentence in chosen if sentence)


_FILLERS: Final[dict[str, Sequence[str]]] = {
    "who": GIRLS + BOYS,
    "other": GIRLS + BOYS,
    "animal": [animal.name for animal in ANIMALS],
    "thing": [thing.name for thing in _CARRIED],
    "place": PLACES,
    "day": DAYS,
    "food": [food.plural for food in FOODS],
    "foods": [food.plural for food in _COUNTED],
    "number": NUMBERS[2:13],
    "colour": COLOURS,
    "he": ("he", "she"),
    "He": ("He", "She"),
    "his": ("his", "her"),
    "him": ("him", "her"),
    "an_animal": [article(animal.name) for animal in ANIMALS],
    "an_Animal": [capitalised(article(animal.name)) for animal in ANIMALS],
}


def pattern(sentence: str, groups: bool = False) -> str:
    """Turn a sentence with slots into a regular expression that matches every way to fill them.

    Args:
        sentence: with slots in braces.
        groups: name a group after each slot, and let the slot stand for the same words wherever it occurs again.
    """
    written, seen = "", set[str]()
    for index, part in enumerate(re.split(r"\{(\w+)\}", sentence)):
        if index % 2 == 0:
            written += re.sub(r"\ba\\ $", r"(?:an\\ (?=[aeiou])|a\\ (?![aeiou]))", re.escape(part))
        elif part in seen:
            written += f"(?P={part})"
        else:
            fillers = "|".join(map(re.escape, _FILLERS[part]))
            written += f"(?P<{part}>{fillers})" if groups else f"(?:{fillers})"
            seen |= {part} if groups else set()
    return written


class Telling(NamedTuple):
    """How far some sentences tell a plot."""

    kept: int
    """Sentences that stand in the plot, in its order, and contradict none before them."""
    whole: bool
    """Whether all do, and none is missing without which the plot is never told."""
    slots: dict[str, str]
    """What the kept sentences say of who, other, thing, animal, place and so on."""


@cache
def _patterns(name: str) -> list[list[re.Pattern[str]]]:
    plot = next(plot for plot in PLOTS if plot.name == name)
    return [[re.compile(pattern(way, groups=True)) for way in ways if way] for ways in plot.sentences]


def read(sentences: Sequence[str], plot: Plot, allowed: Mapping[str, Collection[str]] | None = None) -> Telling:
    """Read sentences as a telling of a plot.

    A sentence is kept when it is one of the plot's that come after the last one kept, and names who did what as the kept
    ones do, pronouns included.

    Args:
        sentences: of any kind.
        plot: as which they are read.
        allowed: slot to what it may stand for; slots that are not named may stand for anything.
    """
    slots: dict[str, str] = {}
    told: list[int] = []
    for sentence in sentences:
        for index in range(told[-1] + 1 if told else 0, len(plot.sentences)):
            said = _said(sentence, _patterns(plot.name)[index], slots)
            if said is not None and all(said.get(slot) in (None, *values) for slot, values in (allowed or {}).items()):
                slots |= said
                told.append(index)
                break
    needed = {index for index, ways in enumerate(plot.sentences) if "" not in ways}
    return Telling(len(told), len(told) == len(sentences) and needed <= set(told), slots)


def _said(sentence: str, ways: Sequence[re.Pattern[str]], slots: Mapping[str, str]) -> dict[str, str] | None:
    """Return what a sentence says in one of its ways, None where it is none of them or contradicts what is known."""
    for way in ways:
        match = way.fullmatch(sentence)
        if match is None:
            continue
        said = dict[str, str]()
        pronouns = set[str]()
        for slot, value in match.groupdict().items():
            if slot in ("he", "He", "his", "him"):
                pronouns.add(str(value.casefold() in ("she", "her")))
            else:
                said["animal" if slot.startswith("an_") else slot] = value.split(" ")[-1] if slot.startswith("an_") else value
        if "who" in said:
            pronouns.add(str(said["who"] in GIRLS))
        if len(pronouns) > 1:
            continue
        if pronouns:
            said["girl"] = pronouns.pop()
        both = {**slots, **said}
        agrees = all(both[slot] == value for slot, value in slots.items())
        if agrees and both.get("who") != both.get("other", "nobody"):
            return said
    return None
