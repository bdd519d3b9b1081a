"""Rewards: the protocol, models, rules and metrics that score text, rewards made of rewards, and the KL divergence."""

from textenv.rewards.answers import ListOf
from textenv.rewards.classifier import Classifier
from textenv.rewards.composition import Affine, BestReference, ByColumn, Clip, Product, WeightedSum, calibrated
from textenv.rewards.declining import InScope
from textenv.rewards.fluency import Fluency
from textenv.rewards.follows import Follows
from textenv.rewards.loading import load_reward
from textenv.rewards.metrics import ChrF, RougeL, WordF1, WordOverlap
from textenv.rewards.names import Cast, Roles
from textenv.rewards.ngram import NgramClassifier
from textenv.rewards.novelty import Novelty
from textenv.rewards.protocol import Scores, call_reward
from textenv.rewards.remote import HTTPReward
from textenv.rewards.rules import Avoids, Contains, Distinct, Length, Matches
from textenv.rewards.similarity import Similarity
from textenv.rewards.toxicity import NotToxic

__all__ = [
    "Affine",
    "Avoids",
    "BestReference",
    "ByColumn",
    "Cast",
    "ChrF",
    "Classifier",
    "Clip",
    "Contains",
    "Distinct",
    "Fluency",
    "Follows",
    "HTTPReward",
    "InScope",
    "Length",
    "ListOf",
    "Matches",
    "NgramClassifier",
    "NotToxic",
    "Novelty",
    "Product",
    "Roles",
    "RougeL",
    "Scores",
    "Similarity",
    "WeightedSum",
    "WordF1",
    "WordOverlap",
    "calibrated",
    "call_reward",
    "load_reward",
]
