"""The errors that textenv raises.

TextenvError
├── ArgumentError (ValueError)        an id, an argument, a prompt set or a file that cannot be used
├── ActionError (ValueError)          an action that is not a token id
├── OrderError (RuntimeError)         a call at the wrong time, such as a step before the first reset
├── RewardError (RuntimeError)        a reward that failed or returned what is not a score
├── TrainingError (RuntimeError)      a training that has diverged
├── LoadError (OSError)               a model, tokenizer, data set or checkpoint that cannot be loaded
├── SaveError (OSError)               a file that cannot be written
└── ContractError (AssertionError)    an environment that does not keep the contract of `textenv.check`

Argument errors derive from ValueError because `gymnasium.make` prints every keyword along with a TypeError.
"""

import difflib
from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from textenv.types import Episodes


class TextenvError(Exception):
    """Base of all errors of textenv."""


class ArgumentError(TextenvError, ValueError):
    """An id, an argument, a prompt set or a file that cannot be used."""


class ActionError(TextenvError, ValueError):
    """An action that is not a token id."""


class OrderError(TextenvError, RuntimeError):
    """A call at the wrong time."""


class RewardError(TextenvError, RuntimeError):
    """A reward that failed or returned what is not a score."""


class TrainingError(TextenvError, RuntimeError):
    """A training that has diverged.

    Args:
        message: what happened.
        episodes: the batch it happened on, if it is known.
    """

    def __init__(self, message: str, episodes: "Episodes | None" = None) -> None:
        super().__init__(message)
        self.episodes = episodes


class LoadError(TextenvError, OSError):
    """A model, tokenizer, data set or checkpoint that cannot be loaded."""


class SaveError(TextenvError, OSError):
    """A file that cannot be written."""


class ContractError(TextenvError, AssertionError):
    """An environment that does not keep the contract of `textenv.check`."""


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Suggest the nearest known name.

    >>> did_you_mean("max_new_token", ["max_new_tokens", "stop"])
    ' Did you mean "max_new_tokens"?'
    >>> did_you_mean("colour", ["max_new_tokens", "stop"])
    ' Known: max_new_tokens, stop.'
    """
    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=1)
    return f' Did you mean "{close[0]}"?' if close else f" Known: {', '.join(names)}."


def install(extra: str) -> str:
    """Return the command that installs an extra of textenv, from the registry or in a clone.

    >>> install("web")
    'pip install "textenv[web]", or in a clone of it pip install -e ".[web]"'
    """
    return f'pip install "textenv[{extra}]", or in a clone of it pip install -e ".[{extra}]"'
