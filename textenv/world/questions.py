"""Questions about the tables of the micro-world, with short and long answers."""

from random import Random

from textenv.world.exercise import Exercise, closed, filled, other_values
from textenv.world.stories import article
from textenv.world.tables import (
    ANIMALS,
    CAUSES,
    DAYS,
    FOODS,
    JOBS,
    NUMBERS,
    OPPOSITES,
    THINGS,
    Animal,
)


def _animal_questions(animal: Animal) -> list[tuple[tuple[str, ...], tuple[str, ...], str, str]]:
    """Requests, answers with a hole {}, the right filling, and its column, for each thing that is known of an animal."""
    a, many = article(animal.name), animal.plural
    return [
        (
            (f"What does {a} eat?", f"What do {many} eat?", f"Which food do {many} like?"),
            ("{}.", f"{a} eats {{}}.", f"{many} eat {{}}."),
            animal.food,
            "food",
        ),
        (
            (f"Where does {a} live?", f"Where do {many} live?"),
            ("{}.", f"{a} lives {{}}.", f"{many} live {{}}."),
            animal.home,
            "home",
        ),
        (
            (f"How many legs does {a} have?", f"How many legs do {many} have?"),
            ("{} legs.", f"{a} has {{}} legs.", f"{many} have {{}} legs."),
            animal.legs,
            "legs",
        ),
        (
            (f"What colour is {a}?", f"Which colour do {many} have?"),
            ("{}.", f"{a} is {{}}.", f"{many} are {{}}."),
            animal.colour,
            "colour",
        ),
        (
            (f"What is {a}?", f"What kind of animal is {a}?"),
            (f"{a} is a {{}}.", "a {}."),
            animal.kind,
            "kind",
        ),
    ]


def animal_fact(rng: Random) -> Exercise:
    """Ask what an animal eats, where it lives, how many legs it has, its colour or kind."""
    requests, forms, right, column = rng.choice(_animal_questions(rng.choice(ANIMALS)))
    others = other_values(rng, right, [getattr(each, column) for each in ANIMALS])
    accepted, wrong = (
        filled(forms, right),
        tuple(text for other in others for text in filled(forms, other)),
    )
    return closed(rng, "animal_fact", requests, accepted, wrong)


def food_fact(rng: Random) -> Exercise:
    """Ask for the colour, the kind, the taste or the source of a food."""
    food = rng.choice(FOODS)
    name = food.name if food.name == food.plural else article(food.name)
    column, requests, forms = rng.choice(
        (
            (
                "colour",
                (f"What colour is {name}?", f"Which colour does {name} have?"),
                ("{}.", f"{name} is {{}}."),
            ),
            (
                "taste",
                (f"How does {name} taste?", f"What is the taste of {name}?"),
                ("{}.", f"{name} tastes {{}}."),
            ),
            (
                "kind",
                (f"What kind of food is {name}?", f"What is {name}?"),
                ("a {}.", f"{name} is a {{}}."),
            ),
            (
                "source",
                (f"What does {name} come from?", f"Where do we get {name} from?"),
                ("from {}.", f"{name} comes from {{}}."),
            ),
        )
    )
    right = getattr(food, column)
    others = other_values(rng, right, [getattr(each, column) for each in FOODS])
    return closed(
        rng,
        "food_fact",
        requests,
        filled(forms, right),
        tuple(text for other in others for text in filled(forms, other)),
    )


def job_fact(rng: Random) -> Exercise:
    """Ask what somebody does, or where."""
    job = rng.choice(JOBS)
    column, requests, forms = rng.choice(
        (
            (
                "work",
                (f"What does a {job.name} do?", f"What is the work of a {job.name}?"),
                (f"a {job.name} {{}}.", "a person who {}."),
            ),
            (
                "place",
                (f"Where does a {job.name} work?", f"Where can I find a {job.name}?"),
                ("at the {}.", f"a {job.name} works at the {{}}."),
            ),
        )
    )
    right = getattr(job, column)
    others = other_values(rng, right, [getattr(each, column) for each in JOBS])
    return closed(
        rng,
        "job_fact",
        requests,
        filled(forms, right),
        tuple(text for other in others for text in filled(forms, other)),
    )


def use(rng: Random) -> Exercise:
    """Ask what a thing is for."""
    thing = rng.choice(THINGS)
    a = article(thing.name)
    requests = (f"What is {a} for?", f"What can I do with {a}?", f"Why do people need {a}?")
    forms = ("to {}.", f"{a} is used to {{}}.", f"you can {{}} with {a}.")
    others = other_values(rng, thing.use, [each.use for each in THINGS])
    return closed(
        rng,
        "use",
        requests,
        filled(forms, thing.use),
        tuple(text for other in others for text in filled(forms, other)),
    )


def cause(rng: Random) -> Exercise:
    """Ask what happens if something is the case."""
    if_clause, then = rng.choice(CAUSES)
    requests = (f"What happens if {if_clause}?", f"What happens when {if_clause}?")
    forms = ("{}.", f"if {if_clause}, {{}}.")
    others = other_values(rng, then, [effect for _, effect in CAUSES])
    return closed(
        rng,
        "cause",
        requests,
        filled(forms, then),
        tuple(text for other in others for text in filled(forms, other)),
    )


def opposite(rng: Random) -> Exercise:
    """Ask for the opposite of a word."""
    pair = rng.choice(OPPOSITES)
    word, right = pair if rng.random() < 0.5 else pair[::-1]
    requests = (f"What is the opposite of {word}?", f"Which word means the opposite of {word}?")
    forms = ("{}.", f"the opposite of {word} is {{}}.")
    others = [
        *other_values(rng, right, [each for row in OPPOSITES for each in row if each != word]),
        word,
    ]
    return closed(
        rng,
        "opposite",
        requests,
        filled(forms, right),
        tuple(text for other in others for text in filled(forms, other)),
    )


def sums(rng: Random) -> Exercise:
    """Ask for a sum or a difference of small numbers, in words."""
    a, b = rng.randrange(11), rng.randrange(11)
    if rng.random() < 0.5:
        result, word = a + b, "plus"
    else:
        a, b = max(a, b), min(a, b)
        result, word = a - b, "minus"
    question = f"{NUMBERS[a]} {word} {NUMBERS[b]}"
    forms = ("{}.", f"{question} is {{}}.")
    near = [number for number in (result - 2, result - 1, result + 1, result + 2) if 0 <= number <= 20]
    wrong = tuple(text for number in rng.sample(near, 2) for text in filled(forms, NUMBERS[number]))
    return closed(
        rng,
        "sums",
        (f"What is {question}?", f"How much is {question}?"),
        filled(forms, NUMBERS[result]),
        wrong,
    )


def next_day(rng: Random) -> Exercise:
    """Ask for the day after or before another."""
    place = rng.randrange(7)
    step, word = rng.choice(((1, "after"), (-1, "before")))
    day, right = DAYS[place], DAYS[(place + step) % 7]
    requests = (f"Which day comes {word} {day}?", f"What is the day {word} {day}?")
    forms = ("{}.", f"the day {word} {day} is {{}}.")
    wrong = tuple(text for other in (DAYS[(place - step) % 7], day) for text in filled(forms, other))
    return closed(rng, "next_day", requests, filled(forms, right), wrong)
