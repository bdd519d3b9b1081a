"""TextHaiku-v0: write a haiku of five, seven and five syllables about a season word.

Description:
    A form that few texts have by chance: the language model has read free haiku and has to learn to count.

Prompts:
    `Haiku about {season_word}:` and a new line, for 140 season words; column `season_word`.

Observation Space:
    `Box(-1, 4095, (52,), int32)`: 12 prompt and 40 response columns.

Action Space:
    `Discrete(4096)`: the tokens of `tiny-en`.

Rewards:
    0 to 1: (0.8 `syllables` + 0.1 `lines` + 0.1 `season`) x `distinct`, reported apart. A line that is d syllables from its
    five, seven or five earns 1/(1 + d), and `syllables` is the mean of the three, a missing line earning 0; `lines` falls by a
    half for each line too many or too few; `season` is the share of the season word's words of more than three letters that
    occur; `distinct` is the share of different pairs of words. Syllables are those of the CMU Pronouncing Dictionary, for other
    words estimated. A model from the hub judges other qualities in its place, as `reward="lvwerra/distilbert-imdb"` the mood.
    Every token is paid what it adds to the score. The judge is the share of texts that are strict: three lines of 5, 7 and 5.
    Before training: mean 0.49; ten bins from 0 to 1 in percent: 0 1 5 19 27 29 12 6 1 0.

Episode End:
    The end-of-text token, the third new line or the 40th token.

Arguments:
    The fields of `Task`, `kl_coef`, `reference`, `autoreset_mode`, `render_mode`.

References:
    Weide, "The CMU Pronouncing Dictionary", http://www.speech.cs.cmu.edu/cgi-bin/cmudict.

Version History:
    v0: first.
"""

from collections.abc import Sequence
from typing import Final

from textenv.envs.task import Task
from textenv.models.hub import ASSETS
from textenv.rewards.protocol import Scores
from textenv.rewards.rules import Distinct
from textenv.rewards.syllables import syllables

FORM: Final = (5, 7, 5)


def haiku_score(completions: Sequence[str], season_word: Sequence[str]) -> Scores:
    r"""Score n texts by their form, 0 to 1.

    >>> haiku_score(["An old silent pond\nA frog jumps into the pond\nSplash! Silence again"], ["frog"])
    [1.0]
    >>> haiku_score(["a frog"], ["frog"]).parts
    {'syllables': [0.08333333333333333], 'lines': [0.0], 'season': [1.0], 'distinct': [1.0]}
    """
    counts = [[syllables(line) for line in text.strip().split("\n")] for text in completions]
    form = [sum(1 / (1 + abs(a - b)) for a, b in zip(row, FORM, strict=False)) / len(FORM) for row in counts]
    lines = [max(0.0, 1 - abs(len(row) - len(FORM)) / 2) for row in counts]
    season = _season(completions, season_word)
    distinct = [share or 1.0 for share in Distinct(2)(completions)]  # where there is no pair, none is repeated
    scores = [(0.8 * a + 0.1 * b + 0.1 * c) * d for a, b, c, d in zip(form, lines, season, distinct, strict=True)]
    return Scores(scores, parts={"syllables": form, "lines": lines, "season": season, "distinct": distinct})


def _season(completions: Sequence[str], season_word: Sequence[str]) -> list[float]:
    wanted = [[word for word in phrase.lower().split() if len(word) > 3] or [phrase.lower()] for phrase in season_word]
    return [sum(word in text.lower() for word in words) / len(words) for words, text in zip(wanted, completions, strict=True)]


def is_strict(completions: Sequence[str]) -> list[float]:
    """Tell which of n texts have three lines of 5, 7 and 5 syllables: 1 or 0."""
    return [float(tuple(syllables(line) for line in text.strip().split("\n")) == FORM) for text in completions]


def is_over(completion: str) -> bool:
    """Tell whether a third line has ended."""
    return completion.count("\n") >= len(FORM)


TASK = Task(
    prompts=str(ASSETS / "prompts" / "haiku.jsonl"),
    reward=haiku_score,
    potential=haiku_score,
    judge=is_strict,
    tokenizer="tiny-en",
    max_prompt_tokens=12,
    max_new_tokens=40,
    stop=is_over,
)
