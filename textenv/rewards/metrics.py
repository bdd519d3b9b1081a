"""Metrics of text against a reference."""

import functools
import re
from collections import Counter
from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

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


_FUNCTION_WORDS: Final = frozenset(
    """a an the this that these those it its he she they we you i him her them us me his their our your my
    is are was were be been being am do does did doing has have had having will would can could may might
    shall should must to of for with by as from than then and or there here so very""".split()
)
_DENIALS: Final = frozenset("no not never none nobody nothing nowhere neither nor cannot without".split())
_TAKEN_BACK: Final = frozenset(
    """false untrue wrong incorrect mistaken nonsense hardly barely scarcely rarely seldom except anything
    instead rather unlike lack lacks fail fails refuse refuses avoid avoids hate hates dislike dislikes
    deny denies doubt ain't dont doesnt didnt isnt arent wasnt wont cant""".split()
)
"""What denies besides `_DENIALS`, where a question says what is asked for."""
_OF_ANSWERS: Final = frozenset("true right correct case answer fact way really thing".split())
"""Beside a denial, words about what was said."""
_AFFIRMED: Final = re.compile(r"\b(?:nothing but|not only|no doubt|without (?:a )?doubt|none other than)\b")
_NO: Final = re.compile(r"\A\W*no\s*[,.;:!]")
_SENTENCE_ENDS: Final = re.compile(r"[.!?。！？\n]+")
_CLAUSE_ENDS: Final = re.compile(r"[.,;:!?。，；：！？\n]+|\b(?:but|because)\b")


@dataclass(frozen=True)
class WordF1:
    """The F1 of the content words that a completion and a reference share, from 0 to 1 and higher for closer.

    Words are compared by their stem, in any case, and each counts as often as it stands, so that repeating one costs
    precision. A word that is denied is another word: in "does not eat grass" neither "eat" nor "grass" is what it is in
    "eats grass". A denial reaches from "not", "never" and the like to the end of its clause. Order does not count, which is
    for `Fluency` to see. A completion or reference of function words alone counts with all of them.

    Rajpurkar et al., "SQuAD", section 6.1, https://arxiv.org/abs/1606.05250; of denied words Pang, Lee & Vaithyanathan,
    "Thumbs up?", section 5, https://aclanthology.org/W02-1011; the stems are Porter's, by nltk.

    With `beyond`, what the question says already counts neither way, so that "A cow eats hay." is no half of "A cow eats
    grass."; a reference that says nothing beyond its question counts whole. There a denial that neither the reference nor
    the question has reaches over its whole sentence, so that "Grass is not it." is as wrong as "It is not grass.", and over the
    whole text where it denies what was said, as in "Grass. That is not true."

    Args:
        column: of the prompt set, with a reference text each.
        beyond: of the prompt set, with the question each; None compares all words.
    """

    column: str = "reference"
    beyond: str | None = None

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of the references and the questions."""
        return (self.column,) if self.beyond is None else (self.column, self.beyond)

    def __call__(self, completions: Sequence[str], **columns: Any) -> list[float]:
        """Score n texts."""
        references = texts_of(columns[self.column], self.column)
        if self.beyond is None:
            return [_f1(_claims(text), _claims(right)) for text, right in zip(completions, references, strict=True)]
        questions = texts_of(columns[self.beyond], self.beyond)
        return [_f1_beyond(*row) for row in zip(completions, references, questions, strict=True)]


_Claims: TypeAlias = Counter[tuple[str, bool | None]]
"""How often each stem is said, with whether it is denied, or None where all around it is."""


def _f1(said: _Claims, right: _Claims) -> float:
    return 2 * (said & right).total() / max(1, said.total() + right.total())


def _f1_beyond(completion: str, reference: str, question: str) -> float:
    asked = {stem for stem, _ in _claims(question)}
    said, right = _claims_with_doubt(completion, reference, question, asked), _claims(reference)
    if any(stem not in asked for stem, _ in right):
        said, right = (Counter({claim: n for claim, n in each.items() if claim[0] not in asked}) for each in (said, right))
    return _f1(said, right)


def _claims_with_doubt(completion: str, reference: str, question: str, asked: Set[str]) -> _Claims:
    """Count a text's claims, with None for those that it denies otherwise than reference and question do."""
    denied_there = Counter(_denials(reference))
    allowed = denied_there + Counter(_denials(question))
    text = _NO.sub("", folded(completion), count=1) if denied_there else folded(completion)
    more = len(_denials(text)) > allowed.total()
    claims: list[tuple[str, bool | None]] = []
    dismissed = False
    for sentence in _SENTENCE_ENDS.split(text):
        keys = set(_denials(sentence))
        denied = bool(keys) and (more or not keys <= allowed.keys())
        content = list(_content_claims(sentence))
        claims.extend((stem, None if denied else flag) for stem, flag in content)
        dismissed |= denied and {stem for stem, _ in content} <= asked | _empty_stems()
    if not claims:
        return _claims(completion)
    return Counter((stem, None) for stem, _ in claims) if dismissed else Counter(claims)


def _denials(text: str) -> list[str]:
    """List the denials of a text, each by the stem of the content word that it denies, "" for none."""
    keys = list[str]()
    for said in _clauses(_AFFIRMED.sub(" ", folded(text))):
        for place, word in enumerate(said):
            if word in _TAKEN_BACK:
                keys.append(word)
            elif _denies(word):
                rest = [each for each in said[place + 1 :] if not _denies(each) and each not in _FUNCTION_WORDS]
                keys.append(_stem(rest[0]) if rest else "")
    return keys


def _denies(word: str) -> bool:
    return word in _DENIALS or word.endswith("n't")


def _claims(text: str) -> _Claims:
    """Count the stems of a text's content words, each with whether it is denied."""
    claims: _Claims = Counter(_content_claims(text))
    return claims or Counter((word, False) for clause in _clauses(text) for word in clause)


def _content_claims(text: str) -> Iterator[tuple[str, bool]]:
    for clause in _clauses(text):
        yield from _claims_of(clause)


def _clauses(text: str) -> list[list[str]]:
    return [words(clause) for clause in _CLAUSE_ENDS.split(folded(text))]


def _claims_of(clause: Sequence[str]) -> Iterator[tuple[str, bool]]:
    denied = False
    for word in clause:
        if (word in _DENIALS and len(clause) > 1) or word.endswith("n't"):
            denied = True
        elif word not in _FUNCTION_WORDS:
            yield _stem(word), denied


@functools.cache
def _empty_stems() -> frozenset[str]:
    """Return the stems of words that say nothing about the world where something is denied."""
    return frozenset(map(_stem, _OF_ANSWERS | _TAKEN_BACK | _DENIALS))


@functools.cache
def _stemmer() -> Any:
    from nltk.stem.porter import PorterStemmer

    return PorterStemmer()


@functools.lru_cache(maxsize=2**16)
def _stem(word: str) -> str:
    return str(_stemmer().stem(word))
