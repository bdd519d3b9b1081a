"""The reward protocol: how an environment calls a reward and what it accepts back.

A reward is any callable. It is called once for a batch of finished episodes, by keyword only, with those
of these arguments that its signature accepts:

- `prompts`, `completions`: n texts each;
- any other column of the prompt set, n values each;
- `pieces`: n lists of token strings. A reward that takes it returns one value a piece instead of one a text.

So functions written for TRL's string format, `f(completions, **kwargs)` included, work unchanged.

A reward that is made of several returns `Scores`, which carry the parts beside the score. One that is an object
names the columns it needs in an attribute `columns`, so that they are missed before anything is played.

A score is a finite number of at most `LARGEST`, either way; an array of one number counts as that number.
"""

import contextlib
import copy
import inspect
import itertools
from collections.abc import Callable, Iterable, KeysView, Mapping, Sequence, Set, ValuesView
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from textenv.errors import ArgumentError, RewardError, TextenvError, did_you_mean
from textenv.models.pieces import half_character

LARGEST: Final = 1e15
"""Of a score, either way: its square is 1e30, and float32, which ends at 3.4e38, holds sums of 1e8 of them."""
_ASYNC: Final = "The reward {} is asynchronous; wrap it in a function that returns asyncio.run(...) of it."


class Scores(list[float]):
    """Scores that show what they are made of.

    >>> Scores([0.4, 0.3], parts={"fluency": [0.8, 0.5]}).parts["fluency"]
    [0.8, 0.5]

    Args:
        values: n scores.
        parts: n values under each name; names are identifiers other than "se", as they become `score_name`.

    Raises:
        RewardError: a name is none.
    """

    def __init__(self, values: Iterable[float], parts: Mapping[str, Sequence[float] | NDArray[np.float64]]) -> None:
        super().__init__(values)
        for name in parts:
            if not name.isidentifier() or name == "se":
                raise RewardError(f'A part of a score cannot be called "{name}"; use a name such as "fluency".')
        self.parts = dict(parts)


class Scored(NamedTuple):
    """What a reward says of n texts."""

    scores: NDArray[np.float64]
    """(n,)."""
    by_piece: list[NDArray[np.float64]] | None
    """For a reward by pieces, n rows of values, whose sums the scores are."""
    parts: dict[str, NDArray[np.float64]]
    """(n,) each, by name; empty unless the reward returns `Scores`."""


def reward_name(reward: Callable[..., Any]) -> str:
    """Name a reward as messages and logs show it."""
    return str(getattr(reward, "name", None) or getattr(reward, "__name__", None) or type(reward).__name__)


def accepted(reward: Callable[..., Any], offered: Mapping[str, Any]) -> dict[str, Any]:
    """Choose the arguments that a reward's signature accepts, of columns of the prompt set copies.

    Raises:
        RewardError: it needs an argument that is not there.
    """
    parameters = _parameters(reward).values()
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
        return {name: _own(name, value) for name, value in offered.items() if name != "pieces" or takes_pieces(reward)}
    names = [p.name for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]
    required = [p.name for p in parameters if p.default is p.empty and p.kind is not p.VAR_POSITIONAL]
    missing = [name for name in required if name not in offered or name not in names]
    if missing:
        raise RewardError(
            f'The reward {reward_name(reward)} needs "{missing[0]}", which is no column of the prompts; there are: {", ".join(offered)}.'
        )
    return {name: _own(name, offered[name]) for name in names if name in offered}


def needed(reward: Callable[..., Any]) -> list[str]:
    """List the arguments that a reward cannot do without: its parameters without default, and what it names in `columns`.

    Raises:
        RewardError: the reward does not tell its arguments.
    """
    kinds = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    parameters = [p.name for p in _parameters(reward).values() if p.default is p.empty and p.kind in kinds]
    return [*parameters, *getattr(reward, "columns", ())]


def require_columns(
    reward: Callable[..., Any],
    columns: Iterable[str],
    *,
    what: str = "reward",
    beside: Sequence[str] = ("prompts", "completions", "pieces"),
) -> None:
    """Refuse a reward, or what else is called as rewards are, that needs more than the prompt set has.

    Args:
        reward: any callable, see the module.
        columns: of the prompt set, beside "prompt".
        what: the callable is.
        beside: what it is offered beside the columns.

    Raises:
        ArgumentError: naming the column that is missing.
        RewardError: the reward does not tell its arguments.
    """
    names = list(columns)
    known = [*beside, *names]
    for name in needed(reward):
        if name not in known:
            raise ArgumentError(
                f'The {what} {reward_name(reward)} needs the column "{name}", which the prompts lack;'
                f" they have: {', '.join(['prompt', *names])}.{did_you_mean(name, known)}{_of_one_text(reward)}"
            )


def _of_one_text(reward: Callable[..., Any]) -> str:
    """Say how a function of one text, such as a method of another library, becomes a reward."""
    if len(needed(reward)) != 1:
        return ""
    return f" If it scores one text, give a function of a list: lambda completions: [{reward_name(reward)}(text) for text in completions]."


def takes_pieces(reward: Callable[..., Any]) -> bool:
    """Tell whether a reward returns one value a token."""
    return "pieces" in _parameters(reward)


def refuse_half_characters(name: str, *columns: Sequence[str]) -> None:
    """Refuse texts that no tokenizer and no server can read, for a reward that hands them to one.

    Args:
        name: of the reward.
        *columns: texts.

    Raises:
        RewardError: a text holds a lone surrogate, which is what cutting a character in two leaves.
    """
    for texts in columns:
        for text in texts:
            half = half_character(text)
            if half is not None:
                raise RewardError(
                    f"The reward {name} cannot read {text!r}: {half!r} is half a character;"
                    ' remove such halves by text.encode("utf-8", "ignore").decode().'
                )


def _is_async(reward: Callable[..., Any]) -> bool:
    functions = (reward, getattr(reward, "__call__", None))  # noqa: B004
    return any(inspect.iscoroutinefunction(each) or inspect.isasyncgenfunction(each) for each in functions)


def _refuse_awaitables(values: Any, name: str) -> None:
    """Refuse what is still to be awaited, closed first, or else Python warns that it never was."""
    if isinstance(values, np.ndarray):
        rows = values.ravel().tolist() if values.dtype == object else []
    elif isinstance(values, Mapping):
        rows = list(values.values())
    elif isinstance(values, list | tuple | Set | ValuesView):
        rows = list(values)
    else:
        rows = [values]
    awaitables = [row for row in rows if inspect.isawaitable(row)]
    for awaitable in awaitables:
        if inspect.iscoroutine(awaitable):
            awaitable.close()
    if awaitables:
        raise RewardError(_ASYNC.format(name))


def _parameters(reward: Callable[..., Any]) -> Mapping[str, inspect.Parameter]:
    if _is_async(reward):
        raise RewardError(_ASYNC.format(reward_name(reward)))
    try:
        return inspect.signature(reward).parameters
    except ValueError as error:
        raise RewardError(
            f"The reward {reward_name(reward)} does not tell its arguments; wrap it in a function that names them."
        ) from error


_ORDERLESS: Final = (Set, Mapping, KeysView, ValuesView)
_TEXTS: Final = (str, bytes, bytearray, memoryview)


def _row(values: Any, n: int, what: str, name: str, text: str, each: str = "one number") -> list[Any]:
    """Return a row of n values as a list.

    Args:
        values: that a reward returned.
        n: how many it should be.
        what: they are of, "completions" or "pieces".
        name: of the reward.
        text: the first text, as the message shows it.
        each: value is, as the message says it.

    Raises:
        RewardError: it is none.
    """
    advice = f"give a list with {each} for each of the {what}"
    if isinstance(values, _ORDERLESS):
        raise RewardError(f"The reward {name} returned a {type(values).__name__}, which does not say which number is whose; {advice}.")
    if isinstance(values, _TEXTS):
        raise RewardError(f"The reward {name} returned {_shown(values)}, which is no row of numbers; {advice}.")
    try:
        if hasattr(values, "detach"):
            values = values.detach().cpu()
        count = len(values)
        # What says its length may still yield fewer, more, or values without end.
        row = list(itertools.islice(values, n + 1)) if count == n else []
    except Exception as error:  # of an object of any kind, which may raise what it likes
        raise RewardError(
            f"The reward {name} returned {_shown(values)} instead of {n} values, for {what} such as {text}; {advice}."
        ) from error
    if count != n or len(row) != n:
        got = count if count != n else f"{'fewer' if len(row) < n else 'more'} than {n}"
        raise RewardError(f"The reward {name} returned {got} values for {n} {what}, such as {text}; {advice}.")
    return row


def _shown(value: Any) -> str:
    """Return what a reward returned, cut to some length; Python writes no integers of thousands of digits."""
    with contextlib.suppress(Exception):
        text = repr(value)
        return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."
    return f"an object of type {type(value).__name__}"


_LONGEST: Final = 300


def _first(prompts: Sequence[str], completions: Sequence[str]) -> str:
    """Return the first text of a batch, which may be empty, as messages show it."""
    return f"{prompts[0]!r} + {completions[0]!r}" if len(prompts) else "none"


def _floats(values: Any, n: int, what: str, name: str, prompts: Sequence[str], completions: Sequence[str]) -> NDArray[np.float64]:
    scores = np.zeros(n, dtype=np.float64)
    for index, value in enumerate(_row(values, n, what, name, _first(prompts, completions))):
        at = index if what == "completions" else 0
        scores[index] = _float(value)
        if not np.isfinite(scores[index]):
            raise RewardError(
                f"The reward {name} returned {_shown(value)}, which is no finite number, for the prompt {prompts[at]!r} "
                f"and the completion {completions[at]!r}."
            )
        if abs(scores[index]) > LARGEST:
            raise RewardError(
                f"The reward {name} returned {_shown(value)}, which is too large to learn from (at most {LARGEST:g}, either way),"
                f" for the prompt {prompts[at]!r} and the completion {completions[at]!r}; scale it down."
            )
    return scores


def _float(value: Any) -> float:
    """Read one score, NaN for what is none."""
    if isinstance(value, np.ma.MaskedArray) or getattr(getattr(value, "dtype", None), "kind", "") in ("m", "M"):
        return np.nan  # what is missing, and times
    if isinstance(value, np.ndarray | np.generic) and value.size == 1:
        value = value.item()  # of an array (1,) too, as torch takes one
    if isinstance(value, str | bytes):
        return np.nan
    try:
        return float(value)
    except Exception:  # each kind of object has its own way of refusing
        return np.nan


def call_reward(
    reward: Callable[..., Any],
    prompts: Sequence[str],
    completions: Sequence[str],
    columns: Mapping[str, Sequence[Any]] | None = None,
    pieces: Sequence[Sequence[str]] | None = None,
) -> Scored:
    """Score a batch of finished texts.

    Args:
        reward: any callable, see the module.
        prompts: n texts.
        completions: n texts.
        columns: further columns of the prompt set, n values each.
        pieces: the token strings of each completion.

    Raises:
        RewardError: the reward raised, or returned something else than finite numbers of the right count; the message
            names the reward, the prompt and the completion.
    """
    name = reward_name(reward)
    offered = {**(columns or {}), "prompts": list(prompts), "completions": list(completions), "pieces": pieces}
    arguments = accepted(reward, offered)
    try:
        values = reward(**arguments)
    except TextenvError:
        raise  # says what happened already
    except Exception as error:
        raise RewardError(
            f"The reward {name} raised {type(error).__name__}: {error} (first of {len(prompts)} texts: the prompt {prompts[0]!r} "
            f"and the completion {completions[0]!r})."
        ) from error
    _refuse_awaitables(values, name)
    if pieces is None or not takes_pieces(reward):
        parts = {part: _floats(of, len(prompts), "completions", f"{name}.{part}", prompts, completions) for part, of in _parts(values)}
        return Scored(_floats(values, len(prompts), "completions", name, prompts, completions), None, parts)
    values = _row(values, len(prompts), "completions", name, _first(prompts, completions), "a row of values")
    rows = [
        _floats(row, len(piece), "pieces", name, prompts[i : i + 1], completions[i : i + 1])
        for i, (row, piece) in enumerate(zip(values, pieces, strict=True))
    ]
    return Scored(np.array([row.sum() for row in rows]), rows, {})


def _own(name: str, values: Sequence[Any]) -> Sequence[Any]:
    """Copy a column as far as a reward might change it, for the prompt set is that of all episodes to come."""
    if name in _NO_COLUMNS:
        return values
    if not isinstance(values, list | tuple):
        return copy.deepcopy(values)
    return [copy.deepcopy(value) if isinstance(value, _CONTAINERS) else value for value in values]


_NO_COLUMNS: Final = ("prompts", "completions", "pieces", "rows")
"""What is made for each call."""
_CONTAINERS: Final = (list, dict, tuple, set, bytearray, np.ndarray)


def _parts(values: Any) -> Iterable[tuple[str, Any]]:
    return values.parts.items() if isinstance(values, Scores) else ()
