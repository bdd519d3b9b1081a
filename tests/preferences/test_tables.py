"""Tables of comparisons, their pairs, and parts that share no prompt."""

import random
from typing import Any

import numpy as np
import pytest

from textenv.errors import ArgumentError
from textenv.preferences.comparison import Comparison
from textenv.preferences.tables import group_names, judgements, pairs_of, part_of, ranks_of, split


def comparison(prompt: str, k: int, **fields: Any) -> Comparison:
    return Comparison(prompt=prompt, responses=tuple(f"{prompt} {i}" for i in range(k)), **fields)


MANY = [comparison(f"prompt {i % 400}", 2, ranks=(1, 2), annotator=str(i)) for i in range(800)]
"""Two judgements of each of 400 prompts."""


def test_tables_are_padded() -> None:
    table = judgements([comparison("a", 2, ranks=(2, 1)), comparison("b", 3, ratings=(1.0, None, 7)), comparison("c", 3, ranks=(1, 1, 2))])
    assert table.ranks.tolist() == [[2, 1, 0], [0, 0, 0], [1, 1, 2]]
    assert table.ranked.tolist() == [[True, True, False], [False] * 3, [True] * 3]
    assert table.ratings.tolist() == [[0, 0, 0], [1, 0, 7], [0, 0, 0]]
    assert table.rated.tolist() == [[False] * 3, [True, False, True], [False] * 3]
    assert judgements([]).ranks.shape == (0, 0)


def test_ratings_rank_where_nothing_else_does() -> None:
    assert ranks_of(comparison("a", 3, ratings=(2, 6, 2))) == (2, 1, 2)
    assert ranks_of(comparison("a", 3, ratings=(2, 6, None))) is None
    assert ranks_of(comparison("a", 3, ratings=(2, 6, 3), ranks=(1, 2, 3))) == (1, 2, 3)


def test_pairs_are_the_better_minus_the_worse() -> None:
    given = [comparison("a", 3, ranks=(2, 1, 2)), comparison("b", 2, ranks=(1, 1)), comparison("a", 2, ranks=(1, 2))]
    pairs = pairs_of(given, [np.array([1.0, 5.0, 2.0]), np.array([9.0, 0.0]), np.array([0.0, 3.0])])
    assert pairs.differences.tolist() == [4.0, 3.0, -3.0]
    assert pairs.groups.tolist() == [0, 0, 0]
    assert pairs_of([], []).differences.shape == (0,)


def test_a_group_is_a_prompt_or_with_one_prompt_its_responses() -> None:
    assert group_names(MANY[:2]) == ["prompt 0", "prompt 1"]
    one, other, same = (Comparison(prompt="", responses=texts, ranks=(1, 2)) for texts in (("x", "y"), ("x", "z"), ("y", "x")))
    names = group_names([one, other, same])
    assert names[0] == names[2] != names[1]


def test_the_parts_share_no_prompt_whatever_the_order() -> None:
    parts = split(MANY, 0.3)
    prompts = [{one.prompt for one in part} for part in parts]
    assert sum(map(len, prompts)) == 400
    assert len(set.union(*prompts)) == 400
    assert [len(part) for part in parts] == pytest.approx([560, 120, 120], abs=45)
    shuffled = random.Random(0).sample(MANY, len(MANY))
    assert [{one.prompt for one in part} for part in split(shuffled, 0.3)] == prompts
    assert split(MANY, 0.0) == (MANY, [], [])


def test_parts_of_the_learnt_are_nested_and_leave_the_rest_alone() -> None:
    whole, half, eighth = split(MANY, 0.3), split(part_of(MANY, 0.3, 0.5), 0.3), split(part_of(MANY, 0.3, 0.125), 0.3)
    assert half.unseen == eighth.unseen == whole.unseen
    assert half.chosen == eighth.chosen == whole.chosen
    assert len(half.learnt) / len(whole.learnt) == pytest.approx(0.5, abs=0.1)
    assert len(eighth.learnt) / len(whole.learnt) == pytest.approx(0.125, abs=0.06)
    learnt, of_half = ({one.prompt for one in part.learnt} for part in (half, eighth))
    assert of_half < learnt
    assert part_of(MANY, 0.3, 1.0) == MANY


def test_too_few_to_hold_some_out() -> None:
    with pytest.raises(ArgumentError, match=r"^2 comparisons of 2 prompts are too few to hold out 0\.1 of them; give more, or"):
        split(MANY[:2], 0.1)
