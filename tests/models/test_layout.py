"""Where the tokens of observations go for a forward pass."""

import numpy as np
import torch

from textenv.models.layout import align_left, align_right, last_columns

ROWS = np.array([[-1, 0, 1, 2, -1, -1], [3, 4, 5, 6, 7, -1], [-1, -1, 8, -1, -1, -1]], dtype=np.int32)


def test_last_columns() -> None:
    assert last_columns(np.concatenate([ROWS, np.full((1, 6), -1, dtype=np.int32)])).tolist() == [3, 4, 2, -1]


def test_align_right() -> None:
    assert align_right(ROWS).tolist() == [[-1, -1, 0, 1, 2], [3, 4, 5, 6, 7], [-1, -1, -1, -1, 8]]


def test_align_left() -> None:
    tokens, first = align_left(torch.from_numpy(ROWS).long())
    assert tokens.tolist() == [[0, 1, 2, 0, 0], [3, 4, 5, 6, 7], [8, 0, 0, 0, 0]]
    assert first.tolist() == [1, 0, 2]


def test_align_left_at_the_right_edge() -> None:
    tokens, first = align_left(torch.tensor([[-1, -1, -1, 1], [2, 3, -1, -1]]))
    assert tokens.tolist() == [[1, 0], [2, 3]]
    assert first.tolist() == [3, 0]
