"""Faster kernels on the CPU than those that PyTorch chooses by itself, all of them its own.

- float32 products: PyTorch takes MKL, which on processors of other makers than Intel runs at about half of what they
  can do; oneDNN, which PyTorch ships too and takes for bfloat16, does not.
- GPT-2's activation: transformers writes it out as eight operations, PyTorch has it as one.
- bfloat16 attention: its backward pass is several times slower than the float32 one.
"""

import os
from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode
from transformers.activations import NewGELUActivation

_THREADS_SLEEP = os.environ.get("OMP_WAIT_POLICY", "").lower() == "passive"
_SMALLEST = 2**14  # below so many weights, the call costs more than the product
_HAS_ONEDNN = torch.backends.mkldnn.is_available() and hasattr(torch.ops.mkldnn, "_linear_pointwise")


if hasattr(os, "register_at_fork"):
    # A forked process, such as a row of Gymnasium's AsyncVectorEnv, has none of OpenMP's threads and would wait for them forever.
    os.register_at_fork(after_in_child=lambda: torch.set_num_threads(1))


class SingleThread:
    """Compute by one thread in this context: where OpenMP's threads sleep between products, waking them takes longer than small ones.

    Args:
        small: whether what is computed is small; else, or where the threads spin, nothing changes.
    """

    def __init__(self, small: bool) -> None:
        self.small = small and _THREADS_SLEEP

    def __enter__(self) -> None:
        self.before = torch.get_num_threads()
        if self.small:
            torch.set_num_threads(1)

    def __exit__(self, *_: object) -> None:
        if self.small:
            torch.set_num_threads(self.before)


def product(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None = None) -> torch.Tensor:
    """X Wᵀ + b by oneDNN, without a gradient: (M, K), (N, K), (N,) to (M, N)."""
    y: torch.Tensor = torch.ops.mkldnn._linear_pointwise(x, weight, bias, "none", [], "")
    return y


def packed_linear(
    weight: torch.Tensor, bias: torch.Tensor | None, rows: int, dtype: torch.dtype, gelu: bool = False
) -> Callable[[torch.Tensor], torch.Tensor]:
    """Make x ↦ x Wᵀ + b of weights that are laid out once for products with so many rows.

    Args:
        weight: (N, K), taken as it is now.
        bias: (N,) or None.
        rows: M of the x (M, K) to come; others work too.
        dtype: of x and of the product.
        gelu: apply GELU, in its tanh form, to the product.
    """
    weight, bias = weight.detach().to(dtype), None if bias is None else bias.detach().to(dtype)
    fits = dtype == torch.float32 or (dtype == torch.bfloat16 and torch.ops.mkldnn._is_mkldnn_bf16_supported())
    if _HAS_ONEDNN and fits and weight.device.type == "cpu":
        packed = torch.ops.mkldnn._reorder_linear_weight(weight.contiguous(), rows)
        activation: tuple[str, list[float], str] = ("gelu", [], "tanh") if gelu else ("none", [], "")
        return lambda x: torch.ops.mkldnn._linear_pointwise(x, packed, bias, *activation)
    if gelu:
        return lambda x: F.gelu(F.linear(x, weight, bias), approximate="tanh")
    return lambda x: F.linear(x, weight, bias)


class _Linear(torch.autograd.Function):
    """X Wᵀ + b: (M, K), (N, K), (N,) to (M, N)."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
        ctx.save_for_backward(x, weight)
        return product(x, weight, bias)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        (gradient,), (x, weight) = gradients, ctx.saved_tensors
        need_x, need_weight, need_bias = ctx.needs_input_grad
        to_weight = None
        if need_weight:
            # oneDNN is fastest where the longer side of the result is that of its weight.
            wide = weight.shape[0] > weight.shape[1]
            to_weight = product(x.t(), gradient.t()).t() if wide else product(gradient.t(), x.t())
        return product(gradient, weight.t()) if need_x else None, to_weight, gradient.sum(0) if need_bias else None


def _linear(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None = None) -> torch.Tensor:
    flat = x.reshape(-1, x.shape[-1])
    flat = _Linear.apply(flat, weight, bias) if torch.is_grad_enabled() else product(flat, weight, bias)  # type: ignore[no-untyped-call]
    return flat.view(*x.shape[:-1], weight.shape[0])


def _suits(x: torch.Tensor, weight: torch.Tensor) -> bool:
    float32_on_cpu = x.device.type == "cpu" and x.dtype == weight.dtype == torch.float32
    return _HAS_ONEDNN and float32_on_cpu and weight.ndim == 2 and weight.numel() >= _SMALLEST and x.numel() > 0


def _float32_attention(*args: torch.Tensor, **kwargs: Any) -> torch.Tensor:
    query, key, value = (x.float() for x in args)
    with torch.autocast("cpu", enabled=False):
        return F.scaled_dot_product_attention(query, key, value, **kwargs).to(args[0].dtype)


def fuse_gelu(model: nn.Module) -> None:
    """Replace GPT-2's activation, written out in Python, by PyTorch's own of the same formula."""
    for module in model.modules():
        for name, child in module.named_children():
            if type(child) is NewGELUActivation:
                setattr(module, name, nn.GELU(approximate="tanh"))


class FastKernels(TorchFunctionMode):
    """Within this context, models on the CPU use the faster kernels, with the same gradients.

    It reaches `nn.Linear`, transformers' `Conv1D` and scaled dot product attention in any model, forward and backward.
    """

    def __torch_function__(self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None) -> Any:
        """Redirect `linear(x, W, b)`, `addmm(b, x, Wᵀ)` and attention in bfloat16."""
        kwargs = kwargs or {}
        if func is F.linear and not kwargs and _suits(args[0], args[1]) and not torch.is_autocast_enabled("cpu"):
            return _linear(*args)
        if func is torch.addmm and not kwargs and args[0].ndim == 1 and _suits(args[1], args[2]) and not torch.is_autocast_enabled("cpu"):
            return _linear(args[1], args[2].t(), args[0])
        if func is F.scaled_dot_product_attention and len(args) == 3 and args[0].dtype == torch.bfloat16 and args[0].device.type == "cpu":
            return _float32_attention(*args, **kwargs)
        return func(*args, **kwargs)
