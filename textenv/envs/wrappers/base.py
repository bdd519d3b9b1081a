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
from textenv.envs.rules import Rules
from textenv.envs.single import TextEnv
from textenv.envs.vector import TextVectorEnv
from textenv.envs.wrappers.layout import info_of, put, row_of, tokens_of
from textenv.errors import ArgumentError, OrderError

if TYPE_CHECKING:
    _VectorWrapper = VectorWrapper[Any, Any, Any, Any, Any]
else:
    _VectorWrapper = VectorWrapper  # takes no parameters in older releases of Gymnasium


class Turn(NamedTuple):
    """One step of N rows, in tokens."""

    before: NDArray[np.int32]
    """(N, W) the texts that were written on, all -1 in rows that did not move."""
    tokens: NDArray[np.int64]
    """(N,) what was written."""
    live: NDArray[np.bool_]
    """(N,) rows that moved; the others were parked or waited for their reset."""
    after: NDArray[np.int32]
    """(N, W) the texts with what was written; of rows that ended the final ones."""
    rewards: NDArray[np.float64]
    """(N,) what the wrapped environment paid."""
    ended: NDArray[np.bool_]
    """(N,) rows whose episode is over."""
    infos: list[dict[str, Any]]
    """N last infos, empty for rows that did not end."""
    allowed: NDArray[np.bool_] | None
    """(N, V) the tokens that were allowed; None where nothing is restricted, or the wrapper does not ask."""


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
    """Whether it reads `Turn.allowed`."""
    offers: tuple[str, ...] = ()
    """Names that the wrapper has beside those of an environment."""

    def __init__(self, env: Any) -> None:
        self.env = env
        self.rules = rules_of(env, view=self.view)
        self.count = int(getattr(env, "num_envs", 1))  # N
        self.texts = np.full((self.count, self.rules.width), -1, dtype=np.int32)  # (N, W), as they are now
        self.live = np.zeros(self.count, dtype=np.bool_)  # rows whose episode runs
        self.started = False

    def begin(self, rows: NDArray[np.bool_]) -> None:
        """Forget what is kept of the running episodes of these rows (N,), which a reset replaces."""

    def to_tokens(self, actions: Any) -> Any:
        """Turn N actions into token ids (N,)."""
        return actions

    def settle(self, turn: Turn) -> tuple[NDArray[np.float64], dict[str, NDArray[np.float64]]]:
        """Say what a step pays (N,), and what the last infos tell in addition, (N,) by name."""
        return turn.rewards, {}

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
        self.started = True
        self.begin(rows)
        self.live = np.where(rows, (texts >= 0).any(1), self.live)
        self.texts = texts.copy()
        return self.observe(texts, self.live)

    def ask(self, actions: Any) -> tuple[Any, NDArray[np.bool_] | None]:
        """Give, before a step, the tokens (N,) of the actions and what is allowed (N, V), where the wrapper asks for it.

        Raises:
            OrderError: the wrapper has seen no reset.
        """
        if not self.started:
            raise OrderError("Call reset() of the wrapped environment before its first step().")
        allowed = action_masks(self.env) if self.asks_allowed and restricted(self.env) else None
        return self.to_tokens(actions), allowed

    def take(
        self,
        asked: tuple[Any, NDArray[np.bool_] | None],
        texts: NDArray[np.int32],
        after: NDArray[np.int32],
        rewards: NDArray[np.float64],
        ended: NDArray[np.bool_],
        infos: list[dict[str, Any]],
    ) -> tuple[NDArray[np.float64], dict[str, NDArray[np.float64]]]:
        """Take in what a step returned and settle it.

        Args:
            asked: what `ask` gave.
            texts: (N, W), as they go on.
            after: of `Turn`.
            rewards: of `Turn`.
            ended: of `Turn`.
            infos: of `Turn`.
        """
        tokens, allowed = asked
        before = np.where(self.live[:, None], self.texts, -1)
        written = np.where(self.live, np.asarray(tokens, dtype=np.int64), 0)  # what waiting rows are told to write is ignored
        settled = self.settle(Turn(before, written, self.live, after, rewards, ended, infos, allowed))
        # A row that has ended and not begun anew still shows its final text.
        self.live = (texts >= 0).any(1) & ~(ended & (texts == after).all(1))
        self.texts = texts.copy()
        return settled


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
        return put(seen, row_of(shown, 0)), info

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """Take one step."""
        asked = self.rows.ask([action])
        seen, reward, terminated, truncated, info = self.env.step(asked[0][0])
        text, ended = tokens_of(seen)[None], terminated or truncated
        rewards, told = self.rows.take(asked, text, text, np.array([float(reward)]), np.array([ended]), [info if ended else {}])
        if ended:
            info = info | {name: float(values[0]) for name, values in told.items()}
        return put(seen, row_of(self.rows.observe(text, self.rows.live), 0)), float(rewards[0]), terminated, truncated, info

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
        every = np.ones(self.num_envs, dtype=np.bool_)
        return put(seen, self.rows.start(tokens_of(seen), np.asarray((options or {}).get("reset_mask", every)))), infos

    def step(self, actions: Any) -> tuple[Any, NDArray[Any], NDArray[Any], NDArray[Any], dict[str, Any]]:
        """Take one step in every row."""
        asked = self.rows.ask(actions)
        seen, paid, terminated, truncated, infos = self.env.step(asked[0])
        texts, ended = tokens_of(seen), terminated | truncated
        at = np.flatnonzero(ended)
        after = texts.copy()
        for row in at if "final_obs" in infos else ():
            after[row] = tokens_of(infos["final_obs"][row])
        last = infos.get("final_info", infos)
        rewards, told = self.rows.take(
            asked, texts, after, paid, ended, [info_of(last, row) if ended[row] else {} for row in range(len(ended))]
        )
        if len(at):
            last = last | told | {f"_{name}": ended.copy() for name in told}
            infos = infos | {"final_info": last} if "final_info" in infos else last
            infos = self._show_final(infos, after, at)
        return put(seen, self.rows.observe(texts, self.rows.live)), rewards, terminated, truncated, infos

    def _show_final(self, infos: dict[str, Any], after: NDArray[np.int32], at: NDArray[np.int64]) -> dict[str, Any]:
        """Show the final texts of the rows `at` as the wrapper shows texts."""
        if "final_obs" not in infos or self.rows.observation_space is None:
            return infos
        shown = self.rows.observe(after[at], np.zeros(len(at), dtype=np.bool_))
        final = np.full(self.num_envs, None, dtype=object)
        for index, row in enumerate(at.tolist()):
            final[row] = put(infos["final_obs"][row], row_of(shown, index))
        return infos | {"final_obs": final}

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
