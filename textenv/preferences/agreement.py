"""How far annotators agree who judged the same responses: the share of pairs, and Krippendorff's alpha."""

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from itertools import combinations
from typing import Final, NamedTuple

from textenv.preferences.comparison import Comparison

_Z: Final = 1.959964
"""Of a two-sided interval of 95 %."""


class Agreement(NamedTuple):
    """What annotators who judged the same responses say of each other."""

    items: int
    """Sets of responses that two or more annotators ranked."""
    pairs: int
    """Pairs of responses, counted once for every two annotators."""
    share: float
    """Of these pairs in which both say the same: that one is better, that the other is, or that neither is; NaN without pairs."""
    low: float
    """Of the share's 95 % interval."""
    high: float
    """Likewise."""
    alpha: float
    """Krippendorff's alpha of the same pairs: 1 where all agree, 0 what chance would give; NaN where it is not defined."""
    alpha_ratings: float
    """That of the ratings of single responses."""


def agreement(comparisons: Iterable[Comparison]) -> Agreement:
    """Measure the agreement of annotators over the responses that two or more of them judged.

    Who cannot tell is left out. The interval is Wilson's with the effective number of pairs, as pairs of one item are no independent
    ones (Dean and Pagano 2015, https://doi.org/10.1093/jssam/smv024). For alpha a pair of responses is a unit with the value -1 (worse),
    0 (a tie) or 1 (better) of each annotator. Each is counted in both directions, so that the order of the responses does not matter; the
    ordinal metric is then the interval one, a tie lying midway.
    """
    judged = defaultdict(list)
    for comparison in comparisons:
        judged[comparison.prompt, comparison.responses].append(comparison)
    equal, compared = [], []  # pairs of each item
    verdicts: list[list[float]] = []
    ratings: list[list[float]] = []
    for (_, responses), said in judged.items():
        k = len(responses)
        rows = [comparison.ranks for comparison in said if comparison.ranks is not None]
        units = [[_sign(row[j] - row[i]) for row in rows] for i, j in combinations(range(k), 2)]
        if len(rows) > 1:
            equal.append(sum(a == b for unit in units for a, b in combinations(unit, 2)))
            compared.append(sum(1 for unit in units for _ in combinations(unit, 2)))
        verdicts += [*units, *([-value for value in unit] for unit in units)]
        by_response = zip(*(comparison.ratings for comparison in said if comparison.ratings is not None), strict=True)
        ratings += [[rating for rating in of if rating is not None] for of in by_response]
    share, low, high = _clustered_share(equal, compared)
    return Agreement(len(compared), sum(compared), share, low, high, krippendorff_alpha(verdicts), krippendorff_alpha(ratings))


def krippendorff_alpha(units: Iterable[Sequence[float]]) -> float:
    """Compute Krippendorff's alpha with the ordinal metric, 1 - observed / expected disagreement.

    Krippendorff 2011, "Computing Krippendorff's Alpha-Reliability", https://repository.upenn.edu/asc_papers/43.

    Args:
        units: the values that annotators gave to each; those with fewer than two count for nothing.

    Returns:
        NaN where all values are the same, or none can be compared.
    """
    pairable = [unit for unit in units if len(unit) > 1]
    totals = Counter(value for unit in pairable for value in unit)
    values = sorted(totals)
    n = sum(totals.values())
    # How many values lie up to the middle of each: the metric is the square of the distance in ranks.
    middle = {value: sum(totals[v] for v in values[:i]) + totals[value] / 2 for i, value in enumerate(values)}
    observed = sum(sum((middle[a] - middle[b]) ** 2 for a in unit for b in unit) / (len(unit) - 1) for unit in pairable)
    expected = sum(totals[a] * totals[b] * (middle[a] - middle[b]) ** 2 for a in values for b in values)
    return 1 - (n - 1) * observed / expected if expected else math.nan


def _clustered_share(successes: Sequence[int], sizes: Sequence[int]) -> tuple[float, float, float]:
    """Estimate a share and its 95 % interval from clusters, see `agreement`.

    The design effect is the variance of the ratio estimator over the binomial one (Cochran 1977, Sampling Techniques, equation 6.13); where
    the share is 0 or 1, or there is one cluster, it is not known, and a cluster counts as one.
    """
    m, n = len(sizes), sum(sizes)
    if n == 0:
        return math.nan, math.nan, math.nan
    share = sum(successes) / n
    effective = float(m)
    if m > 1 and 0 < share < 1:
        variance = m / (m - 1) * sum((s - share * size) ** 2 for s, size in zip(successes, sizes, strict=True)) / n**2
        effective = min(share * (1 - share) / variance, n) if variance else float(n)
    centre = (share + _Z**2 / (2 * effective)) / (1 + _Z**2 / effective)
    half = _Z * math.sqrt(share * (1 - share) / effective + _Z**2 / (4 * effective**2)) / (1 + _Z**2 / effective)
    return share, max(centre - half, 0.0), min(centre + half, 1.0)


def _sign(difference: int) -> float:
    return float((difference > 0) - (difference < 0))
