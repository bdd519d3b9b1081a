"""`clean_name`: one way to write an annotator's name, so that two that look the same are the same."""

import unicodedata
from typing import Final

import regex

from textenv.errors import ArgumentError

# The flags of England, Scotland and Wales end in tags, which show nothing elsewhere.
_FLAGS: Final = "|".join(
    "\U0001f3f4" + "".join(chr(0xE0000 + ord(letter)) for letter in place) + "\U000e007f" for place in ("gbeng", "gbsct", "gbwls")
)
# Joiners that change what is seen: in Indic conjuncts and between Arabic letters that would join
# (as in RFC 5892, appendix A, https://www.rfc-editor.org/rfc/rfc5892), and between emoji.
_JOINERS: Final = (
    r"(?<=\p{ccc=9})[\u200c\u200d]|[\u200c\u200d](?=\p{ccc=9})"
    r"|(?<=\p{jt=D}\p{jt=T}*)[\u200c\u200d](?=\p{jt=T}*[\p{jt=D}\p{jt=R}])"
    r"|(?<=[\p{Extended_Pictographic}\p{Emoji_Modifier}])\u200d(?=\p{Extended_Pictographic})"
)
# What Unicode says is not shown, controls, and the empty pattern of Braille.
_HIDDEN: Final = regex.compile(rf"(?P<seen>{_FLAGS}|{_JOINERS})|[\p{{DI}}\p{{C}}\u2800]")
# What makes no difference, and not every keyboard types: the selectors of the coloured and the plain
# form of a symbol, and a non-joiner after an Arabic letter that joins no next one.
_NO_DIFFERENCE: Final = regex.compile(r"[\ufe0e\ufe0f]|(?<=\p{jt=R})\u200c+(?=\p{jt=D}|\p{jt=R})")


def clean_name(name: str) -> str:
    r"""Return a name in Unicode's composed form (NFC), with single spaces between its words.

    Its case stays, and so do joiners that change what is seen, as in emoji, Persian and Sinhala. What
    selects the coloured form of a symbol is left out, since not every keyboard types it.

    >>> clean_name("  Zoe\u0308   Müller ")
    'Zoë Müller'

    Args:
        name: as it was typed or read; the empty one stands for nobody.

    Raises:
        ArgumentError: it consists of white space, or holds a character that cannot be seen: a
            control, a mark of direction, a zero-width space, a joiner with nothing to join.
    """
    cleaned = _composed(name)
    if name and not cleaned:
        raise ArgumentError(f"An annotator's name needs a letter, got {name!r}.")
    for match in _HIDDEN.finditer(cleaned):
        if match["seen"] is None:
            kind = unicodedata.name(match[0], "a control character")
            raise ArgumentError(f"An annotator's name holds no character that cannot be seen, got {name!r} with {kind} in it.")
    return cleaned


def tidy_name(name: str) -> str:
    r"""Return what `clean_name` does, without the characters that it refuses.

    For names that are kept already: whoever bears one goes on under the name that is typed now. A
    name of which nothing can be seen stays as it is.

    >>> tidy_name(" Zoe\u0308\u200b ")
    'Zoë'
    """
    tidied = _composed(_HIDDEN.sub(lambda match: match["seen"] or "", _composed(name)))
    if not tidied:
        return name
    return tidied if tidied == name else tidy_name(tidied)  # what was apart may now be side by side


def _composed(name: str) -> str:
    seen = _NO_DIFFERENCE.sub("", unicodedata.normalize("NFC", name))
    return " ".join(unicodedata.normalize("NFC", seen).split())
