"""The grid: moves, walks, exact values and pictures."""

from collections import deque

import pytest

from textenv.envs.grid import CELLS, STARTS, TERMINALS, WAYS, cell_values, draw, next_cell, walk


@pytest.mark.parametrize(
    ("cell", "way", "there"),
    [
        ("B1", " left", "A1"),
        ("B1", " right", "C1"),
        ("A1", " down", "A2"),
        ("A2", " up", "A1"),
        ("B1", " down", "B1"),  # a wall
        ("A1", " up", "A1"),  # the four edges
        ("A1", " left", "A1"),
        ("E2", " right", "E2"),
        ("D4", " down", "D4"),
        ("B3", " left", "A3"),  # a terminal
        ("B1", "C", "B1"),  # no way
        ("Z9", " left", "Z9"),  # no cell
        ("", " left", ""),
    ],
)
def test_moves(cell: str, way: str, there: str) -> None:
    assert next_cell(cell, way) == there


@pytest.mark.parametrize(
    ("text", "end", "moves"),
    [
        ("", "D3", 0),
        (" up", "D2", 1),
        (" right", "D3", 1),
        (" down right", "E4", 2),
        (" down right left up", "E4", 2),
        (" up right up", "E1", 3),
        (" left3: left", "B3", 4),
    ],
)
def test_walks_count_every_token_up_to_a_terminal(text: str, end: str, moves: int) -> None:
    assert walk("D3", text) == (end, moves)


def distances(terminal: str) -> dict[str, int]:
    """The moves from each free cell to a terminal, through no other: breadth first, from the cells and not from the values."""
    found: dict[str, int] = {}
    for start in STARTS:
        queue, seen = deque([(start, 0)]), {start}
        while queue:
            cell, moves = queue.popleft()
            if cell == terminal:
                found[start] = moves
                break
            if cell not in TERMINALS:
                nexts = {next_cell(cell, way) for way in WAYS} - seen
                seen |= nexts
                queue.extend((there, moves + 1) for there in nexts)
    return found


def test_values_are_those_of_the_best_terminal_in_reach() -> None:
    away = {terminal: distances(terminal) for terminal in TERMINALS}
    for moves in range(9):
        reached = {cell: [TERMINALS[t] - away[t][cell] for t in TERMINALS if away[t][cell] <= moves] for cell in STARTS}
        assert cell_values(moves) == {cell: max([-float(moves), *reached[cell]]) for cell in STARTS}


def test_the_grid_is_worth_thinking_about() -> None:
    """The nearest terminal is wrong somewhere, each good one is right somewhere, and no cell is better left at once."""
    away = {TERMINALS[terminal]: distances(terminal) for terminal in TERMINALS}
    assert set(away) == {5, 4, -2}
    values = cell_values(6)
    best = {cell: max(away, key=lambda worth: worth - away[worth][cell]) for cell in STARTS}
    nearest = {cell: min(away, key=lambda worth: away[worth][cell]) for cell in STARTS}
    assert set(best.values()) == {4, 5}
    assert [cell for cell in STARTS if nearest[cell] != best[cell]] == ["D3", "D4"]
    assert min(values.values()) > 0


def test_pictures() -> None:
    assert draw().splitlines() == [
        "           A     B     C     D     E",
        "     1     .     .     .     .    +5",
        "     2     .     #     #     .     .",
        "     3    +4     .     .     .     #",
        "     4     .     .     #     .    -2",
    ]
    assert draw({"A1": -1.2345, "D4": 2.0}).splitlines()[1::3] == [
        "     1 -1.23     .     .     .    +5",
        "     4     .     .     #     2    -2",
    ]
    assert len(CELLS) == 20
