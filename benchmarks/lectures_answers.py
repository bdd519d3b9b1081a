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
from textenv.world.judging import named, plain, right, sentences
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


Verdict = Literal["true", "false", "nothing", "other"]
WORST_FIRST: Final[tuple[Verdict, ...]] = ("false", "other", "nothing", "true")
DOUBTS: Final = ("i do not know", "i cannot tell", "maybe", "i am not sure", "sorry", "i would rather not")
"""How answers begin that state nothing."""
_NEGATION: Final = re.compile(r"\b(?:is not|are not|does not|do not|cannot|can not|not|never|no)\b ?")


def verdict(text: str, asked: Row) -> Verdict:
    """Tell whether a text states what the tables of the micro-world say, something else, nothing, or what cannot be told.

    Every sentence is judged. A statement has the form of an answer, with its subject or a pronoun. It is false when its
    value is another one of the tables, or when it denies the right one.

    Args:
        text: an answer.
        asked: exercise of `FACTS`, or a description.

    Returns:
        "false" if a sentence is false; "true" if all are true; "nothing" for an empty text and for one that says
        that it does not know; "other" where a sentence is neither, such as an answer to another question.
    """
    judge = _described if asked["skill"] == "describe" else _stated
    verdicts = {judge(_bare(each), asked) for each in sentences(text)} or {"nothing"}
    return next(each for each in WORST_FIRST if each in verdicts)


def _bare(sentence: str) -> str:
    return plain(sentence).rstrip(" .!?")


def _stated(sentence: str, asked: Row) -> Verdict:
    """Judge a sentence as an answer to a question of fact."""
    if sentence.startswith(DOUBTS):
        return "nothing"
    accepted = [_bare(each) for each in asked["accepted"]]
    forms = {*accepted, *map(_with_pronoun, accepted)}
    if sentence in forms:
        return "true"
    value, values = _shared(accepted), _values(asked["skill"])
    if _denies(sentence, value, forms):
        return "false"
    for form in forms:
        for place in re.finditer(re.escape(value), form):
            before, after = form[: place.start()], form[place.end() :]
            match = re.fullmatch(f"{re.escape(before)}(.+){re.escape(after)}", sentence)
            if match and match[1] in values:
                return "false"
    return "other"


def _with_pronoun(form: str) -> str:
    """Replace the subject of a sentence: "a cow eats grass" becomes "it eats grass"."""
    return re.sub(r"^(?:an?|the) \w+(?= \w+s? )", "it", form)


def _denies(sentence: str, value: str, forms: set[str]) -> bool:
    """Tell whether a sentence is one of some forms with a negation; verbs differ in their endings, so they are not compared."""
    if not _NEGATION.search(sentence) or not named(sentence, [value]):
        return False
    said = set(_NEGATION.sub("", sentence).split())
    return any(len(said ^ set(form.split())) <= 2 for form in forms if form != value)


def _described(sentence: str, asked: Row) -> Verdict:
    """Judge a sentence of a description."""
    if sentence.startswith(DOUBTS):
        return "nothing"
    animal = next(each for each in ANIMALS if each.name == asked["facts"]["animal"])
    sentence = re.sub(rf"^(?:an?|the) {animal.name}\b", "it", sentence)
    truths = {_pronoun_of(each, animal.name) for each in true_sentences(animal).values()}
    if sentence in truths:
        return "true"
    values = {_pronoun_of(each, animal.name) for other in ANIMALS for each in true_sentences(animal, other).values()}
    legs = re.fullmatch(r"it has (\w+) legs?", sentence)
    if sentence in values or (legs and legs[1] != animal.legs):
        return "false"
    return "false" if any(_denies(sentence, _last_word(each), {each}) for each in truths) else "other"


def _last_word(sentence: str) -> str:
    return sentence.split()[-1]


def _pronoun_of(sentence: str, name: str) -> str:
    return re.sub(rf"^(?:an?|the) {name}\b", "it", _bare(sentence))


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
