"""Rules for the people and things of a text: which there are, and what is said of each."""

import itertools
import re
from collections import Counter
from collections.abc import Sequence, Set
from dataclasses import dataclass
from typing import Any

from textenv.errors import ArgumentError, RewardError
from textenv.rewards.metrics import texts_of
from textenv.rewards.words import folded, words


def _checked(owner: str, names: Sequence[str]) -> frozenset[str]:
    """Check the names of a rule and return them as they are compared.

    Raises:
        ArgumentError: there is no name, or one that is not a single word.
    """
    if isinstance(names, str) or not isinstance(names, Sequence) or not names:
        raise ArgumentError(f"{owner} needs a list of names, got {names!r}.")
    for name in names:
        if not isinstance(name, str) or len(words(name)) != 1:
            raise ArgumentError(f"{owner} needs names of one word each, as `textenv.rewards.words` splits texts, got {name!r} among them.")
    return frozenset(_name(word) for name in names for word in words(folded(name)))


def _name(word: str) -> str:
    """Take the possessive ending off a word, since "Tom's hat" names Tom."""
    return word.removesuffix("'s").removesuffix("'")


@dataclass(frozen=True)
class Cast:
    """How far a text is about the people and things that were asked for, 0 to 1.

    The share of the wanted names that occur, times the share of all names in the text, each as
    often as it stands, that are wanted. So a list of the wanted names before a story about others
    earns little. A possessive names its owner. Where the column is blank, a text without names
    scores 1 and any other 0.

    Args:
        names: all that could be in a text, wanted or not, of one word each.
        wanted: column of texts; those of their words that are names are wanted.

    Raises:
        ArgumentError: there is no name, or one that is not a single word.
        RewardError: when called, a text of the column holds none of the names.
    """

    names: Sequence[str]
    wanted: str = "wanted"

    def __post_init__(self) -> None:
        _checked("Cast", self.names)

    @property
    def columns(self) -> tuple[str, ...]:
        """The column of the wanted names."""
        return (self.wanted,)

    def __call__(self, completions: Sequence[str], **columns: Any) -> list[float]:
        """Score n texts."""
        names = _checked("Cast", self.names)
        asked = texts_of(columns[self.wanted], self.wanted)
        scores = []
        for text, row in zip(completions, asked, strict=True):
            wanted = _named(row, names).keys()
            if row.strip() and not wanted:
                raise RewardError(
                    f'Cast knows none of the names in {row!r} of the column "{self.wanted}";'
                    " give it those of your prompts, as Cast(names=[...])."
                )
            scores.append(_share_of_cast(_named(text, names), wanted))
        return scores


def _named(text: str, names: frozenset[str]) -> Counter[str]:
    """Count the names of a text."""
    return Counter(name for name in map(_name, words(folded(text))) if name in names)


def _share_of_cast(named: Counter[str], wanted: Set[str]) -> float:
    if not wanted or not named:
        return float(wanted == named.keys())
    there = wanted & named.keys()
    return len(there) / len(wanted) * sum(named[name] for name in there) / named.total()


@dataclass(frozen=True)
class Roles:
    """Whether a text says of each person what a reference says, 0 to 1.

    For each name in either text, the F1 of the words that follow it, up to the next name or the end
    of the sentence, and 0 if it stands in one of them only; then the mean over the names. So two
    people who are swapped earn little where what they do stands behind their names, which ROUGE and
    the F1 of all words hardly see. A possessive names its owner. Two texts without names score 1.

    Args:
        names: all that are looked for, of one word each.
        column: of the prompt set, with a reference text each.

    Raises:
        ArgumentError: there is no name, or one that is not a single word.
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
        pairs = zip(completions, references, strict=True)
        return [_agreement(_roles(text, names), _roles(row, names)) for text, row in pairs]


def _roles(text: str, names: frozenset[str]) -> dict[str, Counter[str]]:
    """Count the words after each name of a text, up to the next name or the end of the sentence.

    Where none follow, the full stop counts as one.
    """
    roles = dict[str, Counter[str]]()
    for sentence in re.split(r"[.!?。！？\n]+", folded(text)):
        said = [_name(word) for word in words(sentence)]
        places = [place for place, word in enumerate(said) if word in names]
        for place, following in itertools.pairwise([*places, len(said)]):
            role = roles.setdefault(said[place], Counter())
            role.update(said[place + 1 : following] or ["."])
    return roles


def _agreement(said: dict[str, Counter[str]], right: dict[str, Counter[str]]) -> float:
    names = said.keys() | right.keys()
    if not names:
        return 1.0
    return sum(_f1(said[name], right[name]) for name in said.keys() & right.keys()) / len(names)


def _f1(one: Counter[str], other: Counter[str]) -> float:
    return 2 * (one & other).total() / (one.total() + other.total())
