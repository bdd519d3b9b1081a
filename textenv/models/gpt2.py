"""One step of GPT-2 over preallocated keys and values, from the weights of the transformers class.

It computes what `GPT2Model` computes for one new token a row, without the class's overhead, which is most of a small
model's time, and with weights that are laid out once for oneDNN instead of at every product.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import nn
from torch.nn import functional as F
from transformers.activations import GELUTanh, NewGELUActivation
from transformers.models.gpt2.modeling_gpt2 import GPT2MLP, GPT2Attention, GPT2Block, GPT2Model
from transformers.pytorch_utils import Conv1D

from textenv.models.kernels import SingleThread, packed_linear
from textenv.models.slots import Slots, Step, write

_SMALL_NORM = 2**16  # numbers
_KNOWN = {
    *(GPT2Model, GPT2Block, GPT2Attention, GPT2MLP, Conv1D, NewGELUActivation, GELUTanh),
    *(nn.GELU, nn.LayerNorm, nn.Embedding, nn.Dropout, nn.ModuleList),
}


class _Block(NamedTuple):
    norm_1: nn.LayerNorm
    norm_2: nn.LayerNorm
    heads: int
    scale: float
    qkv: Callable[[torch.Tensor], torch.Tensor]
    out: Callable[[torch.Tensor], torch.Tensor]
    up: Callable[[torch.Tensor], torch.Tensor]
    down: Callable[[torch.Tensor], torch.Tensor]


def is_plain_gpt2(trunk: nn.Module) -> bool:
    """Tell whether a model is GPT-2 as transformers defines it, with nothing replaced, added or hooked in."""
    modules = list(trunk.modules())
    config: Any = trunk.config if type(trunk) is GPT2Model else None
    return (
        config is not None
        and config.activation_function in ("gelu_new", "gelu_pytorch_tanh")
        and not config.add_cross_attention
        and {type(module) for module in modules} <= _KNOWN
        and not any(module._forward_hooks or module._forward_pre_hooks for module in modules)
        and trunk.dtype == torch.float32
    )


class GPT2Step:
    """Reads one token a row.

    Shapes: R rows, D hidden size.

    Args:
        trunk: for which `is_plain_gpt2` holds; its weights are taken as they are now.
        rows: R that the weights are laid out for; others work too.
        dtype: of products, float32 or bfloat16.
    """

    def __init__(self, trunk: Any, rows: int, dtype: torch.dtype) -> None:
        self.trunk, self.dtype = trunk, dtype

        def layer(module: Any, gelu: bool = False) -> Callable[[torch.Tensor], torch.Tensor]:
            return packed_linear(module.weight.t(), module.bias, rows, dtype, gelu=gelu)

        self.blocks = [
            _Block(
                block.ln_1,
                block.ln_2,
                block.attn.num_heads,
                block.attn.scaling,
                qkv=layer(block.attn.c_attn),
                out=layer(block.attn.c_proj),
                up=layer(block.mlp.c_fc, gelu=True),
                down=layer(block.mlp.c_proj),
            )
            for block in trunk.h
        ]

    def __call__(self, slots: Slots, step: Step) -> torch.Tensor:
        """Read a step's tokens: the slots take their keys and values, and the hidden states (R, D) are returned."""
        rows = len(step.tokens)
        mask = None if step.mask is None else step.mask[:, None, None]  # (R, 1, 1, C)
        hidden = F.embedding(step.tokens, self.trunk.wte.weight) + F.embedding(step.positions, self.trunk.wpe.weight)  # (R, D)
        for block, buffer in zip(self.blocks, slots.layers, strict=True):
            qkv = block.qkv(self._norm(block.norm_1, hidden)).view(rows, 3, block.heads, -1)  # (R, 3, H, d)
            keys, values = write(buffer, qkv[:, 1:], step)  # (R, H, C, d) each
            read = F.scaled_dot_product_attention(qkv[:, 0, :, None].to(keys.dtype), keys, values, attn_mask=mask, scale=block.scale)
            hidden = hidden + block.out(read.view(rows, -1).to(self.dtype))
            hidden = hidden + block.down(block.up(self._norm(block.norm_2, hidden)))
        return F.layer_norm(hidden, self.trunk.ln_f.normalized_shape, self.trunk.ln_f.weight, self.trunk.ln_f.bias, self.trunk.ln_f.eps)

    def _norm(self, norm: nn.LayerNorm, hidden: torch.Tensor) -> torch.Tensor:
        with SingleThread(hidden.numel() <= _SMALL_NORM):
            return F.layer_norm(hidden, norm.normalized_shape, norm.weight, norm.bias, norm.eps).to(self.dtype)
