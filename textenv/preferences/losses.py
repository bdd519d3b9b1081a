"""What rewards cost beside people's judgements: comparisons in pairs, rankings, ties and ratings.

Shapes: B prompts, K responses to each. `rewards` (B, K) are real numbers; `ranks` (B, K) count from 1, the best, and equal ones are ties;
`mask` (B, K) is true where there is a response. Each function returns (B,) losses, 0 where a prompt says nothing.
"""

import torch
from torch.nn import functional as F


def bradley_terry(better: torch.Tensor, worse: torch.Tensor, margin: torch.Tensor | float = 0.0) -> torch.Tensor:
    """-log σ(r_w - r_l - m) of pairs, one loss each.

    Bradley and Terry, https://doi.org/10.2307/2334029; the margin is that of Touvron et al., "Llama 2", equation 2,
    https://arxiv.org/abs/2307.09288.

    >>> bradley_terry(torch.tensor([2.0]), torch.tensor([1.0]))
    tensor([0.3133])

    Args:
        better: rewards of those preferred.
        worse: rewards of the others, of the same shape.
        margin: by how much the reward must be higher for a loss of log 2, at least 0.
    """
    return -F.logsigmoid(better - worse - margin)


def is_better(ranks: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Tell for all pairs whether response i is better than j: (B, K), (B, K) to (B, K, K)."""
    return (ranks[:, :, None] < ranks[:, None, :]) & mask[:, :, None] & mask[:, None, :]


def k_wise(rewards: torch.Tensor, ranks: torch.Tensor, mask: torch.Tensor, margins: torch.Tensor | float = 0.0) -> torch.Tensor:
    """Mean of the Bradley-Terry losses of all pairs of a prompt, so that each of its (K choose 2) weighs 1/(K choose 2).

    Ouyang et al., "Training language models to follow instructions with human feedback", equation 1,
    https://arxiv.org/abs/2203.02155. Ties are left out, and the mean is over the pairs that remain.

    Args:
        rewards: (B, K).
        ranks: (B, K).
        mask: (B, K).
        margins: (B, K, K) of i over j, see `bradley_terry`.
    """
    pairs = is_better(ranks, mask)
    losses = bradley_terry(rewards[:, :, None], rewards[:, None, :], margins)  # (B, K, K)
    return losses.where(pairs, 0.0).sum((1, 2)) / pairs.sum((1, 2)).clamp(min=1)


def plackett_luce(rewards: torch.Tensor, ranks: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """-log P(ranking), the best being drawn first by a softmax of the rewards, then the best of those left, and so on.

    Plackett, https://doi.org/10.2307/2346567. Within a tie every order may be the true one: P is the sum over all orders that the ranks
    allow. So a choice of one among K, ranks (1, 2, 2, ...), costs -log softmax of the one. The sum goes over the sets that may be
    left, Σ_{i best of S} P(i first of S) P(S without i), which is exact; time and memory grow with 2^K.

    Args:
        rewards: (B, K).
        ranks: (B, K).
        mask: (B, K).
    """
    k = rewards.shape[1]
    sets, bits = torch.arange(2**k, device=rewards.device), 2 ** torch.arange(k, device=rewards.device)
    holds = (sets[:, None] & bits).bool()  # (2^K, K)
    log_p = rewards.new_zeros(len(rewards), 2**k)  # (B, 2^K) of the ranking of each set
    for size in range(1, k + 1):
        these = sets[holds.sum(1) == size]  # (n,)
        inside = holds[these].nonzero()[:, 1].view(-1, size)  # (n, size) responses
        values, best = rewards[:, inside], ranks[:, inside]  # (B, n, size)
        left = log_p[:, these[:, None] - bits[inside]]  # (B, n, size)
        allowed = best == best.amin(-1, keepdim=True)
        found = (values + left).masked_fill(~allowed, -torch.inf).logsumexp(-1) - values.logsumexp(-1)  # (B, n)
        log_p = log_p.index_copy(1, these, found)
    whole = (mask * bits).sum(1, keepdim=True)  # (B, 1)
    return -log_p.gather(1, whole).squeeze(1)


def davidson(rewards: torch.Tensor, ranks: torch.Tensor, mask: torch.Tensor, log_nu: torch.Tensor) -> torch.Tensor:
    """Mean of -log P(what was said) of all pairs of a prompt, ties included.

    P(i better than j) = e^{r_i} / (e^{r_i} + e^{r_j} + ν √(e^{r_i + r_j})), and P(tie) the last part of it: Davidson, "On Extending the
    Bradley-Terry Model to Accommodate Ties", equation 2.3, https://doi.org/10.1080/01621459.1970.10481082. Equals are a tie with
    probability ν / (2 + ν), and without ties this is Bradley-Terry as ν goes to 0.

    Args:
        rewards: (B, K).
        ranks: (B, K).
        mask: (B, K).
        log_nu: () log ν.
    """
    half = (rewards[:, :, None] - rewards[:, None, :]) / 2  # (B, K, K)
    outcomes = torch.stack([half, -half, log_nu.expand_as(half)], -1).log_softmax(-1)  # (B, K, K, 3): better, worse, tie
    said = torch.where(ranks[:, :, None] < ranks[:, None, :], 0, torch.where(ranks[:, :, None] > ranks[:, None, :], 1, 2))
    pairs = (mask[:, :, None] & mask[:, None, :]).triu(1)
    losses = -outcomes.gather(-1, said[..., None]).squeeze(-1)
    return losses.where(pairs, 0.0).sum((1, 2)) / pairs.sum((1, 2)).clamp(min=1)


def regression(rewards: torch.Tensor, ratings: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Mean of (reward - rating)² over the rated responses of a prompt.

    Args:
        rewards: (B, K).
        ratings: (B, K) in the unit of the rewards.
        mask: (B, K), true where a response was rated.
    """
    return (rewards - ratings).where(mask, 0.0).square().sum(1) / mask.sum(1).clamp(min=1)
