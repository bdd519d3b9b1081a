"""What all wrappers share: each is written once, over rows, and stands around one environment or many.

`Rows` is what a wrapper does; `OneEnv` and `ManyEnvs` put it around what `gymnasium.make` and `gymnasium.make_vec` return.

Shapes: N rows, W = P+T columns of tokens, V vocabulary.
"""

import copy
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import gymnasium as gym
import numpy as np
from gymnasium.envs.registration import WrapperSpec
from gymnasium.vector import VectorEnv, VectorWrapper
from gymnasium.vector.utils import batch_space
from numpy.typing import NDArray

from textenv.envs.handles import hold, release
from textenv.envs.inputs import brief, read_actions
from textenv.envs.rules import Rules
from textenv.envs.single import TextEnv
from textenv.envs.vector import TextVectorEnv
from textenv.envs.wrappers.layout import info_of, put, row_of, tokens_of, with_rows
from textenv.errors import ArgumentError, OrderError

if TYPE_CHECKING:
    _VectorWrapper = VectorWrapper[Any, Any, Any, Any, Any]
else:
    _VectorWrapper = VectorWrapper  # takes no parameters in older releases of Gymnasium


class Move(NamedTuple):
    """What N rows are about to write."""

    before: NDArray[np.int32]
    """(N, W) the texts that are written on, all -1 in rows that do not move."""
    tokens: NDArray[np.int64]
    """(N,) what is written."""
    live: NDArray[np.bool_]
    """(N,) rows that move; the others are parked or wait for their reset."""
    allowed: NDArray[np.bool_] | None
    """(N, V) the tokens that are allowed; None where nothing is restricted, or the wrapper does not ask."""


class Turn(NamedTuple):
    """One step of N rows."""

    move: Move
    """What was written."""
    weighed: Any
    """What `Rows.weigh` returned for it."""
    after: NDArray[np.int32]
    """(N, W) the texts with what was written; of rows that ended the final ones."""
    rewards: NDArray[np.float64]
    """(N,) what the wrapped environment paid."""
    ended: NDArray[np.bool_]
    """(N,) rows whose episode is over."""
    infos: list[dict[str, Any]]
    """N last infos, empty for rows that did not end."""


class Rows:
    """What a wrapper does to N rows; as it stands, nothing.

    Args:
        env: a text environment whose observations and actions are still tokens; for a view, whose observations still hold
            tokens.

    Raises:
        ArgumentError: it is not.
    """

    observation_space: gym.Space[Any] | None = None
    """Of what stands for the tokens of one row, where the wrapper shows something else."""
    view = False
    """Whether it only shows the tokens in another way, and so may stand around `TopKActions`."""
    action_space: gym.Space[Any] | None = None
    """Of one row, where the wrapper asks for something else than a token."""
    restricts = False
    """Whether it forbids tokens."""
    asks_allowed = False
    """Whether it reads `Move.allowed`."""
    offers: tuple[str, ...] = ()
    """Names that the wrapper has beside those of an environment."""

    def __init__(self, env: Any) -> None:
        self.env = env
        self.rules = rules_of(env, view=self.view)
        self.count = int(getattr(env, "num_envs", 1))  # N
        self.texts = np.full((self.count, self.rules.width), -1, dtype=np.int32)  # (N, W), as they are now
        self.live = np.zeros(self.count, dtype=np.bool_)  # rows whose episode runs
        self.started = False
        # Of a step that was interrupted: its actions, its move and what `weigh` returned, and what the wrapped step returned.
        self.unfinished: tuple[Any, tuple[Move, Any], Any] | None = None

    def begin(self, rows: NDArray[np.bool_]) -> None:
        """Forget what is kept of the running episodes of these rows (N,), which a reset replaces."""

    def to_tokens(self, actions: Any) -> Any:
        """Turn N actions into token ids (N,)."""
        return actions

    def weigh(self, move: Move) -> Any:
        """Ask models about a move, and write files, before it is made: whatever fails here has changed nothing."""

    def settle(self, turn: Turn) -> NDArray[np.float64]:
        """Return what a step pays (N,), and keep what is needed of it."""
        return turn.rewards

    def tell(self) -> dict[str, NDArray[np.float64]]:
        """Return what is added to the infos, for the running episodes (N,) by name."""
        return {}

    def observe(self, texts: NDArray[np.int32], live: NDArray[np.bool_]) -> Any:
        """Show texts (n, W), of which those of `live` (n,) go on, as a batch of n observations."""
        return texts

    def masks(self, masks: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Turn the masks of the wrapped environment (N, V) into masks over the wrapper's actions."""
        return masks

    def close(self) -> None:
        """Write what is left to write."""

    def start(self, texts: NDArray[np.int32], rows: NDArray[np.bool_]) -> Any:
        """Take in what the reset of some rows (N,) returned, and show it."""
        self.started, self.unfinished = True, None
        self.begin(rows)
        self.live = np.where(rows, (texts >= 0).any(1), self.live)
        self.texts = texts.copy()
        return self.observe(texts, self.live)

    def step(self, actions: Any, step: Callable[[Any], Any]) -> tuple[tuple[Move, Any], Any]:
        """Step the wrapped environment.

        A step that was interrupted after that, while a model read the new texts, is gone on with by the next call.

        Args:
            actions: N of them.
            step: the wrapped environment's, of N tokens.

        Returns:
            The move and what `weigh` returned for it, and what the step returned.

        Raises:
            OrderError: the wrapper has seen no reset, or the interrupted step had other actions.
        """
        if not self.started:
            raise OrderError("Call reset() of the wrapped environment before its first step().")
        if self.unfinished is None:
            tokens = self.to_tokens(actions)
            move = self._move(tokens)
            weighed = self.weigh(move)
            returned = step(tokens)
            self.unfinished = np.array(actions), (move, weighed), returned  # a copy: the caller may write the next ones there
        wanted, made, returned = self.unfinished
        if not np.array_equal(wanted, actions):
            raise OrderError(
                f"The last step was interrupted when {brief(wanted.tolist())} was written already; "
                "repeat it with the same actions, or reset."
            )
        return made, returned

    def _move(self, tokens: Any) -> Move:
        allowed = action_masks(self.env) if self.asks_allowed and restricted(self.env) else None
        before = np.where(self.live[:, None], self.texts, -1)
        read = read_actions(tokens, self.count, self.rules.vocabulary, np.flatnonzero(self.live))
        return Move(before, np.where(self.live, read, 0), self.live, allowed)  # what waiting rows are told to write is ignored

    def running(self, texts: NDArray[np.int32], after: NDArray[np.int32], ended: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Tell in which rows (N,) an episode runs after a step; arguments as in `take`."""
        # A row that has ended and not begun anew still shows its final text.
        running: NDArray[np.bool_] = (texts >= 0).any(1) & ~(ended & (texts == after).all(1))
        return running

    def take(self, texts: NDArray[np.int32], turn: Turn) -> tuple[NDArray[np.float64], dict[str, NDArray[np.float64]]]:
        """Take in what a step returned; no model is asked.

        Args:
            texts: (N, W), as they go on.
            turn: the step.

        Returns:
            What is paid, and what `tell` returned before the rows that ended were forgotten.
        """
        rewards, told = self.settle(turn), self.tell()
        self.begin(turn.ended)
        self.live = self.running(texts, turn.after, turn.ended)
        self.texts = texts.copy()
        self.unfinished = None
        return rewards, told


class _Form:
    """What both forms of a wrapper have."""

    rows: Rows
    maker: Callable[..., Any]

    def __getattr__(self, name: str) -> Any:
        if name != "rows" and name in self.rows.offers:
            return getattr(self.rows, name)
        raise AttributeError(f"{type(self).__name__} has no attribute {name!r}")

    @property
    def restricts(self) -> bool:
        """Whether the wrapper forbids tokens."""
        return self.rows.restricts

    def __repr__(self) -> str:
        return f"<{self.maker.__name__}{self.rows.env}>"

    __str__ = __repr__


class OneEnv(_Form, gym.Wrapper[Any, Any, Any, Any]):
    """A wrapper around one environment."""

    def __init__(self, rows: Rows, maker: Callable[..., Any], arguments: dict[str, Any]) -> None:
        super().__init__(rows.env)
        self.rows, self.maker = rows, maker
        if rows.observation_space is not None:
            self._observation_space = put(rows.env.observation_space, rows.observation_space)
        self._action_space = rows.action_space
        # The spec holds the call of the wrapper, so that Gymnasium can make it again.
        self._cached_spec = copy.deepcopy(rows.env.spec)
        if self._cached_spec is not None:
            call = WrapperSpec(maker.__name__, f"{maker.__module__}:{maker.__name__}", hold(arguments))
            self._cached_spec.additional_wrappers += (call,)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Start a new episode; the arguments are those of the environment."""
        seen, info = self.env.reset(seed=seed, options=options)
        shown = self.rows.start(tokens_of(seen)[None], np.ones(1, dtype=np.bool_))
        return put(seen, row_of(shown, 0)), self._tell(info, self.rows.tell(), ended=False)

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """Take one step."""
        made, returned = self.rows.step([action], lambda tokens: self.env.step(tokens[0]))
        seen, reward, terminated, truncated, info = returned
        ended = terminated or truncated
        text, ends = tokens_of(seen)[None], np.array([ended])
        shown = self.rows.observe(text, self.rows.running(text, text, ends))
        turn = Turn(*made, text, np.array([float(reward)]), ends, [info if ended else {}])
        rewards, told = self.rows.take(text, turn)
        return put(seen, row_of(shown, 0)), float(rewards[0]), terminated, truncated, self._tell(info, told, ended=ended)

    def _tell(self, info: dict[str, Any], told: dict[str, NDArray[np.float64]], *, ended: bool) -> dict[str, Any]:
        """Add what the wrapper tells, (1,) by name, to the last info, or where infos are numbers to every one."""
        if not ended and self.rows.env.unwrapped.infos != "numbers":
            return info
        return info | {name: float(values[0]) + info.get(name, 0.0) for name, values in told.items()}

    def action_masks(self) -> NDArray[np.bool_]:
        """Tell which actions are allowed now: (n,) True where allowed, as sb3-contrib's MaskablePPO asks."""
        allowed: NDArray[np.bool_] = self.rows.masks(action_masks(self.env))[0]
        return allowed

    def close(self) -> None:
        """Close the wrapper and the environment."""
        self.rows.close()
        super().close()


class ManyEnvs(_Form, _VectorWrapper):
    """A wrapper around a vector environment, in any of its autoreset modes."""

    def __init__(self, rows: Rows, maker: Callable[..., Any]) -> None:
        super().__init__(rows.env)
        self.rows, self.maker = rows, maker
        if rows.observation_space is not None:
            self.single_observation_space = put(rows.env.single_observation_space, rows.observation_space)
            self.observation_space = batch_space(self.single_observation_space, self.num_envs)
        if rows.action_space is not None:
            self.single_action_space = rows.action_space
            self.action_space = batch_space(rows.action_space, self.num_envs)

    def reset(self, *, seed: Any = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Start new episodes; the arguments are those of the environment."""
        seen, infos = self.env.reset(seed=seed, options=options)
        nothing, every = np.zeros(self.num_envs, dtype=np.bool_), np.ones(self.num_envs, dtype=np.bool_)
        texts = tokens_of(seen)
        shown = self.rows.start(texts, np.asarray((options or {}).get("reset_mask", every)))
        infos = self._show_final(infos, shown, texts, nothing)
        return put(seen, shown), self._tell(infos, self.rows.tell(), nothing)

    def step(self, actions: Any) -> tuple[Any, NDArray[Any], NDArray[Any], NDArray[Any], dict[str, Any]]:
        """Take one step in every row."""
        made, returned = self.rows.step(actions, self.env.step)
        seen, paid, terminated, truncated, infos = returned
        texts, ended = tokens_of(seen), terminated | truncated
        after = texts.copy()
        for row in np.flatnonzero(ended).tolist() if "final_obs" in infos else ():
            after[row] = tokens_of(row_of(infos["final_obs"], row))
        shown = self.rows.observe(texts, self.rows.running(texts, after, ended))
        infos = self._show_final(infos, shown, after, ended)
        last = infos.get("final_info", infos)
        ends = [info_of(last, row) if ended[row] else {} for row in range(len(ended))]
        rewards, told = self.rows.take(texts, Turn(*made, after, paid, ended, ends))
        return put(seen, shown), rewards, terminated, truncated, self._tell(infos, told, ended)

    def _tell(self, infos: dict[str, Any], told: dict[str, NDArray[np.float64]], ended: NDArray[np.bool_]) -> dict[str, Any]:
        """Add what the wrapper tells, (N,) by name, to the infos of rows that ended, or where infos are numbers to all."""
        numbers = self.rows.env.unwrapped.infos == "numbers"
        if not told or not (numbers or ended.any()):
            return infos
        last = infos.get("final_info", infos)
        told = {name: values + last.get(name, 0.0) for name, values in told.items()}
        masks = {f"_{name}": (last["_length"] if numbers else ended).copy() for name in told}
        if "final_info" not in infos:
            return infos | told | masks
        if numbers:
            running = {f"_{name}": infos["_length"].copy() for name in told}  # a row without a next prompt is parked
            infos = infos | {name: np.where(ended, 0.0, values) for name, values in told.items()} | running
        return infos | {"final_info": last | told | masks}

    def _show_final(self, infos: dict[str, Any], shown: Any, after: NDArray[np.int32], ended: NDArray[np.bool_]) -> dict[str, Any]:
        """Show the final texts of the rows that ended (N,) as the wrapper shows texts; where infos are numbers, beside those of `shown`."""
        if "final_obs" not in infos or self.rows.observation_space is None:
            return infos
        at = np.flatnonzero(ended)
        final = self.rows.observe(after[at], np.zeros(len(at), dtype=np.bool_)) if len(at) else None
        if self.rows.env.unwrapped.infos == "numbers":
            return infos | {"final_obs": put(infos["final_obs"], with_rows(shown, at, final))}
        told = np.full(self.num_envs, None, dtype=object)
        for index, row in enumerate(at.tolist()):
            told[row] = put(infos["final_obs"][row], row_of(final, index))
        return infos | {"final_obs": told}

    def action_masks(self) -> NDArray[np.bool_]:
        """Tell which actions are allowed now: (N, n) True where allowed."""
        return self.rows.masks(action_masks(self.env))

    def close(self, **kwargs: Any) -> None:
        """Close the wrapper and the environments."""
        self.rows.close()
        super().close(**kwargs)


def wrap(maker: Callable[..., Any], rows: Callable[..., Rows], env: Any, **arguments: Any) -> OneEnv | ManyEnvs:
    """Put a wrapper around one environment or many.

    Args:
        maker: the public function that is called with `env` and `arguments`.
        rows: makes what the wrapper does of the same.
        env: from `gymnasium.make` or `gymnasium.make_vec`.
        **arguments: of the wrapper.

    Raises:
        ArgumentError: the environment is no text environment, or its observations and actions are no tokens any more.
    """
    arguments = {name: release(value) for name, value in arguments.items()}
    made = rows(env, **arguments)
    return ManyEnvs(made, maker) if isinstance(env, VectorEnv) else OneEnv(made, maker, arguments)


def rules_of(env: Any, *, view: bool = False) -> Rules:
    """Take the rules out of a text environment whose observations and actions are still tokens.

    Args:
        env: from `gymnasium.make` or `gymnasium.make_vec`.
        view: only the observations matter, and they may hold the tokens as the entry `observation` of a `Dict`.

    Raises:
        ArgumentError: it is none, or they are not.
    """
    inner = getattr(env, "unwrapped", None)
    if not isinstance(inner, TextEnv | TextVectorEnv):
        raise ArgumentError(f"This needs a text environment, from gymnasium.make or gymnasium.make_vec, got {type(inner or env).__name__}.")
    for name in ("observation_space",) if view else ("observation_space", "action_space"):
        if getattr(inner, name) not in (space := getattr(env, name), tokens_of(space) if view else space):
            raise ArgumentError(
                f"This reads {'tokens' if view else 'and writes tokens'}, but the {name} of {env} is another; put TextObservation or "
                "EmbeddingObservation around all other wrappers and TopKActions next."
            )
    return inner.rules


def restricted(env: Any) -> bool:
    """Tell whether the task or a wrapper forbids tokens."""
    return masked(env) or bool(env.unwrapped.rules.restricted)


def masked(env: Any) -> bool:
    """Tell whether a wrapper forbids tokens."""
    layer = env
    while layer is not layer.unwrapped:
        if getattr(layer, "restricts", False):
            return True
        layer = layer.env
    return False


def shaped(env: Any) -> bool:
    """Tell whether an environment, or a wrapper in it, pays a KL shaping."""
    layer = env
    while layer is not layer.unwrapped:
        if hasattr(layer, "kl_shaping"):
            return True
        layer = layer.env
    return layer.kl_shaping is not None


def action_masks(env: Any) -> NDArray[np.bool_]:
    """Ask an environment, through wrappers that know of no masks, which actions are allowed now: (N, n)."""
    while not hasattr(env, "action_masks"):
        env = env.env
    return np.atleast_2d(env.action_masks())
