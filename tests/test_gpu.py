"""What a GPU must do as the CPU does; run with `pytest -m gpu` where there is one."""

import gymnasium
import numpy as np
import pytest
import torch

import textenv
from textenv.agents import PPO, PPOConfig
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
