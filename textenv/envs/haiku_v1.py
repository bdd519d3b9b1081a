"""TextHaiku-v1: write a haiku of five, seven and five syllables about a season word.

Description:
    A form that few texts have by chance: the language model has read free haiku and has to learn to
    count, and to keep to its season word.

Prompts:
    `Haiku about {season_word}:` and a new line, for 140 season words; column `season_word`.

Observation Space:
    `Box(-1, 4095, (52,), int32)`: 12 prompt and 40 response columns.

Action Space:
    `Discrete(4096)`: the tokens of `tiny-en`.

Rewards:
    0 to 1: `form` x (0.1 + 0.9 `season`) x `words` x `distinct` x `fluency`, each 0 to 1 and reported
    apart. A line that is d syllables from its five, seven or five earns 1/(1 + d)²; `form` is the sum
    of these three over the number of lines, at least three. `season` is the share of the season word's
    words, without articles and prepositions, that occur as whole words, in the singular or the plural;
    `words` the share of words that the CMU Pronouncing Dictionary has, without letters of the alphabet,
    `distinct` that of different words, and `fluency` that of the text after its prompt under `tiny-en`.
    Syllables are those of the dictionary, for other words estimated; where it also has a shorter
    pronunciation ("our", "fire"), a line must fit in both. Every token is paid what it adds to the
    product of the others, and the last one the rest. A strict haiku that is the same for every prompt
    earns 0.06 on average. One into whose first line the season word is put may earn much, as the score
    sees one text at a time.
    The judge is 1 for three lines of 5, 7 and 5 syllables, times `season`. It counts syllables by
    rules of spelling, without the dictionary: the two agree on 98.7 % of the words of published haiku
    and on 91 % of the dictionary's entries, and err in different words.
    Before training: mean 0.07; ten bins from 0 to 1 in percent: 77 13 5 4 1 0 0 0 0 0.

Episode End:
    The end-of-text token, the third new line or the 40th token.

Arguments:
    The fields of `Task`, `kl_coef`, `reference`, `autoreset_mode`, `render_mode`. `textenv train`
    takes its own settings (`Task.training`) in place of the general defaults.

References:
    Weide, "The CMU Pronouncing Dictionary", http://www.speech.cs.cmu.edu/cgi-bin/cmudict.

Version History:
    v1: the season word multiplies the score and is matched by whole words; words must exist and not
    repeat; the judge counts syllables by other means than the reward and asks for the season word;
    settings of training of its own.
"""

import functools
import re
from collections.abc import Sequence
from typing import Final

from textenv.envs.haiku import FORM, is_over
from textenv.envs.task import Task
from textenv.errors import ArgumentError
from textenv.models.hub import ASSETS
from textenv.rewards.composition import Product
from textenv.rewards.fluency import Fluency
from textenv.rewards.protocol import Scores
from textenv.rewards.rules import Distinct
from textenv.rewards.syllables import WORD, fewest_syllables, is_in_dictionary, syllables, syllables_by_rules
from textenv.rewards.words import folded, words

WITHOUT_SEASON: Final = 0.1
"""Share of the score that is left to a text without its season word."""
PLURALS: Final = (
    (r"^geese$", "goose"),
    (r"(?<=\w\w)ies$", "y"),  # fireflies, but not pies
    (r"(?<=[^ei][lr])ves$|(?<=ea)ves$|(?<=oa)ves$", "f"),  # wolves, leaves
    (r"(?<=\wto)es$", ""),  # mosquitoes
    (r"(?<=ss|sh|ch)es$|(?<=x)es$", ""),  # branches, but not roses
    (r"(?<=[^s])s$", ""),
)
"""Endings of plurals, and what the singular has in their place; the first that fits counts."""
FUNCTION_WORDS: Final = frozenset(["a", "an", "at", "in", "of", "on", "the"])
WORDS_OF_A_LETTER: Final = ("a", "i", "o")
"""The dictionary pronounces every letter."""


def haiku_score(completions: Sequence[str], season_word: Sequence[str]) -> Scores:
    r"""Score n texts by their form and their season word, 0 to 1.

    >>> haiku_score(["An old silent pond\nA frog jumps into water\nSplash! Quiet again"], ["frogs"])
    [1.0]
    >>> haiku_score(["a moon"], ["frogs"]).parts
    {'form': [0.020833333333333332], 'season': [0.0], 'words': [1.0], 'distinct': [1.0]}
    """
    parts = {
        "form": [_form(text) for text in completions],
        "season": season_share(completions, season_word),
        "words": [_real_words(text) for text in completions],
        "distinct": Distinct(1)(completions),
    }
    scores = []
    for form, season, real, distinct in zip(*parts.values(), strict=True):
        scores.append(form * (WITHOUT_SEASON + (1 - WITHOUT_SEASON) * season) * real * distinct)
    return Scores(scores, parts=parts)


def strict_about(completions: Sequence[str], season_word: Sequence[str]) -> list[float]:
    r"""Judge n texts, 0 to 1: three lines of 5, 7 and 5 syllables by rules, times the season share.

    >>> haiku = "An old silent pond\nA frog jumps into water\nSplash! Quiet again"
    >>> strict_about([haiku, haiku], ["frogs", "the moon"])
    [1.0, 0.0]
    """
    strict = [tuple(map(syllables_by_rules, _lines(text))) == FORM for text in completions]
    return [a * b for a, b in zip(strict, season_share(completions, season_word), strict=True)]


def season_share(completions: Sequence[str], season_word: Sequence[str]) -> list[float]:
    """Compute which share, 0 to 1, of its season word's words each of n texts has.

    >>> season_share(["the GOOSE", "a frog", "froglets"], ["wild geese", "frogs", "frogs"])
    [0.5, 1.0, 0.0]
    """
    shares = []
    for text, phrase in zip(completions, season_word, strict=True):
        wanted = _singulars(phrase)
        wanted = wanted - FUNCTION_WORDS or wanted
        if not wanted:
            raise ArgumentError(f"The season word {phrase!r} holds no word; give each prompt one in the column season_word.")
        shares.append(len(wanted & _singulars(text)) / len(wanted))
    return shares


def _singulars(text: str) -> set[str]:
    return {_singular(word) for word in words(folded(text))}


@functools.lru_cache(maxsize=1 << 14)  # asked after every token, of the same few thousand words
def _singular(word: str) -> str:
    word = word.removesuffix("'s").removesuffix("'")
    for ending, singular in PLURALS:
        if re.search(ending, word):
            return re.sub(ending, singular, word)
    return word


def _lines(text: str) -> list[str]:
    return text.strip().split("\n")


def _form(text: str) -> float:
    lines = _lines(text)
    near = 0.0
    for line, wanted in zip(lines, FORM, strict=False):
        # Else policies learn to fill lines with "our", which hardly anybody says in two syllables.
        off = max(abs(syllables(line) - wanted), abs(fewest_syllables(line) - wanted))
        near += 1 / (1 + off) ** 2
    return near / max(len(FORM), len(lines))


def _real_words(text: str) -> float:
    found = WORD.findall(folded(text))
    real = [is_in_dictionary(word) and (len(word) > 1 or word in WORDS_OF_A_LETTER) for word in found]
    return sum(real) / max(1, len(real))


TASK: Final = Task(
    prompts=str(ASSETS / "prompts" / "haiku.jsonl"),
    reward=Product({"haiku": haiku_score, "fluency": Fluency()}),
    potential=haiku_score,
    judge=strict_about,
    tokenizer="tiny-en",
    max_prompt_tokens=12,
    max_new_tokens=40,
    stop=is_over,
    training={
        "episodes": 14_336,
        "episodes_per_update": 256,
        "minibatch_size": 32,
        "learning_rate": 3e-4,
        "linear_decay": False,
        "warmup_episodes": 2_560,
        "kl_coef": 0.006,
        "advantage": "critic",
        "lam": 0.8,
    },
)
