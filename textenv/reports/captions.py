"""What each metric of an update is: a heading, and its unit or meaning."""

from typing import Final

METRICS: Final[dict[str, tuple[str, str]]] = {
    "score": ("Score", "mean of the reward model's; ◇ evaluation ± standard error"),
    "judge": ("Judge", "◇ evaluation ± standard error; training never asks it"),
    "reward": ("Reward", "score - β KL k1, mean"),
    "kl_k1": ("KL k1", "nats a sequence; ◇ evaluation"),
    "kl_k2": ("KL k2", "nats a sequence; ◇ evaluation"),
    "kl_k3": ("KL k3", "nats a sequence; ◇ evaluation"),
    "entropy": ("Entropy", "nats a token, from the sampled tokens"),
    "length": ("Length", "tokens"),
    "distinct2": ("Distinct-2", "of the texts of an update"),
    "clip_fraction": ("Clip fraction", "share of tokens whose ratio left 1 ± ε"),
    "explained_variance": ("Explained variance", "of the returns by the critic"),
    "learning_rate": ("Learning rate", ""),
    "kl_coef": ("KL coefficient β", "score a nat"),
    "tokens_per_second": ("Tokens a second", "played, since the start"),
    "kl_exact": ("KL exact", "nats a sequence; evaluation"),
    "perplexity": ("Perplexity", "of the texts under the reference, a token; evaluation"),
    "positive": ("Positive", "share of the judge's scores of at least 0.5; evaluation"),
    "policy_loss": ("Policy loss", "a token, mean over the steps of the update"),
    "value_loss": ("Value loss", "error of the critic a token, mean over the steps"),
    "grad_norm": ("Gradient norm", "before clipping, mean over the steps"),
    "optimiser_steps": ("Optimiser steps", "in the update"),
    "approx_kl": ("Approximate KL of the update", "½ (log π - log π_old)², nats a token"),
    "play_gap": ("Play gap", "|Δ log π| between play and learning in bf16, nats a token, mean"),
    "kl_loss": ("KL in the loss", "k3 to the reference, nats a token"),
    "kl_old": ("KL of the update", "to the policy before it, nats a token"),
    "penalty_coef": ("Penalty coefficient", "weight of the KL of the update in the penalty form"),
    "ptx_loss": ("Pretraining loss", "of texts of the corpus, nats a token"),
    "step": ("Step", "share of the natural gradient's step that the line search took"),
    "epsilon": ("Exploration ε", "share of the tokens that are drawn at random"),
    "q": ("Q", "of the tokens that were played, mean"),
    "margin": ("Margin", "β times the difference of the log-ratios of better and worse"),
    "accuracy": ("Accuracy", "share of the pairs whose better response has the higher log-ratio"),
    "tied": ("Ties", "share of the pairs that score alike"),
    "bc_loss": ("Behaviour cloning loss", "of demonstrations and wins, nats a token"),
    "wins": ("Wins", "share of the episodes with the score of a win"),
    "taken_over": ("Taken over", "share of the tokens that the expert chose"),
    "intervention_loss": ("Intervention loss", "of the expert's tokens, mean over the steps"),
    "mean_score": ("Mean score", "of all samples; the score is that of the best of n"),
    "kl_best_of_n": ("KL of best of n", "log n - (n-1)/n, nats a sequence"),
}
"""Name to heading and unit, in the order in which they are drawn."""

CURVES: Final = 14
"""How many of them, from the first on, stand among the curves; the others stand under "Other metrics"."""

AXES: Final = ("update", "episodes", "seconds", "alarm")
"""Columns of the metrics that are no curves."""


def caption(name: str) -> tuple[str, str]:
    """Return heading and unit of a metric; an agent's own one has its name as the heading.

    >>> caption("kl_coef"), caption("score_form"), caption("my_share")
    (('KL coefficient β', 'score a nat'), ('Score: form', 'part of the score, mean'), ('my_share', ''))
    """
    if name in METRICS:
        return METRICS[name]
    if name.startswith("score_"):
        return f"Score: {name.removeprefix('score_')}", "part of the score, mean"
    return name, ""
