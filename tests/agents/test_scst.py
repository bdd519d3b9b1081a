"""SCST's baseline is what the policy writes greedily."""

import pytest
import torch

from tests.agents.enumerated import every_text, tiny_envs, tiny_policy
from textenv.agents.scst import SCST, SCSTConfig
from textenv.rollouts.collect import collect


def test_advantages_are_returns_less_those_of_the_greedy_text() -> None:
    envs = tiny_envs()
    policy = tiny_policy(envs.rules)
    config = SCSTConfig(kl_coef=0.5, whiten_advantages=False)
    agent = SCST(policy, envs, config, reference=tiny_policy(envs.rules, seed=0))
    batch = agent.estimate(every_text(envs.rules, policy)[0])
    assert batch.advantages is not None
    assert batch.ref_log_probs is not None
    greedy = agent.refer(collect(policy, envs, 2, prompt_index=[0, 1], greedy=True))
    assert greedy.ref_log_probs is not None
    shaped = [
        played.rewards.sum(1).float() - 0.5 * ((played.log_probs - played.ref_log_probs) * played.mask).sum(1)  # type: ignore[operator]
        for played in (batch, greedy)
    ]
    expected = shaped[0] - shaped[1][batch.prompt_index]
    assert torch.allclose(batch.advantages[:, 0], expected, atol=1e-6)
    assert torch.equal(batch.advantages[:, 1], torch.where(batch.mask[:, 1], batch.advantages[:, 0], 0.0))
    assert float(shaped[1][0] - shaped[1][1]) != pytest.approx(0, abs=0.01)  # a prompt's own baseline
    own = [int((batch.tokens == greedy.tokens[prompt]).all(1).nonzero()[0]) for prompt in (0, 1)]
    assert batch.advantages[own, 0].tolist() == pytest.approx([0, 0], abs=1e-5)  # what is greedy itself is no better than itself


def test_greedy_texts_are_no_episodes() -> None:
    envs = tiny_envs()
    agent = SCST(tiny_policy(envs.rules), envs, SCSTConfig(episodes_per_update=8))
    agent.learn(8)
    assert agent.episodes == 8
