"""What a word is, in every script."""

import regex

_ALONE = r"\p{Han}\p{Hiragana}\p{Katakana}"
_RUN = rf"[^\W{_ALONE}]+"
_WORD = regex.compile(rf"[{_ALONE}]|{_RUN}(?:['’]{_RUN})*")


def words(text: str) -> list[str]:
    """Split a text into words: runs of letters and digits, and each Chinese or Japanese character by itself.

    An apostrophe within a word belongs to it; other punctuation is left out.

    >>> words("Don't stop, 3 times!")
    ["Don't", 'stop', '3', 'times']
    >>> words("我爱 Python")
    ['我', '爱', 'Python']
    """
    return [str(word) for word in _WORD.findall(text)]


def ngrams(text: str, n: int) -> list[tuple[str, ...]]:
    """List the n-grams of a text's words.

    >>> ngrams("one two three", 2)
    [('one', 'two'), ('two', 'three')]
    """
    found = words(text)
    return list(zip(*(found[i:] for i in range(n)), strict=False))
