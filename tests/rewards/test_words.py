"""Words of several scripts."""

import pytest

from textenv.rewards.words import folded, ngrams, normalised, words


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
        ("cafe\u0301 crème", ["café", "crème"]),
        ("می\u200cخواهم بروم", ["میخواهم", "بروم"]),
        ("b\u00ada\u200bd\u2060 \u200d\ufeff\u200c x", ["bad", "x"]),
        ("ខ្ញុំ\u200bស្រលាញ់ ข้าว\u200bผัด", ["ខ្ញុំ", "ស្រលាញ់", "ข้าว", "ผัด"]),
        ("A 👨\u200d👩\u200d👧, 👍🏽👍 and 🇩🇪🇫🇷 ❤\ufe0f.", ["A", "👨\u200d👩\u200d👧", "👍🏽", "👍", "and", "🇩🇪", "🇫🇷", "❤\ufe0f"]),
        ("3\ufe0f\u20e3 times™ ©", ["3\u20e3", "times"]),
        ("abcba", ["abcba"]),
    ],
)
def test_words_by_hand(text: str, expected: list[str]) -> None:
    assert words(text) == expected


def test_ngrams_are_in_order_and_none_for_short_texts() -> None:
    assert ngrams("a b a b", 2) == [("a", "b"), ("b", "a"), ("a", "b")]
    assert ngrams("a b", 3) == ngrams("", 1) == []


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("CAFE\u0301", "café"),
        ("İSTANBUL", "istanbul"),
        ("I\u0307stanbul", "ISTANBUL"),
        ("Don’t", "DON'T"),
        ("so\u00adso", "soso"),
        ("ΟΔΟΣ", "οδος"),
        ("STRASSE", "straße"),
    ],
)
def test_words_that_read_alike_are_compared_as_equals(one: str, other: str) -> None:
    assert words(folded(one)) == words(folded(other))
    assert len(words(one)) == len(words(other)) == 1


def test_to_fold_or_normalise_again_changes_nothing() -> None:
    every = "".join(map(chr, [*range(0xD800), *range(0xE000, 0x30000)]))
    assert normalised(normalised(every)) == normalised(every)
    assert folded(folded(every)) == folded(every)


def test_plain_texts_are_only_put_into_lower_case() -> None:
    plain = "".join(map(chr, range(128)))
    assert normalised(plain) is plain
    assert folded(plain) == plain.lower()
