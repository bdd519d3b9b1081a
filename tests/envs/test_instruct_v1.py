"""TextInstruct-v1: instructions of ten use cases, each with its rule and its exact judge."""

import numpy as np

from tests.envs.micro_world import Game, about, mediocre, rows_of, rules_of, scored, swapped, two_people
from textenv.envs.instruct_v1 import ANSWERED
from textenv.reports.probe import NEGATED_HONEST, check_gaming
from textenv.rewards.answers import ListOf
from textenv.world.judging import right as judged
from textenv.world.stories import article
from textenv.world.tables import ANIMALS, FOODS

ID = "TextInstruct-v1"
STORY = (
    *("Tom went to the park on Monday.", "He took his red ball along.", "Then he lost the ball."),
    *("In the end, Lily found the ball behind a tree.", "Tom was happy and thanked Lily."),
)


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


def test_what_games_stories_earns_less_than_a_mediocre_story() -> None:
    honest = {row["prompt"]: mediocre(row) for row in rows_of(ID) if row["skill"] == "story"}
    assert len(honest) > 50
    # With one verb negated it is still a story.
    check_gaming(ID, honest, {**about(STORY), NEGATED_HONEST: None})


def test_a_swap_and_a_please_to_the_still_rude_earn_less_than_half_of_what_is_right() -> None:
    rows = rows_of(ID)
    right = scored(ID, [row["answer"] for row in rows])[0]
    games: dict[str, Game] = {
        "summary": lambda row: swapped(row["answer"], *two_people(row)),
        "polite": lambda row: f"Please {row['source'].lower()}".replace("!", ""),
    }
    for skill, game in games.items():
        chosen = np.array([row["skill"] == skill for row in rows])
        earned = scored(ID, [game(row) if row["skill"] == skill else "" for row in rows])[0]
        assert earned[chosen].mean() < right[chosen].mean() / 2


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
    plurals = {row.name: row.plural for row in ANIMALS} | {row.name: row.plural for row in FOODS}
    facts = [{"members": members, "count": 3} for members in lists]
    for name in (str.capitalize, article, lambda member: plurals.get(member, member)):
        for form in ("{}, {} and {}.", "{}, {}, and {}.", "{}, {} and {}\n"):
            texts = [form.format(*map(name, members)) for members in lists]
            assert set(judged(texts, ["ideas"] * len(lists), [[]] * len(lists), facts)) == {1}
            assert set(ListOf()(texts, members=lists)) == {1}


def test_every_use_case_has_skills_with_a_reward() -> None:
    columns = rules_of(ID).prompts.columns
    assert len(set(columns["use_case"])) == 10
    empty, judge = scored(ID, [""] * len(columns["skill"]))
    assert empty.max() == judge.max() == 0
