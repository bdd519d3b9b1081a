"""The KL shaping as a wrapper."""

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from textenv.envs import shaping
from textenv.envs.wrappers.base import Move, Rows, Turn, wrap
from textenv.errors import ArgumentError


def KLShaping(
    env: Any,
    kl_coef: float,
    *,
    reference: Any = None,
    policy: shaping.TokenDistribution | None = None,
    per: Literal["token", "sequence"] = "token",
) -> Any:
    """Pay for staying near a reference, by what `make(id, kl_coef=...)` pays by.

    With `policy`, the agent's own distribution, the k1 estimate -β log(π(a|s)/π_ref(a|s)); without, for agents that offer
    none, β (log π_ref(a|s) + H(π_ref(·|s))), an approximation that needs the agent's entropy bonus: see
    `textenv.envs.shaping.KLShaping`. The hook can be set later: `env.kl_shaping.policy = policy`. Both distributions are
    renormalised over what the task and an `ActionMask` inside of this wrapper allow. The last info tells the sum as
    `shaping`.

    Args:
        env: from `gymnasium.make` or `gymnasium.make_vec`.
        kl_coef: β > 0, in units of score a nat.
        reference: π_ref, a name, a path or a policy; by default the task's model.
        policy: π, or None.
        per: pay at every token, or for the whole sequence at its last token: score - β log(π(sequence)/π_ref(sequence)).

    Raises:
        ArgumentError: the env is no text environment, its observations are no tokens any more, or an argument is out of
            range.
        LoadError: the reference cannot be loaded.
    """
    return wrap(KLShaping, Payment, env, kl_coef=kl_coef, reference=reference, policy=policy, per=per)


class Payment(Rows):
    """The rows of `KLShaping`; the arguments are its."""

    asks_allowed = True
    offers = ("kl_shaping",)

    def __init__(self, env: Any, kl_coef: float, reference: Any, policy: shaping.TokenDistribution | None, per: str) -> None:
        super().__init__(env)
        if per not in ("token", "sequence"):
            raise ArgumentError(f'per must be "token" or "sequence", got {per!r}.')
        found = shaping.KLShaping.of(reference, kl_coef, self.rules)
        if found is None:
            raise ArgumentError("KLShaping with a kl_coef of 0 pays nothing; leave it out.")
        self.kl_shaping = found
        self.kl_shaping.policy = policy
        self.per = per
        self.paid = np.zeros(self.count)  # of the running episodes

    def begin(self, rows: NDArray[np.bool_]) -> None:
        """Forget what has been paid in these rows (N,)."""
        self.paid[rows] = 0.0

    def weigh(self, move: Move) -> NDArray[np.float64]:
        """Compute the shaping of each token (N,)."""
        return np.where(move.live, self.kl_shaping(move.before, move.tokens, move.allowed), 0.0)

    def settle(self, turn: Turn) -> NDArray[np.float64]:
        """Add the shaping to what is paid (N,)."""
        self.paid += turn.weighed
        due = turn.weighed if self.per == "token" else np.where(turn.ended, self.paid, 0.0)
        paid: NDArray[np.float64] = turn.rewards + due
        return paid

    def tell(self) -> dict[str, NDArray[np.float64]]:
        """Return the sum of the shaping so far, `shaping`."""
        return {"shaping": self.paid.copy()}
