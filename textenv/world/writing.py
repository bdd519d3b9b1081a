"""Exercises of writing: lists, stories, descriptions."""

from random import Random
from typing import Final

from textenv.world.exercise import Exercise
from textenv.world.judging import named
from textenv.world.plots import LINKS, PLOTS, Plot
from textenv.world.stories import article, capitalised, scene, tell
from textenv.world.tables import (
    ANIMALS,
    BOYS,
    COLOURS,
    DAYS,
    FEELINGS,
    FOODS,
    GIRLS,
    JOBS,
    THINGS,
    Animal,
)

_LISTS: Final[dict[str, tuple[str, ...]]] = {
    "animals": tuple(animal.name for animal in ANIMALS),
    "birds": tuple(animal.name for animal in ANIMALS if animal.kind == "bird"),
    "farm animals": tuple(animal.name for animal in ANIMALS if animal.kind == "farm animal"),
    "pets": tuple(animal.name for animal in ANIMALS if animal.kind == "pet"),
    "wild animals": tuple(animal.name for animal in ANIMALS if animal.kind == "wild animal"),
    "animals with six legs": tuple(animal.name for animal in ANIMALS if animal.legs == "six"),
    "fruits": tuple(food.name for food in FOODS if food.kind == "fruit"),
    "vegetables": tuple(food.name for food in FOODS if food.kind == "vegetable"),
    "sweet foods": tuple(food.name for food in FOODS if food.taste == "sweet"),
    "red or yellow foods": tuple(food.name for food in FOODS if food.colour in ("red", "yellow")),
    "jobs": tuple(job.name for job in JOBS),
    "tools": tuple(thing.name for thing in THINGS if thing.kind == "tool"),
    "toys": tuple(thing.name for thing in THINGS if thing.kind == "toy"),
    "pieces of clothing": tuple(thing.name for thing in THINGS if thing.kind == "piece of clothing"),
    "colours": COLOURS,
    "days": DAYS,
    "feelings": FEELINGS,
}
_ALSO: Final[dict[str, tuple[str, ...]]] = {
    "farm animals": ("hen", "duck", "rabbit", "dog", "cat"),
    "pets": ("goldfish", "parrot", "horse"),
    "wild animals": (
        *("duck", "owl", "crow", "eagle", "parrot", "penguin", "shark", "salmon", "goldfish"),
        *("bee", "ant", "butterfly", "goat", "rabbit", "mouse"),
    ),
    "fruits": ("pumpkin",),
    "colours": ("pink",),
}
"""Members of a group by more than their row says, since one kind does not exclude another: right, and never taught."""


def ideas(rng: Random) -> Exercise:
    """Ask for three things of a kind."""
    group = rng.choice(sorted(_LISTS))
    members = _LISTS[group]
    strangers = [each for name in sorted(_LISTS) for each in _LISTS[name] if each not in members]
    picks = rng.sample(members, 3)
    two, bad = rng.sample(members, 2), rng.sample(strangers, 2)
    also = _ALSO.get(group, ())
    mistakes = (
        [picks[0], bad[0], picks[1]],
        [picks[0], picks[1], picks[0]],
        [*two, bad[1]],
        two,
    )
    wrong = tuple(_listed(items) for items in mistakes if not {*items} & {*also})
    requests = (
        f"List three {group}.",
        f"Give me three {group}.",
        f"Can you think of three {group}?",
    )
    return Exercise(
        skill="ideas",
        request=rng.choice(requests),
        answer=_listed(picks),
        wrong=wrong,
        facts={"members": [*members, *also], "count": 3},
    )


def _listed(items: list[str]) -> str:
    return capitalised(f"{', '.join(items[:-1])} and {items[-1]}.")


def _asked(rng: Random, plots: list[Plot]) -> tuple[str, dict[str, str], dict[str, str]]:
    """Draw what a story is asked to be about: a phrase, its slots, and the slots that it must name."""
    slots = scene(rng)
    thing = "animal" if all(plot.name in ("rescue", "noise") for plot in plots) else "thing"
    wanted = {name: slots[name] for name in ("who", "other", thing)}
    phrase = f"{slots['who']}, {slots['other']} and {article(slots[thing])}"
    return phrase, slots, wanted


_WITH_THING: Final = [plot for plot in PLOTS if plot.name in ("lost", "quarrel", "gift", "broken", "promise")]
_WITH_ANIMAL: Final = [plot for plot in PLOTS if plot.name in ("rescue", "noise")]


def story(rng: Random) -> Exercise:
    """Ask for a short story about two people and a thing or an animal."""
    plots = rng.choice((_WITH_THING, _WITH_THING, _WITH_ANIMAL))
    phrase, slots, wanted = _asked(rng, plots)
    plot = rng.choice(plots)
    requests = (f"Write a short story about {phrase}.", f"Tell me a story about {phrase}.")
    good = _told_with(plot, slots, wanted, rng)
    stranger = rng.choice([name for name in GIRLS + BOYS if name not in wanted.values()])
    wrong = (
        tell(plot, scene(rng), rng),
        good.replace(slots["other"], stranger),
        ". ".join(good.split(". ")[:2]) + ".",
        _repeated(good),
    )
    return Exercise(
        skill="story",
        request=rng.choice(requests),
        answer=good,
        wrong=wrong,
        facts={"wanted": sorted(wanted.values())},
    )


def _told_with(plot: Plot, slots: dict[str, str], wanted: dict[str, str], rng: Random) -> str:
    """Tell a plot in a way that names all that is wanted."""
    while True:
        text = tell(plot, slots, rng)
        if named(text, wanted.values()) == set(wanted.values()):
            return text


def _repeated(text: str) -> str:
    first, *rest = text.split(". ")
    return f"{first}. " * 3 + ". ".join(rest[-1:])


def long_story(rng: Random) -> Exercise:
    """Ask for a long story: two plots about the same people and thing."""
    phrase, slots, wanted = _asked(rng, _WITH_THING)
    first, second = rng.sample(_WITH_THING, 2)
    again = {
        **scene(rng),
        **{name: slots[name] for name in ("who", "other", "thing", "colour", "he", "He", "his", "him")},
    }
    text = f"{_told_with(first, slots, wanted, rng)} {rng.choice(LINKS)} {tell(second, again, rng)}"
    requests = (f"Write a long story about {phrase}.", f"Tell me a long story about {phrase}.")
    one, mixed = tell(first, slots, rng), scene(rng)
    mixed["who"] = rng.choice([name for name in GIRLS + BOYS if name not in wanted.values()])
    wrong = (
        one,
        f"{one} {rng.choice(LINKS)} {tell(second, mixed, rng)}",
        f"{one} {one}",
        _repeated(one),
    )
    return Exercise(
        skill="long_story",
        request=rng.choice(requests),
        answer=text,
        wrong=wrong,
        facts={"wanted": sorted(wanted.values())},
    )


def describe(rng: Random) -> Exercise:
    """Ask for a description of an animal: three true sentences."""
    animal = rng.choice(ANIMALS)
    truths = true_sentences(animal)
    chosen = ["kind", *rng.sample([name for name in truths if name != "kind"], 2)]
    other = rng.choice([each for each in ANIMALS if each.kind != animal.kind])
    lies = true_sentences(animal, other)
    good = " ".join(truths[name] for name in chosen)
    wrong = (
        " ".join(lies[name] for name in chosen),
        " ".join((lies[chosen[0]], truths[chosen[1]], truths[chosen[2]])),
        " ".join(true_sentences(other)[name] for name in chosen),
        " ".join((truths[chosen[0]], truths[chosen[0]], truths[chosen[1]])),
    )
    requests = (
        f"Describe {article(animal.name)}.",
        f"Tell me something about {animal.plural}.",
        f"Write three sentences about {animal.plural}.",
    )
    return Exercise(
        skill="describe",
        request=rng.choice(requests),
        answer=good,
        wrong=wrong,
        facts={"animal": animal.name},
    )


def true_sentences(animal: Animal, values: Animal | None = None) -> dict[str, str]:
    """Return the sentences of a description by column, with the values of another animal where one is given."""
    of = values or animal
    return {
        "kind": f"{capitalised(article(animal.name))} is {article(of.kind)}.",
        "legs": f"It has {of.legs} legs.",
        "food": f"It eats {of.food}.",
        "home": f"It lives {of.home}.",
        "colour": f"It is {of.colour}.",
    }
