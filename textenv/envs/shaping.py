"""KL shaping inside the environment, for agents that do not know a reference."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from textenv.errors import ArgumentError

if TYPE_CHECKING:
    from textenv.envs.rules import Rules


class TokenDistribution(Protocol):
    """What can tell its log-probabilities of the next token."""

    def next_log_probs(self, observations: NDArray[np.int32]) -> torch.Tensor:
        """Map observations (n, P+T) to log-probabilities (n, V)."""
        ...


class KLShaping:
    """Pays for staying near a reference at every token.

    With `policy` set, an agent's own distribution, it pays the k1 estimate -β (log π(a|s) - log π_ref(a|s)), whose
    expected gradient is that of -β KL(π‖π_ref).

    Without, for black-box agents, it pays β (log π_ref(a|s) + H(π_ref(·|s))). That is 0 on average at the reference, so
    length is not taxed; the other half of the KL, the policy's entropy, has to come from the agent's entropy bonus. It
    needs `ent_coef=β, gamma=1` and no advantage normalisation, and it is an approximation: H(π_ref) does not belong to
    the objective, so where the reference's entropy depends on the actions its optimum differs from that of E[score] - β KL.

    Args:
        reference: the distribution π_ref.
        kl_coef: β > 0, in units of score a nat.
        policy: the agent's distribution π, or None.
    """

    def __init__(self, reference: TokenDistribution, kl_coef: float, policy: TokenDistribution | None = None) -> None:
        self.reference = reference
        self.kl_coef = kl_coef
        self.policy = policy

    @classmethod
    def of(cls, reference: Any, kl_coef: float, rules: "Rules") -> "KLShaping | None":
        """Make the shaping of an environment, None for β = 0.

        Raises:
            ArgumentError: β is negative or no number.
            LoadError: the reference cannot be loaded.
        """
        if isinstance(kl_coef, bool) or not isinstance(kl_coef, int | float | np.floating) or not 0 <= kl_coef < float("inf"):
            raise ArgumentError(f"kl_coef must be a number of at least 0, got {kl_coef!r}.")
        if kl_coef == 0:
            return None
        from textenv.models.policy import LanguagePolicy

        if not hasattr(reference, "next_log_probs"):
            if not isinstance(reference, str | Path | None):
                raise ArgumentError(f"reference must be a name, a path or a policy, got {type(reference).__name__}.")
            reference = LanguagePolicy.for_rules(rules, reference)
        if getattr(reference, "vocabulary", rules.vocabulary) != rules.vocabulary:
            raise ArgumentError(f"The reference has {reference.vocabulary} tokens, the environment {rules.vocabulary}; use one tokenizer.")
        return cls(reference, float(kl_coef))

    def __call__(
        self, observations: NDArray[np.int32], actions: NDArray[np.int64], allowed: NDArray[np.bool_] | None = None
    ) -> NDArray[np.float64]:
        """Compute the payment for each row's action.

        Args:
            observations: (N, P+T); what stands for rows of only -1 means nothing.
            actions: (N,).
            allowed: (N, V) tokens over which both distributions are renormalised.

        Returns:
            (N,).
        """
        chosen = torch.from_numpy(actions)[:, None]
        with torch.no_grad():
            reference = self._distribution(self.reference, observations, allowed)  # (N, V)
            here = _chosen(reference, chosen)
            if self.policy is not None:
                policy = self._distribution(self.policy, observations, allowed)
                paid = here - _chosen(policy, chosen)
            else:
                paid = here + torch.special.entr(reference.exp()).sum(-1)
        return (self.kl_coef * paid).numpy()

    @staticmethod
    def _distribution(model: TokenDistribution, observations: NDArray[np.int32], allowed: NDArray[np.bool_] | None) -> torch.Tensor:
        log_probs = model.next_log_probs(observations).double().cpu()
        if allowed is None:
            return log_probs
        return torch.log_softmax(log_probs.masked_fill(~torch.from_numpy(allowed), -torch.inf), -1)


def _chosen(log_probs: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
    """Log-probabilities (N,) of tokens (N, 1); a forbidden one counts as the least probable allowed one, so payments stay finite."""
    least = log_probs.masked_fill(log_probs == -torch.inf, torch.inf).min(1).values
    return torch.maximum(log_probs.gather(1, tokens)[:, 0], least)
