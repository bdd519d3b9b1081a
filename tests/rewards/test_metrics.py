"""Metrics worked out by hand, on empty, long and Chinese texts too."""

import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from benchmarks.harness import ROOT
from textenv.data import read_columns
from textenv.errors import ArgumentError, RewardError
from textenv.rewards.composition import Product
from textenv.rewards.metrics import ChrF, RougeL, WordF1, WordOverlap, content_words
from textenv.rewards.novelty import Novelty
from textenv.rewards.protocol import call_reward, require_columns


@pytest.mark.parametrize(
    ("reward", "reference", "completion", "expected"),
    [
        (RougeL(), "the cat sat on the mat", "The cat lay on the mat!", 5 / 6),
        (RougeL(), "a b c d", "d c b a", 1 / 4),
        (RougeL(), "a b c", "a c x y z", 2 * (2 / 5) * (2 / 3) / (2 / 5 + 2 / 3)),
        (RougeL(), "我爱电影", "我不爱电影", 2 * (4 / 5) / (4 / 5 + 1)),
        (RougeL(), "a café don't", "a cafe\u0301 don’t", 1),
        (ChrF(), "a café", "a ca\u00adfe\u0301", 1),
        (RougeL(), "cat", "cats", 0),
        (RougeL(), "", "cat", 0),
        (RougeL(), "cat", "", 0),
        (RougeL(), "cat", "cat " * 999, 2 / 1000),
        (ChrF(), "a short text", "a short text", 1),
        (ChrF(), "电影很好", "电影很好", 1),
        (ChrF(), "aaaa", "bbbb", 0),
        (ChrF(), "cat", "", 0),
        # n-grams of 1 to 3 characters: precisions 3/6, 2/5, 1/4 and recalls 1 make the F2 scores 15/18, 10/13 and 5/8 of means.
        (ChrF(), "abc", "abcdef", 5 * (23 / 60) * 1 / (4 * (23 / 60) + 1)),
        (WordF1(), "A cow eats grass.", "Cows eat the GRASS", 1),
        (WordF1(), "A cow eats grass.", "cow cow grass grass", 4 / 7),
        (WordF1(), "A cow eats grass.", "A cow does not eat grass.", 1 / 3),
        (WordF1(), "Cows don't eat meat, they eat grass.", "Cows eat grass and no meat", 8 / 9),
        (WordF1(), "Cows don't eat meat, they eat grass.", "Cows eat meat, they don’t eat grass", 3 / 5),
        (WordF1(), "No, it cannot swim.", "No, it can not swim.", 1),
        (WordF1(), "No, it cannot swim.", "Yes, it can swim.", 0),
        (WordF1(), "No.", "no", 1),
        (WordF1(), "It is.", "It was", 1 / 2),
        (WordF1(), "eight legs", "two legs", 1 / 2),
        (WordF1(), "", "", 0),
        (WordF1(), "rain", "", 0),
        (WordF1(), "电影很好", "好电影", 6 / 7),
        (WordF1(), "rain", "rain " * 999, 2 / 1000),
        (WordOverlap("reference"), "The rain on the roof", "RAIN, rain", 1 / 2),
        (WordOverlap("reference"), "The rain on the roof", "the on", 0),
        (WordOverlap("reference"), "It is", "is", 1 / 2),
        (WordOverlap("reference"), "电影好", "好电影", 1),
        (WordOverlap("reference"), "?", "anything", 0),
        (WordOverlap("reference"), "rain", "", 0),
        (WordOverlap("reference"), "rain", "dry " * 50_000 + "rain", 1),
    ],
)
def test_scores_by_hand(reward: Callable[..., Any], reference: str, completion: str, expected: float) -> None:
    copy = pickle.loads(pickle.dumps(reward))
    scores = call_reward(copy, ["?", "?"], ["none", completion], {"reference": ["other", reference]}).scores
    assert scores[1] == pytest.approx(expected)


def test_overlap_with_the_prompt() -> None:
    assert call_reward(WordOverlap(), ["Rain and snow:"], ["snow, rain"]).scores.tolist() == [1.0]


@pytest.mark.parametrize("reward", [RougeL("summary"), ChrF("summary"), WordF1("summary"), WordOverlap("summary")])
def test_the_column_is_checked(reward: Callable[..., Any]) -> None:
    with pytest.raises(ArgumentError, match='needs the column "summary", which the prompts lack; they have: prompt, reference'):
        require_columns(reward, ["reference"])
    with pytest.raises(RewardError, match=r'^The column "summary" must hold texts, got nan'):
        call_reward(reward, ["?"], ["text"], {"summary": [float("nan")]})
    assert call_reward(reward, [], [], {"summary": []}).scores.tolist() == []


def test_content_words_are_lower_case() -> None:
    assert content_words("The Rain and THE roof") == {"rain", "roof"}


def test_an_honest_answer_is_paid_more_than_what_games_it() -> None:
    table = read_columns(ROOT / "benchmarks" / "answers.jsonl", "answers").columns
    reward = Product({"right": WordF1(), "novelty": Novelty(3, of="question")})
    columns = {name: table[name] for name in ("question", "reference")}

    def scores(texts: list[str]) -> NDArray[np.float64]:
        return call_reward(reward, table["question"], texts, columns).scores

    honest = scores(table["honest"])
    games = {
        "denied": table["denied"],
        "copied": table["question"],
        "stuffed": [" ".join(sorted(content_words(text)) * 3) for text in table["question"]],
        "constant": ["It is very good and I like it."] * len(honest),
        "of another question": table["honest"][1:] + table["honest"][:1],
        "empty": [""] * len(honest),
    }
    for name, texts in games.items():
        assert (honest > scores(texts)).mean() > 0.9, name
    assert (honest > scores(table["wrong"])).mean() > 0.7


QUESTION = "What does a cow eat?"


@pytest.mark.parametrize(
    ("text", "score"),
    [
        ("Grass.", 1.0),
        ("A cow eats grass.", 1.0),
        ("Cows eat GRASS!", 1.0),
        ("A cow eats hay.", 0.0),
        ("A cow does not eat grass.", 0.0),
        ("Grass, hay.", 2 / 3),
        ("grass grass grass", 2 / 4),
        ("What does a cow eat?", 0.0),
        ("cow eat", 0.0),
        ("", 0.0),
        (" ", 0.0),
    ],
)
def test_what_is_said_beyond_the_question_counts(text: str, score: float) -> None:
    assert WordF1(beyond="question")([text], reference=["Grass."], question=[QUESTION]) == [pytest.approx(score)]


@pytest.mark.parametrize(("text", "score"), [("No legs.", 1.0), ("Two legs.", 0.0), ("A shark has no legs.", 2 / 3)])
def test_a_denial_answers_a_denial(text: str, score: float) -> None:
    reward = WordF1(beyond="question")
    assert reward([text], reference=["No legs."], question=["How many legs does a shark have?"]) == [pytest.approx(score)]


def test_a_reference_of_the_questions_own_words_counts_whole() -> None:
    question = ["Is Tom happy, sad or angry?"] * 3
    assert WordF1(beyond="question")(["Sad.", "Angry.", "Tom is sad."], reference=["Sad."] * 3, question=question) == pytest.approx(
        [1, 0, 2 / 3]
    )


def test_columns_may_have_other_names() -> None:
    reward = WordF1("gold", beyond="asked")
    assert reward.columns == ("gold", "asked")
    assert WordF1().columns == ("reference",)
    assert WordF1()(["a red ball"], reference=["the red kite"]) == [0.5]
    scores = call_reward(reward, ["p"], ["Two."], {"gold": ["Two."], "asked": [""]})
    assert scores.scores.tolist() == [1.0]
