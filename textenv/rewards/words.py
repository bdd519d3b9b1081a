"""What a word is, in every script."""

import unicodedata

import regex

_ALONE = r"\p{Han}\p{Hiragana}\p{Katakana}"
_RUN = rf"[^\W{_ALONE}]+"
# One grapheme, with its joiners, skin tone and tags, that begins as an emoji: families, flags, hearts.
_EMOJI = (
    r"(?=\p{Emoji_Presentation}|\p{Regional_Indicator}"
    r"|\p{Extended_Pictographic}[\uFE0F\u200D\p{Emoji_Modifier}])\X"
)
_WORD = regex.compile(rf"{_EMOJI}|[{_ALONE}]|{_RUN}(?:['’]{_RUN})*")
# Thai, Khmer and their kind write no spaces: a zero-width space is what parts their words.
_INVISIBLE = regex.compile(rf"({_EMOJI})|(?!\u200B)\p{{DI}}|(?<!\p{{LB=SA}})\u200B")


def normalised(text: str) -> str:
    r"""Return a text as it is seen: accents composed (NFC), and without what shows nothing.

    What shows nothing are Unicode's default-ignorable characters, such as soft hyphens and zero-width
    spaces, joiners and no-break spaces; those within an emoji stay. Unicode Standard Annex 15,
    https://www.unicode.org/reports/tr15/, and 44, Default_Ignorable_Code_Point,
    https://www.unicode.org/reports/tr44/.

    >>> normalised("a ca\u00adfe\u0301")
    'a café'
    """
    if text.isascii():
        return text
    return unicodedata.normalize("NFC", _INVISIBLE.sub(r"\1", text))


def folded(text: str) -> str:
    """Return a text as words are compared: `normalised`, in one case, with straight apostrophes.

    Case is folded as Unicode does without a language; only the Turkish İ becomes a plain i, since its
    dot would make another letter of it.

    >>> folded("Don’t, İSTANBUL!")
    "don't, istanbul!"
    """
    lower = normalised(text).casefold()
    return normalised(lower.replace("i\u0307", "i").replace("’", "'"))


def words(text: str) -> list[str]:
    """Split a text into words: runs of letters and digits of the text as `normalised`.

    Each Chinese or Japanese character and each emoji is a word by itself. An apostrophe within a word
    belongs to it; other punctuation is left out.

    >>> words("Don't stop, 3 times!")
    ["Don't", 'stop', '3', 'times']
    >>> words("我爱 Python")
    ['我', '爱', 'Python']
    """
    return [str(word) for word in _WORD.findall(normalised(text))]


def ngrams(text: str, n: int) -> list[tuple[str, ...]]:
    """List the n-grams of a text's words.

    >>> ngrams("one two three", 2)
    [('one', 'two'), ('two', 'three')]
    """
    found = words(text)
    return list(zip(*(found[i:] for i in range(n)), strict=False))
