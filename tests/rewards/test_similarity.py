"""Texts about one thing are close, and the scores are the model's cosines."""

import pickle
from pathlib import Path

import numpy as np
import pytest
from sentence_transformers import SentenceTransformer

from textenv.errors import ArgumentError, LoadError
from textenv.models.hub import ASSETS
from textenv.rewards.protocol import call_reward, require_columns
from textenv.rewards.similarity import Similarity

PROMPTS = ["The actors and the director of this movie", "Rain, wind and snow in winter", "A film"]
COMPLETIONS = ["a film with a great cast", "the cold storm and the rain", "The actors and the director of this movie"]


def test_scores_are_clipped_cosines() -> None:
    model = SentenceTransformer(str(ASSETS / "tiny-embed"), device="cpu")
    a, b = np.asarray(model.encode(PROMPTS), dtype=float), np.asarray(model.encode(COMPLETIONS), dtype=float)
    cosines = (a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)
    assert Similarity()(PROMPTS, COMPLETIONS) == pytest.approx(np.clip(cosines, 0, 1).tolist(), abs=1e-6)


def test_the_same_subject_is_closer() -> None:
    own, swapped = Similarity()(PROMPTS, COMPLETIONS), Similarity()(PROMPTS[1::-1], COMPLETIONS[:2])
    assert min(own[:2]) > max(swapped) + 0.2
    assert Similarity()(["the same text"], ["the same text"]) == pytest.approx([1.0])


def test_opposite_texts_score_zero_and_not_less() -> None:
    words = "film rain actor snow plot cold cast ice music wind law money computer".split()
    pairs = [(a, b) for a in words for b in words]
    scores = Similarity()([a for a, _ in pairs], [b for _, b in pairs])
    assert min(scores) == 0.0
    assert max(scores) <= 1.0


def test_empty_long_and_foreign_texts() -> None:
    scores = Similarity()(["", "a film", " ", "a film", "我爱电影", " film"], ["", "", "a film", "\n", "我爱电影", " film" * 20_000])
    assert scores[:4] == [0.0] * 4
    assert scores[4] == pytest.approx(1.0)
    assert scores[5] == pytest.approx(1.0)
    assert Similarity()([], []) == []


def test_a_column_takes_the_place_of_the_prompts() -> None:
    reward = pickle.loads(pickle.dumps(Similarity(to="topic")))
    assert call_reward(reward, PROMPTS, COMPLETIONS, {"topic": COMPLETIONS}).scores == pytest.approx(1.0)
    with pytest.raises(ArgumentError, match='The reward Similarity needs the column "topic", which the prompts lack'):
        require_columns(reward, ["label"])
    require_columns(Similarity(), [])


def test_what_is_no_model_is_named(tmp_path: Path) -> None:
    with pytest.raises(LoadError, match='"tiny-embd" is no embedded embedding model and no local path'):
        Similarity(model="tiny-embd")
    (tmp_path / "modules.json").write_text("[{}]")
    with pytest.raises(LoadError, match=r"The embedding model .* cannot be loaded"):
        Similarity(model=str(tmp_path))(PROMPTS, COMPLETIONS)
