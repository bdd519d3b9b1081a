"""`clean_name`, `tidy_name`: names that look the same are the same, and nothing in them is hidden."""

import random

import pytest

from textenv.errors import ArgumentError
from textenv.preferences.names import clean_name, tidy_name


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
    *("\u034f", "\u115f", "\u3164", "\uffa0", "\u2800", "\ufe00", "\U000e0041", "\U000e0100"),
    *("\ud800", "\ue000", "\uffff"),
)


@pytest.mark.parametrize("character", INVISIBLE, ids=ascii)
def test_what_cannot_be_seen_is_refused_and_named(character: str) -> None:
    for name in (character, f"anna{character}", f"{character}anna", f"an{character}na"):
        with pytest.raises(ArgumentError, match=r"^An annotator's name holds no character that cannot be seen, got '") as caught:
            clean_name(name)
        assert str(caught.value).isprintable()


ENGLAND = "\U0001f3f4" + "".join(chr(0xE0000 + ord(letter)) for letter in "gbeng") + "\U000e007f"


@pytest.mark.parametrize(
    ("typed", "cleaned"),
    [
        ("Anna \u2764\ufe0f", "Anna \u2764"),
        ("1\ufe0f\u20e3", "1\u20e3"),
        ("\U0001f469\u200d\U0001f4bb", None),
        ("\U0001f469\U0001f3fd\u200d\u2695\ufe0f Eva", "\U0001f469\U0001f3fd\u200d\u2695 Eva"),
        ("\u2764\ufe0f\u200d\U0001f525", "\u2764\u200d\U0001f525"),
        ("\U0001f642\u200d\u2194\ufe0f", "\U0001f642\u200d\u2194"),
        ("\U0001f1e9\U0001f1ea", None),
        (f"Tom {ENGLAND}", None),
        ("علی\u200cرضا", None),
        ("دل\u200cآرا", None),
        ("زهرا\u200cسادات", "زهراسادات"),
        ("ශ්\u200dරී", None),
        ("অনির্\u200cবাণ", None),
        ("അനില്\u200d", None),
    ],
    ids=ascii,
)
def test_what_is_seen_stays_however_it_is_typed(typed: str, cleaned: str | None) -> None:
    assert clean_name(typed) == clean_name(cleaned or typed) == (cleaned or typed)
    assert tidy_name(typed) == clean_name(typed)


@pytest.mark.parametrize(
    "name",
    [
        "an\u200cna",
        "Анна\u200dМария",
        "\u200d\U0001f4bb",
        "\U0001f469\u200d\u200d\U0001f4bb",
        "\U0001f469\u200c\U0001f4bb",
        "علی\u200c",
        "$\u200d$",
        ENGLAND[1:],
        f"{ENGLAND[:-1]}",
        f"{ENGLAND}\U000e0067",
    ],
    ids=ascii,
)
def test_what_joins_nothing_is_refused(name: str) -> None:
    with pytest.raises(ArgumentError, match="holds no character that cannot be seen"):
        clean_name(name)


def test_a_kept_name_becomes_the_one_that_is_typed_now() -> None:
    for kept in ("Zoe\u0308", " Zo\u00eb", "Zoe\u034f\u0308", "Zo\u00eb\u200b", "\u202eZo\u00eb", "Z\x1bo\u00eb\t"):
        assert tidy_name(kept) == "Zo\u00eb", ascii(kept)
    assert [tidy_name(name) for name in ("", " ", "\u200b")] == ["", " ", "\u200b"]


def test_a_kept_name_can_be_typed() -> None:
    rng = random.Random(0)
    characters = "ae\u0308\u0301 \t\u200b\u200c\u200d\ufe0f\u034f\u2764\U0001f469\U0001f4bbعارا\u064e\u0653\u0d4d\u0d28\u1100\u1161\x07"
    for _ in range(3000):
        name = tidy_name("x" + "".join(rng.choices(characters, k=8)))
        assert clean_name(name) == name == tidy_name(name), ascii(name)


def test_white_space_alone_is_no_name() -> None:
    for name in (" ", "\t\n", "\u3000"):
        with pytest.raises(ArgumentError, match=r"^An annotator's name needs a letter, got '"):
            clean_name(name)
