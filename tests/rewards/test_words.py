"""Words of several scripts."""

import pytest

from textenv.rewards.words import ngrams, words


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        ("... — !?", []),
        ("It's a dog’s life, isn't it?", ["It's", "a", "dog’s", "life", "isn't", "it"]),
        ("'quoted' and-joined", ["quoted", "and", "joined"]),
        ("这部电影很好，真的。", list("这部电影很好真的")),
        ("ひらがな、カタカナ", list("ひらがなカタカナ")),
        ("hello世界2026年", ["hello", "世", "界", "2026", "年"]),
        ("हिन्दी में", ["हिन्दी", "में"]),
        ("Это не сон", ["Это", "не", "сон"]),
        ("안녕 세상", ["안녕", "세상"]),
        ("cafe\u0301 crème", ["cafe\u0301", "crème"]),
        ("abcba", ["abcba"]),
    ],
)
def test_words_by_hand(text: str, expected: list[str]) -> None:
    assert words(text) == expected


def test_ngrams_are_in_order_and_none_for_short_texts() -> None:
    assert ngrams("a b a b", 2) == [("a", "b"), ("b", "a"), ("a", "b")]
    assert ngrams("a b", 3) == ngrams("", 1) == []
