"""What the models of the micro-world are taught: documents for `tiny-base`, conversations for `tiny-assistant`.

Nothing is read from a file: the generators of `textenv.world` write everything, from a seed.
"""

import hashlib
from collections.abc import Callable, Iterator, Mapping
from random import Random
from typing import Final, NamedTuple

from textenv.envs import templates
from textenv.world.exercise import Exercise
from textenv.world.judging import is_right
from textenv.world.plots import PLOTS
from textenv.world.skills import SKILLS
from textenv.world.stories import capitalised, scene, tell
from textenv.world.talking import DECLINES

HELD_OUT: Final = 20
"""Percent of the requests that no model is taught."""
FACTS: Final = (
    "animal_fact",
    "food_fact",
    "job_fact",
    "use",
    "cause",
    "opposite",
    "next_day",
    "kind",
    "describe",
)
SLIPS: Final[Mapping[str, float]] = {
    "sums": 0.0,
    "long_story": 0.05,
    **dict.fromkeys(("extract", "ideas", "job_fact"), 0.1),
    **dict.fromkeys(("opposite", "story", "summary"), 0.2),
}
"""The share of wrong answers among the demonstrations of a skill where it is not `SLIP`: the hardest have mistakes enough."""
SLIP: Final = 0.3
HELD_OUT_DOCUMENTS: Final = 2000
"""On which `tiny-base` is measured."""
PAGE: Final = 1500
"""Characters of a page of exercises."""


class Turn(NamedTuple):
    """A demonstration: the conversation up to the answer, and the answer."""

    prompt: str
    answer: str


def is_held_out(exercise: Exercise) -> bool:
    """Tell whether an exercise is kept for measuring, by a hash of what is asked; a greeting or another short word never is."""
    return is_kept_request(exercise.system + exercise.request)


def is_kept_request(text: str) -> bool:
    """Tell whether a request is kept for measuring.

    Args:
        text: what is asked, after the system's part where there is one.
    """
    return len(text.split()) >= 4 and int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big") % 100 < HELD_OUT


def exercises(skill: str, rng: Random, held_out: bool) -> Iterator[Exercise]:
    """Draw exercises of a skill without end, of those that are held out or of the others."""
    while True:
        exercise = SKILLS[skill](rng)
        if is_held_out(exercise) is held_out:
            yield exercise


def conversation(exercise: Exercise) -> str:
    """Write the prompt of an exercise as `tiny-assistant` reads it, up to the place where it answers."""
    told = templates.CHAT_SYSTEM.format(system=exercise.system) if exercise.system else ""
    return told + templates.CHAT.format(request=exercise.request)


def plain_question(exercise: Exercise) -> str:
    """Write the prompt of an exercise as `tiny-base` has read it, up to the place where the answer stands."""
    return templates.PLAIN.format(request=f"{exercise.system} {exercise.request}".strip())


def _page(rng: Random, sources: Mapping[str, Iterator[Exercise]]) -> str:
    """Write a page of exercises of one skill."""
    skill = rng.choice(list(sources))
    page, most = "", rng.randint(1, 6)
    for _ in range(most):
        exercise = next(sources[skill])
        entry = f"{plain_question(exercise)} {exercise.answer}\n"
        if page and len(page) + len(entry) > PAGE:
            break
        page += entry
    return page.strip()


def _facts(rng: Random, sources: Mapping[str, Iterator[Exercise]]) -> str:
    """Write some sentences of one kind of fact."""
    skill = rng.choice(FACTS)
    exercise = [next(sources[skill]) for _ in range(rng.randint(2, 6))]
    return " ".join(max((*each.accepted, each.answer), key=len) for each in exercise)


def _tale(rng: Random, sources: Mapping[str, Iterator[Exercise]]) -> str:
    return tell(rng.choice(PLOTS), scene(rng), rng)


def _long_tale(rng: Random, sources: Mapping[str, Iterator[Exercise]]) -> str:
    return next(sources["long_story"]).answer


def _dialogue(rng: Random, sources: Mapping[str, Iterator[Exercise]]) -> str:
    slots = scene(rng)
    first, second = slots["who"], slots["other"]
    said = [next(sources[rng.choice(("chat", "chat", "choose", "animal_fact"))]) for _ in range(rng.randint(1, 3))]
    return "\n".join(f"{first}: {each.request}\n{second}: {each.answer}" for each in said)


_Writer = Callable[[Random, Mapping[str, Iterator[Exercise]]], str]
_WRITERS: Final[tuple[tuple[_Writer, int], ...]] = (
    (_page, 45),
    (_facts, 25),
    (_tale, 18),
    (_long_tale, 5),
    (_dialogue, 7),
)
"""The kinds of documents, and the percent of each."""


def documents(count: int, seed: int) -> list[str]:
    """Write documents for `tiny-base`: pages of exercises, facts, stories and dialogues."""
    rng = Random(seed)
    sources = {skill: exercises(skill, rng, held_out=False) for skill in SKILLS}
    writers = [writer for writer, _ in _WRITERS]
    weights = [weight for _, weight in _WRITERS]
    return [writer(rng, sources) for writer in rng.choices(writers, weights, k=count)]


def slip(exercise: Exercise, rng: Random) -> str:
    """Answer an exercise wrongly, as people do who are tired: mostly with a usual mistake."""
    # What is wrong elsewhere may be right here: to decline, or the last word of "Is a key a food or a thing?".
    text = _tired(exercise, rng)
    while is_right(text, exercise):
        text = _tired(exercise, rng)
    return text


def _tired(exercise: Exercise, rng: Random) -> str:
    chance = rng.random()
    if chance < 0.8 and exercise.wrong:
        return rng.choice(exercise.wrong)
    if chance < 0.9:
        return rng.choice(DECLINES)
    return rng.choice(("I do not know.", capitalised(exercise.request.split(" ")[-1]), "Maybe."))


def demonstrations(count: int, seed: int, skills: tuple[str, ...] = tuple(SKILLS), slips: bool = True) -> list[Turn]:
    """Write demonstrations for `tiny-assistant` by annotators who err.

    Args:
        count: how many, of all skills alike.
        seed: of the generators.
        skills: of which they are.
        slips: whether the annotators err, in the shares of `SLIPS` and `SLIP`.
    """
    # Mistakes are drawn apart, so that the same exercises are demonstrated with and without them.
    rng, mistakes = Random(seed), Random(f"mistakes {seed}")
    sources = {skill: exercises(skill, rng, held_out=False) for skill in skills}
    turns = []
    for index in range(count):
        skill = skills[index % len(skills)]
        exercise = next(sources[skill])
        erring = slips and mistakes.random() < SLIPS.get(skill, SLIP)
        turns.append(Turn(conversation(exercise), slip(exercise, mistakes) if erring else exercise.answer))
    rng.shuffle(turns)
    return turns
