"""Chunked log-probabilities equal the plain ones, with their gradients."""

import pytest
import torch

from textenv.models import logprobs
from textenv.models.logprobs import token_log_probs


@pytest.mark.parametrize("by_row", [False, True])
def test_chunks_equal_the_whole(by_row: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    head = torch.nn.Linear(6, 11)
    hidden = torch.randn(13, 6, requires_grad=True)
    tokens = torch.randint(0, 8, (13,))
    banned = torch.zeros(13, 11, dtype=torch.bool) if by_row else torch.zeros(11, dtype=torch.bool)
    banned[..., 9:] = True
    expected = torch.log_softmax((head(hidden) / 0.5).masked_fill(banned, -torch.inf), -1)[torch.arange(13), tokens]
    weights = torch.randn(13)
    wanted = torch.autograd.grad((expected * weights).sum(), [hidden, head.weight])
    for limit in (logprobs.CHUNK_LOGITS, 44, 1):  # all at once, four rows a chunk, one row a chunk
        monkeypatch.setattr(logprobs, "CHUNK_LOGITS", limit)
        found = token_log_probs(head, hidden, tokens, 0.5, banned)
        assert torch.allclose(found, expected, atol=1e-6)
        for gradient, right in zip(torch.autograd.grad((found * weights).sum(), [hidden, head.weight]), wanted, strict=True):
            assert torch.allclose(gradient, right, atol=1e-6)


def test_no_chunk_is_larger_than_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []
    head = torch.nn.Linear(4, 10)

    def spy(hidden: torch.Tensor) -> torch.Tensor:
        sizes.append(hidden.shape[0] * 10)
        logits: torch.Tensor = head(hidden)
        return logits

    monkeypatch.setattr(logprobs, "CHUNK_LOGITS", 35)
    token_log_probs(spy, torch.randn(8, 4), torch.zeros(8, dtype=torch.long), 1.0, torch.zeros(10, dtype=torch.bool))
    assert sizes == [30, 30, 20]


@pytest.mark.parametrize(("limit", "times"), [(35, 6), (2**24, 1)])
def test_logits_beyond_a_chunk_are_computed_again_not_kept(limit: int, times: int, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []
    head = torch.nn.Linear(4, 10)

    def spy(hidden: torch.Tensor) -> torch.Tensor:
        calls.append(len(hidden))
        logits: torch.Tensor = head(hidden)
        return logits

    monkeypatch.setattr(logprobs, "CHUNK_LOGITS", limit)
    hidden, tokens = torch.randn(8, 4, requires_grad=True), torch.zeros(8, dtype=torch.long)
    token_log_probs(spy, hidden, tokens, 1.0, torch.zeros(10, dtype=torch.bool)).sum().backward()
    assert len(calls) == times
