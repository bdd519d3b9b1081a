"""A key-value cache keyed by content: it needs no signal at a reset and survives none it should not.

Each call compares the observations with what has been read: where a row has one token more, or only its last token is
another, that token is read; a row that is new or changed is read from its start; a row that is gone leaves its slot.

Not every class of model reads a token after keys and values of other lengths as it reads whole
texts: some count their window from the last column, some keep no keys at all. So that is tried at
the width of the observations, with two texts of different lengths, before anything is read; where
it fails, every token is computed from the whole prefix.
"""

import contextlib
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

from textenv.errors import LoadError
from textenv.models.gpt2 import GPT2Step, is_plain_gpt2
from textenv.models.kernels import packed_linear
from textenv.models.layout import align_left, last_columns
from textenv.models.proof import is_close, mostly_close, ordinary_ids, whole_states
from textenv.models.slots import Slots, Step, as_cache

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
        size: D.
    """

    def __init__(self, trunk: "PreTrainedModel", arithmetic: Callable[[], AbstractContextManager[Any]], size: int) -> None:
        self.trunk, self.arithmetic, self.size = trunk, arithmetic, size
        self._steps: dict[int, bool] = {}  # by W: whether steps give what whole texts do
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
        kept = ("trunk", "arithmetic", "size", "_steps", "_warned")
        return {name: getattr(self, name) for name in kept}

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

        Raises:
            LoadError: the model reads short texts otherwise beside texts of W tokens.
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
            return torch.zeros(len(live), self.size, device=self.trunk.device)
        same = observations == self._seen  # (N, W)
        if self._slots and same[live].all() and live[self._slots.rows].all():
            return self._hidden
        self.derived = {}
        self._version = ()  # so that what an interrupted call has half read is forgotten
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
        self._version = version
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
        self._store(rows, self._advance(self._slots, self._gpt2, step, self.arithmetic))

    def _advance(
        self, slots: Slots, gpt2: GPT2Step | None, step: Step, arithmetic: Callable[[], AbstractContextManager[Any]]
    ) -> torch.Tensor:
        """Forward one token for each of the first R slots: (R, D)."""
        if gpt2 is not None:
            return gpt2(slots, step)
        mask = torch.ones(len(step.tokens), step.columns, device=slots.device) if step.mask is None else step.mask
        with arithmetic():
            hidden: torch.Tensor = self.trunk(
                input_ids=step.tokens[:, None],
                attention_mask=mask.long(),
                position_ids=step.positions[:, None],
                past_key_values=as_cache(slots, step),
                use_cache=True,
            ).last_hidden_state[:, -1]
        return hidden

    def _read_whole(self, observations: NDArray[np.int32], rows: NDArray[np.int64]) -> None:
        """Forward rows (n,) from their start and give them slots."""
        width = observations.shape[1]
        if width not in self._steps:
            why = self._try(width) if width > 2 else None
            # No two shorter texts of different lengths have a past.
            self._steps[width] = why is None and width > 2
            self._warn(why)
        aligned, _ = align_left(torch.from_numpy(observations[rows]).long().to(self.trunk.device))  # (n, L)
        cache: Any = DynamicCache(config=self.trunk.config)
        with self.arithmetic():
            states = self._fill(cache, aligned) if self._steps[width] else whole_states(self.trunk, aligned)
        ends = torch.from_numpy((observations[rows] >= 0).sum(1) - 1).to(self.trunk.device)
        self._store(rows, states[torch.arange(len(rows), device=ends.device), ends])
        if not self._steps[width]:
            return
        layers = [(layer.keys, layer.values) for layer in cache.layers]
        if self._slots is None:
            self._slots = Slots(layers, *observations.shape)
            if is_plain_gpt2(self.trunk):
                self._gpt2 = GPT2Step(self.trunk, len(rows), layers[0][0].dtype)
        self._slots.add(rows, layers)

    def _fill(self, cache: Any, aligned: torch.Tensor) -> torch.Tensor:
        """Hidden states (n, L, D) of tokens (n, L), whose keys and values go into a cache."""
        states: torch.Tensor = self.trunk(
            input_ids=aligned, attention_mask=torch.ones_like(aligned), past_key_values=cache, use_cache=True
        ).last_hidden_state
        return states

    def _try(self, width: int) -> str | None:
        """Read a text of W tokens, and beginnings of it, as they are learnt and as they are played.

        Returns:
            Why steps cannot serve, None if they can.

        Raises:
            LoadError: a beginning is read otherwise than within the text, so that no path is right.
        """
        half = width // 2 + 1
        text = ordinary_ids(self.trunk, width)[None]  # (1, W)
        with self._exactly():
            learnt = whole_states(self.trunk, text)[0]  # (W, D)
            # Rotary embeddings of some classes change where the longest text passes a length of theirs.
            for length in (*(2**power for power in range(2, half.bit_length())), half):
                if not mostly_close(whole_states(self.trunk, text[:, :length])[0], learnt[:length]):
                    raise LoadError(
                        f"{type(self.trunk).__name__} reads a text of {length} tokens otherwise beside "
                        f"one of {width}, so that what it plays cannot be learnt; lower "
                        "max_prompt_tokens or max_new_tokens, or take another model."
                    )
            try:
                return self._try_steps(text, half, learnt)
            except torch.OutOfMemoryError:
                raise
            except Exception as error:  # whatever a class that takes another kind of cache fails with
                return f"takes no cache of keys and values ({type(error).__name__})"

    def _exactly(self) -> AbstractContextManager[Any]:
        """Compute in the precision of the weights, whatever the caller is in: bfloat16 would hide small differences.

        Weights of bfloat16 are played under autocast, which their keys, kept in float32 on a CPU, need.
        """
        if self.trunk.dtype == torch.bfloat16:
            return self.arithmetic()
        return torch.autocast(self.trunk.device.type, enabled=False)

    def _try_steps(self, text: torch.Tensor, half: int, learnt: torch.Tensor) -> str | None:
        """Read the last tokens of a text (1, W) and of its half by a step, against states (W, D)."""
        cache: Any = DynamicCache(config=self.trunk.config)
        self._fill(cache, text[:, :-1])
        if strange := _strange(cache):
            return strange
        width = text.shape[1]
        layers = [(layer.keys, layer.values) for layer in cache.layers]
        slots = Slots(layers, 2, width)
        slots.add(np.arange(2), layers)  # both; of the half, what follows its end is masked
        lengths = np.array([width, half])
        gpt2 = GPT2Step(self.trunk, 2, layers[0][0].dtype) if is_plain_gpt2(self.trunk) else None
        step = slots.step(text[0, lengths - 1].cpu().numpy(), lengths)
        played = self._advance(slots, gpt2, step, contextlib.nullcontext)  # (2, D)
        if is_close(played, learnt[lengths - 1]):
            return None
        return f"reads a token after texts of different lengths, up to {width} tokens, otherwise than in its own text"

    def _store(self, rows: NDArray[np.int64], hidden: torch.Tensor) -> None:
        if len(rows) == len(self._seen) and (rows == np.arange(len(rows))).all():
            self._hidden = hidden
            return
        if len(self._hidden) != len(self._seen):
            self._hidden = hidden.new_zeros(len(self._seen), hidden.shape[-1])
        self._hidden[torch.from_numpy(rows).to(hidden.device)] = hidden.to(self._hidden.dtype)

    def _warn(self, why: str | None) -> None:
        if why is not None and not self._warned:
            self._warned = True
            warnings.warn(
                f"{type(self.trunk).__name__} {why}; every token is computed from the whole prefix, with equal results but slower.",
                stacklevel=2,
            )


def _strange(cache: Any) -> str | None:
    """Tell what a model has put into its cache instead of keys and values of one column a token."""
    kinds = sorted({type(layer).__name__ for layer in cache.layers} - {"DynamicLayer"})
    if kinds:
        return f"keeps its past in {', '.join(kinds)}, which cannot be spliced"
    if any(getattr(layer, "keys", None) is None for layer in cache.layers):
        return "leaves the cache of keys and values empty, so that nothing can be spliced"
    if any(layer.keys.shape != layer.values.shape for layer in cache.layers):
        return "keeps its past in keys and values of different widths, which cannot be spliced"
    return None
