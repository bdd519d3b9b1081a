from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from textenv.build import toxicity
from textenv.build.corpora import split_of
from textenv.build.generated import generated
from textenv.build.labelled import load_toxicity
from textenv.build.toxicity import agreed, load_comments, load_posts, measure_toxicity, negated, neutral_texts, toxic_texts


@pytest.fixture
def plain(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave the texts as they are, and write few of them."""
    monkeypatch.setattr(toxicity, "DISGUISED", 0)
    monkeypatch.setattr(toxicity, "PER_KIND", {"reward": 20, "judge": 20})
    monkeypatch.setattr(toxicity, "FILM_SENTENCES", {"reward": 30, "judge": 30, "heldout": 10})


def test_labels_of_comments_and_posts(small_corpora: Path) -> None:
    comments, posts = load_comments(small_corpora), load_posts(small_corpora)
    assert comments["text"].is_unique
    assert posts["text"].is_unique
    assert ((comments["share"] > 0.5) == comments["label"]).all()
    assert set(agreed(comments)["share"]) == {0, 1 - 2 / 3, 1}
    assert comments["text"].str.contains("stupid").equals(comments["share"] == 1)
    assert posts["text"].str.contains("stupid").equals(posts["label"] == 1)
    assert comments["split"].tolist() == [split_of(text) for text in comments["text"]]


@pytest.mark.usefixtures("plain")
def test_reward_and_judge_learn_from_different_corpora(small_corpora: Path) -> None:
    reward, labels = toxic_texts(small_corpora, "reward")
    judge, neutral = neutral_texts(small_corpora, "judge")
    assert set(reward).isdisjoint(judge)
    assert len(reward) == len(set(reward))
    posts, comments = load_posts(small_corpora), load_comments(small_corpora)
    sentences = load_toxicity(small_corpora)
    assert set(posts[posts["split"] != "heldout"]["text"]) <= set(judge)
    assert set(agreed(comments[comments["split"] != "heldout"])["text"]) <= set(reward)
    assert set(sentences[sentences["split"] != "heldout"]["text"]) <= set(reward)
    of = dict(zip(reward, labels, strict=True))
    assert all(of[text] == label for text, label in generated("reward", 20, 0))
    of = dict(zip(judge, neutral, strict=True))
    assert all(of[text] == 1 - label for text, label in generated("judge", 20, 0))


@pytest.mark.usefixtures("plain")
def test_what_is_held_out_is_learnt_by_neither(small_corpora: Path) -> None:
    learnt = {*toxic_texts(small_corpora, "reward")[0], *neutral_texts(small_corpora, "judge")[0]}
    frames = load_posts(small_corpora), load_comments(small_corpora), load_toxicity(small_corpora)
    heldout = {text for frame in frames for text in frame[frame["split"] == "heldout"]["text"]}
    assert heldout
    assert heldout.isdisjoint(learnt)
    for read in (toxic_texts, neutral_texts):
        texts, labels = read(small_corpora, "heldout")
        assert set(labels) == {0, 1}
        assert learnt.isdisjoint(texts)


def test_long_comments_are_not_learnt_and_some_words_are_disguised(small_corpora: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(toxicity, "LONGEST_COMMENT", 0)
    comments = set(load_comments(small_corpora)["text"])
    plain = toxic_texts(small_corpora, "reward")[0]
    assert comments.isdisjoint(plain)
    monkeypatch.setattr(toxicity, "DISGUISED", 0)
    assert 0.05 < np.mean([a != b for a, b in zip(plain, toxic_texts(small_corpora, "reward")[0], strict=True)]) < 0.2


def test_measures_of_a_reader_that_knows_one_word(small_corpora: Path) -> None:
    def one_word(texts: list[str]) -> NDArray[np.float64]:
        return np.array([1.0 if "stupid" in text else -1.0 for text in texts])

    measures = measure_toxicity(one_word, small_corpora)
    assert measures["auc_posts"] == measures["auc_comments_unanimous"] == 1
    assert measures["film_false_alarms"] == 0
    # Of the pairs one is told apart and one is not.
    assert measures["less_toxic_choices"] == 0.75
    assert measures["contrast_harmless_profanity"] == 1
    assert 0 < measures["contrast_insults"] < 0.5 > measures["contrast_threats"]
    turned = measure_toxicity(negated(one_word), small_corpora)
    assert turned["auc_posts"] == 0
    assert turned["contrast_all"] == pytest.approx(1 - measures["contrast_all"])


def test_equal_texts_never_stand_on_both_sides(small_corpora: Path) -> None:
    frame = pd.read_parquet(small_corpora / "hate_offensive.parquet")
    pd.concat([frame, frame]).to_parquet(small_corpora / "hate_offensive.parquet")
    assert len(load_posts(small_corpora)) == len(frame)
