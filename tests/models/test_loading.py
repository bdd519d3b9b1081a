"""Models load in float32 or say why not; toys are seeded."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import IA3Config, LoraConfig, PromptTuningConfig, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import (
    AutoModelForCausalLM,
    GPT2Config,
    GPT2ForSequenceClassification,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    T5Config,
    T5ForConditionalGeneration,
)

from textenv.errors import ArgumentError, LoadError
from textenv.models.loading import adapter_base, load_causal_lm, load_tokenizer, toy_causal_lm, toy_tokenizer
from textenv.models.policy import LanguagePolicy

pytestmark = pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing")  # peft asks by its old name

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


def test_tied_weights_are_not_missing(folder: Path) -> None:
    assert "lm_head.weight" not in load_file(folder / "model.safetensors")
    load_causal_lm(folder)


def untied(folder: Path) -> dict[str, torch.Tensor]:
    """Save a Llama whose head is its own, and give its weights."""
    sizes: dict[str, Any] = {"hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2}
    LlamaForCausalLM(LlamaConfig(vocab_size=5, tie_word_embeddings=False, **sizes)).save_pretrained(folder)
    TOKENIZER.save_pretrained(folder)
    return load_file(folder / "model.safetensors")


@pytest.mark.parametrize(
    ("left", "sentence"),
    [
        ("model.", r"holds not all 12 of the weights of LlamaForCausalLM \(llama\): it lacks lm_head\.weight\."),
        ("lm_head", r"it lacks model\.embed_tokens\.weight, model\.layers\.0\..*weight, model\.layers\.0\..*weight and 8 more\."),
        ("another", r"holds none of the weights of LlamaForCausalLM \(llama\): it lacks lm_head\.weight, .* and 9 more\."),
    ],
)
def test_what_a_file_lacks_is_not_drawn_at_random(left: str, sentence: str, tmp_path: Path) -> None:
    weights = untied(tmp_path)
    kept = {name: value for name, value in weights.items() if name.startswith(left)} or {"transformer.wte.weight": torch.ones(5, 8)}
    save_file(kept, tmp_path / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(LoadError, match=sentence):
        load_causal_lm(tmp_path)


def test_weights_of_another_size_are_refused_in_a_line(tmp_path: Path) -> None:
    weights = untied(tmp_path)
    weights["lm_head.weight"] = torch.ones(6, 8)
    save_file(weights, tmp_path / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(LoadError, match=f"The model {tmp_path} cannot be loaded: ") as caught:
        load_causal_lm(tmp_path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", ["lora", "ia3"])
def test_adapters_are_merged_into_the_model_that_they_name(kind: str, folder: Path, tmp_path: Path) -> None:
    config: Any = LoraConfig(r=2, target_modules="all-linear", fan_in_fan_out=True)
    if kind == "ia3":
        config = IA3Config(target_modules=["c_attn", "c_fc"], feedforward_modules=["c_fc"], fan_in_fan_out=True)
    adapted = get_peft_model(load_causal_lm(folder), config)
    torch.manual_seed(0)
    with torch.no_grad():
        for weights in adapted.parameters():
            if weights.requires_grad:
                weights.add_(0.3 * torch.randn_like(weights))
    adapted.save_pretrained(str(tmp_path / "adapters"))
    ids = torch.tensor([[0, 1, 2, 3]])
    with torch.no_grad():
        expected = adapted.eval()(input_ids=ids).logits
        loaded = load_causal_lm(tmp_path / "adapters")
        assert torch.allclose(loaded.eval()(input_ids=ids).logits, expected, atol=1e-5)
        assert not torch.allclose(load_causal_lm(folder).eval()(input_ids=ids).logits, expected, atol=0.01)
    assert not any("lora" in name or "ia3" in name for name, _ in loaded.named_parameters())
    policy = LanguagePolicy.from_pretrained(tmp_path / "adapters")  # with the tokenizer of the model
    assert policy.tokenizer.get_vocab() == TOKENIZER.get_vocab()
    assert all(weights.requires_grad for weights in policy.parameters())


def test_adapters_that_cannot_be_loaded_name_their_model(folder: Path, tmp_path: Path) -> None:
    place = tmp_path / "adapters"
    get_peft_model(load_causal_lm(folder), LoraConfig(r=2, target_modules=["c_attn"], fan_in_fan_out=True)).save_pretrained(str(place))
    assert adapter_base(place) == str(folder)
    assert adapter_base(folder) is None
    written = json.loads((place / "adapter_config.json").read_text())
    for base, why in ((str(tmp_path / "gone"), "There is no folder"), (None, "does not name the model")):
        (place / "adapter_config.json").write_text(json.dumps({**written, "base_model_name_or_path": base}))
        with pytest.raises(LoadError, match=why) as caught:
            load_causal_lm(place)
        assert base is None or f'adapters of the model "{base}", and cannot be loaded' in str(caught.value)
    (place / "adapter_config.json").write_text(json.dumps(written))
    weights = load_file(place / "adapter_model.safetensors")
    weights.pop(next(iter(weights)))
    save_file(weights, place / "adapter_model.safetensors")
    with pytest.raises(LoadError, match=f'adapters of the model "{folder}", and cannot be loaded: Found missing adapter keys'):
        load_causal_lm(place)
    prompts = tmp_path / "prompts"
    get_peft_model(load_causal_lm(folder), PromptTuningConfig(num_virtual_tokens=2, task_type="CAUSAL_LM")).save_pretrained(str(prompts))
    with pytest.raises(LoadError, match=f'adapters of the model "{folder}", and cannot be loaded: Adapters of peft\'s kind PROMPT_TUNING'):
        load_causal_lm(prompts)


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
