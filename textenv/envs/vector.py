"""`TextVectorEnv`: the one state machine. `TextEnv` is its view of one row."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import gymnasium as gym
import numpy as np
from gymnasium.utils import seeding
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space
from numpy.typing import NDArray

from textenv.envs.handles import hold_spec, release
from textenv.envs.rendering import render_text
from textenv.envs.rules import Rules
from textenv.envs.shaping import KLShaping
from textenv.envs.task import Task
from textenv.errors import ActionError, ArgumentError, OrderError, did_you_mean

_RESET_OPTIONS = ("prompt_index", "prompt_queue", "reset_mask")


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
        render_mode: None, "ansi" or "human".
        kl_coef: β of `KLShaping`; 0 pays the plain score.
        reference: model of `KLShaping`; by default the task's own.
        **fields: of `Task`, to replace those of the task, or arguments of its own.

    Raises:
        ArgumentError: an argument is unknown or out of range, or the prompt set cannot be used.
        LoadError: the tokenizer, reward or reference cannot be loaded.
    """

    metadata: dict[str, Any] = {"render_modes": ["ansi", "human"], "render_fps": 8, "autoreset_mode": AutoresetMode.SAME_STEP}  # noqa: RUF012
    modes: ClassVar = {mode.value: mode for mode in AutoresetMode} | {mode.name: mode for mode in AutoresetMode}

    def __init__(
        self,
        task: str | Task,
        num_envs: int = 1,
        *,
        autoreset_mode: str | AutoresetMode = AutoresetMode.SAME_STEP,
        render_mode: str | None = None,
        kl_coef: float = 0.0,
        reference: Any = None,
        **fields: Any,
    ) -> None:
        from textenv.envs.registry import task_of

        if isinstance(num_envs, bool) or not isinstance(num_envs, int | np.integer) or num_envs < 1:
            raise ArgumentError(f"num_envs must be an integer of at least 1, got {num_envs!r}.")
        autoreset_mode = release(autoreset_mode)
        mode = self.modes.get(autoreset_mode) if isinstance(autoreset_mode, str) else autoreset_mode
        if not isinstance(mode, AutoresetMode):
            raise ArgumentError(f"autoreset_mode must be one of {', '.join(m.name for m in AutoresetMode)}, got {autoreset_mode!r}.")
        if render_mode not in (None, *self.metadata["render_modes"]):
            raise ArgumentError(f'render_mode must be None, "ansi" or "human", got {render_mode!r}.')
        self.task = task_of(task, **{name: release(value) for name, value in fields.items()})
        self.rules = Rules(self.task)
        self.num_envs = int(num_envs)
        self.autoreset_mode = mode
        self.metadata = {**self.metadata, "autoreset_mode": mode}
        self.render_mode = render_mode
        self.kl_shaping = KLShaping.of(release(reference) or self.task.model, kl_coef, self.rules)
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
        mask, chosen, queue = self._read_options(options or {})
        if not self._started and not mask.all():
            raise OrderError('The first reset() must start every row; leave options["reset_mask"] out.')
        rows = np.flatnonzero(mask)
        if isinstance(seed, int | np.integer):
            super().reset(seed=int(seed))
            seeds: list[int | None] = [int(seed) + row for row in range(self.num_envs)]
        else:
            seeds = list(seed) if seed is not None else [None] * self.num_envs
        if len(seeds) != self.num_envs:
            raise ArgumentError(f"seed must be an integer or {self.num_envs} of them, one a row, got {len(seeds)}.")
        for row in rows.tolist():
            if seeds[row] is not None or self.generators[row] is None:
                self.generators[row], _ = seeding.np_random(seeds[row])
        if queue is not None or "reset_mask" not in (options or {}):  # with a mask the running queue goes on
            self._queue = queue
        self._started = True
        infos = self._start(rows, chosen, {})
        return self._tokens.copy(), infos

    def step(self, actions: NDArray[np.int64]) -> tuple[NDArray[np.int32], NDArray[Any], NDArray[Any], NDArray[Any], dict[str, Any]]:
        """Write one token into every row.

        Raises:
            OrderError: no reset came before, or with autoreset disabled a row has ended.
            ActionError: not N token ids.
            RewardError: the reward failed; no row has changed then, so the step can be repeated.
        """
        if not self._started:
            raise OrderError("Call reset() before the first step().")
        if self.autoreset_mode is AutoresetMode.DISABLED and self._done.any():
            rows = np.flatnonzero(self._done).tolist()
            raise OrderError(f'The episodes of the rows {rows} have ended; call reset(options={{"reset_mask": ...}}) for them first.')
        waiting = self._done & ~self._parked  # in NEXT_STEP mode: rows that start a new episode instead
        live = np.flatnonzero(~(self._done | self._parked))
        actions = self._check_actions(actions, live)
        rewards, terminated = np.zeros(self.num_envs), np.zeros(self.num_envs, dtype=np.bool_)
        infos: dict[str, Any] = {}
        if len(live):
            rewards[live] = self._write(live, actions[live])
            terminated[live] = self._done[live]
        ended: list[int] = np.flatnonzero(terminated).tolist()
        final = [self._final_info(row) for row in ended]
        if self.autoreset_mode is AutoresetMode.SAME_STEP:
            if ended:
                observations = np.full(self.num_envs, None, dtype=object)
                for row in ended:
                    observations[row] = self._tokens[row].copy()
                infos = {"final_obs": observations, "final_info": self._add_infos({}, ended, final)}
                infos |= {f"_{name}": terminated.copy() for name in infos}
            infos = self._start(np.array(ended, dtype=np.int64), None, infos)
        else:
            infos = self._start(np.flatnonzero(waiting), None, self._add_infos(infos, ended, final))
        return self._tokens.copy(), rewards, terminated, np.zeros_like(terminated), infos

    def action_masks(self) -> NDArray[np.bool_]:
        """Tell which tokens are allowed now: (N, V) True where allowed, as sb3-contrib's MaskablePPO asks."""
        masks = np.repeat(self.rules.allowed[None], self.num_envs, axis=0)
        live = ~self._done & ~self._parked  # elsewhere the next action is ignored, and the task's mask may not know the state
        masks[live] = self.rules.action_masks(self._tokens[live], self._length[live])
        return masks

    def render(self) -> tuple[str, ...] | None:
        """Show each row's text so far, coloured by its score when it has ended."""
        if self.render_mode is None:
            gym.logger.warn('render() was called without a render_mode; make the environment with render_mode="ansi" or "human".')
            return None
        frames = tuple(self._render_row(row) for row in range(self.num_envs))
        if self.render_mode == "human":
            print("\n".join(frames))
            return None
        return frames

    def _render_row(self, row: int) -> str:
        completion = self.rules.completions(self._tokens[row : row + 1], self._length[row : row + 1])[0]
        score = float(self._score[row]) if self._done[row] else None
        return render_text(self.rules.prompts.texts[self._prompt[row]], completion, score)

    def _read_options(self, options: Mapping[str, Any]) -> tuple[NDArray[np.bool_], NDArray[np.int64] | None, list[int] | None]:
        """Check the options of reset: the rows to reset, their prompts, and the queue."""
        for name in options:
            if name not in _RESET_OPTIONS:
                raise ArgumentError(f'reset has no option "{name}".{did_you_mean(name, _RESET_OPTIONS)}')
        mask = np.asarray(options.get("reset_mask", np.ones(self.num_envs, dtype=np.bool_)))
        if mask.shape != (self.num_envs,) or mask.dtype != np.bool_ or not mask.any():
            raise ArgumentError(f'options["reset_mask"] must be {self.num_envs} booleans with one of them True, got {mask!r}.')
        chosen, queue = (
            None if options.get(name) is None else self._check_indices(name, options[name]) for name in ("prompt_index", "prompt_queue")
        )
        if chosen is not None and chosen.shape != (self.num_envs,):
            raise ArgumentError(f'options["prompt_index"] must have the shape ({self.num_envs},), got {chosen.shape}.')
        if queue is not None and (queue.ndim != 1 or chosen is not None):
            raise ArgumentError('options["prompt_queue"] must be a flat list of prompt indices, without "prompt_index" beside it.')
        return mask, chosen, None if queue is None else queue[::-1].tolist()

    def _check_indices(self, name: str, values: Any) -> NDArray[np.int64]:
        indices, n = np.asarray(values), len(self.rules.prompts.texts)
        if not np.issubdtype(indices.dtype, np.integer) or (indices.size and not (indices.min() >= 0 and indices.max() < n)):
            raise ArgumentError(f'options["{name}"] must hold integers from 0 to {n - 1}, got {values!r}.')
        return indices.astype(np.int64)

    def _check_actions(self, actions: Any, live: NDArray[np.int64]) -> NDArray[np.int64]:
        array = np.asarray(actions)
        if array.shape != (self.num_envs,):
            raise ActionError(f"step needs one token id a row, an array of the shape ({self.num_envs},), got the shape {array.shape}.")
        if not np.issubdtype(array.dtype, np.integer):
            raise ActionError(f"Actions are token ids, so integers; got an array of {array.dtype}.")
        if array.min() < 0 or array.max() >= self.rules.vocabulary:
            bad = live[(array[live] < 0) | (array[live] >= self.rules.vocabulary)]
            if len(bad):
                raise ActionError(
                    f"Row {bad[0]}: the action {array[bad[0]]} is no token id; they go from 0 to {self.rules.vocabulary - 1}."
                )
        return array.astype(np.int64)

    def _start(self, rows: NDArray[np.int64], chosen: NDArray[np.int64] | None, infos: dict[str, Any]) -> dict[str, Any]:
        """Begin an episode in each of these rows, or park it when the queue is empty."""
        if not len(rows):
            return infos
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
        return self._add_infos(infos, started, [self.rules.start_info(int(self._prompt[row])) for row in started])

    def _add_infos(self, infos: dict[str, Any], rows: list[int], found: list[dict[str, Any]]) -> dict[str, Any]:
        """Add what is known of some rows, the same things of each, as Gymnasium lays infos out: an array a name and a mask `_name`."""
        for name in found[0] if found else ():
            values = [info[name] for info in found]
            if name not in infos:
                first = values[0]
                numbers = isinstance(first, int | float | np.ndarray)
                shape, kind = (np.shape(first), np.asarray(first).dtype) if numbers else ((), np.dtype(object))
                infos[name] = np.zeros((self.num_envs, *shape), kind) if numbers else np.full(self.num_envs, None, kind)
                infos[f"_{name}"] = np.zeros(self.num_envs, dtype=np.bool_)
            infos[name][rows] = values
            infos[f"_{name}"][rows] = True
        return infos

    def _write(self, live: NDArray[np.int64], actions: NDArray[np.int64]) -> NDArray[np.float64]:
        """Append a token to each live row, score the rows that end, and return what these rows are paid."""
        shaping = self._shaping(live, actions)
        lengths = self._length[live]
        columns = self.rules.prompt_columns + lengths
        self._tokens[live, columns] = actions
        tokens = self._tokens if len(live) == self.num_envs else self._tokens[live]
        try:
            outcome = self.rules.outcome(tokens, lengths + 1, self._prompt[live])
        except Exception:
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


def text_envs(envs: Any) -> TextVectorEnv:
    """Take the text environments out of their wrappers.

    Raises:
        ArgumentError: they are none.
    """
    inner = getattr(envs, "unwrapped", None)
    if not isinstance(inner, TextVectorEnv):
        raise ArgumentError(
            f"This needs the vector env of a text environment, from gymnasium.make_vec, got {type(inner or envs).__name__}."
        )
    return inner
