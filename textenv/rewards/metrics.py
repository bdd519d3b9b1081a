"""Metrics of text against a reference."""

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from textenv.errors import RewardError
from textenv.rewards.words import folded, normalised, words


def texts_of(values: Sequence[Any], column: str) -> Sequence[str]:
    """Return the values of a column, refused where one is no text.

    Raises:
        RewardError: naming the column and the value.
    """
    for value in values:
        if not isinstance(value, str):
            raise RewardError(f'The column "{column}" must hold texts, got {value!r}.')
    return values


class _Words:
    """The words of a text in any case, for rouge-score, whose own tokenizer drops all but a to z."""

    def tokenize(self, text: str) -> list[str]:
        """Split a text."""
        return words(folded(text))


@functools.cache
def _rouge() -> Any:
    from rouge_score.rouge_scorer import RougeScorer

    return RougeScorer(["rougeL"], tokenizer=_Words())


@functools.cache
def _chrf() -> Any:
    from sacrebleu.metrics.chrf import CHRF

    return CHRF()


@dataclass(frozen=True)
class RougeL:
    """ROUGE-L, the F1 of the longest common subsequence of words with a reference, from 0 to 1 and higher for closer.

    By rouge-score, without stemming, in any case. Lin, "ROUGE: A Package for Automatic Evaluation of Summaries", section 3,
    https://aclanthology.org/W04-1013.

    Args:
        column: of the prompt set, with a reference text each.
    """

    column: str = "reference"

    @property
    def columns(self) -> tuple[str, ...]:
        """The column of the references."""
        return (self.column,)

    def __call__(self, completions: Sequence[str], **columns: Any) -> list[float]:
        """Score n texts."""
        references = texts_of(columns[self.column], self.column)
        pairs = zip(references, completions, strict=True)
        return [float(_rouge().score(reference, text)["rougeL"].fmeasure) for reference, text in pairs]


@dataclass(frozen=True)
class ChrF:
    """ChrF, the F2 of character n-grams with a reference, from 0 to 1 and higher for closer; it needs no words.

    By sacrebleu, divided by 100. Popović, "chrF: character n-gram F-score for automatic MT evaluation",
    https://aclanthology.org/W15-3049.

    Args:
        column: of the prompt set, with a reference text each.
    """

    column: str = "reference"

    @property
    def columns(self) -> tuple[str, ...]:
        """The column of the references."""
        return (self.column,)

    def __call__(self, completions: Sequence[str], **columns: Any) -> list[float]:
        """Score n texts."""
        references = texts_of(columns[self.column], self.column)
        pairs = zip(map(normalised, references), map(normalised, completions), strict=True)
        return [float(_chrf().sentence_score(text, [reference]).score) / 100 for reference, text in pairs]


@dataclass(frozen=True)
class WordOverlap:
    """The share, 0 to 1, of a text's content words that occur in the completion, in any case.

    Content words are those that scikit-learn does not list as English stop words; a text without any counts with all its
    words, and one without words scores 0.

    Args:
        column: "prompts", or a column of the prompt set that holds texts.
    """

    column: str = "prompts"

    @property
    def columns(self) -> tuple[str, ...]:
        """The column whose words are looked for."""
        return (self.column,)

    def __call__(self, prompts: Sequence[str], completions: Sequence[str], **columns: Any) -> list[float]:
        """Score n texts."""
        texts = prompts if self.column == "prompts" else texts_of(columns[self.column], self.column)
        return [_share(content_words(text), set(words(folded(completion)))) for text, completion in zip(texts, completions, strict=True)]


def content_words(text: str) -> set[str]:
    """Find the different words of a text in lower case, without English stop words where others are left.

    >>> sorted(content_words("The rain is on the roof"))
    ['rain', 'roof']
    >>> sorted(content_words("It is"))
    ['is', 'it']
    """
    from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS

    every = set(words(folded(text)))
    return every - ENGLISH_STOP_WORDS or every


def _share(wanted: set[str], there: set[str]) -> float:
    return len(wanted & there) / len(wanted) if wanted else 0.0
