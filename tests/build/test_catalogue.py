import dataclasses
from typing import get_args

import pytest

from textenv.build.card import SOURCES, WRITTEN
from textenv.build.catalogue import ABOUT, NEEDED, Name, Recipes
from textenv.build.lessons import SLIP, SLIPS
from textenv.models.hub import ASSETS
from textenv.world.skills import SKILLS


def test_every_model_has_its_corpora_card_and_recipe() -> None:
    names = set(get_args(Name))
    assert set(NEEDED) == set(ABOUT) == names
    assert {field.name.replace("_", "-") for field in dataclasses.fields(Recipes)} == names
    assert {file for files in NEEDED.values() for file in files} == set(SOURCES)


def test_seed_reaches_every_recipe() -> None:
    recipes, seeded = Recipes(), Recipes().seeded(7)
    for field in dataclasses.fields(Recipes):
        before, after = getattr(recipes, field.name), getattr(seeded, field.name)
        assert (before.seed, after.seed) == (0, 7)
        assert dataclasses.replace(after, seed=0) == before


@pytest.mark.parametrize("name", get_args(Name))
def test_cards_say_what_the_catalogue_says(name: Name) -> None:
    text = (ASSETS / name / "README.md").read_text(encoding="utf-8")
    assert ABOUT[name] in text
    assert (WRITTEN in text) is (not NEEDED[name])


def test_the_share_of_slips_is_the_one_that_is_said() -> None:
    assert sum(SLIPS.get(skill, SLIP) for skill in SKILLS) / len(SKILLS) == pytest.approx(1 / 4, abs=0.02)
    assert "about one time in four" in ABOUT["tiny-assistant"]
