"""The tables contradict neither themselves nor one another."""

import pytest

from textenv.world import tables


@pytest.mark.parametrize("table", [tables.ANIMALS, tables.FOODS, tables.JOBS, tables.THINGS])
def test_names_are_different_and_every_cell_is_filled(table: tuple[tuple[str, ...], ...]) -> None:
    assert len({row[0] for row in table}) == len(table)
    assert all(cell and cell == cell.strip() for row in table for cell in row)


def test_nothing_is_in_two_tables_but_the_orange() -> None:
    names = [row[0] for table in (tables.ANIMALS, tables.FOODS, tables.JOBS, tables.THINGS) for row in table]
    assert len(set(names)) == len(names)
    assert {*names} & {*tables.COLOURS} == {"orange"}


def test_a_word_has_one_opposite_and_a_person_one_gender() -> None:
    paired = [word for pair in tables.OPPOSITES for word in pair]
    assert len(set(paired)) == len(paired)
    assert not {*tables.GIRLS} & {*tables.BOYS}


def test_every_case_has_one_effect() -> None:
    assert len(dict(tables.CAUSES)) == len(tables.CAUSES) == len({then for _, then in tables.CAUSES})
