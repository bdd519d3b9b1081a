"""TextDetox-v1: rude sentences, and what is polite and means the same."""

import re

from tests.envs.micro_world import mediocre, rules_of, scored
from textenv.reports.probe import check_gaming
from textenv.rewards.answers import courteous
from textenv.world.tables import INSULTS, RUDE

ID = "TextDetox-v1"


def inoffensive(text: str) -> str:
    """Return a rude sentence without its rude words."""
    rude = "|".join((*(f", {insult}" for insult in INSULTS), *(f"{word} " for word in RUDE), "the hell ", "damn ", " as hell"))
    return re.sub(rude, "", text)


def lower(text: str) -> str:
    return text[:1].lower() + text[1:]


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
            "please and thanks": "Please, thank you.",
            "the insult deleted": lambda row: inoffensive(row["toxic"]),
            "please before the rude sentence": lambda row: f"Please {lower(row['toxic'])}",
            "please within the rude sentence": lambda row: row["toxic"].replace(" ", ", please, ", 1),
            "could you before the rude sentence": lambda row: f"Could you {lower(row['toxic'])}",
            "please before the words, the insult deleted": lambda row: f"Please {lower(inoffensive(row['toxic']))}",
            "thanks after the words, the insult deleted": lambda row: f"{inoffensive(row['toxic'])} Thank you.",
        },
    )


def test_the_judge_wants_the_meaning_kept() -> None:
    columns = rules_of(ID).prompts.columns
    assert scored(ID, columns["toxic"])[1].max() == 0
    assert scored(ID, ["Thank you."] * len(columns["toxic"]))[1].max() == 0


def test_every_polite_order_has_a_courtesy() -> None:
    columns = rules_of(ID).prompts.columns
    pairs = [(text, rude) for rude, texts in zip(columns["toxic"], columns["accepted"], strict=True) for text in texts]
    assert set(courteous(*zip(*pairs, strict=True))) == {1}
    assert courteous(columns["toxic"], columns["toxic"]).count(0) > 60
