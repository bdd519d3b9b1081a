"""`TextVectorEnv`: the one state machine. `TextEnv` is its view of one row."""

from collections.abc import Sequence
from typing import Any, Final, Literal

import gymnasium as gym
import numpy as np
from gymnasium.utils import seeding
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space
from numpy.typing import NDArray

from textenv.envs.frames import draw_frame
from textenv.envs.handles import hold_spec, release
from textenv.envs.infos import KINDS, add_infos, number_infos
from textenv.envs.inputs import brief, is_integer, read_actions, read_options, read_seeds
from textenv.envs.rendering import render_text
from textenv.envs.rules import Rules
from textenv.envs.shaping import KLShaping
from textenv.envs.task import Task
from textenv.errors import ArgumentError, OrderError

MOST_TOKENS: Final = 2**28
"""Of all rows together: the observations and their space take about 4 GB then."""

_MODES: Final = {mode.value: mode for mode in AutoresetMode} | {mode.name: mode for mode in AutoresetMode}


class TextVectorEnv(VectorEnv[NDArray[np.int32], NDArray[np.int64], NDArray[Any]]):
    """Many episodes of one task, stepped together.

    Shapes: N rows, P prompt columns, T response columns, V vocabulary.

    - Observation: (N, P+T) int32; the prompt left-padded into the first P columns, the response after it, and -1
      wherever there is no token. Action: (N,) token ids.
    - A row ends with `terminated` at the end-of-text token, the task's stop rule or the last column; its score is
      paid by that step, what a potential has paid before taken off. `truncated` is never set.
    - Row i seeded s plays the episodes that `TextEnv` seeded s + i plays.
    - `reset(options=...)` takes `prompt_index` (N,), the prompts to start with; `reset_mask` (N,), the rows to reset;
      and `prompt_queue` (n,), which plays exactly these prompts: a row takes the next one when its episode has ended,
      and when none is left it is parked: all -1, never done, its action ignored, until it is reset again.

    Args:
        task: a registered id or a `Task`.
        num_envs: N.
        autoreset_mode: SAME_STEP (default), NEXT_STEP or DISABLED.
        render_mode: None, "ansi", "human" or "rgb_array"; see `render`.
        infos: "texts" tells prompts when a row starts, and its completion and score when it ends; "numbers" tells
            what `textenv.envs.infos.number_infos` lists, the same arrays of numbers at every reset and step, for
            libraries that stack infos. Of rows that ended, `final_info` has them in SAME_STEP mode, and `final_obs`
            is an array then, of all rows as the step left them. Parts of a score are told as texts only.
        kl_coef: β of `KLShaping`; 0 pays the plain score.
        reference: model of `KLShaping`; by default the task's own.
        **fields: of `Task`, to replace those of the task, or arguments of its own.

    Raises:
        ArgumentError: an argument is unknown or out of range, or the prompt set cannot be used.
        LoadError: the tokenizer, reward or reference cannot be loaded.
    """

    metadata: dict[str, Any] = {  # noqa: RUF012
        "render_modes": ["ansi", "human", "rgb_array"],
        "render_fps": 8,
        "autoreset_mode": AutoresetMode.SAME_STEP,
    }

    def __init__(
        self,
        task: str | Task,
        num_envs: int = 1,
        *,
        autoreset_mode: str | AutoresetMode = AutoresetMode.SAME_STEP,
        render_mode: str | None = None,
        infos: Literal["texts", "numbers"] = "texts",
        kl_coef: float = 0.0,
        reference: Any = None,
        **fields: Any,
    ) -> None:
        from textenv.envs.registry import task_of

        if not is_integer(num_envs, 1):
            raise ArgumentError(f"num_envs must be an integer of at least 1, got {brief(num_envs)}.")
        mode = _read_mode(release(autoreset_mode))
        infos = release(infos)
        _check_name("render_mode", release(render_mode), (None, *self.metadata["render_modes"]))
        _check_name("infos", infos, KINDS)
        self.task = task_of(task, **{name: release(value) for name, value in fields.items()})
        self.rules = Rules(self.task)
        self.num_envs = int(num_envs)
        _check_size(self.num_envs, self.rules.width)
        self.infos = infos
        self.autoreset_mode = mode
        self.metadata = {**self.metadata, "autoreset_mode": mode}
        self.render_mode = render_mode
        reference = release(reference)
        self.kl_shaping = KLShaping.of(self.task.model if reference is None else reference, kl_coef, self.rules)
        vocabulary, width = self.rules.vocabulary, self.rules.width
        self.single_observation_space = gym.spaces.Box(-1, vocabulary - 1, shape=(width,), dtype=np.int32)
        self.single_action_space = gym.spaces.Discrete(vocabulary)
        self.observation_space = batch_space(self.single_observation_space, self.num_envs)
        self.action_space = batch_space(self.single_action_space, self.num_envs)
        self.generators: list[np.random.Generator | None] = [None] * self.num_envs
        self._tokens = np.full((self.num_envs, width), -1, dtype=np.int32)  # (N, P+T)
        self._prompt = np.zeros(self.num_envs, dtype=np.int64)  # index into the prompt set
        self._length = np.zeros(self.num_envs, dtype=np.int64)  # response tokens
        self._done = np.zeros(self.num_envs, dtype=np.bool_)
        self._parked = np.zeros(self.num_envs, dtype=np.bool_)
        self._score = np.full(self.num_envs, np.nan)
        self._worth = np.zeros(self.num_envs)  # what the running episode has been paid without the shaping
        self._shaped = np.zeros(self.num_envs)  # sum of the shaping of the running episode
        self._outcome: dict[int, dict[str, Any]] = {}  # last infos of the rows that the last step has ended
        self._queue: list[int] | None = None
        self._started = False

    def __setattr__(self, name: str, value: Any) -> None:
        # `gymnasium.make_vec` sets the spec once the env is made.
        super().__setattr__(name, hold_spec(value) if name == "spec" else value)

    @property
    def prompts(self) -> Sequence[str]:
        """The texts of the prompt set."""
        return self.rules.prompts.texts

    @property
    def ended(self) -> NDArray[np.bool_]:
        """Rows (N,) whose episode has ended and that wait for a reset."""
        return self._done.copy()

    @property
    def prompt_index(self) -> NDArray[np.int64]:
        """The prompt (N,) of every row's episode, by its place in the prompt set."""
        return self._prompt.copy()

    def reset(
        self, *, seed: int | Sequence[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[np.int32], dict[str, Any]]:
        """Start new episodes.

        Args:
            seed: s seeds row i with s + i; or one seed a row; None goes on with the generators.
            options: see the class.

        Raises:
            ArgumentError: an unknown option, or one of the wrong shape or range.
            OrderError: the first reset leaves rows out.
        """
        asked = read_options(options, self.num_envs, len(self.rules.prompts.texts))
        if not self._started and not asked.mask.all():
            raise OrderError('The first reset() must start every row; leave options["reset_mask"] out.')
        seeds = read_seeds(seed, self.num_envs)
        if isinstance(seed, int | np.integer):
            super().reset(seed=int(seed))
        rows = np.flatnonzero(asked.mask)
        for row in rows.tolist():
            if seeds[row] is not None or self.generators[row] is None:
                self.generators[row], _ = seeding.np_random(seeds[row])
        if not asked.goes_on:
            self._queue = asked.queue
        self._started = True
        started = self._start(rows, asked.chosen)
        if self.infos == "numbers":
            nothing = np.zeros(self.num_envs, dtype=np.bool_)
            return self._tokens.copy(), self._numbers() | self._final(nothing)
        return self._tokens.copy(), self._start_infos({}, started)

    def step(self, actions: NDArray[np.int64]) -> tuple[NDArray[np.int32], NDArray[Any], NDArray[Any], NDArray[Any], dict[str, Any]]:
        """Write one token into every row.

        Raises:
            OrderError: no reset came before, or with autoreset disabled a row has ended.
            ActionError: not N token ids.
            RewardError: the reward failed. Whatever stops reward, potential, reference or action mask, an interrupt
                included, no row has changed then, so that the step can be repeated.
        """
        if not self._started:
            raise OrderError("Call reset() before the first step().")
        if self.autoreset_mode is AutoresetMode.DISABLED and self._done.any():
            rows = np.flatnonzero(self._done).tolist()
            raise OrderError(f'The episodes of the rows {rows} have ended; call reset(options={{"reset_mask": ...}}) for them first.')
        waiting = self._done & ~self._parked  # in NEXT_STEP mode: rows that start a new episode instead
        live = np.flatnonzero(~(self._done | self._parked))
        actions = read_actions(actions, self.num_envs, self.rules.vocabulary, live)
        rewards, terminated = np.zeros(self.num_envs), np.zeros(self.num_envs, dtype=np.bool_)
        if len(live):
            rewards[live] = self._write(live, actions[live])
            terminated[live] = self._done[live]
        starting = terminated if self.autoreset_mode is AutoresetMode.SAME_STEP else waiting
        tell = self._tell_numbers if self.infos == "numbers" else self._tell_texts
        infos = tell(terminated, np.flatnonzero(starting))
        return self._tokens.copy(), rewards, terminated, np.zeros_like(terminated), infos

    def _tell_texts(self, terminated: NDArray[np.bool_], starting: NDArray[np.int64]) -> dict[str, Any]:
        """Tell how the rows of a step ended (N,), start those that start anew, and tell their prompts."""
        ended: list[int] = np.flatnonzero(terminated).tolist()
        infos = add_infos({}, ended, [self._final_info(row) for row in ended], self.num_envs)
        if ended and self.autoreset_mode is AutoresetMode.SAME_STEP:
            observations = np.full(self.num_envs, None, dtype=object)
            for row in ended:
                observations[row] = self._tokens[row].copy()
            infos = {"final_obs": observations, "final_info": infos}
            infos |= {f"_{name}": terminated.copy() for name in infos}
        return self._start_infos(infos, self._start(starting, None))

    def _tell_numbers(self, terminated: NDArray[np.bool_], starting: NDArray[np.int64]) -> dict[str, Any]:
        """Start the rows that start anew, and tell the numbers of all rows, in SAME_STEP mode also from before."""
        final = self._final(terminated)
        self._start(starting, None)
        return self._numbers() | final

    def _final(self, terminated: NDArray[np.bool_]) -> dict[str, Any]:
        """In SAME_STEP mode, lay out how all rows stand before those that ended start anew; otherwise nothing."""
        if self.autoreset_mode is not AutoresetMode.SAME_STEP:
            return {}
        final = {"final_obs": self._tokens.copy(), "final_info": self._numbers()}
        return final | {f"_{name}": terminated.copy() for name in final}

    def _numbers(self) -> dict[str, Any]:
        """Tell the numbers of all rows as they stand; those that are parked are masked."""
        shaping = None if self.kl_shaping is None else self._shaped
        ended = {row: self._outcome[row] for row in np.flatnonzero(self._done).tolist()}
        infos = number_infos(self.rules, self._prompt, self._length, ended, shaping)
        return infos | {f"_{name}": ~self._parked for name in infos}

    def action_masks(self) -> NDArray[np.bool_]:
        """Tell which tokens are allowed now: (N, V) True where allowed, as sb3-contrib's MaskablePPO asks."""
        masks = np.repeat(self.rules.allowed[None], self.num_envs, axis=0)
        live = ~self._done & ~self._parked  # elsewhere the next action is ignored, and the task's mask may not know the state
        masks[live] = self.rules.action_masks(self._tokens[live], self._length[live])
        return masks

    def render(self) -> Any:
        """Show each row's text so far, coloured by its score when it has ended.

        Returns:
            N strings for "ansi"; N frames (288, 512, 3) uint8 for "rgb_array"; None for "human", which prints.
        """
        if self.render_mode is None:
            modes = ", ".join(f'"{mode}"' for mode in self.metadata["render_modes"])
            gym.logger.warn(f"render() was called without a render_mode; make the environment with one of {modes}.")
            return None
        if self.render_mode == "rgb_array":
            return tuple(self._draw_row(row) for row in range(self.num_envs))
        texts = tuple(self._render_row(row) for row in range(self.num_envs))
        if self.render_mode == "human":
            print("\n".join(texts))
            return None
        return texts

    def _shown(self, row: int) -> tuple[str, str, float | None]:
        """Read a row's prompt and completion, and its score when it has ended; nothing of a row without an episode."""
        if (self._tokens[row] < 0).all():
            return "", "", None
        completion = self.rules.completions(self._tokens[row : row + 1], self._length[row : row + 1])[0]
        score = float(self._score[row]) if self._done[row] else None
        return self.rules.prompts.texts[self._prompt[row]], completion, score

    def _render_row(self, row: int) -> str:
        return render_text(*self._shown(row))

    def _draw_row(self, row: int) -> NDArray[np.uint8]:
        return draw_frame(*self._shown(row), int(self._length[row]), self.rules.response_columns)

    def _start(self, rows: NDArray[np.int64], chosen: NDArray[np.int64] | None) -> list[int]:
        """Begin an episode in each of these rows, or park it when the queue is empty; return the rows that have one."""
        if not len(rows):
            return []
        self._tokens[rows] = -1
        self._length[rows] = 0
        self._shaped[rows] = 0.0
        self._score[rows] = np.nan
        self._worth[rows] = 0.0
        self._done[rows] = False
        self._parked[rows] = False
        started: list[int] = []
        for row in rows.tolist():
            if chosen is not None:
                index = int(chosen[row])
            elif self._queue is not None and not self._queue:
                self._parked[row] = True
                continue
            elif self._queue is not None:
                index = self._queue.pop()
            else:
                generator = self.generators[row]
                assert generator is not None
                index = int(generator.integers(len(self.rules.prompts.texts)))
            self._prompt[row] = index
            self._tokens[row, : self.rules.prompt_columns] = self.rules.prompts.tokens[index]
            started.append(row)
        return started

    def _start_infos(self, infos: dict[str, Any], started: list[int]) -> dict[str, Any]:
        """Add the prompts of rows that have started to infos."""
        return add_infos(infos, started, [self.rules.start_info(int(self._prompt[row])) for row in started], self.num_envs)

    def _write(self, live: NDArray[np.int64], actions: NDArray[np.int64]) -> NDArray[np.float64]:
        """Append a token to each live row, score the rows that end, and return what these rows are paid."""
        shaping = self._shaping(live, actions)
        lengths = self._length[live]
        columns = self.rules.prompt_columns + lengths
        self._tokens[live, columns] = actions
        tokens = self._tokens if len(live) == self.num_envs else self._tokens[live]
        try:
            outcome = self.rules.outcome(tokens, lengths + 1, self._prompt[live])
        except BaseException:  # an interrupt too
            self._tokens[live, columns] = -1
            raise
        self._length[live] = lengths + 1
        if self.kl_shaping is not None:
            self._shaped[live] += shaping
        rewards: NDArray[np.float64] = shaping + (outcome.worth - self._worth[live])
        self._worth[live] = outcome.worth
        if not outcome.ended.any():
            return rewards
        ended = live[outcome.ended]
        self._done[ended] = True
        self._score[ended] = outcome.scores
        self._outcome = dict(zip(ended.tolist(), outcome.infos, strict=True))
        return rewards

    def _shaping(self, live: NDArray[np.int64], actions: NDArray[np.int64]) -> NDArray[np.float64]:
        """What the KL shaping pays each live row; rows that do not move are hidden from it, so that it keeps its place in the others."""
        if self.kl_shaping is None:
            return np.zeros(len(live))
        shown, chosen = np.full_like(self._tokens, -1), np.zeros(self.num_envs, dtype=np.int64)
        shown[live], chosen[live] = self._tokens[live], actions
        masks = self.action_masks() if self.rules.restricted else None
        return self.kl_shaping(shown, chosen, masks)[live]

    def _final_info(self, row: int) -> dict[str, Any]:
        info = self._outcome[row]
        return {**info, "shaping": float(self._shaped[row])} if self.kl_shaping else info


def _read_mode(mode: Any) -> AutoresetMode:
    """Look an autoreset mode up by its name or value.

    Raises:
        ArgumentError: there is none of that name.
    """
    read = _MODES.get(mode) if isinstance(mode, str) else mode
    if not isinstance(read, AutoresetMode):
        raise ArgumentError(f"autoreset_mode must be one of {', '.join(m.name for m in AutoresetMode)}, got {brief(mode)}.")
    return read


def _check_size(rows: int, width: int) -> None:
    """Refuse more tokens than the memory of a machine holds.

    Raises:
        ArgumentError: naming the arguments.
    """
    if rows * width > MOST_TOKENS:
        raise ArgumentError(
            f"num_envs={rows} times {width} columns, those of max_prompt_tokens and max_new_tokens, are more than {MOST_TOKENS}"
            " tokens; lower one of them."
        )


def _check_name(argument: str, value: Any, names: Sequence[str | None]) -> None:
    """Refuse what is none of some names.

    Raises:
        ArgumentError: naming them.
    """
    if not (value is None or isinstance(value, str)) or value not in names:
        *first, last = (f'"{name}"' if name else "None" for name in names)
        raise ArgumentError(f"{argument} must be {', '.join(first)} or {last}, got {brief(value)}.")


def text_envs(envs: Any, *, numbers: bool = False) -> TextVectorEnv:
    """Take the text environments out of their wrappers.

    Args:
        envs: from `gymnasium.make_vec`.
        numbers: whether infos of numbers will do.

    Raises:
        ArgumentError: they are none, or tell numbers where texts are needed.
    """
    inner = getattr(envs, "unwrapped", None)
    if not isinstance(inner, TextVectorEnv):
        raise ArgumentError(
            f"This needs the vector env of a text environment, from gymnasium.make_vec, got {type(inner or envs).__name__}."
        )
    if inner.infos == "numbers" and not numbers:
        raise ArgumentError('This reads the texts of infos; make the envs without infos="numbers".')
    return inner
