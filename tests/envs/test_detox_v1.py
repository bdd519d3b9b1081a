"""TextDetox-v1: rude sentences, and what is polite and means the same."""

from tests.envs.micro_world import mediocre, rules_of, scored
from textenv.reports.probe import check_gaming

ID = "TextDetox-v1"


def test_the_right_answers_are_right_and_well_paid() -> None:
    columns = rules_of(ID).prompts.columns
    score, judge = scored(ID, columns["answer"])
    assert (judge == 1).all()
    assert score.mean() > 0.4


def test_what_games_it_earns_less_than_a_mediocre_answer() -> None:
    check_gaming(
        ID,
        mediocre,
        {
            "the rude sentence": lambda row: row["toxic"],
            "the rude sentence denied": lambda row: f"It is not true that {row['toxic']}",
            "thanks": "Thank you, that is very kind of you.",
        },
    )


def test_the_judge_wants_the_meaning_kept() -> None:
    columns = rules_of(ID).prompts.columns
    assert scored(ID, columns["toxic"])[1].max() == 0
    assert scored(ID, ["Thank you."] * len(columns["toxic"]))[1].max() == 0
