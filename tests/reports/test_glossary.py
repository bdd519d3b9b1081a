"""The page is made of the same words as the report."""

from pathlib import Path

from textenv.reports.glossary import GLOSSARY, glossary_page


def test_the_page_is_the_glossary() -> None:
    page = Path(__file__).parents[2] / "docs" / "glossary.md"
    made = "write it by: python -c 'from textenv.reports.glossary import glossary_page; print(glossary_page(), end=\"\")'"
    assert page.read_text(encoding="utf-8") == glossary_page(), made


def test_no_line_of_the_page_is_long() -> None:
    assert max(map(len, glossary_page().splitlines())) <= 100


def test_twelve_words_are_explained() -> None:
    words = "reference, judge, nat, KL k1, exact KL, β, distinct-2, perplexity, leave-one-out, potential, parked, over-optimisation"
    assert list(GLOSSARY) == words.split(", ")
    assert all(text[0].isupper() and text.endswith(".") for text in GLOSSARY.values())
