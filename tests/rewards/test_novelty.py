"""Copying, counted by hand."""

import pickle

import pytest

from textenv.errors import ArgumentError
from textenv.rewards.novelty import Novelty

PROMPT = "The old man sold his boat. He misses it."


@pytest.mark.parametrize(
    ("n", "completion", "expected"),
    [
        (4, "THE OLD MAN sold", 0),
        (4, "the old man sold a boat", 2 / 3),  # three 4-grams, the first of them copied
        (4, "an old man misses his boat", 1),
        (4, "the old man", 1),
        (4, "", 1),
        (1, "the boat sank", 1 / 3),
        (2, "his boat " * 10_000, 9_999 / 19_999),
        (2, "我爱电影", 1),
    ],
)
def test_scores_by_hand(n: int, completion: str, expected: float) -> None:
    reward = pickle.loads(pickle.dumps(Novelty(n)))
    assert reward(prompts=[PROMPT], completions=[completion]) == [pytest.approx(expected)]


def test_every_text_is_compared_with_its_own_prompt() -> None:
    assert Novelty(2)(prompts=["我爱电影", "a b"], completions=["我爱书", "我爱"]) == [0.5, 1]


def test_a_column_may_take_the_place_of_the_prompt() -> None:
    reward = Novelty(2, of="text")
    assert reward.columns == ("text",)
    assert reward(prompts=["a b", "a b"], completions=["a b", "a b"], text=["b a", "A B."]) == [1, 0]


def test_n_grams_have_words() -> None:
    with pytest.raises(ArgumentError, match="Novelty needs n-grams of at least 1 word, got n=0"):
        Novelty(0)
