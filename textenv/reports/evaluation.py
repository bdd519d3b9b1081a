"""Measure a policy, and the two baselines that need no training."""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from textenv.envs.vector import text_envs
from textenv.errors import ArgumentError
from textenv.models.policy import LanguagePolicy
from textenv.rewards.kl import best_of_n_kl
from textenv.rewards.loading import load_reward
from textenv.rewards.protocol import call_reward
from textenv.rewards.words import ngrams
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

    What a word is says `textenv.rewards.words`; a Chinese character is one. Li et al., "A Diversity-Promoting Objective
    Function for Neural Conversation Models", section 5.3, https://arxiv.org/abs/1510.03055.

    >>> distinct(["a b c", "a b d"])
    0.75
    """
    grams = [gram for text in texts for gram in ngrams(text, n)]
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
    policy.cache.clear()  # a reference would keep it for as long as it is one
    return Measured(episodes, ask_judge(envs, episodes, str(policy.device)), divergence(policy, reference, episodes))


def ask_judge(envs: "VectorEnv[Any, Any, Any]", episodes: Episodes, device: str = "cpu") -> NDArray[np.float64] | None:
    """Let the task's judge score episodes: (B,), None without a judge.

    Args:
        envs: a `TextVectorEnv`.
        episodes: of it.
        device: a judge that is no object with a model of its own is loaded there.
    """
    rules = text_envs(envs).rules
    if rules.task.judge is None:
        return None
    judge = load_reward(rules.task.judge, device=device)
    return call_reward(judge, *rules.asked(episodes.completions, episodes.prompt_index.numpy())).scores


def clusters(prompt_index: NDArray[np.int64]) -> NDArray[np.int64]:
    """Number the groups of episodes that are independent of each other: (B,), (B,) to (B,).

    Episodes of one prompt are alike, so a group is a prompt; when all have the same prompt, each episode is a group, and
    what follows is about that prompt only.
    """
    _, groups = np.unique(prompt_index, return_inverse=True)
    return groups if groups.max() else np.arange(len(groups))


def standard_error(values: NDArray[np.float64], groups: NDArray[np.int64]) -> float:
    """Standard error of a mean over clusters of values: √(G/(G-1) Σ_g (Σ_{i in g} (x_i - x̄))²) / B, NaN for one cluster.

    With clusters of one value each it is s/√B. Liang and Zeger, "Longitudinal Data Analysis Using Generalized Linear
    Models", https://doi.org/10.1093/biomet/73.1.13, for the mean, with the usual correction for few clusters.

    Args:
        values: (B,).
        groups: (B,) from 0 to G-1, see `clusters`.
    """
    sums = np.bincount(groups, values - values.mean())  # (G,)
    return math.sqrt(len(sums) / (len(sums) - 1) * float(np.square(sums).sum())) / len(values) if len(sums) > 1 else math.nan


def jackknife(without: NDArray[np.float64]) -> float:
    """Standard error √((G-1)/G Σ_g (θ_g - θ̄)²) of a number that was computed anew without each of G clusters, NaN for one.

    Efron and Stein, "The Jackknife Estimate of Variance", https://doi.org/10.1214/aos/1176345462. (A bootstrap would
    repeat texts, and so lower distinct-2.)

    Args:
        without: (G,).
    """
    n = len(without)
    return math.sqrt((n - 1) / n * float(np.square(without - without.mean()).sum())) if n > 1 else math.nan


def _distinct_without(texts: Sequence[str], groups: NDArray[np.int64], n: int = 2) -> NDArray[np.float64]:
    """`distinct` of all texts but those of each group: (G,)."""
    counts = np.zeros(groups.max() + 1)
    owner: dict[tuple[str, ...], int] = {}  # n-gram to the only group that has it, -1 for several
    for text, group in zip(texts, groups.tolist(), strict=True):
        for gram in ngrams(text, n):
            counts[group] += 1
            owner[gram] = group if owner.get(gram, group) == group else -1
    alone = np.bincount([group for group in owner.values() if group >= 0], minlength=len(counts))
    found: NDArray[np.float64] = (len(owner) - alone) / np.maximum(counts.sum() - counts, 1)
    return found


def _perplexity_without(log_probs: NDArray[np.float64], lengths: NDArray[np.int64], groups: NDArray[np.int64]) -> NDArray[np.float64]:
    """Perplexity of all episodes but those of each group, from sums over the tokens of an episode: (G,)."""
    sums, tokens = np.bincount(groups, log_probs), np.bincount(groups, lengths)
    found: NDArray[np.float64] = np.exp(-(sums.sum() - sums) / np.maximum(tokens.sum() - tokens, 1))
    return found


def summarise(measured: Measured) -> dict[str, float]:
    """Reduce to one row.

    Returns:
        `n` episodes; the means `score`, `score_NAME` of each part of it, `judge`, `positive` (share of the judge's scores of
        at least 0.5), `kl_k1`, `kl_k2`, `kl_k3` and `kl_exact` in nats a sequence, `length` in tokens; `distinct2`;
        `perplexity` under the reference, a token.
        Each but n has a standard error, `score_se` and so on: of means see `standard_error`, of distinct-2 and perplexity
        the `jackknife` over the same `clusters`. Judge and positive are left out without a judge.
    """
    episodes, judge, kl = measured.episodes, measured.judge, measured.divergence
    groups, lengths = clusters(episodes.prompt_index.numpy()), episodes.lengths.numpy()
    parts = {f"score_{name}": values for name, values in episodes.score_parts.items()}
    means: dict[str, Any] = {"score": episodes.scores, **parts, "kl_k1": kl.k1, "kl_k2": kl.k2, "kl_k3": kl.k3, "kl_exact": kl.exact}
    if judge is not None:
        means |= {"judge": judge, "positive": judge >= 0.5}
    means["length"] = lengths
    row: dict[str, float] = {"n": len(episodes)}
    for name, values in means.items():
        doubles = np.asarray(values, dtype=np.float64)
        row[name], row[f"{name}_se"] = float(doubles.mean()), standard_error(doubles, groups)
    row["distinct2"] = distinct(episodes.completions)
    row["distinct2_se"] = jackknife(_distinct_without(episodes.completions, groups))
    log_probs = kl.ref_log_probs.double().sum(1).numpy()
    row["perplexity"] = math.exp(-log_probs.sum() / lengths.sum())
    row["perplexity_se"] = jackknife(_perplexity_without(log_probs, lengths, groups))
    return row


def only_best(base: Measured, n: int) -> Measured:
    """Put the best by score of each n samples of a prompt, the first among equals, into the place of all n.

    Args:
        base: its rows in groups of n by prompt.
        n: samples a prompt.

    Raises:
        ArgumentError: the rows are no groups of n.
    """
    groups = scores_by_prompt(base, n)
    best = np.repeat(groups.argmax(1) + np.arange(len(groups)) * n, n)
    judge = None if base.judge is None else base.judge[best]
    return Measured(base.episodes.select(best.tolist()), judge, Divergence(*(values[torch.from_numpy(best)] for values in base.divergence)))


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
    best = only_best(base, n)
    first = np.arange(0, len(best.episodes), n)
    judge = None if best.judge is None else best.judge[first]
    chosen = Measured(
        best.episodes.select(first.tolist()), judge, Divergence(*(values[torch.from_numpy(first)] for values in best.divergence))
    )
    hidden = dict.fromkeys(("kl_k1", "kl_k1_se", "kl_k2", "kl_k2_se", "kl_k3", "kl_k3_se", "kl_exact_se"), math.nan)
    return {**summarise(chosen), **hidden, "kl_exact": best_of_n_kl(n)}


def reweighted(base: Measured, n: int, kl_coef: float) -> dict[str, float]:
    """Weight the n samples of a prompt by exp(score/β): the optimum of E[score] - β KL, estimated.

    π*(y|x) ∝ π_ref(y|x) exp(score/β), so it is the frontier that training can reach. Weights are normalised within a
    prompt, and the KL is the mean of Σ w log(n w), which cannot exceed log n: with few samples both score and KL are low.
    Standard errors are over prompts.

    Args:
        base: of the reference, its rows in groups of n by prompt.
        n: samples a prompt.
        kl_coef: β > 0.

    Raises:
        ArgumentError: the rows are no groups of n.
    """
    groups = scores_by_prompt(base, n)
    log_weights = groups / kl_coef
    weights = np.exp(log_weights - log_weights.max(1, keepdims=True))
    weights /= weights.sum(1, keepdims=True)  # (prompts, n)
    by_prompt = {"score": (weights * groups).sum(1), "kl_exact": (weights * np.log(np.maximum(n * weights, 1e-300))).sum(1)}
    if base.judge is not None:
        by_prompt["judge"] = (weights * base.judge.reshape(groups.shape)).sum(1)
    return {"n": float(groups.size), **means_of_prompts(by_prompt)}


def means_of_prompts(by_prompt: Mapping[str, NDArray[np.float64]]) -> dict[str, float]:
    """Reduce one value a prompt, (G,), to the mean and its standard error, "name" and "name_se"."""
    row = {}
    for name, values in by_prompt.items():
        row[name], row[f"{name}_se"] = float(values.mean()), standard_error(values, np.arange(len(values)))
    return row


def scores_by_prompt(base: Measured, n: int) -> NDArray[np.float64]:
    """Arrange scores as (prompts, n).

    Raises:
        ArgumentError: the rows are no groups of n.
    """
    index = base.episodes.prompt_index.numpy()
    if len(index) % n or not (index.reshape(-1, n) == index.reshape(-1, n)[:, :1]).all():
        raise ArgumentError(f"The episodes must come in groups of {n} of the same prompt.")
    scores: NDArray[np.float64] = base.episodes.scores.numpy().reshape(-1, n)
    return scores
