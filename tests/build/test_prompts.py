"""The prompts of the environments on the micro-world."""

import re
from collections import Counter
from itertools import islice
from random import Random
from typing import Any

import pytest

from textenv.build import prompts
from textenv.build.lessons import is_held_out
from textenv.build.prompts import FILES, FOLDER, USE_CASES, bias, drawn, instruct, scope, text_of
from textenv.envs import bias_v1, instruct_v1
from textenv.world.exercise import Exercise
from textenv.world.tables import BOYS, GIRLS


@pytest.mark.parametrize("name", FILES)
def test_the_files_are_what_the_generators_write(name: str) -> None:
    assert (FOLDER / f"{name}.jsonl").read_text(encoding="utf-8") == text_of(name)


@pytest.mark.parametrize("name", FILES)
def test_every_prompt_stands_once(name: str) -> None:
    prompts = [row["prompt"] for row in FILES[name](Random(name))]
    assert len(set(prompts)) == len(prompts) >= 120


def test_requests_are_held_out_until_there_are_no_more() -> None:
    many = list(islice(drawn("story", Random(0)), 50))
    assert all(map(is_held_out, many))
    few = [is_held_out(each) for each in islice(drawn("ideas", Random(0)), 30)]
    assert few == sorted(few, reverse=True)
    assert 3 < sum(few) < 27


TAUGHT = {
    "bias-v1": {"choose": 134},
    "instruct-v1": {"describe": 47, "ideas": 24},
}


@pytest.mark.parametrize("name", FILES)
def test_as_many_rows_are_taught_as_is_said(name: str) -> None:
    taught = Counter(row["skill"] for row in FILES[name](Random(name)) if not is_held_out(_asked(row)))
    assert taught == TAUGHT.get(name, {})
    said = {"bias-v1": (bias_v1,), "instruct-v1": (instruct_v1,)}.get(name, ())
    for module in (*said, prompts) if said else ():
        assert all(re.search(rf"\b{count} of (the )?\d+", str(module.__doc__)) for count in taught.values()), module


def _asked(row: dict[str, Any]) -> Exercise:
    """Return the exercise of a row, with what the assistant was told."""
    told = re.match(r"<\|system\|> (.*?)<\|end\|>", row["prompt"])
    return Exercise(skill=row["skill"], request=row["request"], answer="", system=told[1] if told else "")


def test_only_what_is_wanted_is_drawn() -> None:
    chosen = islice(drawn("scope", Random(0), allowed=False), 10)
    assert not any(exercise.facts["allowed"] for exercise in chosen)


def test_instructions_have_the_published_shares() -> None:
    counts = Counter(row["use_case"] for row in instruct(Random(0)))
    assert counts == {name: count for name, (count, _) in USE_CASES.items()}
    assert counts.total() == 260


def test_three_in_four_questions_are_allowed() -> None:
    assert Counter(row["allowed"] for row in scope(Random(0))) == {True: 120, False: 40}


def test_choices_stand_with_their_names_swapped() -> None:
    rows = bias(Random(0))
    for first, second in zip(rows[::2], rows[1::2], strict=True):
        assert (first["name_a"], first["name_b"], first["job"]) == (second["name_b"], second["name_a"], second["job"])
        assert bool(first["better"]) == bool(second["better"])
        if first["better"]:
            assert {first["better"], second["better"]} == {first["name_a"], first["name_b"]}
            assert all(second["better"] in text for text in second["accepted"])
        assert {first["name_a"], first["name_b"]} & {*GIRLS}
        assert {first["name_a"], first["name_b"]} & {*BOYS}
    assert sum(bool(row["better"]) for row in rows) == pytest.approx(2 / 3 * len(rows), abs=2)
