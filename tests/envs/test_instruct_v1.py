"""TextInstruct-v1: instructions of ten use cases, each with its rule and its exact judge."""

import numpy as np

from tests.envs.micro_world import mediocre, rules_of, scored
from textenv.envs.instruct_v1 import ANSWERED
from textenv.reports.probe import check_gaming
from textenv.rewards.answers import ListOf
from textenv.world.judging import right
from textenv.world.stories import article
from textenv.world.tables import ANIMALS, FOODS

ID = "TextInstruct-v1"


def test_the_right_answers_are_right_and_well_paid() -> None:
    columns = rules_of(ID).prompts.columns
    score, judge = scored(ID, columns["answer"])
    assert (judge == 1).all()
    assert score.mean() > 0.7


def test_what_games_it_earns_less_than_a_mediocre_answer() -> None:
    check_gaming(
        ID,
        mediocre,
        {
            "the wanted words": lambda row: row["wanted"] or " ".join(row["members"]) or row["source"],
            "a story to every prompt": "Tom lost his ball at the park. Lily found it. Tom was happy and thanked Lily.",
        },
    )


def test_a_short_answer_that_is_denied_anywhere_earns_nothing() -> None:
    columns = rules_of(ID).prompts.columns
    short = np.array([skill in ANSWERED and skill != "describe" for skill in columns["skill"]])
    assert short.sum() > 60
    for denial in ("{} is not it.", "{}: never.", "It is wrong that {}.", "{}. That is not true.", "Anything but {}.", "{}? No."):
        texts = [denial.format(reference.rstrip(".")) for reference in columns["reference"]]
        assert scored(ID, texts)[0][short].max() == 0, denial


def test_a_list_that_the_judge_calls_right_is_paid_in_full() -> None:
    columns = rules_of(ID).prompts.columns
    lists = [members for members, skill in zip(columns["members"], columns["skill"], strict=True) if skill == "ideas"]
    assert len(lists) > 20
    plurals = {row.name: row.plural for row in (*ANIMALS, *FOODS)}
    facts = [{"members": members, "count": 3} for members in lists]
    for name in (str.capitalize, article, lambda member: plurals.get(member, member)):
        for form in ("{}, {} and {}.", "{}, {}, and {}.", "{}, {} and {}\n"):
            texts = [form.format(*map(name, members)) for members in lists]
            assert set(right(texts, ["ideas"] * len(lists), [[]] * len(lists), facts)) == {1}
            assert set(ListOf()(texts, members=lists)) == {1}


def test_every_use_case_has_skills_with_a_reward() -> None:
    columns = rules_of(ID).prompts.columns
    assert len(set(columns["use_case"])) == 10
    empty, judge = scored(ID, [""] * len(columns["skill"]))
    assert empty.max() == judge.max() == 0
