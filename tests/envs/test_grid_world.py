"""TextGridWorld-v0: what it pays, when it ends, and its exact values."""

from typing import Any

import gymnasium
import numpy as np
import pytest

from textenv.envs.exact import ExactMDP
from textenv.envs.grid import STARTS, cell_values
from textenv.envs.grid_world import SYMBOLS, TASK, payments
from textenv.models.policy import LanguagePolicy

UP, DOWN, LEFT, RIGHT, EOS = range(10, 15)


def play(start: str, *tokens: int) -> tuple[list[float], list[bool], dict[str, Any]]:
    env: Any = gymnasium.make("TextGridWorld-v0")
    env.reset(seed=0, options={"prompt_index": STARTS.index(start)})
    steps = [env.step(np.int64(token)) for token in tokens]
    return [step[1] for step in steps], [step[2] for step in steps], steps[-1][-1]


def test_symbols_are_where_these_tests_expect_them() -> None:
    assert SYMBOLS[UP:EOS] == (" up", " down", " left", " right")
    assert TASK.prompts == [f"{cell}:" for cell in STARTS]


@pytest.mark.parametrize(
    ("start", "tokens", "paid", "reason"),
    [
        ("D3", (UP, UP, RIGHT, EOS), [-1, -1, 4, 0], "eos"),
        ("D3", (DOWN, RIGHT, EOS), [-1, -3, 0], "eos"),
        ("A1", (LEFT, DOWN, DOWN, EOS), [-1, -1, 3, 0], "eos"),
        ("B1", (DOWN, UP, LEFT, RIGHT, DOWN, DOWN), [-1] * 6, "length"),
        ("E2", (RIGHT, RIGHT, RIGHT, DOWN, DOWN, UP), [-1] * 5 + [4], "length"),
        ("D4", (LEFT, LEFT, LEFT, LEFT, LEFT, RIGHT), [-1] * 5 + [-3], "length"),
    ],
)
def test_each_move_is_paid_when_it_is_made(start: str, tokens: tuple[int, ...], paid: list[float], reason: str) -> None:
    rewards, terminated, info = play(start, *tokens)
    assert rewards == paid
    assert terminated == [False] * (len(tokens) - 1) + [True]
    assert (info["finish_reason"], info["score"]) == (reason, sum(paid))


def test_a_walk_reads_as_words() -> None:
    assert play("D3", UP, UP, RIGHT, EOS)[2]["completion"] == " up up right"


def test_nothing_is_charged_after_a_terminal_and_a_token_that_is_no_move_costs_one() -> None:
    assert play("D4", RIGHT, UP, UP)[0] == [-3, 0, 0]
    assert play("D4", 0, EOS, RIGHT)[:2] == ([-1, 0, -3], [False] * 3)
    assert payments(["Z9:", ""], [" up", " up down"]) == [-1, -2]


def test_the_mask_leaves_moves_and_at_a_terminal_the_end() -> None:
    env: Any = gymnasium.make("TextGridWorld-v0")
    env.reset(seed=0, options={"prompt_index": STARTS.index("D2")})
    for token in (UP, RIGHT):
        assert np.flatnonzero(env.unwrapped.action_masks()).tolist() == [UP, DOWN, LEFT, RIGHT]
        env.step(np.int64(token))
    assert np.flatnonzero(env.unwrapped.action_masks()).tolist() == [EOS]


@pytest.mark.parametrize("moves", [3, 5])
def test_the_enumerated_optimum_is_the_dynamic_programme_over_cells(moves: int) -> None:
    envs: Any = gymnasium.make_vec("TextGridWorld-v0", num_envs=1, max_new_tokens=moves)
    rules = envs.unwrapped.rules
    solution = ExactMDP(rules, LanguagePolicy.for_rules(rules)).solve(0.0)
    np.testing.assert_allclose(solution.values[0], [cell_values(moves)[cell] for cell in STARTS], atol=1e-9)
    assert solution.evaluation.score == pytest.approx(np.mean(list(cell_values(moves).values())))
