"""Agents of other libraries learn on the id unmodified: PPO and A2C of Stable-Baselines3, MaskablePPO of sb3-contrib.

With `MlpPolicy` they know nothing of language and do not get far; this shows that the environment is a plain one.

Run: python examples/other_agents.py [steps]
"""

import os
import sys

os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # before torch: idle threads sleep

import gymnasium
from sb3_contrib import MaskablePPO
from stable_baselines3 import A2C, PPO

import textenv

steps = int(sys.argv[1]) if len(sys.argv) > 1 else 2048
print("environments:", ", ".join(id for id in gymnasium.registry if id.startswith("Text")), "of textenv", textenv.__version__)

for algorithm in (PPO, A2C, MaskablePPO):
    env = gymnasium.make("TextSentiment-v0")
    agent = algorithm("MlpPolicy", env, n_steps=64, seed=0)
    agent.learn(steps)
    observation, info = env.reset(seed=1)
    while "score" not in info:
        action = agent.predict(observation)[0]
        observation, _, _, _, info = env.step(action)
    print(f"{algorithm.__name__}: {info['score']:.2f}  {info['prompt']}{info['completion']}")
