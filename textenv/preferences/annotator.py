"""`SimulatedAnnotator`: judges responses by a reward, as reliably as it is told to."""

import math
from collections.abc import Callable, Sequence
from dataclasses import KW_ONLY, dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from textenv.errors import ArgumentError
from textenv.preferences.comparison import RATINGS, Comparison
from textenv.preferences.store import Item
from textenv.rewards.loading import load_reward
from textenv.rewards.protocol import call_reward


@dataclass(frozen=True)
class SimulatedAnnotator:
    """An annotator who sees the score of each response through noise.

    What is seen of response i is u_i = r_i + noise · g_i, g_i of the standard Gumbel distribution, and the ranking is by u. So rankings are
    Plackett's and Luce's, and every pair is Bradley's and Terry's whatever else is ranked: P(i beats j) = σ((r_i - r_j) / noise)
    (Yellott 1977, https://doi.org/10.1016/0022-2496(77)90026-8). A response at most `tie` below the best of a rank shares it; of two
    responses that is the model of Rao and Kupper (1967, https://doi.org/10.1080/01621459.1967.10482901):
    P(i beats j) = σ((r_i - r_j - tie) / noise), and the rest are ties.

    Equal arguments judge an item equally, whatever else is judged.

    >>> def length(completions): return [len(text) for text in completions]
    >>> SimulatedAnnotator(length, tie=1).judge([Item(prompt="", responses=("abc", "a", "abcd"))])[0].ranks
    (1, 2, 1)

    Raises:
        ArgumentError: noise or tie is negative, or rated is not a lower and a higher score.
    """

    reward: str | Path | Callable[..., Any]
    """What `load_reward` takes."""
    _: KW_ONLY
    noise: float = 0.0
    """Scale of the noise, in units of the score."""
    tie: float = 0.0
    """Difference up to which responses share a rank, in the same units."""
    rated: tuple[float, float] | None = None
    """Scores that are rated 1 and 7; what lies between is rated in proportion and rounded. None: nothing is rated."""
    seed: int = 0
    """Of the noise."""
    name: str = "simulated"
    """Of the annotator; another name sees other noise."""
    device: str = "cpu"
    """Where the reward is, such as "cpu" or "cuda"."""

    def __post_init__(self) -> None:
        for field in ("noise", "tie"):
            if not 0 <= getattr(self, field) < math.inf:
                raise ArgumentError(f"{field} must be at least 0, got {getattr(self, field)!r}.")
        if self.rated is not None and not -math.inf < self.rated[0] < self.rated[1] < math.inf:
            raise ArgumentError(f"rated must be the scores of the ratings 1 and 7, the first below the second, got {self.rated!r}.")

    def judge(self, items: Sequence[Item]) -> list[Comparison]:
        """Judge n items, all responses in one call of the reward.

        Raises:
            LoadError: the reward cannot be loaded.
            RewardError: it failed, or needs a column that an item lacks.
        """
        if not items:
            return []
        sizes = [len(item.responses) for item in items]
        prompts, completions = (
            [item.prompt for item, k in zip(items, sizes, strict=True) for _ in range(k)],
            [text for item in items for text in item.responses],
        )
        shared = set.intersection(*(set(item.columns) for item in items))
        columns = {name: [item.columns[name] for item, k in zip(items, sizes, strict=True) for _ in range(k)] for name in sorted(shared)}
        scores = call_reward(load_reward(self.reward, device=self.device), prompts, completions, columns).scores
        return [self._judge(item, part) for item, part in zip(items, np.split(scores, np.cumsum(sizes)[:-1]), strict=True)]

    def _judge(self, item: Item, scores: NDArray[np.float64]) -> Comparison:
        key = blake2b(repr((self.name, item.prompt, item.responses)).encode("utf-8", "surrogatepass"), digest_size=16).digest()
        noise = np.random.default_rng([self.seed, int.from_bytes(key, "big")]).gumbel(size=len(scores))
        seen = scores + self.noise * noise
        return Comparison(
            prompt=item.prompt,
            responses=item.responses,
            ranks=ranks_of(seen, self.tie),
            ratings=None if self.rated is None else _ratings(seen - self.noise * np.euler_gamma, *self.rated),  # the mean of the noise
            annotator=self.name,
            sources=item.sources,
        )


def ranks_of(values: NDArray[np.float64], tie: float = 0.0) -> tuple[int, ...]:
    """Rank values from the highest, 1, on; those at most `tie` below the highest of a rank share it.

    >>> ranks_of(np.array([0.0, 2.0, 1.5, 1.2, 1.0]), tie=0.5)
    (3, 1, 1, 2, 2)
    """
    ranks = [0] * len(values)
    rank, best = 0, math.inf
    for index in np.argsort(-values, kind="stable"):
        if rank == 0 or best - values[index] > tie:
            rank, best = rank + 1, values[index]
        ranks[index] = rank
    return tuple(ranks)


def _ratings(values: NDArray[np.float64], lowest: float, highest: float) -> tuple[float, ...]:
    first, last = RATINGS
    shares = (values - lowest) / (highest - lowest)
    return tuple(np.clip(np.rint(first + shares * (last - first)), first, last).tolist())
