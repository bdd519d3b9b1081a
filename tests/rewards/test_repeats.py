"""Equal texts are scored once."""

import pytest

from textenv.rewards.repeats import once


def test_each_different_item_is_scored_once_and_in_its_place() -> None:
    asked: list[list[str]] = []

    def score(texts: list[str]) -> list[float]:
        asked.append(texts)
        return [float(len(text)) for text in texts]

    assert once(["bb", "a", "bb", "", "a"], score) == [2.0, 1.0, 2.0, 0.0, 1.0]
    assert asked == [["bb", "a", ""]]
    assert once([], score) == []
    assert len(asked) == 1


def test_a_score_too_few_is_an_error() -> None:
    with pytest.raises(ValueError, match="shorter"):
        once(["a", "b"], lambda texts: [1.0])
