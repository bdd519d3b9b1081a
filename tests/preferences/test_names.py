"""`clean_name`: names that look the same are the same, and nothing in them is hidden."""

import pytest

from textenv.errors import ArgumentError
from textenv.preferences.names import clean_name


@pytest.mark.parametrize(
    ("name", "cleaned"),
    [
        ("anna", "anna"),
        ("Anna", "Anna"),
        ("", ""),
        ("  Zoe\u0308 \t\u3000 M\u00fcller\n", "Zo\u00eb M\u00fcller"),
        ("\u1112\u1161\u11ab", "\ud55c"),
        ("\u00a0a\u2028b\u2009", "a b"),
        ("O'Neil-<b> 张; x=1 🙂", "O'Neil-<b> 张; x=1 🙂"),
        ("\u0915\u094d\u0937", "\u0915\u094d\u0937"),
    ],
)
def test_one_way_to_write_a_name(name: str, cleaned: str) -> None:
    assert clean_name(name) == cleaned == clean_name(cleaned)


INVISIBLE = (
    *("\0", "\x07", "\x1b", "\x7f", "\x9b"),
    *("\u202e", "\u2066", "\u200f", "\u061c"),
    *("\u200b", "\u200d", "\u2060", "\ufeff", "\u00ad"),
    *("\u034f", "\u115f", "\u3164", "\uffa0", "\u2800", "\ufe0f", "\U000e0041", "\U000e0100"),
    *("\ud800", "\ue000", "\uffff"),
)


@pytest.mark.parametrize("character", INVISIBLE, ids=ascii)
def test_what_cannot_be_seen_is_refused_and_named(character: str) -> None:
    for name in (character, f"anna{character}", f"{character}anna", f"an{character}na"):
        with pytest.raises(ArgumentError, match=r"^An annotator's name holds no character that cannot be seen, got '") as caught:
            clean_name(name)
        assert str(caught.value).isprintable()


def test_white_space_alone_is_no_name() -> None:
    for name in (" ", "\t\n", "\u3000"):
        with pytest.raises(ArgumentError, match=r"^An annotator's name needs a letter, got '"):
            clean_name(name)
