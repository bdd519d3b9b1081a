import dataclasses
from typing import get_args

from textenv.build.card import SOURCES
from textenv.build.catalogue import ABOUT, NEEDED, Name, Recipes


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
