from pathlib import Path

import pandas as pd
import pytest

from textenv.build.corpora import Split, load_reviews, split_of
from textenv.build.labelled import (
    film_sentiment,
    harmless_sentences,
    load_toxicity,
    neutrality,
    shop_sentiment,
    toxic_words,
    toxicity,
    words,
)


def test_film_sentiment_leaves_out_reviews_without_a_label(small_corpora: Path) -> None:
    texts, labels = film_sentiment(small_corpora, "reward")
    frame = load_reviews(small_corpora).set_index("text")
    assert texts
    assert {split_of(text) for text in texts} == {"reward"}
    assert all(label in (0, 1) and label in frame.loc[[text], "label"].tolist() for text, label in zip(texts, labels, strict=True))


def test_shop_sentiment_is_tidy_and_mixed(small_corpora: Path) -> None:
    texts, labels = shop_sentiment(small_corpora, "judge")
    assert {split_of(text) for text in texts} == {"judge"}
    assert not [text for text in texts if "," in text]
    assert all(any(word in text for word in "好新快美") == label for text, label in zip(texts, labels, strict=True))
    assert 0 < sum(labels[:20]) < 20


def test_a_sentence_and_its_rewrites_share_their_split(small_corpora: Path) -> None:
    frame = load_toxicity(small_corpora)
    assert frame["label"].value_counts().to_dict() == {0: 122, 1: 121}
    assert frame[frame["text"].isin(["what rot", "that is wrong", "no"])]["split"].tolist() == [split_of("what rot")] * 3
    assert not frame["label"].is_monotonic_decreasing


def test_what_stands_on_both_sides_is_left_out(tmp_path: Path) -> None:
    rows = {"toxic": ["a b", "c d", " e "], "neutral1": ["c d", "f", "f"], "neutral2": [None, "a  b", None], "neutral3": [None] * 3}
    pd.DataFrame(rows).to_parquet(tmp_path / "paradetox.parquet")
    assert sorted(load_toxicity(tmp_path)["text"]) == ["a  b", "a b", "e", "f"]


@pytest.mark.parametrize("split", ["reward", "judge", "heldout"])
def test_neutral_film_sentences_are_added_but_not_to_the_held_out(small_corpora: Path, split: Split) -> None:
    texts, labels = toxicity(small_corpora, split)
    films = [label for text, label in zip(texts, labels, strict=True) if text.startswith("The ")]
    assert films == [0] * (0 if split == "heldout" else sum(labels) // 2)
    assert sum("stupid" in text for text in texts) == sum(labels) - ("what rot" in texts) > 0
    assert neutrality(small_corpora, split) == (texts, [1 - label for label in labels])


def test_toxic_words_by_hand() -> None:
    texts = ["rot rot"] * 5 + ["Rude, mean"] * 8 + ["rare"] * 4 + ["mean"] * 3 + ["kind"] * 14
    labels = [1] * 17 + [0] * 17
    # "rare" is too rare, "mean" not four times as frequent on the toxic side.
    assert toxic_words(texts, labels) == {"rot", "rude"}


def test_harmless_sentences_avoid_words_and_lengths(small_corpora: Path) -> None:
    drawn = harmless_sentences(small_corpora, "reward", {"dull", "great"}, 30)
    assert len(drawn) == 30
    assert not {"dull", "great"} & {word for text in drawn for word in words(text)}
    assert drawn == harmless_sentences(small_corpora, "reward", {"dull", "great"}, 30)
    assert harmless_sentences(small_corpora, "reward", {"the"}, 30) == []
