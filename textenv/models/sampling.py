"""Draw tokens from log-probabilities, and turn logits into them."""

import torch


def masked_log_softmax(logits: torch.Tensor, temperature: float, banned: torch.Tensor | None) -> torch.Tensor:
    """Log-probabilities of logits at a temperature, renormalised over the tokens that are not banned.

    log softmax(z / τ) over {v : not banned_v}, -inf elsewhere, in float32.

    Args:
        logits: (..., V).
        temperature: τ > 0.
        banned: booleans that broadcast to the logits, or None.
    """
    logits = logits.float() / temperature
    return torch.log_softmax(logits if banned is None else logits.masked_fill(banned, -torch.inf), dim=-1)


def sample_inverse_cdf(probs: torch.Tensor, generator: torch.Generator | None = None) -> torch.Tensor:
    """Draw one token a row by inverting the cumulative distribution at a uniform number.

    One uniform number a row decides, so a row's draw does not depend on the other rows' distributions, and a
    token of probability 0 is never drawn.

    Args:
        probs: (N, V), each row with a positive sum.
        generator: of the uniform numbers, on the device of `probs`.

    Returns:
        (N,) token ids.
    """
    cumulative = probs.cumsum(-1)  # (N, V)
    uniform = torch.rand(len(probs), 1, generator=generator, device=probs.device)
    tokens = torch.searchsorted(cumulative, uniform * cumulative[:, -1:], right=True).clamp_(max=probs.shape[-1] - 1)
    wrong = ~(probs.gather(-1, tokens) > 0)  # rounding, of a parallel sum above all, can point at a token of probability 0
    if wrong.is_cuda or wrong.any():  # a GPU is not waited for
        tokens = torch.where(wrong, probs.argmax(-1, keepdim=True), tokens)
    return tokens[:, 0]
