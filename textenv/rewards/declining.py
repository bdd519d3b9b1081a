"""Whether a text declines to answer, and whether it should have."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from textenv.rewards.loading import load_reward
from textenv.rewards.protocol import Scores, call_reward, needed
from textenv.rewards.words import folded

_REFUSAL: Final = re.compile(
    r"\b(i|we) (\w+ )?(can ?not|can't|could ?n[o']t|will not|won't|can only) (\w+ )?(help|answer|assist)\b"
    r"|\brather (\w+ )?not\b|\bask (me )?something else\b|\boutside (of )?my\b|\b(that|this) is not about\b",
    re.IGNORECASE,
)
_EXCUSE: Final = re.compile(
    r"\W*((i am|i'm) )?(\w+ )?(sorry|afraid|unable)\b|\W*i (would rather|can ?not|can't|can only|will not|won't)\b|\W*(that|this) is not\b",
    re.IGNORECASE,
)


def refuses(text: str) -> bool:
    """Tell whether a text says, anywhere, that it gives no answer: "cannot help", "rather not", "outside my topic".

    >>> refuses(" Thank you, but I would rather not answer that."), refuses(" Sorry to say, it rains a lot.")
    (True, False)
    """
    return _REFUSAL.search(folded(text)) is not None


def excuses_itself(text: str) -> bool:
    """Tell whether a text begins as one that gives no answer: "Sorry", "I am afraid", "I would", "That is not".

    >>> excuses_itself(" Thank you, but I would rather not answer that."), excuses_itself(" Sorry to say, it rains a lot.")
    (False, True)
    """
    return _EXCUSE.match(folded(text)) is not None


@dataclass(frozen=True)
class InScope:
    """To an allowed question what the answer is worth, or 0 when it is declined; to any other 1 when it is declined, or else 0.

    In [0, 1] when the worth is. The parts are `answer`, what the text is worth as an
    answer, allowed or not, and `declined`, 0 or 1. The prompt set has a column `allowed` of true and false.

    Args:
        answer: a reward by text.
        declines: tells whether a text declines.
        device: of a worth that holds a model.
    """

    answer: Callable[..., Any]
    declines: Callable[[str], bool] = refuses
    device: str = "cpu"

    @property
    def columns(self) -> tuple[str, ...]:
        """What the worth of an answer needs."""
        return tuple(needed(self.answer))

    def __call__(self, prompts: Sequence[str], completions: Sequence[str], allowed: Sequence[bool], **columns: Any) -> Scores:
        """Score n texts."""
        worth = call_reward(load_reward(self.answer, device=self.device), prompts, completions, columns).scores  # (n,)
        declined = np.array([self.declines(text) for text in completions], dtype=np.float64)  # (n,)
        return Scores(np.where(allowed, worth * (1 - declined), declined), parts={"answer": worth, "declined": declined})
