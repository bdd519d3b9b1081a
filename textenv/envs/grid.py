"""The grid of TextGridWorld-v0: its cells, walks through it, its exact values, and how it looks.

A cell is its column and row, such as "D3". A way is what a token says: " up", " down", " left" or " right".
"""

import re
from collections.abc import Mapping
from typing import Final

ROWS: Final = (
    " .   .   .   .  +5",
    " .   #   #   .   .",
    "+4   .   .   .   #",
    " .   .   #   .  -2",
)
CELLS: Final = {column + str(row): mark for row, marks in enumerate(ROWS, 1) for column, mark in zip("ABCDE", marks.split(), strict=True)}
STARTS: Final = [cell for cell, mark in CELLS.items() if mark == "."]
TERMINALS: Final = {cell: float(mark) for cell, mark in CELLS.items() if mark not in ".#"}
WAYS: Final = {" up": (0, -1), " down": (0, 1), " left": (-1, 0), " right": (1, 0)}
_TOKEN: Final = re.compile("|".join([*WAYS, "."]))


def next_cell(cell: str, way: str) -> str:
    """Move one cell on; against a wall or the edge, or by what is no way, stay.

    >>> next_cell("D3", " up"), next_cell("D3", " right")
    ('D2', 'D3')
    """
    there = "".join(chr(ord(sign) + shift) for sign, shift in zip(cell, WAYS.get(way, (0, 0)), strict=False))
    return there if CELLS.get(there, "#") != "#" else cell


def walk(cell: str, text: str) -> tuple[str, int]:
    """Walk as a text says, to a terminal at most: where that leads, and in how many moves.

    >>> walk("D3", " up up right left")
    ('E1', 3)
    """
    moves = 0
    for way in _TOKEN.findall(text):
        if cell in TERMINALS:
            break
        cell, moves = next_cell(cell, way), moves + 1
    return cell, moves


def cell_values(moves: int) -> dict[str, float]:
    """Find the best score from each free cell with so many moves left.

    V_n(cell) = max over ways of V_{n-1}(next cell) - 1, with V_0 = 0 and V = its worth at a terminal.
    """
    values = dict.fromkeys(STARTS, 0.0)
    for _ in range(moves):
        after = {**values, **TERMINALS}
        values = {cell: max(after[next_cell(cell, way)] for way in WAYS) - 1 for cell in STARTS}
    return values


def draw(values: Mapping[str, float] | None = None) -> str:
    """Draw the grid as lines of text, with these values in their cells, to three digits."""
    shown = {**CELLS, **{cell: f"{value:.3g}" for cell, value in (values or {}).items()}}
    lines = ["".join(f"{text:>6}" for text in ["", *"ABCDE"])]
    lines += ["".join(f"{text:>6}" for text in [row, *(shown[column + row] for column in "ABCDE")]) for row in "1234"]
    return "\n".join(lines)
