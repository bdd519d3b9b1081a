"""Write the prompts of the environments on the micro-world: `python -m textenv.build.prompts`.

They are drawn from the exercises that no model is taught, and when these are used up from those that are: of the rows of
`instruct-v1` 47 of 59 descriptions and 24 of 29 lists are requests that `tiny-assistant` was taught. Choices between people are
drawn from all: 134 of 160 rows of `bias-v1`.
"""

import itertools
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from typing import Any, Final

from textenv.build.lessons import conversation, exercises
from textenv.world.exercise import Exercise
from textenv.world.tables import ANIMALS
from textenv.world.talking import choose
from textenv.world.writing import true_sentences

FOLDER: Final = Path(__file__).parent.parent / "assets" / "prompts"
USE_CASES: Final[dict[str, tuple[int, tuple[str, ...]]]] = {
    "generation": (119, ("story", "describe")),
    "open_qa": (32, ("animal_fact", "food_fact", "job_fact", "use", "cause")),
    "brainstorming": (29, ("ideas",)),
    "chat": (22, ("chat",)),
    "rewrite": (17, ("past", "polite", "shorter")),
    "summarisation": (11, ("summary",)),
    "classification": (9, ("feeling", "kind")),
    "other": (9, ("sums", "next_day", "opposite")),
    "closed_qa": (7, ("reading",)),
    "extract": (5, ("extract",)),
}
"""Of 260 instructions: how many are of a use case, in the shares of InstructGPT's table 1, and its skills.

Ouyang et al. 2022, https://arxiv.org/abs/2203.02155."""
MOST_MISSES: Final = 500
"""Draws without a new request after which a skill's requests count as used up."""
_REWRITES: Final = ("past", "polite", "shorter")


def row(exercise: Exercise) -> dict[str, Any]:
    """Return the columns that all tasks share: the prompt, what is asked, an answer, and what the exact judge compares with."""
    return {
        "prompt": conversation(exercise),
        "request": exercise.request,
        "skill": exercise.skill,
        "answer": exercise.answer,
        "reference": exercise.accepted[0] if exercise.accepted else exercise.answer,
        "accepted": list(exercise.accepted),
        "facts": exercise.facts,
    }


def drawn(skill: str, rng: Random, **facts: bool) -> Iterator[Exercise]:
    """Draw exercises of a skill, each request once: those that are held out first, and when they are used up the others.

    Args:
        skill: its name.
        rng: source of the draws.
        **facts: what is to be known of the exercises, such as allowed=True.
    """
    seen = set[tuple[str, str]]()
    for held_out in (True, False):
        misses = 0
        for exercise in exercises(skill, rng, held_out):
            asked = (exercise.system, exercise.request)
            if facts.items() <= exercise.facts.items() and asked not in seen:
                misses = 0
                seen.add(asked)
                yield exercise
            misses += 1
            if misses > MOST_MISSES:
                break


def instruct(rng: Random) -> list[dict[str, Any]]:
    """Write instructions of ten use cases."""
    rows = []
    for use_case, (count, skills) in USE_CASES.items():
        sources = {skill: drawn(skill, rng) for skill in skills}
        for index in range(count):
            exercise = next(sources[skills[index % len(skills)]])
            rows.append({**row(exercise), "use_case": use_case, **_rules(exercise)})
    return rows


def _rules(exercise: Exercise) -> dict[str, Any]:
    """Return the columns that the rules of the reward read."""
    skill, facts = exercise.skill, exercise.facts
    question = exercise.request if not exercise.skill.startswith(("feeling", "kind", "extract")) else ""
    columns = {
        "question": facts.get("question", question),
        "source": exercise.request.split(": ", 1)[-1] if skill in _REWRITES else "",
        "wanted": " ".join(facts.get("wanted", ())),
        "members": facts.get("members", []),
    }
    if skill == "describe":
        animal = next(each for each in ANIMALS if each.name == facts["animal"])
        columns["reference"] = " ".join(true_sentences(animal).values())
    return columns


def summarize(rng: Random) -> list[dict[str, Any]]:
    """Write stories to sum up."""
    exercises = itertools.islice(drawn("summary", rng), 160)
    return [{**row(exercise), "text": exercise.facts["text"]} for exercise in exercises]


def long_form(rng: Random) -> list[dict[str, Any]]:
    """Write openings of long stories: what they are to be about."""
    exercises = itertools.islice(drawn("long_story", rng), 128)
    return [{**row(exercise), "wanted": " ".join(exercise.facts["wanted"])} for exercise in exercises]


def scope(rng: Random) -> list[dict[str, Any]]:
    """Write questions within a topic and outside it: 120 that are allowed and 40 that are not.

    Eight of the allowed ones only sound harmful. Of the others eight do harm without a topic, and some do with one.
    """
    quota = {("scope", True): 112, ("scope", False): 32, ("harm", True): 8, ("harm", False): 8}
    rows = []
    for (skill, allowed), count in quota.items():
        for exercise in itertools.islice(drawn(skill, rng, allowed=allowed), count):
            topic = exercise.facts.get("topic", "")
            rows.append({**row(exercise), "topic": topic, "question": exercise.request, "allowed": allowed})
    return rows


def bias(rng: Random) -> list[dict[str, Any]]:
    """Write choices between two people, each also with the names swapped; in two of three the text says who is better."""
    rows, wanted = [], [False, True, True] * 27
    for decided in wanted[:80]:
        exercise = choose(rng)
        while bool(exercise.facts["better"]) is not decided:
            exercise = choose(rng)
        rows += [_choice(exercise), _choice(_swapped(exercise))]
    return rows


def _choice(exercise: Exercise) -> dict[str, Any]:
    return {**row(exercise), **exercise.facts}


def _swapped(exercise: Exercise) -> Exercise:
    """Return a choice with the names of the two people swapped, wherever they stand."""
    names = {exercise.facts["name_a"]: exercise.facts["name_b"], exercise.facts["name_b"]: exercise.facts["name_a"]}

    def swap(text: str) -> str:
        return " ".join(_renamed(word, names) for word in text.split(" "))

    facts = {name: names.get(value, value) for name, value in exercise.facts.items()}
    return Exercise(
        skill=exercise.skill,
        request=swap(exercise.request),
        answer=swap(exercise.answer),
        accepted=tuple(map(swap, exercise.accepted)),
        facts=facts,
    )


def _renamed(word: str, names: dict[str, str]) -> str:
    bare = word.rstrip(".,?")
    return names.get(bare, bare) + word[len(bare) :]


def detox(rng: Random) -> list[dict[str, Any]]:
    """Write rude sentences to be said politely."""
    exercises = itertools.islice(drawn("polite", rng), 160)
    return [{**row(each), "toxic": each.facts["toxic"], "source": each.facts["toxic"]} for each in exercises]


FILES: Final[dict[str, Callable[[Random], list[dict[str, Any]]]]] = {
    "bias-v1": bias,
    "detox-v1": detox,
    "instruct-v1": instruct,
    "long-form-v1": long_form,
    "scope-v1": scope,
    "summarize-v1": summarize,
}
"""File to the function that writes its rows."""


def text_of(name: str) -> str:
    """Return the content of a file of prompts, a row a line."""
    return "".join(json.dumps(each) + "\n" for each in FILES[name](Random(name)))


def main() -> None:
    """Write all files."""
    for name in FILES:
        (FOLDER / f"{name}.jsonl").write_text(text_of(name), encoding="utf-8")


if __name__ == "__main__":
    main()
