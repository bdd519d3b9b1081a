"""What environments tell in `info`: texts when something happens, or the same numbers at every step.

Shapes: N rows, T response columns.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from textenv.envs.rules import Rules

KINDS: Final = ("texts", "numbers")

FINISH_REASONS: Final = ("running", "eos", "stop", "length")
"""The number of a `finish_reason` is its place here."""


def add_infos(infos: dict[str, Any], rows: list[int], told: list[dict[str, Any]], count: int) -> dict[str, Any]:
    """Add what is told of some rows, the same things of each, as Gymnasium lays infos out.

    Args:
        infos: an array (N, ...) a name and a mask (N,) `_name`; it is added to.
        rows: n of them.
        told: of each of these rows.
        count: N.

    Returns:
        `infos`.
    """
    for name in told[0] if told else ():
        values = [info[name] for info in told]
        if name not in infos:
            first = values[0]
            if isinstance(first, int | float | np.ndarray):
                infos[name] = np.zeros((count, *np.shape(first)), np.asarray(first).dtype)
            else:
                infos[name] = np.full(count, None, dtype=object)
            infos[f"_{name}"] = np.zeros(count, dtype=np.bool_)
        infos[name][rows] = values
        infos[f"_{name}"][rows] = True
    return infos


def first_row(infos: dict[str, Any]) -> dict[str, Any]:
    """Take row 0 out of vectorised infos, as plain Python values."""
    return {
        name: value[0].item() if isinstance(value[0], np.generic) else value[0]
        for name, value in infos.items()
        if not name.startswith("_") and infos[f"_{name}"][0]
    }


def number_infos(
    rules: "Rules",
    prompt_index: NDArray[np.int64],
    lengths: NDArray[np.int64],
    outcomes: Mapping[int, dict[str, Any]],
    shaping: NDArray[np.float64] | None,
) -> dict[str, NDArray[Any]]:
    """Describe episodes in numbers: the same names, types and shapes wherever the episodes stand.

    Args:
        rules: of the environment.
        prompt_index: (N,).
        lengths: (N,) response tokens so far.
        outcomes: the last infos of the rows that have ended.
        shaping: (N,) what the KL shaping has paid so far, None without one.

    Returns:
        (N,) each: `prompt_index`, `prompt_tokens_dropped`, `length`, `finish_reason` as its place
        in `FINISH_REASONS`, `special_tokens`, all int64; `score`, float64; with a shaping,
        `shaping`, float64; with a reward by pieces, `token_scores` (N, T) float64. Of a row that
        runs, `finish_reason`, `special_tokens`, `score` and `token_scores` are 0.
    """
    count = len(prompt_index)
    infos: dict[str, NDArray[Any]] = {
        "prompt_index": prompt_index.copy(),
        "prompt_tokens_dropped": rules.prompts.dropped[prompt_index].astype(np.int64),
        "length": lengths.copy(),
        "finish_reason": np.zeros(count, dtype=np.int64),
        "special_tokens": np.zeros(count, dtype=np.int64),
        "score": np.zeros(count),
    }
    if shaping is not None:
        infos["shaping"] = shaping.copy()
    if rules.by_pieces:
        infos["token_scores"] = np.zeros((count, rules.response_columns))
    for row, info in outcomes.items():
        infos["finish_reason"][row] = FINISH_REASONS.index(info["finish_reason"])
        for name in ("special_tokens", "score", "token_scores"):
            if name in infos:
                infos[name][row] = info[name]
    return infos
