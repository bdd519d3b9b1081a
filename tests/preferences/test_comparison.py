"""`Comparison`: what it refuses, its pairs and ties, and which prompts are held out."""

from typing import Any

import pytest

from textenv.errors import ArgumentError
from textenv.preferences.comparison import Comparison, check_ranks, is_held_out


def comparison(k: int = 3, **fields: Any) -> Comparison:
    return Comparison(prompt="p", responses=tuple("abcdefghi"[:k]), **fields)


def test_pairs_and_ties_of_a_ranking() -> None:
    judged = comparison(4, ranks=(2, 1, 2, 4))
    assert judged.pairs == [(0, 3), (1, 0), (1, 2), (1, 3), (2, 3)]
    assert judged.ties == [(0, 2)]
    assert len(judged.pairs) + len(judged.ties) == 6


def test_who_cannot_tell_has_neither() -> None:
    assert comparison(ratings=(1.0, None, 7.0)).pairs == comparison().ties == []


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"k": 1}, "two or more responses, got 1"),
        ({"ranks": (1, 2)}, "3 integers from 1"),
        ({"ranks": ()}, "3 integers from 1"),
        ({"ranks": (2, 3, 3)}, "3 integers from 1"),
        ({"ranks": (1, 2, 4)}, "at most 3"),
        ({"ranks": (1, 2.0, 3)}, "3 integers"),
        ({"ranks": (True, 2, 3)}, "3 integers"),
        ({"ratings": (1.0, 2.0)}, "3 ratings, got 2"),
        ({"ratings": (0.5, 2.0, 3.0)}, "between 1 and 7, got 0.5"),
        ({"ratings": (7.5, 2.0, 3.0)}, "between 1 and 7, got 7.5"),
        ({"ratings": (float("nan"), 2.0, 3.0)}, "between 1 and 7, got nan"),
        ({"ratings": ("1", 2.0, 3.0)}, "a number between 1 and 7, got '1'"),
        ({"ratings": (1j, 2.0, 3.0)}, "a number between 1 and 7, got 1j"),
        ({"ratings": ([1], 2.0, 3.0)}, r"a number between 1 and 7, got \[1\]"),
        ({"ratings": (True, 2.0, 3.0)}, "a number between 1 and 7, got True"),
        ({"ratings": 5}, "ratings of a comparison are a tuple, got 5"),
        ({"ranks": "123"}, "ranks of a comparison are a tuple, got '123'"),
        ({"sources": "abc"}, "sources of a comparison are a tuple, got 'abc'"),
        ({"sources": ("run",)}, "3 sources, got 1"),
        ({"sources": ("run", 2, "c")}, '"sources" is 2, not text'),
        ({"sources": ("run", "\ud83d\ude00", "c")}, "\"sources\" holds '.ud83d', half of a character"),
        ({"annotator": b"anna"}, "\"annotator\" is b'anna', not text"),
        ({"annotator": "\udfff"}, "\"annotator\" holds '.udfff', half of a character"),
    ],
)
def test_what_does_not_fit_is_refused(fields: dict[str, Any], says: str) -> None:
    with pytest.raises(ArgumentError, match=says) as caught:
        comparison(**fields)
    assert "'p'" in str(caught.value)


def test_lists_and_ranges_become_tuples() -> None:
    judged: Any = {"responses": ["a", "b"], "ranks": range(1, 3), "ratings": [7, None], "sources": ["x", "y"]}
    tuples: Any = {name: tuple(values) for name, values in judged.items()}
    assert Comparison(prompt="p", **judged) == Comparison(prompt="p", **tuples)


def test_ranks_are_checked_against_their_number() -> None:
    check_ranks([1, 1], 2, "p")
    with pytest.raises(ArgumentError, match="got \\[1, 1\\] for the prompt 'p'"):
        check_ranks([1, 1], 3, "p")


def test_the_held_out_share_of_prompts_is_held_out() -> None:
    prompts = [f"prompt {n}" for n in range(4000)]
    held_out = [is_held_out(prompt, 0.2) for prompt in prompts]
    assert sum(held_out) / 4000 == pytest.approx(0.2, abs=0.03)  # the standard deviation is .0063
    assert held_out == [is_held_out(prompt, 0.2) for prompt in prompts]
    assert all(is_held_out(prompt, 0.5) for prompt, held in zip(prompts, held_out, strict=True) if held), "larger parts hold smaller ones"
    assert not any(is_held_out(prompt, 0.0) for prompt in prompts)
