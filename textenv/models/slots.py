"""Keys and values of many texts in preallocated buffers, a slot a text, each text from column 0 on.

A text that grows writes one column of its slot, a new text fills a slot, and one that goes leaves its slot to the
last. So nothing is ever concatenated, and shapes stay as they are for as long as the same texts are read.
"""

from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from transformers.cache_utils import Cache, CacheLayerMixin

from textenv.models.kernels import SingleThread

_SMALL_COPY = 2**18  # numbers


class Step(NamedTuple):
    """One token for each of the first R slots.

    Shapes: R slots, C columns.
    """

    tokens: torch.Tensor
    """(R,) int64 ids."""
    positions: torch.Tensor
    """(R,) int64, the column that each token takes."""
    columns: int
    """C, how many columns can hold something after the step."""
    mask: torch.Tensor | None
    """(R, C) booleans, the columns that each token reads; None when that is all of them."""


class Slots:
    """Buffers for N texts of up to W tokens.

    Shapes: N slots, W columns, H key-value heads, d their size, R slots in use.

    Args:
        layers: keys and values (·, H, ·, d) of each layer, of which shape, type and device are taken.
        count: N.
        width: W.
    """

    def __init__(self, layers: list[tuple[torch.Tensor, torch.Tensor]], count: int, width: int) -> None:
        # Attention in bfloat16 is slow on the CPU.
        read = layers[0][0]
        kind = torch.float32 if read.device.type == "cpu" and read.dtype == torch.bfloat16 else read.dtype
        # Zeros, for what is masked still meets a weight of 0 and must be finite.
        self.layers = [k.new_zeros(count, 2, k.shape[1], width, k.shape[3], dtype=kind) for k, _ in layers]  # (N, 2, H, W, d)
        self.rows = np.zeros(0, dtype=np.int64)
        """(R,) the row of the observations that each slot holds."""
        self.width = width
        self.device = layers[0][0].device
        self.columns = 0

    def keep(self, keep: NDArray[np.bool_]) -> None:
        """Drop texts (R,): the last slots move into the places of those that go."""
        left = int(keep.sum())
        if left < len(keep):
            holes, movers = np.flatnonzero(~keep[:left]), np.flatnonzero(keep[left:]) + left
            if len(holes):
                to, origin = torch.from_numpy(holes).to(self.device), torch.from_numpy(movers).to(self.device)
                for buffer in self.layers:
                    buffer[to] = buffer[origin]
                self.rows[holes] = self.rows[movers]
            self.rows = self.rows[:left]

    def add(self, rows: NDArray[np.int64], layers: list[tuple[torch.Tensor, torch.Tensor]]) -> None:
        """Append texts whose keys and values (n, H, L, d) have been read."""
        start = len(self.rows)
        for buffer, pair in zip(self.layers, layers, strict=True):
            for which, new in enumerate(pair):
                buffer[start : start + len(rows), which, :, : new.shape[2]] = new
        self.rows = np.concatenate([self.rows, rows])

    def step(self, tokens: NDArray[np.int32], lengths: NDArray[np.int64]) -> Step:
        """Describe the reading of each slot's last token: (R,) ids, (R,) tokens of the text with it."""
        both = torch.from_numpy(np.stack([tokens.astype(np.int64), lengths - 1])).to(self.device, non_blocking=True)
        # On a GPU shapes stay the same from step to step, so that a step can be captured.
        self.columns = self.width if self.device.type == "cuda" else int(lengths.max())
        full = int(lengths.min()) == self.columns
        mask = None if full else torch.arange(self.columns, device=self.device) <= both[1][:, None]
        return Step(both[0], both[1], self.columns, mask)


class _SlotLayer(CacheLayerMixin):
    """One layer of the slots as transformers' models see a cache during a step."""

    def __init__(self, buffer: torch.Tensor, step: Step) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.buffer, self.step, self.is_initialized = buffer, step, True

    def lazy_initialization(self, key_states: torch.Tensor, value_states: torch.Tensor) -> None:
        """Do nothing: the buffers are there."""

    def update(self, key_states: torch.Tensor, value_states: torch.Tensor, *_: Any, **__: Any) -> tuple[torch.Tensor, torch.Tensor]:
        """Write (R, H, 1, d) each, and return (R, H, C, d) each."""
        return write(self.buffer, torch.stack([key_states[:, :, 0], value_states[:, :, 0]], 1), self.step)

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        """Columns, and the first of them."""
        return self.step.columns, 0

    def get_seq_length(self) -> int:
        """Columns before the step."""
        return self.step.columns - 1

    def get_max_length(self) -> int:
        """Columns of the buffers."""
        return int(self.buffer.shape[3])


def write(buffer: torch.Tensor, new: torch.Tensor, step: Step) -> tuple[torch.Tensor, torch.Tensor]:
    """Put the keys and values of a step's tokens (R, 2, H, d) into one layer's buffer, and return all that they read, (R, H, C, d) each."""
    rows = len(step.tokens)
    with SingleThread(new.numel() <= _SMALL_COPY):
        if step.mask is None:  # then all tokens take the last column
            buffer[:rows, :, :, step.columns - 1] = new
        else:
            buffer[torch.arange(rows, device=new.device), :, :, step.positions] = new.to(buffer.dtype)
    keys, values = buffer[:rows, :, :, : step.columns].unbind(1)
    return keys, values


def as_cache(slots: Slots, step: Step) -> Cache:
    """Offer the slots to a transformers model for one step."""
    return Cache(layers=[_SlotLayer(buffer, step) for buffer in slots.layers])
