"""`Comparison`: what one annotator said of the responses to one prompt."""

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Final

from textenv.errors import ArgumentError

RATINGS: Final = (1, 7)
"""The least and the greatest rating of a response."""


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """A prompt, K responses to it, and one annotator's judgement of them.

    >>> Comparison(prompt="The film", responses=(" was good.", " was long.", " was bad."), ranks=(1, 2, 2)).pairs
    [(0, 1), (0, 2)]

    Raises:
        ArgumentError: there are fewer than two responses, or ranks, ratings or sources do not fit them.
    """

    prompt: str
    responses: tuple[str, ...]
    """K texts, K ≥ 2."""
    ranks: tuple[int, ...] | None = None
    """Of each response from 1, the best, on; equal ranks are ties, and gaps mean nothing. None: the annotator could not tell."""
    ratings: tuple[float | None, ...] | None = None
    """Of each response from 1 to 7, None where it was not rated; None if none was."""
    annotator: str = ""
    """Who judged; empty where nobody knows, and of nobody's judgement where ranks and ratings are None too."""
    sources: tuple[str, ...] | None = None
    """Who wrote each response, such as the names of runs; None where nobody knows."""

    def __post_init__(self) -> None:
        k = len(self.responses)
        if k < 2:
            raise ArgumentError(f"A comparison needs two or more responses, got {k} for the prompt {self.prompt!r}.")
        if self.ranks is not None:
            check_ranks(self.ranks, k, self.prompt)
        for name in ("ratings", "sources"):
            values = getattr(self, name)
            if values is not None and len(values) != k:
                raise ArgumentError(f"A comparison of {k} responses needs {k} {name}, got {len(values)} for the prompt {self.prompt!r}.")
        for rating in self.ratings or ():
            if rating is not None and not RATINGS[0] <= rating <= RATINGS[1]:
                raise ArgumentError(
                    f"A rating must be between {RATINGS[0]} and {RATINGS[1]}, got {rating!r} for the prompt {self.prompt!r}."
                )

    @property
    def pairs(self) -> list[tuple[int, int]]:
        """Indices (better, worse) of all pairs in which one response is better; none without ranks."""
        return [(i, j) for i, a in enumerate(self.ranks or ()) for j, b in enumerate(self.ranks or ()) if a < b]

    @property
    def ties(self) -> list[tuple[int, int]]:
        """Indices i < j of all pairs in which neither is better; none without ranks."""
        ranks = self.ranks or ()
        return [(i, j) for i in range(len(ranks)) for j in range(i + 1, len(ranks)) if ranks[i] == ranks[j]]


def check_ranks(ranks: Sequence[int], k: int, prompt: str) -> None:
    """Refuse ranks that are none of k responses.

    Raises:
        ArgumentError: they are not k integers from 1 on, or none of them is 1.
    """
    whole = all(isinstance(rank, int) and not isinstance(rank, bool) for rank in ranks)
    if len(ranks) != k or not whole or min(ranks) != 1 or max(ranks) > k:
        raise ArgumentError(
            f"The ranks of {k} responses are {k} integers from 1, the best, to at most {k}, got {list(ranks)!r} for the prompt {prompt!r}."
        )


def is_held_out(prompt: str, share: float) -> bool:
    """Tell whether a prompt belongs to the held-out part, by a hash of its text, so that all judgements of a prompt fall on one side.

    Args:
        prompt: a text.
        share: of the prompts that is held out, in [0, 1).
    """
    return int.from_bytes(blake2b(prompt.encode(), digest_size=8).digest(), "big") < share * 2**64
