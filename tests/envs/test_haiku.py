"""The form of a haiku, scored by hand."""

from typing import Any

import gymnasium
import pytest

from textenv.envs.haiku import haiku_score, is_over, is_strict

STRICT = "An old silent pond\nA frog jumps into the pond\nSplash! Silence again"


@pytest.mark.parametrize(
    ("text", "form", "lines", "season"),
    [
        (STRICT, 1, 1, 1),
        ("\n" + STRICT + "\n", 1, 1, 1),
        ("a frog", 1 / 4 / 3, 0, 1),  # one line, three syllables from its five
        ("An old silent pond\nthe pond", (1 + 1 / 6) / 3, 0.5, 0),
        ("An old silent pond\nA frog jumps into the pond\nSplash! Silence", (1 + 1 + 1 / 3) / 3, 1, 1),
        (STRICT + "\nonce more", 1, 0.5, 1),
        ("", 1 / 6 / 3, 0, 0),
        ("古池や蛙飛びこむ水の音", 1 / 5 / 3, 0, 0),
    ],
)
def test_scores_by_hand(text: str, form: float, lines: float, season: float) -> None:
    scores = haiku_score([text], ["frog"])
    assert scores.parts == {"syllables": [pytest.approx(form)], "lines": [lines], "season": [season], "distinct": [1]}
    assert list(scores) == [pytest.approx(0.8 * form + 0.1 * lines + 0.1 * season)]


def test_the_season_word_counts_by_its_long_words() -> None:
    found = haiku_score(["wild geese", "geese", "a sparrow", "tea", "green tea"], ["wild geese"] * 3 + ["tea", "Tea"])
    assert found.parts["season"] == [1, 0.5, 0, 1, 1]


def test_strict_is_five_seven_five_and_nothing_else() -> None:
    texts = [STRICT, STRICT + "\n", STRICT + "\nagain", STRICT.replace("again", ""), STRICT.replace("\n", " "), ""]
    assert is_strict(texts) == [1, 1, 0, 0, 0, 0]


def test_a_third_new_line_is_the_end() -> None:
    assert [is_over(text) for text in ("", STRICT, STRICT + "\n", STRICT + "\nmore")] == [False, False, True, True]


def test_prompts_ask_for_their_season_word() -> None:
    env: Any = gymnasium.make("TextHaiku-v0")
    rules = env.unwrapped.rules
    words = rules.prompts.columns["season_word"]
    assert len(set(words)) == len(words) >= 100
    assert rules.prompts.texts == [f"Haiku about {word}:\n" for word in words]
    assert not rules.prompts.dropped.any()


@pytest.mark.parametrize("text", ["pond " * 1000, "\n".join(["pond"] * 9), "snow snow snow snow snow\n" * 3])
def test_repetition_earns_next_to_nothing(text: str) -> None:
    scores = haiku_score([text], ["pond"])
    pairs = len(text.split()) - 1
    assert scores.parts["distinct"] == [pytest.approx(1 / pairs)]
    assert scores[0] <= 1 / pairs


def test_the_share_of_different_pairs_multiplies() -> None:
    scores = haiku_score(["An old silent pond\nAn old frog jumps in the pond\nSplash! Silence again"], ["frog"])
    assert scores.parts["distinct"] == [pytest.approx(12 / 13)]
    assert list(scores) == [pytest.approx(12 / 13)]
