"""Rules for answers."""

import pytest

from textenv.rewards.answers import ListOf, changed, courteous
from textenv.world.tables import ANIMALS, FOODS, JOBS, THINGS


@pytest.mark.parametrize(
    ("text", "score"),
    [
        ("Apple, pear and plum.", 1.0),
        ("apple; pear\nplum", 1.0),
        ("Apple and pear.", 2 / 3),
        ("Apple, apple and apple.", 1 / 3),
        ("Apple, pear, plum, lemon and stone.", 3 / 5),
        ("stone", 0.0),
        ("apple pear plum", 0.0),
        ("Apple, pear, and plum.", 1.0),
        ("Apple, pear and plum.\n", 1.0),
        (" Apple,\npear,\nplum,\n", 1.0),
        ("An apple, a pear and a plum.", 1.0),
        ("Apples, pears, and plums!", 1.0),
        ('"Apple, pear and plum."', 1.0),
        ("Apple, apples and an apple.", 1 / 3),
        ("An apples, a pear and a plum.", 2 / 3),
        ("Apple, pear, and", 2 / 3),
        ("Apple, pear and plums of plum.", 2 / 3),
        (", , and ,", 0.0),
        ("", 0.0),
    ],
)
def test_a_list_is_paid_by_its_right_items(text: str, score: float) -> None:
    assert ListOf()([text], members=[["apple", "pear", "plum", "lemon"]]) == [pytest.approx(score)]


def test_every_member_of_the_micro_world_counts_in_the_plural() -> None:
    singular = [*(row.name for row in ANIMALS), *(row.name for row in FOODS), *(row.name for row in JOBS), *(row.name for row in THINGS)]
    plural = [*(row.plural for row in ANIMALS), *(row.plural for row in FOODS)]
    plural += [*(f"{row.name}s" for row in JOBS), *map(_plural, (row.name for row in THINGS))]
    assert "knives" in plural
    assert "shelves" in plural
    scores = ListOf(count=1)(plural, members=[[name] for name in singular])
    assert dict(zip(plural, scores, strict=True)) == dict.fromkeys(plural, 1.0)


def _plural(thing: str) -> str:
    return {"knife": "knives", "scarf": "scarves", "shelf": "shelves"}.get(thing, f"{thing}s")


@pytest.mark.parametrize(
    ("text", "source", "score"),
    [
        ("Tom ran.", "Tom ran.", 0.0),
        (" tom RAN", "Tom ran.", 0.0),
        ("Say it again: Tom ran. Yes.", "Tom ran.", 0.0),
        ("Tom ranted.", "Tom ran.", 1.0),
        ("Tom runs.", "Tom ran.", 1.0),
        ("Tom", "Tom ran.", 1.0),
        ("", "Tom ran.", 1.0),
        ("Tom ran.", "", 1.0),
    ],
)
def test_a_source_that_is_left_as_it_is_is_not_changed(text: str, source: str, score: float) -> None:
    assert changed([text], [source]) == [score]


@pytest.mark.parametrize(
    ("text", "source", "score"),
    [
        ("Give me the drum!", "Give me the damn drum!", 0.0),
        ("Please give me the drum.", "Give me the damn drum!", 1.0),
        ("Give me the drum, PLEASE.", "Give me the damn drum!", 1.0),
        ("Could  you give me the drum?", "Give me the damn drum!", 1.0),
        ("I am pleased to get the drum.", "Give me the damn drum!", 0.0),
        ("You could give me the drum.", "Give me the damn drum!", 0.0),
        ("Give me the drum.", "Give me the damn drum！ ", 0.0),
        ("", "Give me the damn drum!", 0.0),
        ("Tom is late.", "The fool is late.", 1.0),
        ("Why is Tom late?", "Why the hell is Tom late?", 1.0),
        ("Tom is late!", "", 1.0),
        ("Give me the drum.", 'He said: "Give me the damn drum!"', 0.0),
        ("Give me the drum.", "Give me the damn drum! :)", 0.0),
        ("Give me the drum.", "Will you give me the damn drum!?", 1.0),
        ("I'd like the drum.", "Give me the damn drum!", 1.0),
        ("Kindly hand me the drum.", "Give me the damn drum!", 1.0),
        ("May we have the drum?", "Give me the damn drum!", 1.0),
    ],
)
def test_an_order_needs_a_courtesy(text: str, source: str, score: float) -> None:
    assert courteous([text], [source]) == [score]
