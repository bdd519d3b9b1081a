"""Count the syllables of English words."""

import functools
import gzip
import re
from typing import TYPE_CHECKING, Final

from textenv.models.hub import ASSETS
from textenv.rewards.words import folded, normalised

if TYPE_CHECKING:
    import pyphen

WORD: Final = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)*")
_VOWELS: Final = re.compile(r"[aeiouyà-öø-ÿ]+")

# After such a first part of a compound stands a silent e: "snowflakes", "homeless", "sidewalk".
_LATER_PARTS: Final = (
    "berry|bird|birds|body|bone|box|boat|crow|day|flake|flakes|flower|flowers|ful|ground|home|house"
    "|land|less|light|line|ly|man|mark|men|ment|ments|ness|one|place|rain|scape|shine|side|stone"
    "|thing|time|times|walk|water|where|wood|work|works|yard"
)
_RULES: Final = tuple(
    (re.compile(pattern, re.VERBOSE), replacement)
    for pattern, replacement in (
        (rf"(?<=[aeiouy][^aeiouy]) e (?=(?:{_LATER_PARTS})$) | (?<=^ev) e (?=n\w)", ""),
        (r"(?<=[^aeiouylr]) le [sd]?$", "el"),  # little, candles, startled
        (r"(?<=[aeiouy]) ([^aeiouy]+) e$", r"\1"),  # late, but not the
        (r"([aeiouy].*[^td]) ed$", r"\1"),  # walked, but not painted
        (r"([aeiouy].*[^cgsxz]) (?<!ch) (?<!sh) es$", r"\1"),  # waves, but not branches
        (r"(?<=s|h) (?<!sh) m (s?)$", r"em\1"),  # prism, rhythm
        (r"^y (?=[aeiou]) | (?<=[gq]) u (?=[aeiouy])", "j"),  # young, quick, guest
        # Vowels side by side that are heard apart.
        (r"(?<=[aeiouy]) (?=ings?$)", "-"),  # going
        (r"(?<=i) (?=ers?$)", "-"),  # drier
        (r"(?<=[bdfhkmprv]i) (?=[aou]) | (?<=^li) (?=[ao])", "-"),  # violet, period, lion
        (r"(?<=di) (?=e[nt]) | (?<=qji) (?=et)", "-"),  # audience, quiet
        (r"(?<=^po) (?=e) | (?<=ho) (?=em)", "-"),  # poem, bohemian
        (r"(?<=u) (?=al | ar | ate | ous)", "-"),  # usual, January
        (r"(?<=cre) (?=at) | (?<=[^p]e) (?=o[^u])", "-"),  # create, video
        (r"(?<=^ru) (?=in) | (?<=flu) (?=i)", "-"),  # ruin, fluid
        (r"(?<=[aeu]) (?=y[aou])", "-"),  # beyond
    )
)
_RULE_VOWELS: Final = re.compile("[aeiouy]+")


@functools.cache
def _table() -> dict[str, int]:
    """Read the words of the CMU Pronouncing Dictionary with the syllables of their first pronunciation."""
    lines = gzip.decompress((ASSETS / "syllables" / "words.txt.gz").read_bytes()).decode().splitlines()
    return {word: count for count, line in enumerate(lines, start=1) for word in line.split()}


@functools.cache
def _shorter() -> dict[str, int]:
    """Read the words that are also said with fewer syllables than in their first pronunciation, and the fewest."""
    lines = gzip.decompress((ASSETS / "syllables" / "shorter.txt.gz").read_bytes()).decode().splitlines()
    return {word: int(count) for word, count in map(str.split, lines)}


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


def fewest_syllables(text: str) -> int:
    """Count the syllables of all words of a text, each in the shortest pronunciation that the dictionary has.

    >>> syllables("our fire"), fewest_syllables("our fire")
    (4, 2)
    """
    shorter = _shorter()
    found = WORD.findall(normalised(text))
    return sum(shorter.get(word.lower().replace("’", "'"), syllables_of_word(word)) for word in found)


@functools.lru_cache(maxsize=2**16)
def syllables_of_word_by_rules(word: str) -> int:
    """Count the syllables of an English word by its letters alone: 1 or more.

    Counts groups of vowels, without those that are silent and with those that are heard apart.
    Nothing is looked up, so that it errs in other words than `syllables_of_word`.

    >>> [syllables_of_word_by_rules(word) for word in ("moon", "butterfly", "don't", "snowflakes")]
    [1, 3, 1, 2]
    """
    stem, owned = re.subn(r"'s$", "", folded(word))
    apart = int(bool(owned and re.search(r"(?:[sxz]|[cs]h|[cgsz]e)$", stem)))  # the fox's
    stem, negated = re.subn(r"(?<=[dst])n't$", "", stem)  # didn't
    stem = stem.replace("'", "")
    for pattern, replacement in _RULES:
        stem = pattern.sub(replacement, stem)
    return max(1, len(_RULE_VOWELS.findall(stem))) + apart + negated


def syllables_by_rules(text: str) -> int:
    """Count the syllables of all words of a text as `syllables_of_word_by_rules` does.

    >>> syllables_by_rules("An old silent pond ...")
    5
    """
    return sum(syllables_of_word_by_rules(word) for word in WORD.findall(normalised(text)))


def is_in_dictionary(word: str) -> bool:
    """Tell whether the CMU Pronouncing Dictionary has a word, or the word of which it is the possessive.

    >>> [is_in_dictionary(word) for word in ("Moon", "moon's", "moonx")]
    [True, True, False]
    """
    word = folded(word)
    return word in _table() or word.removesuffix("'s") in _table()
