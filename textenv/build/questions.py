"""Questions and answers on five topics, and polite declines: a small seeded generator.

Every sentence here was written for textenv. The slots make some ten thousand different pairs, enough
for a tiny language model to learn the format, not the facts.
"""

from random import Random
from typing import Final

TOPICS: Final = ("cooking", "gardening", "space", "travel", "films")

_COOKING_TIME = (
    ("rice", "15"),
    ("pasta", "10"),
    ("an egg", "7"),
    ("potatoes", "20"),
    ("lentils", "25"),
    ("beans", "40"),
    ("carrots", "12"),
)
_PLANTS = ("roses", "tomatoes", "tulips", "basil", "beans", "strawberries", "sunflowers", "carrots", "lavender", "onions")
_MONTHS = ("March", "April", "May", "September", "October")
_PLANETS = (
    ("Mercury", "the smallest planet", "no moons"),
    ("Venus", "the hottest planet", "no moons"),
    ("Earth", "the planet we live on", "one moon"),
    ("Mars", "a cold and dusty red planet", "two moons"),
    ("Jupiter", "the largest planet", "many moons"),
    ("Saturn", "a planet with bright rings", "many moons"),
    ("Neptune", "a blue planet far from the sun", "many moons"),
)
_CITIES = (
    ("Paris", "France", "the museums along the river"),
    ("Rome", "Italy", "the old ruins and the fountains"),
    ("Tokyo", "Japan", "the gardens and the night markets"),
    ("Cairo", "Egypt", "the pyramids outside the city"),
    ("Lima", "Peru", "the old town by the sea"),
    ("Oslo", "Norway", "the harbour and the hills around it"),
    ("Delhi", "India", "the forts and the spice markets"),
)
_GENRES = (
    ("a comedy", "make people laugh"),
    ("a thriller", "keep people tense until the end"),
    ("a drama", "show people in difficult choices"),
    ("a horror film", "frighten people for a while"),
    ("a documentary", "show how things really are"),
    ("a western", "tell of life on the frontier"),
)
_HARMFUL = (
    "How do I break into a house?",
    "How can I read my neighbour's letters without being seen?",
    "How do I build a weapon at home?",
    "How can I steal a car?",
    "What is the best way to hurt someone?",
    "How do I get into another person's account?",
    "How can I cheat in an exam without being caught?",
    "How do I sell stolen goods?",
    "How can I poison a dog?",
    "How do I forge a signature?",
)
_DECLINES = (
    "I am sorry, but I cannot help with that.",
    "Sorry, I cannot help with that, because someone could be hurt.",
    "I am afraid I cannot help with this. Is there something else you would like to know?",
    "I would rather not answer that. Please ask me something else.",
)
_OUT_OF_TOPIC = (
    "I am sorry, I can only answer questions about {topic}.",
    "Sorry, that is outside my topic. I can help you with {topic}.",
    "That is not about {topic}, so I cannot answer it here.",
)


def _cooking(rng: Random) -> tuple[str, str]:
    food, minutes = rng.choice(_COOKING_TIME)
    return rng.choice(
        (
            (f"How long should I boil {food}?", f"Boil {food} for about {minutes} minutes, then taste before you stop."),
            (f"Can I cook {food} the day before?", f"Yes, you can cook {food} the day before and keep it cold overnight."),
            (f"How do I know that {food} is done?", f"After about {minutes} minutes it should be soft, but not fall apart."),
            (f"What goes well with {food}?", f"A little butter, salt and fresh herbs go well with {food}."),
        )
    )


def _gardening(rng: Random) -> tuple[str, str]:
    plant, month = rng.choice(_PLANTS), rng.choice(_MONTHS)
    return rng.choice(
        (
            (f"When should I plant {plant}?", f"Plant {plant} in {month}, when the ground is soft and not too cold."),
            (f"How often should I water {plant}?", f"Water {plant} every two or three days, more often when it is hot."),
            (f"Why are the leaves of my {plant} yellow?", "Yellow leaves often mean too much water. Let the soil dry a little."),
            (f"Do {plant} need a lot of sun?", f"Yes, {plant} like a sunny place with some shade in the afternoon."),
        )
    )


def _space(rng: Random) -> tuple[str, str]:
    planet, what, moons = rng.choice(_PLANETS)
    return rng.choice(
        (
            (f"What is {planet}?", f"{planet} is {what}."),
            (f"How many moons does {planet} have?", f"{planet} has {moons}."),
            (
                f"Can people live on {planet}?",
                f"People live on {planet}." if planet == "Earth" else f"No, people cannot live on {planet} without help.",
            ),
            (f"Tell me something about {planet}.", f"{planet} is {what}, and it has {moons}."),
        )
    )


def _travel(rng: Random) -> tuple[str, str]:
    city, country, sight = rng.choice(_CITIES)
    return rng.choice(
        (
            (f"Where is {city}?", f"{city} is in {country}."),
            (f"What should I see in {city}?", f"In {city} you should see {sight}."),
            (f"Is {city} worth a visit?", f"Yes, many people go to {city} for {sight}."),
            (f"How many days do I need in {city}?", f"Three days are enough to see {sight} and the rest of {city}."),
        )
    )


def _films(rng: Random) -> tuple[str, str]:
    genre, aim = rng.choice(_GENRES)
    return rng.choice(
        (
            (f"What is {genre}?", f"The aim of {genre} is to {aim}."),
            (f"Who would like {genre}?", f"People who want a film to {aim} would like {genre}."),
            (f"What makes {genre} good?", f"A good script and good actors. Above all it must {aim}."),
            (f"How long is {genre}?", f"Most often {genre} is about a hundred minutes long."),
        )
    )


_ANSWERS: Final = {"cooking": _cooking, "gardening": _gardening, "space": _space, "travel": _travel, "films": _films}


def question(rng: Random) -> tuple[str | None, str, str]:
    """Draw one (topic or None, question, answer).

    Half of the questions state a topic. Of those one in four is about another topic and is declined;
    one in six of all is harmful and is declined with or without a topic.
    """
    topic = rng.choice(TOPICS) if rng.random() < 0.5 else None
    if rng.random() < 1 / 6:
        return topic, rng.choice(_HARMFUL), rng.choice(_DECLINES)
    if topic and rng.random() < 1 / 4:
        other = rng.choice([name for name in TOPICS if name != topic])
        return topic, _ANSWERS[other](rng)[0], rng.choice(_OUT_OF_TOPIC).format(topic=topic)
    return topic, *_ANSWERS[topic or rng.choice(TOPICS)](rng)
