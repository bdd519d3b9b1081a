"""Train `tiny-en` on a reward of your own: here, completions that ask questions.

Run: python examples/custom_reward.py [episodes]
"""

import os
import sys

os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # before torch: idle threads sleep

import gymnasium

import textenv
from textenv.agents import PPO, PPOConfig

episodes = int(sys.argv[1]) if len(sys.argv) > 1 else 2048

# A reward takes what it names: prompts, completions, any other column of the prompt set. One number a text.
textenv.register(
    "AskQuestions-v0",
    prompts=["I watched this film and", "The plot of this movie", "When the lights went out, I", "My brother told me that"],
    reward=lambda completions: [float("?" in text) for text in completions],
    max_new_tokens=16,
)

envs = gymnasium.make_vec("AskQuestions-v0", num_envs=128)
policy = textenv.LanguagePolicy.from_pretrained("tiny-en")
agent = PPO(policy, envs, PPOConfig(episodes_per_update=256, minibatch_size=64, kl_coef=0.1))

before = textenv.collect(policy, envs, 128, seed=0)
agent.learn(episodes, lambda metrics, _: print(f"score {metrics['score']:.2f}  KL {metrics['kl_k1']:.2f}"))
after = textenv.collect(policy, envs, 128, seed=0)

print(f"asks a question: {before.scores.mean():.2f} before, {after.scores.mean():.2f} after")
for prompt, completion in list(zip(after.prompts, after.completions, strict=True))[:4]:
    print(f"- {prompt}{completion}")
