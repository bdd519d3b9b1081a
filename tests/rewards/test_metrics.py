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
        ("Grass is not what a cow eats.", 0.0),
        ("Grass is not it.", 0.0),
        ("Grass: cows never eat it.", 0.0),
        ("Grass, which cows do not eat.", 0.0),
        ("Grass, no.", 0.0),
        ("Grass? No.", 0.0),
        ("Grass. That is not true.", 0.0),
        ("Grass. They never do.", 0.0),
        ("It is wrong that a cow eats grass.", 0.0),
        ("Anything but grass.", 0.0),
        ("A cow eats everything except grass.", 0.0),
        ("Cows hate grass.", 0.0),
        ("Nobody gives grass to a cow.", 0.0),
        ("Cows eat nothing but grass.", 1.0),
        ("A cow eats grass. It does not eat meat.", 2 / 3),
        ("", 0.0),
        (" ", 0.0),
    ],
)
def test_what_is_said_beyond_the_question_counts(text: str, score: float) -> None:
    assert WordF1(beyond="question")([text], reference=["Grass."], question=[QUESTION]) == [pytest.approx(score)]


@pytest.mark.parametrize(
    ("text", "score"),
    [
        ("No legs.", 1.0),
        ("Two legs.", 0.0),
        ("A shark has no legs.", 2 / 3),
        ("A shark has not no legs.", 0.0),
        ("It is not true that a shark has no legs.", 0.0),
        ("Legs, no.", 0.0),
        ("No legs. That is not true.", 0.0),
        ("No, it has no legs.", 1.0),
        ("It has no legs, no.", 0.0),
    ],
)
def test_a_denial_answers_a_denial(text: str, score: float) -> None:
    reward = WordF1(beyond="question")
    assert reward([text], reference=["No legs."], question=["How many legs does a shark have?"]) == [pytest.approx(score)]


@pytest.mark.parametrize(
    ("text", "score"),
    [
        ("If you do not sleep, you get tired.", 1.0),
        ("You get tired if you don't sleep.", 1.0),
        ("If you do not sleep, you do not get tired.", 0.0),
        ("Tired is not it.", 0.0),
        ("You do not get tired.", 0.0),
    ],
)
def test_what_the_question_denies_may_be_denied(text: str, score: float) -> None:
    question = ["What happens if you do not sleep?"]
    assert WordF1(beyond="question")([text], reference=["You get tired."], question=question) == [pytest.approx(score)]


def test_a_word_that_takes_back_may_be_the_answer() -> None:
    question = ["What is the opposite of right?"] * 3
    texts = ["Wrong.", "The opposite of right is wrong.", "Wrong is not it."]
    assert WordF1(beyond="question")(texts, reference=["Wrong."] * 3, question=question) == [1, 1, 0]


def test_without_a_question_a_denial_reaches_to_the_end_of_its_clause() -> None:
    texts = ["Grass is not what a cow eats.", "Grass: cows never eat it.", "Anything but grass."]
    assert WordF1()(texts, reference=["A cow eats grass."] * 3) == pytest.approx([2 / 7, 2 / 3, 2 / 5])


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
