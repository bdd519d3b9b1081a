"""Signs that a policy collapses, cheap enough to be looked for after every update, and that it over-optimises its reward."""

from collections.abc import Mapping
from typing import Final

import numpy as np
from numpy.typing import NDArray

from textenv.reports.evaluation import standard_error

CLEAR: Final = 3.0
"""Paired standard errors that a change between two evaluations must exceed to be clear. The best of many evaluations looks better than
it is: of 100 runs whose judge does not move, 1 rings an alarm within 30 evaluations and 10 within 100; with 2, 33 and 80 would."""


def collapse_signs(metrics: Mapping[str, float], first: Mapping[str, float]) -> list[str]:
    """Compare an update's metrics with the first update's.

    Args:
        metrics: with distinct2 (0 without pairs of words), entropy (nats a token) and kl_k1 (nats a sequence, mean over the update).
        first: the same of the first update.

    Returns:
        A sentence for each sign: n-grams half as diverse as at first, a fifth of the entropy, or a mean k1 under -0.1,
        which sampling and log-probabilities of one policy cannot give in the long run.
    """
    distinct2, entropy, k1 = metrics["distinct2"], metrics["entropy"], metrics["kl_k1"]
    signs = []
    # Texts of one word have no pairs of words to repeat.
    if 0 < distinct2 < 0.5 * first["distinct2"]:
        signs.append(f"distinct-2 fell from {first['distinct2']:.2f} to {distinct2:.2f}: the texts repeat each other")
    if entropy < 0.2 * first["entropy"]:
        signs.append(f"entropy fell from {first['entropy']:.2f} to {entropy:.2f} nats a token: the policy is nearly deterministic")
    if k1 < -0.1:
        signs.append(f"k1 is {k1:.2f}: actions are not drawn from the distribution they are scored with")
    return signs


def have_parted(score: NDArray[np.float64], judge: NDArray[np.float64]) -> bool:
    """Tell whether the score has clearly risen and the judge clearly fallen between two evaluations of the same prompts.

    That is over-optimisation: the policy learns what the score rewards and the judge, the "gold" one, does not. Gao, Schulman and
    Hilton, "Scaling Laws for Reward Model Overoptimization", https://arxiv.org/abs/2210.10760, section 3.

    Args:
        score: (G,) change of the mean score of each prompt.
        judge: (G,) the same of the judge's.
    """
    prompts = np.arange(len(score))
    rise, fall = (float(change.mean()) - CLEAR * standard_error(change, prompts) for change in (score, -judge))
    return rise > 0 and fall > 0
