"""How much of a text is not copied."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from textenv.errors import ArgumentError
from textenv.rewards.metrics import texts_of
from textenv.rewards.words import folded, ngrams


@dataclass(frozen=True)
class Novelty:
    """The share, 0 to 1 and higher for less copied, of a completion's n-grams of words that another text lacks, in any case.

    A completion of fewer than n words copies nothing and scores 1.

    Grusky et al., "Newsroom: A Dataset of 1.3 Million Summaries with Diverse Extractive Strategies", section 4,
    https://arxiv.org/abs/1804.11283, measure the opposite as coverage and density of fragments.

    Args:
        n: words in an n-gram, at least 1.
        of: "prompts", or a column of the prompt set that holds the texts that may not be copied.

    Raises:
        ArgumentError: n is below 1.
    """

    n: int = 4
    of: str = "prompts"

    def __post_init__(self) -> None:
        if self.n < 1:
            raise ArgumentError(f"Novelty needs n-grams of at least 1 word, got n={self.n}.")

    @property
    def columns(self) -> tuple[str, ...]:
        """The column that is compared."""
        return (self.of,)

    def __call__(self, prompts: Sequence[str], completions: Sequence[str], **columns: Any) -> list[float]:
        """Score n texts."""
        others = prompts if self.of == "prompts" else texts_of(columns[self.of], self.of)
        return [self._score(other, text) for other, text in zip(others, completions, strict=True)]

    def _score(self, other: str, text: str) -> float:
        there, grams = set(ngrams(folded(other), self.n)), ngrams(folded(text), self.n)
        return sum(gram not in there for gram in grams) / len(grams) if grams else 1.0
