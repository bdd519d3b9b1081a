"""The form that an instruction asks for: a word to choose, a sentence, a paragraph or a list."""

import re
from collections.abc import Callable, Sequence
from typing import Final

from textenv.errors import RewardError
from textenv.rewards.rules import Length
from textenv.rewards.words import folded, words

_SENTENCE: Final = Length(4, 20)
_PARAGRAPH: Final = Length(20, 45)
_ITEMS: Final = 3
_ITEM: Final = 6  # words of the longest item


def _ended(text: str) -> float:
    """1 for a text that ends as a sentence does, else a half."""
    return 1.0 if re.search(r"[.!?][\"')]*\s*$", text) else 0.5


def _sentence(text: str, options: Sequence[str]) -> float:
    return _SENTENCE([text])[0] * _ended(text)


def _paragraph(text: str, options: Sequence[str]) -> float:
    return _PARAGRAPH([text])[0] * _ended(text)


def _list(text: str, options: Sequence[str]) -> float:
    counts = [len(words(item)) for item in re.split(r"[,;\n]", text)]
    return min(1.0, sum(0 < count <= _ITEM for count in counts) / _ITEMS)


def _label(text: str, options: Sequence[str]) -> float:
    found = words(folded(text))
    named = sum(folded(option) in found for option in options)
    return (0.5 + 0.5 * (named == 1)) / len(found) if found else 0.0


_FORMS: Final[dict[str, Callable[[str, Sequence[str]], float]]] = {
    "sentence": _sentence,
    "paragraph": _paragraph,
    "list": _list,
    "label": _label,
}


def format_score(completions: Sequence[str], format: Sequence[str], options: Sequence[Sequence[str]]) -> list[float]:
    """Score n texts by the form they were asked for, 0 to 1 and higher for closer.

    - "sentence" and "paragraph": 4 to 20 and 20 to 45 words, less falling linearly as in `Length`, times a half for a text
      without a closing full stop, exclamation or question mark;
    - "list": the number of items of one to six words, up to three; commas, semicolons and new lines part them;
    - "label": one divided by the number of words, times a half unless exactly one of the options is among them.

    >>> format_score(["Bread, milk and tea", " Yes", "It is a film."], ["list", "label", "sentence"], [[], ["yes", "no"], []])
    [0.6666666666666666, 1.0, 1.0]

    Args:
        completions: n texts.
        format: n names of a form.
        options: for a label its words to choose from, else nothing.

    Raises:
        RewardError: there is no form of that name.
    """
    for name in format:
        if name not in _FORMS:
            raise RewardError(f'The column "format" names {", ".join(_FORMS)}, not {name!r}.')
    return [_FORMS[name](text, choice) for text, name, choice in zip(completions, format, options, strict=True)]
