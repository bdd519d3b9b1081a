"""GRPO's advantages, its KL in the loss, and what Dr. GRPO leaves out, by hand."""

import pytest
import torch

from tests.agents.enumerated import every_text, tiny_envs, tiny_policy
from textenv.agents.grpo import GRPO, GRPOConfig
from textenv.types import Episodes

STD = (((1.2 - 0.65) ** 2 + (0 - 0.65) ** 2 + (0.7 - 0.65) ** 2 * 2) / 3) ** 0.5


def make(dr_grpo: bool, kl_coef: float = 0.0) -> tuple[GRPO, Episodes]:
    """A group of "aa", "", "ab" and "ba" after "a", which pay 1.2, 0, .7 and .7; the second has one token."""
    envs = tiny_envs()
    policy = tiny_policy(envs.rules)
    config = GRPOConfig(group_size=4, episodes_per_update=4, minibatch_size=4, kl_coef=kl_coef, dr_grpo=dr_grpo)
    agent = GRPO(policy, envs, config, reference=tiny_policy(envs.rules, seed=0))
    return agent, agent.estimate(every_text(envs.rules, policy)[0].select([1, 0, 2, 4]))


@pytest.mark.parametrize("dr_grpo", [False, True])
def test_advantages(dr_grpo: bool) -> None:
    _, batch = make(dr_grpo)
    assert batch.advantages is not None
    scale = 1.0 if dr_grpo else STD + 1e-4
    centred = [value / scale for value in (0.55, -0.65, 0.05, 0.05)]
    assert batch.advantages[:, 0].tolist() == pytest.approx(centred, abs=1e-5)
    assert batch.advantages[:, 1].tolist() == pytest.approx([centred[0], 0, centred[2], centred[3]], abs=1e-5)


@pytest.mark.parametrize("dr_grpo", [False, True])
def test_loss(dr_grpo: bool) -> None:
    agent, batch = make(dr_grpo, kl_coef=0.5)
    assert batch.advantages is not None
    assert batch.ref_log_probs is not None
    terms = agent.loss(batch, batch.lengths.float().mean())
    log_ratio = batch.ref_log_probs - batch.log_probs
    k3 = log_ratio.exp() - 1 - log_ratio
    by_token = -batch.advantages + 0.5 * k3  # the ratio is 1
    weights = torch.ones(4, 1) if dr_grpo else torch.tensor([[1.75 / 2], [1.75 / 1], [1.75 / 2], [1.75 / 2]])
    assert torch.allclose(terms["loss"] * batch.mask, by_token * weights * batch.mask, atol=1e-6)
    assert float((k3 * batch.mask).sum()) > 0.1


def test_a_group_that_scores_alike_teaches_nothing() -> None:
    agent, batch = make(dr_grpo=False)
    alike = agent.estimate(batch.select([2, 3, 2, 3]))
    assert alike.advantages is not None
    assert alike.advantages.abs().max() < 1e-3
