"""Make `tiny-embed`: token vectors from co-occurrences, averaged over a text by sentence-transformers."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import StaticEmbedding
from sklearn.utils.extmath import randomized_svd
from tokenizers import Tokenizer
from transformers import PreTrainedTokenizerFast

from textenv.build.language_model import compact


@dataclass(frozen=True, kw_only=True)
class EmbeddingRecipe:
    """What makes `tiny-embed`."""

    dimensions: int = 96
    window: int = 32
    """Tokens to each side that count as company."""
    rarity: float = 1e-4
    """The a of the token weights a / (a + p); smaller trusts rare tokens more."""
    seed: int = 0


def cooccurrences(documents: Iterable[list[int]], vocab_size: int, window: int) -> NDArray[np.float64]:
    """Count how often each token stands within `window` tokens of each other one; a document is its own world.

    Returns:
        (V, V) symmetric counts.
    """
    gap = [-1] * window
    stream = np.array([token for document in documents for token in (*document, *gap)], dtype=np.int64)
    counts = np.zeros(vocab_size * vocab_size, dtype=np.float64)
    for distance in range(1, window + 1):
        left, right = stream[:-distance], stream[distance:]
        both = (left >= 0) & (right >= 0)
        counts += np.bincount(left[both] * vocab_size + right[both], minlength=len(counts))
    square = counts.reshape(vocab_size, vocab_size)  # (V, V)
    return square + square.T


def token_vectors(counts: NDArray[np.float64], recipe: EmbeddingRecipe) -> NDArray[np.float32]:
    """Turn co-occurrences into token vectors.

    The leading left singular vectors of the positive pointwise mutual information
    max(0, log p(s, t) / (p(s) p(t))) (Levy, Goldberg & Dagan 2015), each token weighted by
    a / (a + p(t)) and the common direction taken out (Arora, Liang & Ma 2017).

    Returns:
        (V, D) vectors whose mean over a text's tokens stands for the text.
    """
    frequency = counts.sum(axis=1)  # (V,)
    with np.errstate(divide="ignore", invalid="ignore"):
        information = np.log(counts * frequency.sum() / np.outer(frequency, frequency))  # (V, V)
    positive = np.where(counts > 0, np.maximum(information, 0), 0).astype(np.float32)
    left = randomized_svd(positive, recipe.dimensions, random_state=recipe.seed)[0]  # (V, D)
    share = frequency / frequency.sum()
    vectors = left * (recipe.rarity / (recipe.rarity + share))[:, None]  # (V, D)
    common = np.linalg.svd(vectors * np.sqrt(share)[:, None], full_matrices=False)[2][0]  # (D,)
    vectors -= np.outer(vectors @ common, common)
    return np.asarray(vectors / np.abs(vectors).max(), dtype=np.float32)


def retrieval_accuracy(encode: Callable[[list[str]], NDArray[np.float32]], texts: list[str], group: int = 100) -> float:
    """Measure how often the first half of a text is nearest, by cosine, to its own second half in a group.

    Args:
        encode: maps n texts to (n, D) vectors.
        texts: cut into groups in their order; an incomplete group is left out.
        group: candidates for each first half; 1 / group is chance.
    """
    halves = [(" ".join(words[: len(words) // 2]), " ".join(words[len(words) // 2 :])) for words in map(str.split, texts)]
    unit = [_unit(encode([half[side] for half in halves])) for side in (0, 1)]  # two of (n, D)
    right = []
    for start in range(0, len(texts) - group + 1, group):
        similarity = unit[0][start : start + group] @ unit[1][start : start + group].T  # (group, group)
        right.append(similarity.argmax(axis=1) == np.arange(group))
    return float(np.mean(right))


def _unit(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    wide = vectors.astype(np.float32)
    return np.asarray(wide / np.maximum(np.linalg.norm(wide, axis=1, keepdims=True), 1e-9), dtype=np.float32)


def train_embedding(texts: list[str], tokenizer: PreTrainedTokenizerFast, recipe: EmbeddingRecipe) -> SentenceTransformer:
    """Learn token vectors from texts and wrap them for sentence-transformers, in half precision."""
    counts = cooccurrences(tokenizer(texts, verbose=False)["input_ids"], len(tokenizer), recipe.window)
    return wrap(token_vectors(counts, recipe), tokenizer)


def wrap(vectors: NDArray[np.float32], tokenizer: PreTrainedTokenizerFast) -> SentenceTransformer:
    """Make a sentence-transformers model of token vectors (V, D)."""
    # A copy, because StaticEmbedding switches padding off in the tokenizer it is given.
    own = Tokenizer.from_str(tokenizer.backend_tokenizer.to_str())
    own.no_truncation()
    return SentenceTransformer(modules=[StaticEmbedding(own, embedding_weights=torch.from_numpy(vectors).half())], device="cpu")


def save_embedding(model: SentenceTransformer, folder: Path) -> None:
    """Write the folder that `SentenceTransformer(folder)` reads, the tokenizer without white space."""
    model.save(str(folder), create_model_card=False)
    for path in folder.rglob("tokenizer.json"):
        compact(path)


def measure(model: SentenceTransformer, texts: list[str]) -> dict[str, float]:
    """Measure how well halves of texts find each other among 100, or among all when there are fewer."""
    group = min(100, len(texts))
    accuracy = retrieval_accuracy(lambda batch: np.asarray(model.encode(batch, show_progress_bar=False)), texts, group)
    return {f"half_retrieval_among_{group}": accuracy, "texts": float(len(texts) // group * group)}
