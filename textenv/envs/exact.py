"""The known optimum of tiny environments, by dynamic programming over every text.

The objective is J = E[score] - β KL(π‖π_ref), the KL per sequence, over uniformly drawn prompts. With states s (prompt
and prefix) and the reference π_ref:

    Q(s, a) = score of the finished text, or V(s') of the longer prefix
    V(s)    = β log Σ_a π_ref(a|s) exp(Q(s, a)/β)        (max_a Q(s, a) at β = 0)
    π*(a|s) = π_ref(a|s) exp((Q(s, a) - V(s))/β)

and J* is the mean of V over the prompts. (Levine, "Reinforcement Learning and Control as Probabilistic Inference",
section 2, https://arxiv.org/abs/1805.00909; for texts, Korbak et al., https://arxiv.org/abs/2205.11275.)
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from textenv.envs.rules import Rules
from textenv.errors import ArgumentError

if TYPE_CHECKING:
    from textenv.models.policy import LanguagePolicy

MAX_STATES: Final = 500_000


class Level(NamedTuple):
    """All states with the same number of response tokens.

    Shapes: S states, W columns, V vocabulary.
    """

    observations: NDArray[np.int32]
    """(S, W)."""
    allowed: torch.Tensor
    """(S, V) booleans: tokens that the policy may choose."""
    child: torch.Tensor
    """(S, V) index of the longer prefix in the next level, -1 where the text ends."""
    scores: torch.Tensor
    """(S, V) float64, score less penalty where the text ends, 0 elsewhere."""
    paid: torch.Tensor
    """(S,) float64, what a potential has paid on the way here, to be taken off what `step` pays from here on."""


class Evaluation(NamedTuple):
    """Exact expectations of a policy."""

    score: float
    """E[score]."""
    kl: float
    """KL(π‖π_ref), nats a sequence."""
    objective: float
    """J = score - β kl."""


class Solution(NamedTuple):
    """The optimum at one β."""

    policy: list[torch.Tensor]
    """log π*, one (S, V) a level."""
    values: list[torch.Tensor]
    """V, one (S,) a level."""
    evaluation: Evaluation
    """Of π*."""


def enumerate_texts(rules: Rules) -> list[Level]:
    """List every state of a task, level by level.

    Raises:
        ArgumentError: there are more than `MAX_STATES`.
    """
    prompts = len(rules.prompts.texts)
    observations = np.full((prompts, rules.width), -1, dtype=np.int32)
    observations[:, : rules.prompt_columns] = rules.prompts.tokens
    prompt_index, paid = np.arange(prompts), np.zeros(prompts)
    levels: list[Level] = []
    for length in range(rules.response_columns):
        states = len(observations)
        if states * rules.vocabulary > MAX_STATES:
            raise ArgumentError(
                f"The task is too large to be solved exactly: {states} states with {length} tokens; use a vocabulary ≤ 16, a horizon ≤ 8."
            )
        allowed = rules.action_masks(observations, np.full(states, length))
        longer = np.repeat(observations, rules.vocabulary, axis=0)  # (S V, W)
        longer[:, rules.prompt_columns + length] = np.tile(np.arange(rules.vocabulary), states)
        indices = np.repeat(prompt_index, rules.vocabulary)
        taken = allowed.ravel()
        outcome = rules.outcome(longer[taken], np.full(int(taken.sum()), length + 1), indices[taken])
        ended, scores = ~taken, np.zeros(len(longer))
        ended[taken] = outcome.ended
        scores[np.flatnonzero(taken)[outcome.ended]] = outcome.scores - outcome.penalties
        child = np.full(len(longer), -1)
        child[~ended] = np.arange(int((~ended).sum()))
        shape = (states, rules.vocabulary)
        tables = (torch.from_numpy(table) for table in (allowed, child.reshape(shape), scores.reshape(shape), paid))
        levels.append(Level(observations, *tables))
        observations, prompt_index, paid = longer[~ended], indices[~ended], outcome.worth[~outcome.ended]
        if not len(observations):
            break
    return levels


class ExactMDP:
    """A tiny environment, fully enumerated, with a reference.

    Args:
        rules: of the environment, `env.unwrapped.rules`.
        reference: π_ref.

    Raises:
        ArgumentError: the environment is too large.
    """

    def __init__(self, rules: Rules, reference: "LanguagePolicy") -> None:
        self.levels = enumerate_texts(rules)
        with torch.no_grad():
            self.reference = self.log_probs(reference)

    def log_probs(self, policy: "LanguagePolicy") -> list[torch.Tensor]:
        """Ask a policy for its distribution in every state: one (S, V) float64 a level, with gradient."""
        result = []
        for level in self.levels:
            raw = policy.next_log_probs(level.observations, cached=False).double().cpu()
            result.append(torch.log_softmax(raw.masked_fill(~level.allowed, -torch.inf), -1))
        return result

    def solve(self, kl_coef: float) -> Solution:
        """Find the optimal policy at β = `kl_coef` ≥ 0."""
        values: list[torch.Tensor] = []
        policy: list[torch.Tensor] = []
        after = torch.zeros(1, dtype=torch.float64)
        for level, reference in zip(reversed(self.levels), reversed(self.reference), strict=True):
            q = torch.where(level.child >= 0, after[level.child.clamp(min=0)], level.scores)  # (S, V)
            q = q.masked_fill(~level.allowed, -torch.inf)
            if kl_coef > 0:
                after = kl_coef * torch.logsumexp(reference + q / kl_coef, -1)
                policy.insert(0, reference + (q - after[:, None]) / kl_coef)
            else:
                after = q.max(-1).values
                # Among equally good tokens, the reference's proportions: the limit of small β.
                policy.insert(0, torch.log_softmax(reference.masked_fill(q < after[:, None] - 1e-12, -torch.inf), -1))
            values.insert(0, after)
        return Solution(policy, values, self.evaluate(policy, kl_coef))

    def evaluate(self, policy: "LanguagePolicy | list[torch.Tensor]", kl_coef: float) -> Evaluation:
        """Compute E[score], the KL and J of a policy, given as such or as its log-probabilities."""
        with torch.no_grad():
            log_probs = policy if isinstance(policy, list) else self.log_probs(policy)
            score, kl = self._expectations(log_probs)
        return Evaluation(float(score), float(kl), float(score) - kl_coef * float(kl))

    def values(self, policy: "LanguagePolicy | list[torch.Tensor]", kl_coef: float) -> list[torch.Tensor]:
        """Compute V of a policy, what a state still brings: E[score - β KL] of the rest of the text, one (S,) a level."""
        values: list[torch.Tensor] = []
        after = torch.zeros(1, dtype=torch.float64)
        with torch.no_grad():
            log_probs = policy if isinstance(policy, list) else self.log_probs(policy)
        for level, chosen, reference in zip(reversed(self.levels), reversed(log_probs), reversed(self.reference), strict=True):
            taken = chosen > -torch.inf
            q = torch.where(level.child >= 0, after[level.child.clamp(min=0)], level.scores)  # (S, V)
            worth = q - kl_coef * torch.where(taken, chosen - reference, 0.0)
            after = torch.where(taken, chosen.exp() * worth, 0.0).sum(-1)
            values.insert(0, after)
        return values

    def reach(self, policy: "LanguagePolicy | list[torch.Tensor]") -> list[torch.Tensor]:
        """Compute how probable it is that a policy passes each state: one (S,) a level."""
        with torch.no_grad():
            log_probs = policy if isinstance(policy, list) else self.log_probs(policy)
        prompts = len(self.levels[0].observations)
        found = [torch.full((prompts,), 1 / prompts, dtype=torch.float64)]
        for level, chosen in zip(self.levels[:-1], log_probs, strict=False):
            found.append((found[-1][:, None] * chosen.exp())[level.child >= 0])
        return found

    def gradient(self, policy: "LanguagePolicy", kl_coef: float) -> dict[str, torch.Tensor]:
        """Compute the exact ∇J with respect to the model's parameters, by name."""
        score, kl = self._expectations(self.log_probs(policy))
        parameters = dict(policy.model.named_parameters())
        gradients = torch.autograd.grad(score - kl_coef * kl, list(parameters.values()), allow_unused=True)
        return {
            name: torch.zeros_like(parameter) if gradient is None else gradient
            for (name, parameter), gradient in zip(parameters.items(), gradients, strict=True)
        }

    def normalised_return(self, policy: "LanguagePolicy | list[torch.Tensor]", kl_coef: float) -> float:
        """Tell how much of the attainable a policy attains: (J - J_ref)/(J* - J_ref), 1 at the optimum, 0 at the reference.

        Raises:
            ArgumentError: nothing is attainable, the reference is optimal itself.
        """
        start = self.evaluate(self.reference, kl_coef).objective
        best = self.solve(kl_coef).evaluation.objective
        if best - start < 1e-12:
            raise ArgumentError("The reference is optimal itself, so a policy has nothing to attain; choose another reward or kl_coef.")
        return (self.evaluate(policy, kl_coef).objective - start) / (best - start)

    def frontier(self, kl_coefs: Sequence[float]) -> list[Evaluation]:
        """Trace the best score at every KL: the optimum at each β."""
        return [self.solve(kl_coef).evaluation for kl_coef in kl_coefs]

    def _expectations(self, log_probs: list[torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
        """E[score] and KL by following the probability of reaching each state."""
        score, kl = torch.zeros((), dtype=torch.float64), torch.zeros((), dtype=torch.float64)
        for level, policy, reference, reach in zip(self.levels, log_probs, self.reference, self.reach(log_probs), strict=True):
            probs = policy.exp()  # (S, V)
            taken = probs > 0
            ratio = torch.where(taken, policy - reference, 0.0)
            kl = kl + (reach * torch.where(taken, probs * ratio, 0.0).sum(-1)).sum()
            score = score + (reach[:, None] * probs * level.scores).sum()
        return score, kl
