"""The facts of the micro-world, a table per kind of thing: what `tiny-base` has read and what the exact judges compare with."""

from typing import Final, NamedTuple


class Animal(NamedTuple):
    """An animal: its singular and plural, kind, number of legs, food, where it lives, and colour."""

    name: str
    plural: str
    kind: str
    legs: str
    food: str
    home: str
    colour: str


class Food(NamedTuple):
    """A food: its singular and plural (equal where it is not counted), kind, colour, taste, and where it grows or is from."""

    name: str
    plural: str
    kind: str
    colour: str
    taste: str
    source: str


class Job(NamedTuple):
    """A job, the place where it is done, and what is done there."""

    name: str
    place: str
    work: str


class Thing(NamedTuple):
    """A thing that one can carry: its name, its kind and its use."""

    name: str
    kind: str
    use: str


ANIMALS: Final = tuple(
    Animal(*row)
    for row in (
        ("cow", "cows", "farm animal", "four", "grass", "on the farm", "brown"),
        ("horse", "horses", "farm animal", "four", "hay", "on the farm", "black"),
        ("sheep", "sheep", "farm animal", "four", "grass", "on the farm", "white"),
        ("goat", "goats", "farm animal", "four", "leaves", "in the mountains", "grey"),
        ("pig", "pigs", "farm animal", "four", "corn", "on the farm", "pink"),
        ("hen", "hens", "bird", "two", "seeds", "on the farm", "brown"),
        ("duck", "ducks", "bird", "two", "water plants", "in the pond", "white"),
        ("owl", "owls", "bird", "two", "mice", "in the forest", "brown"),
        ("crow", "crows", "bird", "two", "worms", "in the forest", "black"),
        ("eagle", "eagles", "bird", "two", "snakes", "in the mountains", "brown"),
        ("parrot", "parrots", "bird", "two", "nuts", "in the jungle", "green"),
        ("penguin", "penguins", "bird", "two", "fish", "in the sea", "black"),
        ("dog", "dogs", "pet", "four", "meat", "in the house", "brown"),
        ("cat", "cats", "pet", "four", "fish", "in the house", "grey"),
        ("rabbit", "rabbits", "pet", "four", "carrots", "in the garden", "white"),
        ("mouse", "mice", "pet", "four", "cheese", "in the house", "grey"),
        ("shark", "sharks", "fish", "no", "fish", "in the sea", "grey"),
        ("salmon", "salmon", "fish", "no", "insects", "in the river", "pink"),
        ("goldfish", "goldfish", "fish", "no", "water plants", "in the pond", "orange"),
        ("bee", "bees", "insect", "six", "nectar", "in the garden", "yellow"),
        ("ant", "ants", "insect", "six", "sugar", "in the garden", "black"),
        ("butterfly", "butterflies", "insect", "six", "nectar", "in the garden", "blue"),
        ("lion", "lions", "wild animal", "four", "meat", "in the grassland", "yellow"),
        ("bear", "bears", "wild animal", "four", "berries", "in the forest", "brown"),
        ("fox", "foxes", "wild animal", "four", "rabbits", "in the forest", "orange"),
        ("monkey", "monkeys", "wild animal", "four", "bananas", "in the jungle", "brown"),
        ("elephant", "elephants", "wild animal", "four", "leaves", "in the grassland", "grey"),
        ("camel", "camels", "wild animal", "four", "dry grass", "in the desert", "brown"),
        ("frog", "frogs", "wild animal", "four", "flies", "in the pond", "green"),
        ("whale", "whales", "wild animal", "no", "tiny shrimps", "in the sea", "blue"),
    )
)
FOODS: Final = tuple(
    Food(*row)
    for row in (
        ("apple", "apples", "fruit", "red", "sweet", "a tree"),
        ("pear", "pears", "fruit", "green", "sweet", "a tree"),
        ("lemon", "lemons", "fruit", "yellow", "sour", "a tree"),
        ("orange", "oranges", "fruit", "orange", "sweet", "a tree"),
        ("banana", "bananas", "fruit", "yellow", "sweet", "a tree"),
        ("cherry", "cherries", "fruit", "red", "sweet", "a tree"),
        ("plum", "plums", "fruit", "purple", "sour", "a tree"),
        ("strawberry", "strawberries", "fruit", "red", "sweet", "the ground"),
        ("grape", "grapes", "fruit", "purple", "sweet", "a vine"),
        ("carrot", "carrots", "vegetable", "orange", "sweet", "the ground"),
        ("potato", "potatoes", "vegetable", "brown", "mild", "the ground"),
        ("onion", "onions", "vegetable", "white", "sharp", "the ground"),
        ("pea", "peas", "vegetable", "green", "sweet", "a vine"),
        ("cabbage", "cabbages", "vegetable", "green", "mild", "the ground"),
        ("pumpkin", "pumpkins", "vegetable", "orange", "mild", "a vine"),
        ("radish", "radishes", "vegetable", "red", "sharp", "the ground"),
        ("milk", "milk", "drink", "white", "mild", "a cow"),
        ("tea", "tea", "drink", "brown", "bitter", "a bush"),
        ("lemonade", "lemonade", "drink", "yellow", "sour", "a lemon"),
        ("honey", "honey", "treat", "yellow", "sweet", "bees"),
        ("chocolate", "chocolate", "treat", "brown", "sweet", "a bean"),
    )
)
JOBS: Final = tuple(
    Job(*row)
    for row in (
        ("teacher", "school", "teaches children"),
        ("doctor", "hospital", "helps sick people"),
        ("baker", "bakery", "bakes bread"),
        ("farmer", "farm", "grows food"),
        ("cook", "restaurant", "makes meals"),
        ("librarian", "library", "lends books"),
        ("pilot", "airport", "flies planes"),
        ("sailor", "harbour", "sails ships"),
        ("gardener", "plant nursery", "plants flowers"),
        ("firefighter", "fire station", "puts out fires"),
        ("mail carrier", "post office", "brings letters"),
        ("singer", "theatre", "sings songs"),
        ("builder", "building site", "builds houses"),
        ("painter", "studio", "paints pictures"),
        ("driver", "bus station", "drives buses"),
        ("hairdresser", "salon", "cuts hair"),
    )
)
THINGS: Final = tuple(
    Thing(*row)
    for row in (
        ("knife", "tool", "cut bread"),
        ("spoon", "tool", "eat soup"),
        ("key", "tool", "open a door"),
        ("broom", "tool", "sweep the floor"),
        ("pen", "tool", "write a letter"),
        ("bucket", "tool", "carry water"),
        ("ladder", "tool", "climb a wall"),
        ("lamp", "tool", "light a room"),
        ("umbrella", "tool", "stay dry"),
        ("ball", "toy", "play in the yard"),
        ("kite", "toy", "fly in the wind"),
        ("doll", "toy", "play at home"),
        ("drum", "toy", "make music"),
        ("puzzle", "toy", "pass a rainy day"),
        ("coat", "piece of clothing", "keep your body warm"),
        ("hat", "piece of clothing", "keep your head warm"),
        ("scarf", "piece of clothing", "keep your neck warm"),
        ("glove", "piece of clothing", "keep your hand warm"),
        ("chair", "piece of furniture", "sit at a table"),
        ("bed", "piece of furniture", "sleep at night"),
        ("shelf", "piece of furniture", "hold books"),
    )
)
OPPOSITES: Final = (
    ("hot", "cold"),
    ("big", "small"),
    ("fast", "slow"),
    ("old", "young"),
    ("wet", "dry"),
    ("full", "empty"),
    ("high", "low"),
    ("happy", "sad"),
    ("light", "heavy"),
    ("clean", "dirty"),
    ("loud", "quiet"),
    ("open", "closed"),
    ("early", "late"),
    ("hard", "soft"),
    ("long", "short"),
    ("near", "far"),
    ("rich", "poor"),
    ("strong", "weak"),
    ("good", "bad"),
    ("thick", "thin"),
    ("true", "false"),
    ("sharp", "blunt"),
)
CAUSES: Final = (
    ("it rains", "the ground gets wet"),
    ("ice lies in the sun", "the ice melts"),
    ("you drop a glass", "the glass breaks"),
    ("a plant gets no water", "the plant dries out"),
    ("you do not sleep", "you get tired"),
    ("you do not eat", "you get hungry"),
    ("water gets very cold", "the water turns to ice"),
    ("you touch a hot pan", "you burn your hand"),
    ("the wind blows hard", "the leaves fly around"),
    ("you leave milk in the sun", "the milk goes sour"),
    ("you stand in the rain", "you get wet"),
    ("you eat too much cake", "your stomach hurts"),
    ("you lose your key", "you cannot open the door"),
    ("the sun sets", "it gets dark"),
    ("the sun rises", "it gets light"),
    ("you plant a seed", "a plant grows"),
    ("you mix blue and yellow", "you get green"),
    ("you mix red and yellow", "you get orange"),
    ("you mix red and blue", "you get purple"),
    ("you drop a stone into water", "the stone sinks"),
    ("you throw a ball up", "the ball falls down"),
    ("you heat water", "the water boils"),
)
DAYS: Final = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
COLOURS: Final = (
    "red",
    "blue",
    "green",
    "yellow",
    "black",
    "white",
    "brown",
    "orange",
    "purple",
    "grey",
)
NUMBERS: Final = (
    *("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"),
    *(
        "eleven",
        "twelve",
        "thirteen",
        "fourteen",
        "fifteen",
        "sixteen",
        "seventeen",
        "eighteen",
        "nineteen",
        "twenty",
    ),
)
PLACES: Final = (
    "park",
    "beach",
    "school",
    "market",
    "library",
    "zoo",
    "station",
    "farm",
    "museum",
    "lake",
)
GIRLS: Final = (
    "Anna",
    "Lily",
    "Mia",
    "Rosa",
    "Emma",
    "Nora",
    "Sara",
    "Ella",
    "Ruth",
    "Julia",
    "Clara",
    "Zoe",
)
BOYS: Final = (
    "Tom",
    "Ben",
    "Max",
    "Leo",
    "Sam",
    "Paul",
    "Adam",
    "Oscar",
    "Jack",
    "Hugo",
    "David",
    "Finn",
)
FEELINGS: Final = ("happy", "sad", "angry", "afraid")
RUDE: Final = ("stupid", "dumb", "damn", "lousy", "crappy")
"""Adjectives of the rude speaker."""
INSULTS: Final = ("you idiot", "you moron", "you fool", "you jerk", "dumbass")
