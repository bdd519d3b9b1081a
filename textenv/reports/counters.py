"""What a run counts, and whether the state of a checkpoint can be one of its agent."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from textenv.checkpoint import read_values
from textenv.errors import LoadError

UNFIT: Final = (
    KeyError,
    TypeError,
    ValueError,
    RuntimeError,
    IndexError,
    AttributeError,
    OverflowError,
    LoadError,
)
"""What is raised when a state is loaded that is damaged or somebody else's."""


@dataclass(kw_only=True)
class Counters:
    """What a run counts, beside what its learner does."""

    updates: int = 0
    tokens: int = 0
    """Response tokens played."""
    seconds: float = 0.0
    """Spent on learning, by all processes that worked on the run up to its checkpoint."""
    first: dict[str, float] = field(default_factory=dict)
    """Metrics of the first update, with which the collapse alarm compares."""
    told: list[str] = field(default_factory=list)
    """Collapse alarms that have been shown."""

    @classmethod
    def load(cls, state: dict[str, Any]) -> "Counters":
        """Take them from a checkpoint.

        Raises:
            LoadError: one is missing or of another kind.
        """
        kinds: dict[str, Callable[[Any], bool]] = {
            "updates": is_count,
            "tokens": is_count,
            "seconds": is_number,
            "first": lambda first: isinstance(first, dict) and all(map(is_number, first.values())),
            "told": lambda told: isinstance(told, list) and all(isinstance(name, str) for name in told),
        }
        for name, is_kind in kinds.items():
            if not is_kind(state[name]):
                raise LoadError(f"its {name} cannot be {str(state[name])[:80]!r}")
        counters = cls(**{name: state[name] for name in kinds})
        if not is_count(state["episodes"]) or counters.updates > state["episodes"]:
            raise LoadError(f"it cannot be of {counters.updates} updates and {state['episodes']!r} episodes")
        return counters


def count_updates(checkpoint: Path) -> int:
    """Return how many updates a checkpoint counts; 0 where there is none, or where it is damaged, as resuming will say."""
    try:
        updates = read_values(checkpoint).get("updates", 0)
    except (FileNotFoundError, LoadError):
        return 0
    return updates if is_count(updates) else 0


def check_kinds(mine: dict[str, Any], state: dict[str, Any]) -> None:
    """Refuse a state whose numbers, texts and lists of whole numbers are of other kinds than an agent's.

    Args:
        mine: the agent's own state.
        state: the one to be loaded; what it lacks is not looked at.

    Raises:
        LoadError: one is of another kind.
    """
    for name in mine.keys() & state.keys():
        value, theirs = mine[name], state[name]
        if isinstance(value, bool):
            fits = isinstance(theirs, bool)
        elif isinstance(value, int | float):
            fits = is_number(theirs)
        elif isinstance(value, list):
            fits = isinstance(theirs, list) and all(map(is_count, theirs))
        else:
            fits = isinstance(theirs, type(value))
        if not fits:
            raise LoadError(f"its {name} cannot be {str(theirs)[:80]!r}")


def is_number(value: Any) -> bool:
    """Return whether a value is a number that a tensor can hold, and no boolean."""
    if isinstance(value, int):
        return not isinstance(value, bool) and abs(value) < 2**63
    return isinstance(value, float)


def is_count(value: Any) -> bool:
    """Return whether a value is a whole number from 0 on."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0
