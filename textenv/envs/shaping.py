"""KL shaping inside the environment, for agents that do not know a reference."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from textenv.envs.inputs import brief
from textenv.errors import ArgumentError
from textenv.models.contract import require_same

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
            raise ArgumentError(f"kl_coef must be a number of at least 0, got {brief(kl_coef)}.")
        return cls(load_reference(reference, rules), float(kl_coef)) if kl_coef > 0 else None

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
        with torch.no_grad():
            reference = distribution(self.reference, observations, allowed)  # (N, V)
            here = chosen(reference, actions)
            if self.policy is not None:
                paid = here - chosen(distribution(self.policy, observations, allowed), actions)
            else:
                paid = here + torch.special.entr(reference.exp()).sum(-1)
        return (self.kl_coef * paid).numpy()


def load_reference(reference: Any, rules: "Rules") -> TokenDistribution:
    """Load a distribution over the tokens of a task.

    Args:
        reference: a name, a path or something with `next_log_probs`, which is taken as it is; None is the task's model.
        rules: of the environment.

    Raises:
        ArgumentError: it is nothing of that kind, or belongs to another vocabulary.
        LoadError: it cannot be loaded.
    """
    from textenv.models.policy import LanguagePolicy

    if not hasattr(reference, "next_log_probs"):
        if not isinstance(reference, str | Path | None):
            raise ArgumentError(f"reference must be a name, a path or a policy, got {type(reference).__name__}.")
        reference = LanguagePolicy.for_rules(rules, reference)
    if hasattr(reference, "contract"):
        require_same(reference.contract, rules.contract, "reference")
        if reference.vocabulary != rules.vocabulary:  # by special tokens that one of them lacks
            raise ArgumentError(
                f"The reference has {reference.vocabulary} tokens, the environment {rules.vocabulary}; make the environment by the "
                "name of the reference's folder, tokenizer=..."
            )
    found: TokenDistribution = reference
    return found


def distribution(model: TokenDistribution, observations: NDArray[np.int32], allowed: NDArray[np.bool_] | None) -> torch.Tensor:
    """Ask for log-probabilities (N, V), in float64, renormalised over the allowed tokens (N, V)."""
    log_probs = model.next_log_probs(observations).double().cpu()
    if allowed is None:
        return log_probs
    return torch.log_softmax(log_probs.masked_fill(~torch.from_numpy(allowed), -torch.inf), -1)


def chosen(log_probs: torch.Tensor, actions: NDArray[np.int64]) -> torch.Tensor:
    """Take the log-probabilities (N,) of actions (N,); a forbidden one counts as the least probable allowed one, to stay finite."""
    least = log_probs.masked_fill(log_probs == -torch.inf, torch.inf).min(1).values
    return torch.maximum(log_probs.gather(1, torch.from_numpy(actions)[:, None])[:, 0], least)
