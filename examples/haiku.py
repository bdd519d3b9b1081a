"""Haiku of five, seven and five syllables: the environment that docs/own_environment.md builds step by step.

In this folder: textenv check haiku:MyHaiku-v0, textenv train haiku:MyHaiku-v0
"""

import re

import textenv

TIMES = "morning evening winter autumn summer spring late early first last".split()
THINGS = "snow rain wind moon frost fog leaves blossom crickets swallows".split()
PROMPTS = [f"Haiku about {time} {thing}:\n" for time in TIMES for thing in THINGS]


def syllables(text: str) -> list[int]:
    """Count the groups of vowels in each line, but for the silent e of "late"."""
    heard = re.sub(r"(?<=[aeiouy][^aeiouy\W])e\b", "", text.lower())
    return [len(re.findall(r"[aeiouy]+", line)) for line in heard.strip().split("\n")]


def form(completions: list[str]) -> list[float]:
    """Pay every line by how near it is to its five, seven or five."""
    scores = []
    for text in completions:
        counts = syllables(text)
        near = [1 / (1 + abs(count - wanted)) for count, wanted in zip(counts, (5, 7, 5), strict=False)]
        scores.append(sum(near) / max(3, len(counts)))
    return scores


def strict(completions: list[str]) -> list[float]:
    """Judge: 1 for a haiku that has the form, 0 for all others."""
    return [float(syllables(text) == [5, 7, 5]) for text in completions]


def three_lines(text: str) -> bool:
    """Stop at the end of the third line."""
    return text.count("\n") == 3


textenv.register(
    "MyHaiku-v0",
    prompts=PROMPTS,
    reward=form,
    judge=strict,
    stop=three_lines,
    max_prompt_tokens=16,
    max_new_tokens=40,
)
