"""TextLongForm-v1: long stories, and the thread that goes through them."""

from tests.envs.micro_world import about, mediocre, rules_of, scored
from textenv.envs.long_form_v1 import keeps_the_thread
from textenv.reports.probe import NEGATED_HONEST, check_gaming

ID = "TextLongForm-v1"
STORY = (
    *("Tom went to the park on Monday.", "He took his red ball along.", "Then he lost the ball.", "He looked for it for an hour."),
    *("In the end, Lily found the ball behind a tree.", "Tom was happy and thanked Lily.", "But there is more to tell."),
    *("On Sunday, Tom and Lily played at the lake.", "Lily had a new red ball.", "Then Tom broke the ball."),
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
            "the wanted words over and over": lambda row: " ".join([row["wanted"]] * 25),
            "half of a story twice": lambda row: " ".join([" ".join(row["reference"].split(" ")[:40])] * 2),
            **about(STORY),
            # With one verb negated it is still a story.
            NEGATED_HONEST: None,
        },
    )


def test_the_judge_wants_known_sentences_about_the_wanted_people() -> None:
    story = (
        "On Monday, Tom and Lily met at the park. Both of them wanted the red ball. Lily took it and ran away. Tom was angry and went home."
    )
    facts = [{"wanted": ["Lily", "Tom", "ball"]}] * 4
    other = (
        "Lily promised to meet Tom at the lake on Friday. Tom waited with his ball for two hours. Lily never came. "
        "Tom walked home and was angry."
    )
    link = "One week later, they met again."
    texts = [story, story.replace("Lily", "Emma"), f"{story} {link} {other}", f"{story} {link} {story}"]
    scores = keeps_the_thread(texts, facts)
    assert scores[0] == 4 / 8
    assert scores[1] < scores[0]
    assert scores[2] == 1
    assert scores[3] == 4 / 9
