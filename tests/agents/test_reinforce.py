"""REINFORCE's returns and baselines on hand-made rewards."""

import dataclasses
from typing import Any

import pytest
import torch

from tests.agents.enumerated import every_text, tiny_envs, tiny_policy
from textenv.agents.reinforce import REINFORCE, REINFORCEConfig
from textenv.types import Episodes

REWARDS = [[1.0, 2.0], [0.0, 4.0]]


def agent_and_batch(**fields: Any) -> tuple[REINFORCE, Episodes]:
    """Two episodes of two tokens that are paid `REWARDS`, without a KL."""
    envs = tiny_envs()
    policy = tiny_policy(envs.rules)
    agent = REINFORCE(policy, envs, REINFORCEConfig(**{"kl_coef": 0.0, "whiten_advantages": False, **fields}))
    texts = every_text(envs.rules, policy)[0]
    full = texts.select(texts.lengths == 2).select([0, 1])
    return agent, dataclasses.replace(full, rewards=torch.tensor(REWARDS), values=torch.tensor([[0.5, 1.0], [1.5, 2.0]]))


@pytest.mark.parametrize(
    ("fields", "advantages"),
    [
        ({"baseline": "none"}, [[3.0, 2.0], [4.0, 4.0]]),
        ({"baseline": "none", "returns": "whole"}, [[3.0, 3.0], [4.0, 4.0]]),
        ({"baseline": "none", "gamma": 0.5}, [[2.0, 2.0], [2.0, 4.0]]),
        ({"baseline": "none", "gamma": 0.5, "returns": "whole"}, [[2.0, 2.0], [2.0, 2.0]]),
        ({"baseline": "value"}, [[2.5, 1.0], [2.5, 2.0]]),
        ({"baseline": "mean"}, [[-1.0, -1.0], [1.0, 1.0]]),  # no past yet: 3 and 4 in all, each less the other
    ],
)
def test_advantages(fields: dict[str, Any], advantages: list[list[float]]) -> None:
    agent, batch = agent_and_batch(**fields)
    found = agent.estimate(batch)
    assert found.advantages is not None
    assert torch.allclose(found.advantages, torch.tensor(advantages))


@pytest.mark.parametrize("returns", ["reward_to_go", "whole"])
def test_the_running_mean_of_what_is_paid_in_all(returns: str) -> None:
    agent, batch = agent_and_batch(baseline="mean", mean_decay=0.5, returns=returns)
    agent.update(batch)  # 3 and 4 in all, of two tokens each: mean 3.5
    once = agent.estimate(batch)
    assert once.advantages is not None
    # 3 to go less 3.5, then 2 to go less the 2.5 that are left of 3.5 once 1 has been paid.
    assert torch.allclose(once.advantages, torch.tensor([[-0.5, -0.5], [0.5, 0.5]]))
    lower = dataclasses.replace(batch, rewards=batch.rewards - 1)  # 1 and 2 in all: mean 1.5
    agent.update(lower)
    twice = agent.estimate(batch)
    assert twice.advantages is not None
    mean = (0.5 * 0.5 * 3.5 + 0.5 * 1.5) / (1 - 0.5**2)
    assert twice.advantages[0].tolist() == pytest.approx([3 - mean, 3 - mean], abs=1e-5)


def test_one_episode_alone_has_nothing_to_be_held_against() -> None:
    agent, batch = agent_and_batch(baseline="mean")
    alone = agent.estimate(batch.select([0]))
    assert alone.advantages is not None
    assert not alone.advantages.any()


def test_whitened_over_the_tokens() -> None:
    agent, batch = agent_and_batch(baseline="none", whiten_advantages=True)
    found = agent.estimate(batch).advantages
    assert found is not None
    assert float(found.mean()) == pytest.approx(0, abs=1e-6)
    assert float(found.square().mean()) == pytest.approx(1, abs=1e-5)
