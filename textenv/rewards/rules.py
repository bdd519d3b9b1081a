"""Rules: rewards that read the completion and need no model."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from textenv.errors import ArgumentError
from textenv.rewards.words import folded, ngrams, words


@dataclass(frozen=True)
class Matches:
    """1 when a regular expression is found in the completion, else 0.

    Args:
        pattern: of the module `re`; "^" and "$" tie it to the ends, "(?i)" ignores the case.

    Raises:
        ArgumentError: the pattern does not compile.
    """

    pattern: str

    def __post_init__(self) -> None:
        try:
            re.compile(self.pattern)
        except (re.error, TypeError) as error:
            raise ArgumentError(f"Matches needs a regular expression, and {self.pattern!r} is none: {error}.") from error

    def __call__(self, completions: Sequence[str]) -> list[float]:
        """Score n texts, 0 or 1 each."""
        found = re.compile(self.pattern).search
        return [float(found(text) is not None) for text in completions]


def _phrases(name: str, wanted: Sequence[str]) -> tuple[str, ...]:
    """Check a rule's words and write each so that it can be looked for in `_spaced` texts."""
    if isinstance(wanted, str) or not wanted:
        raise ArgumentError(f"{name} needs a list of words, got {wanted!r}.")
    for word in wanted:
        if not isinstance(word, str) or not words(word):
            raise ArgumentError(f"{name} looks for words, and {word!r} is none; Matches looks for other strings.")
    return tuple(_spaced(word) for word in wanted)


def _spaced(text: str) -> str:
    return f" {' '.join(words(folded(text)))} "


@dataclass(frozen=True)
class Contains:
    """The share, 0 to 1, of some words that occur in the completion: whole words or phrases, in any case.

    Args:
        words: at least one.

    Raises:
        ArgumentError: there is no word, or one without a letter.
    """

    words: Sequence[str]

    def __post_init__(self) -> None:
        _phrases("Contains", self.words)

    def __call__(self, completions: Sequence[str]) -> list[float]:
        """Score n texts."""
        phrases = _phrases("Contains", self.words)
        return [sum(phrase in text for phrase in phrases) / len(phrases) for text in map(_spaced, completions)]


@dataclass(frozen=True)
class Avoids:
    """1 when none of some words occurs in the completion, else 0: whole words or phrases, in any case.

    Args:
        words: at least one.

    Raises:
        ArgumentError: there is no word, or one without a letter.
    """

    words: Sequence[str]

    def __post_init__(self) -> None:
        _phrases("Avoids", self.words)

    def __call__(self, completions: Sequence[str]) -> list[float]:
        """Score n texts, 0 or 1 each."""
        phrases = _phrases("Avoids", self.words)
        return [float(not any(phrase in text for phrase in phrases)) for text in map(_spaced, completions)]


@dataclass(frozen=True)
class Length:
    """1 for a completion of `low` to `high` words, falling linearly to 0 at no word and at twice `high`.

    Args:
        low: fewest words, from 0.
        high: most words, at least 1.

    Raises:
        ArgumentError: the numbers are out of order.
    """

    low: int
    high: int

    def __post_init__(self) -> None:
        if not 0 <= self.low <= self.high or self.high < 1:
            raise ArgumentError(f"Length needs 0 ≤ low ≤ high and high ≥ 1, got low={self.low} and high={self.high}.")

    def __call__(self, completions: Sequence[str]) -> list[float]:
        """Score n texts."""
        return [self._score(len(words(text))) for text in completions]

    def _score(self, count: int) -> float:
        return count / self.low if count < self.low else min(1.0, max(0.0, 2 - count / self.high))


@dataclass(frozen=True)
class Distinct:
    """The share, 0 to 1, of different n-grams of words among all n-grams of a completion, in any case.

    A completion of fewer than n words scores 0. Li et al., "A Diversity-Promoting Objective Function for Neural
    Conversation Models", section 5.3, https://arxiv.org/abs/1510.03055, within each text instead of over all.

    Args:
        n: words in an n-gram, at least 1.

    Raises:
        ArgumentError: n is below 1.
    """

    n: int = 2

    def __post_init__(self) -> None:
        if self.n < 1:
            raise ArgumentError(f"Distinct needs n-grams of at least 1 word, got n={self.n}.")

    def __call__(self, completions: Sequence[str]) -> list[float]:
        """Score n texts."""
        grams = [ngrams(folded(text), self.n) for text in completions]
        return [len(set(row)) / len(row) if row else 0.0 for row in grams]
