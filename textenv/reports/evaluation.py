"""Measure a policy, and the two baselines that need no training."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from textenv.envs.vector import text_envs
from textenv.errors import ArgumentError
from textenv.models.policy import LanguagePolicy
from textenv.rewards.loading import load_reward
from textenv.rewards.protocol import call_reward
from textenv.rollouts.collect import collect
from textenv.rollouts.divergence import Divergence, divergence
from textenv.types import Episodes

if TYPE_CHECKING:
    from gymnasium.vector import VectorEnv


class Measured(NamedTuple):
    """Episodes and all that is known of each.

    Shapes: B episodes.
    """

    episodes: Episodes
    judge: NDArray[np.float64] | None
    """(B,) what the task's judge says, None without one."""
    divergence: Divergence
    """From the reference."""


def distinct(texts: Sequence[str], n: int = 2) -> float:
    """Share of different n-grams of words among all n-grams of some texts, 0 to 1; it falls as there are more texts.

    Li et al., "A Diversity-Promoting Objective Function for Neural Conversation Models", section 5.3,
    https://arxiv.org/abs/1510.03055.

    >>> distinct(["a b c", "a b d"])
    0.75
    """
    grams = [gram for text in texts for gram in zip(*(text.split()[i:] for i in range(n)), strict=False)]
    return len(set(grams)) / len(grams) if grams else 0.0


def measure(policy: LanguagePolicy, reference: LanguagePolicy, envs: "VectorEnv[Any, Any, Any]", prompt_index: Any, seed: int) -> Measured:
    """Play some prompts and ask judge and reference about the episodes.

    Args:
        policy: acts.
        reference: π_ref.
        envs: a `TextVectorEnv`.
        prompt_index: (B,) prompts.
        seed: of the draws.
    """
    episodes = collect(policy, envs, len(prompt_index), seed=seed, prompt_index=prompt_index)
    rules = text_envs(envs).rules
    judge = None
    if rules.task.judge is not None:
        columns = {name: [values[i] for i in episodes.prompt_index.tolist()] for name, values in rules.prompts.columns.items()}
        judge, _ = call_reward(load_reward(rules.task.judge), episodes.prompts, episodes.completions, columns)
    return Measured(episodes, judge, divergence(policy, reference, episodes))


def summarise(measured: Measured) -> dict[str, float]:
    """Reduce to one row: score, judge, KLs in nats a sequence (n of them), distinct-2, perplexity under the reference, length.

    `score_se`, `judge_se`, `kl_k1_se` and `kl_exact_se` are standard errors of the means.
    """
    episodes, judge, kl, n = measured.episodes, measured.judge, measured.divergence, len(measured.episodes)
    row: dict[str, float] = {"n": n}
    means: dict[str, Any] = {"score": episodes.scores, "kl_k1": kl.k1, "kl_k2": kl.k2, "kl_k3": kl.k3, "kl_exact": kl.exact}
    if judge is not None:
        means["judge"] = torch.from_numpy(judge)
    for name, values in means.items():
        row[name] = float(values.double().mean())
        row[f"{name}_se"] = float(values.double().std() / math.sqrt(n)) if n > 1 else math.nan
    row["distinct2"] = distinct(episodes.completions)
    row["perplexity"] = math.exp(-float(kl.ref_log_probs.sum()) / int(episodes.mask.sum()))
    row["length"] = float(episodes.lengths.double().mean())
    return row


def best_of_n(base: Measured, n: int) -> dict[str, float]:
    """Keep the best by score of each n samples of a prompt: no training, n times the sampling.

    Its KL is at most log n - (n-1)/n, and equals it where scores have no ties (Beirami et al., "Theoretical guarantees on the
    best-of-n alignment policy", https://arxiv.org/abs/2401.01879); `kl_exact` is that number.

    Args:
        base: of the reference, its rows in groups of n by prompt.
        n: samples a prompt.

    Raises:
        ArgumentError: the rows are no groups of n.
    """
    groups = _groups(base, n)
    best = groups.argmax(1) + np.arange(len(groups)) * n
    chosen = Measured(
        base.episodes.select(best.tolist()),
        None if base.judge is None else base.judge[best],
        Divergence(*(values[torch.from_numpy(best)] for values in base.divergence)),
    )
    kl = math.log(n) - (n - 1) / n
    hidden = dict.fromkeys(("kl_k1", "kl_k1_se", "kl_k2", "kl_k2_se", "kl_k3", "kl_k3_se", "kl_exact_se"), math.nan)
    return {**summarise(chosen), **hidden, "kl_exact": kl}


def reweighted(base: Measured, n: int, kl_coef: float) -> dict[str, float]:
    """Weight the n samples of a prompt by exp(score/β): the optimum of E[score] - β KL, estimated.

    π*(y|x) ∝ π_ref(y|x) exp(score/β), so it is the frontier that training can reach. Weights are normalised within a
    prompt, and the KL is the mean of Σ w log(n w), which cannot exceed log n: with few samples both score and KL are low.

    Args:
        base: of the reference, its rows in groups of n by prompt.
        n: samples a prompt.
        kl_coef: β > 0.

    Raises:
        ArgumentError: the rows are no groups of n.
    """
    groups = _groups(base, n)
    log_weights = groups / kl_coef
    weights = np.exp(log_weights - log_weights.max(1, keepdims=True))
    weights /= weights.sum(1, keepdims=True)  # (prompts, n)
    entropy = -(weights * np.log(np.maximum(weights, 1e-300))).sum(1)
    row = {"n": float(groups.size), "score": float((weights * groups).sum(1).mean()), "kl_exact": float((math.log(n) - entropy).mean())}
    if base.judge is not None:
        row["judge"] = float((weights * base.judge.reshape(groups.shape)).sum(1).mean())
    return row


def _groups(base: Measured, n: int) -> NDArray[np.float64]:
    """Scores as (prompts, n)."""
    index = base.episodes.prompt_index.numpy()
    if len(index) % n or not (index.reshape(-1, n) == index.reshape(-1, n)[:, :1]).all():
        raise ArgumentError(f"The episodes must come in groups of {n} of the same prompt.")
    scores: NDArray[np.float64] = base.episodes.scores.numpy().reshape(-1, n)
    return scores
