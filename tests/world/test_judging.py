"""The exact judges."""

import pytest

from textenv.world.judging import coherent, describes, is_accepted, lists, named, plain, right, sums_up, tells

STORY = (
    "On Monday, Tom went to the park. He took his red ball along. At the park, he lost the ball. "
    "Lily found the ball under a bench. Tom was happy and thanked Lily."
)
WANTED = ["Lily", "Tom", "ball"]
KEY = {"who": "Tom", "thing": "ball", "place": "park", "other": "Lily"}


@pytest.mark.parametrize(
    ("text", "accepted"),
    [
        ("A cow eats grass.", True),
        (" a COW  eats grass", True),
        ("Grass.", True),
        ("A cow does not eat grass.", False),
        ("grass grass", False),
    ],
)
def test_an_answer_is_accepted_in_any_case_and_without_its_full_stop(text: str, accepted: bool) -> None:
    assert is_accepted(text, ["Grass.", "A cow eats grass."]) is accepted


def test_plain_and_named() -> None:
    assert plain(" A  b. ") == "a b"
    assert named("The cows and an owl", ["cow", "owl"]) == {"owl"}


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("Apple, pear and plum.", True),
        ("apple, pear, plum", True),
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
        (STORY, 0.0),
        ("", 0.0),
    ],
)
def test_a_summary_says_who_did_what(text: str, share: float) -> None:
    assert sums_up(text, "lost", KEY) == share


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
        (f"{STORY} But there is more to tell. {STORY}", 1.0),
        ("On Monday, Tom went to the park. " * 5, 1 / 5 / 3),
        ("Lily took the ball and did not share. Tom was angry and went home.", 2 / 4),
        ("", 0.0),
        ("Tom Lily ball", 0.0),
    ],
)
def test_a_story_is_a_telling_about_those_who_were_wanted(text: str, score: float) -> None:
    assert tells(text, WANTED, 4) == pytest.approx(score)


@pytest.mark.parametrize(
    ("text", "stories", "holds"),
    [
        (STORY, 1, True),
        (STORY, 2, False),
        (f"{STORY} But there is more to tell. {STORY}", 2, True),
        (f"{STORY} {STORY}", 2, False),
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
