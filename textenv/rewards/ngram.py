"""A linear text classifier over hashed n-grams: no network, half a megabyte, thousands of texts a second."""

import json
import os
import re
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, cast

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file, save_file
from scipy.sparse import csr_matrix
from scipy.special import expit
from sklearn.feature_extraction.text import HashingVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import normalize

from textenv.errors import LoadError
from textenv.files import set_usual_permissions
from textenv.models.folders import loading, read_json


@dataclass(frozen=True, kw_only=True)
class NgramConfig:
    """How a text becomes a vector."""

    features: int = 2**17
    """Buckets that n-grams are hashed into."""
    longest: int = 2
    """Words in the longest n-gram."""
    token_pattern: str = r"(?u)\b\w+(?:'\w+)?\b|[!?]"
    """What a word is; a single character, as "(?u)\\w", suits Chinese."""


class NgramClassifier:
    """Two classes from hashed n-grams, weighted by inverse document frequency, through one linear layer.

    Args:
        weights: (features,) log-odds of the positive class for each bucket.
        idf: (features,) inverse document frequency of each bucket.
        bias: log-odds of the positive class for a text without a known n-gram.
        config: how a text becomes a vector.
    """

    def __init__(self, weights: NDArray[np.float64], idf: NDArray[np.float64], bias: float, config: NgramConfig) -> None:
        self.weights, self.idf, self.bias, self.config = weights, idf, bias, config

    @classmethod
    def fit(cls, texts: list[str], labels: list[int], config: NgramConfig | None = None, inverse_penalty: float = 1.0) -> "NgramClassifier":
        """Fit by logistic regression.

        Args:
            texts: to learn from.
            labels: 1 for the positive class, 0 for the other.
            config: how a text becomes a vector.
            inverse_penalty: the C of scikit-learn's `LogisticRegression`; larger fits closer.
        """
        config = config or NgramConfig()
        counts = _counts(texts, config)  # (n, features)
        document_frequency = np.asarray(counts.sum(axis=0)).ravel()  # of marks that are 0 or 1
        idf = np.log((1 + len(texts)) / (1 + document_frequency)) + 1
        linear = LogisticRegression(C=inverse_penalty, max_iter=1000).fit(_weighted(counts, idf), labels)
        return cls(linear.coef_[0].astype(np.float64), idf, float(linear.intercept_[0]), config)

    @classmethod
    def from_pretrained(cls, folder: str | Path) -> "NgramClassifier":
        """Load what `save_pretrained` wrote.

        Raises:
            LoadError: a file is missing in the folder or damaged.
        """
        missing = [name for name in ("config.json", "model.safetensors") if not os.path.isfile(Path(folder) / name)]
        if missing:
            raise LoadError(f"{folder} holds no n-gram classifier: {' and '.join(missing)} missing.")
        with loading(f"The n-gram classifier {folder}", folder):
            settings = read_json(Path(folder) / "config.json")
            tensors = load_file(Path(folder) / "model.safetensors")
            config = _config_of(settings)
            weights, idf = (tensors[name].astype(np.float64) for name in ("weights", "idf"))
            if not weights.shape == idf.shape == (config.features,):
                raise ValueError(f"features are {config.features}, but the weights {weights.shape} and {idf.shape}")
            classifier = cls(weights, idf, float(settings["bias"]), config)
            if not np.isfinite(classifier.log_odds(["a"])).all():
                raise ValueError("it gives a text a score that is no number")
        return classifier

    def save_pretrained(self, folder: str | Path) -> None:
        """Write config.json and model.safetensors, the weights in half precision."""
        Path(folder).mkdir(parents=True, exist_ok=True)
        settings = {"model_type": "ngram", **asdict(self.config), "bias": self.bias}
        (Path(folder) / "config.json").write_text(json.dumps(settings, indent=2) + "\n")
        tensors = {"weights": self.weights.astype(np.float16), "idf": self.idf.astype(np.float16)}
        save_file(tensors, Path(folder) / "model.safetensors")
        set_usual_permissions(Path(folder) / "model.safetensors")

    def scaled(self, factor: float) -> "NgramClassifier":
        """Multiply the log-odds of every text by a factor, as temperature scaling does."""
        return NgramClassifier(self.weights * factor, self.idf, self.bias * factor, self.config)

    def log_odds(self, texts: list[str]) -> NDArray[np.float64]:
        """Return log p / (1 - p) of the positive class, one number a text."""
        if not texts:
            return np.zeros(0)
        features = _weighted(_counts(texts, self.config), self.idf)  # (n, features)
        return np.asarray(features @ self.weights + self.bias, dtype=np.float64)

    def probabilities(self, texts: list[str]) -> NDArray[np.float64]:
        """Return the probability of the positive class, one number a text."""
        return np.asarray(expit(self.log_odds(texts)), dtype=np.float64)


def _config_of(settings: dict[str, Any]) -> NgramConfig:
    """Read how a text becomes a vector, and check the bias beside it.

    Raises:
        KeyError: a setting is missing.
        ValueError: one is of the wrong type or out of its range.
    """
    features, longest, token_pattern, bias = (settings[name] for name in ("features", "longest", "token_pattern", "bias"))
    for name, value in (("features", features), ("longest", longest)):
        if type(value) is not int or not 1 <= value <= _MOST:
            raise ValueError(f"{name} must be an integer from 1 to {_MOST}, got {value!r:.40}")
    if type(bias) not in (int, float) or not abs(bias) <= sys.float_info.max:
        raise ValueError(f"bias must be a finite number, got {bias!r:.40}")
    if not isinstance(token_pattern, str):
        raise ValueError(f"token_pattern must be a text, got {token_pattern!r:.40}")
    try:
        groups = re.compile(token_pattern).groups
    except (re.error, RecursionError, OverflowError) as error:
        raise ValueError(f"token_pattern is no regular expression: {error}") from error
    if groups > 1:
        raise ValueError(f"token_pattern may have one group, got {groups}")
    return NgramConfig(features=features, longest=longest, token_pattern=token_pattern)


_MOST: Final = 2**31 - 1
"""Buckets that scikit-learn can hash into."""


def _counts(texts: list[str], config: NgramConfig) -> csr_matrix:
    """Mark which buckets each text touches: (n, features) of zeros and ones."""
    hashing: Any = HashingVectorizer(
        n_features=config.features,
        ngram_range=(1, config.longest),
        token_pattern=config.token_pattern,
        alternate_sign=False,
        binary=True,
        norm=cast(Any, None),
    )
    return cast(csr_matrix, hashing.transform(texts))


def _weighted(counts: csr_matrix, idf: NDArray[np.float64]) -> csr_matrix:
    """Weight marks by inverse document frequency and scale each row to length 1."""
    return cast(csr_matrix, normalize(counts.multiply(idf).tocsr(), norm="l2", copy=False))
