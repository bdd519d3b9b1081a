"""Texts about one thing are close, and the scores are the model's cosines."""

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sentence_transformers import SentenceTransformer
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

from textenv.errors import ArgumentError, LoadError, RewardError
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


def test_what_is_cut_is_said_once(tmp_path: Path) -> None:
    names = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "film", "rain", "snow"]
    own = Tokenizer(models.WordLevel({name: index for index, name in enumerate(names)}, unk_token="[UNK]"))
    own.pre_tokenizer = pre_tokenizers.Whitespace()
    own.post_processor = processors.TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)])
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=own, pad_token="[PAD]", unk_token="[UNK]")
    sizes: dict[str, Any] = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1, "intermediate_size": 8}
    model: Any = BertModel(BertConfig(vocab_size=len(names), max_position_embeddings=12, **sizes))
    model.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    reward = Similarity(model=str(tmp_path))
    short, long = "rain " * 10, "rain " * 10 + "snow"
    assert reward([short], [short]) == pytest.approx([1.0])
    with pytest.warns(UserWarning, match=r"^Similarity reads 12 tokens with .*: 1 of 3 texts are longer and lose their end\."):
        assert reward([long, "film"], [short, short])[0] == pytest.approx(1.0)
    reward([long], [short])  # without another warning, which would be an error


def test_half_a_character_is_refused() -> None:
    for pair in (["a\ud83d"], ["b"]), (["a"], ["b\ud83d"]):
        with pytest.raises(RewardError, match=r"^The reward Similarity cannot read '.*' is half a character"):
            Similarity()(*pair)


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
