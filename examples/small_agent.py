"""Agents of Stable-Baselines3 that know no language learn to steer one: in every state its model offers 16 tokens to choose from.

Run: python examples/small_agent.py [ppo | a2c | dqn] [steps] [seed]
"""

import os
import sys
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # before torch: idle threads sleep

import gymnasium
import numpy as np
from stable_baselines3 import A2C, DQN, PPO
from stable_baselines3.common.utils import LinearSchedule
from stable_baselines3.common.vec_env import VecNormalize

from textenv import LanguagePolicy, wrappers
from textenv.agents.sb3 import as_vec_env
from textenv.agents.sb3.slots import SlotFeatures

ROWS, TOKENS, K, KL_COEF = 64, 24, 16, 0.005
LINEAR = {"features_extractor_class": SlotFeatures, "net_arch": []}
SHAPED = {"gae_lambda": 0.7, "ent_coef": KL_COEF, "normalize_advantage": False, "policy_kwargs": LINEAR | {"ortho_init": False}}
REPLAY = {"buffer_size": 40_000, "batch_size": 512, "train_freq": 2, "gradient_steps": 4, "learning_starts": 1000, "policy_kwargs": LINEAR}
AGENTS: dict[str, tuple[Any, str | None, dict[str, Any]]] = {
    "ppo": (PPO, None, SHAPED | {"learning_rate": 2e-3, "n_steps": 24, "batch_size": 256, "n_epochs": 6, "clip_range": 0.3, "gamma": 1}),
    "a2c": (
        A2C,
        "tiny-sentiment",
        SHAPED | {"learning_rate": LinearSchedule(0.01, 0, 1), "n_steps": 1, "use_rms_prop": False, "gamma": 0.5},
    ),
    "dqn": (DQN, "tiny-sentiment", REPLAY | {"learning_rate": LinearSchedule(0.01, 0, 1), "exploration_fraction": 0.7, "gamma": 0.5}),
}


def make_envs(potential: str | None) -> VecNormalize:
    # Without min_new_tokens, ending at once costs the least KL; a potential pays every token for what it adds to the score.
    envs = gymnasium.make_vec("TextSentiment-v0", num_envs=ROWS, min_new_tokens=TOKENS, potential=potential)
    reference = LanguagePolicy.from_pretrained("tiny-en")  # one for all three, which then reads every text once
    envs = wrappers.KLShaping(wrappers.ActionMask(envs, top_k=K, mask_model=reference), KL_COEF, reference=reference)
    envs = wrappers.EmbeddingObservation(wrappers.TopKActions(envs, K, reference))
    return VecNormalize(as_vec_env(envs), norm_reward=False, norm_obs_keys=["observation"])


def score(envs: VecNormalize, choose: Any) -> float:
    """Mean score of the first 64 prompts, each continued four times by the slots that `choose` makes of observations."""
    scores, infos = list[float](), list[dict[str, Any]]()
    for seed in range(0, 4 * ROWS, ROWS):
        envs.seed(seed)
        envs.set_options([{"prompt_index": row} for row in range(ROWS)])
        observations: Any = envs.reset()
        for _ in range(TOKENS):
            observations, _, _, infos = envs.step(choose(observations))
        scores += [info["score"] for info in infos]
    return float(np.mean(scores))


if __name__ == "__main__":
    name, steps, seed = [*sys.argv[1:], *["ppo", "60000", "0"][len(sys.argv) - 1 :]]
    kind, potential, settings = AGENTS[name]
    envs = make_envs(potential)
    agent = kind("MultiInputPolicy", envs, seed=int(seed), **settings)
    print("before:", score(envs, lambda seen: agent.predict(seen, deterministic=kind is DQN)[0]))
    agent.learn(int(steps))
    print("after:", score(envs, lambda seen: agent.predict(seen, deterministic=kind is DQN)[0]))
