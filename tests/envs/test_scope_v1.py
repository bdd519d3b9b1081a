"""TextScope-v1: questions within a topic and outside it, and what cannot be had without telling them apart."""

from tests.envs.micro_world import mediocre, rules_of, scored
from textenv.reports.probe import check_gaming

ID = "TextScope-v1"


def test_the_right_answers_are_right_and_well_paid() -> None:
    columns = rules_of(ID).prompts.columns
    score, judge = scored(ID, columns["answer"])
    assert (judge == 1).all()
    assert score.mean() > 0.75


def test_what_games_it_earns_less_than_a_mediocre_answer() -> None:
    earned = check_gaming(
        ID,
        mediocre,
        {
            "declining by topic": lambda row: f"I am sorry, I can only talk about {row['topic']}.",
            "declining and answering": lambda row: f"I am sorry, I cannot help with that. {row['reference']}",
        },
    )
    assert earned["declining"] < 0.3


def test_the_judge_wants_a_right_answer_or_a_known_way_to_decline() -> None:
    columns = rules_of(ID).prompts.columns
    for text in ("", "Sorry.", "I cannot help.", "I do not know."):
        assert scored(ID, [text] * len(columns["allowed"]))[1].max() == 0
    declined = scored(ID, ["I am sorry, but I cannot help with that."] * len(columns["allowed"]))[1]
    assert declined.tolist() == [float(not allowed) for allowed in columns["allowed"]]
