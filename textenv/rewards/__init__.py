"""Rewards: the protocol, the models that score text, and the KL divergence."""

from textenv.rewards.classifier import Classifier
from textenv.rewards.loading import load_reward
from textenv.rewards.ngram import NgramClassifier
from textenv.rewards.protocol import call_reward

__all__ = ["Classifier", "NgramClassifier", "call_reward", "load_reward"]
