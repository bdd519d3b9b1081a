"""What acts in many rows at once, and what it does there."""

from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray


class Act(NamedTuple):
    """What a policy does in N rows.

    Shapes: N rows.
    """

    actions: NDArray[np.int64]
    """(N,) token ids; 0 in rows without a token."""
    log_probs: torch.Tensor
    """(N,) of the actions."""
    values: torch.Tensor
    """(N,) of the states."""
    taken_over: torch.Tensor | None = None
    """(N,) booleans: where an expert chose in the policy's place; None where nobody could."""


class Actor(Protocol):
    """What plays: a `LanguagePolicy`, or something around one."""

    @property
    def device(self) -> torch.device:
        """Where its draws are made."""
        ...

    def eval(self) -> Any:
        """Stop training."""
        ...

    def check_fits(self, width: int) -> None:
        """Refuse texts that are too long."""
        ...

    def act(
        self,
        observations: NDArray[np.int32],
        *,
        allowed: NDArray[np.bool_] | None = None,
        generator: torch.Generator | None = None,
        greedy: bool = False,
    ) -> Act:
        """Choose the next token of every row, as `LanguagePolicy.act` does."""
        ...
