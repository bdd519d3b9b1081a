"""A key-value cache keyed by content: it needs no signal at a reset and survives none it should not.

All rows share the cache's columns and end in its last one. Each call compares the observations with what the cache
has read: a row with one token more is advanced by that token, a row that is new or changed is read from its start
and spliced in, a row that is gone leaves.
"""

import itertools
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F
from torch.optim.optimizer import register_optimizer_step_post_hook
from transformers.cache_utils import DynamicCache, DynamicLayer

from textenv.models.layout import align_right, last_columns

if TYPE_CHECKING:
    from transformers import PreTrainedModel

_optimiser_steps = itertools.count(1)
_weights_version = 0


def _bump(*_: Any) -> None:
    global _weights_version
    _weights_version = next(_optimiser_steps)


# A parameter's own version counter does not move under fused optimisers, so every step of any optimiser counts too.
register_optimizer_step_post_hook(_bump)


class PrefixCache:
    """Last hidden states of observations, at the cost of one token where a row has grown by one.

    Shapes: N slots, W = P+T columns of an observation, R rows in the cache, C columns in the cache, D hidden size.

    Args:
        trunk: the model without its head, from hidden-state-returning transformers classes.
    """

    def __init__(self, trunk: "PreTrainedModel") -> None:
        self.trunk = trunk
        self._spliceable = True
        trunk.register_load_state_dict_post_hook(_bump)
        self.clear()

    @property
    def columns(self) -> int:
        """C."""
        return self._mask.shape[1]

    def clear(self) -> None:
        """Forget everything."""
        self._cache: Any = None
        self._slots = np.zeros(0, dtype=np.int64)  # (R,) which slot each row of the cache holds
        self._seen = np.zeros((0, 0), dtype=np.int32)  # (N, W)
        self._mask = torch.zeros(0, 0, dtype=torch.bool)  # (R, C) columns that hold a row's tokens
        self._hidden = torch.zeros(0, 0)  # (N, D)
        self._version: tuple[Any, ...] = ()

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
        version = (_weights_version, self.trunk.device, self.trunk.dtype, sum(p._version for p in self.trunk.parameters()))
        if self._version != version or self._seen.shape != observations.shape:
            self.clear()
            self._version = version
        if not live.any():
            return torch.zeros(len(live), self.trunk.config.get_text_config().hidden_size, device=self.trunk.device)
        if not self._spliceable or self._cache is None:
            self._read_all(observations, live)
            return self._hidden
        before = observations.copy()
        before[np.arange(len(before)), last] = -1
        cached = np.zeros(len(live), dtype=np.bool_)
        cached[self._slots] = True
        known = cached & live
        grown = known & (before == self._seen).all(1) & (before >= 0).any(1)
        same = known & (observations == self._seen).all(1)
        fresh = live & ~grown & ~same
        # Where some rows grow, the ones that stand still leave the cache: all its rows move together.
        self._keep((grown if grown.any() else same)[self._slots])
        if grown.any():
            self._advance(observations, last)
        if fresh.any():
            self._splice(observations, fresh)
        self._seen = observations.copy()
        return self._hidden

    def _read(self, observations: NDArray[np.int32], use_cache: bool) -> tuple[torch.Tensor, Any, torch.Tensor]:
        """Forward whole prefixes: (R, W) to the hidden states (R, D), the cache and its mask (R, C)."""
        device = self.trunk.device
        tokens = torch.from_numpy(align_right(observations)).to(device)  # (R, C)
        mask = tokens >= 0
        positions = (mask.long().cumsum(1) - 1).clamp_(min=0)
        cache = DynamicCache(config=self.trunk.config) if use_cache else None
        output = self.trunk(
            input_ids=tokens.clamp(min=0).long(),
            attention_mask=mask.long(),
            position_ids=positions,
            past_key_values=cache,
            use_cache=use_cache,
        )
        return output.last_hidden_state[:, -1], cache, mask

    def _read_all(self, observations: NDArray[np.int32], live: NDArray[np.bool_]) -> None:
        rows = np.flatnonzero(live)
        hidden, cache, mask = self._read(observations[rows], self._spliceable)
        self._hidden = hidden.new_zeros(len(observations), hidden.shape[-1])
        self._hidden[torch.from_numpy(rows).to(hidden.device)] = hidden
        if self._spliceable and not all(type(layer) is DynamicLayer for layer in cache.layers):
            self._spliceable = False
            kinds = sorted({type(layer).__name__ for layer in cache.layers} - {"DynamicLayer"})
            warnings.warn(
                f"{type(self.trunk).__name__} keeps its past in {', '.join(kinds)}, which cannot be spliced; "
                "every token is computed from the whole prefix, with equal results but slower.",
                stacklevel=2,
            )
        if self._spliceable:
            self._cache, self._slots, self._mask = cache, rows, mask
            self._seen = observations.copy()

    def _keep(self, keep: NDArray[np.bool_]) -> None:
        """Drop rows of the cache, and then the leading columns that no row holds."""
        if keep.all():
            return
        index = torch.from_numpy(np.flatnonzero(keep)).to(self._mask.device)
        self._slots, self._mask = self._slots[keep], self._mask[index]
        first = int(self._mask.any(0).int().argmax()) if len(index) else 0
        self._mask = self._mask[:, first:]
        for layer in self._cache.layers:
            layer.keys, layer.values = layer.keys[index][:, :, first:], layer.values[index][:, :, first:]

    def _advance(self, observations: NDArray[np.int32], last: NDArray[np.int64]) -> None:
        """Forward the last token of each row of the cache."""
        tokens = torch.from_numpy(observations[self._slots, last[self._slots]].astype(np.int64)).to(self._mask.device)
        positions = self._mask.sum(1)  # (R,)
        self._mask = F.pad(self._mask, (0, 1), value=True)
        hidden = self.trunk(
            input_ids=tokens[:, None],
            attention_mask=self._mask.long(),
            position_ids=positions[:, None],
            past_key_values=self._cache,
            use_cache=True,
        ).last_hidden_state[:, -1]
        self._hidden[torch.from_numpy(self._slots).to(hidden.device)] = hidden

    def _splice(self, observations: NDArray[np.int32], fresh: NDArray[np.bool_]) -> None:
        """Read fresh rows and put them under the rows of the cache, ending in the same column."""
        rows = np.flatnonzero(fresh)
        hidden, cache, mask = self._read(observations[rows], use_cache=True)
        self._hidden[torch.from_numpy(rows).to(hidden.device)] = hidden
        if len(self._slots):
            width = max(mask.shape[1], self._mask.shape[1])
            left, left_new = width - self._mask.shape[1], width - mask.shape[1]
            for old, new in zip(self._cache.layers, cache.layers, strict=True):
                old.keys = torch.cat([F.pad(old.keys, (0, 0, left, 0)), F.pad(new.keys, (0, 0, left_new, 0))])
                old.values = torch.cat([F.pad(old.values, (0, 0, left, 0)), F.pad(new.values, (0, 0, left_new, 0))])
            mask = torch.cat([F.pad(self._mask, (left, 0)), F.pad(mask, (left_new, 0))])
            self._slots = np.concatenate([self._slots, rows])
        else:
            self._cache, self._slots = cache, rows
        self._mask = mask
