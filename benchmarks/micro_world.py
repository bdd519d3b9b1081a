"""The table of docs/micro_world.md: an exercise of each skill, and which share of them `tiny-assistant` answers rightly.

Run: python -m benchmarks.micro_world
"""

import itertools
import json
from random import Random
from typing import Final

from benchmarks.harness import ROOT, write_between_markers
from textenv.build.assistant import AssistantRecipe
from textenv.build.lessons import exercises
from textenv.models.hub import ASSETS
from textenv.world.skills import SKILLS

PAGE: Final = ROOT / "docs" / "micro_world.md"
LONGEST: Final = 260
"""Characters of an example; the first exercise that is shorter is shown."""


def different(skill: str) -> int:
    """Count the different requests among those of a skill that the accuracy on the card is a mean over."""
    recipe = AssistantRecipe()
    asked = itertools.islice(exercises(skill, Random(recipe.seed), held_out=True), recipe.measured)
    return len({(each.system, each.request) for each in asked})


def table() -> str:
    """Return the table in Markdown, the accuracies as the card of the model has them."""
    accuracy = json.loads((ASSETS / "tiny-assistant" / "metrics.json").read_text(encoding="utf-8"))
    lines = ["| skill | a request | a right answer | accuracy | different |", "|---|---|---|---|---|"]
    for skill in SKILLS:
        drawn = exercises(skill, Random(skill), held_out=True)
        exercise = next(each for each in drawn if len(each.request) + len(each.answer) < LONGEST or skill == "long_story")
        request = f"*{exercise.system}* {exercise.request}".removeprefix("** ")
        lines.append(f"| `{skill}` | {request} | {exercise.answer} | {accuracy[skill]:.2f} | {different(skill)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    write_between_markers(PAGE, table())
