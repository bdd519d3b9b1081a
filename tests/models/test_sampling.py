"""Draws by inverting the cumulative distribution."""

from typing import Any

import pytest
import torch

from textenv.models.sampling import masked_log_softmax, sample_inverse_cdf


def test_masked_log_softmax_by_hand() -> None:
    log_probs = masked_log_softmax(torch.tensor([0.0, 2.0, 100.0]), 2.0, torch.tensor([False, False, True]))
    assert torch.allclose(log_probs[:2], torch.tensor([-1.3132617, -0.3132617]))
    assert log_probs[2] == -torch.inf


def test_shares_follow_the_probabilities() -> None:
    probs = torch.tensor([0.5, 0.0, 0.3, 0.2])
    tokens = sample_inverse_cdf(probs.expand(100_000, 4), torch.Generator().manual_seed(0))
    shares = tokens.bincount(minlength=4) / len(tokens)
    assert shares[1] == 0
    assert (shares - probs).abs().max() < 0.006


def test_a_certain_token_is_always_drawn() -> None:
    probs = torch.zeros(10_000, 5)
    probs[:, 2] = 1.0
    assert (sample_inverse_cdf(probs) == 2).all()


def test_banned_last_tokens_are_never_drawn() -> None:
    probs = torch.rand(50_000, 40, generator=torch.Generator().manual_seed(1))
    probs[:, 30:] = 0
    tokens = sample_inverse_cdf(probs / probs.sum(-1, keepdim=True), torch.Generator().manual_seed(2))
    assert tokens.max() < 30


def test_a_row_does_not_depend_on_the_others() -> None:
    one = torch.tensor([0.2, 0.8])
    other = torch.tensor([[0.9, 0.1], [0.1, 0.9]])
    draws = [
        sample_inverse_cdf(torch.stack([one, row]), torch.Generator().manual_seed(seed))[0].item() for seed in range(20) for row in other
    ]
    assert draws[::2] == draws[1::2]


def test_rounding_to_the_end_draws_no_banned_token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "rand", lambda *shape, **_: torch.ones(shape))
    probs: Any = torch.tensor([[0.2, 0.5, 0.3, 0.0], [0.7, 0.3, 0.0, 0.0]])
    assert sample_inverse_cdf(probs).tolist() == [1, 0]
