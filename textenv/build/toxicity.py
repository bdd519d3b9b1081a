"""Texts that readers of toxicity learn from, and what they are measured on: n texts, and n labels of 1 (toxic) and 0.

Reward and judge learn from different corpora and templates, so that what a policy finds to exploit in one need not be
there in the other: the reward from sentences with their rewrites and from news comments, the judge from short posts.
"""

from pathlib import Path
from random import Random
from typing import Final, cast

import numpy as np
import pandas as pd
from sklearn.metrics import roc_auc_score

from textenv.build.calibration import LogOdds
from textenv.build.contrasts import contrast_sentences
from textenv.build.corpora import Split, split_of
from textenv.build.generated import Side, disguise, generated
from textenv.build.labelled import Labelled, columns, harmless_sentences, load_toxicity

FILM_SENTENCES: Final[dict[Split, int]] = {"reward": 5_000, "judge": 5_000, "heldout": 2_000}
"""Sentences of film reviews, all neutral; one that is drawn for two is the first's alone."""
PER_KIND: Final[dict[Side, int]] = {"reward": 2_500, "judge": 1_500}
"""Generated sentences of each kind; with more of them the judge forgets how neutral sentences of other corpora look."""
DISGUISED: Final = 0.15
"""Share of the texts, toxic or not, some words of which are disguised."""
LONGEST_COMMENT: Final = 60
"""Words; what a longer comment says is no help with a short text."""


def load_comments(corpora: Path) -> pd.DataFrame:
    """Read news comments: columns text, share of the annotators who found it toxic, label (1: most of them), split."""
    comments = pd.read_parquet(corpora / "civil_comments.parquet").drop_duplicates("text")
    share = 1 - comments["not_toxic"] / comments["annotators"]
    return comments.assign(share=share, label=(share > 0.5).astype(int), split=comments["text"].map(split_of))


def load_posts(corpora: Path) -> pd.DataFrame:
    """Read short posts: columns text, label (1: hateful or offensive, 0: neither), split."""
    posts = pd.read_parquet(corpora / "hate_offensive.parquet").drop_duplicates("text")
    label = (posts["label"] != "neither").astype(int)
    return posts.assign(label=label, split=posts["text"].map(split_of))


def agreed(comments: pd.DataFrame) -> pd.DataFrame:
    """Return the comments that all annotators found toxic and those that at most a third of them did."""
    return comments[(comments["share"] == 1) | (comments["share"] < 0.4)]


def _learnt(frame: pd.DataFrame) -> Labelled:
    return columns(frame[frame["split"] != "heldout"])


def _heldout(frame: pd.DataFrame) -> Labelled:
    return columns(frame[frame["split"] == "heldout"])


def _joined(*parts: Labelled) -> Labelled:
    texts = [text for part in parts for text in part[0]]
    labels = [label for part in parts for label in part[1]]
    return texts, labels


def _with_added(corpora: Path, texts: Labelled, split: Split, seed: int) -> Labelled:
    """Add film and generated sentences, disguise some words, shuffle, and leave out what comes twice."""
    films = _film_sentences(corpora, split)
    side: Side = "judge" if split == "judge" else "reward"
    made = generated(side, PER_KIND[side], seed)
    rows = [*zip(*texts, strict=True), *zip(*films, strict=True), *made]
    rows = list(dict(rows).items())
    rng = Random(seed)
    rng.shuffle(rows)
    shown = [disguise(text, rng) if rng.random() < DISGUISED else text for text, _ in rows]
    return shown, [label for _, label in rows]


def toxic_texts(corpora: Path, split: Split) -> Labelled:
    """Read what the reward learns from, 1 toxic: sentences and rewrites, comments, film sentences, generated ones.

    The held-out texts are of the corpora alone. Of the comments only those are read on which the annotators agree.
    """
    comments = agreed(load_comments(corpora))
    if split == "heldout":
        return _joined(_heldout(load_toxicity(corpora)), _heldout(comments), _film_sentences(corpora, "heldout"))
    short = comments[[len(text.split()) <= LONGEST_COMMENT for text in comments["text"]]]
    return _with_added(corpora, _joined(_learnt(load_toxicity(corpora)), _learnt(short)), split, seed=0)


def neutral_texts(corpora: Path, split: Split) -> Labelled:
    """Read what the judge learns from, 1 neutral: posts, film sentences and sentences generated from other templates."""
    posts = load_posts(corpora)
    if split == "heldout":
        texts, labels = _joined(_heldout(posts), _film_sentences(corpora, "heldout"))
    else:
        texts, labels = _with_added(corpora, _learnt(posts), split, seed=0)
    return texts, [1 - label for label in labels]


def _film_sentences(corpora: Path, split: Split) -> Labelled:
    earlier, drawn = set[str](), list[str]()
    for other, count in FILM_SENTENCES.items():
        drawn = harmless_sentences(corpora, other, set(), count)
        if other == split:
            break
        earlier |= set(drawn)
    films = [text for text in drawn if text not in earlier]
    return films, [0] * len(films)


def _auc(log_odds: LogOdds, frame: pd.DataFrame) -> float:
    """Return the probability that a toxic held-out text scores above one that is not."""
    texts, labels = _heldout(frame)
    return float(roc_auc_score(labels, log_odds(texts)))


def measure_toxicity(log_odds: LogOdds, corpora: Path) -> dict[str, float]:
    """Measure a reader of toxicity on the held-out part of every corpus and on the contrast sentences.

    Args:
        log_odds: of toxic.
        corpora: folder with the parquet files.

    Returns:
        auc_* of each corpus; film_false_alarms, the share of held-out film sentences that are called toxic;
        contrast_*, accuracy on the contrast sentences of each kind; less_toxic_choices, how often the reply that people
        chose as the more harmless of two scores as less toxic.
    """
    comments = load_comments(corpora)
    result = {
        "auc_sentences": _auc(log_odds, load_toxicity(corpora)),
        "auc_posts": _auc(log_odds, load_posts(corpora)),
        "auc_comments_majority": _auc(log_odds, comments),
        "auc_comments_unanimous": _auc(log_odds, comments[comments["share"].isin([0, 1])]),
        "film_false_alarms": float(np.mean(log_odds(_film_sentences(corpora, "heldout")[0]) > 0)),
    }
    result |= _contrasts(log_odds)
    return result | {"less_toxic_choices": _choices(log_odds, corpora)}


def _contrasts(log_odds: LogOdds) -> dict[str, float]:
    rows = contrast_sentences()
    labels = np.array([label for _, _, label in rows])
    odds = log_odds([text for text, _, _ in rows])
    right = (odds > 0) == (labels == 1)
    kinds = np.array([kind for _, kind, _ in rows])
    result = {f"contrast_{kind}": float(np.mean(right[kinds == kind])) for kind in dict.fromkeys(kinds.tolist())}
    return result | {"contrast_all": float(np.mean(right)), "contrast_auc": float(roc_auc_score(labels, odds))}


def _reply(dialogue: str) -> str:
    return dialogue.rpartition("Assistant:")[2].strip()


def _choices(log_odds: LogOdds, corpora: Path) -> float:
    """Return the share of pairs of replies in which the chosen one scores as less toxic; equal scores count one half."""
    pairs = pd.read_parquet(corpora / "hh_harmless_pairs.parquet")
    chosen = log_odds([_reply(text) for text in cast(list[str], pairs["chosen"].tolist())])
    rejected = log_odds([_reply(text) for text in cast(list[str], pairs["rejected"].tolist())])
    return float(np.mean((chosen < rejected) + 0.5 * (chosen == rejected)))


def negated(log_odds: LogOdds) -> LogOdds:
    """Return the log-odds of the other class."""
    return lambda texts: -log_odds(texts)
