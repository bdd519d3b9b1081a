"""Other views of a text environment: what it shows, what it asks for, what it pays and what is kept of it.

Each wraps one environment and a vector environment alike.
"""

from textenv.envs.wrappers.actions import ActionMask, TopKActions
from textenv.envs.wrappers.observations import EmbeddingObservation, TextObservation
from textenv.envs.wrappers.payment import KLShaping
from textenv.envs.wrappers.recording import RecordEpisodes

__all__ = ["ActionMask", "EmbeddingObservation", "KLShaping", "RecordEpisodes", "TextObservation", "TopKActions"]
