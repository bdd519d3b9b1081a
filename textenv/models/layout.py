"""Move the tokens of observations to where a forward pass wants them.

An observation has its tokens in one run, with -1 before and after it. Left-aligned rows need no attention mask
in a causal model and no position ids; right-aligned rows end together, as a key-value cache needs it.
"""

import numpy as np
import torch
from numpy.typing import NDArray


def last_columns(observations: NDArray[np.int32]) -> NDArray[np.int64]:
    """Find the column of each row's last token: (n, W) to (n,), -1 for a row without one."""
    held = observations >= 0
    return np.where(held.any(1), held.shape[1] - 1 - held[:, ::-1].argmax(1), -1)


def align_right(observations: NDArray[np.int32]) -> NDArray[np.int32]:
    """Shift each row so that its last token is in the last column, and drop columns that are then empty.

    >>> align_right(np.array([[-1, 5, 6, -1], [7, 8, 9, -1]], dtype=np.int32)).tolist()
    [[-1, 5, 6], [7, 8, 9]]
    """
    last = last_columns(observations)  # (n,)
    width = int((observations >= 0).sum(1).max())
    columns = last[:, None] - (width - 1) + np.arange(width)  # (n, L)
    return np.where(columns >= 0, np.take_along_axis(observations, np.maximum(columns, 0), 1), -1).astype(np.int32)


def align_left(observations: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Shift each row so that its first token is in column 0, and drop columns that are then empty.

    Args:
        observations: (B, W) token ids, -1 where there is none.

    Returns:
        (B, L) token ids, 0 where there is none, and (B,) the column in which each row's first token was.
    """
    held = observations >= 0
    first = held.int().argmax(1)  # (B,)
    width = int(held.sum(1).max())
    columns = first[:, None] + torch.arange(width, device=observations.device)  # (B, L)
    inside = columns < observations.shape[1]
    return observations.gather(1, columns.clamp(max=observations.shape[1] - 1)).where(inside, -1).clamp(min=0), first
