"""How well a reward model predicts judgements, and how well people predict each other's."""

from collections.abc import Sequence
from itertools import combinations
from typing import Any

import numpy as np
from scipy.special import log_expit

from textenv.preferences.calibration import calibration_slope, expected_calibration_error, reliability
from textenv.preferences.comparison import Comparison
from textenv.preferences.tables import Pairs, ranks_of
from textenv.preferences.win_rates import WinRate, outcomes, win_rate


def judged(pairs: Pairs) -> dict[str, Any]:
    """Measure how well differences of rewards predict which of two responses was preferred.

    Returns:
        `accuracy` (equals count half) with its interval from `accuracy_low` to `accuracy_high`, see `win_rate`; `pairs` and `groups`;
        `log_loss` in nats a pair; `calibration_error`, `calibration_slope`, `calibration_slope_se` and the table `reliability`, see
        `textenv.preferences.calibration`. Differences are in log-odds.

    Raises:
        ArgumentError: there are no pairs.
    """
    right = win_rate(outcomes(pairs.differences, np.zeros_like(pairs.differences)), pairs.groups)
    table, slope = reliability(pairs.differences), calibration_slope(*pairs)
    return {
        "accuracy": right.rate,
        "accuracy_low": right.low,
        "accuracy_high": right.high,
        "pairs": len(pairs.differences),
        "groups": len(np.unique(pairs.groups)),
        "log_loss": float(-log_expit(pairs.differences).mean()),
        "calibration_error": expected_calibration_error(table),
        "calibration_slope": slope.value,
        "calibration_slope_se": slope.error,
        "reliability": [found._asdict() for found in table],
    }


def human_agreement(comparisons: Sequence[Comparison]) -> WinRate | None:
    """Share of pairs of responses that two annotators put into the same order, among those that both put into one.

    It is the accuracy with which one person predicts another. A model may lie above it: if each says with probability p that the
    better one is better, two agree with p² + (1-p)², and a model that knows the better one is right with p.

    Returns:
        None where no two annotators judged the same pair.
    """
    said: dict[tuple[str, str, str], dict[str, bool]] = {}  # a prompt's two responses to annotator to whether the first is better
    for comparison in comparisons:
        ranks = ranks_of(comparison) or ()
        for i, j in combinations(range(len(ranks)), 2):
            if ranks[i] != ranks[j]:
                first, second = sorted((comparison.responses[i], comparison.responses[j]))
                better = (ranks[i] < ranks[j]) == (first == comparison.responses[i])
                said.setdefault((comparison.prompt, first, second), {})[comparison.annotator] = better  # the last word of each
    agreed, of = list[float](), list[tuple[str, str, str]]()
    for pair, annotators in said.items():
        for one, other in combinations(annotators.values(), 2):
            agreed.append(float(one == other))
            of.append(pair)
    prompts = [prompt for prompt, _, _ in of]
    names = prompts if len(set(prompts)) > 1 else ["\n".join(pair) for pair in of]
    return win_rate(np.array(agreed), np.unique(names, return_inverse=True)[1]) if agreed else None
