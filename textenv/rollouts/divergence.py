"""How far a policy has moved from its reference, on its own episodes."""

from typing import NamedTuple

import torch

from textenv.models.policy import LanguagePolicy
from textenv.models.sampling import masked_log_softmax
from textenv.rewards.kl import exact, k1, k2, k3
from textenv.types import Episodes

_ROWS = 32


class Divergence(NamedTuple):
    """KL(π‖π_ref) of B episodes in nats a sequence, by estimator, and what the reference says of them.

    Shapes: B episodes, T response columns.
    """

    k1: torch.Tensor
    """(B,)."""
    k2: torch.Tensor
    """(B,)."""
    k3: torch.Tensor
    """(B,)."""
    exact: torch.Tensor
    """(B,), the exact KL of each state, summed over the states that the episode passed."""
    ref_log_probs: torch.Tensor
    """(B, T), 0 where there is no token."""


@torch.no_grad()
def divergence(policy: LanguagePolicy, reference: LanguagePolicy, episodes: Episodes) -> Divergence:
    """Compare the two on episodes that the policy drew."""
    by_token: list[torch.Tensor] = []  # of (b, T, 2): exact KL and reference log-probability
    for rows in torch.arange(len(episodes)).split(_ROWS):
        piece = episodes.select(rows).to(policy.device)
        mask, response = piece.mask, piece.tokens[:, piece.prompt_columns :]
        allowed = piece.allowed_tokens(policy.vocabulary)
        both = [_log_probs(model, piece, None if allowed is None else allowed[mask]) for model in (policy, reference)]  # (M, V) each
        table = torch.zeros(*mask.shape, 2, device=mask.device)
        table[mask] = torch.stack([exact(*both), both[1].gather(-1, response[mask][:, None])[:, 0]], -1)
        by_token.append(table.cpu())
    table = torch.cat(by_token)
    mask, log_probs, ref_log_probs = episodes.mask, episodes.log_probs, table[..., 1]
    by_k1, by_k2, by_k3 = ((estimate(log_probs, ref_log_probs) * mask).sum(1) for estimate in (k1, k2, k3))
    return Divergence(by_k1, by_k2, by_k3, table[..., 0].sum(1), ref_log_probs)


def _log_probs(model: LanguagePolicy, piece: Episodes, allowed: torch.Tensor | None) -> torch.Tensor:
    """Whole distributions in the states of the response tokens: (M, V)."""
    with model.arithmetic():
        hidden = model.response_hidden(piece.tokens, piece.prompt_columns)  # (M, D)
        logits = model.logits(hidden)[:, : model.vocabulary]
    banned = model.banned[: model.vocabulary]
    return masked_log_softmax(logits, model.temperature, banned if allowed is None else banned | ~allowed)
