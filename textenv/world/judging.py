"""Exact judges of the micro-world: what is right is known, so nothing is estimated."""

import re
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, Final

from textenv.world.exercise import Exercise
from textenv.world.plots import LINKS, PLOTS
from textenv.world.stories import Telling, pattern, pronouns, read
from textenv.world.tables import ANIMALS, BOYS, GIRLS, THINGS
from textenv.world.writing import true_sentences

_PEOPLE: Final = frozenset(GIRLS + BOYS)
_NOUNS: Final = {"thing": [thing.name for thing in THINGS], "animal": [animal.name for animal in ANIMALS]}


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


def is_accepted(text: str, accepted: Sequence[str]) -> bool:
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


def _segments(text: str) -> list[list[str]]:
    """Split a text into stories: sentence lists, parted by the sentences that link one story to the next."""
    stories: list[list[str]] = [[]]
    for sentence in sentences(text):
        if sentence in LINKS:
            stories.append([])
        else:
            stories[-1].append(sentence)
    return [story for story in stories if story]


def _best_telling(story: Sequence[str], wanted: Sequence[str]) -> Telling:
    """Read a story as each plot, and return the reading that keeps most of its sentences.

    Of people only those who are wanted may be in it, and of things or animals, where one is wanted, only that.
    """
    people = set(wanted) & _PEOPLE
    nouns = {kind: set(wanted) & set(names) for kind, names in _NOUNS.items()}
    allowed = {"who": people, "other": people, **{kind: names for kind, names in nouns.items() if names}}
    return max((read(story, plot, allowed) for plot in PLOTS), key=lambda telling: (telling.whole, telling.kept))


def tells(text: str, wanted: Sequence[str], least: int) -> float:
    """Return how far a text tells stories about some people and a thing, 0 to 1.

    Its sentences that belong to the telling of a plot (`textenv.world.stories.read`) over all of them, or over `least` where
    they are fewer, times the share of the wanted names that occur. Sentences that repeat, that contradict those before
    them or that bring strangers belong to none.

    Args:
        text: of any kind.
        wanted: two people, and a thing or an animal.
        least: sentences of a text that is long enough, those between two stories not counted.
    """
    stories = _segments(text)
    kept = sum(_best_telling(story, wanted).kept for story in stories)
    count = sum(map(len, stories))
    return kept / max(count, least) * len(named(text, list(wanted))) / len(wanted)


def coherent(text: str, wanted: Sequence[str], stories: int) -> bool:
    """Tell whether a text tells so many stories without a fault: all that was wanted, nobody else, and each plot to its end."""
    told = [_best_telling(story, wanted) for story in _segments(text)]
    return len(told) == stories and all(each.whole for each in told) and named(text, list(wanted)) == set(wanted)


def describes(text: str, animal: str) -> bool:
    """Tell whether a text is three different true sentences about an animal."""
    truths = set(true_sentences(next(each for each in ANIMALS if each.name == animal)).values())
    parts = sentences(text)
    return len(parts) == 3 == len(set(parts)) and set(parts) <= truths


def is_right(text: str, exercise: Exercise) -> bool:
    """Tell whether a text answers an exercise rightly."""
    return judged(text, exercise.skill, exercise.accepted, exercise.facts)


def judged(text: str, skill: str, accepted: Sequence[str], facts: Mapping[str, Any]) -> bool:
    """Tell whether a text is a right answer, from what an exercise's columns say."""
    if skill == "ideas":
        return lists(text, facts["members"], facts["count"])
    if skill == "summary":
        return sums_up(text, facts["plot"], facts["key"]) == 1.0
    if skill == "story":
        return coherent(text, facts["wanted"], 1)
    if skill == "long_story":
        return coherent(text, facts["wanted"], 2)
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
