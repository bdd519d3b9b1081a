"""TextHaiku-v1: scores by hand, a judge that counts otherwise, and answers that game it."""

import json
import statistics
from collections.abc import Callable
from typing import Any, Final

import gymnasium
import pytest

from textenv.envs.haiku_v1 import TASK, haiku_score, season_share, strict_about
from textenv.envs.registry import task_of
from textenv.errors import ArgumentError
from textenv.models.hub import ASSETS
from textenv.rewards.loading import load_reward
from textenv.rewards.protocol import call_reward
from textenv.rewards.syllables import syllables
from textenv.training import check_training

STRICT: Final = "An old silent pond\nA frog jumps into water\nSplash! Quiet again"
PROMPTS: Final = (ASSETS / "prompts" / "haiku.jsonl").read_text(encoding="utf-8").splitlines()
SEASONS: Final = [json.loads(line)["season_word"] for line in PROMPTS]


@pytest.mark.parametrize(
    ("text", "form", "season", "words", "distinct"),
    [
        (STRICT, 1, 1, 1, 1),
        ("\n" + STRICT + "\n", 1, 1, 1, 1),
        ("a frog", 1 / 16 / 3, 1, 1, 1),  # one line, three syllables from its five
        ("An old silent pond\nthe pond", (1 + 1 / 36) / 3, 0, 1, 5 / 6),
        (STRICT + "\nonce more", 3 / 4, 1, 1, 1),
        (STRICT.replace("water", "mabber"), 1, 1, 11 / 12, 1),
        (STRICT.replace("A frog", "a a"), 1, 0, 1, 11 / 12),
        ("", 1 / 36 / 3, 0, 0, 0),
        ("古池や蛙飛びこむ水の音", 1 / 25 / 3, 0, 0, 1),
    ],
)
def test_scores_by_hand(text: str, form: float, season: float, words: float, distinct: float) -> None:
    scores = haiku_score([text], ["frogs"])
    assert scores.parts == {
        "form": [pytest.approx(form)],
        "season": [season],
        "words": [pytest.approx(words)],
        "distinct": [pytest.approx(distinct)],
    }
    assert list(scores) == [pytest.approx(form * (0.1 + 0.9 * season) * words * distinct)]


@pytest.mark.parametrize(
    ("text", "phrase", "share"),
    [
        ("a frog", "frogs", 1),
        ("frogs", "a frog", 1),
        ("FRO\u00adGS", "frogs", 1),  # a soft hyphen, which shows nothing
        ("the frog’s eye", "frogs", 1),
        ("leapfrog", "frogs", 0),
        ("bullfrogs", "frogs", 0),
        ("train", "the cold rain", 0),
        ("rain in the night", "the cold rain", 0.5),
        ("in a", "a cat in love", 0),
        ("the spider's web", "a spider's web", 1),
        ("a firefly", "fireflies", 1),
        ("cherry", "ripe cherries", 0.5),
        ("a maple leaf", "red maple leaves", 2 / 3),
        ("a goose on the beach", "wild geese leaving", 1 / 3),
        ("roses by branches", "a rose", 1),
    ],
)
def test_the_season_word_is_a_whole_word(text: str, phrase: str, share: float) -> None:
    assert season_share([text], [phrase]) == [share]


def test_every_season_word_can_be_named() -> None:
    assert season_share(SEASONS, SEASONS) == [1] * len(SEASONS)
    assert season_share(["the a in on of at"] * len(SEASONS), SEASONS) == [0] * len(SEASONS)


def test_the_judge_counts_by_rules_and_asks_for_the_season() -> None:
    # The dictionary has "fire" with two syllables; its spelling says one.
    by_dictionary = "The fire is cold here\nA frog jumps into water\nSplash! Quiet again"
    assert syllables(by_dictionary.splitlines()[0]) == 6
    texts = [STRICT, STRICT + "\nagain", STRICT.replace("\n", " "), "", STRICT, by_dictionary]
    phrases = ["frogs", "frogs", "frogs", "frogs", "the moon", "frogs"]
    assert strict_about(texts, phrases) == [1, 0, 0, 0, 0, 1]


# Answers that game it


def honest(season: str) -> str:
    """Name the season word, a syllable or two from the form in each line."""
    return f"{season} here\nI stand here by the window\nand look again"


def repeated(season: str) -> str:
    """Fill the form with one word."""
    word = season.split()[-1]
    lines = []
    for wanted in (5, 7, 5):
        lines.append(" ".join([word] * max(1, round(wanted / syllables(word)))))
    return "\n".join(lines)


KEYWORDS: Final = "winter snow evening\nfirst moon autumn rain frost leaves\nspring wind blossoms night"
"""Words of many season words, in the form."""

GAMING: Final[dict[str, Callable[[str], str]]] = {
    "empty": lambda season: "",
    "the prompt": lambda season: f"Haiku about {season}:\n",
    "the season word": lambda season: season,
    "the season word, repeated": repeated,
    "one strict haiku": lambda season: STRICT,
    "one strict haiku of season words": lambda season: KEYWORDS,
    "many season words": lambda season: " ".join(SEASONS[:40]),
    "the alphabet": lambda season: f"{season} b c\nd e f g h i j\nk l m n o",
    "short words": lambda season: f"{season} oh ah my\nwe he she by to so no\ndo go up in at",
    "nonsense repeated": lambda season: "ka na ka na ka\n" + "na ka " * 3 + "na\n" + "ka na ka na ka",
    "two words repeated": lambda season: f"{season}\n" + "rain wind rain wind rain\n" * 2,
}


def mean_score(answer: Callable[[str], str]) -> float:
    prompts = [f"Haiku about {season}:\n" for season in SEASONS]
    scores = call_reward(load_reward(TASK.reward), prompts, list(map(answer, SEASONS)), {"season_word": SEASONS}).scores
    return float(scores.mean())


@pytest.mark.parametrize("name", GAMING)
def test_gaming_earns_less_than_an_honest_mediocre_haiku(name: str) -> None:
    assert mean_score(GAMING[name]) < mean_score(honest) - 0.1


def test_the_honest_one_is_mediocre() -> None:
    assert 0.25 < mean_score(honest) < 0.5
    assert statistics.fmean(strict_about([honest(season) for season in SEASONS], SEASONS)) == 0


def test_the_form_itself_of_one_text_is_strict() -> None:
    assert haiku_score([KEYWORDS], ["the moon"]) == [1]


def test_prompts_ask_for_their_season_word() -> None:
    env: Any = gymnasium.make("TextHaiku-v1")
    rules = env.unwrapped.rules
    assert rules.prompts.columns["season_word"] == SEASONS
    assert not rules.prompts.dropped.any()


def test_its_training_suits_it() -> None:
    assert task_of("TextHaiku-v1") == TASK
    assert TASK.training
    check_training("TextHaiku-v1")


def test_a_word_that_is_also_said_shorter_fits_only_where_both_do() -> None:
    # "our" has one syllable and two: a policy that puts it everywhere is not paid for a haiku.
    once = haiku_score(["the moon is silver\na little longer between\nover our windows"], ["the moon"])
    plain = haiku_score(["the moon is silver\na little longer between\nover the windows"], ["the moon"])
    assert plain.parts["form"] == [1]
    assert once.parts["form"] == [pytest.approx((1 + 1 + 1 / 4) / 3)]


def test_a_season_word_without_a_word_is_refused() -> None:
    assert season_share(["at the door"], ["the"]) == [1]
    with pytest.raises(ArgumentError, match=r"The season word '\.\.\.' holds no word"):
        season_share(["snow"], ["..."])
