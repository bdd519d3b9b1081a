"""Best of n picks, and learns nothing."""

import pytest

from tests.agents.enumerated import every_text, tiny_envs, tiny_policy
from textenv.agents.best_of_n import BestOfN, BestOfNConfig
from textenv.errors import ArgumentError


def test_the_best_of_each_group() -> None:
    envs = tiny_envs()
    policy = tiny_policy(envs.rules)
    agent = BestOfN(policy, envs, BestOfNConfig(n=3, episodes_per_update=6))
    batch = every_text(envs.rules, policy)[0].select([0, 2, 4, 8, 12, 7])  # 0, .7, .7; .2, 1.2, 0
    picked = agent.select(batch)
    assert picked.completions == ["ab", "bb"]
    metrics = agent.update(batch)
    assert metrics["score"] == pytest.approx((0.7 + 1.2) / 2)
    assert metrics["mean_score"] == pytest.approx((0 + 0.7 + 0.7 + 0.2 + 1.2 + 0) / 6)
    assert metrics["kl_best_of_n"] == pytest.approx(1.0986123 - 2 / 3)
    assert metrics["kl_k1"] == 0
    with pytest.raises(ArgumentError, match="groups of 3 episodes of the same prompt"):
        agent.select(batch.select([0, 1, 3]))
