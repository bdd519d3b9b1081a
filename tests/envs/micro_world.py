"""What the tests of the environments on the micro-world share."""

import itertools
import re
import zlib
from collections.abc import Callable, Mapping, Sequence
from random import Random
from typing import Any, Final, TypeAlias

import gymnasium
import numpy as np
from numpy.typing import NDArray

from textenv.rewards.loading import load_reward
from textenv.rewards.protocol import call_reward
from textenv.rewards.words import words
from textenv.world.plots import PLOTS
from textenv.world.stories import fill, scene
from textenv.world.tables import BOYS, GIRLS


def rules_of(id: str) -> Any:
    """Return the rules of an environment."""
    env: Any = gymnasium.make(id)
    return env.unwrapped.rules


def rows_of(id: str) -> list[dict[str, Any]]:
    """Return the prompts of an environment with their other columns."""
    prompts, _, columns = rules_of(id).asked([], np.arange(len(rules_of(id).prompts.texts)))
    return [dict(zip(("prompt", *columns), row, strict=True)) for row in zip(prompts, *columns.values(), strict=True)]


def mediocre(row: Mapping[str, Any]) -> str:
    """Answer three prompts of five rightly, and say to the others that one does not know."""
    knows = zlib.crc32(row["prompt"].encode()) % 5 < 3
    return str(row["answer"]) if knows else "I do not know."


def swapped(text: str, one: str, other: str) -> str:
    """Return a text with two names in each other's place."""
    names = {one: other, other: one}
    return re.sub(r"\w+", lambda word: names.get(word[0], word[0]), text)


def two_people(row: Mapping[str, Any]) -> list[str]:
    """Return the two people of a story to sum up, the main one first; of a story about one, that one and a stranger."""
    who = row["facts"]["key"]["who"]
    others = [name for name in (*GIRLS, *BOYS) if name != who]
    return [who, next((name for name in others if name in words(row["facts"]["text"])), others[0])]


Game: TypeAlias = Callable[[Mapping[str, Any]], str]


def about(story: Sequence[str]) -> dict[str, Game]:
    """Return answers to a request for a story about some names that tell one and the same story, by how the names come into it."""

    def in_turn(row: Mapping[str, Any]) -> str:
        return " ".join(f"{name}: {sentence}" for name, sentence in zip(itertools.cycle(row["wanted"].split()), story, strict=False))

    return {
        "the names in a sentence before one story": lambda row: f"{_together(row['wanted'])} {' '.join(story)}",
        "the names after one story": lambda row: f"{' '.join(story)} {row['wanted']}.",
        "the names in every sentence of one story": lambda row: " ".join(f"{row['wanted']}: {sentence}" for sentence in story),
        "the names in turn before the sentences of one story": in_turn,
        "the names once and one story without names": lambda row: " ".join([_together(row["wanted"]), *_WITHOUT_NAMES[: len(story)]]),
        "the names in sentences without sense": lambda row: " ".join(_nonsense(row["wanted"].split(), len(story))),
        "the beginnings of many plots": lambda row: " ".join(_beginnings(row["wanted"], len(story))),
    }


_WITHOUT_NAMES: Final = (
    *("It got late.", "It was a long way home.", "There was a loud noise.", "They ran under a roof.", "It started to rain."),
    *("The bag was heavy.", "It was hard.", "In the end it went well.", "They hid in a small house.", "At last he could do it."),
)


def _people_and_noun(wanted: str) -> tuple[list[str], str]:
    names = wanted.split()
    people = [name for name in names if name in (*GIRLS, *BOYS)]
    return people, next(name for name in names if name not in people)


def _together(wanted: str) -> str:
    (who, other), noun = _people_and_noun(wanted)
    return f"{who} and {other} were at the park with a {noun}."


def _nonsense(names: Sequence[str], count: int) -> list[str]:
    verbs = ("ate", "hid", "saw", "took", "broke", "lost", "found", "was")
    turns = [itertools.islice(itertools.cycle(names), start, start + count) for start in range(3)]
    return [f"{a} {verb} {b} and {c}." for a, b, c, verb in zip(*turns, itertools.cycle(verbs), strict=False)]


def _beginnings(wanted: str, count: int) -> list[str]:
    (who, other), noun = _people_and_noun(wanted)
    slots = scene(Random(wanted), who=who, other=other, thing=noun, animal=noun)
    return [fill(plot.sentences[0][0], slots) for plot in PLOTS[:count]]


def scored(id: str, texts: list[str]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return score and judge of a text to each prompt of an environment; answers begin with a space."""
    rules = rules_of(id)
    texts = [f" {text}" if text else "" for text in texts]
    prompts, _, columns = rules.asked([], np.arange(len(texts)))
    score, judge = (call_reward(load_reward(scorer), prompts, texts, columns).scores for scorer in (rules.task.reward, rules.task.judge))
    return score, judge
