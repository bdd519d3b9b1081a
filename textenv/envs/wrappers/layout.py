"""How observations and infos are laid out: one of a batch, and the tokens among what else is shown."""

from typing import Any

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray


def tokens_of(observation: Any) -> Any:
    """Find the tokens in an observation, or their space in its space: the entry `observation`, or all of it."""
    return observation["observation"] if isinstance(observation, dict | gym.spaces.Dict) else observation


def put(observation: Any, shown: Any) -> Any:
    """Put something else, or its space, where the tokens of an observation, or their space, are."""
    if isinstance(observation, gym.spaces.Dict):
        return gym.spaces.Dict({**observation.spaces, "observation": shown})
    return {**observation, "observation": shown} if isinstance(observation, dict) else shown


def row_of(batch: Any, row: int) -> Any:
    """Take one observation out of a batch of them."""
    if isinstance(batch, dict):
        return {name: values[row] for name, values in batch.items()}
    return batch[row]


def with_rows(batch: Any, at: NDArray[np.int64], rows: Any) -> Any:
    """Copy a batch of N observations, with others in its rows `at` (n,), which may be none."""
    if isinstance(batch, dict):
        return {name: with_rows(values, at, None if rows is None else rows[name]) for name, values in batch.items()}
    if isinstance(batch, tuple):
        changed = dict(zip(at.tolist(), rows or (), strict=True))
        return tuple(changed.get(row, value) for row, value in enumerate(batch))
    copied = batch.copy()
    if len(at):
        copied[at] = rows
    return copied


def info_of(infos: dict[str, Any], row: int) -> dict[str, Any]:
    """Take one row out of vectorised infos."""
    return {name: infos[name][row] for name in infos if f"_{name}" in infos and infos[f"_{name}"][row]}
