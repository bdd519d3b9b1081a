"""Slots keep each text's keys and values wherever the text has to move."""

import numpy as np
import pytest
import torch

from textenv.models.slots import Slots, write

HEADS, SIZE, WIDTH = 2, 3, 6


def texts(n: int, length: int, value: float) -> list[tuple[torch.Tensor, torch.Tensor]]:
    return [
        (torch.full((n, HEADS, length, SIZE), float(value + layer)), torch.full((n, HEADS, length, SIZE), float(-value - layer)))
        for layer in (0, 100)
    ]


def held(slots: Slots) -> dict[int, list[float]]:
    """What the first layer's keys of each row's slot begin with."""
    return {int(row): slots.layers[0][slot, 0, 0, :, 0].tolist() for slot, row in enumerate(slots.rows)}


def make_slots() -> Slots:
    slots = Slots(texts(1, 1, 0), 5, WIDTH)
    for row in range(5):
        slots.add(np.array([row]), texts(1, 2, row + 1.0))
    return slots


@pytest.mark.parametrize("kept", [[0, 1, 2, 3, 4], [1, 2, 3, 4], [0, 4], [3], [], [0, 1]])
def test_texts_that_stay_keep_their_numbers(kept: list[int]) -> None:
    slots = make_slots()
    slots.keep(np.isin(np.arange(5), kept))
    assert sorted(slots.rows.tolist()) == kept
    assert held(slots) == {row: [row + 1.0, row + 1.0, 0, 0, 0, 0] for row in kept}
    slots.add(np.array([9]), texts(1, 3, 50.0)) if len(kept) < 5 else None
    assert held(slots).get(9, [50.0])[0] == 50.0
    assert torch.equal(slots.layers[1][: len(slots.rows), 1, 0, 0, 0], -100 - slots.layers[0][: len(slots.rows), 0, 0, 0, 0])


@pytest.mark.parametrize("lengths", [[3, 3], [2, 4]])
def test_a_step_writes_one_column_of_each(lengths: list[int]) -> None:
    slots = Slots(texts(1, 1, 0), 2, WIDTH)
    slots.add(np.array([0, 1]), texts(2, 1, 1.0))
    step = slots.step(np.array([7, 8], dtype=np.int32), np.array(lengths))
    assert (step.tokens.tolist(), step.positions.tolist(), step.columns) == ([7, 8], [length - 1 for length in lengths], max(lengths))
    assert (step.mask is None) == (lengths[0] == lengths[1])
    if step.mask is not None:
        assert step.mask.tolist() == [[True, True, False, False], [True, True, True, True]]
    new = torch.randn(2, 2, HEADS, SIZE)
    keys, values = write(slots.layers[0], new, step)
    assert keys.shape == values.shape == (2, HEADS, step.columns, SIZE)
    for row, length in enumerate(lengths):
        assert torch.equal(keys[row, :, length - 1], new[row, 0])
        assert torch.equal(values[row, :, length - 1], new[row, 1])
        assert (keys[row, :, 0] == 1).all()
        assert (slots.layers[0][row, :, :, length:] == 0).all()
