"""Rewards of your own: a function written for TRL, a transformers pipeline, one that pays single tokens, and their sum.

Run: python examples/own_reward.py [episodes]
"""

import os
import sys
from collections.abc import Callable
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # before torch: idle threads sleep

import gymnasium
from transformers import pipeline

import textenv
from textenv.models.hub import ASSETS
from textenv.rewards import WeightedSum

episodes = int(sys.argv[1]) if len(sys.argv) > 1 else 128


# As TRL calls it: lists by keyword, one number a text. Every column of the prompt set comes along.
def few_commas(completions: list[str], **columns: Any) -> list[float]:
    return [1 / (1 + text.count(",")) for text in completions]


# Any pipeline of text classification, here of a model that comes with textenv. `load_reward(sentiment, label="negative")`
# chooses another label than the positive one.
sentiment = pipeline("text-classification", model=str(ASSETS / "tiny-sentiment"))


# By pieces: a number for each token of each text. The score is their sum; learners credit each number to its token.
def first_person(pieces: list[list[str]]) -> list[list[float]]:
    return [[float(piece.strip() in ("I", "me", "my")) for piece in row] for row in pieces]


# A sum reports its parts apart.
both = WeightedSum({"sentiment": (0.8, sentiment), "few_commas": (0.2, few_commas)})

rewards: dict[str, Callable[..., Any]] = {"few commas": few_commas, "pipeline": sentiment, "pieces": first_person, "sum": both}
policy = textenv.LanguagePolicy.from_pretrained("tiny-en")
for name, reward in rewards.items():
    envs = gymnasium.make_vec("TextSentiment-v0", num_envs=64, reward=reward)
    played = textenv.collect(policy, envs, episodes, seed=0)
    parts = ", ".join(f"{part} {values.mean():.2f}" for part, values in played.score_parts.items())
    print(f"{name}: {played.scores.mean():.2f}" + (f" ({parts})" if parts else ""))
