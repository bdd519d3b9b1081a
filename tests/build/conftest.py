"""Small corpora with the columns of the real ones."""

from pathlib import Path
from random import Random

import pandas as pd
import pytest

from textenv.build import corpora

GOOD = "great lovely superb charming brilliant warm".split()
BAD = "awful dull terrible clumsy boring cold".split()
THINGS = "film story cast music ending plot camera script hero scene".split()


def review(label: int, rng: Random) -> str:
    """Write three to six short sentences whose adjectives tell the label."""
    words = GOOD if label else BAD
    pattern = "The {} was {} and the {} was {}."
    return " ".join(
        pattern.format(rng.choice(THINGS), rng.choice(words), rng.choice(THINGS), rng.choice(words)) for _ in range(rng.randint(3, 6))
    )


def shop_review(label: int, rng: Random) -> str:
    """Write a short Chinese review whose adjectives tell the label."""
    words = "好新快美" if label else "差破慢丑"
    return "".join(f"{rng.choice(('质量', '包装', '物流'))}很{rng.choice(words)}," for _ in range(rng.randint(3, 8))) + "!"


@pytest.fixture
def small_corpora(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Write every corpus, a few hundred rows together."""
    rng = Random(0)
    folder = tmp_path / "corpora"
    folder.mkdir()
    labels = [rng.choice((0, 1)) for _ in range(300)]
    texts = [review(label, rng) for label in labels]
    shown = [label if rng.random() < 0.8 else -1 for label in labels]
    haiku = [[f"{rng.choice(corpora.SEASON_WORDS)} {i}", "over the quiet water", "nobody is here"] for i in range(20)]
    texts, shown = texts + texts[:20], shown + shown[:20]  # twenty reviews stand there twice
    frames = {
        "imdb_reviews": pd.DataFrame({"text": texts, "label": shown}),
        "haiku": pd.DataFrame(haiku, columns=["line1", "line2", "line3"]),
        "paradetox": pd.DataFrame(
            {
                "toxic": ["what rot", *(f"you stupid {noun} {i}" for i, noun in enumerate(THINGS * 12))],
                "neutral1": ["that is wrong", *(f"You kind {noun} {i}." for i, noun in enumerate(THINGS * 12))],
                "neutral2": [None] * 121,
                "neutral3": ["no"] + [None] * 120,
            }
        ),
        "civil_comments": pd.DataFrame(
            {
                "text": [f"{'A stupid' if i % 4 == 0 else 'One'} mayor of town {i}" for i in range(200)],
                "annotators": [3] * 200,
                "not_toxic": [i % 4 for i in range(200)],
                "all_toxic": [0] * 200,
            }
        ),
        "hate_offensive": pd.DataFrame(
            {
                "text": [f"{'so stupid' if i % 3 else 'so kind'} of user {i}" for i in range(200)],
                "label": [("neither", "hate", "offensive")[i % 3] for i in range(200)],
            }
        ),
        "hh_harmless_pairs": pd.DataFrame(
            {
                "chosen": ["\n\nHuman: stupid?\n\nAssistant: No.", "\n\nHuman: Hi\n\nAssistant: Hi."],
                "rejected": ["\n\nHuman: stupid?\n\nAssistant: Yes, stupid.", "\n\nHuman: Hi\n\nAssistant: Hello."],
            }
        ),
        # One review stands there twice, for a full-width comma is all that tells them apart.
        "shop_reviews_zh": pd.DataFrame(
            {
                "text": ["质量很好，", "质量很好,", *(shop_review(i % 2, rng) for i in range(200))],
                "label": [1, 1, *(i % 2 for i in range(200))],
                "category": ["书籍"] * 202,
            }
        ),
        "tinystories": pd.DataFrame({"text": [" Once a dog ran home. ", "A cat slept."]}),
        "tldr": pd.DataFrame({"post": ["I lost my keys and found them in my hand."], "summary": ["Keys found."]}),
        "instructions": pd.DataFrame({"instruction": ["Name a fruit.", "Add."], "input": ["", "1, 2"], "output": ["Plum", "3"]}),
    }
    for name, frame in frames.items():
        frame.to_parquet(folder / f"{name}.parquet")
    for constant, value in (("QUESTIONS", 40), ("INSTRUCTIONS_FROM_REVIEWS", 20), ("SUMMARIES", 20)):
        monkeypatch.setattr(corpora, constant, value)
    return folder
