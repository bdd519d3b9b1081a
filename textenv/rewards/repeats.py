"""Texts that occur more than once in a batch are scored once.

Nothing is kept from one batch to the next: what a model says of a text depends in its last bits on the batch it stands in, and
a run that is resumed must go on to the same bits without the texts of its first life.
"""

from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import TypeVar

Item = TypeVar("Item", bound=Hashable)


def once(items: Sequence[Item], score: Callable[[list[Item]], Iterable[float]]) -> list[float]:
    """Score each different item once.

    >>> once(["a", "bb", "a"], lambda texts: [float(len(text)) for text in texts])
    [1.0, 2.0, 1.0]

    Args:
        items: n texts, or tuples of texts.
        score: maps different items to a score each, and is not called for none.

    Returns:
        n scores.
    """
    different = list(dict.fromkeys(items))
    scores = dict(zip(different, map(float, score(different)), strict=True)) if different else {}
    return [scores[item] for item in items]
