"""Exercises of rewriting: into the past, shorter, politely."""

from random import Random
from typing import Final

from textenv.world.exercise import Exercise, closed, people
from textenv.world.stories import fill, scene
from textenv.world.tables import INSULTS, JOBS, RUDE

VERBS: Final = (
    ("walks to the {place}", "walked to the {place}"),
    ("sees {an_animal}", "saw {an_animal}"),
    ("buys {number} {foods}", "bought {number} {foods}"),
    ("has a {colour} {thing}", "had a {colour} {thing}"),
    ("is at the {place}", "was at the {place}"),
    ("looks for the {thing}", "looked for the {thing}"),
    ("eats some {food}", "ate some {food}"),
    ("gives {other} a {thing}", "gave {other} a {thing}"),
    ("runs to the {place}", "ran to the {place}"),
    ("plays with {other}", "played with {other}"),
    ("finds a {colour} {thing}", "found a {colour} {thing}"),
    ("likes the {animal}", "liked the {animal}"),
    ("makes a cake for {other}", "made a cake for {other}"),
    ("goes home with {other}", "went home with {other}"),
)


def past(rng: Random) -> Exercise:
    """Ask for a sentence in the past tense."""
    now, then = rng.choice(VERBS)
    slots = scene(rng)
    sentence, right = (f"{slots['who']} {fill(verb, slots)}." for verb in (now, then))
    other = f"{slots['who']} {fill(rng.choice(VERBS)[1], slots)}."
    changed = f"{slots['who']} {fill(then, {**scene(rng), **people(slots)})}."
    requests = (f"Put this into the past: {sentence}", f"Rewrite in the past tense: {sentence}")
    return closed(rng, "past", requests, (right,), (sentence, other, changed))


def shorter(rng: Random) -> Exercise:
    """Ask for a sentence without the words that it does not need."""
    then = rng.choice(VERBS)[1]
    slots = scene(rng)
    core = f"{slots['who']} {fill(then, slots)}"
    extra = rng.choice(
        (
            "As everybody in the town knows,",
            "To tell you the whole truth,",
            "It has to be said that",
            "At the end of a very long day,",
        )
    )
    tail = rng.choice(
        (
            "and that is all there is to say",
            "as far as anybody can tell",
            "which was nice to see",
            "just like every other week",
        )
    )
    long = rng.choice((f"{extra} {core}.", f"{core}, {tail}.", f"{extra} {core}, {tail}."))
    other = f"{slots['who']} {fill(rng.choice(VERBS)[1], slots)}."
    requests = (f"Make this shorter: {long}", f"Say this with fewer words: {long}")
    return closed(rng, "shorter", requests, (f"{core}.",), (long, other, f"{slots['who']}."))


_RUDE_FORMS: Final = (
    (
        "Give me the {rude} {thing}, {insult}!",
        ("Please give me the {thing}.", "Could you give me the {thing}, please?"),
    ),
    (
        "These {rude} {foods} taste like crap.",
        ("I do not like these {foods}.", "These {foods} do not taste good."),
    ),
    (
        "{who} is a {rude} {job}.",
        ("{who} is not a good {job}.", "I do not think that {who} is a good {job}."),
    ),
    ("Shut up and take your {rude} {thing}!", ("Please be quiet and take your {thing}.",)),
    (
        "Your {animal} is dumb as hell.",
        ("Your {animal} is not very clever.", "Your {animal} could be more clever."),
    ),
    (
        "Get the hell out of the {place}, {insult}!",
        ("Please leave the {place}.", "Could you leave the {place}, please?"),
    ),
    (
        "What the hell did you do to my {thing}?",
        ("What did you do to my {thing}?", "What happened to my {thing}?"),
    ),
    ("I hate this damn {place}.", ("I do not like this {place}.", "This {place} is not for me.")),
    (
        "Keep your {rude} {animal} away from me, {insult}!",
        ("Please keep your {animal} away from me.", "Could you keep your {animal} away from me?"),
    ),
    ("Why the hell is {who} late on {day}?", ("Why is {who} late on {day}?",)),
    (
        "Only a moron would buy this {rude} {thing}.",
        ("I would not buy this {thing}.", "This {thing} is not a good buy."),
    ),
    (
        "Stop eating my {foods}, {insult}!",
        ("Please do not eat my {foods}.", "Could you leave my {foods}, please?"),
    ),
)


def polite(rng: Random) -> Exercise:
    """Ask for a rude sentence said politely."""
    slots = {
        **scene(rng),
        "rude": rng.choice(RUDE),
        "insult": rng.choice(INSULTS),
        "job": rng.choice(JOBS[:14]).name,
    }
    form, kinds = rng.choice(_RUDE_FORMS)
    rude = fill(form, slots)
    half = rude.replace(f", {slots['insult']}", "").replace("the hell ", "").replace("damn ", "")
    drawn = {**scene(rng), "rude": "", "insult": "", "job": slots["job"]}
    others = [way for other, ways in _RUDE_FORMS for way in ways if other != form]
    another = fill(rng.choice(others), slots)
    changed = fill(rng.choice(kinds), drawn)
    requests = (f"Say this politely: {rude}", f"Rewrite this in a friendly way: {rude}")
    return closed(
        rng,
        "polite",
        requests,
        tuple(fill(way, slots) for way in kinds),
        (rude, half, another, changed),
        facts={"toxic": rude},
    )
