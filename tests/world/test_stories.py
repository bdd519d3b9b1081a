"""Stories: scenes, plots, and the patterns by which their sentences are known again."""

import re
from random import Random

import pytest

from textenv.world.judging import sentences
from textenv.world.plots import PLOTS, Plot
from textenv.world.stories import article, capitalised, fill, pattern, read, scene, tell
from textenv.world.tables import GIRLS


@pytest.mark.parametrize("plot", PLOTS, ids=[plot.name for plot in PLOTS])
def test_every_telling_is_read_again_with_its_slots(plot: Plot) -> None:
    rng = Random(plot.name)
    for _ in range(50):
        slots = scene(rng)
        parts = sentences(tell(plot, slots, rng))
        telling = read(parts, plot)
        assert telling.whole, parts
        assert telling.kept == len(parts) >= 3
        assert all(slots[name] == value for name, value in telling.slots.items() if name != "girl")


LOST = [
    "On Monday, Tom went to the park.",
    "He took his red ball along.",
    "At the park, he lost the ball.",
    "Lily found the ball under a bench.",
    "Tom was happy and thanked Lily.",
]


@pytest.mark.parametrize(
    ("change", "kept"),
    [
        ({}, 5),
        ({0: "On Monday, Tom went to the moon."}, 4),
        ({1: "She took her red ball along."}, 4),
        ({2: "At the lake, he lost the ball."}, 4),
        ({3: "Lily found the kite under a bench."}, 4),
        ({3: "Tom found the ball under a bench."}, 4),
        ({4: "Lily was happy and thanked Tom."}, 4),
        ({4: LOST[1]}, 4),
        ({2: LOST[1]}, 4),
    ],
)
def test_a_sentence_that_contradicts_or_repeats_is_not_kept(change: dict[int, str], kept: int) -> None:
    plot = next(plot for plot in PLOTS if plot.name == "lost")
    telling = read([change.get(index, sentence) for index, sentence in enumerate(LOST)], plot)
    assert (telling.kept, telling.whole) == (kept, kept == 5)


def test_a_telling_without_its_end_or_beginning_is_not_whole() -> None:
    plot = next(plot for plot in PLOTS if plot.name == "lost")
    assert not read(LOST[:-1], plot).whole
    assert not read(LOST[1:], plot).whole
    assert not read([], plot).whole


@pytest.mark.parametrize("seed", range(20))
def test_a_scene_has_two_people_and_the_pronouns_of_the_first(seed: int) -> None:
    slots = scene(Random(seed))
    assert slots["who"] != slots["other"]
    assert slots["he"] == ("she" if slots["who"] in GIRLS else "he")
    assert slots["He"].lower() == slots["he"]


def test_a_given_slot_is_kept() -> None:
    slots = scene(Random(0), who="Lily", animal="owl")
    assert (slots["who"], slots["he"], slots["an_animal"], slots["an_Animal"]) == ("Lily", "she", "an owl", "An owl")


def test_a_pattern_with_groups_wants_the_same_words_again() -> None:
    loose, strict = (re.compile(pattern("{who} saw {who}.", groups=groups)) for groups in (False, True))
    assert loose.fullmatch("Tom saw Lily.")
    assert not strict.fullmatch("Tom saw Lily.")
    matched = strict.fullmatch("Tom saw Tom.")
    assert matched
    assert matched.groupdict() == {"who": "Tom"}


def test_every_question_is_about_a_slot_and_every_summary_names_its_key() -> None:
    for plot in PLOTS:
        slots = scene(Random(plot.name))
        assert any(all(slots[name] in way.format(**slots) for name in plot.key) for way in plot.summary), plot.name
        pronouns = {"he", "He", "his", "him"}
        for way in plot.summary:
            named = {part.replace("an_animal", "animal").replace("an_Animal", "animal") for part in re.findall(r"{(\w+)}", way)}
            assert named - pronouns <= {*plot.key}, way
        for question, short, full in plot.questions:
            assert question.endswith("?")
            assert short.format(**slots).lower() in full.format(**slots).lower(), question


def test_articles_and_capitals() -> None:
    assert [article("apple"), article("pear"), capitalised("iPod shop"), capitalised("")] == ["an apple", "a pear", "IPod shop", ""]


def test_a_becomes_an_before_a_vowel_wherever_a_slot_begins_with_one() -> None:
    assert fill("A {colour} {thing} and a {thing}", {"colour": "orange", "thing": "kite"}) == "An orange kite and a kite"
    strict = re.compile(pattern("{who} got a {thing}."))
    assert strict.fullmatch("Tom got an umbrella.")
    assert strict.fullmatch("Tom got a kite.")
    assert not strict.fullmatch("Tom got a umbrella.")
    assert not strict.fullmatch("Tom got an kite.")
