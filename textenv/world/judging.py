"""Exact judges of the micro-world: what is right is known, so nothing is estimated."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, Final

from textenv.world.exercise import Exercise
from textenv.world.stories import PLOTS, pattern, plots_of, pronouns
from textenv.world.tables import ANIMALS, BOYS, GIRLS
from textenv.world.writing import true_sentences

_PEOPLE: Final = frozenset(GIRLS + BOYS)


def plain(text: str) -> str:
    """Return a text as answers are compared: one case, single spaces, no full stop at its end.

    >>> plain(" A cow  eats grass. ")
    'a cow eats grass'
    """
    return " ".join(text.casefold().split()).rstrip(".")


def sentences(text: str) -> list[str]:
    """Split a text after full stops, exclamation and question marks."""
    return [part for part in re.split(r"(?<=[.!?])\s+", text.strip()) if part]


def named(text: str, words: frozenset[str] | tuple[str, ...] | list[str]) -> set[str]:
    """Return those of some words that a text holds, as whole words."""
    return {word for word in words if re.search(rf"\b{re.escape(word)}\b", text)}


def is_accepted(text: str, accepted: tuple[str, ...] | list[str]) -> bool:
    """Tell whether a text is one of the right answers."""
    return plain(text) in {plain(answer) for answer in accepted}


def lists(text: str, members: list[str], count: int) -> bool:
    """Tell whether a text is a list of exactly `count` different members of a group, and of nothing else."""
    items = [plain(item) for item in re.split(r",|\band\b", plain(text))]
    return len(items) == count == len(set(items)) and set(items) <= {member.casefold() for member in members}


@cache
def _summary_patterns() -> list[tuple[str, re.Pattern[str]]]:
    return [(plot.name, re.compile(pattern(way, groups=True))) for plot in PLOTS for way in plot.summary]


def sums_up(text: str, plot: str, key: Mapping[str, str]) -> float:
    """Return the share, 0 to 1, of the key facts of a story that a one-sentence summary states rightly.

    Args:
        text: of any kind; what is no summary of a story of the micro-world, or is one of another plot, scores 0.
        plot: name of the story's plot.
        key: who did what to whom and where: slots and what fills them.
    """
    truth = {**key, **pronouns(key["who"])}
    for name, summary in _summary_patterns():
        match = summary.fullmatch(text.strip())
        if match is None or name != plot:
            continue
        stated = {"animal" if slot in ("an_animal", "an_Animal") else slot: value for slot, value in match.groupdict().items()}
        if "animal" in stated:
            stated["animal"] = stated["animal"].split(" ")[-1]
        if any(truth[slot] != value for slot, value in stated.items()):
            return 0.0
        return len(stated.keys() & key.keys()) / len(key)
    return 0.0


def tells(text: str, wanted: list[str], least: int) -> float:
    """Return how well a text tells a story, 0 to 1.

    The product of the share of its sentences that a story of the micro-world has, the share of different ones, the share of the
    wanted names and things that occur, the share of its people who were wanted, and its sentences over `least`, at most 1.
    """
    parts = sentences(text)
    if not parts:
        return 0.0
    well_formed = sum(bool(plots_of(part)) for part in parts) / len(parts)
    distinct = len(set(parts)) / len(parts)
    people = named(text, _PEOPLE)
    strangers = people - set(wanted)
    share = len(named(text, wanted)) / len(wanted)
    return well_formed * distinct * share * (1 - len(strangers) / max(1, len(people))) * min(1.0, len(parts) / least)


def coherent(text: str, wanted: list[str], least: int) -> bool:
    """Tell whether a story is told without a fault: as `tells`, and every plot that it begins it also ends."""
    return tells(text, wanted, least) == 1.0 and not _unfinished(text)


def _unfinished(text: str) -> bool:
    """Tell whether the last sentence ends no plot."""
    last = sentences(text)[-1]
    ends = {plot.name for plot in PLOTS if re.fullmatch("|".join(pattern(way) for way in plot.sentences[-1]), last)}
    plots = Counter(name for part in sentences(text) for name in plots_of(part))
    return not any(plots[name] >= 3 for name in ends)


def describes(text: str, animal: str) -> bool:
    """Tell whether a text is three different true sentences about an animal."""
    truths = set(true_sentences(next(each for each in ANIMALS if each.name == animal)).values())
    parts = sentences(text)
    return len(parts) == 3 == len(set(parts)) and set(parts) <= truths


def is_right(text: str, exercise: Exercise) -> bool:
    """Tell whether a text answers an exercise rightly."""
    return judged(text, exercise.skill, exercise.accepted, exercise.facts)


def judged(text: str, skill: str, accepted: tuple[str, ...] | list[str], facts: Mapping[str, Any]) -> bool:
    """Tell whether a text is a right answer, from what an exercise's columns say."""
    if skill == "ideas":
        return lists(text, facts["members"], facts["count"])
    if skill == "summary":
        return sums_up(text, facts["plot"], facts["key"]) == 1.0
    if skill == "story":
        return coherent(text, facts["wanted"], 4)
    if skill == "long_story":
        return coherent(text, facts["wanted"], 9)
    if skill == "describe":
        return describes(text, facts["animal"])
    return is_accepted(text, accepted)


def right(
    completions: Sequence[str],
    skill: Sequence[str],
    accepted: Sequence[Sequence[str]],
    facts: Sequence[Mapping[str, Any]],
) -> list[float]:
    """Judge n answers, 1 for right and 0 for wrong, by the columns of their exercises."""
    rows = zip(completions, skill, accepted, facts, strict=True)
    return [float(judged(text, name, answers, known)) for text, name, answers, known in rows]
