"""Gradient checkpointing: layers keep no activations, and the backward pass computes them again.

Chen et al., "Training Deep Nets with Sublinear Memory Cost", https://arxiv.org/abs/1604.06174.
`transformers` does so in training mode only, which textenv's models never enter, as they would drop
out as well.
"""

import contextlib
import functools
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint
from transformers.modeling_layers import GradientCheckpointingLayer


@contextlib.contextmanager
def recomputed(trunk: nn.Module) -> Iterator[None]:
    """Let layers be computed again for gradients in this context, where the model was asked to.

    It is asked by `model.gradient_checkpointing_enable()`.
    """
    layers = _asked(trunk) if torch.is_grad_enabled() else []
    for layer in layers:
        layer.forward = functools.partial(_checkpointed, layer.forward)
    try:
        yield
    finally:
        for layer in layers:
            del layer.forward  # which is the class's again


def _asked(trunk: nn.Module) -> list[nn.Module]:
    layers = (layer for layer in trunk.modules() if isinstance(layer, GradientCheckpointingLayer))
    return [layer for layer in layers if layer.gradient_checkpointing]


def _checkpointed(forward: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    # Nothing is random in evaluation mode.
    return checkpoint(forward, *args, use_reentrant=False, preserve_rng_state=False, context_fn=_plain, **kwargs)


def _plain() -> tuple[contextlib.AbstractContextManager[None], contextlib.AbstractContextManager[None]]:
    """Give the contexts of both computations.

    PyTorch's own kernels, because `FastKernels` is not there in the backward pass.
    """
    return torch._C.DisableTorchFunction(), torch._C.DisableTorchFunction()
