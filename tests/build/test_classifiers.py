from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from transformers import AutoTokenizer, GPT2LMHeadModel, PreTrainedTokenizerFast

from textenv import checkpoint
from textenv.build import sentiment
from textenv.build.language_model import LanguageModelRecipe, new_model, save_tokenizer, train_tokenizer
from textenv.build.sentiment import (
    FragmentRecipe,
    JudgeRecipe,
    SentimentRecipe,
    batches,
    calibration_error,
    fragment,
    from_trunk,
    log_odds_of,
    measure,
    one_pass,
    padded,
    reading,
    temperature,
    train_judge,
    train_sentiment,
)
from textenv.rewards.ngram import NgramConfig

TRUNK = LanguageModelRecipe(vocab_size=300, layers=2, width=16, heads=2, context=32, seed=1)
SMALL = SentimentRecipe(layers=1, inner=32, passes=2, tokens_per_step=512, lr=1e-2, fragments=FragmentRecipe(per_review=2, most_words=20))


def reviews() -> tuple[list[str], list[int]]:
    rng = Random(0)
    words = (["bad", "dull", "cold"], ["good", "warm", "fine"])
    labels = [rng.randint(0, 1) for _ in range(120)]
    neutral = "the film of a man and his dog".split()
    texts = [". ".join(" ".join(rng.choice([*neutral[:4], *words[label] * 2]) for _ in range(6)) for _ in range(5)) for label in labels]
    return texts, labels


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerFast:
    return reading(train_tokenizer(reviews()[0], TRUNK.vocab_size, TRUNK.context))


@pytest.fixture
def trunk() -> GPT2LMHeadModel:
    model = new_model(TRUNK, pad=1, eos=0)
    model.eval()
    return model


def test_fragment_starts_where_a_sentence_starts() -> None:
    text = "a b c. d e f! g h i? j k"
    rng = Random(0)
    drawn = [fragment(text, 4, rng) for _ in range(400)]
    assert set(drawn) == {"a b c. d", "d e f! g", "g h i? j"}  # "j k" is too short
    assert 0.5 < drawn.count("a b c. d") / 400 < 0.8  # half of them, and a third of the other half


def test_fragment_of_a_short_text_is_the_text() -> None:
    assert fragment(" one  two. three ", 10, Random(0)) == "one two. three"


def test_one_pass_shows_whole_texts_and_fragments() -> None:
    recipe = FragmentRecipe(per_review=3, least_words=2, most_words=4)
    texts = ["a b c d e f g. h i j", "k l m n o p q r"]
    shown, wanted = one_pass(texts, [1, 0], recipe, Random(0))
    assert wanted == [1] * 4 + [0] * 4
    assert [shown[0], shown[4]] == texts
    assert all(2 <= len(shown[i].split()) <= 4 for i in (1, 2, 3, 5, 6, 7))
    assert (shown, wanted) == one_pass(texts, [1, 0], recipe, Random(0))
    assert shown != one_pass(texts, [1, 0], recipe, Random(1))[0]


def test_calibration_error_by_hand() -> None:
    # Ten bins. In [.9, 1): three confidences of .95, two of them right; in [.6, .7): .65 (right) and 1 - .35 (wrong).
    probabilities = np.array([0.95, 0.95, 0.05, 0.65, 0.35])
    labels = np.array([1, 0, 0, 1, 1])
    expected = 3 / 5 * abs(2 / 3 - 0.95) + 2 / 5 * abs(1 / 2 - 0.65)
    assert calibration_error(probabilities, labels, bins=10) == pytest.approx(expected, abs=1e-12)
    assert calibration_error(np.array([1.0, 0.0]), np.array([1, 0])) == 0.0
    assert calibration_error(np.array([1.0, 0.0]), np.array([0, 1])) == 1.0


@pytest.mark.parametrize("true", [0.5, 1.0, 4.0])
def test_temperature_finds_the_scale(true: float) -> None:
    rng = np.random.default_rng(0)
    odds = rng.normal(0, 2, size=20_000)
    labels = (rng.random(20_000) < 1 / (1 + np.exp(-odds))).astype(np.int64)
    assert temperature(odds * true, labels) == pytest.approx(true, rel=0.05)


def test_measure_of_known_classifiers() -> None:
    def perfect(texts: list[str]) -> NDArray[np.float64]:
        return np.array([50.0 if "good" in text else -50.0 for text in texts])

    texts = ["good " * 30, "bad " * 30, "good " * 30]
    measured = measure(perfect, texts, [1, 0, 1], seed=0)
    assert measured["reviews"] == 3
    assert measured["accuracy_whole"] == measured["accuracy_fragments"] == 1.0
    assert measured["calibration_error_fragments"] == pytest.approx(0.0, abs=1e-12)
    wrong = measure(lambda shown: -perfect(shown), texts, [1, 0, 1], seed=0)
    assert wrong["accuracy_fragments"] == 0.0
    assert wrong["calibration_error_whole"] == pytest.approx(1.0, abs=1e-12)


def test_from_trunk_without_pruning_is_the_trunk(trunk: GPT2LMHeadModel) -> None:
    model = from_trunk(trunk, SentimentRecipe(layers=2, inner=64)).eval()
    ids = torch.tensor([[5, 6, 7, 8]])
    assert torch.equal(model.transformer(ids).last_hidden_state, trunk.transformer(ids).last_hidden_state)
    assert model.config.id2label == {0: "NEGATIVE", 1: "POSITIVE"}
    assert model.config.pad_token_id == 1


def test_from_trunk_prunes_the_weakest_neurons(trunk: GPT2LMHeadModel) -> None:
    silent = torch.randperm(64, generator=torch.Generator().manual_seed(0))[:40]
    with torch.no_grad():
        for name, weights in trunk.named_parameters():
            if name.endswith("c_fc.bias"):
                weights.normal_()
            if name.endswith("mlp.c_proj.weight"):
                weights[silent] = 0
    model = from_trunk(trunk, SentimentRecipe(layers=2, inner=24)).eval()
    assert model.state_dict()["transformer.h.0.mlp.c_fc.weight"].shape == (16, 24)
    ids = torch.tensor([[5, 6, 7, 8]])
    torch.testing.assert_close(model.transformer(ids).last_hidden_state, trunk.transformer(ids).last_hidden_state, atol=1e-5, rtol=0)


def test_batches_hold_the_budget_and_lose_nothing() -> None:
    lengths = [Random(0).randint(1, 40) for _ in range(200)] + [500]
    made = batches(lengths, 100, Random(0))
    assert sorted(index for batch in made for index in batch) == list(range(201))
    assert all(len(batch) * max(lengths[i] for i in batch) <= 100 for batch in made if len(batch) > 1)
    assert len(made) < sum(lengths) / 100 * 1.5
    assert made == batches(lengths, 100, Random(0))


def test_padded_by_hand() -> None:
    assert padded([[3, 4], [5]], 1, "cpu").tolist() == [[3, 4], [5, 1]]


def test_reading_ends_each_text_and_survives_the_disk(tokenizer: PreTrainedTokenizerFast, tmp_path: Path) -> None:
    save_tokenizer(tokenizer, tmp_path)
    loaded = AutoTokenizer.from_pretrained(tmp_path)
    for read in (tokenizer, loaded):
        assert read("")["input_ids"] == [0]
        start, end = read("good film")["input_ids"], read("good film " * 50, truncation=True)["input_ids"]
        assert start[-1] == end[-1] == 0
        assert len(end) == TRUNK.context
        assert read(["good", "good film"], padding=True)["input_ids"][0][-1] == 1
    assert loaded("a warm dog " * 20 + "!", truncation=True)["input_ids"][-2] == loaded("!")["input_ids"][0]


def test_log_odds_are_those_of_each_text_alone(trunk: GPT2LMHeadModel, tokenizer: PreTrainedTokenizerFast) -> None:
    model = from_trunk(trunk, SMALL).eval()
    texts = ["good film", reviews()[0][0] + " good", "", "dull"]
    together = log_odds_of(model, tokenizer, "cpu")(texts)
    for text, odds in zip(texts, together, strict=True):
        last = [*tokenizer(text, verbose=False, add_special_tokens=False)["input_ids"], 0][-TRUNK.context :]
        logits = model(torch.tensor([last])).logits[0]
        assert odds == pytest.approx((logits[1] - logits[0]).item(), abs=1e-5)


def test_judge_learns_and_is_calibrated() -> None:
    texts, labels = reviews()
    judge = train_judge(texts, labels, JudgeRecipe(ngrams=NgramConfig(features=2**10)))
    measured = measure(judge.log_odds, texts, labels, seed=1)
    assert measured["accuracy_fragments"] > 0.95
    assert measured["calibration_error_fragments"] < 0.05


def test_sentiment_learns_and_resumes(
    trunk: GPT2LMHeadModel, tokenizer: PreTrainedTokenizerFast, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts, labels = reviews()
    monkeypatch.setattr(sentiment, "CHECKPOINT_STEPS", 7)
    straight = train_sentiment(trunk, tokenizer, texts, labels, SMALL, tmp_path / "straight", "cpu")
    assert measure(log_odds_of(straight, tokenizer, "cpu"), texts, labels, seed=1)["accuracy_fragments"] > 0.9

    real = checkpoint.save_state
    saved: list[tuple[int, int]] = []

    def save_and_stop(folder: Path, state: dict[str, Any]) -> None:
        real(folder, state)
        saved.append((state["pass"], state["step"]))
        if saved[-1] in ((0, 7), (1, 7)):
            raise KeyboardInterrupt

    monkeypatch.setattr(sentiment, "save_state", save_and_stop)
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            train_sentiment(trunk, tokenizer, texts, labels, SMALL, tmp_path / "resumed", "cpu")
    resumed = train_sentiment(trunk, tokenizer, texts, labels, SMALL, tmp_path / "resumed", "cpu")
    assert saved.count((0, 7)) == saved.count((1, 0)) == saved.count((1, 7)) == 1
    for name, weights in straight.state_dict().items():
        assert torch.equal(weights, resumed.state_dict()[name]), name
