"""Log-probabilities of chosen tokens without the log-softmax of a whole batch in memory."""

from collections.abc import Callable
from typing import Any, Final

import torch
from torch.utils.checkpoint import checkpoint

CHUNK_LOGITS: Final = 2**24
"""Logits that are in memory at once: 64 MiB in float32."""

_PIECE_LOGITS: Final = 2**21  # so many are worked on at once: they stay in the processor's cache
_PIECE_ROWS: Final = 256  # but at least so many rows, for the matrix products to be efficient


class _Selected(torch.autograd.Function):
    """Log softmax of one token a row, of which only the log-softmax is kept: (m, V), (m,) to (m,)."""

    @staticmethod
    def forward(ctx: Any, logits: torch.Tensor, tokens: torch.Tensor, temperature: float, banned: torch.Tensor) -> torch.Tensor:
        scaled = (logits if temperature == 1 else logits.float() / temperature).masked_fill(banned, -torch.inf)
        log_probs = torch.log_softmax(scaled, -1, dtype=torch.float32)
        ctx.save_for_backward(log_probs, tokens)
        ctx.temperature, ctx.dtype = temperature, logits.dtype
        return log_probs.gather(-1, tokens[:, None])[:, 0]

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor, None, None, None]:
        """D log π(token) / d z_v = ([v = token] - π(v)) / τ."""
        log_probs, tokens = ctx.saved_tensors
        outer = gradients[0][:, None] / ctx.temperature
        inner = log_probs.exp().mul_(-outer).scatter_add_(-1, tokens[:, None], outer)
        return inner.to(ctx.dtype), None, None, None


def _piece(
    head: Callable[[torch.Tensor], torch.Tensor],
    hidden: torch.Tensor,
    tokens: torch.Tensor,
    temperature: float,
    banned: torch.Tensor,
) -> torch.Tensor:
    log_probs: torch.Tensor = _Selected.apply(head(hidden), tokens, temperature, banned)  # type: ignore[no-untyped-call]
    return log_probs


def token_log_probs(
    head: Callable[[torch.Tensor], torch.Tensor],
    hidden: torch.Tensor,
    tokens: torch.Tensor,
    temperature: float,
    banned: torch.Tensor,
) -> torch.Tensor:
    """Compute log π(token) = z_token/τ - log Σ_v exp(z_v/τ) over the tokens that are not banned.

    At most one chunk of logits is in memory at once; with more than that the backward pass computes them again.

    Args:
        head: maps hidden states (m, D) to logits (m, V).
        hidden: (M, D).
        tokens: (M,) chosen ids.
        temperature: τ > 0.
        banned: (V,) or (M, V) booleans.

    Returns:
        (M,).
    """
    vocabulary = banned.shape[-1]
    chunk = max(1, CHUNK_LOGITS // vocabulary)
    rows = min(chunk, max(_PIECE_ROWS, _PIECE_LOGITS // vocabulary))
    again = len(hidden) > chunk and torch.is_grad_enabled()
    found = []
    for start in range(0, max(1, len(hidden)), rows):
        piece = slice(start, start + rows)
        arguments = (head, hidden[piece], tokens[piece], temperature, banned if banned.ndim == 1 else banned[piece])
        found.append(checkpoint(_piece, *arguments, use_reentrant=False, preserve_rng_state=False) if again else _piece(*arguments))
    return torch.cat(found)
