"""From the corpora to training documents: the mixture of `tiny-en` and the splits of the reviews.

A text's split is a hash of the text itself, so equal texts never stand on both sides.
"""

import hashlib
import re
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Final, Literal, cast

import pandas as pd

from textenv.build.questions import question
from textenv.envs import templates

Split = Literal["heldout", "reward", "judge"]

SEASON_WORDS: Final = tuple(
    """spring blossoms cherry butterfly plum frogs april may march petals nest seeds robin tulips drizzle daffodils
    summer fireflies heat cicada beach thunder lightning july august june sunflower roses moth cricket drought melon
    autumn leaves harvest maple geese october november september fog mist moon scarecrow pumpkin crow dew apple
    winter snow frost ice january february december christmas icicle snowflakes snowman solstice blizzard cold
    rain wind storm sea river stars dawn dusk night morning evening sunset clouds mountain garden pond tea""".split()
)
HALF_WIDTH: Final = {code + 0xFEE0: code for code in range(0x21, 0x7F) if chr(code).isalnum()} | {0x3000: 0x20}
"""Full-width letters, digits and the full-width space, and what they are read as."""
FULL_WIDTH: Final = str.maketrans(",!?;:.", "，！？；：。")
Mixture = list[tuple[str, list[str], int]]
"""Rows of (name, documents, passes over them)."""
QUESTIONS: Final = 12_000
INSTRUCTIONS_FROM_REVIEWS: Final = 4_000
SUMMARIES: Final = 6_000


def split_of(text: str) -> Split:
    """Name the split of a text: 4 % held out, 48 % for the reward, 48 % for the judge."""
    bucket = int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big") % 100
    return "heldout" if bucket < 4 else "reward" if bucket < 52 else "judge"


def load_reviews(corpora: Path) -> pd.DataFrame:
    """Read the film reviews: columns text, label (1 positive, 0 negative, -1 unlabelled), split."""
    reviews = pd.read_parquet(corpora / "imdb_reviews.parquet", columns=["text", "label"])
    return reviews.assign(split=reviews["text"].map(split_of))


def tidy(text: str) -> str:
    """Write a Chinese text as it is printed.

    Letters and digits become half-width, the marks after a Chinese character full-width, white space one space, and
    runs of question marks, which stand where a symbol was lost, go.

    >>> tidy("ＯＫ,很好,大小合适!")
    'OK,很好，大小合适！'
    """
    text = " ".join(re.sub(r"\?{2,}", "", text.translate(HALF_WIDTH)).split())
    return re.sub(r"(?<=[\u4e00-\u9fff])(?:\.(?!\.)|[,!?;:]+)", lambda marks: marks[0].translate(FULL_WIDTH), text)


def load_shop_reviews(corpora: Path) -> pd.DataFrame:
    """Read the Chinese product reviews, tidied: columns text, label (1 positive, 0 negative), split."""
    reviews = pd.read_parquet(corpora / "shop_reviews_zh.parquet", columns=["text", "label"])
    reviews = reviews.assign(text=reviews["text"].map(tidy))
    reviews = reviews[reviews["text"].str.len() > 0].drop_duplicates("text")
    return reviews.assign(split=reviews["text"].map(split_of))


def sentences(text: str) -> list[str]:
    """Split a text after full stops, exclamation and question marks."""
    return [part for part in re.split(r"(?<=[.!?])\s+", text.strip()) if part]


def season_word(haiku: str, rng: Random) -> str:
    """Name what a haiku is about: its first season word, or else one of its longer words."""
    words: list[str] = re.findall(r"[a-z]+", haiku.lower())
    found = [word for word in words if word in SEASON_WORDS]
    if found:
        return found[0]
    longest = sorted({word for word in words if len(word) > 3}, key=lambda word: (-len(word), word))[:3]
    return rng.choice(longest) if longest else "the day"


def _haiku(corpora: Path, rng: Random) -> Iterator[str]:
    frame = pd.read_parquet(corpora / "haiku.parquet", columns=["line1", "line2", "line3"]).dropna()
    for lines in frame.itertuples(index=False):
        haiku = "\n".join(" ".join(str(line).split()) for line in lines)
        yield templates.HAIKU.format(season_word=season_word(haiku, rng)) + haiku


def _detox(corpora: Path) -> Iterator[str]:
    for row in pd.read_parquet(corpora / "paradetox.parquet").itertuples(index=False):
        for neutral in (row.neutral1, row.neutral2, row.neutral3):
            if isinstance(neutral, str):
                yield f"{templates.DETOX.format(toxic=str(row.toxic).strip())} {neutral.strip()}"


def _summaries(corpora: Path, reviews: pd.DataFrame, rng: Random) -> Iterator[str]:
    for row in pd.read_parquet(corpora / "tldr.parquet").itertuples(index=False):
        yield f"{templates.SUMMARY.format(text=str(row.post).strip())} {str(row.summary).strip()}"
    texts = cast(list[str], reviews["text"].tolist())
    written = 0
    for text in rng.sample(texts, len(texts)):
        parts = sentences(text)
        if 3 <= len(parts) <= 7 and 5 <= len(parts[-1].split()) <= 25 and len(text) < 700:
            yield f"{templates.SUMMARY.format(text=' '.join(parts[:-1]))} {parts[-1]}"
            written += 1
            if written == SUMMARIES:
                return


def _questions(rng: Random) -> Iterator[str]:
    for _ in range(QUESTIONS):
        topic, asked, answer = question(rng)
        template = templates.TOPIC_QUESTION if topic else templates.QUESTION
        yield f"{template.format(topic=topic, question=asked)} {answer}"


def _instructions(corpora: Path, reviews: pd.DataFrame, rng: Random) -> Iterator[str]:
    for row in pd.read_parquet(corpora / "instructions.parquet").itertuples(index=False):
        template = templates.INSTRUCTION_WITH_INPUT if row.input else templates.INSTRUCTION
        yield f"{template.format(instruction=row.instruction, input=row.input)} {str(row.output).strip()}"
    labelled = reviews[reviews["label"] >= 0].sample(INSTRUCTIONS_FROM_REVIEWS, random_state=rng.randrange(2**31))
    for text, label in zip(labelled["text"], labelled["label"], strict=True):
        parts, tone = sentences(text), ("negative", "positive")[label]
        instruction, answer = rng.choice(
            (
                ("Is this review positive or negative?", tone),
                (f"Write a {tone} review of a film.", " ".join(parts[:4])),
                ("Continue this review.", " ".join(parts[1:4])),
            )
        )
        if "Write" in instruction:
            yield f"{templates.INSTRUCTION.format(instruction=instruction)} {answer}"
        else:
            shown = text[:300] if answer == tone else parts[0]
            yield f"{templates.INSTRUCTION_WITH_INPUT.format(instruction=instruction, input=shown)} {answer}"


def mixture(corpora: Path, seed: int) -> Mixture:
    """Build the corpus of `tiny-en`.

    Args:
        corpora: folder with the parquet files.
        seed: of the generators of questions, summaries and instructions.

    Returns:
        Rows of (name, documents, passes over them); the reviews come first, without the held-out ones.
    """
    rng = Random(seed)
    reviews = load_reviews(corpora)
    reviews = reviews[reviews["split"] != "heldout"]
    stories = pd.read_parquet(corpora / "tinystories.parquet")["text"].str.strip().tolist()
    return [
        ("reviews", reviews["text"].tolist(), 1),
        ("haiku", list(_haiku(corpora, rng)), 6),
        ("detox", list(_detox(corpora)), 2),
        ("summaries", list(_summaries(corpora, reviews, rng)), 1),
        ("stories", stories, 2),
        ("questions", list(_questions(rng)), 1),
        ("instructions", list(_instructions(corpora, reviews, rng)), 1),
    ]


def chinese_mixture(corpora: Path, seed: int) -> Mixture:
    """Build the corpus of `tiny-zh`: the product reviews without the held-out ones; nothing in it is drawn, whatever the seed."""
    reviews = load_shop_reviews(corpora)
    return [("reviews", reviews[reviews["split"] != "heldout"]["text"].tolist(), 1)]
