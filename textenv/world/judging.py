"""Exact judges of the micro-world: what is right is known, so nothing is estimated.

All read a text as people do: in any case, with any white space, with or without its last full stop.
"""

import itertools
import re
import unicodedata
from collections.abc import Collection, Mapping, Sequence
from functools import cache
from typing import Any, Final, NamedTuple

from textenv.world.exercise import Exercise
from textenv.world.plots import LINKS, PLOTS
from textenv.world.stories import Telling, article, capitalised, pattern, pronouns, read
from textenv.world.tables import ANIMALS, BOYS, DAYS, FOODS, GIRLS, JOBS, NUMBERS, THINGS

_PEOPLE: Final = frozenset(GIRLS + BOYS)
_NOUNS: Final = {"thing": [thing.name for thing in THINGS], "animal": [animal.name for animal in ANIMALS]}
_PROPER: Final = {name.casefold(): name for name in (*_PEOPLE, *DAYS)}
_QUOTES: Final = "\"'\u201c\u201d\u2018\u2019\u00ab\u00bb"
_LEADING: Final = re.compile(r"(?:(at|on|in|to|from) )?(?:(a|an|the|some) )?(.+)")
"""What a short answer may begin with: a preposition, an article, and the rest."""


def plain(text: str) -> str:
    """Return a text as answers are compared.

    One case, single spaces, numbers to twenty as words, no quotes around it and no full stop at its end.

    >>> plain(" A cow  eats grass. "), plain("7")
    ('a cow eats grass', 'seven')
    """
    spaced = " ".join(unicodedata.normalize("NFKC", text).casefold().split()).strip(_QUOTES)
    bare = re.sub(r" +(?=[.,!?])", "", spaced).rstrip(".! ")
    return re.sub(r"\b\d{1,2}\b", lambda digits: _in_words(digits[0]), bare).strip(_QUOTES)


def _in_words(digits: str) -> str:
    return NUMBERS[int(digits)] if int(digits) < len(NUMBERS) else digits


def sentences(text: str) -> list[str]:
    """Split a text after full stops, exclamation and question marks."""
    return [part for part in re.split(r"(?<=[.!?])\s+", text.strip()) if part]


def named(text: str, words: Collection[str]) -> set[str]:
    """Return those of some words that a text holds, as whole words."""
    return {word for word in words if re.search(rf"\b{re.escape(word)}\b", text)}


def is_accepted(text: str, accepted: Sequence[str]) -> bool:
    """Tell whether a text is one of the right answers.

    Commas do not count, and a short answer may go without its preposition or with another article.

    >>> is_accepted("the park", ["At the park."]), is_accepted("In the park.", ["At the park."])
    (True, False)
    """
    before, noun, rest = _parts(text)
    if noun in ("a", "an") and article(rest) != f"{noun} {rest}":
        return False
    return any(rest == each.rest and before in ("", each.preposition) for each in map(_parts, accepted))


_ON_A_SUBJECT: Final = frozenset(("animal_fact", "food_fact", "job_fact", "use", "feeling", "kind", "scope"))
"""Skills whose requests name the subject of the answer, so that a pronoun may stand for it."""


@cache
def _pronouns_of() -> dict[str, tuple[str, ...]]:
    """Return the pronouns that may stand for each subject of an answer."""
    names = [*(row.name for row in ANIMALS), *(row.name for row in FOODS), *(row.name for row in THINGS)]
    return {
        **{subject: ("it",) for name in names for subject in (name, article(name))},
        **{article(row.name): ("he", "she", "it") for row in JOBS},
        **{row.plural: ("they",) for row in ANIMALS if row.plural != row.name},
        **{name.casefold(): (pronouns(name)["he"],) for name in _PEOPLE},
    }


def _renamed(text: str, accepted: Sequence[str]) -> str:
    """Return a text with the subject of a right answer in the place of the pronoun that it begins with."""
    pronoun, _, rest = plain(text).partition(" ")
    for answer in map(plain, accepted):
        for subject, possible in _pronouns_of().items():
            if pronoun in possible and answer == f"{subject} {rest}":
                return answer
    return text


class _Parts(NamedTuple):
    preposition: str
    article: str
    rest: str


def _parts(text: str) -> _Parts:
    match = _LEADING.fullmatch(plain(text).replace(",", ""))
    return _Parts(*(match.groups("") if match else ("", "", "")))


@cache
def _singulars() -> dict[str, str]:
    """Return singular to each plural of what is listed."""
    animals = {row.plural: row.name for row in ANIMALS}
    foods = {row.plural: row.name for row in FOODS}
    names = [*(row.name for row in JOBS), *(row.name for row in THINGS)]
    return {**animals, **foods, **{_plural(name): name for name in names}}


def _plural(noun: str) -> str:
    """Return the plural of a job, a thing or a kind of animal.

    >>> _plural("knife"), _plural("scarf"), _plural("fish")
    ('knives', 'scarves', 'fish')
    """
    if noun == "fish":
        return noun
    return re.sub(r"fe?s$", "ves", f"{noun}s")


def lists(text: str, members: list[str], count: int) -> bool:
    """Tell whether a text is a list of exactly `count` different members of a group, and of nothing else.

    Members may stand in the singular, with "a" or "an", or in the plural.
    """
    items = [_member(item) for item in re.split(r",\s*and\b|,|\band\b", plain(text))]
    return len(items) == count == len(set(items)) and set(items) <= {member.casefold() for member in members}


def _member(item: str) -> str:
    bare = item.strip()
    noun = re.sub(r"^an? ", "", bare)
    return _singulars().get(noun, noun) if bare in (noun, article(noun or "-")) else bare


def written(text: str) -> list[str]:
    """Return the sentences of a text as the generators write them.

    >>> written("ON MONDAY, tom smiled .  he ran")
    ['On Monday, Tom smiled.', 'He ran.']
    """
    spaced = re.sub(r"\s+(?=[.,!?])", "", unicodedata.normalize("NFKC", text)).strip().strip(_QUOTES)
    return [_sentence(part) for part in sentences(spaced)]


def _sentence(text: str) -> str:
    lower = " ".join(text.casefold().split())
    proper = re.sub(r"\w+", lambda word: _PROPER.get(word[0], word[0]), lower)
    return capitalised(proper if proper.endswith("?") else proper.rstrip(".!") + ".")


@cache
def _summary_patterns(plot: str) -> list[re.Pattern[str]]:
    """Return the patterns of all right summaries of a plot."""
    return [re.compile(pattern(way, groups=True)) for each in PLOTS if each.name == plot for way in (*each.summary, *each.mutual)]


def sums_up(text: str, plot: str, key: Mapping[str, str]) -> float:
    """Return the share, 0 to 1, of the key facts of a story that a one-sentence summary states rightly.

    Args:
        text: of any kind; what is no summary of a story of the micro-world, or is one of another plot, scores 0.
        plot: name of the story's plot.
        key: who did what to whom and where: slots and what fills them.
    """
    truth = {**key, **pronouns(key["who"])}
    shares = [0.0]
    matches = (way.fullmatch(" ".join(written(text))) for way in _summary_patterns(plot))
    for match in filter(None, matches):
        stated = {"animal" if slot in ("an_animal", "an_Animal") else slot: value for slot, value in match.groupdict().items()}
        if "animal" in stated:
            stated["animal"] = stated["animal"].split(" ")[-1]
        if all(truth[slot] == value for slot, value in stated.items()):
            shares.append(len(stated.keys() & key.keys()) / len(key))
    return max(shares)


_FEWEST: Final = 2
"""Sentences of a plot that make a story."""


class _Story(NamedTuple):
    """A part of a text between two sentences that link stories, read as the telling of a plot."""

    plot: str
    telling: Telling
    length: int
    """Sentences."""

    def repeats(self, other: "_Story") -> bool:
        """Tell whether it tells what another tells: the same plot, and nothing otherwise."""
        said, before = self.telling.slots, other.telling.slots
        return self.plot == other.plot and all(said[slot] == before[slot] for slot in said.keys() & before.keys())


def _stories(text: str, wanted: Sequence[str]) -> tuple[list[_Story], int]:
    """Read a text as stories, and count the links of which each stands between two that tell something new.

    A story that repeats one before it keeps none of its sentences, and neither does one of which a
    single sentence is told, since the beginnings of many plots are no story.
    """
    parts: list[list[str]] = [[]]
    for sentence in written(text):
        if sentence in LINKS:
            parts.append([])
        else:
            parts[-1].append(sentence)
    stories: list[_Story] = []
    for part in parts:
        story = _best_telling(part, wanted)
        if story.telling.kept < _FEWEST or any(story.repeats(each) for each in stories if each.telling.kept):
            story = story._replace(telling=Telling(0, False, {}))
        stories.append(story)
    told = [story.telling.kept > 0 for story in stories]
    return stories, sum(before and after for before, after in itertools.pairwise(told))


def _best_telling(story: Sequence[str], wanted: Sequence[str]) -> _Story:
    """Read a story as each plot, and return the reading that keeps most of its sentences.

    Of people only those who are wanted may be in it, and of things or animals, where one is wanted, only that.
    """
    people = set(wanted) & _PEOPLE
    nouns = {kind: set(wanted) & set(names) for kind, names in _NOUNS.items()}
    allowed = {"who": people, "other": people, **{kind: names for kind, names in nouns.items() if names}}
    readings = [_Story(plot.name, read(story, plot, allowed), len(story)) for plot in PLOTS]
    return max(readings, key=lambda each: (each.telling.whole, each.telling.kept))


def tells(text: str, wanted: Sequence[str], least: int) -> float:
    """Return how far a text tells stories about some people and a thing, 0 to 1.

    Its sentences that belong to the telling of a plot (`textenv.world.stories.read`) over all of them, or over `least` where
    they are fewer, times the share of the wanted names that occur. Sentences that repeat, that
    contradict those before them or that bring strangers belong to none, and neither do the sentences
    of a story that was told before, nor one that is all that is told of its story. A sentence that
    links two stories is not counted; one that links nothing belongs to none.

    Args:
        text: of any kind.
        wanted: two people, and a thing or an animal.
        least: sentences of a text that is long enough, those that link two stories not counted.
    """
    stories, linking = _stories(text, wanted)
    kept = sum(story.telling.kept for story in stories)
    count = sum(story.length for story in stories) + len(stories) - 1 - linking
    return kept / max(count, least) * len(_wanted_in(text, wanted)) / len(wanted)


def _wanted_in(text: str, wanted: Sequence[str]) -> set[str]:
    return named(" ".join(written(text)), wanted)


def coherent(text: str, wanted: Sequence[str], stories: int) -> bool:
    """Tell whether a text tells so many stories without a fault.

    All that was wanted, nobody else, each plot to its end, no story twice, and one sentence between each two that links them.
    """
    each, _ = _stories(text, wanted)
    return len(each) == stories and all(story.telling.whole for story in each) and _wanted_in(text, wanted) == set(wanted)


_STATEMENTS: Final = {
    "kind": ("is", "are"),
    "legs": ("has", "have"),
    "food": ("eats", "eat"),
    "home": ("lives", "live"),
    "colour": ("is", "are"),
}
"""The verb of a sentence about a column of an animal, in the singular and the plural."""


@cache
def _statements(animal: str) -> dict[str, tuple[str, bool]]:
    """Return every true sentence about an animal, as `plain` writes it: the column that it is about, and whether it names it."""
    row = next(each for each in ANIMALS if each.name == animal)
    true = dict[str, tuple[str, bool]]()
    for column, (one, many) in _STATEMENTS.items():
        value = getattr(row, column)
        rest = f"{value} legs" if column == "legs" else value
        singular = article(value) if column == "kind" else rest
        plural = _plural(value) if column == "kind" else rest
        for subject in (article(animal), "it"):
            true[f"{subject} {one} {singular}"] = column, subject != "it"
        for subject in (row.plural, "they"):
            true[f"{subject} {many} {plural}"] = column, subject != "they"
    return true


def describes(text: str, animal: str) -> bool:
    """Tell whether a text is three different true sentences about an animal, of which one names it."""
    stated = [_statements(animal).get(plain(part)) for part in sentences(text)]
    facts = [fact for fact in stated if fact is not None]
    columns = {column for column, _ in facts}
    return len(stated) == len(facts) == len(columns) == 3 and any(names for _, names in facts)


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
    return is_accepted(text, accepted) or (skill in _ON_A_SUBJECT and is_accepted(_renamed(text, accepted), accepted))


def right(
    completions: Sequence[str],
    skill: Sequence[str],
    accepted: Sequence[Sequence[str]],
    facts: Sequence[Mapping[str, Any]],
) -> list[float]:
    """Judge n answers, 1 for right and 0 for wrong, by the columns of their exercises."""
    rows = zip(completions, skill, accepted, facts, strict=True)
    return [float(judged(text, name, answers, known)) for text, name, answers, known in rows]
