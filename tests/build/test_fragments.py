from random import Random

import pytest

from textenv.build.fragments import FragmentRecipe, calibration_split, clauses, fragment, measured_fragments, one_pass


def test_fragment_starts_where_a_sentence_starts() -> None:
    text = "a b c. d e f! g h i? j k"
    rng = Random(0)
    drawn = [fragment(text, 4, rng) for _ in range(400)]
    assert set(drawn) == {"a b c. d", "d e f! g", "g h i? j"}  # "j k" is too short
    assert 0.5 < drawn.count("a b c. d") / 400 < 0.8  # half of them, and a third of the other half


def test_fragment_of_a_short_text_is_the_text() -> None:
    assert fragment(" one  two. three ", 10, Random(0)) == "one two. three"


def test_one_pass_shows_whole_texts_and_fragments() -> None:
    recipe = FragmentRecipe(per_text=3, least=2, most=4)
    texts = ["a b c d e f g. h i j", "k l m n o p q r"]
    shown, wanted = one_pass(texts, [1, 0], recipe, Random(0))
    assert wanted == [1] * 4 + [0] * 4
    assert [shown[0], shown[4]] == texts
    assert all(2 <= len(shown[i].split()) <= 4 for i in (1, 2, 3, 5, 6, 7))
    assert (shown, wanted) == one_pass(texts, [1, 0], recipe, Random(0))
    assert shown != one_pass(texts, [1, 0], recipe, Random(1))[0]


def test_clauses_end_after_runs_of_chinese_marks() -> None:
    assert clauses("很好，很快！！下次再来。。好") == ["很好，", "很快！！", "下次再来。。", "好"]
    assert clauses("") == []


def test_fragment_of_characters_starts_where_a_clause_starts() -> None:
    rng = Random(0)
    drawn = [fragment("很好，很快！下次再来", 4, rng, "characters") for _ in range(400)]
    assert set(drawn) == {"很好，很", "很快！下", "下次再来"}
    assert 0.5 < drawn.count("很好，很") / 400 < 0.8


def test_one_pass_counts_in_the_recipe_s_unit() -> None:
    recipe = FragmentRecipe(unit="characters", per_text=4, least=3, most=5)
    shown, _ = one_pass(["一二三四五六七八九十"], [1], recipe, Random(0))
    assert shown[0] == "一二三四五六七八九十"
    assert all(3 <= len(text) <= 5 and text in shown[0] for text in shown[1:])


@pytest.mark.parametrize(
    ("recipe", "text"), [(FragmentRecipe(measured=3), "a b c d e f"), (FragmentRecipe(unit="characters", measured=3), "一二三四五")]
)
def test_measured_fragments_are_four_of_each_text(recipe: FragmentRecipe, text: str) -> None:
    pieces = measured_fragments([text, "x"], recipe, seed=0)
    assert len(pieces) == 8
    assert pieces[:4] == [text[:5] if recipe.unit == "words" else text[:3]] * 4
    assert pieces[4:] == ["x"] * 4


def test_calibration_split_is_of_every_so_manieth() -> None:
    learnt, kept = calibration_split(7, 3)
    assert (learnt, kept) == ([1, 2, 4, 5], [0, 3, 6])
