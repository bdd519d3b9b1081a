"""How policies are asked in the claims of `benchmarks.lectures`, and what is false of what they say."""

import re
from collections.abc import Sequence
from difflib import SequenceMatcher
from functools import cache
from itertools import islice
from random import Random
from typing import Any, Final, Literal

from benchmarks.lectures_chain import TOKENS
from textenv.build.lessons import exercises
from textenv.build.prompts import row
from textenv.envs import templates
from textenv.envs.task import Task
from textenv.envs.vector import TextVectorEnv
from textenv.models.policy import LanguagePolicy
from textenv.rollouts.collect import collect
from textenv.types import Episodes
from textenv.world.judging import plain, right, sentences
from textenv.world.skills import SKILLS
from textenv.world.tables import ANIMALS
from textenv.world.writing import true_sentences

WAYS: Final[dict[str, tuple[str | None, int]]] = {
    "as a conversation": (None, 0),
    "the request alone": ("{request}\n", 0),
    "in a new format": ("Q: {request}\nA:", 3),
    "zero-shot": (templates.PLAIN, 0),
    "few-shot": (templates.PLAIN, 3),
}
"""How policies are asked, and how many exercises with answers come before: the last two in the format of the documents that the base
has read, the one before in a format of which it has read nothing."""
READS: Final = 384
"""Tokens that the models of the micro-world read, prompt and answer."""
FACTS: Final = ("animal_fact", "food_fact", "job_fact", "use", "cause", "opposite", "next_day")
"""Skills whose answers state one fact of a table."""
DRAWS: Final = 4000
"""Exercises that the values of a table are gathered from."""

Row = dict[str, Any]
"""A prompt, and what the exact judge compares with."""


def held_out(skill: str, count: int, seed: int) -> list[Row]:
    """Draw exercises of a skill that no model is taught, in the format of conversations."""
    return [row(each) for each in islice(exercises(skill, Random(seed), held_out=True), count)]


def written(rows: Sequence[Row], tokenizer: Any, way: str, seed: int) -> Sequence[Row]:
    """Write prompts of conversations in one of the `WAYS`.

    Args:
        rows: prompts.
        tokenizer: of the model.
        way: in which it is asked. Exercises before the question are of the same skill and not held out; of those that do not fit
            into what the model reads there are fewer.
        seed: of the choice of exercises.
    """
    form, shots = WAYS[way]
    rng = Random(seed)
    sources = {skill: exercises(skill, rng, held_out=False) for skill in SKILLS}
    made = []
    for each in rows:
        page = each["prompt"] if form is None else form.format(request=each["request"])
        for _ in range(shots):
            assert form is not None
            example = next(sources[each["skill"]])
            longer = f"{form.format(request=example.request)} {example.answer}\n{page}"
            if len(tokenizer(longer, verbose=False)["input_ids"]) <= READS - TOKENS:
                page = longer
        made.append({**each, "prompt": page})
    return made


def answer(policy: LanguagePolicy, rows: Sequence[Row], seed: int, samples: int = 1) -> Episodes:
    """Let a policy answer every prompt so many times, at temperature 1; its scores are those of the exact judge.

    A line is an answer in the format of documents.
    """
    task = Task(
        prompts=list(rows),
        reward=right,
        tokenizer=policy.tokenizer,
        max_prompt_tokens=1,
        on_long_prompt="widen",
        max_new_tokens=TOKENS,
        stop="\n",
    )
    index = [number for number in range(len(rows)) for _ in range(samples)]
    envs = TextVectorEnv(task=task, num_envs=min(len(index), 128))
    return collect(policy, envs, len(index), seed=seed, prompt_index=index)


Verdict = Literal["true", "false", "nothing"]


def verdict(text: str, asked: Row) -> Verdict:
    """Tell whether a text states what the tables of the micro-world say, something else, or nothing about what was asked.

    A statement has the form of an answer. It is false when its value is one of the tables' that does not belong there; "I do not
    know" states nothing, and neither does an answer to another question.

    Args:
        text: an answer.
        asked: exercise of `FACTS`, or a description, which is false when one of its sentences is.
    """
    if asked["skill"] == "describe":
        return _described(text, asked["facts"]["animal"])
    said, accepted = plain(text), [plain(each) for each in asked["accepted"]]
    if said in accepted:
        return "true"
    value = _shared(accepted)
    for form in accepted:
        before, _, after = form.partition(value)
        match = re.fullmatch(f"{re.escape(before)}(.+){re.escape(after)}", said)
        if match and match[1] in _values(asked["skill"]):
            return "false"
    return "nothing"


def _described(text: str, name: str) -> Verdict:
    animal = next(each for each in ANIMALS if each.name == name)
    truths = set(true_sentences(animal).values())
    stated = {said for other in ANIMALS for said in true_sentences(animal, other).values()}
    said = [each for each in sentences(text) if each in stated]
    return "nothing" if not said else "true" if set(said) <= truths else "false"


def _shared(texts: Sequence[str]) -> str:
    """Return the longest text that all of some texts hold: the value, in the forms of an answer."""
    shared = texts[0]
    for text in texts[1:]:
        match = SequenceMatcher(None, shared, text, autojunk=False).find_longest_match()
        shared = shared[match.a : match.a + match.size]
    return shared


@cache
def _values(skill: str) -> frozenset[str]:
    """Gather what the tables hold that answers some exercise of a skill."""
    rng = Random(0)
    drawn = (SKILLS[skill](rng) for _ in range(DRAWS))
    return frozenset(_shared([plain(form) for form in each.accepted]) for each in drawn)
