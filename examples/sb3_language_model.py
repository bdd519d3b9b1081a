"""PPO of Stable-Baselines3 trains a language model in TextSentiment-v0: it steps textenv's native vector env, and acts by its cache.

The KL to the model as it was is paid by the environment, which asks the policy for its probabilities.

Run: python examples/sb3_language_model.py [steps] [seed]
"""

import os
import sys
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # before torch: idle threads sleep

import gymnasium
from stable_baselines3 import PPO
from stable_baselines3.common.vec_env import VecMonitor

import textenv
from textenv.agents.sb3 import LanguageModelPolicy, as_vec_env

ROWS, TOKENS = 128, 24  # texts side by side, and the most tokens of each
steps = int(sys.argv[1]) if len(sys.argv) > 1 else 20 * ROWS * TOKENS
seed = int(sys.argv[2]) if len(sys.argv) > 2 else 0

envs = gymnasium.make_vec("TextSentiment-v0", num_envs=ROWS, max_new_tokens=TOKENS, kl_coef=0.035)
vec_envs = VecMonitor(as_vec_env(envs))
agent = PPO(
    LanguageModelPolicy,
    vec_envs,
    policy_kwargs={"model": "tiny-en"},
    n_steps=TOKENS,
    batch_size=ROWS * TOKENS // 4,
    n_epochs=2,
    learning_rate=1e-4,
    gamma=1.0,
    vf_coef=0.1,
    seed=seed,
    device="cpu",
    verbose=1,
)
vec_envs.get_attr("kl_shaping")[0].policy = agent.policy
language: Any = agent.policy.language  # a LanguagePolicy, as textenv's own agents train it


def report(when: str) -> None:
    """Play 256 texts as they are written by chance, and print what they score."""
    plain = gymnasium.make_vec("TextSentiment-v0", num_envs=ROWS, max_new_tokens=TOKENS)
    episodes = textenv.collect(language, plain, 256, seed=1000)
    print(f"{when}: score {episodes.scores.mean():.3f}  {episodes.prompts[0]}{episodes.completions[0]}")


report("before")
agent.learn(steps)
report("after")
