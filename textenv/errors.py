"""The errors that textenv raises.

TextenvError
├── ArgumentError (ValueError)        an id, an argument, a prompt set or a file that cannot be used
├── ActionError (ValueError)          an action that is not a token id
├── OrderError (RuntimeError)         a call at the wrong time, such as a step before the first reset
├── RewardError (RuntimeError)        a reward that failed or returned what is not a score
├── TrainingError (RuntimeError)      a training that has diverged
├── LoadError (OSError)               a model, tokenizer or data set that cannot be loaded
└── ContractError (AssertionError)    an environment that does not keep the contract of `textenv.check`

Argument errors derive from ValueError because `gymnasium.make` prints every keyword along with a TypeError.
"""

import difflib
from collections.abc import Iterable


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
    """A training that has diverged."""


class LoadError(TextenvError, OSError):
    """A model, tokenizer or data set that cannot be loaded."""


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
