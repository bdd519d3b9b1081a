from dataclasses import dataclass, field

from textenv.build.card import card


@dataclass(frozen=True)
class Inner:
    pattern: str = "a|b"


@dataclass(frozen=True)
class Recipe:
    layers: int = 2
    inner: Inner = field(default_factory=Inner)


def test_card_says_all_that_a_card_must() -> None:
    text = card(
        "tiny-test",
        "A model for a test.",
        files=("imdb_reviews.parquet", "paradetox.parquet"),
        recipe=Recipe(),
        metrics={"accuracy": 0.87654, "reviews": 965.0},
        tokens={"reviews": 1234567},
    )
    header, _, body = text.removeprefix("---\n").partition("---\n")
    assert header == "license: mit\nlanguage: en\n"
    assert body.startswith("\n# tiny-test\n\nA model for a test.\n")
    assert [line for line in body.splitlines() if line.startswith("## ")] == [
        "## Data",
        "## Recipe",
        "## Measured on held-out reviews",
        "## Build",
        "## Licence",
    ]
    for wanted in (
        "Maas et al. 2011",
        "Logacheva et al. 2022",
        "| reviews | 1,234,567 |",
        "| layers | `2` |",
        "| inner.pattern | `a\\|b` |",
        "| accuracy | 0.8765 |",
        "| reviews | 965 |",
        "python -m textenv.build --corpora DIR --only tiny-test",
    ):
        assert wanted in body, wanted
    assert "Völske" not in body


def test_card_of_other_texts() -> None:
    text = card("tiny-zh", "A model.", files=("shop_reviews_zh.parquet",), recipe=Recipe(), metrics={}, language="zh", heldout="sentences")
    assert text.startswith("---\nlicense: mit\nlanguage: zh\n---\n")
    assert "ChineseNlpCorpus" in text
    assert "## Measured on held-out sentences" in text
    assert "48 % for judges" in text


def test_card_of_a_reader_with_corpora_of_its_own() -> None:
    text = card("tiny-test", "A model.", files=("hate_offensive.parquet",), recipe=Recipe(), metrics={}, halves=False)
    assert "4 % held out, the rest learnt from." in text
    assert "48 %" not in text


def test_card_without_token_counts_has_no_such_table() -> None:
    text = card("tiny-test", "A model.", files=("haiku.parquet",), recipe=Recipe(), metrics={"accuracy": 1.0})
    assert "| part | tokens |" not in text
    assert "| accuracy | 1 |" in text
