"""GRPO's advantages, its KL in the reward or in the loss, and what Dr. GRPO leaves out, by hand."""

from typing import Any

import pytest
import torch

from tests.agents.enumerated import every_text, tiny_envs, tiny_policy
from textenv.agents.grpo import GRPO, GRPOConfig
from textenv.types import Episodes

STD = (((1.2 - 0.65) ** 2 + (0 - 0.65) ** 2 + (0.7 - 0.65) ** 2 * 2) / 3) ** 0.5


def make(dr_grpo: bool, **options: Any) -> tuple[GRPO, Episodes]:
    """A group of "aa", "", "ab" and "ba" after "a", which pay 1.2, 0, .7 and .7; the second has one token."""
    envs = tiny_envs()
    policy = tiny_policy(envs.rules)
    sizes = {"group_size": 4, "episodes_per_update": 4, "minibatch_size": 4}
    config = GRPOConfig(**{"kl_coef": 0.0, "dr_grpo": dr_grpo, **sizes, **options})
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
def test_the_kl_in_the_loss(dr_grpo: bool) -> None:
    agent, batch = make(dr_grpo, kl_coef=0.5, kl_in="loss")
    without = make(dr_grpo)[1].advantages
    assert without is not None
    assert batch.advantages is not None
    assert batch.ref_log_probs is not None
    assert torch.equal(batch.advantages, without)  # which are of the score alone
    terms = agent.loss(batch, batch.lengths.float().mean())
    log_ratio = batch.ref_log_probs - batch.log_probs
    k3 = log_ratio.exp() - 1 - log_ratio
    by_token = -batch.advantages + 0.5 * k3  # the ratio is 1
    weights = torch.ones(4, 1) if dr_grpo else torch.tensor([[1.75 / 2], [1.75 / 1], [1.75 / 2], [1.75 / 2]])
    assert torch.allclose(terms["loss"] * batch.mask, by_token * weights * batch.mask, atol=1e-6)
    assert float((k3 * batch.mask).sum()) > 0.1


@pytest.mark.parametrize("dr_grpo", [False, True])
def test_the_kl_in_the_reward(dr_grpo: bool) -> None:
    agent, batch = make(dr_grpo, kl_coef=0.5)
    assert batch.advantages is not None
    assert batch.ref_log_probs is not None
    kl = ((batch.log_probs - batch.ref_log_probs) * batch.mask).sum(1)  # k1 of each episode
    returns = torch.tensor([1.2, 0.0, 0.7, 0.7]) - 0.5 * kl
    scale = 1.0 if dr_grpo else returns.std() + 1e-4
    expected = (returns - returns.mean()) / scale
    assert torch.allclose(batch.advantages[:, 0], expected, atol=1e-5)
    assert float(kl.abs().max()) > 0.1
    terms = agent.loss(batch, batch.lengths.float().mean())
    weights = torch.ones(4, 1) if dr_grpo else 1.75 / batch.lengths[:, None]
    assert torch.allclose(terms["loss"] * batch.mask, -batch.advantages * weights * batch.mask, atol=1e-6)


def test_a_group_that_scores_alike_teaches_nothing() -> None:
    agent, batch = make(dr_grpo=False)
    alike = agent.estimate(batch.select([2, 3, 2, 3]))
    assert alike.advantages is not None
    assert alike.advantages.abs().max() < 1e-3
