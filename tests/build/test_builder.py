from pathlib import Path
from typing import get_args

import pytest

from textenv.build.builder import READERS, heldout_films, heldout_shop, put
from textenv.build.catalogue import Name
from textenv.build.corpora import load_reviews, load_shop_reviews, split_of

KINDS = ("sentiment", "profanity", "toxicity")


def test_every_classifier_has_its_texts(small_corpora: Path) -> None:
    assert set(READERS) == {name for name in get_args(Name) if name.split("-")[1] in KINDS}
    for name, read in READERS.items():
        texts, labels = read(small_corpora, "judge" if name.endswith("-judge") else "reward")
        assert len(texts) == len(labels) > 50
        assert set(labels) == {0, 1}


def test_reward_and_judge_share_no_text(small_corpora: Path) -> None:
    for name in ("tiny-sentiment", "tiny-profanity", "tiny-toxicity", "tiny-sentiment-zh"):
        reward = set(READERS[name](small_corpora, "reward")[0])
        judge = set(READERS[f"{name}-judge"](small_corpora, "judge")[0])
        heldout = set(READERS[name](small_corpora, "heldout")[0])
        assert reward.isdisjoint(judge)
        assert heldout
        assert heldout.isdisjoint(reward | judge)


def test_held_out_texts_are_all_of_their_split(small_corpora: Path) -> None:
    for texts, frame in (
        (heldout_films(small_corpora), load_reviews(small_corpora)),
        (heldout_shop(small_corpora), load_shop_reviews(small_corpora)),
    ):
        assert texts == [text for text in frame["text"] if split_of(text) == "heldout"]
        assert texts


def test_put_leaves_nothing_half_written(tmp_path: Path) -> None:
    def fail(folder: Path) -> None:
        (folder / "a.txt").write_text("half")
        raise OSError("disk full")

    put(tmp_path / "model", lambda folder: (folder / "a.txt").write_text("whole"))
    with pytest.raises(OSError, match="disk full"):
        put(tmp_path / "model", fail)
    assert (tmp_path / "model" / "a.txt").read_text() == "whole"
    assert [path.name for path in tmp_path.iterdir()] == ["model"]
