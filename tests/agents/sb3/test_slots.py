"""The features of candidates: one map for all slots, and what an agent makes of them."""

from typing import Any

import gymnasium
import numpy as np
import torch
from stable_baselines3 import PPO

from textenv import wrappers
from textenv.agents.sb3 import as_vec_env
from textenv.agents.sb3.slots import SlotFeatures

SPACE = gymnasium.spaces.Dict(
    observation=gymnasium.spaces.Box(-1, 1, (2,)),
    candidates=gymnasium.spaces.Box(-1, 1, (3, 2)),
    candidate_logprobs=gymnasium.spaces.Box(-100, 0, (3,)),
)


def test_every_slot_is_read_alike() -> None:
    features = SlotFeatures(SPACE, size=1)
    assert features.features_dim == 5
    with torch.no_grad():
        features.read.weight.copy_(torch.tensor([[1.0, 10.0, 100.0]]))
        features.read.bias.fill_(0.5)
    seen = {
        "observation": torch.tensor([[7.0, 8.0]]),
        "candidates": torch.tensor([[[1.0, 2.0], [3.0, 4.0], [0.0, 0.0]]]),
        "candidate_logprobs": torch.tensor([[-1.0, -2.0, 0.0]]),
    }
    assert features(seen).tolist() == [[21.0 - 100 + 0.5, 43.0 - 200 + 0.5, 0.5, 7.0, 8.0]]


def test_an_agent_learns_which_token_pays() -> None:
    envs = gymnasium.make_vec("TextCopy-v0", num_envs=8, reward=share_of_b, min_new_tokens=3, max_new_tokens=3)
    envs = wrappers.EmbeddingObservation(wrappers.TopKActions(envs, 4))
    policy = {"features_extractor_class": SlotFeatures, "net_arch": [], "ortho_init": False}
    settings: dict[str, Any] = {"n_steps": 24, "batch_size": 48, "n_epochs": 4, "learning_rate": 0.03, "policy_kwargs": policy}
    agent = PPO("MultiInputPolicy", as_vec_env(envs), seed=0, **settings)
    agent.learn(24 * 8 * 8)
    scores: list[float] = []
    observations, _ = envs.reset(seed=1)
    while len(scores) < 64:
        observations, *_, infos = envs.step(agent.predict(observations)[0])
        scores += infos["final_info"]["score"].tolist() if "final_info" in infos else []
    assert np.mean(scores) > 0.8


def share_of_b(completions: list[str]) -> list[float]:
    return [text.count("b") / 3 for text in completions]
