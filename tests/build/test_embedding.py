from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from sentence_transformers import SentenceTransformer

from textenv.build.embedding import (
    EmbeddingRecipe,
    cooccurrences,
    measure,
    retrieval_accuracy,
    save_embedding,
    token_vectors,
    train_embedding,
)
from textenv.build.language_model import train_tokenizer

# All tokens weigh the same, so that the direction taken out is that of the most frequent topic.
EVEN = EmbeddingRecipe(dimensions=4, rarity=1e6)


def test_cooccurrences_by_hand() -> None:
    # Within 2 tokens: 0-1, 0-2, 1-2, 1-0, 2-0 of the first document; 3-3 of the second; nothing across.
    counts = cooccurrences([[0, 1, 2, 0], [3, 3]], vocab_size=4, window=2)
    expected = np.array([[0, 2, 2, 0], [2, 0, 1, 0], [2, 1, 0, 0], [0, 0, 0, 2]], dtype=float)
    np.testing.assert_array_equal(counts, expected)


def documents_of_topics(shares: list[float]) -> list[list[int]]:
    """Draw documents from topics 0 to 3 of five tokens each.

    The last topic is four times as frequent, so that its direction is the common one that is taken out.
    """
    rng = np.random.default_rng(0)
    topics = [0, 1, 2, 3, 3, 3, 3] * 30
    return [(5 * topic + rng.choice(5, size=40, p=shares)).tolist() for topic in topics]


def test_token_vectors_put_company_together() -> None:
    vectors = token_vectors(cooccurrences(documents_of_topics([0.2] * 5), vocab_size=21, window=8), EVEN)
    assert vectors.shape == (21, 4)
    assert vectors.dtype == np.float32
    assert np.isfinite(vectors).all()
    lengths = np.linalg.norm(vectors, axis=1)
    assert lengths[15:].max() < 0.2 * lengths[:15].min()  # the common topic, and a token that was never seen
    unit = vectors[:15] / lengths[:15, None]
    same = np.kron(np.eye(3), np.ones((5, 5))).astype(bool)
    similarity = unit @ unit.T
    assert similarity[same].min() > 0.95
    assert similarity[~same].max() < 0.2


def test_token_vectors_weigh_rare_tokens_more() -> None:
    counts = cooccurrences(documents_of_topics([0.8, 0.05, 0.05, 0.05, 0.05]), vocab_size=20, window=4)
    weighted, plain = (token_vectors(counts, recipe) for recipe in (EmbeddingRecipe(dimensions=4, rarity=0.5), EVEN))
    ratio, plain_ratio = (np.linalg.norm(vectors[0]) / np.linalg.norm(vectors[1:5], axis=1) for vectors in (weighted, plain))
    # The frequent token of a topic has p = .8 / 7, the others .05 / 7: their weights are .814 and .986.
    np.testing.assert_allclose(ratio / plain_ratio, 0.814 / 0.986, rtol=0.02)


def test_retrieval_accuracy_of_known_encoders() -> None:
    texts = [f"w{i} w{i} w{i} w{i}" for i in range(10)]

    def exact(batch: list[str]) -> NDArray[np.float32]:
        return np.eye(10, dtype=np.float32)[[int(text.split()[0][1:]) for text in batch]]

    def constant(batch: list[str]) -> NDArray[np.float32]:
        return np.ones((len(batch), 3), dtype=np.float32)

    assert retrieval_accuracy(exact, texts, group=5) == 1.0
    assert retrieval_accuracy(constant, texts, group=5) == pytest.approx(1 / 5)  # the first candidate, always


def test_trained_model_survives_the_disk(tmp_path: Path) -> None:
    topics = ("sea ship sail", "bread oven flour", "sun moon star", *["desk pen book"] * 4)
    texts = [f" {topic}" * 6 for topic in topics] * 20
    tokenizer = train_tokenizer(texts, vocab_size=340, context=64)  # enough for each word to be one token
    model = train_embedding(texts, tokenizer, EVEN)
    save_embedding(model, tmp_path / "embed")
    loaded = SentenceTransformer(str(tmp_path / "embed"), device="cpu")
    shown = [" sea ship", " ship sail sail", " bread", " flour oven"]
    vectors = loaded.encode(shown, show_progress_bar=False)
    np.testing.assert_array_equal(vectors, model.encode(shown, show_progress_bar=False))
    assert vectors.dtype == np.float16
    similarity = np.asarray(loaded.similarity(vectors, vectors))
    assert min(similarity[0, 1], similarity[2, 3]) > 0.95
    assert similarity[:2, 2:].max() < 0.2
    assert measure(loaded, texts[:3]) == {"half_retrieval_among_3": 1.0, "texts": 3.0}
    assert sum(path.stat().st_size for path in (tmp_path / "embed").rglob("*")) < 60_000
