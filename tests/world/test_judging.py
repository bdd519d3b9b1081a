"""The exact judges."""

import re
from random import Random
from typing import Any

import pytest

from textenv.world.judging import coherent, describes, is_accepted, lists, named, plain, right, sums_up, tells, written
from textenv.world.plots import PLOTS, Plot
from textenv.world.stories import fill, scene
from textenv.world.tables import ANIMALS, FOODS, JOBS, THINGS

STORY = (
    "On Monday, Tom went to the park. He took his red ball along. At the park, he lost the ball. "
    "Lily found the ball under a bench. Tom was happy and thanked Lily."
)
WANTED = ["Lily", "Tom", "ball"]
LINK = "But there is more to tell."
OTHER = (
    "Tom and Lily were at the zoo. Both of them wanted the red ball. Lily took it and ran away. Tom shouted at Lily. "
    "Tom was angry and went home."
)
KEY = {"who": "Tom", "thing": "ball", "place": "park", "other": "Lily"}


@pytest.mark.parametrize(
    ("text", "accepted"),
    [
        ("A cow eats grass.", True),
        (" a COW  eats grass", True),
        ("Grass.", True),
        ("A cow does not eat grass.", False),
        ("grass grass", False),
        ("\u201cGrass.\u201d", True),
        ("Grass\u00a0.", True),
        ("the grass", True),
        ("a grass", True),
        ("an grass", False),
        ("no grass", False),
        ("Grass. Hay.", False),
    ],
)
def test_an_answer_is_accepted_in_any_case_and_without_its_full_stop(text: str, accepted: bool) -> None:
    assert is_accepted(text, ["Grass.", "A cow eats grass."]) is accepted


@pytest.mark.parametrize(
    ("text", "accepted"),
    [
        ("the park", True),
        ("Park", True),
        ("at park", True),
        ("in the park", False),
        ("at the lake", False),
        ("not at the park", False),
    ],
)
def test_a_short_answer_may_leave_its_preposition_out(text: str, accepted: bool) -> None:
    assert is_accepted(text, ["At the park.", "Tom lost the ball at the park."]) is accepted


@pytest.mark.parametrize(
    ("text", "skill", "answer", "accepted"),
    [
        ("It eats grass.", "animal_fact", "A cow eats grass.", True),
        ("They eat grass.", "animal_fact", "Cows eat grass.", True),
        ("it eats hay.", "animal_fact", "A cow eats grass.", False),
        ("They eats grass.", "animal_fact", "A cow eats grass.", False),
        ("She is afraid.", "feeling", "Emma is afraid.", True),
        ("He is afraid.", "feeling", "Emma is afraid.", False),
        ("It tastes sweet.", "food_fact", "Honey tastes sweet.", True),
        ("It is a thing.", "kind", "A knife is a thing.", True),
        ("She bakes bread.", "job_fact", "A baker bakes bread.", True),
        ("She found it.", "reading", "Emma found it.", False),
        ("He ran home.", "past", "Tom ran home.", False),
    ],
)
def test_a_pronoun_may_stand_for_what_was_asked_about(text: str, skill: str, answer: str, accepted: bool) -> None:
    assert right([text], [skill], [[answer]], [{}]) == [float(accepted)]


def test_numbers_may_be_digits_and_commas_left_out() -> None:
    assert is_accepted("12", ["Twelve."])
    assert is_accepted("5 plus 7 is 12.", ["Five plus seven is twelve."])
    assert not is_accepted("13", ["Twelve.", "Thirty."])
    assert not is_accepted("99", ["Nine."])
    assert is_accepted("If it rains the ground gets wet.", ["If it rains, the ground gets wet."])


def test_plain_and_named() -> None:
    assert plain(" A  b. ") == "a b"
    assert named("The cows and an owl", ["cow", "owl"]) == {"owl"}


def test_a_text_is_written_as_the_generators_write() -> None:
    assert written(STORY) == STORY.replace(". ", ".\n").split("\n")
    assert written(STORY.upper()) == written(f"  {STORY.lower().rstrip('.')} ") == written(STORY)


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("Apple, pear and plum.", True),
        ("apple, pear, plum", True),
        ("Apple, pear, and plum.", True),
        ("Apples, pears and plums.", True),
        ("An apple, a pear and a plum.", True),
        ("A apple, a pear and a plum.", False),
        ("Apple, apples and pear.", False),
        ("Apple,, pear and plum.", False),
        ("No apple, pear and plum.", False),
        ("Apple, pear and apple.", False),
        ("Apple and pear.", False),
        ("Apple, pear, plum and lemon.", False),
        ("Apple, pear and cow.", False),
        ("I like apple, pear and plum.", False),
        ("", False),
    ],
)
def test_a_list_holds_the_asked_number_of_members_and_nothing_else(text: str, holds: bool) -> None:
    assert lists(text, ["apple", "pear", "plum", "lemon"], 3) is holds


@pytest.mark.parametrize("table", [ANIMALS, FOODS, JOBS, THINGS], ids=["animals", "foods", "jobs", "things"])
def test_members_may_stand_in_the_plural(table: tuple[Any, ...]) -> None:
    names = [row.name for row in table]
    plurals = {"knife": "knives", "scarf": "scarves", "shelf": "shelves"}
    for at in range(len(table) - 2):
        three = [getattr(row, "plural", plurals.get(row.name, f"{row.name}s")) for row in table[at : at + 3]]
        assert lists(f"{three[0]}, {three[1]} and {three[2]}", names, 3), three


@pytest.mark.parametrize(
    ("text", "share"),
    [
        ("Tom lost his ball at the park, and Lily found it.", 1.0),
        ("Lily found the ball that Tom lost at the park.", 1.0),
        ("Lily lost her ball at the park, and Tom found it.", 0.0),
        ("Tom lost his ball at the lake, and Lily found it.", 0.0),
        ("Tom got a ball from Lily for his birthday.", 0.0),
        ("Tom lost her ball at the park, and Lily found it.", 0.0),
        ("Tom ball park Lily", 0.0),
        (" tom lost his ball at the park,  and LILY found it", 1.0),
        ("tom lost his ball at the lake, and lily found it", 0.0),
        ("Tom lost his ball at the park, and Lily found it. Lily kept it.", 0.0),
        ("Tom lost his ball at the park, and Lily never found it.", 0.0),
        (STORY, 0.0),
        ("", 0.0),
    ],
)
def test_a_summary_says_who_did_what(text: str, share: float) -> None:
    assert sums_up(text, "lost", KEY) == share


MUTUAL = {
    "storm": [
        "Tom and Lily hid from a storm at the park.",
        "A storm came at the park, and Tom hid with Lily.",
    ],
    "promise": ["Lily did not meet Tom at the park."],
}


@pytest.mark.parametrize("plot", PLOTS, ids=[plot.name for plot in PLOTS])
def test_a_summary_with_the_people_swapped_is_right_where_both_did_the_same(plot: Plot) -> None:
    slots = scene(Random(plot.name), who="Tom", other="Lily", place="park")
    key = {name: slots[name] for name in plot.key}
    right_ones = [fill(way, slots) for way in plot.summary]
    swapped = {way: re.sub("Tom|Lily", lambda name: {"Tom": "Lily", "Lily": "Tom"}[name[0]], way) for way in right_ones}
    for way, other in swapped.items():
        assert sums_up(way, plot.name, key) == 1.0, way
        as_true = way in MUTUAL.get(plot.name, ()) or ("other" not in key and other == way)
        assert (sums_up(other, plot.name, key) == 1.0) is as_true, other


def test_a_summary_that_leaves_a_fact_out_is_worth_its_share() -> None:
    key = {"who": "Tom", "animal": "cow", "place": "park", "food": "apples"}
    assert sums_up("Tom gave some apples to a hungry cow at the park.", "rescue", key) == 1.0
    assert sums_up("Tom gave some apples to a hungry pig at the park.", "rescue", key) == 0.0
    noise = {"who": "Tom", "animal": "cow", "place": "park", "day": "Monday"}  # no summary says the day
    assert sums_up("Tom was afraid of a cow at the park.", "noise", noise) == 0.75
    assert sums_up("Tom was afraid of an owl at the park.", "noise", noise) == 0.0


@pytest.mark.parametrize(
    ("text", "score"),
    [
        (STORY, 1.0),
        (STORY + " The moon sings.", 5 / 6),
        (STORY.replace("Lily", "Emma"), 3 / 5 * 2 / 3),  # Emma is no part of it, and a name of three is missing
        (f"{STORY} {STORY}", 1 / 2),
        (f"{STORY} But there is more to tell. {STORY}", 5 / 11),  # the link leads to nothing new
        (f"{STORY} {LINK} {OTHER}", 1.0),
        (f"{STORY} {LINK} {LINK} {OTHER}", 10 / 12),
        (f"{STORY} {LINK} {OTHER} {LINK}", 10 / 11),
        (f"{LINK} {STORY}", 5 / 6),
        (f"{STORY} {LINK} {LINK} {LINK}", 5 / 8),
        (f"{STORY} {LINK} {STORY.replace(' under a bench', ' behind a tree').replace('Lily', 'In the end, Lily', 1)}", 5 / 11),
        (f"{STORY} {LINK} {STORY.replace('Monday', 'Friday')}", 1.0),
        (f"{LINK} {LINK}", 0.0),
        (STORY.lower(), 1.0),
        (STORY.upper().rstrip("."), 1.0),
        ("On Monday, Tom went to the park. " * 5, 0.0),
        ("Lily took the ball and did not share. Tom was angry and went home.", 2 / 4),
        ("", 0.0),
        ("Tom Lily ball", 0.0),
        (f"Tom went to the lake on Friday. {LINK} Tom was happy and thanked Lily.", 0.0),  # of each story one sentence
    ],
)
def test_a_story_is_a_telling_about_those_who_were_wanted(text: str, score: float) -> None:
    assert tells(text, WANTED, 4) == pytest.approx(score)


@pytest.mark.parametrize(
    ("text", "stories", "holds"),
    [
        (STORY, 1, True),
        (STORY, 2, False),
        (f"{STORY} But there is more to tell. {STORY}", 2, False),
        (f"{STORY} {STORY}", 2, False),
        (f"{STORY} {LINK} {OTHER}", 2, True),
        (f"  {STORY} {LINK} {OTHER} ".lower().rstrip(". "), 2, True),
        (f"{STORY} {OTHER}", 2, False),
        (f"{STORY} {LINK} {LINK} {OTHER}", 2, False),
        (f"{STORY} {LINK} {OTHER} {LINK}", 2, False),
        (f"{STORY} {LINK} {OTHER} {LINK} {STORY}", 2, False),
        (f"{STORY} {LINK} {STORY.replace('Monday', 'Friday')}", 2, True),
        (f"{STORY} {LINK} {STORY.replace('On Monday, Tom went to the park', 'Tom went to the park on Monday')}", 2, False),
        (f"{STORY} {LINK} {LINK} {LINK} {LINK}", 1, False),
        (f"{LINK} {STORY}", 1, False),
        (f"{STORY} {LINK}", 1, False),
        (f"{STORY} Tom was not happy.", 1, False),
        (f"{STORY} It is not true.", 1, False),
        (STORY.replace("his red", "her red"), 1, False),
        (STORY.replace("red ball", "red kite"), 1, False),
        (STORY.replace("Lily", "Emma"), 1, False),
        (STORY.rsplit(" Tom was", 1)[0], 1, False),
        ("", 1, False),
    ],
)
def test_a_story_without_a_fault_is_told_to_its_end(text: str, stories: int, holds: bool) -> None:
    assert coherent(text, WANTED, stories) is holds


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("An owl is a bird. It has two legs. It eats mice.", True),
        ("An owl is a bird. It has four legs. It eats mice.", False),
        ("An owl is a bird. It eats mice. It eats mice.", False),
        ("An owl is a bird. It eats mice.", False),
        ("An owl is a bird. It does not have two legs. It eats mice.", False),
        ("It has two legs. It eats mice. It is brown.", False),
        ("It has two legs. An owl is a bird. It eats mice.", True),
        (" an owl is a bird. it has 2 legs.  IT EATS MICE", True),
        ("Owls are birds. They have two legs. They eat mice.", True),
        ("An owl eats mice. It lives in the forest. It is brown.", True),
        ("An owl eats mice. Owls eat mice. They eat mice.", False),
        ("Owls is a bird. They have two legs. They eat mice.", False),
        ("A crow is a bird. It has two legs. It eats mice.", False),
        ("An owl is a bird. It has two legs. It eats mice. It is green.", False),
    ],
)
def test_a_description_is_three_different_true_sentences(text: str, holds: bool) -> None:
    assert describes(text, "owl") is holds


def test_a_batch_is_judged_by_its_columns() -> None:
    scores = right(
        ["Grass.", "Apple, pear and plum.", "Nonsense."],
        ["animal_fact", "ideas", "story"],
        [["Grass."], [], []],
        [{}, {"members": ["apple", "pear", "plum"], "count": 3}, {"wanted": WANTED}],
    )
    assert scores == [1.0, 1.0, 0.0]
