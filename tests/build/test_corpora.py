from collections import Counter
from pathlib import Path
from random import Random

import pytest

from textenv.build import corpora
from textenv.build.corpora import chinese_mixture, load_reviews, load_shop_reviews, mixture, season_word, sentences, split_of, tidy
from textenv.envs import templates


def test_split_never_moves() -> None:
    # Changing the hash would mix what the embedded reward and its judge have seen.
    texts = ["", "a", "A film.", "An old film.", "ein Film über Züge", "a" * 1000]
    assert [split_of(text) for text in texts] == ["judge", "reward", "reward", "reward", "reward", "judge"]


def test_split_has_the_shares_it_promises() -> None:
    counts = Counter(split_of(f"review {i}") for i in range(20_000))
    assert counts["heldout"] / 20_000 == pytest.approx(0.04, abs=0.005)
    assert counts["reward"] / 20_000 == pytest.approx(0.48, abs=0.012)
    assert counts["judge"] / 20_000 == pytest.approx(0.48, abs=0.012)


def test_equal_reviews_are_in_one_split(small_corpora: Path) -> None:
    reviews = load_reviews(small_corpora)
    assert list(reviews.columns) == ["text", "label", "split"]
    assert set(reviews["split"]) == {"heldout", "reward", "judge"}
    assert reviews["text"].duplicated().sum() >= 20
    assert (reviews.groupby("text")["split"].nunique() == 1).all()


def test_sentences() -> None:
    assert sentences(" One.  Two!\nThree? four") == ["One.", "Two!", "Three?", "four"]
    assert sentences("  ") == []


def test_season_word_prefers_the_first_season_word() -> None:
    assert season_word("Old pond\nfrost on snow\nsilence", Random(0)) == "pond"
    assert season_word("crane\nharbours\nsilences", Random(0)) in {"crane", "harbours", "silences"}
    assert season_word("a b\nc\nd", Random(0)) == "the day"


def test_mixture_repeats_and_holds_out(small_corpora: Path) -> None:
    parts = mixture(small_corpora, seed=0)
    assert parts == mixture(small_corpora, seed=0)
    assert parts != mixture(small_corpora, seed=1)
    assert [name for name, _, _ in parts] == ["reviews", "haiku", "detox", "summaries", "stories", "questions", "instructions"]
    reviews = load_reviews(small_corpora)
    heldout = set(reviews[reviews["split"] == "heldout"]["text"])
    openings = {text[:60] for text in heldout} - {text[:60] for text in reviews["text"] if text not in heldout}
    assert heldout
    assert openings
    assert not [text for _, texts, _ in parts for text in texts if any(opening in text for opening in openings)]


def test_mixture_writes_the_templates(small_corpora: Path) -> None:
    texts = {name: documents for name, documents, _ in mixture(small_corpora, seed=0)}
    assert all(text.startswith("Haiku about ") and text.count("\n") == 3 for text in texts["haiku"])
    assert texts["detox"][:2] == [templates.DETOX.format(toxic="what rot") + answer for answer in (" that is wrong", " no")]
    assert texts["summaries"][0].endswith("\nTL;DR: Keys found.")
    assert 1 < len(texts["summaries"]) <= 21
    assert texts["stories"] == ["Once a dog ran home.", "A cat slept."]
    assert len(texts["questions"]) == corpora.QUESTIONS
    assert all("\nA: " in text for text in texts["questions"])
    assert texts["instructions"][:2] == ["Instruction: Name a fruit.\nResponse: Plum", "Instruction: Add.\nInput: 1, 2\nResponse: 3"]
    assert len(texts["instructions"]) == 22


@pytest.mark.parametrize(
    ("raw", "printed"),
    [
        ("好,很好!真的?行;嗯:好.", "好，很好！真的？行；嗯：好。"),
        ("好!!!,快", "好！！！，快"),
        ("好......12.5元, OK!", "好......12.5元， OK!"),
        (" ＡＢ１\u3000 \n好 ", "AB1 好"),
        ("很好????下次?", "很好下次？"),
        ("“好”，（新）", "“好”，（新）"),
    ],
)
def test_tidy(raw: str, printed: str) -> None:
    assert tidy(raw) == printed
    assert tidy(printed) == printed


def test_shop_reviews_are_tidy_and_each_stands_once(small_corpora: Path) -> None:
    frame = load_shop_reviews(small_corpora)
    assert list(frame.columns) == ["text", "label", "split"]
    assert not frame["text"].duplicated().any()
    assert frame["split"].tolist() == frame["text"].map(split_of).tolist()
    assert not frame["text"].str.contains(",").any()


def test_chinese_mixture_holds_out(small_corpora: Path) -> None:
    ((name, texts, passes),) = chinese_mixture(small_corpora, seed=0)
    assert (name, passes) == ("reviews", 1)
    frame = load_shop_reviews(small_corpora)
    assert set(texts) == set(frame[frame["split"] != "heldout"]["text"])
    assert len(texts) < len(frame)
