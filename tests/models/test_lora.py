"""Adapters beside frozen weights: the same policy at first, trained alone, and merged where the model is saved."""

import copy
import json
import pickle
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from peft import (
    AdaLoraConfig,
    IA3Config,
    LoHaConfig,
    LoKrConfig,
    LoraConfig,
    OFTConfig,
    PeftModel,
    PrefixTuningConfig,
    PromptTuningConfig,
    VeraConfig,
    get_peft_model,
)
from safetensors.torch import load_file
from torch import nn
from transformers import AutoModelForCausalLM

from tests.models.test_cache import CONFIGS, SPLICED, Rows, make_policy
from textenv.errors import ArgumentError, LoadError
from textenv.models import kernels
from textenv.models.gpt2 import is_plain_gpt2
from textenv.models.kernels import FastKernels
from textenv.models.loading import toy_causal_lm, toy_tokenizer
from textenv.models.lora import KINDS, add_lora, has_lora, merged, save_adapters, twin, within_peft, without_lora
from textenv.models.policy import LanguagePolicy

pytestmark = pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing")  # peft asks by its old name

LAYERS = {"gpt2": 4, "llama": 7, "qwen2": 7}
"""Linear layers of a block."""


def texts() -> torch.Tensor:
    """Four texts (4, 16) with prompts of six tokens."""
    return torch.from_numpy(np.random.default_rng(0).integers(0, 23, (4, 16)))


def log_probs(policy: LanguagePolicy) -> torch.Tensor:
    with torch.no_grad():
        return policy.response_log_probs(texts(), 6)[0]


def with_adapters(name: str = "gpt2", rank: int = 3, noise: float = 0.1) -> LanguagePolicy:
    """A policy whose adapters do something."""
    policy = make_policy(name)
    add_lora(policy, rank)
    torch.manual_seed(1)
    with torch.no_grad():
        for parameter in policy.model.parameters():
            if parameter.requires_grad:
                parameter.add_(noise * torch.randn_like(parameter))
    return policy


@pytest.mark.parametrize("name", LAYERS)
def test_adapters_are_trained_and_nothing_else_but_the_value_head(name: str) -> None:
    policy, fresh = make_policy(name), make_policy(name)
    kind = type(policy.model)
    noise = torch.get_rng_state()
    add_lora(policy, 3)
    assert torch.equal(torch.get_rng_state(), noise)
    assert type(policy.model) is kind
    assert torch.equal(log_probs(policy), log_probs(fresh))
    trained = {name for name, parameter in policy.named_parameters() if parameter.requires_grad}
    adapters = {name for name in trained if ".lora_A." in name or ".lora_B." in name}
    assert trained - adapters == {"value_head.weight", "value_head.bias"}
    assert len(adapters) == 2 * 2 * LAYERS[name]  # two blocks
    head = policy.model.get_output_embeddings()
    assert type(head) is nn.Linear
    if name == "gpt2":  # 32 wide: 32→96, 32→32, 32→128 and 128→32 in each of two blocks
        assert sum(p.numel() for p in policy.model.parameters() if p.requires_grad) == 2 * 3 * (128 + 64 + 160 + 160)
        assert is_plain_gpt2(fresh.trunk)
        assert not is_plain_gpt2(policy.trunk)


def test_a_layer_adds_the_scaled_product() -> None:
    policy = with_adapters(rank=4)
    layer: Any = policy.model.get_submodule("transformer.h.1.mlp.c_fc")
    a, b = layer.lora_A["default"].weight, layer.lora_B["default"].weight  # (4, 32), (128, 4)
    x = torch.randn(5, 32)
    expected = x @ layer.base_layer.weight + layer.base_layer.bias + 32 / 4 * x @ a.T @ b.T
    assert torch.allclose(layer(x), expected, atol=1e-5)
    assert not torch.allclose(layer(x), layer.base_layer(x), atol=0.1)


def test_the_seed_chooses_the_adapters() -> None:
    weights: list[torch.Tensor] = []
    for seed in (0, 0, 1):
        policy = make_policy("gpt2")
        torch.manual_seed(len(weights))  # the global generator has no say
        add_lora(policy, 3, seed=seed)
        weights.append(policy.model.get_parameter("transformer.h.0.attn.c_attn.lora_A.default.weight"))
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


@pytest.mark.parametrize("name", ["gpt2", "llama", "mistral"])
def test_cached_steps_equal_a_full_forward(name: str) -> None:
    policy, rows = with_adapters(name), Rows(7, seed=1)
    optimiser = torch.optim.Adam([p for p in policy.parameters() if p.requires_grad], lr=0.02, fused=True)
    with warnings.catch_warnings(record=True):
        warnings.simplefilter("always")  # of a cache that cannot be spliced
        for step in range(40):
            live = (rows.observations >= 0).any(1)
            if live.any():
                cached = policy.next_log_probs(rows.observations)[torch.from_numpy(live)]
                full = policy.next_log_probs(rows.observations[live], cached=False)
                assert torch.allclose(cached.exp(), full.exp(), rtol=0, atol=3e-6)
                if step % 5 == 0:  # in the middle of a text
                    optimiser.zero_grad()
                    full[:, 0].sum().backward()
                    optimiser.step()
            rows.move(policy.act(rows.observations).actions if live.any() else np.zeros(7, dtype=np.int64))


@pytest.mark.parametrize("name", SPLICED)
def test_the_cache_notices_adapters(name: str) -> None:
    policy, rows = make_policy(name), Rows(4, seed=4)
    before = policy.next_log_probs(rows.observations)
    add_lora(policy, 2)
    assert torch.allclose(policy.next_log_probs(rows.observations), before, atol=1e-5)
    with torch.no_grad():
        for part, parameter in policy.model.named_parameters():
            if "lora_B" in part:
                parameter.add_(0.1)
        full = policy.next_log_probs(rows.observations, cached=False)
    assert torch.allclose(policy.next_log_probs(rows.observations), full, rtol=0, atol=1e-5)
    assert not torch.allclose(full, before, atol=0.01)


def test_faster_kernels_give_the_usual_numbers_and_gradients(monkeypatch: pytest.MonkeyPatch) -> None:
    policy = LanguagePolicy(toy_causal_lm(toy_tokenizer("abcdefghijklmnopqrstuvw"), 16), toy_tokenizer("abcdefghijklmnopqrstuvw"))
    add_lora(policy, 64)
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in policy.model.parameters():
            parameter.add_(0.02 * torch.randn_like(parameter))
    monkeypatch.setattr(kernels, "_SMALLEST", 2**12)  # adapters too

    def train() -> list[torch.Tensor]:
        policy.zero_grad()
        found = policy.response_log_probs(texts(), 6)[0]
        found.mean().backward()
        return [found.detach(), *(p.grad.clone() for p in policy.model.parameters() if p.grad is not None)]

    fast = train()
    monkeypatch.setattr(FastKernels, "__torch_function__", lambda self, func, types, args=(), kwargs=None: func(*args, **(kwargs or {})))
    usual = train()
    assert len(fast) == len(usual) == 1 + 2 * 8
    for found, right in zip(fast, usual, strict=True):
        assert torch.allclose(found, right, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("name", CONFIGS)
def test_without_adapters_it_is_the_model_itself(name: str) -> None:
    policy, fresh = with_adapters(name), make_policy(name)
    reference = without_lora(policy)
    assert torch.equal(log_probs(reference), log_probs(fresh))
    assert not torch.allclose(log_probs(policy), log_probs(fresh), atol=0.01)
    assert not has_lora(reference.model)
    assert has_lora(policy.model)
    own = {id(parameter) for parameter in policy.parameters()}
    new = sum(parameter.numel() for parameter in reference.parameters() if id(parameter) not in own)
    assert new == 33  # its value head
    assert is_plain_gpt2(reference.trunk) == (name == "gpt2")
    rows = Rows(4, seed=0)
    with warnings.catch_warnings(record=True):
        warnings.simplefilter("always")
        first = reference.next_log_probs(rows.observations)  # a cache of its own
        policy.next_log_probs(rows.observations)
        assert torch.equal(reference.next_log_probs(rows.observations), first)
    with torch.no_grad():
        assert torch.allclose(first, fresh.next_log_probs(rows.observations, cached=False), atol=1e-5)


def test_a_policy_without_adapters_is_copied_whole() -> None:
    policy = make_policy("gpt2")
    own = {id(parameter) for parameter in policy.parameters()}
    for copied in (twin(policy), without_lora(policy)):
        assert not own & {id(parameter) for parameter in copied.parameters()}
        assert torch.equal(log_probs(copied), log_probs(policy))


@pytest.mark.parametrize(
    "again", [copy.deepcopy, twin, lambda policy: pickle.loads(pickle.dumps(policy))], ids=["copied", "twin", "pickled"]
)
def test_a_copy_has_adapters_of_its_own(again: Callable[[LanguagePolicy], LanguagePolicy]) -> None:
    policy = with_adapters()
    before = log_probs(policy)
    copied = again(policy)
    assert torch.equal(log_probs(copied), before)
    with torch.no_grad():
        for parameter in copied.parameters():
            if parameter.requires_grad:
                parameter.zero_()
    assert torch.equal(log_probs(policy), before)
    assert torch.allclose(log_probs(copied), log_probs(make_policy("gpt2")), atol=1e-6)


@pytest.mark.parametrize("name", LAYERS)
def test_the_saved_model_needs_no_peft(name: str, tmp_path: Path) -> None:
    policy = with_adapters(name)
    with torch.no_grad():
        policy.value_head.weight.fill_(0.25)
    before, weights = log_probs(policy), {part: value.clone() for part, value in policy.state_dict().items()}
    policy.tokenizer = toy_tokenizer("abcdefghijklmnopqrstuvw")
    policy.save_pretrained(tmp_path)
    assert not list(tmp_path.glob("adapter_*"))  # which transformers would put around the model
    after = policy.state_dict()
    assert after.keys() == weights.keys()
    assert all(torch.equal(value, weights[part]) for part, value in after.items())
    loaded: Any = AutoModelForCausalLM.from_pretrained(tmp_path)
    assert not has_lora(loaded)
    assert {part for part, _ in loaded.named_parameters()} == {part for part, _ in make_policy(name).model.named_parameters()}
    again = LanguagePolicy.from_pretrained(tmp_path)
    assert torch.allclose(log_probs(again), before, atol=1e-5)
    assert not torch.allclose(log_probs(make_policy(name)), before, atol=0.01)
    assert again.value_head.weight.eq(0.25).all()


@pytest.mark.parametrize("name", LAYERS)
def test_the_saved_adapters_give_the_policy_again(name: str, tmp_path: Path) -> None:
    base, folder = tmp_path / "base", tmp_path / "run"
    make_policy(name).save_pretrained(base)
    assert not (base / "adapter").exists()
    policy = LanguagePolicy.from_pretrained(base)
    add_lora(policy, 3)
    torch.manual_seed(1)
    with torch.no_grad():
        for parameter in policy.model.parameters():
            if parameter.requires_grad:
                parameter.add_(0.1 * torch.randn_like(parameter))
    policy.save_pretrained(folder)
    before = log_probs(policy)
    assert not torch.allclose(log_probs(LanguagePolicy.from_pretrained(base)), before, atol=0.01)
    assert torch.allclose(log_probs(LanguagePolicy.from_pretrained(folder)), before, atol=1e-5)
    # By peft, and by the name of the base that the adapters keep.
    around: Any = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base), folder / "adapter")
    assert torch.allclose(log_probs(LanguagePolicy(around, policy.tokenizer)), before, atol=1e-5)
    assert torch.allclose(log_probs(LanguagePolicy.from_pretrained(folder / "adapter")), before, atol=1e-5)


def test_adapters_name_an_embedded_model_as_users_do(tmp_path: Path) -> None:
    policy = LanguagePolicy.from_pretrained("tiny-en")
    add_lora(policy, 2)
    policy.save_pretrained(tmp_path)
    config = json.loads((tmp_path / "adapter" / "adapter_config.json").read_text())
    assert config["base_model_name_or_path"] == "tiny-en"
    assert LanguagePolicy.from_pretrained(tmp_path / "adapter").vocabulary == policy.vocabulary


def test_adapters_of_several_names_are_all_saved(tmp_path: Path) -> None:
    around: Any = get_peft_model(make_policy("llama").model, LoraConfig(r=2, target_modules="all-linear"))
    around.add_adapter("second", LoraConfig(r=3, target_modules=["q_proj"]))
    save_adapters(within_peft(around), tmp_path)
    for folder, rank in ((tmp_path, 2), (tmp_path / "second", 3)):
        weights = load_file(folder / "adapter_model.safetensors")
        assert {value.shape[0] for key, value in weights.items() if "lora_A" in key} == {rank}
    assert around.peft_config["default"].inference_mode is False  # as it was


def test_merging_copies_no_more_than_it_must() -> None:
    policy = with_adapters()
    plain = merged(policy.model)
    own = {id(parameter) for parameter in policy.model.parameters()}
    shared = {part for part, parameter in plain.named_parameters() if id(parameter) in own}
    assert "transformer.wte.weight" in shared
    assert not any("c_attn" in part for part in shared)
    assert merged(plain) is plain


def test_what_cannot_be_is_refused_before_anything_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    policy = make_policy("gpt2")
    with pytest.raises(ArgumentError, match="must be at least 1, got 0"):
        add_lora(policy, 0)
    with monkeypatch.context() as without:
        without.setitem(sys.modules, "peft", None)  # as if it were not installed
        with pytest.raises(ArgumentError, match=r'pip install "textenv\[lora\]"'):
            add_lora(policy, 2)
    assert not has_lora(policy.model)
    assert all(parameter.requires_grad for parameter in policy.parameters())
    add_lora(policy, 2)
    with pytest.raises(ArgumentError, match="has adapters already"):
        add_lora(policy, 2)


AROUND: dict[str, Any] = {
    "LORA": LoraConfig(r=2, target_modules="all-linear", lora_dropout=0.5),
    "LORA, DoRA": LoraConfig(r=2, target_modules="all-linear", use_dora=True),
    "IA3": IA3Config(target_modules=["q_proj", "down_proj"], feedforward_modules=["down_proj"]),
    "LOHA": LoHaConfig(r=2, target_modules=["q_proj", "v_proj"], module_dropout=0.5),
    "LOKR": LoKrConfig(r=2, target_modules=["q_proj", "v_proj"]),
    "OFT": OFTConfig(r=0, oft_block_size=4, target_modules=["q_proj", "v_proj"]),
    "VERA": VeraConfig(r=2, target_modules=["q_proj"]),
}


def test_every_kind_that_is_taken_is_tried() -> None:
    assert {name.partition(",")[0] for name in AROUND} == KINDS


@pytest.mark.parametrize("kind", AROUND)
def test_the_adapters_of_a_peft_model_are_trained_and_switched_off(kind: str, tmp_path: Path) -> None:
    fresh = make_policy("llama")
    with torch.random.fork_rng():
        torch.manual_seed(2)
        around = get_peft_model(make_policy("llama").model, AROUND[kind])
        with torch.no_grad():
            for weights in around.parameters():
                if weights.requires_grad:
                    weights.add_(0.1 * torch.randn_like(weights))
    adapters = {id(weights) for weights in around.parameters() if weights.requires_grad}
    policy = LanguagePolicy(around, toy_tokenizer("abcdefghijklmnopqrstuvw"))
    assert {id(weights) for weights in policy.model.parameters() if weights.requires_grad} == adapters
    policy.train()  # drops nothing
    with torch.no_grad():
        own = torch.log_softmax(around(input_ids=texts()).logits[..., :24], -1)[:, 5:-1].gather(-1, texts()[:, 6:, None])[..., 0]
    assert torch.allclose(log_probs(policy), own, atol=1e-5)
    policy.response_log_probs(texts(), 6)[0].sum().backward()
    assert all(weights.grad is not None and weights.grad.abs().sum() > 0 for weights in policy.model.parameters() if weights.requires_grad)
    assert torch.allclose(log_probs(without_lora(policy)), log_probs(fresh), atol=1e-6)
    assert not torch.allclose(log_probs(policy), log_probs(fresh), atol=1e-3)
    policy.save_pretrained(tmp_path)
    assert torch.allclose(log_probs(LanguagePolicy.from_pretrained(tmp_path)), own, atol=1e-5)
    assert (tmp_path / "adapter").exists() == (kind != "VERA")
    if kind == "VERA":
        return
    again: Any = PeftModel.from_pretrained(make_policy("llama").model, tmp_path / "adapter")
    assert torch.allclose(log_probs(LanguagePolicy(again, policy.tokenizer)), own, atol=1e-5)


@pytest.mark.parametrize(
    ("config", "sentence"),
    [
        (PromptTuningConfig(num_virtual_tokens=2, task_type="CAUSAL_LM"), "kind PROMPT_TUNING cannot be switched off and merged"),
        (PrefixTuningConfig(num_virtual_tokens=2, task_type="CAUSAL_LM"), "kind PREFIX_TUNING cannot be"),
        (AdaLoraConfig(target_modules=["q_proj"], total_step=10), "kind ADALORA cannot be"),
        (LoraConfig(r=2, target_modules=["q_proj"], modules_to_save=["lm_head"]), "trains a copy of lm_head beside the adapters"),
        (LoraConfig(r=2, target_modules=["q_proj"], trainable_token_indices=[1]), "trains a copy of model.embed_tokens beside"),
    ],
)
def test_what_cannot_be_switched_off_is_refused_by_name(config: Any, sentence: str) -> None:
    around = get_peft_model(make_policy("llama").model, config)
    with pytest.raises(LoadError, match=sentence):
        LanguagePolicy(around, toy_tokenizer("abcdefghijklmnopqrstuvw"))


def test_another_model_is_itself() -> None:
    model = make_policy("gpt2").model
    assert within_peft(model) is model
    assert within_peft(with_adapters().model) is not None
