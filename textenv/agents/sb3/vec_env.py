"""The native vector env as Stable-Baselines3 sees many environments: all rows in one step, instead of one after the other."""

import functools
import inspect
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gymnasium as gym
import numpy as np
from gymnasium.vector import AutoresetMode
from numpy.typing import NDArray
from stable_baselines3.common.vec_env import VecEnv

from textenv.envs.rules import Rules
from textenv.envs.vector import text_envs
from textenv.errors import ArgumentError, did_you_mean

if TYPE_CHECKING:
    from gymnasium.vector import VectorEnv


def as_vec_env(envs: "VectorEnv[Any, Any, Any]") -> "TextVecEnv":
    """Make a vector env one of Stable-Baselines3.

    Its rows are those of `DummyVecEnv` over single environments of the same seeds, at the speed of one step for all.

    Args:
        envs: from `gymnasium.make_vec`, in autoreset mode SAME_STEP; textenv's wrappers may be around it.

    Raises:
        ArgumentError: it is no vector env of a text environment, is of another autoreset mode, or shows strings.
    """
    return TextVecEnv(envs)


class Tokens(gym.spaces.Discrete):
    """Token ids as actions, `Discrete(V)`, which also know what they mean: an agent gets to see nothing else of a task.

    Args:
        rules: of the environment.
    """

    def __init__(self, rules: Rules) -> None:
        super().__init__(rules.vocabulary)
        self.contract = rules.contract
        self.end_tokens = rules.task.end_tokens
        self.model: str | Path | None = rules.task.model
        """The task's own model, None for a toy."""


class TextVecEnv(VecEnv):
    """What `as_vec_env` returns.

    All rows are one environment: an attribute is the same for every row and is set for all of them, and a method is called
    once, each row's part of its result being the row's.

    Args:
        envs: see `as_vec_env`.

    Raises:
        ArgumentError: see `as_vec_env`.
    """

    def __init__(self, envs: "VectorEnv[Any, Any, Any]") -> None:
        inner = text_envs(envs, numbers=True)
        if inner.autoreset_mode is not AutoresetMode.SAME_STEP:
            raise ArgumentError(
                f"Stable-Baselines3 expects a row to start anew in the step that ends it; make the envs with autoreset_mode="
                f'"SAME_STEP", not "{inner.autoreset_mode.name}".'
            )
        if isinstance(envs.single_observation_space, gym.spaces.Text):
            raise ArgumentError("Stable-Baselines3 reads no strings; take EmbeddingObservation in place of TextObservation.")
        self.envs = envs
        self.spec = envs.spec
        actions = envs.single_action_space
        super().__init__(
            envs.num_envs, envs.single_observation_space, Tokens(inner.rules) if actions == inner.single_action_space else actions
        )

    def reset(self) -> Any:
        """Start new episodes with what `seed` and `set_options` have left, once; `reset_infos` has their infos.

        Raises:
            ArgumentError: an option is unknown, or given for some rows only.
        """
        seeds: Any = None if all(seed is None for seed in self._seeds) else list(self._seeds)
        observations, infos = self.envs.reset(seed=seeds, options=self._read_options())
        self.reset_infos = [_row_info(infos, row) for row in range(self.num_envs)]
        self._reset_seeds()
        self._reset_options()
        return observations

    def step_async(self, actions: NDArray[Any]) -> None:
        """Keep the actions (N,) for `step_wait`."""
        self._actions = actions

    def step_wait(self) -> tuple[Any, NDArray[np.float32], NDArray[np.bool_], list[dict[str, Any]]]:
        """Take one step in every row.

        Returns:
            Observations, rewards and dones of N rows, and their infos; rows that ended show their new episode, with the last
            observation of the old one in the info as `terminal_observation` and the infos of the new one in `reset_infos`.
        """
        observations, rewards, terminated, truncated, infos = self.envs.step(self._actions)
        final_obs, final_info = infos.pop("final_obs", None), infos.pop("final_info", {})
        told: list[dict[str, Any]] = []
        for row, done in enumerate((terminated | truncated).tolist()):
            info = _row_info(infos, row)
            if done:
                self.reset_infos[row] = info
                info = _row_info(final_info, row) | {"terminal_observation": final_obs[row]}
            told.append(info | {"TimeLimit.truncated": bool(truncated[row] and not terminated[row])})
        return observations, rewards.astype(np.float32), terminated | truncated, told

    def close(self) -> None:
        """Close the environments."""
        self.envs.close()

    def get_images(self) -> Sequence[NDArray[np.uint8] | None]:
        """Return a frame for each row; the envs must be made with render_mode="rgb_array"."""
        frames: Sequence[NDArray[np.uint8]] = self.envs.render()  # type: ignore[assignment]
        return frames

    def get_attr(self, attr_name: str, indices: Any = None) -> list[Any]:
        """Look an attribute up, from the outermost wrapper inwards: once for each index; a method acts on its row alone.

        Raises:
            AttributeError: there is none.
        """
        rows = list(self._get_indices(indices))
        if attr_name in ("observation_space", "action_space"):
            return [getattr(self, attr_name)] * len(rows)
        value = getattr(self._holder(attr_name), attr_name)
        return [functools.partial(self._call, attr_name, row) if inspect.ismethod(value) else value for row in rows]

    def set_attr(self, attr_name: str, value: Any, indices: Any = None) -> None:
        """Set an attribute where it is, or on the outermost wrapper, for all rows.

        Raises:
            ArgumentError: not all rows are asked for.
        """
        if sorted(self._get_indices(indices)) != list(range(self.num_envs)):
            raise ArgumentError(f"All rows share one {attr_name}; set it for all of them, without indices.")
        setattr(self._holder(attr_name) if self.has_attr(attr_name) else self.envs, attr_name, value)

    def env_method(self, method_name: str, *method_args: Any, indices: Any = None, **method_kwargs: Any) -> list[Any]:
        """Call a method once and give each row its part of the result, such as its mask of `action_masks`.

        Raises:
            ArgumentError: it would move the rows, as `reset` and `step` do.
            AttributeError: there is none of that name.
        """
        if method_name in ("reset", "step"):
            raise ArgumentError(f"{method_name} moves all rows together; call {method_name} of the vec env itself.")
        found = getattr(self._holder(method_name), method_name)(*method_args, **method_kwargs)
        by_row = isinstance(found, np.ndarray | Sequence) and len(found) == self.num_envs
        return [found[row] if by_row else found for row in self._get_indices(indices)]

    def env_is_wrapped(self, wrapper_class: Any, indices: Any = None) -> list[bool]:
        """Tell whether a wrapper is there: a class, or one of `textenv.wrappers`."""
        wrapped = any(
            isinstance(layer, wrapper_class) if isinstance(wrapper_class, type) else getattr(layer, "maker", None) is wrapper_class
            for layer in self._layers()
        )
        return [wrapped for _ in self._get_indices(indices)]

    def _call(self, name: str, row: int, *args: Any, **kwargs: Any) -> Any:
        """One row's method."""
        return self.env_method(name, *args, indices=row, **kwargs)[0]

    def _layers(self) -> Iterator[Any]:
        """The wrappers from outside inwards, then the environment."""
        layer: Any = self.envs
        while layer is not layer.unwrapped:
            yield layer
            layer = layer.env
        yield layer

    def _holder(self, name: str) -> Any:
        """The outermost layer that has an attribute."""
        for layer in self._layers():
            if hasattr(layer, name):
                return layer
        raise AttributeError(f"The environments have no attribute {name!r}.")

    def _read_options(self) -> dict[str, Any] | None:
        """Put the options of the rows together."""
        if not any(self._options):
            return None
        for name in {name for options in self._options for name in options}:
            if name != "prompt_index":
                raise ArgumentError(f'set_options has no option "{name}".{did_you_mean(name, ["prompt_index"])}')
        if len(self._options) != self.num_envs or not all(self._options):
            raise ArgumentError(f"set_options needs a prompt_index for each of the {self.num_envs} rows, or for none.")
        return {"prompt_index": np.array([options["prompt_index"] for options in self._options])}


def _row_info(infos: dict[str, Any], row: int) -> dict[str, Any]:
    """Take one row out of vectorised infos, as plain Python values."""
    names: Iterable[str] = (name for name in infos if f"_{name}" in infos and infos[f"_{name}"][row])
    return {name: infos[name][row].item() if isinstance(infos[name][row], np.generic) else infos[name][row] for name in names}
