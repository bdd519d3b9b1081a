"""The hand-written step of GPT-2 equals the class's own forward pass."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from transformers import GPT2Config, GPT2Model
from transformers.cache_utils import DynamicCache

from textenv.models.gpt2 import GPT2Step, is_plain_gpt2
from textenv.models.slots import Slots


def make_trunk(**fields: Any) -> Any:
    torch.manual_seed(0)
    config = GPT2Config(n_embd=64, n_layer=3, n_head=4, vocab_size=50, n_positions=24, initializer_range=0.2, **fields)
    return GPT2Model(config).eval()


@pytest.mark.parametrize("activation", ["gelu_new", "gelu_pytorch_tanh"])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 2e-5), (torch.bfloat16, 0.08)])
@pytest.mark.parametrize("lengths", [[6, 6, 6], [3, 7, 5]])
@torch.no_grad()
def test_steps_equal_the_class(activation: str, dtype: torch.dtype, tolerance: float, lengths: list[int]) -> None:
    trunk = make_trunk(activation_function=activation)
    assert is_plain_gpt2(trunk)
    texts = [torch.randint(0, 50, (length + 5,)) for length in lengths]
    slots, step = None, GPT2Step(trunk, 3, dtype)
    for row, (text, length) in enumerate(zip(texts, lengths, strict=True)):
        cache: Any = DynamicCache(config=trunk.config)
        trunk(input_ids=text[None, :length], past_key_values=cache, use_cache=True)
        layers = [(layer.keys, layer.values) for layer in cache.layers]
        slots = slots or Slots(layers, 3, 16)
        slots.add(np.array([row]), layers)
    assert slots is not None
    for t in range(5):
        at = [length + t for length in lengths]
        tokens = np.array([text[i] for text, i in zip(texts, at, strict=True)], dtype=np.int32)
        hidden = step(slots, slots.step(tokens, np.array(at) + 1))
        for row, (text, i) in enumerate(zip(texts, at, strict=True)):
            right = trunk(input_ids=text[None, : i + 1]).last_hidden_state[0, -1]
            assert torch.allclose(hidden[row], right, atol=tolerance, rtol=tolerance)


def test_scaling_of_the_attention_is_the_models() -> None:
    trunk = make_trunk(scale_attn_weights=False)
    cache: Any = DynamicCache(config=trunk.config)
    text = torch.randint(0, 50, (1, 6))
    with torch.no_grad():
        trunk(input_ids=text[:, :5], past_key_values=cache, use_cache=True)
        layers = [(layer.keys, layer.values) for layer in cache.layers]
        slots = Slots(layers, 1, 8)
        slots.add(np.array([0]), layers)
        hidden = GPT2Step(trunk, 1, torch.float32)(slots, slots.step(text[0, 5:].numpy().astype(np.int32), np.array([6])))
        assert torch.allclose(hidden, trunk(input_ids=text).last_hidden_state[:, -1], atol=2e-5)


def test_anything_else_is_left_to_its_class() -> None:
    assert not is_plain_gpt2(make_trunk(activation_function="relu"))
    assert not is_plain_gpt2(make_trunk().to(torch.bfloat16))
    assert not is_plain_gpt2(nn.Linear(2, 2))
    hooked = make_trunk()
    hooked.h[0].mlp.register_forward_hook(lambda *_: None)
    assert not is_plain_gpt2(hooked)
    adapted = make_trunk()
    adapted.h[1].mlp.c_fc = nn.Sequential(adapted.h[1].mlp.c_fc)  # as an adapter would replace a layer
    assert not is_plain_gpt2(adapted)
