"""Whole texts and fragments of them, which a classifier learns, because a policy's completions are short and break off."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random
from typing import Final, Literal

from textenv.build.corpora import sentences

Unit = Literal["words", "characters"]


@dataclass(frozen=True, kw_only=True)
class FragmentRecipe:
    """How labelled texts become those that a classifier learns."""

    unit: Unit = "words"
    """What lengths are counted in."""
    per_text: int = 3
    """Fragments of each text in each pass, beside the whole text."""
    least: int = 5
    most: int = 60
    """Length of the shortest and of the longest fragment that is learnt."""
    measured: int = 24
    """Length of the fragments that the temperature and the measures are taken on."""
    calibration: int = 10
    """One text in so many is kept for the temperature."""


def clauses(text: str) -> list[str]:
    """Split a Chinese text after its commas, full stops, exclamation and question marks."""
    return [part for part in re.split(r"(?<=[，。！？；～…])(?![，。！？；～…])", text) if part]


CUTS: Final[dict[Unit, tuple[Callable[[str], list[str]], str, Callable[[str], list[str]]]]] = {
    "words": (str.split, " ", sentences),
    "characters": (list, "", clauses),
}
"""How a text comes apart, what joins the parts, and where a fragment may start."""


def fragment(text: str, length: int, rng: Random, unit: Unit = "words") -> str:
    """Cut a piece out of a text, from its start or, half of the time, from the start of one of its sentences or clauses.

    Args:
        text: to cut.
        length: words or characters of the piece; a text that is shorter stays whole.
        rng: draws where it starts.
        unit: what the length is counted in.
    """
    split, joint, parts = CUTS[unit]
    pieces = split(text)
    starts, position = [0], 0
    for part in parts(text):
        position += len(split(part))
        if position + length <= len(pieces):
            starts.append(position)
    start = rng.choice(starts) if rng.random() < 0.5 else 0
    return joint.join(pieces[start : start + length])


def one_pass(texts: Sequence[str], labels: Sequence[int], recipe: FragmentRecipe, rng: Random) -> tuple[list[str], list[int]]:
    """Return every whole text and its fresh fragments, each with the label of its text."""
    shown: list[str] = []
    wanted: list[int] = []
    for text, label in zip(texts, labels, strict=True):
        lengths = [rng.randint(recipe.least, recipe.most) for _ in range(recipe.per_text)]
        shown += [text, *(fragment(text, length, rng, recipe.unit) for length in lengths)]
        wanted += [label] * (1 + recipe.per_text)
    return shown, wanted


def measured_fragments(texts: Sequence[str], recipe: FragmentRecipe, seed: int) -> list[str]:
    """Cut four fragments of the measured length out of each text, one text after the other."""
    rng = Random(seed)
    return [fragment(text, recipe.measured, rng, recipe.unit) for text in texts for _ in range(4)]


def calibration_split(size: int, every: int) -> tuple[list[int], list[int]]:
    """Return the positions to learn from and those kept for the temperature."""
    return [i for i in range(size) if i % every], list(range(0, size, every))
