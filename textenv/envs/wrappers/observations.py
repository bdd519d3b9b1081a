"""Texts and their embeddings in place of tokens."""

import string
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from textenv.envs.wrappers.base import Rows, wrap
from textenv.models.pieces import decode
from textenv.rewards.similarity import load_embedding

if TYPE_CHECKING:
    from textenv.envs.rules import Rules


def TextObservation(env: Any) -> Any:
    """Show the prompt and what has been written so far as a string.

    Observation: `Text`, in a vector env a tuple of N strings; "" in rows that are parked. Its characters are those of the
    tokens and prompts where each token is whole characters, and all of Unicode where tokens can be bytes.
    Around `TopKActions` it takes the place of the entry `observation`.

    Args:
        env: from `gymnasium.make` or `gymnasium.make_vec`.

    Raises:
        ArgumentError: it is no text environment, or something else than tokens is observed already.
    """
    return wrap(TextObservation, Texts, env)


def EmbeddingObservation(env: Any, model: str | Path = "tiny-embed") -> Any:
    """Show the prompt and what has been written so far as a vector.

    Observation: `Box(-1, 1, (e,), float32)`, the sentence-transformers embedding of the text at length 1; 0 for a text
    without tokens. Around `TopKActions` it takes the place of the entry `observation`.

    Args:
        env: from `gymnasium.make` or `gymnasium.make_vec`.
        model: embedded name, local path or hub id of a sentence-transformers model.

    Raises:
        ArgumentError: the env is no text environment, or something else than tokens is observed already.
        LoadError: the model cannot be loaded.
    """
    return wrap(EmbeddingObservation, Embeddings, env, model=model)


class UnicodeText(gym.spaces.Text):
    """All strings up to a length; samples are made of a few characters only.

    `Text` would keep a million characters in four tables.

    Args:
        max_length: in characters.
        samples: the characters of samples.
    """

    def __init__(self, max_length: int, samples: frozenset[str]) -> None:
        super().__init__(max_length, min_length=0, charset=samples)

    def contains(self, x: Any) -> bool:
        """Tell whether it is a string that is short enough."""
        return isinstance(x, str) and len(x) <= self.max_length


class Texts(Rows):
    """The rows of `TextObservation`."""

    view = True

    def __init__(self, env: Any) -> None:
        super().__init__(env)
        self.observation_space = text_space(self.rules)

    def observe(self, texts: NDArray[np.int32], live: NDArray[np.bool_]) -> tuple[str, ...]:
        """Decode texts (n, W) to n strings."""
        return tuple(written(self.rules, texts))


class Embeddings(Rows):
    """The rows of `EmbeddingObservation`; the arguments are its."""

    view = True

    def __init__(self, env: Any, model: str | Path) -> None:
        super().__init__(env)
        self.model = load_embedding(str(model), "cpu")
        size = self.embed(["a"]).shape[1]
        self.observation_space = gym.spaces.Box(-1, 1, (size,), np.float32)

    def observe(self, texts: NDArray[np.int32], live: NDArray[np.bool_]) -> Any:
        """Embed texts (n, W): (n, e)."""
        return self.embed(written(self.rules, texts))

    def embed(self, texts: list[str]) -> NDArray[np.float32]:
        """Embed n texts: (n, e) float32 of length 1, or 0."""
        # The mean over the tokens of a text that has none is no number.
        raw = np.nan_to_num(np.asarray(self.model.encode(texts, show_progress_bar=False), dtype=np.float32))
        length = np.linalg.norm(raw, axis=1, keepdims=True)
        unit: NDArray[np.float32] = np.clip(raw / np.maximum(length, 1e-12), -1, 1)
        return unit


def written(rules: "Rules", texts: NDArray[np.int32]) -> list[str]:
    """Decode texts (n, W), prompts and what follows them, to n strings."""
    return [decode(rules.tokenizer, row[row >= 0].tolist()) for row in texts]


def text_space(rules: "Rules") -> gym.spaces.Text:
    """Make a space that holds every text of a task."""
    tokens = [decode(rules.tokenizer, [id]) for id in range(rules.vocabulary)]
    found = frozenset("".join([*tokens, *rules.prompts.texts, " "]))  # some tokenizers drop the space of a token alone
    # A token that is part of a character is shown as a replacement character of three bytes, no less than it has.
    longest = rules.width * (1 + max(len(token.encode()) for token in tokens))
    if "\N{REPLACEMENT CHARACTER}" in found:
        return UnicodeText(longest, frozenset(string.printable))
    return gym.spaces.Text(longest, min_length=0, charset=found)
