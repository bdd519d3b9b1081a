"""Every skill of the micro-world: a function that draws an exercise."""

from collections.abc import Callable
from random import Random
from typing import Final

from textenv.world.exercise import Exercise
from textenv.world.questions import (
    animal_fact,
    cause,
    food_fact,
    job_fact,
    next_day,
    opposite,
    sums,
    use,
)
from textenv.world.rewriting import past, polite, shorter
from textenv.world.talking import chat, choose, harm, scope
from textenv.world.texts import extract, feeling, kind, reading, summary
from textenv.world.writing import describe, ideas, long_story, story

SKILLS: Final[dict[str, Callable[[Random], Exercise]]] = {
    make.__name__: make
    for make in (
        *(
            animal_fact,
            food_fact,
            job_fact,
            use,
            cause,
            opposite,
            sums,
            next_day,
            reading,
            feeling,
            kind,
            extract,
        ),
        *(
            past,
            shorter,
            polite,
            ideas,
            summary,
            story,
            long_story,
            describe,
            chat,
            harm,
            scope,
            choose,
        ),
    )
}
"""Every skill by its name: a function that draws an exercise."""
