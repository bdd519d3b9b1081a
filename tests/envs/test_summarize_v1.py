"""TextSummarize-v1: stories to sum up, and which facts a summary states."""

import re
from collections.abc import Mapping
from typing import Any

from tests.envs.micro_world import mediocre, rules_of, scored, swapped, two_people
from textenv.envs.summarize_v1 import states_the_facts
from textenv.reports.probe import check_gaming
from textenv.rewards.words import words
from textenv.world.tables import FOODS, PLACES, THINGS

ID = "TextSummarize-v1"


def _with_a_wrong_fact(row: Mapping[str, Any]) -> str:
    """Return the right summary with another place, or without a place another thing or another food."""
    tables = {"place": PLACES, "thing": [thing.name for thing in THINGS], "foods": [food.plural for food in FOODS]}
    key = row["facts"]["key"]
    values = next(tables[name] for name in tables if name in key)
    another = next(value for value in values if value not in row["text"])
    return re.sub(rf"\b({'|'.join(values)})\b", another, str(row["answer"]))


def test_the_right_answers_are_right_and_well_paid() -> None:
    columns = rules_of(ID).prompts.columns
    score, judge = scored(ID, columns["answer"])
    assert (judge == 1).all()
    assert score.mean() > 0.75


def test_what_games_it_earns_less_than_a_mediocre_answer() -> None:
    check_gaming(
        ID,
        mediocre,
        {
            "the first sentence": lambda row: row["text"].split(". ")[0] + ".",
            "the last sentence": lambda row: row["text"].split(". ")[-1],
            "two people swapped": lambda row: swapped(row["answer"], *two_people(row)),
            "one fact wrong": _with_a_wrong_fact,
            "all facts in a row": lambda row: " ".join([*row["facts"]["key"].values(), "were there."]),
            "the people were there": lambda row: " and ".join(two_people(row)) + " were there and were happy.",
            "the words of the summary, names first": lambda row: " ".join(sorted(words(row["answer"]), key=str.islower)),
        },
    )


def test_the_judge_counts_facts_and_a_false_one_spoils_all() -> None:
    facts = [{"plot": "lost", "key": {"who": "Tom", "thing": "ball", "place": "park", "other": "Lily"}}] * 3
    texts = [
        "Tom lost his ball at the park, and Lily found it.",
        "Tom lost his ball at the lake, and Lily found it.",
        "Tom lost his ball.",
    ]
    assert states_the_facts(texts, facts) == [1.0, 0.0, 0.0]


def test_every_wording_of_the_right_summary_is_right_and_well_paid() -> None:
    columns = rules_of(ID).prompts.columns
    for wording in (0, -1):
        score, judge = scored(ID, [accepted[wording] for accepted in columns["accepted"]])
        assert (judge == 1).all()
        assert score.mean() > 0.75
