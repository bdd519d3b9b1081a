"""RLOO's advantages by hand."""

import dataclasses

import pytest
import torch

from tests.agents.enumerated import every_text, tiny_envs, tiny_policy
from textenv.agents.rloo import RLOO, RLOOConfig
from textenv.errors import ArgumentError
from textenv.types import Episodes


def make(group_size: int, **fields: float) -> tuple[RLOO, Episodes]:
    envs = tiny_envs()
    policy = tiny_policy(envs.rules)
    config = RLOOConfig(group_size=group_size, episodes_per_update=12, whiten_advantages=False, **{"kl_coef": 0.0, **fields})  # type: ignore[arg-type]
    return RLOO(policy, envs, config, reference=tiny_policy(envs.rules, seed=0)), every_text(envs.rules, policy)[0]


def test_two_samples_are_each_others_baseline() -> None:
    """Algorithm 2 of "Tuning computer vision models with task rewards": the reward of a sample less that of the other."""
    agent, texts = make(2)
    batch = agent.estimate(texts.select([1, 0]))  # "aa" pays 1.2, "" pays 0 with one token
    assert batch.advantages is not None
    assert batch.advantages[0].tolist() == pytest.approx([1.2, 1.2])
    assert batch.advantages[1].tolist() == pytest.approx([-1.2, 0])


def test_three_samples_against_the_mean_of_the_others() -> None:
    agent, texts = make(3)
    batch = agent.estimate(texts.select([1, 2, 4]))  # 1.2, .7, .7
    assert batch.advantages is not None
    assert batch.advantages[:, 0].tolist() == pytest.approx([0.5, -0.25, -0.25])
    assert batch.advantages[:, 1].tolist() == pytest.approx([0.5, -0.25, -0.25])


def test_the_kl_of_the_whole_sequence_is_charged() -> None:
    agent, texts = make(2, kl_coef=0.5)
    batch = agent.estimate(texts.select([1, 2]))
    assert batch.advantages is not None
    assert batch.ref_log_probs is not None
    kl = (batch.log_probs - batch.ref_log_probs).sum(1)
    assert float(kl.abs().max()) > 0.1
    assert float(batch.advantages[0, 0]) == pytest.approx(1.2 - 0.7 - 0.5 * float(kl[0] - kl[1]), abs=1e-5)
    assert torch.allclose(batch.advantages[0], -batch.advantages[1])


def test_refuses_episodes_that_are_no_groups() -> None:
    agent, texts = make(2)
    with pytest.raises(ArgumentError, match="update needs groups of 2 episodes of the same prompt, one after the other"):
        agent.update(texts.select([0, 7]))
    with pytest.raises(ArgumentError, match="update needs groups of 2"):
        agent.update(dataclasses.replace(texts.select([0, 1, 2])))
