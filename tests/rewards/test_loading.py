"""Rewards by name, by folder and as callables."""

import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.special import logit
from transformers import GPT2Config, GPT2ForSequenceClassification, pipeline

from textenv.errors import ArgumentError, LoadError, RewardError
from textenv.models.hub import ASSETS
from textenv.models.loading import toy_causal_lm, toy_tokenizer
from textenv.rewards.classifier import Classifier
from textenv.rewards.loading import NgramReward, load_reward
from textenv.rewards.ngram import NgramClassifier, NgramConfig

PROMPTS = ["I say ", "They say ", ""]
COMPLETIONS = ["a great film", "a bad film", ""]


@pytest.fixture(scope="module")
def ngram(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("rewards") / "ngram"
    texts, labels = ["a great film", "great fun", "a bad film", "bad, dull"], [1, 1, 0, 0]
    NgramClassifier.fit(texts, labels, NgramConfig(features=2**8), inverse_penalty=100.0).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def classifier(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("rewards") / "classifier"
    tokenizer = toy_tokenizer("abc ")
    end: Any = tokenizer.eos_token_id
    config = GPT2Config(vocab_size=5, n_positions=16, n_embd=16, n_layer=1, n_head=2, pad_token_id=end, bos_token_id=end, eos_token_id=end)
    GPT2ForSequenceClassification(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def test_a_callable_is_returned_as_it_is() -> None:
    def reward(completions: Sequence[str]) -> list[float]:
        return [0.0] * len(completions)

    assert load_reward(reward) is reward


def test_a_pipeline_is_read_as_its_classifier(classifier: Path) -> None:
    whole = pipeline("text-classification", model=str(classifier), device="cpu")
    reward = load_reward(whole)
    assert isinstance(reward, Classifier)
    assert reward.name == str(classifier)
    texts = ["abc", "b b", "cab"]
    found: Any = whole(texts, top_k=None)
    own: list[float] = [next(row["score"] for row in rows if row["label"] == "LABEL_1") for rows in found]
    assert reward(prompts=["", "b", "c"], completions=["abc", " b", "ab"]) == pytest.approx(own, abs=1e-6)
    other = load_reward(whole, label="label_0", reads="completion")
    assert other(prompts=["c", "c", "c"], completions=texts) == pytest.approx([1 - score for score in own], abs=1e-6)


def test_what_is_no_reward_of_texts_is_refused(classifier: Path) -> None:
    whole = pipeline("text-classification", model=str(classifier), device="cpu")
    with pytest.raises(ArgumentError, match=r"GPT2ForSequenceClassification reads no text; give the reward Classifier\(model, tokenizer\)"):
        load_reward(whole.model)
    with pytest.raises(ArgumentError, match=r'The classifier .* has no label "good"'):
        load_reward(whole, label="good")
    with pytest.raises(ArgumentError, match="output must be one of probability, logit, got 'odds'"):
        load_reward(whole, output="odds")  # type: ignore[arg-type]
    whole.tokenizer = None
    with pytest.raises(ArgumentError, match="A pipeline as a reward needs its tokenizer"):
        load_reward(whole)
    with pytest.raises(ArgumentError, match='must be one of "text-classification", not of "text-generation"'):
        load_reward(pipeline("text-generation", model=str(ASSETS / "tiny-en"), device="cpu"))


def test_an_ngram_folder_is_read_as_such(ngram: Path) -> None:
    reward = load_reward(ngram)
    assert isinstance(reward, NgramReward)
    assert reward.name == str(ngram)
    scores = reward(prompts=PROMPTS, completions=COMPLETIONS)
    expected = NgramClassifier.from_pretrained(ngram).probabilities(["I say a great film", "They say a bad film", ""])
    np.testing.assert_allclose(scores, expected, atol=1e-12)
    assert scores[0] > 0.5 > scores[1]
    log_odds = load_reward(ngram, output="logit")(prompts=PROMPTS, completions=COMPLETIONS)
    np.testing.assert_allclose(log_odds, logit(expected), atol=1e-6)


def test_half_a_character_is_refused(ngram: Path) -> None:
    for pair in (["a\ud83d"], ["b"]), (["a"], ["b\ud83d"]):
        with pytest.raises(RewardError, match=r"^The reward .* cannot read '.*' is half a character"):
            load_reward(ngram)(*pair)


def test_reads_completion_ignores_the_prompt(ngram: Path) -> None:
    alone = load_reward(ngram, reads="completion")
    assert alone(prompts=["bad ", "great "], completions=["film", "film"]) == alone(prompts=["", ""], completions=["film", "film"])
    both = load_reward(ngram)
    scores = both(prompts=["bad ", "great "], completions=["film", "film"])
    assert scores[0] < 0.5 < scores[1]


def test_equal_arguments_give_the_same_object(classifier: Path, ngram: Path) -> None:
    assert load_reward(classifier) is load_reward(str(classifier))
    assert load_reward(ngram) is load_reward(ngram, output="probability")
    assert load_reward(classifier, output="logit") is not load_reward(classifier)


def test_a_folder_that_is_written_again_is_loaded_again(classifier: Path, ngram: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run" / "model"
    shutil.copytree(classifier, folder)
    (tmp_path / "run" / "config.json").write_text('{"versions": {}}')
    before = load_reward(tmp_path / "run")
    assert load_reward(str(tmp_path / "run")) is before
    (tmp_path / "run" / "summary.json").write_text("{}")  # is no file of the model
    assert load_reward(tmp_path / "run") is before
    model: Any = before.model  # type: ignore[attr-defined]
    scores = before(prompts=["a"], completions=["bc"])
    with torch.no_grad():
        model.score.weight.neg_()
    model.save_pretrained(folder)
    after = load_reward(tmp_path / "run")
    assert after is not before
    assert after(prompts=["a"], completions=["bc"]) == pytest.approx([1 - scores[0]], abs=1e-6)
    shutil.rmtree(folder)
    shutil.copytree(ngram, folder)
    assert isinstance(load_reward(tmp_path / "run"), NgramReward)


def test_an_adapter_alone_is_no_reward(tmp_path: Path) -> None:
    (tmp_path / "adapter_config.json").write_text("{}")
    with pytest.raises(LoadError, match=r"holds an adapter alone; save model\.merge_and_unload\(\) of the PeftModel"):
        load_reward(tmp_path)


def test_a_transformers_folder_is_read_as_such(classifier: Path) -> None:
    reward = load_reward(classifier, label="LABEL_0", output="logit", reads="completion")
    assert isinstance(reward, Classifier)
    assert (reward.label_index, reward.output, reward.reads, reward.name) == (0, "logit", "completion", str(classifier))


def test_a_reward_model_scores_with_its_raw_output(tmp_path: Path) -> None:
    tokenizer = toy_tokenizer("abc ")
    end: Any = tokenizer.eos_token_id
    special: dict[str, Any] = {"num_labels": 1, "pad_token_id": end, "bos_token_id": end, "eos_token_id": end}
    model: Any = GPT2ForSequenceClassification(GPT2Config(vocab_size=5, n_positions=16, n_embd=16, n_layer=1, n_head=2, **special))
    model.save_pretrained(tmp_path / "run" / "model")
    tokenizer.save_pretrained(tmp_path / "run" / "model")
    (tmp_path / "run" / "config.json").write_text('{"model": "tiny-en", "versions": {}}')
    model.eval()
    raw = [model(**tokenizer(text, return_tensors="pt")).logits.item() for text in ("abc", "b b")]
    for folder in (tmp_path / "run", tmp_path / "run" / "model"):
        assert load_reward(folder)(prompts=["a", ""], completions=["bc", "b b"]) == pytest.approx(raw, abs=1e-5)
    probability = load_reward(tmp_path / "run", output="probability")(prompts=["a", ""], completions=["bc", "b b"])
    assert probability == pytest.approx((1 / (1 + np.exp(-np.array(raw)))).tolist(), abs=1e-5)


def test_refusals_name_the_cure(classifier: Path, ngram: Path, tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match="output must be one of probability, logit, got 'odds'"):
        load_reward(classifier, output="odds")  # type: ignore[arg-type]
    with pytest.raises(ArgumentError, match="reads must be one of both, completion, got 'prompt'"):
        load_reward(ngram, reads="prompt")  # type: ignore[arg-type]
    with pytest.raises(ArgumentError, match="is an n-gram classifier of one class; leave label out"):
        load_reward(ngram, label="positive")
    with pytest.raises(ArgumentError, match=r'has no label "LABEL_9"\. Did you mean "LABEL_1"'):
        load_reward(classifier, label="LABEL_9")
    with pytest.raises(LoadError, match=r"holds no reward: it has no config\.json"):
        load_reward(tmp_path)
    with pytest.raises(LoadError, match=r"There is no folder \./nowhere"):
        load_reward("./nowhere")
    with pytest.raises(
        LoadError, match='"nobody/no-reward" is no embedded reward and no local path, and the Hugging Face hub cannot be reached'
    ):
        load_reward("nobody/no-reward")


def test_a_language_model_is_no_reward(tmp_path: Path) -> None:
    tokenizer = toy_tokenizer("ab")
    toy_causal_lm(tokenizer, 8).save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    with pytest.raises(LoadError, match=r"is no sequence classifier: its file lacks score\.weight"):
        load_reward(tmp_path)


def test_a_damaged_file_is_named(classifier: Path, tmp_path: Path) -> None:
    for name in ("config.json", "tokenizer.json", "tokenizer_config.json"):
        (tmp_path / name).write_bytes((classifier / name).read_bytes())
    (tmp_path / "model.safetensors").write_bytes(b"no tensors here" * 9)
    with pytest.raises(LoadError, match=f"The reward {tmp_path} cannot be loaded: "):
        load_reward(tmp_path)


OWN = """
class Brevity:
    def __call__(self, completions):
        return [-len(text) for text in completions]

def brevity(completions):
    return [-len(text) for text in completions]

BREVITY = Brevity()
number = 3
"""


@pytest.fixture
def own_rewards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Write a module of rewards."""
    (tmp_path / "own_rewards.py").write_text(OWN, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "own_rewards", raising=False)


@pytest.mark.usefixtures("own_rewards")
@pytest.mark.parametrize("name", ["brevity", "BREVITY"])
def test_a_reward_of_ones_own_is_called_with_its_module(name: str) -> None:
    assert load_reward(f"own_rewards:{name}")(completions=["abc", ""]) == [-3, 0]
    assert load_reward(f"own_rewards:{name}") is load_reward(f"own_rewards:{name}", device="cuda")


@pytest.mark.usefixtures("own_rewards")
@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("brevit", 'The module "own_rewards" has no reward "brevit". Did you mean "brevity"?'),
        ("Brevity", 'The reward "own_rewards:Brevity" is a class; name an instance of it'),
        ("number", 'The reward "own_rewards:number" is no function but int'),
    ],
)
def test_what_is_no_reward_of_a_module_is_refused(name: str, sentence: str) -> None:
    with pytest.raises(ArgumentError) as caught:
        load_reward(f"own_rewards:{name}")
    assert sentence in str(caught.value)
