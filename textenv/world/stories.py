"""Short stories of the micro-world: plots, the sentences that tell them, and what is true in them."""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from random import Random
from typing import Final, NamedTuple

from textenv.world.tables import ANIMALS, BOYS, COLOURS, DAYS, FOODS, GIRLS, NUMBERS, PLACES, THINGS

Alternatives = tuple[str, ...]


@dataclass(frozen=True)
class Plot:
    """What happens in a story, told sentence by sentence, each in several ways.

    Slots in braces are filled from a `scene`; "" among the ways to tell a sentence leaves it out.
    """

    name: str
    sentences: tuple[Alternatives, ...]
    summary: Alternatives
    feeling: str
    """Of the main person at the end."""
    questions: tuple[tuple[str, str, str], ...]
    """Question, short answer and the answer as a sentence."""
    key: tuple[str, ...]
    """Slots that a summary has to name."""


PLOTS: Final = (
    Plot(
        name="lost",
        sentences=(
            (
                "On {day}, {who} went to the {place}.",
                "{who} went to the {place} on {day}.",
                "It was {day}, and {who} was at the {place}.",
            ),
            (
                "{He} took {his} {colour} {thing} along.",
                "{He} had {his} {colour} {thing} with {him}.",
            ),
            ("At the {place}, {he} lost the {thing}.", "Then {he} lost the {thing}."),
            (
                "{He} looked everywhere and could not find it.",
                "{He} looked for it for an hour.",
                "",
            ),
            (
                "{other} found the {thing} under a bench.",
                "In the end, {other} found the {thing} behind a tree.",
            ),
            ("{who} was happy and thanked {other}.", "{who} thanked {other} and was happy again."),
        ),
        summary=(
            "{who} lost {his} {thing} at the {place}, and {other} found it.",
            "{other} found the {thing} that {who} lost at the {place}.",
        ),
        feeling="happy",
        questions=(
            ("Who found the {thing}?", "{other}", "{other} found the {thing}."),
            ("What did {who} lose?", "{his} {thing}", "{who} lost {his} {thing}."),
            (
                "Where did {who} lose the {thing}?",
                "at the {place}",
                "{who} lost the {thing} at the {place}.",
            ),
            ("What colour was the {thing}?", "{colour}", "The {thing} was {colour}."),
        ),
        key=("who", "thing", "place", "other"),
    ),
    Plot(
        name="rescue",
        sentences=(
            (
                "On {day}, {who} saw {an_animal} at the {place}.",
                "{who} saw {an_animal} at the {place} on {day}.",
            ),
            (
                "The {animal} was small and hungry.",
                "The {animal} was cold and hungry.",
                "The {animal} looked weak.",
            ),
            ("{who} was sorry for it.", "{He} wanted to help it.", ""),
            ("{He} gave the {animal} some {food}.", "So {he} gave it some {food}."),
            ("The {animal} ate it all.", "The {animal} ate and felt better."),
            (
                "{who} was happy to help.",
                "{who} was happy and told {other} about it.",
                "{who} went home and was happy.",
            ),
        ),
        summary=(
            "{who} gave some {food} to a hungry {animal} at the {place}.",
            "{who} fed a hungry {animal} at the {place} with some {food}.",
        ),
        feeling="happy",
        questions=(
            ("Which animal did {who} see?", "{an_animal}", "{who} saw {an_animal}."),
            (
                "What did {who} give the {animal}?",
                "some {food}",
                "{who} gave the {animal} some {food}.",
            ),
            ("Where was the {animal}?", "at the {place}", "The {animal} was at the {place}."),
            ("When did {who} see the {animal}?", "on {day}", "{who} saw the {animal} on {day}."),
        ),
        key=("who", "animal", "place", "food"),
    ),
    Plot(
        name="quarrel",
        sentences=(
            (
                "{who} and {other} were at the {place}.",
                "On {day}, {who} and {other} met at the {place}.",
            ),
            (
                "Both of them wanted the {colour} {thing}.",
                "There was only one {colour} {thing}, and both wanted it.",
            ),
            ("{other} took it and ran away.", "{other} took the {thing} and did not share."),
            ("{who} shouted at {other}.", "{who} asked {other} to share, but {other} said no.", ""),
            ("{who} was angry and went home.", "{who} went home and was angry."),
        ),
        summary=(
            "{who} was angry because {other} took the {thing} at the {place}.",
            "{other} took the {thing} at the {place}, and {who} got angry.",
        ),
        feeling="angry",
        questions=(
            ("Who took the {thing}?", "{other}", "{other} took the {thing}."),
            ("Who went home?", "{who}", "{who} went home."),
            ("Where were {who} and {other}?", "at the {place}", "They were at the {place}."),
            ("What colour was the {thing}?", "{colour}", "The {thing} was {colour}."),
        ),
        key=("who", "thing", "place", "other"),
    ),
    Plot(
        name="gift",
        sentences=(
            ("{day} was the birthday of {who}.", "{who} had {his} birthday on {day}."),
            (
                "{other} came with a big box.",
                "{other} brought a box.",
                "{other} met {him} at the {place} with a box.",
            ),
            (
                "In the box there was a {colour} {thing}.",
                "{who} opened it and saw a {colour} {thing}.",
            ),
            ("{who} had always wanted a {thing}.", "It was just what {he} had wanted.", ""),
            ("{who} was happy and hugged {other}.", "{who} was very happy and said thank you."),
        ),
        summary=(
            "{other} gave {who} a {thing} for {his} birthday.",
            "{who} got a {thing} from {other} for {his} birthday.",
        ),
        feeling="happy",
        questions=(
            ("Whose birthday was it?", "{who}", "It was the birthday of {who}."),
            ("What was in the box?", "a {thing}", "There was a {thing} in the box."),
            ("Who brought the box?", "{other}", "{other} brought the box."),
            ("What colour was the {thing}?", "{colour}", "The {thing} was {colour}."),
        ),
        key=("who", "thing", "other"),
    ),
    Plot(
        name="broken",
        sentences=(
            (
                "{who} played with {other} at the {place} on {day}.",
                "On {day}, {who} and {other} played at the {place}.",
            ),
            ("{other} had a new {colour} {thing}.", "{other} showed {him} a new {colour} {thing}."),
            ("{who} dropped the {thing}, and it broke.", "Then {who} broke the {thing}."),
            ("{other} cried.", "{other} did not say a word.", ""),
            ("{who} was sad and said sorry.", "{who} said sorry and was very sad."),
        ),
        summary=(
            "{who} broke the {thing} of {other} and was sad.",
            "{who} was sad because {he} broke the {thing} of {other}.",
        ),
        feeling="sad",
        questions=(
            ("Who broke the {thing}?", "{who}", "{who} broke the {thing}."),
            ("Whose {thing} was it?", "{other}", "It was the {thing} of {other}."),
            ("Where did they play?", "at the {place}", "They played at the {place}."),
            ("When did they play?", "on {day}", "They played on {day}."),
        ),
        key=("who", "thing", "other"),
    ),
    Plot(
        name="noise",
        sentences=(
            (
                "It was dark, and {who} was alone at the {place}.",
                "On {day}, {who} stayed at the {place} until it was dark.",
            ),
            (
                "{He} heard a strange noise.",
                "There was a loud noise.",
                "Something moved behind {him}.",
            ),
            ("{He} wanted to run, but {his} legs did not move.", "{He} hid behind a wall.", ""),
            ("It was a big {animal}.", "A big {animal} came out of the dark."),
            ("{who} was afraid and called {other}.", "{who} was afraid and ran to {other}."),
        ),
        summary=(
            "{who} was afraid of {an_animal} at the {place}.",
            "{an_Animal} at the {place} made {who} afraid.",
        ),
        feeling="afraid",
        questions=(
            ("What made the noise?", "{an_animal}", "{an_Animal} made the noise."),
            ("Where was {who}?", "at the {place}", "{who} was at the {place}."),
            ("How did {who} feel?", "afraid", "{who} was afraid."),
        ),
        key=("who", "animal", "place"),
    ),
    Plot(
        name="market",
        sentences=(
            ("{who} went to the market on {day}.", "On {day}, {who} went shopping at the market."),
            (
                "{He} bought {number} {foods} for {other}.",
                "{other} had asked {him} for {number} {foods}, and {he} bought them.",
            ),
            ("The bag was heavy.", "It was a long way home.", ""),
            (
                "On the way, the bag broke and the {foods} fell into the mud.",
                "But {he} left the bag on the bus.",
            ),
            (
                "{who} came home with nothing and was sad.",
                "{who} was sad and told {other} the truth.",
            ),
        ),
        summary=(
            "{who} bought {number} {foods} for {other} and lost them.",
            "{who} lost the {number} {foods} that {he} bought for {other}.",
        ),
        feeling="sad",
        questions=(
            ("What did {who} buy?", "{number} {foods}", "{who} bought {number} {foods}."),
            ("How many {foods} did {who} buy?", "{number}", "{who} bought {number} {foods}."),
            ("When did {who} go to the market?", "on {day}", "{who} went to the market on {day}."),
            ("Who were the {foods} for?", "{other}", "The {foods} were for {other}."),
        ),
        key=("who", "number", "foods", "other"),
    ),
    Plot(
        name="promise",
        sentences=(
            (
                "{other} promised to meet {who} at the {place} on {day}.",
                "On {day}, {who} was at the {place} to meet {other}.",
            ),
            (
                "{who} waited with {his} {thing} for two hours.",
                "{who} had {his} {thing} with {him} and waited.",
            ),
            ("It got late.", "It started to rain.", ""),
            ("{other} never came.", "{other} did not come, and did not call."),
            ("{who} was angry with {other}.", "{who} walked home and was angry."),
        ),
        summary=(
            "{who} waited for {other} at the {place}, but {other} never came.",
            "{other} did not meet {who} at the {place}.",
        ),
        feeling="angry",
        questions=(
            ("Who did not come?", "{other}", "{other} did not come."),
            ("Where did {who} wait?", "at the {place}", "{who} waited at the {place}."),
            (
                "What did {who} have with {him}?",
                "{his} {thing}",
                "{who} had {his} {thing} with {him}.",
            ),
        ),
        key=("who", "place", "other"),
    ),
    Plot(
        name="storm",
        sentences=(
            (
                "{who} and {other} were at the {place} when a storm came.",
                "A storm came on {day} while {who} and {other} were at the {place}.",
            ),
            (
                "The wind took the {colour} {thing} of {who}.",
                "The wind blew away the {colour} {thing}.",
            ),
            (
                "The sky was black, and {an_animal} ran past.",
                "There was thunder, and {an_animal} cried.",
                "",
            ),
            ("They hid in a small house.", "They ran under a roof."),
            (
                "{who} was afraid and held the hand of {other}.",
                "{who} was afraid, but {other} was not.",
            ),
        ),
        summary=(
            "{who} and {other} hid from a storm at the {place}.",
            "A storm came at the {place}, and {who} hid with {other}.",
        ),
        feeling="afraid",
        questions=(
            ("Who was with {who}?", "{other}", "{other} was with {who}."),
            ("Where did the storm come?", "at the {place}", "The storm came at the {place}."),
            ("How did {who} feel?", "afraid", "{who} was afraid."),
        ),
        key=("who", "place", "other"),
    ),
    Plot(
        name="learning",
        sentences=(
            (
                "{who} could not swim.",
                "{who} wanted to learn to swim.",
                "{who} could not ride a bike.",
            ),
            (
                "On {day}, {other} helped {him} at the {place}.",
                "{other} showed {him} how to do it at the {place} on {day}.",
            ),
            ("{He} tried {number} times.", "It took {number} tries."),
            ("{He} wanted to give up.", "It was hard.", ""),
            ("At last {he} could do it.", "In the end it went well."),
            ("{who} was happy and proud.", "{who} and {other} were happy."),
        ),
        summary=(
            "{other} helped {who} at the {place}, and in the end {he} could do it.",
            "{who} learned something new with {other} at the {place}.",
        ),
        feeling="happy",
        questions=(
            ("Who helped {who}?", "{other}", "{other} helped {who}."),
            (
                "Where did {other} help {who}?",
                "at the {place}",
                "{other} helped {who} at the {place}.",
            ),
            ("How many times did {who} try?", "{number}", "{who} tried {number} times."),
            ("When did {other} help {who}?", "on {day}", "{other} helped {who} on {day}."),
        ),
        key=("who", "place", "other"),
    ),
)
LINKS: Final = (
    "The next day was not like that.",
    "But there is more to tell.",
    "One week later, they met again.",
    "Then came another day.",
)
"""Sentences between two plots of a long story."""
_COUNTED: Final = tuple(food for food in FOODS if food.name != food.plural)
_CARRIED: Final = tuple(thing for thing in THINGS if thing.kind != "piece of furniture" and thing.name != "ladder")


def article(noun: str) -> str:
    """Put "a" or "an" before a noun.

    >>> article("owl"), article("cow")
    ('an owl', 'a cow')
    """
    return f"an {noun}" if noun[0] in "aeiou" else f"a {noun}"


def fill(template: str, slots: Mapping[str, str]) -> str:
    """Fill the slots of a sentence, and write "an" where a word with a vowel has come to stand after "a".

    >>> fill("a {colour} {thing}", {"colour": "orange", "thing": "kite"})
    'an orange kite'
    """
    return articled(template.format(**slots))


def articled(text: str) -> str:
    """Write "an" for "a" before a vowel."""
    return re.sub(r"\b([Aa]) (?=[aeiou])", r"\1n ", text)


def capitalised(text: str) -> str:
    """Begin a text with a capital, leaving the rest as it is."""
    return text[:1].upper() + text[1:]


def pronouns(name: str) -> dict[str, str]:
    """Return the pronouns of a person: the slots he, He, his and him."""
    if name in GIRLS:
        return {"he": "she", "He": "She", "his": "her", "him": "her"}
    return {"he": "he", "He": "He", "his": "his", "him": "him"}


def scene(rng: Random, **fixed: str) -> dict[str, str]:
    """Draw what fills the slots of a plot.

    Args:
        rng: source of the draws.
        **fixed: slots that are given, of who, other, animal, thing, place, day, food, foods, number and colour.
    """
    people = rng.sample(GIRLS + BOYS, 2)
    slots = {
        "who": people[0],
        "other": people[1],
        "animal": rng.choice(ANIMALS).name,
        "thing": rng.choice(_CARRIED).name,
        "place": rng.choice(PLACES),
        "day": rng.choice(DAYS),
        "food": rng.choice(FOODS).plural,
        "foods": rng.choice(_COUNTED).plural,
        "number": rng.choice(NUMBERS[2:13]),
        "colour": rng.choice(COLOURS),
        **fixed,
    }
    return {
        **slots,
        **pronouns(slots["who"]),
        "an_animal": article(slots["animal"]),
        "an_Animal": capitalised(article(slots["animal"])),
    }


def tell(plot: Plot, slots: Mapping[str, str], rng: Random) -> str:
    """Write a plot out: each sentence in one of its ways."""
    chosen = (rng.choice(ways) for ways in plot.sentences)
    return " ".join(fill(sentence, slots) for sentence in chosen if sentence)


_FILLERS: Final[dict[str, Sequence[str]]] = {
    "who": GIRLS + BOYS,
    "other": GIRLS + BOYS,
    "animal": [animal.name for animal in ANIMALS],
    "thing": [thing.name for thing in _CARRIED],
    "place": PLACES,
    "day": DAYS,
    "food": [food.plural for food in FOODS],
    "foods": [food.plural for food in _COUNTED],
    "number": NUMBERS[2:13],
    "colour": COLOURS,
    "he": ("he", "she"),
    "He": ("He", "She"),
    "his": ("his", "her"),
    "him": ("him", "her"),
    "an_animal": [article(animal.name) for animal in ANIMALS],
    "an_Animal": [capitalised(article(animal.name)) for animal in ANIMALS],
}


def pattern(sentence: str, groups: bool = False) -> str:
    """Turn a sentence with slots into a regular expression that matches every way to fill them.

    Args:
        sentence: with slots in braces.
        groups: name a group after each slot, and let the slot stand for the same words wherever it occurs again.
    """
    written, seen = "", set[str]()
    for index, part in enumerate(re.split(r"\{(\w+)\}", sentence)):
        if index % 2 == 0:
            written += re.sub(r"\ba\\ $", r"(?:an\\ (?=[aeiou])|a\\ (?![aeiou]))", re.escape(part))
        elif part in seen:
            written += f"(?P={part})"
        else:
            fillers = "|".join(map(re.escape, _FILLERS[part]))
            written += f"(?P<{part}>{fillers})" if groups else f"(?:{fillers})"
            seen |= {part} if groups else set()
    return written


class Telling(NamedTuple):
    """How far some sentences tell a plot."""

    kept: int
    """Sentences that stand in the plot, in its order, and contradict none before them."""
    whole: bool
    """Whether all do, and none is missing without which the plot is never told."""
    slots: dict[str, str]
    """What the kept sentences say of who, other, thing, animal, place and so on."""


@cache
def _patterns(name: str) -> list[list[re.Pattern[str]]]:
    plot = next(plot for plot in PLOTS if plot.name == name)
    return [[re.compile(pattern(way, groups=True)) for way in ways if way] for ways in plot.sentences]


def read(sentences: Sequence[str], plot: Plot, allowed: Mapping[str, Collection[str]] | None = None) -> Telling:
    """Read sentences as a telling of a plot.

    A sentence is kept when it is one of the plot's that come after the last one kept, and names who did what as the kept
    ones do, pronouns included.

    Args:
        sentences: of any kind.
        plot: as which they are read.
        allowed: slot to what it may stand for; slots that are not named may stand for anything.
    """
    slots: dict[str, str] = {}
    told: list[int] = []
    for sentence in sentences:
        for index in range(told[-1] + 1 if told else 0, len(plot.sentences)):
            said = _said(sentence, _patterns(plot.name)[index], slots)
            if said is not None and all(said.get(slot) in (None, *values) for slot, values in (allowed or {}).items()):
                slots |= said
                told.append(index)
                break
    needed = {index for index, ways in enumerate(plot.sentences) if "" not in ways}
    return Telling(len(told), len(told) == len(sentences) and needed <= set(told), slots)


def _said(sentence: str, ways: Sequence[re.Pattern[str]], slots: Mapping[str, str]) -> dict[str, str] | None:
    """Return what a sentence says in one of its ways, None where it is none of them or contradicts what is known."""
    for way in ways:
        match = way.fullmatch(sentence)
        if match is None:
            continue
        said = dict[str, str]()
        pronouns = set[str]()
        for slot, value in match.groupdict().items():
            if slot in ("he", "He", "his", "him"):
                pronouns.add(str(value.casefold() in ("she", "her")))
            else:
                said["animal" if slot.startswith("an_") else slot] = value.split(" ")[-1] if slot.startswith("an_") else value
        if "who" in said:
            pronouns.add(str(said["who"] in GIRLS))
        if len(pronouns) > 1:
            continue
        if pronouns:
            said["girl"] = pronouns.pop()
        both = {**slots, **said}
        agrees = all(both[slot] == value for slot, value in slots.items())
        if agrees and both.get("who") != both.get("other", "nobody"):
            return said
    return None
