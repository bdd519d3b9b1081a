"""Models of one output: their trunk, their head, and a gain and a bias that every loader applies."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model
from torch import nn
from transformers import (
    AutoModelForSequenceClassification,
    BertConfig,
    BertForMaskedLM,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
    T5Config,
    T5ForConditionalGeneration,
)

from textenv.errors import ArgumentError, LoadError
from textenv.models.hub import ASSETS
from textenv.models.loading import load_causal_lm, toy_causal_lm, toy_tokenizer
from textenv.models.scalar_head import head_of, load_scalar_model, rescale
from textenv.rewards.loading import load_reward

pytestmark = pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing")  # peft asks by its old name

LETTERS = "abcdefgh"
TEXTS = ["abc", "hgfedcba", "", "aaaa"]


def gpt2(folder: Path) -> None:
    tokenizer = toy_tokenizer(LETTERS)
    toy_causal_lm(tokenizer, 16).save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def llama(folder: Path) -> None:
    """No layer of it has a bias."""
    tokenizer = toy_tokenizer(LETTERS)
    sizes: dict[str, Any] = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    special: dict[str, Any] = {"bos_token_id": 8, "eos_token_id": 8}
    with torch.random.fork_rng():
        torch.manual_seed(0)
        LlamaForCausalLM(LlamaConfig(vocab_size=9, max_position_embeddings=16, **special, **sizes)).save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def bert(folder: Path) -> None:
    """An encoder without a classifier's head or pooler, with dropout."""
    from tokenizers import Regex, Tokenizer, models, pre_tokenizers, processors

    names = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *LETTERS]
    own = Tokenizer(models.WordLevel({name: index for index, name in enumerate(names)}, unk_token="[UNK]"))
    own.pre_tokenizer = pre_tokenizers.Split(Regex("."), "isolated")
    own.post_processor = processors.TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)])
    special = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    PreTrainedTokenizerFast(tokenizer_object=own, **special).save_pretrained(folder)
    sizes: dict[str, Any] = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    with torch.random.fork_rng():
        torch.manual_seed(0)
        BertForMaskedLM(BertConfig(vocab_size=len(names), max_position_embeddings=16, initializer_range=0.5, **sizes)).save_pretrained(
            folder
        )


KINDS = {"gpt2": gpt2, "llama": llama, "bert": bert}


@pytest.fixture(params=KINDS)
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    KINDS[request.param](tmp_path / request.param)
    found: Path = tmp_path / request.param
    return found


def outputs(model: Any, tokenizer: Any) -> list[float]:
    """What transformers alone makes of some texts, one by one."""
    with torch.no_grad():
        return [model.eval()(**tokenizer(text, return_tensors="pt")).logits.item() for text in TEXTS]


def test_the_trunk_is_that_of_the_language_model() -> None:
    model, tokenizer = load_scalar_model("tiny-en")
    whole: Any = load_causal_lm("tiny-en")
    tokens = torch.tensor([tokenizer("The film was")["input_ids"]])
    with torch.no_grad():
        hidden = whole.transformer(tokens).last_hidden_state[0, -1]
        found = model.eval()(input_ids=tokens).logits
    assert found.item() == pytest.approx((head_of(model).weight[0] @ hidden).item(), abs=1e-5)
    assert tokens[0, -1] == tokenizer.eos_token_id


def test_heads_are_drawn_with_the_deviation_of_the_paper(place: Path) -> None:
    heads = [head_of(load_scalar_model(place, seed=seed)[0]) for seed in range(12)]
    drawn = torch.stack([head.weight[0] for head in heads])  # (12, d)
    assert drawn.std().item() == pytest.approx(1 / math.sqrt(drawn.shape[1] + 1), rel=0.15)
    assert abs(drawn.mean().item()) < 0.05
    assert all(head.bias is None or head.bias.item() == 0 for head in heads)


def test_a_seed_gives_one_model_and_leaves_the_generator_alone(place: Path) -> None:
    torch.manual_seed(5)
    before = torch.random.get_rng_state()
    one, two, other = (outputs(*load_scalar_model(place, seed=seed)) for seed in (1, 1, 2))
    assert one == two != other
    assert torch.equal(torch.random.get_rng_state(), before)


def test_nothing_is_random(place: Path) -> None:
    model, tokenizer = load_scalar_model(place)
    assert not any(module.training for module in model.modules())
    inputs: Any = tokenizer("abcdefg", return_tensors="pt")
    assert model(**inputs).logits.item() == model(**inputs).logits.item()


def test_adapters_alone_are_no_reward_model(tmp_path: Path) -> None:
    gpt2(tmp_path / "base")
    adapted = get_peft_model(load_causal_lm(tmp_path / "base"), LoraConfig(r=2, target_modules="all-linear", fan_in_fan_out=True))
    adapted.save_pretrained(str(tmp_path / "adapters"))
    with pytest.raises(LoadError, match=f'adapters holds adapters of the model "{tmp_path}/base" and no model of its own; save it merged'):
        load_scalar_model(tmp_path / "adapters")


def test_the_end_is_read_whatever_the_padding(place: Path) -> None:
    model, tokenizer = load_scalar_model(place)
    alone = outputs(model, tokenizer)
    assert len({round(value, 4) for value in alone}) == len(TEXTS)
    with torch.no_grad():
        together = model(**tokenizer(TEXTS, padding=True, return_tensors="pt")).logits[:, 0]
    assert together.tolist() == pytest.approx(alone, abs=1e-5)


def test_the_labels_of_a_classifier_make_place_for_one_output() -> None:
    model, tokenizer = load_scalar_model("tiny-sentiment")
    assert head_of(model).weight.shape == (1, 256)
    assert tokenizer("good")["input_ids"][-1] == tokenizer.eos_token_id


@pytest.mark.parametrize("again", [False, True])
def test_every_loader_applies_gain_and_bias(place: Path, tmp_path: Path, again: bool) -> None:
    model, tokenizer = load_scalar_model(place)
    raw = outputs(model, tokenizer)
    rescale(model, 3.0, -2.0)
    if again:
        rescale(model, 0.5, 0.25)
    expected = [0.5 * (3 * value - 2) + 0.25 if again else 3 * value - 2 for value in raw]
    model.save_pretrained(tmp_path / "saved")
    tokenizer.save_pretrained(tmp_path / "saved")
    reward: Callable[..., list[float]] = load_reward(tmp_path / "saved")
    assert reward(prompts=["", "hgfe", "", "a"], completions=["abc", "dcba", "", "aaa"])[:2] == pytest.approx(expected[:2], abs=1e-4)
    elsewhere = outputs(AutoModelForSequenceClassification.from_pretrained(tmp_path / "saved"), tokenizer)
    if place.name == "llama":  # has no bias to put it into, so elsewhere only the zero differs
        shift = expected[0] - elsewhere[0]
        assert shift == pytest.approx(-0.75 if again else -2.0, abs=1e-4)
        elsewhere = [value + shift for value in elsewhere]
    assert elsewhere == pytest.approx(expected, abs=1e-4)


def test_the_bias_goes_with_the_head_it_belongs_to(tmp_path: Path) -> None:
    llama(tmp_path / "llama")
    model, tokenizer = load_scalar_model(tmp_path / "llama")
    rescale(model, 1.0, 7.0)
    model.save_pretrained(tmp_path / "saved")
    tokenizer.save_pretrained(tmp_path / "saved")
    assert load_scalar_model(tmp_path / "saved")[0].config.to_dict().get("reward_bias") is None


def test_the_folder_of_a_run_is_its_model(tmp_path: Path) -> None:
    gpt2(tmp_path / "run" / "model")
    (tmp_path / "run" / "config.json").write_text('{"model": "tiny-en", "versions": {}}')
    assert outputs(*load_scalar_model(tmp_path / "run")) == outputs(*load_scalar_model(tmp_path / "run" / "model"))


def test_what_is_no_such_model_is_named(tmp_path: Path) -> None:
    with pytest.raises(LoadError, match=r"holds no model: it has no config\.json"):
        load_scalar_model(tmp_path)
    (tmp_path / "config.json").write_text('{"model_type": "ngram"}')
    with pytest.raises(LoadError, match=f"^The model {tmp_path} cannot be loaded: .*n-gram"):
        load_scalar_model(tmp_path)
    model: Any = GPT2LMHeadModel.from_pretrained(ASSETS / "tiny-en")
    nn.Module.__delattr__(model.transformer, "wpe")
    model.save_pretrained(tmp_path / "damaged")
    with pytest.raises(LoadError, match=r"damaged holds no gpt2 model: its file lacks transformer\.wpe\.weight"):
        load_scalar_model(tmp_path / "damaged")
    sizes: dict[str, Any] = {"d_model": 8, "d_ff": 8, "num_layers": 1, "num_heads": 1, "d_kv": 8, "decoder_start_token_id": 0}
    T5ForConditionalGeneration(T5Config(vocab_size=9, **sizes)).save_pretrained(tmp_path / "t5")
    with pytest.raises(ArgumentError, match="t5 is an encoder-decoder; a reward model is made of a causal language model or an encoder"):
        load_scalar_model(tmp_path / "t5")
