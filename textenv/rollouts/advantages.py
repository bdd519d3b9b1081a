"""Advantages over padded episodes, as pure functions.

Shapes: B episodes, T response columns. Where a mask is False, inputs are ignored and outputs are 0.
"""

import torch

from textenv.errors import ArgumentError


def masked_mean(values: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Mean over the entries where the mask is True: (B, T), (B, T) to ()."""
    return (values * mask).sum() / mask.sum()


def masked_whiten(values: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Centre to mean 0 and scale to variance 1; the variance is the biased one, plus 1e-8.

    Args:
        values: (B, T).
        mask: (B, T).
    """
    mean = masked_mean(values, mask)
    variance = masked_mean((values - mean).square(), mask)
    return (values - mean) * torch.rsqrt(variance + 1e-8) * mask


def reward_to_go(rewards: torch.Tensor, mask: torch.Tensor, gamma: float = 1.0) -> torch.Tensor:
    """G_t = Σ_{s≥t} γ^(s-t) r_s: (B, T), (B, T) to (B, T)."""
    returns, running = torch.zeros_like(rewards), torch.zeros_like(rewards[:, 0])
    for t in reversed(range(rewards.shape[1])):
        running = (rewards[:, t] + gamma * running) * mask[:, t]
        returns[:, t] = running
    return returns


def gae(rewards: torch.Tensor, values: torch.Tensor, mask: torch.Tensor, gamma: float, lam: float) -> torch.Tensor:
    """Generalised advantage estimation: A_t = Σ_{s≥t} (γλ)^(s-t) δ_s with δ_t = r_t + γ V_{t+1} - V_t.

    The value after the last token is 0: a finished text pays nothing more. (Schulman et al., "High-Dimensional
    Continuous Control Using Generalized Advantage Estimation", equation 16, https://arxiv.org/abs/1506.02438.)

    Args:
        rewards: (B, T).
        values: (B, T).
        mask: (B, T), True in the leading columns of each row.
        gamma: γ in [0, 1].
        lam: λ in [0, 1].
    """
    advantages, running = torch.zeros_like(rewards), torch.zeros_like(rewards[:, 0])
    after = torch.zeros_like(running)
    for t in reversed(range(rewards.shape[1])):
        delta = rewards[:, t] + gamma * after - values[:, t]
        running = (delta + gamma * lam * running) * mask[:, t]
        after = values[:, t] * mask[:, t]
        advantages[:, t] = running
    return advantages


def n_step(rewards: torch.Tensor, values: torch.Tensor, mask: torch.Tensor, gamma: float, n: int) -> torch.Tensor:
    """A_t = Σ_{i<n} γ^i r_{t+i} + γ^n V_{t+n} - V_t, with rewards and values of 0 after the last token.

    (Mnih et al., "Asynchronous Methods for Deep Reinforcement Learning", section 4, https://arxiv.org/abs/1602.01783, with
    the same n at every token.)

    Args:
        rewards: (B, T).
        values: (B, T).
        mask: (B, T), True in the leading columns of each row.
        gamma: γ in [0, 1].
        n: at least 1.
    """
    columns = rewards.shape[1]
    padded = torch.nn.functional.pad(rewards * mask, (0, n))
    advantages = torch.nn.functional.pad(values * mask, (0, n))[:, n:] * gamma**n - values
    for i in range(n):
        advantages = advantages + gamma**i * padded[:, i : i + columns]
    return advantages * mask


def whole_return(rewards: torch.Tensor, mask: torch.Tensor, gamma: float = 1.0) -> torch.Tensor:
    """Compute what each episode is paid in all, as each of its tokens sees it.

    W_t = Σ_{s<t} r_s + Σ_{s≥t} γ^(s-t) r_s.

    What has been paid before a token is taken as it is, what comes is discounted to the token. At γ
    = 1 it is the sum of the rewards in every column. After the last token it stays that sum,
    whatever γ is.

    Args:
        rewards: (B, T).
        mask: (B, T), True in the leading columns of each row.
        gamma: γ in [0, 1].

    Returns:
        (B, T), also where the mask is False.
    """
    paid = rewards * mask
    before = paid.cumsum(1) - paid
    return before + reward_to_go(rewards, mask, gamma)


def leave_one_out(returns: torch.Tensor, group_size: int) -> torch.Tensor:
    """Compute A = W - mean of W over the other episodes of the same prompt.

    Of `whole_return` this is G_t - (mean of the others' W_t - what this episode has been paid
    before t): the return from a token on, less what the others let expect of the rest of the
    episode. The baseline knows the others and what came before the token, and neither the token nor
    what follows, so the gradient stays unbiased. A constant in the score stands in every W, paid at
    the end or token by token, in long and short episodes alike, so at γ = 1 it drops out. A
    baseline of the others' rewards from t on, to which those that have ended add 0, is unbiased
    too, but lets the constant stand in the late tokens of long episodes, as noise.

    (The k-sample form of Kool, van Hoof and Welling, "Buy 4 REINFORCE Samples, Get a Baseline for
    Free!", equation 8, https://openreview.net/forum?id=r1lgTGL5DE.)

    Args:
        returns: (B, ...), what each episode is paid in all.
        group_size: k ≥ 2; each run of k rows shares a prompt.

    Returns:
        The same shape.

    Raises:
        ArgumentError: B is no multiple of k, or k < 2.
    """
    if group_size < 2 or len(returns) % group_size:
        raise ArgumentError(f"leave_one_out needs groups of 2 or more that divide the batch, got {group_size} for {len(returns)} episodes.")
    grouped = returns.reshape(-1, group_size, *returns.shape[1:])  # (B/k, k, ...)
    others = (grouped.sum(1, keepdim=True) - grouped) / (group_size - 1)
    return (grouped - others).reshape(returns.shape)
