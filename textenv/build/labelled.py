"""Labelled texts for classifiers, by split: n texts, and n labels of 1 (the positive class) and 0."""

import re
from collections import Counter
from itertools import islice
from pathlib import Path
from random import Random
from typing import cast

import pandas as pd

from textenv.build.corpora import Split, load_reviews, load_shop_reviews, sentences, split_of

Labelled = tuple[list[str], list[int]]


def columns(frame: pd.DataFrame) -> Labelled:
    """Return the texts and labels of a table."""
    return cast(list[str], frame["text"].tolist()), cast(list[int], frame["label"].tolist())


def film_sentiment(corpora: Path, split: Split) -> Labelled:
    """Read the film reviews that have a label, 1 positive."""
    frame = load_reviews(corpora)
    return columns(frame[(frame["split"] == split) & (frame["label"] >= 0)])


def shop_sentiment(corpora: Path, split: Split) -> Labelled:
    """Read the Chinese product reviews, 1 positive."""
    frame = load_shop_reviews(corpora)
    return columns(frame[frame["split"] == split].sample(frac=1, random_state=0))


def load_toxicity(corpora: Path) -> pd.DataFrame:
    """Read toxic sentences and their neutral rewrites: columns text, label (1 toxic, 0 neutral), split, in a fixed random order.

    A sentence and its rewrites share their split. What stands on both sides is left out.
    """
    pairs = pd.read_parquet(corpora / "paradetox.parquet").rename(columns={"toxic": "source"})
    pairs = pairs.assign(split=pairs["source"].map(split_of), toxic=pairs["source"])
    rows = pairs.melt(["source", "split"], ["toxic", "neutral1", "neutral2", "neutral3"], "side", "text").dropna()
    rows = rows.assign(text=rows["text"].str.strip(), label=(rows["side"] == "toxic").astype(int))
    rows = rows.drop_duplicates(["text", "label"])
    both = rows["text"].duplicated(keep=False)
    return rows[~both & (rows["text"].str.len() > 0)].sample(frac=1, random_state=0)[["text", "label", "split"]]


def toxic_words(texts: list[str], labels: list[int]) -> set[str]:
    """Name the words that occur in five toxic sentences or more, and at least four times as often there as in neutral ones."""
    seen: dict[int, Counter[str]] = {0: Counter(), 1: Counter()}
    for text, label in zip(texts, labels, strict=True):
        seen[label].update(set(words(text)))
    times = 4 * labels.count(1) / max(labels.count(0), 1)
    return {word for word, count in seen[1].items() if count >= 5 and count >= times * seen[0][word]}


def toxicity(corpora: Path, split: Split) -> Labelled:
    """Read toxic sentences, 1, and neutral ones, 0.

    To each two toxic sentences comes one sentence of a film review of the same split without a toxic word, as a neutral
    one. The held-out split has none: there the rewrites alone are to be told from what they rewrite.
    """
    frame = load_toxicity(corpora)
    texts, labels = columns(frame[frame["split"] == split])
    if split == "heldout":
        return texts, labels
    added = harmless_sentences(corpora, split, toxic_words(texts, labels), labels.count(1) // 2)
    rows = [*zip(texts, labels, strict=True), *((text, 0) for text in added)]
    Random(0).shuffle(rows)
    return [text for text, _ in rows], [label for _, label in rows]


def neutrality(corpora: Path, split: Split) -> Labelled:
    """Read the texts of `toxicity`, 1 neutral and 0 toxic."""
    texts, labels = toxicity(corpora, split)
    return texts, [1 - label for label in labels]


def harmless_sentences(corpora: Path, split: Split, avoided: set[str], count: int) -> list[str]:
    """Draw sentences of 3 to 30 words from the film reviews of a split, one a review, without the words to avoid."""
    rng = Random(0)
    frame = load_reviews(corpora)
    reviews = cast(list[str], frame[frame["split"] == split]["text"].tolist())
    drawn = (rng.choice(sentences(text)) for text in rng.sample(reviews, len(reviews)))
    return list(islice((text for text in drawn if 3 <= len(text.split()) <= 30 and not avoided & set(words(text))), count))


def words(text: str) -> list[str]:
    """Find the words of an English text, in lower case."""
    return re.findall(r"[a-z']+", text.lower())
