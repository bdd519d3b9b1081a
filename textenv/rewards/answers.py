"""Rules for answers: lists of members of a group, copies, and courtesy."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from textenv.rewards.metrics import texts_of
from textenv.rewards.words import folded, words

_BETWEEN: Final = re.compile(r"[,;\n]|\band\b")
_ARTICLE: Final = re.compile(r"an? ")
_ENDINGS: Final = (("s", ""), ("es", ""), ("ies", "y"), ("ves", "f"), ("ves", "fe"))
"""Of plurals, and of their singulars."""
_IRREGULAR: Final = {
    **{"mice": "mouse", "geese": "goose", "feet": "foot", "teeth": "tooth"},
    **{"men": "man", "women": "woman", "children": "child", "people": "person", "oxen": "ox"},
}


@dataclass(frozen=True)
class ListOf:
    """The share, 0 to 1, of a list that is right: of so many items, those that are members of a group and not repeated.

    Commas, semicolons, new lines and "and" part the items; items beyond `count` lower the share. A member counts in the singular,
    with "a" or "an" too, and in the plural, and once in all of them.

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
        group = {folded(member) for member in members}
        items = [item for item in (part.strip(" .!\"'") for part in _BETWEEN.split(folded(text))) if item]
        right = {member for item in items for member in group & _readings(item)}
        return min(len(right), self.count) / max(len(items), self.count)


def _readings(item: str) -> set[str]:
    """Return what an item of a list may be the name of, in the singular.

    >>> _readings("a crow"), sorted(_readings("knives"))
    ({'crow'}, ['knif', 'knife', 'kniv', 'knive', 'knives'])
    """
    article = _ARTICLE.match(item)
    if article:
        return {item[article.end() :]}
    before, _, noun = item.rpartition(" ")
    nouns = [noun, _IRREGULAR.get(noun, noun), *(noun.removesuffix(many) + one for many, one in _ENDINGS if noun.endswith(many))]
    return {f"{before} {each}".strip() for each in nouns}


def changed(completions: Sequence[str], source: Sequence[str]) -> list[float]:
    """Score 0 for a text that holds its source word for word, in any case and punctuation, and 1 for any other.

    >>> changed(["Tom ran home.", "tom RUNS home!", "Again: Tom runs home."], ["Tom runs home."] * 3)
    [1.0, 0.0, 0.0]
    """
    return [float(not _holds(text, original)) for text, original in zip(completions, source, strict=True)]


def _holds(text: str, original: str) -> bool:
    spaced, wanted = (f" {' '.join(words(folded(each)))} " for each in (text, original))
    return bool(wanted.strip()) and wanted in spaced


_COURTESIES: Final = (
    *("please", "kindly", "thank you", "thanks", "excuse me", "be so kind", "be grateful"),
    *("would you", "could you", "can you", "will you", "may i", "may we", "might i", "might we"),
    *("could i", "could we", "can i", "can we", "i would like", "i'd like", "we would like", "we'd like"),
)


_LAST_MARK: Final = re.compile(r"[.!?。！？]")


def courteous(completions: Sequence[str], source: Sequence[str]) -> list[float]:
    """Score 0 for an order that is said without a courtesy, such as "please" or "could you", and 1 for any other text.

    An order is a source whose last mark is an exclamation mark, and so is an exclamation such as "What a cow!", as nothing
    here reads grammar: to leave out its insult is not yet to ask politely. Statements and questions need no courtesy.

    >>> courteous(["Stop that!", "Please stop.", "He is late."], ["Stop that, you fool!"] * 2 + ["The fool is late."])
    [0.0, 1.0, 1.0]
    """
    spaced = [f" {' '.join(words(folded(text)))} " for text in completions]
    asks = [any(f" {courtesy} " in text for courtesy in _COURTESIES) for text in spaced]
    orders = [_LAST_MARK.findall(original)[-1:] in (["!"], ["！"]) for original in texts_of(source, "source")]
    return [float(polite or not order) for polite, order in zip(asks, orders, strict=True)]
