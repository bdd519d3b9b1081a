"""What `make`, `reset` and `step` are called with, checked before anything changes.

Shapes: N rows, V vocabulary.
"""

import reprlib
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from textenv.errors import ActionError, ArgumentError, did_you_mean

RESET_OPTIONS: Final = ("prompt_index", "prompt_queue", "reset_mask")

_repr = reprlib.Repr()
_repr.maxother = _repr.maxstring = 80


class ResetOptions(NamedTuple):
    """What a reset is asked for."""

    mask: NDArray[np.bool_]
    """(N,) the rows to reset."""
    chosen: NDArray[np.int64] | None
    """(N,) the prompts to start with, None to draw them."""
    queue: list[int] | None
    """The prompts to play, the first of them last; None for no queue."""
    goes_on: bool
    """Whether a queue that is being played stays: other rows may still play it."""


def brief(value: Any) -> str:
    """Show a value within a sentence: on one line, and not at full length.

    >>> brief([1] * 100)
    '[1, 1, 1, 1, 1, 1, ...]'
    """
    return " ".join(_repr.repr(value).split())


def as_array(values: Any) -> NDArray[Any] | None:
    """Return values as an array, or None where they are none, such as lists of different lengths."""
    try:
        return np.asarray(values)
    except Exception:  # each kind of object has its own way of refusing
        return None


def is_integer(value: Any, least: int) -> bool:
    """Tell whether a value is an integer, Python's or NumPy's, of at least `least`; booleans are none.

    >>> is_integer(np.int64(3), 0), is_integer(True, 0), is_integer(-1, 0)
    (True, False, False)
    """
    return isinstance(value, int | np.integer) and not isinstance(value, bool) and bool(value >= least)


def read_seed(seed: Any) -> int | None:
    """Check the seed of one environment.

    Raises:
        ArgumentError: it is neither None nor an integer of at least 0.
    """
    if seed is None:
        return None
    if not is_integer(seed, 0):
        raise ArgumentError(f"seed must be an integer of at least 0, got {brief(seed)}.")
    return int(seed)


def read_seeds(seed: Any, count: int) -> list[int | None]:
    """Spread the seed of a vector env over its rows: s gives row i the seed s + i, None none.

    Args:
        seed: an integer, a list with a seed or None for each row, or None.
        count: N.

    Returns:
        N seeds.

    Raises:
        ArgumentError: it is nothing of that kind.
    """
    if seed is None:
        return [None] * count
    if is_integer(seed, 0):
        return [int(seed) + row for row in range(count)]
    flat = isinstance(seed, list | tuple | range) or (isinstance(seed, np.ndarray) and seed.ndim == 1)
    if not flat or not all(each is None or is_integer(each, 0) for each in seed):
        raise ArgumentError(f"seed must be an integer of at least 0 or {count} of them, one a row, got {brief(seed)}.")
    if len(seed) != count:
        raise ArgumentError(f"seed must be an integer or {count} of them, one a row, got {len(seed)}.")
    return [None if each is None else int(each) for each in seed]


def check_option_names(options: Any, names: Sequence[str]) -> Mapping[str, Any]:
    """Return the options of a reset, which may be None.

    Raises:
        ArgumentError: they are no dictionary, or one of them has none of these names.
    """
    if options is None:
        return {}
    if not isinstance(options, Mapping):
        raise ArgumentError(f"reset takes its options in a dictionary with the keys {', '.join(names)}, got {brief(options)}.")
    for name in options:
        if name not in names:
            spelt = name if isinstance(name, str) else brief(name)
            raise ArgumentError(f'reset has no option "{spelt}".{did_you_mean(spelt, names)}')
    return options


def read_options(options: Any, count: int, prompts: int) -> ResetOptions:
    """Check the options of a vector env's reset.

    Args:
        options: a dictionary or None.
        count: N.
        prompts: how many there are.

    Raises:
        ArgumentError: an unknown option, or one of the wrong shape or range.
    """
    given = check_option_names(options, RESET_OPTIONS)
    mask = as_array(given.get("reset_mask", np.ones(count, dtype=np.bool_)))
    if mask is None or mask.shape != (count,) or mask.dtype != np.bool_ or not mask.any():
        raise ArgumentError(f'options["reset_mask"] must be {count} booleans with one of them True, got {brief(given["reset_mask"])}.')
    chosen = _read_indices("prompt_index", given.get("prompt_index"), prompts)
    if chosen is not None and chosen.shape != (count,):
        raise ArgumentError(f'options["prompt_index"] must have the shape ({count},), got {chosen.shape}.')
    queue = _read_indices("prompt_queue", given.get("prompt_queue"), prompts)
    if queue is not None and (queue.ndim != 1 or chosen is not None):
        raise ArgumentError('options["prompt_queue"] must be a flat list of prompt indices, without "prompt_index" beside it.')
    reversed_queue = None if queue is None else queue[::-1].tolist()
    return ResetOptions(mask, chosen, reversed_queue, queue is None and "reset_mask" in given)


def _read_indices(name: str, values: Any, prompts: int) -> NDArray[np.int64] | None:
    """Check indices into the prompt set, None for none."""
    if values is None:
        return None
    indices = as_array(values)
    whole = indices is not None and np.issubdtype(indices.dtype, np.integer)
    if indices is None or not whole or _outside(indices, prompts).any():
        raise ArgumentError(f'options["{name}"] must hold integers from 0 to {prompts - 1}, got {brief(values)}.')
    return indices.astype(np.int64)


def read_actions(actions: Any, count: int, vocabulary: int, live: NDArray[np.int64]) -> NDArray[np.int64]:
    """Check the actions of a step.

    Args:
        actions: N token ids.
        count: N.
        vocabulary: V.
        live: the rows whose action counts; what the others are told to write is ignored.

    Returns:
        (N,).

    Raises:
        ActionError: they are not N token ids.
    """
    array = as_array(actions)
    if array is None or array.shape != (count,):
        got = brief(actions) if array is None else f"the shape {array.shape}"
        raise ActionError(f"step needs one token id a row, an array of the shape ({count},), got {got}.")
    if not np.issubdtype(array.dtype, np.integer):
        raise ActionError(f"Actions are token ids, so integers; got an array of {array.dtype}.")
    if array.min() < 0 or array.max() >= vocabulary:
        wrong = live[_outside(array[live], vocabulary)]
        if len(wrong):
            raise ActionError(f"Row {wrong[0]}: the action {array[wrong[0]]} is no token id; they go from 0 to {vocabulary - 1}.")
    return array.astype(np.int64)


def _outside(values: NDArray[Any], end: int) -> NDArray[np.bool_]:
    """Tell which values are not from 0 to `end` - 1."""
    return (values < 0) | (values >= end)
