"""Whether a text answers a question, by its words: what it says beyond the question, lists of members, and copies."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from textenv.rewards.metrics import texts_of
from textenv.rewards.words import folded, words

_FUNCTION_WORDS: Final = frozenset(
    "a an the is are was were be been it its they them has have had do does did of in at to on from with and you can for".split()
)
_NEGATIONS: Final = frozenset(("not", "no", "never", "nothing", "nobody", "none", "cannot", "without"))


@dataclass(frozen=True)
class Answer:
    """The F1, 0 to 1, of what a completion says beyond the question with what a reference says beyond it.

    Words of the question, function words and a final s count neither way; repeated words count as often as the reference has
    them, so that repeating what is right costs. A completion that denies what the reference affirms, or affirms what it denies,
    scores 0. Where the reference says nothing beyond the question, all its words count.

    The F1 of words is that of Rajpurkar et al., "SQuAD", section 6.1, https://arxiv.org/abs/1606.05250.

    Args:
        reference: column of the prompt set with a right answer each.
        question: column with the question each; None where there is none.
    """

    reference: str = "reference"
    question: str | None = "question"

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of the references and the questions."""
        return (self.reference,) if self.question is None else (self.reference, self.question)

    def __call__(self, completions: Sequence[str], **columns: Any) -> list[float]:
        """Score n texts."""
        references = texts_of(columns[self.reference], self.reference)
        questions = [""] * len(references) if self.question is None else texts_of(columns[self.question], self.question)
        rows = zip(completions, references, questions, strict=True)
        return [_answer_f1(*row) for row in rows]


def _answer_f1(completion: str, reference: str, question: str) -> float:
    said, right = _stems(completion), _stems(reference)
    if _denies(completion) != _denies(reference):
        return 0.0
    asked = set(_stems(question))
    if set(right) <= asked:
        asked = set()
    said = Counter({word: count for word, count in said.items() if word not in asked})
    right = Counter({word: count for word, count in right.items() if word not in asked})
    shared = (said & right).total()
    return 2 * shared / (said.total() + right.total()) if shared else 0.0


def _stems(text: str) -> Counter[str]:
    every = [word for word in words(folded(text)) if word not in _FUNCTION_WORDS] or words(folded(text))
    return Counter(word[:-1] if len(word) > 3 and word.endswith("s") else word for word in every)


def _denies(text: str) -> bool:
    return any(word in _NEGATIONS or word.endswith("n't") for word in words(folded(text)))


@dataclass(frozen=True)
class ListOf:
    """The share, 0 to 1, of a list that is right: of so many items, those that are members of a group and not repeated.

    Commas, semicolons, new lines and "and" part the items; items beyond `count` lower the share.

    Args:
        members: column of the prompt set with the members of the group that is asked for.
        count: items that are asked for, at least 1.
    """

    members: str = "members"
    count: int = 3

    @property
    def columns(self) -> tuple[str, ...]:
        """The column of the members."""
        return (self.members,)

    def __call__(self, completions: Sequence[str], **columns: Any) -> list[float]:
        """Score n texts."""
        return [self._share(text, members) for text, members in zip(completions, columns[self.members], strict=True)]

    def _share(self, text: str, members: Sequence[str]) -> float:
        items = [item.strip(" .!") for item in re.split(r"[,;\n]|\band\b", folded(text))]
        right = {folded(member) for member in members} & set(items)
        return min(len(right), self.count) / max(len(items), self.count)


def differs(completions: Sequence[str], source: Sequence[str]) -> list[float]:
    """Score 0 for a text that has the words of its source, in their order and no others, and 1 for any other.

    >>> differs(["Tom ran home.", "Tom ran.", "tom RUNS home!"], ["Tom runs home."] * 3)
    [1.0, 1.0, 0.0]
    """
    pairs = [(words(folded(a)), words(folded(b))) for a, b in zip(completions, source, strict=True)]
    return [float(a != b) for a, b in pairs]
