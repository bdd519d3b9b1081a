"""An environment of your own from prompts and a reward: `tiny-en` learns to ask questions.

Run: python examples/own_environment.py [episodes]
"""

import os
import sys

os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # before torch: idle threads sleep

import gymnasium

import textenv
from textenv.agents import PPO, PPOConfig
from textenv.reports.evaluation import measure, summarise

episodes = int(sys.argv[1]) if len(sys.argv) > 1 else 2048

# A reward takes what it names: prompts, completions, any other column of the prompt set. One number a text.
textenv.register(
    "AskQuestions-v0",
    prompts=["I watched this film and", "The plot of this movie", "When the lights went out, I", "My brother told me that"],
    reward=lambda completions: [float("?" in text) for text in completions],
    max_new_tokens=16,
)

envs = gymnasium.make_vec("AskQuestions-v0", num_envs=128)
policy, reference = (textenv.LanguagePolicy.from_pretrained("tiny-en") for _ in range(2))
PPO(policy, envs, PPOConfig(episodes_per_update=256, minibatch_size=64, kl_coef=0.1)).learn(episodes)

for name, who in {"before": reference, "after": policy}.items():
    measured = measure(who, reference, envs, [0, 1, 2, 3] * 32, seed=0)
    row = summarise(measured)
    print(f"{name}: asks in {row['score']:.0%} of the texts, KL {row['kl_exact']:.2f} nats a text")
    for prompt, completion in list(zip(measured.episodes.prompts, measured.episodes.completions, strict=True))[:4]:
        print(f"- {prompt}{completion}")
