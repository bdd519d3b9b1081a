"""A key-value cache keyed by content: it needs no signal at a reset and survives none it should not.

Each call compares the observations with what has been read: where a row has one token more, or only its last token is
another, that token is read; a row that is new or changed is read from its start; a row that is gone leaves its slot.
"""

import itertools
import warnings
import weakref
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.optim.optimizer import register_optimizer_step_post_hook
from transformers.cache_utils import DynamicCache

from textenv.models.gpt2 import GPT2Step, is_plain_gpt2
from textenv.models.kernels import packed_linear
from textenv.models.layout import align_left, last_columns
from textenv.models.slots import Slots, as_cache

if TYPE_CHECKING:
    from transformers import PreTrainedModel

_loads = itertools.count(1)
_weights_version = 0
_caches: "weakref.WeakSet[PrefixCache]" = weakref.WeakSet()


def _bump(*_: Any) -> None:
    global _weights_version
    _weights_version = next(_loads)


def _forget(optimizer: torch.optim.Optimizer, *_: Any) -> None:
    """Let the caches of the weights that an optimiser has moved forget everything, and the others what they made with a head."""
    moved = {id(weights) for group in optimizer.param_groups for weights in group["params"]}
    for cache in list(_caches):
        cache.forget(everything=any(id(weights) in moved for weights in cache.trunk.parameters()))


# A parameter's own version counter does not move under fused optimisers.
register_optimizer_step_post_hook(_forget)


class PrefixCache:
    """Last hidden states of observations, at the cost of one token where a row has grown by one.

    Weights that are written past PyTorch's counting, into `parameter.data`, are noticed no sooner than `clear()`.

    Shapes: N rows, W = P+T columns of an observation, n rows that are read from their start, D hidden size.

    Args:
        trunk: the model without its head, from hidden-state-returning transformers classes.
        arithmetic: context in which the trunk is computed.
    """

    def __init__(self, trunk: "PreTrainedModel", arithmetic: Callable[[], AbstractContextManager[Any]]) -> None:
        self.trunk, self.arithmetic = trunk, arithmetic
        self._warned = False
        trunk.register_load_state_dict_post_hook(_bump)
        self.clear()

    @property
    def columns(self) -> int:
        """Columns that were read at the last step."""
        return self._slots.columns if self._slots else 0

    def clear(self) -> None:
        """Forget everything, `derived` too, in which callers keep what they made of the hidden states until these change."""
        self._parameters = list(self.trunk.parameters())
        self._slots: Slots | None = None
        self._seen = np.zeros((0, 0), dtype=np.int32)  # (N, W)
        self._hidden = torch.zeros(0, 0)  # (N, D)
        self.derived: dict[Any, torch.Tensor] = {}
        self._gpt2: GPT2Step | None = None
        self._packed: dict[tuple[tuple[int, int], ...], Callable[[torch.Tensor], torch.Tensor]] = {}
        self._version: tuple[Any, ...] = ()
        _caches.add(self)

    def forget(self, everything: bool) -> None:
        """Forget everything, or only what depends on a head beside the trunk."""
        if everything:
            self.clear()
        self.derived, self._packed = {}, {}

    def __getstate__(self) -> dict[str, Any]:
        # A copy reads its texts anew: what is laid out belongs to these weights and this process.
        return {"trunk": self.trunk, "arithmetic": self.arithmetic, "_warned": self._warned}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self.clear()

    @torch.no_grad()
    def last_hidden(self, observations: NDArray[np.int32]) -> torch.Tensor:
        """Compute the hidden state at each row's last token.

        Args:
            observations: (N, W), rows of only -1 are skipped.

        Returns:
            (N, D); what stands in skipped rows means nothing.
        """
        last = last_columns(observations)
        live = last >= 0
        version = (_weights_version, self.trunk.device, self.trunk.dtype, *((p.data_ptr(), p._version) for p in self._parameters))
        if self._version != version or self._seen.shape != observations.shape:
            self.clear()
            self._version = version
            self._seen = np.full_like(observations, -1)
        if not live.any():
            self.clear()
            return torch.zeros(len(live), self.trunk.config.get_text_config().hidden_size, device=self.trunk.device)
        same = observations == self._seen  # (N, W)
        if self._slots and same[live].all() and live[self._slots.rows].all():
            return self._hidden
        self.derived = {}
        same[np.arange(len(live)), last] = True
        known = np.zeros(len(live), dtype=np.bool_)
        if self._slots:
            known[self._slots.rows] = (same.all(1) & live)[self._slots.rows]
            self._slots.keep(known[self._slots.rows])
            if len(self._slots.rows):
                self._read_last(observations, last)
        fresh = np.flatnonzero(live & ~known)
        if len(fresh):
            self._read_whole(observations, fresh)
        self._seen = observations.copy()
        return self._hidden

    def packed(self, head: nn.Linear, banned: torch.Tensor, dtype: torch.dtype) -> Callable[[torch.Tensor], torch.Tensor]:
        """Give a head as a function of hidden states, its weights laid out once for as long as they stay, -inf where banned (V,)."""
        key = tuple((part.data_ptr(), part._version) for part in (head.weight, head.bias) if part is not None)
        if key not in self._packed:
            bias = head.weight.new_zeros(len(banned)) if head.bias is None else head.bias
            layer = packed_linear(head.weight, bias.masked_fill(banned, -torch.inf), len(self._seen), dtype)
            self._packed = {key: lambda hidden: layer(hidden.to(dtype))}
        return self._packed[key]

    def _read_last(self, observations: NDArray[np.int32], last: NDArray[np.int64]) -> None:
        """Forward the last token of every row that has a slot."""
        assert self._slots is not None
        rows = self._slots.rows
        step = self._slots.step(observations[rows, last[rows]], (observations[rows] >= 0).sum(1))
        if self._gpt2 is not None:
            hidden = self._gpt2(self._slots, step)
        else:
            mask = torch.ones(len(rows), step.columns, device=self._slots.device) if step.mask is None else step.mask
            with self.arithmetic():
                hidden = self.trunk(
                    input_ids=step.tokens[:, None],
                    attention_mask=mask.long(),
                    position_ids=step.positions[:, None],
                    past_key_values=as_cache(self._slots, step),
                    use_cache=True,
                ).last_hidden_state[:, -1]
        self._store(rows, hidden)

    def _read_whole(self, observations: NDArray[np.int32], rows: NDArray[np.int64]) -> None:
        """Forward rows (n,) from their start and give them slots."""
        aligned, _ = align_left(torch.from_numpy(observations[rows]).long().to(self.trunk.device))  # (n, L)
        cache: Any = DynamicCache(config=self.trunk.config)
        with self.arithmetic():
            output = self.trunk(input_ids=aligned, attention_mask=torch.ones_like(aligned), past_key_values=cache, use_cache=True)
        ends = torch.from_numpy((observations[rows] >= 0).sum(1) - 1).to(self.trunk.device)
        self._store(rows, output.last_hidden_state[torch.arange(len(rows), device=ends.device), ends])
        strange = sorted({type(layer).__name__ for layer in cache.layers} - {"DynamicLayer"})
        if not strange and any(layer.keys.shape != layer.values.shape for layer in cache.layers):
            strange = ["keys and values of different widths"]
        if strange:
            self._warn(strange)
            return
        layers = [(layer.keys, layer.values) for layer in cache.layers]
        if self._slots is None:
            self._slots = Slots(layers, *observations.shape)
            if is_plain_gpt2(self.trunk):
                self._gpt2 = GPT2Step(self.trunk, len(rows), layers[0][0].dtype)
        self._slots.add(rows, layers)

    def _store(self, rows: NDArray[np.int64], hidden: torch.Tensor) -> None:
        if len(rows) == len(self._seen) and (rows == np.arange(len(rows))).all():
            self._hidden = hidden
            return
        if len(self._hidden) != len(self._seen):
            self._hidden = hidden.new_zeros(len(self._seen), hidden.shape[-1])
        self._hidden[torch.from_numpy(rows).to(hidden.device)] = hidden.to(self._hidden.dtype)

    def _warn(self, kinds: list[str]) -> None:
        if not self._warned:
            self._warned = True
            warnings.warn(
                f"{type(self.trunk).__name__} keeps its past in {', '.join(kinds)}, which cannot be spliced; "
                "every token is computed from the whole prefix, with equal results but slower.",
                stacklevel=2,
            )
