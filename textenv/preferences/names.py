"""`clean_name`: one way to write an annotator's name, so that two that look the same are the same."""

import unicodedata
from typing import Final

from textenv.errors import ArgumentError

# What shows as nothing but counts as a letter, a mark or a symbol; str.isprintable finds the rest. From "Default_Ignorable_Code_Point"
# of Unicode (https://www.unicode.org/Public/UCD/latest/ucd/DerivedCoreProperties.txt) and the empty pattern of Braille.
_BLANKS: Final = (
    (0x034F, 0x034F),
    (0x115F, 0x1160),
    (0x17B4, 0x17B5),
    (0x180B, 0x180F),
    (0x2800, 0x2800),
    (0x3164, 0x3164),
    (0xFE00, 0xFE0F),
    (0xFFA0, 0xFFA0),
    (0xE0100, 0xE01EF),
)


def clean_name(name: str) -> str:
    r"""Return a name in Unicode's composed form (NFC), with single spaces between its words; its case stays.

    >>> clean_name("  Zoe\u0308   Müller ")
    'Zoë Müller'

    Args:
        name: as it was typed or read; the empty one stands for nobody.

    Raises:
        ArgumentError: it consists of white space, or holds a character that cannot be seen: a control, a mark of direction, a joiner.
    """
    cleaned = " ".join(unicodedata.normalize("NFC", name).split())
    if name and not cleaned:
        raise ArgumentError(f"An annotator's name needs a letter, got {name!r}.")
    for character in cleaned:
        if not character.isprintable() or any(first <= ord(character) <= last for first, last in _BLANKS):
            kind = unicodedata.name(character, "a control character")
            raise ArgumentError(f"An annotator's name holds no character that cannot be seen, got {name!r} with {kind} in it.")
    return cleaned
