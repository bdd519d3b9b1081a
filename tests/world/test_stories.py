"""Stories: scenes, plots, and the patterns by which their sentences are known again."""

import re
from random import Random

import pytest

from textenv.world.judging import sentences
from textenv.world.stories import PLOTS, Plot, article, capitalised, pattern, plots_of, scene, tell
from textenv.world.tables import GIRLS


@pytest.mark.parametrize("plot", PLOTS, ids=[plot.name for plot in PLOTS])
def test_every_sentence_of_a_story_is_known_again(plot: Plot) -> None:
    rng = Random(plot.name)
    for _ in range(50):
        text = tell(plot, scene(rng), rng)
        assert 3 <= len(sentences(text)) <= 7
        assert all(plot.name in plots_of(sentence) for sentence in sentences(text)), text


@pytest.mark.parametrize(
    "sentence", ["", "Tom went to the moon.", "went to the park on Monday.", "Tom went to the park on Monday", "Tom Tom."]
)
def test_what_no_story_says_is_not_known(sentence: str) -> None:
    assert plots_of(sentence) == []


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
