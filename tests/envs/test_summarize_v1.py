"""TextSummarize-v1: stories to sum up, and which facts a summary states."""

from tests.envs.micro_world import mediocre, rules_of, scored
from textenv.envs.summarize_v1 import states_the_facts
from textenv.reports.probe import check_gaming

ID = "TextSummarize-v1"


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
