"""Layers that are computed again give the same gradients and keep less."""

from typing import Any

import pytest
import torch
from torch.autograd.graph import saved_tensors_hooks
from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM, PreTrainedModel

from textenv.models.loading import toy_tokenizer
from textenv.models.packing import Example, example_log_probs
from textenv.models.policy import LanguagePolicy, Precision

TOKENIZER = toy_tokenizer("abcdefg")
TOKENS = torch.randint(0, 7, (6, 40), generator=torch.Generator().manual_seed(0))
SIZES: dict[str, Any] = {
    "hidden_size": 128,
    "intermediate_size": 256,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
}


def make_model(name: str) -> PreTrainedModel:
    """As wide as layers must be for the faster kernels."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        if name == "gpt2":
            return GPT2LMHeadModel(
                GPT2Config(
                    vocab_size=8,
                    n_embd=128,
                    n_layer=3,
                    n_head=4,
                    n_positions=40,
                    eos_token_id=7,
                    bos_token_id=7,
                )
            )
        return LlamaForCausalLM(LlamaConfig(vocab_size=8, eos_token_id=7, bos_token_id=7, **SIZES))


def learn(policy: LanguagePolicy) -> tuple[int, list[torch.Tensor]]:
    """Numbers that a pass keeps for its gradients, and these."""
    kept = 0

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        nonlocal kept
        kept += tensor.numel()
        return tensor

    policy.train().zero_grad()
    with saved_tensors_hooks(keep, lambda tensor: tensor):
        log_probs = policy.response_log_probs(TOKENS, 8)[0]
    log_probs.sum().backward()
    return kept, [
        log_probs.detach(),
        *(weights.grad.clone() for weights in policy.model.parameters() if weights.grad is not None),
    ]


@pytest.mark.filterwarnings("ignore:.*gradient_checkpointing_")  # has another name in later versions of transformers
@pytest.mark.parametrize(
    ("name", "precision"),
    [("gpt2", "fp32"), ("llama", "fp32"), ("gpt2", "bf16"), ("llama", "bf16")],
)
def test_gradients_are_those_of_all_layers_kept(name: str, precision: Precision) -> None:
    policy = LanguagePolicy(make_model(name), TOKENIZER, precision=precision)
    whole, expected = learn(policy)
    policy.model.gradient_checkpointing_enable()
    kept, computed = learn(policy)
    assert kept < 0.2 * whole
    for one, other in zip(computed, expected, strict=True):
        assert torch.allclose(
            one,
            other,
            rtol=0,
            atol=(1e-5 if precision == "fp32" else 0.03) * (1 + float(other.abs().max())),
        )
    assert not any("forward" in vars(module) for module in policy.model.modules())
    policy.model.gradient_checkpointing_disable()
    assert learn(policy)[0] == whole


@pytest.mark.filterwarnings("ignore:.*gradient_checkpointing_")
def test_packed_examples_are_computed_again_too() -> None:
    policy = LanguagePolicy(make_model("llama"), TOKENIZER)
    examples = [Example([0, 1], [2, 3]), Example([4], [5, 6, 0])]
    example_log_probs(policy, examples).sum().backward()
    expected = [weights.grad.clone() for weights in policy.model.parameters() if weights.grad is not None]
    policy.model.gradient_checkpointing_enable()
    policy.zero_grad()
    again: list[int] = []
    policy.model.get_submodule("model.layers.1.input_layernorm").register_forward_hook(lambda *_: again.append(1))
    example_log_probs(policy, examples).sum().backward()
    assert len(again) == 2
    for weights, right in zip((w for w in policy.model.parameters() if w.grad is not None), expected, strict=True):
        assert weights.grad is not None
        assert torch.allclose(weights.grad, right, rtol=1e-4, atol=1e-6)
