"""Models load in float32 or say why not; toys are seeded."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import (
    AutoModelForCausalLM,
    GPT2Config,
    GPT2ForSequenceClassification,
    GPT2LMHeadModel,
    T5Config,
    T5ForConditionalGeneration,
)

from textenv.errors import ArgumentError, LoadError
from textenv.models.loading import load_causal_lm, load_tokenizer, toy_causal_lm, toy_tokenizer

TOKENIZER = toy_tokenizer("abc>")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    toy_causal_lm(TOKENIZER, 8).save_pretrained(tmp_path)
    TOKENIZER.save_pretrained(tmp_path)
    return tmp_path


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_float32_whatever_the_file_holds(dtype: torch.dtype, tmp_path: Path) -> None:
    saved: Any = toy_causal_lm(TOKENIZER, 8)
    saved.to(dtype)
    saved.save_pretrained(tmp_path)
    assert json.loads((tmp_path / "config.json").read_text())["dtype"] == str(dtype).removeprefix("torch.")
    loaded = load_causal_lm(tmp_path)
    assert {parameter.dtype for parameter in loaded.parameters()} == {torch.float32}
    for name, value in saved.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], value.float()), name


def test_an_encoder_decoder_is_refused(tmp_path: Path) -> None:
    T5ForConditionalGeneration(T5Config(vocab_size=8, d_model=8, d_kv=4, d_ff=8, num_layers=1, num_heads=2)).save_pretrained(tmp_path)
    with pytest.raises(ArgumentError, match="is an encoder-decoder; textenv acts with decoder-only models"):
        load_causal_lm(tmp_path)


def test_a_reward_is_no_language_model(tmp_path: Path) -> None:
    GPT2ForSequenceClassification(GPT2Config(vocab_size=8, n_embd=8, n_layer=1, n_head=1)).save_pretrained(tmp_path)
    with pytest.raises(ArgumentError, match=r"is a GPT2ForSequenceClassification, a reward and no language model"):
        load_causal_lm(tmp_path)


def test_a_folder_without_model_is_named(tmp_path: Path) -> None:
    with pytest.raises(LoadError, match=r"holds no model: it has no config\.json"):
        load_causal_lm(tmp_path)
    with pytest.raises(LoadError, match=f"There is no folder {tmp_path}/nowhere"):
        load_causal_lm(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("config.json", b"{not json"),
        ("config.json", b'{"model_type": "no-such-model"}'),
        ("model.safetensors", b"no tensors" * 9),
        ("model.safetensors", None),
    ],
)
def test_a_damaged_model_is_named_in_one_line(folder: Path, file: str, content: bytes | None) -> None:
    (folder / file).unlink()
    if content is not None:
        (folder / file).write_bytes(content)
    with pytest.raises(LoadError, match=f"The model {folder} cannot be loaded: ") as caught:
        load_causal_lm(folder)
    assert "\n" not in str(caught.value)


def test_tokenizers_are_shared(folder: Path) -> None:
    loaded = load_tokenizer(folder)
    assert loaded is load_tokenizer(folder)
    assert loaded.get_vocab() == TOKENIZER.get_vocab()
    assert loaded("ab>")["input_ids"] == [0, 1, 3]


def test_a_folder_without_tokenizer_is_named(tmp_path: Path) -> None:
    toy_causal_lm(TOKENIZER, 8).save_pretrained(tmp_path)
    with pytest.raises(LoadError, match=r"holds no tokenizer; save one there with tokenizer\.save_pretrained"):
        load_tokenizer(tmp_path)


def test_a_damaged_tokenizer_is_named(folder: Path) -> None:
    (folder / "tokenizer.json").write_text("{not json")
    with pytest.raises(LoadError, match=f"The tokenizer of {folder} cannot be loaded: "):
        load_tokenizer(folder)


def test_toys_are_seeded_and_leave_the_global_generator_alone() -> None:
    before = torch.random.get_rng_state()
    one, two, other = (toy_causal_lm(TOKENIZER, 8, seed=seed) for seed in (3, 3, 4))
    assert torch.equal(torch.random.get_rng_state(), before)
    same = [torch.equal(a, b) for a, b in zip(one.parameters(), two.parameters(), strict=True)]
    assert all(same)
    assert not torch.equal(next(one.parameters()), next(other.parameters()))


def test_a_toy_has_a_distribution_to_learn_from() -> None:
    model = toy_causal_lm(TOKENIZER, 8).eval()
    with torch.no_grad():
        probs = model(input_ids=torch.tensor([[0, 1, 3]])).logits[0, -1].softmax(-1)
    assert len(probs) == 5
    assert probs.max() > 4 * probs.min()
    assert probs.min() > 0.001
    assert (model.config.eos_token_id, model.config.n_positions) == (4, 8)


def test_a_toy_can_be_saved_and_loaded(folder: Path) -> None:
    loaded = AutoModelForCausalLM.from_pretrained(folder)
    assert isinstance(loaded, GPT2LMHeadModel)
    assert isinstance(loaded.config, GPT2Config)
    for one, two in zip(loaded.parameters(), toy_causal_lm(TOKENIZER, 8).parameters(), strict=True):
        assert torch.equal(one, two)


def test_the_toy_tokenizer_has_one_token_a_character() -> None:
    assert len(TOKENIZER) == 5
    assert TOKENIZER.eos_token_id == 4
    assert TOKENIZER.all_special_ids == [4]
    ids = TOKENIZER("cab>a")["input_ids"]
    assert ids == [2, 0, 1, 3, 0]
    assert TOKENIZER.decode([*ids, 4], skip_special_tokens=True) == "cab>a"


def test_the_toy_tokenizer_takes_words_and_signs() -> None:
    tokenizer = toy_tokenizer(["a", ".", " up", " a+", ">"])
    text = "a> up a+ up.a"
    assert tokenizer(text)["input_ids"] == [0, 4, 2, 3, 2, 1, 0]
    assert tokenizer.decode(tokenizer(text)["input_ids"]) == text
