"""Log-probabilities of chosen tokens without the log-softmax of a whole batch in memory."""

from collections.abc import Callable
from typing import Final

import torch
from torch.utils.checkpoint import checkpoint

CHUNK_LOGITS: Final = 2**24
"""Logits that are in memory at once: 64 MiB in float32."""


def _chunk(
    head: Callable[[torch.Tensor], torch.Tensor], hidden: torch.Tensor, tokens: torch.Tensor, temperature: float, banned: torch.Tensor
) -> torch.Tensor:
    logits = (head(hidden).float() / temperature).masked_fill(banned, -torch.inf)  # (m, V)
    return logits.gather(-1, tokens[:, None])[:, 0] - torch.logsumexp(logits, -1)


def token_log_probs(
    head: Callable[[torch.Tensor], torch.Tensor],
    hidden: torch.Tensor,
    tokens: torch.Tensor,
    temperature: float,
    banned: torch.Tensor,
) -> torch.Tensor:
    """Compute log π(token) = z_token/τ - log Σ_v exp(z_v/τ) over the tokens that are not banned.

    Only one chunk of logits is in memory at once; with several chunks the backward pass computes each again.

    Args:
        head: maps hidden states (m, D) to logits (m, V).
        hidden: (M, D).
        tokens: (M,) chosen ids.
        temperature: τ > 0.
        banned: (V,) or (M, V) booleans.

    Returns:
        (M,).
    """
    rows = max(1, CHUNK_LOGITS // banned.shape[-1])
    parts = []
    for start in range(0, max(1, len(hidden)), rows):
        piece = slice(start, start + rows)
        arguments = (head, hidden[piece], tokens[piece], temperature, banned if banned.ndim == 1 else banned[piece])
        if len(hidden) > rows and torch.is_grad_enabled():
            parts.append(checkpoint(_chunk, *arguments, use_reentrant=False))
        else:
            parts.append(_chunk(*arguments))
    return torch.cat(parts)
