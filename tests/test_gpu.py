"""What a GPU must do as the CPU does; run with `pytest -m gpu` where there is one."""

from pathlib import Path

import gymnasium
import numpy as np
import pytest
import torch

import textenv
from textenv.agents import PPO, PPOConfig
from textenv.checkpoint import load_state, save_state
from textenv.envs.vector import text_envs
from textenv.models.policy import Precision

pytestmark = pytest.mark.gpu


def test_log_probs_equal_those_of_the_cpu() -> None:
    envs = gymnasium.make_vec("TextSentiment-v0", num_envs=8)
    here, there = (textenv.LanguagePolicy.from_pretrained("tiny-en", device=device) for device in ("cpu", "cuda"))
    episodes = textenv.collect(there, envs, 16, seed=0)
    on_cpu, _ = here.response_log_probs(episodes.tokens, episodes.prompt_columns)
    assert torch.allclose(on_cpu, episodes.log_probs, atol=1e-3)
    observations, _ = envs.reset(seed=0)
    for _ in range(4):
        actions = there.act(observations, greedy=True).actions
        assert np.array_equal(actions, here.act(observations, greedy=True).actions)
        observations = envs.step(actions)[0]


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_ppo_learns(precision: Precision) -> None:
    envs = gymnasium.make_vec("TextSentiment-v0", num_envs=256, reward=textenv.load_reward("tiny-sentiment", device="cuda"))
    policy = textenv.LanguagePolicy.from_pretrained("tiny-en", device="cuda", precision=precision)
    scores: list[float] = []
    PPO(policy, envs, PPOConfig()).learn(4096, lambda metrics, _: scores.append(metrics["score"]))
    assert scores[-1] > scores[0] + 0.1


@pytest.mark.parametrize(("before", "after"), [("cpu", "cuda"), ("cuda", "cpu"), ("cuda", "cuda")])
def test_a_checkpoint_goes_on_where_it_can(before: str, after: str, tmp_path: Path) -> None:
    agents = []
    for device in (before, after):
        envs = gymnasium.make_vec("TextCopy-v0", num_envs=16)
        policy = textenv.LanguagePolicy.for_rules(text_envs(envs).rules, device=device)
        agents.append(PPO(policy, envs, PPOConfig(episodes_per_update=16, group_size=4, minibatch_size=8)))
    agents[0].learn(16)
    save_state(tmp_path / "checkpoint", agents[0].state_dict())
    agents[1].load_state_dict(load_state(tmp_path / "checkpoint"))
    weights = [{name: value.cpu() for name, value in agent.policy.state_dict().items()} for agent in agents]
    assert all(torch.equal(value, weights[1][name]) for name, value in weights[0].items())
    draws = [torch.rand(4, generator=agent.generator, device=agent.policy.device).cpu() for agent in agents]
    assert torch.equal(*draws) is (before == after)
    agents[1].learn(16)
    assert agents[1].episodes == 32
    assert all(value.isfinite().all() for value in agents[1].policy.state_dict().values())
