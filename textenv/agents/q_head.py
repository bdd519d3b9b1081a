"""Q(s, ·) over the vocabulary: a linear head, zero at first, on the trunk of a policy."""

from typing import NamedTuple

import torch
from torch import nn

from textenv.models.logprobs import token_log_probs
from textenv.models.policy import LanguagePolicy
from textenv.models.sampling import masked_log_softmax
from textenv.types import Episodes

_ROWS = 64


class Taken(NamedTuple):
    """Of the response tokens.

    Shapes: B episodes, T response columns.
    """

    log_probs: torch.Tensor
    """(B, T) log π(a_t|s_t)."""
    q: torch.Tensor
    """(B, T) Q(s_t, a_t)."""


class QHead(nn.Module):
    """Q(s, a) = w_a · h(s) + b_a, in units of reward.

    Shapes: B episodes, T response columns, M response tokens, D hidden size, V vocabulary.

    Args:
        policy: whose hidden states h and distribution π it reads; it is not part of the module.
    """

    def __init__(self, policy: LanguagePolicy) -> None:
        super().__init__()
        object.__setattr__(self, "policy", policy)
        self.policy: LanguagePolicy
        self.head = nn.Linear(policy.value_head.in_features, policy.vocabulary)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)
        self.head.to(policy.device)

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        """Q of every token: (M, D) to (M, V)."""
        q: torch.Tensor = self.head(hidden.float())
        return q

    def forward_taken(self, piece: Episodes) -> Taken:
        """Compute log π(a_t|s_t) and Q(s_t, a_t) in one forward pass of the trunk, with gradients and without the other tokens' Q."""
        policy, mask = self.policy, piece.mask
        tokens = piece.tokens[:, piece.prompt_columns :][mask]  # (M,)
        with policy.arithmetic():
            hidden = policy.response_hidden(piece.tokens, piece.prompt_columns)  # (M, D)
            log_probs = token_log_probs(policy.logits, hidden, tokens, policy.temperature, self._forbidden(piece))  # (M,)
        q = (hidden.float() * self.head.weight[tokens]).sum(-1) + self.head.bias[tokens]  # (M,)
        return Taken(*(flat.new_zeros(mask.shape).masked_scatter(mask, flat) for flat in (log_probs, q)))

    @torch.no_grad()
    def evaluate(self, batch: Episodes, rows: int | None = None) -> tuple[torch.Tensor, torch.Tensor]:
        """Compute Q(s_t, a_t) and Σ_a π(a|s_t) Q(s_t, a) of finished episodes, some rows at a time: (B, T) each."""
        found = []
        for index in torch.arange(len(batch)).split(rows or _ROWS):
            piece = batch.select(index).to(self.policy.device)
            mask = piece.mask
            with self.policy.arithmetic():
                hidden = self.policy.response_hidden(piece.tokens, piece.prompt_columns)
                logits = self.policy.logits(hidden)
            probs = masked_log_softmax(logits, self.policy.temperature, self._forbidden(piece)).exp()[:, : self.policy.vocabulary]
            q = self(hidden)  # (M, V)
            taken = q.gather(-1, piece.tokens[:, piece.prompt_columns :][mask][:, None])[:, 0]
            expected = (probs * q).sum(-1)
            found.append(torch.stack([flat.new_zeros(mask.shape).masked_scatter(mask, flat) for flat in (taken, expected)]))
        both = torch.cat(found, 1).to(batch.tokens.device)  # (2, B, T)
        return both[0], both[1]

    def _forbidden(self, piece: Episodes) -> torch.Tensor:
        return self.policy.forbidden(piece.mask, piece.allowed_tokens(self.policy.vocabulary))
