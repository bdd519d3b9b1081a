"""`Comparison`: what one annotator said of the responses to one prompt."""

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Final

from textenv.data import text_fault
from textenv.errors import ArgumentError
from textenv.formats import shown
from textenv.models.pieces import half_character

RATINGS: Final = (1, 7)
"""The least and the greatest rating of a response."""


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """A prompt, K responses to it, and one annotator's judgement of them.

    >>> Comparison(prompt="The film", responses=(" was good.", " was long.", " was bad."), ranks=(1, 2, 2)).pairs
    [(0, 1), (0, 2)]

    Raises:
        ArgumentError: there are fewer than two responses, ranks, ratings or sources do not fit them, or a text is not one or holds half
            of a character, which no file can keep.
    """

    prompt: str
    responses: tuple[str, ...]
    """K texts, K ≥ 2."""
    ranks: tuple[int, ...] | None = None
    """Of each response from 1, the best, on; equal ranks are ties, and gaps mean nothing. None: the annotator could not tell."""
    ratings: tuple[float | None, ...] | None = None
    """Of each response from 1 to 7, None where it was not rated; None if none was."""
    annotator: str = ""
    """Who judged. Empty: it is not known who; where ranks and ratings are None too, nobody has judged yet."""
    sources: tuple[str, ...] | None = None
    """Who wrote each response, such as the names of runs; None where nobody knows."""

    def __post_init__(self) -> None:
        for name in ("responses", "ranks", "ratings", "sources"):
            values = getattr(self, name)
            if values is None and name != "responses":
                continue
            if not isinstance(values, Sequence) or isinstance(values, str | bytes | bytearray):
                # A single text would be taken for a list of its letters.
                raise ArgumentError(f"The {name} of a comparison are a tuple, got {shown(values)} for the prompt {shown(self.prompt)}.")
            object.__setattr__(self, name, tuple(values))
        self._check_texts()
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
            is_number = isinstance(rating, int | float) and not isinstance(rating, bool)
            if rating is not None and not (is_number and RATINGS[0] <= rating <= RATINGS[1]):
                raise ArgumentError(
                    f"A rating must be a number between {RATINGS[0]} and {RATINGS[1]}, got {shown(rating)} for the prompt {self.prompt!r}."
                )

    def _check_texts(self) -> None:
        """Raise ArgumentError where a text is none, or holds half of a character."""
        texts = [("prompt", self.prompt), ("annotator", self.annotator)]
        texts += [("responses", text) for text in self.responses]
        texts += [("sources", text) for text in self.sources or ()]
        for name, text in texts:
            fault = text_fault(text, name)
            if fault is None and half_character(text) is not None:
                fault = f'"{name}" holds {half_character(text)!r}, half of a character, which no file can keep; take it out.'
            if fault is not None:
                raise ArgumentError(f"In a comparison for the prompt {shown(self.prompt)}, {fault}")

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
            f"The ranks of {k} responses are {k} integers from 1, the best, to at most {k}, got {shown(list(ranks))}"
            f" for the prompt {prompt!r}."
        )


def is_held_out(prompt: str, share: float) -> bool:
    """Tell whether a prompt belongs to the held-out part, by a hash of its text, so that all judgements of a prompt fall on one side.

    Args:
        prompt: a text.
        share: of the prompts that is held out, in [0, 1).
    """
    return int.from_bytes(blake2b(prompt.encode(), digest_size=8).digest(), "big") < share * 2**64
