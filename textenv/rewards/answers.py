"""Rules for answers: lists of members of a group, and copies."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from textenv.rewards.words import folded, words


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


def changed(completions: Sequence[str], source: Sequence[str]) -> list[float]:
    """Score 0 for a text that holds its source word for word, in any case and punctuation, and 1 for any other.

    >>> changed(["Tom ran home.", "tom RUNS home!", "Again: Tom runs home."], ["Tom runs home."] * 3)
    [1.0, 0.0, 0.0]
    """
    return [float(not _holds(text, original)) for text, original in zip(completions, source, strict=True)]


def _holds(text: str, original: str) -> bool:
    spaced, wanted = (f" {' '.join(words(folded(each)))} " for each in (text, original))
    return bool(wanted.strip()) and wanted in spaced
