"""Count the syllables of English words."""

import functools
import gzip
import re
from typing import TYPE_CHECKING, Final

from textenv.models.hub import ASSETS
from textenv.rewards.words import normalised

if TYPE_CHECKING:
    import pyphen

WORD: Final = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)*")
_VOWELS: Final = re.compile(r"[aeiouyà-öø-ÿ]+")


@functools.cache
def _table() -> dict[str, int]:
    """Read the words of the CMU Pronouncing Dictionary with the syllables of their first pronunciation."""
    lines = gzip.decompress((ASSETS / "syllables" / "words.txt.gz").read_bytes()).decode().splitlines()
    return {word: count for count, line in enumerate(lines, start=1) for word in line.split()}


@functools.cache
def _hyphenation() -> "pyphen.Pyphen":
    import pyphen

    return pyphen.Pyphen(lang="en_US")


@functools.lru_cache(maxsize=2**16)
def syllables_of_word(word: str) -> int:
    """Count the syllables of a word: 1 or more.

    From the CMU Pronouncing Dictionary (http://www.speech.cs.cmu.edu/cgi-bin/cmudict); a word that it does not have counts its
    hyphenation points and one, or its groups of vowels without a silent e, whichever are more.

    >>> [syllables_of_word(word) for word in ("moon", "butterfly", "don't", "snowmelts")]
    [1, 3, 1, 2]
    """
    known = _table()
    word = word.lower().replace("’", "'")
    if word in known:
        return known[word]
    if word.endswith("'s") and word[:-2] in known:
        return known[word[:-2]]
    groups = len(_VOWELS.findall(re.sub(r"(?<=[^aeiouy])e(s|d)?$", "", word)))
    return max(groups, len(_hyphenation().positions(word)) + 1)


def syllables(text: str) -> int:
    """Count the syllables of all words of a text; numbers written in digits count nothing.

    >>> syllables("An old silent pond ...")
    5
    >>> syllables("")
    0
    """
    return sum(syllables_of_word(word) for word in WORD.findall(normalised(text)))
