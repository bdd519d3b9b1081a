"""Comparisons as the losses take them: padded tables, and parts that share no prompt."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from textenv.errors import ArgumentError
from textenv.preferences.comparison import Comparison, is_held_out


class Judgements(NamedTuple):
    """What was said of B prompts.

    Shapes: B comparisons, K the most responses that one has.
    """

    ranks: torch.Tensor
    """(B, K) from 1, the best; 0 where there is no response or no ranking."""
    ranked: torch.Tensor
    """(B, K) whether there is a ranked response."""
    ratings: torch.Tensor
    """(B, K) from 1 to 7; 0 where there is none."""
    rated: torch.Tensor
    """(B, K) whether there is a rated response."""


def ranks_of(comparison: Comparison) -> tuple[int, ...] | None:
    """Ranks of a comparison; without ranks those of its ratings, if all responses have one.

    >>> ranks_of(Comparison(prompt="", responses=("a", "b", "c"), ratings=(2, 5, 5)))
    (3, 1, 1)
    """
    ratings = comparison.ratings
    if comparison.ranks is not None or ratings is None or None in ratings:
        return comparison.ranks
    return tuple(1 + sum(other > rating for other in ratings if other is not None) for rating in ratings if rating is not None)


def judgements(comparisons: Sequence[Comparison]) -> Judgements:
    """Put comparisons into tables."""
    width = max((len(comparison.responses) for comparison in comparisons), default=0)
    ranks = torch.tensor([_padded(ranks_of(comparison), width) for comparison in comparisons], dtype=torch.long).view(-1, width)
    ratings = torch.tensor([_padded(comparison.ratings, width) for comparison in comparisons]).view(-1, width)
    return Judgements(ranks, ranks > 0, ratings, ratings > 0)


def _padded(values: Sequence[float | None] | None, width: int) -> list[float]:
    known = [value or 0 for value in values or ()]
    return known + [0] * (width - len(known))


def group_names(comparisons: Sequence[Comparison]) -> list[str]:
    """Name the groups of comparisons that are independent of each other: those of a prompt.

    When all have the same prompt, a group is those of the same responses.
    """
    names = [comparison.prompt for comparison in comparisons]
    if len(set(names)) > 1:
        return names
    return ["\n".join(sorted(comparison.responses)) for comparison in comparisons]


class Pairs(NamedTuple):
    """All pairs of some comparisons in which one response is better.

    Shapes: n pairs.
    """

    differences: NDArray[np.float64]
    """(n,) the better one's reward minus the other's."""
    groups: NDArray[np.int64]
    """(n,) from 0 to G-1, see `group_names`."""


def pairs_of(comparisons: Sequence[Comparison], scores: Sequence[NDArray[np.float64]]) -> Pairs:
    """Compare the scores of the responses, an array (K,) a comparison, in all pairs."""
    names = group_names(comparisons)
    differences, groups = list[float](), list[str]()
    for comparison, name, found in zip(comparisons, names, scores, strict=True):
        ranks = ranks_of(comparison) or ()
        apart = [float(found[i] - found[j]) for i, a in enumerate(ranks) for j, b in enumerate(ranks) if a < b]
        differences += apart
        groups += [name] * len(apart)
    return Pairs(np.array(differences), np.unique(groups, return_inverse=True)[1])


class Split(NamedTuple):
    """Three parts of some comparisons; all of a group, see `group_names`, are in one."""

    learnt: list[Comparison]
    """To learn from."""
    chosen: list[Comparison]
    """To choose among weights, half of what is held out."""
    unseen: list[Comparison]
    """To report on, the other half."""


def split(comparisons: Sequence[Comparison], held_out: float) -> Split:
    """Split by a hash of the group, so that the parts are the same whatever the order of the comparisons.

    Args:
        comparisons: any number.
        held_out: share of the groups that is held out, in [0, 1).

    Raises:
        ArgumentError: there is none to learn from, or, with a share, none to report on.
    """
    parts = Split([], [], [])
    for comparison, name in zip(comparisons, group_names(comparisons), strict=True):
        part = parts.unseen if is_held_out(name, held_out / 2) else parts.chosen if is_held_out(name, held_out) else parts.learnt
        part.append(comparison)
    if not parts.learnt or (held_out and not (parts.chosen and parts.unseen)):
        raise ArgumentError(
            f"{len(comparisons)} comparisons of {len(set(group_names(comparisons)))} prompts are too few to hold out {held_out:g} of them;"
            " give more, or set held_out to 0."
        )
    return parts
