"""The Q head: what was taken, what is expected, and where its gradient goes."""

import pytest
import torch

from tests.agents.enumerated import every_text, tiny_envs, tiny_policy
from textenv.agents.q_head import QHead


def random_head() -> QHead:
    envs = tiny_envs()
    policy = tiny_policy(envs.rules)
    head = QHead(policy)
    assert not any(parameter.any() for parameter in head.parameters())  # zero at first
    torch.manual_seed(0)
    for parameter in head.parameters():
        torch.nn.init.normal_(parameter)
    return head


def test_taken_and_expected_of_every_state() -> None:
    head = random_head()
    envs = tiny_envs()
    batch = every_text(envs.rules, head.policy)[0]
    taken, expected = head.evaluate(batch, rows=5)
    assert taken.shape == expected.shape == batch.mask.shape
    for row in range(len(batch)):
        for t in range(int(batch.lengths[row])):
            seen = batch.tokens[row : row + 1, : 1 + t]  # the prompt's token and t of the response
            with torch.no_grad():
                hidden = head.policy.trunk(input_ids=seen).last_hidden_state[0, -1]
                probs = torch.softmax(head.policy.model.lm_head(hidden)[: head.policy.vocabulary], -1)
                q = head.head(hidden)
            assert float(taken[row, t]) == pytest.approx(float(q[batch.tokens[row, 1 + t]]), abs=1e-5)
            assert float(expected[row, t]) == pytest.approx(float(probs @ q), abs=1e-5)
    assert not taken[~batch.mask].any()


def test_the_taken_ones_with_gradient_equal_those_without() -> None:
    head = random_head()
    batch = every_text(tiny_envs().rules, head.policy)[0]
    found = head.forward_taken(batch)
    taken, _ = head.evaluate(batch)
    assert torch.allclose(found.q, taken, atol=1e-5)
    assert torch.allclose(found.log_probs, batch.log_probs, atol=1e-5)
    found.q.sum().backward()
    weight = head.head.weight.grad
    assert weight is not None
    counts = torch.bincount(batch.tokens[:, 1:][batch.mask], minlength=3)
    assert head.head.bias.grad is not None
    assert head.head.bias.grad.tolist() == counts.tolist()
    assert next(head.policy.model.parameters()).grad is not None  # the trunk learns along
