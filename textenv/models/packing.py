"""Examples of different lengths side by side in rows of one width, where none sees another.

Without padding a batch of short examples costs what its tokens cost. Krell et al., "Efficient Sequence Packing without
Cross-contamination", https://arxiv.org/abs/2107.02027.
"""

import inspect
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import torch

from textenv.models.logprobs import token_log_probs
from textenv.models.recompute import recomputed

if TYPE_CHECKING:
    from textenv.models.policy import LanguagePolicy


class Example(NamedTuple):
    """Tokens to be predicted, after some that are given."""

    given: list[int]
    """Ids, at least one."""
    predicted: list[int]
    """Ids, at least one."""


class Packed(NamedTuple):
    """Examples in R rows of L columns."""

    tokens: torch.Tensor
    """(R, L) int64, 0 where there is none."""
    positions: torch.Tensor | None
    """(R, L) int64, counted from 0 in each example; None where no row has two."""
    owner: torch.Tensor
    """(R, L) int64, of each token that is predicted the index of its example; -1 elsewhere."""

    def select(self, rows: torch.Tensor) -> "Packed":
        """Take some rows, as wide as the fullest of them where each holds one example."""
        if self.positions is not None:
            return Packed(self.tokens[rows], self.positions[rows], self.owner[rows])
        owner = self.owner[rows]
        held = (owner >= 0).any(0).nonzero()
        columns = int(held.max()) + 1 if len(held) else 0
        return Packed(self.tokens[rows, :columns], None, owner[:, :columns])

    @property
    def predicted(self) -> torch.Tensor:
        """(R,) tokens that are predicted."""
        return (self.owner >= 0).sum(1)


def share_rows(lengths: Sequence[int], width: int) -> list[list[int]]:
    """Divide examples among rows by best fit, the longest first, so that few columns stay empty.

    >>> share_rows([3, 5, 2, 4, 1], 6)
    [[1, 4], [3, 2], [0]]

    Args:
        lengths: each at most `width`.
        width: of a row.

    Returns:
        The indices of each row's examples.
    """
    rows: list[list[int]] = []
    open_rows: list[list[list[int]]] = [[] for _ in range(width + 1)]  # by the columns that are free
    for index in sorted(range(len(lengths)), key=lambda index: -lengths[index]):
        free = next((free for free in range(lengths[index], width) if open_rows[free]), width)
        row: list[int] = open_rows[free].pop() if free < width else []
        if not row:
            rows.append(row)
        row.append(index)
        open_rows[free - lengths[index]].append(row)
    return rows


def pack(examples: Sequence[Example], width: int, *, together: bool = True) -> Packed:
    """Put examples into rows.

    Args:
        examples: none longer than `width`.
        width: of a row, in tokens; rows become as wide as the fullest of them.
        together: put several into a row, for models of which `packs` says that they can.
    """
    lengths = [len(example.given) + len(example.predicted) for example in examples]
    rows = share_rows(lengths, width) if together else [[index] for index in range(len(examples))]
    columns = max((sum(lengths[index] for index in row) for row in rows), default=0)
    tokens, owner = torch.zeros(len(rows), columns, dtype=torch.long), torch.full((len(rows), columns), -1)
    positions = torch.arange(columns).repeat(len(rows), 1)
    for number, row in enumerate(rows):
        start = 0
        for index in row:
            given, predicted = examples[index]
            end = start + lengths[index]
            tokens[number, start:end] = torch.tensor([*given, *predicted])
            owner[number, start + len(given) : end] = index
            positions[number, start:] = torch.arange(columns - start)
            start = end
    return Packed(tokens, positions if any(len(row) > 1 for row in rows) else None, owner)


def packed_log_probs(policy: "LanguagePolicy", packed: Packed, *, banned: torch.Tensor | None = None) -> tuple[torch.Tensor, torch.Tensor]:
    """Compute log π of every token that is predicted, in one forward pass.

    Args:
        policy: which predicts.
        packed: on any device.
        banned: (V of the head,) tokens without a probability; by default those that the policy never writes.

    Returns:
        (M,) log-probabilities, row after row, and (M,) the indices of their examples, both on the policy's device.
    """
    tokens, owner = packed.tokens.to(policy.device), packed.owner.to(policy.device)
    positions = None if packed.positions is None else packed.positions[:, :-1].to(policy.device)
    banned = policy.banned if banned is None else banned
    wanted = owner[:, 1:] >= 0  # (R, L-1)
    with policy.arithmetic():
        states = _states(policy, tokens[:, :-1], positions)  # (R, L-1, D)
        log_probs = token_log_probs(policy.logits, states[wanted], tokens[:, 1:][wanted], policy.temperature, banned)  # (M,)
    return log_probs, owner[:, 1:][wanted]


def example_log_probs(policy: "LanguagePolicy", examples: Sequence[Example], *, together: bool = True) -> torch.Tensor:
    """Compute log π of all that is predicted in each example, a sum over its tokens: (n,), in one forward pass."""
    width = max(len(example.given) + len(example.predicted) for example in examples)
    log_probs, owner = packed_log_probs(policy, pack(examples, width, together=together))
    return log_probs.new_zeros(len(examples)).index_add(0, owner, log_probs)


@torch.no_grad()
def packs(policy: "LanguagePolicy") -> bool:
    """Try whether a model keeps the examples of a row apart, told only where positions start again."""
    if "position_ids" not in inspect.signature(policy.trunk.forward).parameters:
        return False
    tokens = torch.tensor([[1, 0, 1]], device=policy.device)
    positions = torch.tensor([[0, 0, 1]], device=policy.device)
    together, alone = _states(policy, tokens, positions)[:, 1:], _states(policy, tokens[:, 1:], None)
    return bool((together - alone).abs().max() <= 1e-3 * alone.abs().max())


def _states(policy: "LanguagePolicy", tokens: torch.Tensor, positions: torch.Tensor | None) -> torch.Tensor:
    """Hidden states (R, L, D) of tokens (R, L); embedded first, for of ids that are its padding token transformers would warn."""
    embedded = policy.model.get_input_embeddings()(tokens)
    with recomputed(policy.trunk):
        states: torch.Tensor = policy.trunk(
            inputs_embeds=embedded, use_cache=False, **({} if positions is None else {"position_ids": positions})
        ).last_hidden_state
    return states
