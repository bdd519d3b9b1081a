"""The faster kernels give the numbers and gradients of the usual ones."""

import os
import subprocess
import sys
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from transformers import GPT2Config, GPT2LMHeadModel
from transformers.pytorch_utils import Conv1D

from textenv.models import kernels
from textenv.models.kernels import FastKernels, SingleThread, fuse_gelu, packed_linear


def gradients(layer: nn.Module, x: torch.Tensor) -> list[torch.Tensor]:
    y = layer(x)
    y.square().sum().backward()
    found = [y.detach(), x.grad, *(parameter.grad for parameter in layer.parameters())]
    x.grad = None
    layer.zero_grad()
    assert all(part is not None for part in found)
    return [part.clone() for part in found if part is not None]


@pytest.mark.parametrize("shape", [(96, 256), (256, 96), (200, 200)])
@pytest.mark.parametrize("bias", [True, False])
def test_products_and_gradients_are_the_usual_ones(shape: tuple[int, int], bias: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    inputs, outputs = shape
    calls: list[tuple[int, ...]] = []
    product = kernels.product

    def spy(*parts: torch.Tensor) -> torch.Tensor:
        calls.append(tuple(parts[0].shape))
        return product(*parts)

    monkeypatch.setattr(kernels, "product", spy)
    layers: list[nn.Module] = [nn.Linear(inputs, outputs, bias=bias), *([Conv1D(outputs, inputs)] if bias else [])]
    for layer in layers:
        x = torch.randn(3, 7, inputs, requires_grad=True)
        usual = gradients(layer, x)
        calls.clear()
        with FastKernels():
            fast = gradients(layer, x)
        assert len(calls) == 3  # forward, and backward to the input and to the weight
        for found, right in zip(fast, usual, strict=True):
            assert torch.allclose(found, right, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_other_types_and_small_layers_are_left_alone(dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernels, "product", lambda *_: pytest.fail("oneDNN was asked"))
    with FastKernels():
        nn.Linear(256, 256, dtype=dtype)(torch.zeros(2, 256, dtype=dtype))
        nn.Linear(8, 8)(torch.zeros(2, 8))
        nn.Linear(256, 256)(torch.zeros(0, 256))


def test_a_model_trains_to_the_same_gradients() -> None:
    torch.manual_seed(0)
    config = GPT2Config(n_embd=128, n_layer=2, n_head=2, vocab_size=300, n_positions=32, bos_token_id=0, eos_token_id=0, attn_pdrop=0.0)
    config.resid_pdrop = config.embd_pdrop = 0.0
    model = GPT2LMHeadModel(config)
    tokens = torch.randint(0, 300, (4, 16))

    def train() -> list[torch.Tensor]:
        model.zero_grad()
        loss: Any = model(input_ids=tokens).logits.log_softmax(-1)[..., 5].mean()
        loss.backward()
        return [loss.detach(), *(parameter.grad.clone() for parameter in model.parameters() if parameter.grad is not None)]

    usual = train()
    with FastKernels():
        fast = train()
    for found, right in zip(fast, usual, strict=True):
        assert torch.allclose(found, right, rtol=1e-3, atol=1e-6)


def test_bfloat16_attention_is_at_least_as_exact() -> None:
    torch.manual_seed(0)
    exact = [torch.randn(2, 4, 9, 16) for _ in range(3)]
    query, key, value = (x.bfloat16().requires_grad_() for x in exact)
    with FastKernels(), torch.autocast("cpu", dtype=torch.bfloat16):
        found = F.scaled_dot_product_attention(query, key, value, is_causal=True)
    assert found.dtype == torch.bfloat16
    wide = [x.detach().float() for x in (query, key, value)]
    right = F.scaled_dot_product_attention(wide[0], wide[1], wide[2], is_causal=True)
    assert torch.equal(found, right.bfloat16())
    found.sum().backward()
    assert query.grad is not None
    assert query.grad.dtype == torch.bfloat16


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("gelu", [False, True])
@pytest.mark.parametrize("onednn", [True, False])
def test_packed_layers_equal_plain_ones(dtype: torch.dtype, gelu: bool, onednn: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    monkeypatch.setattr(kernels, "_HAS_ONEDNN", onednn and kernels._HAS_ONEDNN)
    layer = nn.Linear(64, 48)
    packed = packed_linear(layer.weight, layer.bias, 16, dtype, gelu=gelu)
    for rows in (16, 3):
        x = torch.randn(rows, 64)
        right = layer(x)
        right = F.gelu(right, approximate="tanh") if gelu else right
        assert torch.allclose(packed(x.to(dtype)).float(), right, atol=1e-5 if dtype == torch.float32 else 0.03)


def test_the_fused_activation_is_the_same_function() -> None:
    torch.manual_seed(0)
    config = GPT2Config(n_embd=32, n_layer=1, n_head=2, vocab_size=30, n_positions=8, bos_token_id=0, eos_token_id=0)
    model = GPT2LMHeadModel(config).eval()
    tokens = torch.randint(0, 30, (2, 8))
    before = model(input_ids=tokens).logits
    fuse_gelu(model)
    assert isinstance(model.get_submodule("transformer.h.0.mlp.act"), nn.GELU)
    assert torch.allclose(model(input_ids=tokens).logits, before, atol=1e-6)


@pytest.mark.parametrize("sleeping", [True, False])
def test_small_work_is_for_one_thread_where_others_sleep(sleeping: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernels, "_THREADS_SLEEP", sleeping)
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        for small, inside in ((True, 1 if sleeping else 2), (False, 2)):
            with SingleThread(small):
                assert torch.get_num_threads() == inside
            assert torch.get_num_threads() == 2
        with pytest.raises(ValueError, match="in between"), SingleThread(True):
            raise ValueError("in between")
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


FORKED = """
import os, signal, sys
import torch
import textenv.models.kernels

torch.set_num_threads(2)
numbers = torch.rand(600, 600)
numbers @ numbers
child = os.fork()
if child == 0:
    signal.alarm(20)
    numbers @ numbers
    os._exit(0)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_process_computes() -> None:
    """With OpenMP's threads gone it would hang, as rows of an AsyncVectorEnv did after the parent had computed."""
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", FORKED], timeout=60, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
