"""The plots of the micro-world's stories: what happens, told sentence by sentence in several ways."""

from dataclasses import dataclass
from typing import Final

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
    mutual: Alternatives = ()
    """Ways of `summary` with `who` and `other` swapped that are true as well: right answers, which are never taught."""


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
        mutual=("{who} did not meet {other} at the {place}.",),
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
        mutual=(
            "{other} and {who} hid from a storm at the {place}.",
            "A storm came at the {place}, and {other} hid with {who}.",
        ),
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
