"""Token vectors that learn from a sentence encoder: a small one that is made here."""

import json
from pathlib import Path

import numpy as np
import pytest
from sentence_transformers import SentenceTransformer
from transformers import PreTrainedTokenizerFast

from textenv.build.distillation import DistilRecipe, agreement, check_teacher, distil, taught, texts_to_learn
from textenv.build.embedding import save_embedding, wrap
from textenv.build.language_model import train_tokenizer
from textenv.errors import ArgumentError
from textenv.models.hub import ASSETS
from textenv.rewards import Similarity

TOPICS = ("sea ship sail", "bread oven flour", "sun moon star", "desk pen book")
DOCUMENTS = [f" The {word} was the {word}." for topic in TOPICS for word in topic.split()]
RECIPE = DistilRecipe(dimensions=8, texts=200, batch=50, passes=60)


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerFast:
    texts = [f" {word}" for topic in TOPICS for word in (*topic.split(), "The", "the", "was")]
    return train_tokenizer(texts * 20, vocab_size=400, context=64)


@pytest.fixture(scope="module")
def teacher(tokenizer: PreTrainedTokenizerFast) -> SentenceTransformer:
    """Return an encoder with a direction a topic, to which other words say nothing."""
    vectors = np.full((len(tokenizer), 4), 1e-4, dtype=np.float32)
    for index, topic in enumerate(TOPICS):
        for word in topic.split():
            (token,) = tokenizer(f" {word}", add_special_tokens=False)["input_ids"]
            vectors[token, index] = 1
    return wrap(vectors, tokenizer)


def test_the_student_says_what_the_teacher_says(tokenizer: PreTrainedTokenizerFast, teacher: SentenceTransformer) -> None:
    texts = texts_to_learn([("documents", DOCUMENTS, 1)], RECIPE)
    texts = [f" {text}" for text in texts]
    student = distil(texts, taught(teacher, texts), tokenizer, RECIPE)
    again = distil(texts, taught(teacher, texts), tokenizer, RECIPE)
    pairs = [" ship", " sail", " oven", " the was ship the"]
    vectors = taught(student, pairs)
    np.testing.assert_array_equal(vectors, taught(again, pairs))
    cosines = vectors @ vectors.T
    assert cosines[0, 1] > 0.9
    assert cosines[0, 3] > 0.8  # words that say nothing weigh little
    assert abs(cosines[0, 2]) < 0.3


def test_agreement_of_an_encoder_with_itself_and_with_chance(teacher: SentenceTransformer, tokenizer: PreTrainedTokenizerFast) -> None:
    other = wrap(np.random.default_rng(0).normal(size=(len(tokenizer), 4)).astype(np.float32), tokenizer)
    assert agreement(teacher, teacher, DOCUMENTS, most=10) == {"rank_correlation_with_the_teacher": pytest.approx(1), "sentences": 10}
    assert abs(agreement(other, teacher, DOCUMENTS)["rank_correlation_with_the_teacher"]) < 0.5


def test_texts_are_different_and_of_every_part() -> None:
    parts = [
        ("one", ["alpha beta gamma delta."] * 9, 1),
        ("two", ["one two three four five six seven. Eight nine."], 1),
        ("none", [" "], 1),
    ]
    recipe = DistilRecipe(texts=60, longest=5)
    texts = texts_to_learn(parts, recipe)
    assert texts == texts_to_learn(parts, recipe)
    assert len(set(texts)) == len(texts) >= 50
    assert all(text.strip() for text in texts)
    assert max(len(text.split()) for text in texts) <= 10  # of words in any order; a sentence is cut to 5
    assert "one two three four five" in texts
    assert any("alpha" in text for text in texts)
    assert texts_to_learn(parts, DistilRecipe(texts=20, longest=5)) == texts[:20]


def test_vectors_of_the_first_texts_do_not_hang_on_the_rest(teacher: SentenceTransformer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("textenv.build.distillation.PIECE", 3)
    np.testing.assert_array_equal(taught(teacher, DOCUMENTS)[:6], taught(teacher, DOCUMENTS[:6]))
    assert taught(teacher, DOCUMENTS).shape == (len(DOCUMENTS), 4)


def test_a_missing_teacher_is_said_in_one_sentence(tmp_path: Path, teacher: SentenceTransformer) -> None:
    with pytest.raises(
        ArgumentError, match=r"^tiny-embed-2 learns from a sentence encoder, and none is named; pass as --teacher .*--only\.$"
    ):
        check_teacher(None)
    with pytest.raises(ArgumentError, match=r"and there is none at .*nowhere; pass"):
        check_teacher(tmp_path / "nowhere")
    save_embedding(teacher, tmp_path)
    assert check_teacher(tmp_path) == tmp_path


def test_what_ships_is_small_reads_as_tiny_embed_does_and_agrees_with_its_teacher() -> None:
    folder = ASSETS / "tiny-embed-2"
    assert sum(path.stat().st_size for path in folder.iterdir()) < 1_000_000
    assert (folder / "tokenizer.json").read_bytes() == (ASSETS / "tiny-embed" / "tokenizer.json").read_bytes()
    assert json.loads((folder / "metrics.json").read_text())["rank_correlation_with_the_teacher"] > 0.6
    scores = Similarity(model="tiny-embed-2")(["A cow eats grass."] * 3, ["Cows eat grass", "We drove to the office.", "The a of it was"])
    assert scores[0] > max(scores[1:])
