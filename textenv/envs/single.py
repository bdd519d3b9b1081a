"""`TextEnv`: one row of `TextVectorEnv` as a plain Gymnasium environment."""

from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.vector import AutoresetMode
from numpy.typing import NDArray

from textenv.envs.handles import hold_spec
from textenv.envs.infos import first_row
from textenv.envs.inputs import as_array, brief, check_option_names, read_options, read_seed
from textenv.envs.task import Task
from textenv.envs.vector import TextVectorEnv
from textenv.errors import ActionError, ArgumentError, OrderError


class TextEnv(gym.Env[NDArray[np.int32], np.int64]):
    """One episode at a time of a task.

    Observation: `Box(-1, V-1, (P+T,), int32)`, the prompt left-padded into the first P columns, the response after it,
    -1 wherever there is no token. Action: `Discrete(V)`, one token. The score is paid by the step that ends the text.
    `reset(options={"prompt_index": i})` chooses the prompt.

    Args:
        task: a registered id or a `Task`.
        render_mode: None, "ansi", "human" or "rgb_array"; see `render`.
        **arguments: `infos`, `kl_coef`, `reference` and the fields of `Task`. `infos="numbers"` tells the same numbers
            at every reset and step, `textenv.envs.infos.number_infos`, for libraries that stack infos.

    Raises:
        ArgumentError: an argument is unknown or out of range, or the prompt set cannot be used.
        LoadError: the tokenizer, reward or reference cannot be loaded.
    """

    metadata: dict[str, Any] = {  # noqa: RUF012
        "render_modes": ["ansi", "human", "rgb_array"],
        "render_fps": 8,
    }

    def __init__(self, task: str | Task, *, render_mode: str | None = None, **arguments: Any) -> None:
        for name in ("autoreset_mode", "num_envs"):
            if name in arguments:
                raise ArgumentError(f"{name} is a keyword of gymnasium.make_vec, not of gymnasium.make, whose environment is one.")
        self._row = TextVectorEnv(task, 1, autoreset_mode=AutoresetMode.DISABLED, render_mode=render_mode, **arguments)
        self.task = self._row.task
        self.rules = self._row.rules
        self.infos = self._row.infos
        self.kl_shaping = self._row.kl_shaping
        self.render_mode = render_mode
        self.observation_space = self._row.single_observation_space
        self.action_space = self._row.single_action_space

    def __setattr__(self, name: str, value: Any) -> None:
        # `gymnasium.make` sets the spec once the env is made.
        super().__setattr__(name, hold_spec(value) if name == "spec" else value)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[NDArray[np.int32], dict[str, Any]]:
        """Start a new episode.

        Raises:
            ArgumentError: an unknown option, a prompt index out of range, or a seed that is none.
        """
        index = check_option_names(options, ["prompt_index"]).get("prompt_index")
        chosen = None
        if index is not None:
            array = as_array(index)
            chosen = {"prompt_index": index if array is None else np.atleast_1d(array)}
        read_options(chosen, 1, len(self.rules.prompts.texts))  # before the seed changes anything
        super().reset(seed=read_seed(seed))
        self._row.generators = [self.np_random]
        observations, infos = self._row.reset(options=chosen)
        return observations[0], first_row(infos)

    def step(self, action: np.int64) -> tuple[NDArray[np.int32], float, bool, bool, dict[str, Any]]:
        """Write one token.

        Raises:
            OrderError: no reset came before, or the episode has ended.
            ActionError: the action is no token id.
            RewardError: the reward failed; see `TextVectorEnv.step`.
        """
        token = as_array(action)
        if token is None or token.shape != () or token.dtype.kind in "bU":
            raise ActionError(f"step needs one token id from 0 to {self.rules.vocabulary - 1}, got {brief(action)}.")
        if self._row.ended[0]:
            raise OrderError("The episode has ended; call reset() before the next step().")
        observations, rewards, terminated, truncated, infos = self._row.step(token[None])
        return observations[0], float(rewards[0]), bool(terminated[0]), bool(truncated[0]), first_row(infos)

    def action_masks(self) -> NDArray[np.bool_]:
        """Tell which tokens are allowed now: (V,) True where allowed, as sb3-contrib's MaskablePPO asks."""
        mask: NDArray[np.bool_] = self._row.action_masks()[0]
        return mask

    def render(self) -> Any:
        """Show the text so far, coloured by its score when it has ended.

        Returns:
            A string for "ansi"; a frame (288, 512, 3) uint8 for "rgb_array"; None for "human", which prints.
        """
        frames = self._row.render()
        return frames[0] if frames else None
