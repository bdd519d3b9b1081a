"""Rules for the people of a text: who may be in it, and what is said of each."""

import itertools
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from textenv.errors import ArgumentError
from textenv.rewards.metrics import texts_of
from textenv.rewards.words import folded, words


def _checked(name: str, names: Sequence[str]) -> frozenset[str]:
    """Check the names of a rule and return them as they are compared."""
    if isinstance(names, str) or not names:
        raise ArgumentError(f"{name} needs a list of names, got {names!r}.")
    for each in names:
        if not isinstance(each, str) or len(words(each)) != 1:
            raise ArgumentError(f"{name} looks for names of one word each, and {each!r} is none.")
    return frozenset(map(folded, names))


def _sentences(text: str) -> list[list[str]]:
    """Split a text into sentences of words, in one case."""
    parts = (words(part) for part in re.split(r"[.!?。！？\n]+", folded(text)))
    return [part for part in parts if part]


@dataclass(frozen=True)
class Cast:
    """How far a text is about those who were asked for, 0 to 1.

    The product of three shares: of the wanted words that occur; of all names that occur, each as often as it stands, those
    that are wanted; and of the sentences that hold a wanted word, of which half are enough, as the others may have pronouns.
    So a list of the wanted names before a story about others earns little, and a text without names nothing.

    Args:
        names: of one word each that could be in a text, wanted or not.
        wanted: column of the prompt set with the words that are asked for.

    Raises:
        ArgumentError: there is no name, or one that is no single word.
    """

    names: Sequence[str]
    wanted: str = "wanted"

    def __post_init__(self) -> None:
        _checked("Cast", self.names)

    @property
    def columns(self) -> tuple[str, ...]:
        """The column of the wanted words."""
        return (self.wanted,)

    def __call__(self, completions: Sequence[str], **columns: Any) -> list[float]:
        """Score n texts."""
        names = _checked("Cast", self.names)
        asked = texts_of(columns[self.wanted], self.wanted)
        return [_keeps_to(text, set(words(folded(row))), names) for text, row in zip(completions, asked, strict=True)]


def _keeps_to(text: str, wanted: set[str], names: frozenset[str]) -> float:
    sentences = _sentences(text)
    there = Counter(word for sentence in sentences for word in sentence if word in names | wanted)
    occurring = wanted & there.keys()
    if not occurring:
        return 0.0
    own = sum(there[word] for word in occurring) / there.total()
    about = sum(not wanted.isdisjoint(sentence) for sentence in sentences) / len(sentences)
    return len(occurring) / len(wanted) * own * min(1.0, 2 * about)


@dataclass(frozen=True)
class Roles:
    """Whether a text says of each person what a reference says, 0 to 1.

    For each name that stands in either text, the F1 of the words that follow it, up to the next name or the end of the
    sentence; then the mean over the names, times the share of them that stand in both. Who swaps two people leaves their
    words behind and earns little, which ROUGE and the F1 of words hardly see. A text without names beside a reference without names scores 1.

    Args:
        names: of one word each that are looked for.
        column: of the prompt set, with a reference text each.

    Raises:
        ArgumentError: there is no name, or one that is no single word.
    """

    names: Sequence[str]
    column: str = "reference"

    def __post_init__(self) -> None:
        _checked("Roles", self.names)

    @property
    def columns(self) -> tuple[str, ...]:
        """The column of the references."""
        return (self.column,)

    def __call__(self, completions: Sequence[str], **columns: Any) -> list[float]:
        """Score n texts."""
        names = _checked("Roles", self.names)
        references = texts_of(columns[self.column], self.column)
        return [_agreement(_roles(text, names), _roles(row, names)) for text, row in zip(completions, references, strict=True)]


def _roles(text: str, names: frozenset[str]) -> dict[str, Counter[str]]:
    """Return the words between each name of a text and the next; the end of a sentence counts as one."""
    roles = dict[str, Counter[str]]()
    for sentence in _sentences(text):
        places = [place for place, word in enumerate(sentence) if word in names]
        for place, following in itertools.pairwise([*places, len(sentence)]):
            roles.setdefault(sentence[place], Counter()).update(sentence[place + 1 : following] or ["."])
    return roles


def _agreement(said: dict[str, Counter[str]], right: dict[str, Counter[str]]) -> float:
    names = said.keys() | right.keys()
    if not names:
        return 1.0
    shared = said.keys() & right.keys()
    agreed = sum(_f1(said[name], right[name]) for name in shared) / len(names)
    return agreed * len(shared) / len(names)


def _f1(one: Counter[str], other: Counter[str]) -> float:
    return 2 * (one & other).total() / (one.total() + other.total())
