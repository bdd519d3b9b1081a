"""The record of one exercise, and what all generators of exercises share."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

from textenv.world.stories import articled, capitalised


@dataclass(frozen=True, kw_only=True)
class Exercise:
    """One request and what is known of its answer."""

    skill: str
    request: str
    answer: str
    """A good answer."""
    accepted: tuple[str, ...] = ()
    """All right answers, where they can be counted."""
    wrong: tuple[str, ...] = ()
    """Usual mistakes."""
    system: str = ""
    """What the assistant was told before."""
    facts: dict[str, Any] = field(default_factory=dict)
    """What the exact judge of an open exercise compares with."""


def closed(
    rng: Random,
    skill: str,
    requests: tuple[str, ...],
    accepted: tuple[str, ...],
    wrong: tuple[str, ...],
    **more: Any,
) -> Exercise:
    """Make an exercise whose right answers can be counted, with one of its wordings and one of its answers.

    Args:
        rng: source of the draws.
        skill: its name.
        requests: wordings.
        accepted: all right answers; each begins with a capital afterwards.
        wrong: usual mistakes, of which those that are right after all are left out.
        **more: other fields of `Exercise`.
    """
    answers = tuple(dict.fromkeys(map(capitalised, accepted)))
    mistakes = tuple(text for text in dict.fromkeys(map(capitalised, wrong)) if text not in answers)
    return Exercise(
        skill=skill,
        request=rng.choice(requests),
        answer=rng.choice(answers),
        accepted=answers,
        wrong=mistakes,
        **more,
    )


def other_values(rng: Random, right: str, column: Sequence[str], count: int = 2) -> list[str]:
    """Draw other values of a column than the right one."""
    return rng.sample(sorted(set(column) - {right}), count)


def filled(forms: tuple[str, ...], value: str) -> tuple[str, ...]:
    """Put a value into every form of an answer.

    >>> filled(("{}.", "a bee is a {}."), "insect")
    ('insect.', 'a bee is an insect.')
    """
    return tuple(articled(form.format(value)) for form in forms)


def people(slots: dict[str, str]) -> dict[str, str]:
    """Return those slots of a scene that name its people."""
    return {name: slots[name] for name in ("who", "other", "he", "He", "his", "him")}
