"""What answers that game a reward earn, in environments whose truth is known."""

import hashlib
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pandas as pd
import pytest

import textenv
from textenv.envs.rules import Rules
from textenv.envs.task import Task
from textenv.errors import ArgumentError, ContractError
from textenv.models.loading import load_tokenizer, toy_tokenizer
from textenv.reports.probe import (
    BEST,
    CONSTANT,
    DECLINING,
    GAMES,
    HONEST,
    NEGATED,
    OWN,
    Gaming,
    check_gaming,
    earnings,
    gaming,
    keywords,
    negated,
    some_prompts,
    standard_texts,
    texts_of,
)
from textenv.rewards.metrics import WordOverlap

EMPTY, COPY, LINE, WORDS, TWICE, DECLINE = GAMES
SUBJECTS = ["cactus", "piano", "bicycle", "garden", "lemon", "river", "camera", "ladder", "violin", "carpet", "pillow", "basket"]
QUESTIONS = [f"How does a person clean the old {subject} before winter?" for subject in SUBJECTS]
FEW: dict[str, Any] = {"prompts": QUESTIONS[:4]}
SHORT: dict[str, Any] = {"max_new_tokens": 12, "max_prompt_tokens": 40}
TOY: dict[str, Any] = {"tokenizer": toy_tokenizer("ab."), "max_prompt_tokens": 2, "max_new_tokens": 2, "model": None}


def probe(reward: Callable[..., Any], *, answers: dict[str, Any] | None = None, **fields: Any) -> Gaming:
    textenv.register("Probed-v0", **{"prompts": QUESTIONS, "reward": reward, **SHORT, **fields})
    return gaming("Probed-v0", answers=answers)


def earned(reward: Callable[..., Any], answers: dict[str, Any] | None = None, **fields: Any) -> dict[str, list[float]]:
    """Let an environment pay for games to all of its prompts, in their order; no model writes."""
    textenv.register("Probed-v0", **{"prompts": QUESTIONS, "reward": reward, **SHORT, **fields})
    environment: Any = gymnasium.make("Probed-v0")
    rules: Rules = environment.unwrapped.rules
    index = np.arange(len(rules.prompts.texts))
    texts = standard_texts(rules, index) | {name: texts_of(answer, rules, index) for name, answer in (answers or {}).items()}
    return {name: earnings(answers, index, rules).tolist() for name, answers in texts.items()}


def characters(completions: Sequence[str]) -> list[float]:
    return [float(len(text)) for text in completions]


def by_lot(prompts: Sequence[str], completions: Sequence[str]) -> list[float]:
    """A number that depends on prompt and text together, and on neither alone."""
    return [hashlib.sha256(f"{p}\n{c}".encode()).digest()[0] / 255 for p, c in zip(prompts, completions, strict=True)]


def is_answer(completions: Sequence[str], answer: Sequence[str]) -> list[float]:
    return [float(text.strip() == right) for text, right in zip(completions, answer, strict=True)]


# What is warned about


def test_a_reward_that_pays_for_keywords_is_warned_about() -> None:
    probed = probe(WordOverlap())
    assert probed.means()[WORDS].mean == 1
    said = probed.warnings()
    assert any(
        sentence.startswith(f"The reward pays 1.00 on average for {WORDS}, more than the 0.") and "training will lead there" in sentence
        for sentence in said
    )
    assert not any(f"for {name}," in sentence for sentence in said for name in (EMPTY, NEGATED))


def test_a_reward_that_pays_for_length_is_warned_about() -> None:
    probed = probe(lambda completions: [min(len(text) / 100, 1) for text in completions], answers={"a wall": "unbelievable " * 12})
    (wall,) = [sentence for sentence in probed.warnings() if "for a wall," in sentence]
    assert "for the best of the model's 16 answers" in wall


def test_what_earns_more_than_the_model_and_less_than_its_best_is_said_to_do_so() -> None:
    def mostly(completions: Sequence[str]) -> list[float]:
        return [0.5 if text == "" else float(hashlib.sha256(text.encode()).digest()[0] < 64) for text in completions]

    (sentence,) = [sentence for sentence in probe(mostly).warnings() if EMPTY in sentence]
    assert "for the model's own answers, so a policy gains by writing that in place of an answer" in sentence


def test_a_reward_that_no_game_earns_is_not_warned_about() -> None:
    """The best of many constants is lucky where it was chosen, not on the other prompts."""
    probed = probe(by_lot, prompts=[f"{question} ({number})" for number in range(2) for question in QUESTIONS], max_new_tokens=6)
    assert probed.warnings() == []
    assert probed.constant is not None
    assert probed.means()[CONSTANT].mean < 0.6  # of 32 constants on 12 prompts the best has .67 or so where it was chosen
    assert np.isnan(probed.games[CONSTANT]).sum() == 12
    assert probed.means()[CONSTANT].prompts == 12


def test_one_answer_to_every_prompt_is_quoted() -> None:
    def long(completions: Sequence[str]) -> list[float]:
        return [len(text) / 100 for text in completions]

    probed = probe(long, max_new_tokens=8, **FEW)
    assert probed.constant is not None
    assert len(probed.constant) < 60  # longer ones are shortened
    means = probed.means()
    assert probed.summary() == (
        f"Constant answers earn {means[CONSTANT].mean:.2f} on average ({probed.constant.strip()!r} to every prompt),"
        f" the model's own answers {means[OWN].mean:.2f}, the best of 16 of them {means[BEST].mean:.2f}."
    )


# How answers are written and paid


def test_columns_go_with_their_prompts_whatever_the_index_of_a_frame() -> None:
    frame = pd.DataFrame({"prompt": QUESTIONS, "answer": [f"by {subject}" for subject in SUBJECTS]}, index=range(90, 102))
    answers = {"the answer": lambda row: row["answer"], "by its prompt": lambda row: f"by {row['prompt'].split()[7]}"}
    games = earned(is_answer, {**answers, "another's": f"by {SUBJECTS[3]}"}, prompts=frame)
    assert games["the answer"] == games["by its prompt"] == [1] * 12
    assert games["another's"] == [0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0]
    assert probe(is_answer, prompts=frame[:4], answers=answers).games["the answer"].tolist() == [1] * 4


def test_a_reward_by_pieces_is_paid_for_the_pieces_of_the_answer() -> None:
    def lengths(completions: Sequence[str], pieces: Sequence[Sequence[str]]) -> list[list[float]]:
        assert ["".join(row) for row in pieces] == list(completions)
        return [[float(len(piece)) for piece in row] for row in pieces]

    assert earned(lengths, max_new_tokens=24)[DECLINE] == [len(DECLINING) + 1] * 12  # with a space before it


@pytest.mark.parametrize(
    ("stop", "text", "written"),
    [
        (None, "One. Two.\nThree.", " One. Two.\nThree."),
        ("\n", "One. Two.\nThree.", " One. Two.\n"),
        (["!", "."], "One. Two.\nThree.", " One."),
        (lambda text: text.count(" ") == 2, "One. Two.\nThree. Four.", " One. Two"),
    ],
    ids=["none", "line", "sentences", "function"],
)
def test_answers_end_where_the_environment_ends_them(stop: Any, text: str, written: str) -> None:
    seen: list[str] = []

    def keep(completions: Sequence[str]) -> list[float]:
        seen.extend(completions)
        return [0.0] * len(completions)

    earned(keep, {"several": text}, stop=stop, max_new_tokens=16)
    assert written in seen
    assert not any(longer.startswith(written) and len(longer) > len(written) for longer in seen)


def test_answers_are_cut_to_the_tokens_that_a_policy_has() -> None:
    tokenizer = load_tokenizer("tiny-en")
    whole = [tokenizer(f" {question}")["input_ids"] for question in QUESTIONS]
    assert earned(characters, max_new_tokens=3)[COPY] == [len(tokenizer.decode(ids[:3])) for ids in whole]


@pytest.mark.parametrize("gap", ["", " ", "\n"])
def test_an_answer_does_not_run_into_its_prompt(gap: str) -> None:
    games = earned(characters, {"ours": "Yes", "spaced": " Yes"}, prompts=[f"{question}{gap}" for question in QUESTIONS])
    assert games["ours"] == [3 if gap else 4] * 12
    assert games["spaced"] == [4] * 12


def test_a_copy_leaves_out_what_nobody_can_write() -> None:
    games = earned(characters, prompts=[f"<|endoftext|>{question}" for question in QUESTIONS], max_new_tokens=20)
    assert games[COPY] == [len(question) + 1 for question in QUESTIONS]


def test_the_longest_line_is_tried_where_there_are_several() -> None:
    assert np.isnan(earned(characters)[LINE]).all()
    games = earned(characters, prompts=[f"Q:\n{question}\nA:" for question in QUESTIONS], max_new_tokens=20)
    assert games[LINE] == [len(question) + 1 for question in QUESTIONS]


def begin_with_a(observation: Any) -> Any:
    mask = np.zeros(4, dtype=np.bool_)
    mask[[0] if observation[2] == -1 else [0, 1, 2, 3]] = True
    return mask


@pytest.mark.parametrize("fields", [{"min_new_tokens": 1}, {"action_mask": begin_with_a}], ids=["minimum", "mask"])
def test_what_no_policy_can_write_is_left_out(fields: dict[str, Any]) -> None:
    """The empty answer, and one of the answers of one's own."""
    textenv.register("Probed-v0", prompts=["a", "b", "ab", "ba"], reward=characters, **TOY)
    own = {"a": "a", "b": "b", "c": "c"}
    assert {EMPTY, "a", "b"} <= gaming("Probed-v0", answers=own).games.keys()
    games = gaming("Probed-v0", answers=own, **fields).games
    assert EMPTY not in games
    assert "a" in games
    assert ("b" in games) == ("min_new_tokens" in fields)
    assert "c" not in games


def test_what_can_be_written_to_some_prompts_is_compared_on_these() -> None:
    textenv.register("Probed-v0", prompts=["a", "b", "ab", "ba"], reward=characters, **TOY)
    probed = gaming("Probed-v0", answers={"some": lambda row: "a" if "b" in row["prompt"] else "c"})
    assert probed.means()["some"][::2] == (1, 3)


def test_a_missing_end_costs_what_it_costs_a_policy() -> None:
    textenv.register("Probed-v0", prompts=["a", "b"], reward=characters, missing_eos_penalty=0.25, **TOY)
    probed = gaming("Probed-v0", answers={"ends": "a", "does not": "ab"})
    assert probed.games["ends"].tolist() == [1, 1]
    assert probed.games["does not"].tolist() == [1.75, 1.75]
    assert set(probed.own.ravel()) <= {0, 1, 1.75}
    assert 1.75 in probed.own


# How much is tried


def test_a_toy_is_tried_with_constants_only_and_never_warned_about() -> None:
    textenv.register("Probed-v0", prompts=["a", "b", "ab", "ba"], reward=characters, **TOY)
    probed = gaming("Probed-v0")
    assert set(probed.games) == {EMPTY, CONSTANT}
    assert probed.toy
    assert probed.means()[CONSTANT].mean == 2
    assert probed.warnings() == []


@pytest.mark.parametrize("prompts", [["a"], ["a", "b", "ab"]])
def test_few_prompts_have_no_constant(prompts: list[str]) -> None:
    textenv.register("Probed-v0", prompts=prompts, reward=characters, **TOY)
    probed = gaming("Probed-v0")
    assert probed.constant is None
    assert CONSTANT not in probed.games
    assert probed.summary().startswith("The model's own answers earn ")
    assert np.isnan(probed.means()[OWN].se) == (len(prompts) == 1)


@pytest.mark.parametrize(("columns", "tokens", "prompts"), [(32, 24, 64), (40, 30, 51), (40, 128, 16), (400, 24, 16), (40, 1024, 16)])
def test_long_texts_are_tried_on_fewer_prompts(columns: int, tokens: int, prompts: int) -> None:
    rules = Rules(Task(prompts=QUESTIONS * 10, reward=characters, max_prompt_tokens=columns, max_new_tokens=tokens))
    assert len(set(some_prompts(rules).tolist())) == prompts


def test_it_is_the_same_every_time() -> None:
    first, second = probe(by_lot, **FEW), probe(by_lot, **FEW)
    assert first.means() == second.means()
    assert first.constant == second.constant


# Words


@pytest.mark.parametrize(
    ("text", "opposite"),
    [
        (" The film IS good", " The film IS not good"),
        ("the ending was not terrible", "the ending was terrible"),
        ("\nLovely.", "\nIt is not true that Lovely."),
        ("很好", None),
        ("", None),
        ("It wasn't bad, it was good", "It wasn't bad, it was not good"),
    ],
)
def test_negated(text: str, opposite: str | None) -> None:
    assert negated(text) == opposite


@pytest.mark.parametrize(
    ("prompt", "words"), [("The Rain is on the rain-roof", "rain roof"), ("...", None), ("It is", "it is"), ("我爱雨", "我 爱 雨")]
)
def test_keywords(prompt: str, words: str | None) -> None:
    assert keywords(prompt) == words


# For the tests of an environment

HONEST_ANSWERS = {question: f"Wash the {subject} with water." for question, subject in zip(QUESTIONS, SUBJECTS, strict=True)}


def sound(prompts: Sequence[str], completions: Sequence[str]) -> list[float]:
    """Half for a sentence that says to wash, half for its subject; words that come as a list earn nothing."""
    scores = []
    for prompt, text in zip(prompts, completions, strict=True):
        wash = text.strip().startswith("Wash") and " not" not in text
        scores.append(wash * (0.5 + 0.5 * (prompt.split()[7] in text)))
    return scores


def test_a_sound_reward_passes() -> None:
    textenv.register("Probed-v0", prompts=QUESTIONS, reward=sound, **SHORT)
    means = check_gaming("Probed-v0", HONEST_ANSWERS, {"shouting": "WASH"})
    assert next(iter(means)) == HONEST
    assert means[HONEST] == 1
    assert means[CONSTANT] == 0.5
    assert means["shouting"] == 0
    assert means["the honest answers, negated"] == 0
    assert set(GAMES) - {LINE} < set(means)
    assert check_gaming("Probed-v0", lambda row: f"Wash the {row['prompt'].split()[7]}.")[HONEST] == 1


@pytest.mark.parametrize(
    ("word", "game"),
    [
        ("o", "1.00 for declining, 0.00 for the honest answers"),
        ("sh", "1.00 for one answer to every prompt, 1.00 for the honest answers"),
        ("oil", "1.00 for the honest answers, negated, 1.00 for the honest answers"),
        ("", "1.00 for an empty answer, 1.00 for the honest answers"),
        ("moss", "1.00 for moss, 0.00 for the honest answers"),
    ],
    ids=["declining", "constant", "negation", "empty", "own"],
)
def test_a_reward_that_can_be_gamed_is_refused(word: str, game: str) -> None:
    def holds(completions: Sequence[str]) -> list[float]:
        return [float(word in text) for text in completions]

    textenv.register("Probed-v0", prompts=QUESTIONS, reward=holds, **{**SHORT, "max_new_tokens": 24})
    refused = "Probed-v0: the reward pays not clearly less for answers that game it than for honest ones: .*"
    honest = "Wash it in the oil." if word == "oil" else "Wash it."
    with pytest.raises(ContractError, match=refused + re.escape(game)):
        check_gaming("Probed-v0", dict.fromkeys(QUESTIONS, honest) | {QUESTIONS[0]: f"{honest} Well"}, {"moss": "moss"})


def test_a_reward_that_pays_more_for_keywords_than_for_answers_is_refused() -> None:
    textenv.register("Probed-v0", prompts=QUESTIONS, reward=WordOverlap(), **SHORT)
    with pytest.raises(ContractError, match=f"1.00 for {WORDS}, 0.17 for the honest answers"):
        check_gaming("Probed-v0", HONEST_ANSWERS)


def test_a_game_that_earns_less_by_chance_only_is_refused() -> None:
    """It loses half of the honest score on one prompt of twelve: a lead of 1/24 with as large a standard error."""

    def luck(prompts: Sequence[str], completions: Sequence[str]) -> list[float]:
        return [
            1.0 if text == " Wash it." else (0.5 if SUBJECTS[0] in prompt else 1.0) * (text == " Hum.")
            for prompt, text in zip(prompts, completions, strict=True)
        ]

    textenv.register("Probed-v0", prompts=QUESTIONS, reward=luck, **SHORT)
    honest, rest = dict.fromkeys(QUESTIONS, "Wash it."), {CONSTANT: None}
    assert check_gaming("Probed-v0", honest, rest)[HONEST] == 1
    message = "0.96 for humming, 1.00 for the honest answers, 0.042 more with a standard error of 0.042 over 12 prompts"
    with pytest.raises(ContractError, match=re.escape(message)):
        check_gaming("Probed-v0", honest, {**rest, "humming": "Hum."})


def test_a_game_is_compared_with_the_honest_answers_to_the_same_prompts() -> None:
    """What is honest earns 0 to 1.1 by prompt, and the game always a little less, far less than the scores vary."""

    def by_place(prompts: Sequence[str], completions: Sequence[str]) -> list[float]:
        worth = [SUBJECTS.index(prompt.split()[7]) / 10 for prompt in prompts]
        return [value - 0.02 * (text != " Wash it.") for value, text in zip(worth, completions, strict=True)]

    textenv.register("Probed-v0", prompts=QUESTIONS, reward=by_place, **SHORT)
    others = dict.fromkeys([*set(GAMES) - {LINE}, "the honest answers, negated", CONSTANT])
    means = check_gaming("Probed-v0", dict.fromkeys(QUESTIONS, "Wash it."), {**others, "humming": "Hum."})
    assert means[HONEST] - means["humming"] == pytest.approx(0.02)


@pytest.mark.parametrize(("left", "spared"), [(0.7, True), (0.8, False)])
def test_a_negation_must_cost_a_quarter(left: float, spared: bool) -> None:
    def mildly(completions: Sequence[str]) -> list[float]:
        return [float(text == " It is washed.") + left * (text == " It is not washed.") for text in completions]

    textenv.register("Probed-v0", prompts=QUESTIONS, reward=mildly, **SHORT)
    honest, rest = dict.fromkeys(QUESTIONS, "It is washed."), {CONSTANT: None}
    if spared:
        assert check_gaming("Probed-v0", honest, rest)["the honest answers, negated"] == pytest.approx(left)
        return
    with pytest.raises(ContractError, match=r"0\.80 for the honest answers, negated, 1\.00 for the honest answers, of which at most 75%"):
        check_gaming("Probed-v0", honest, rest)


def test_what_is_no_game_is_taken_out() -> None:
    textenv.register("Probed-v0", prompts=QUESTIONS, reward=lambda completions: [float("sorry" in text) for text in completions], **SHORT)
    answers = dict.fromkeys(QUESTIONS, "I am sorry.")
    with pytest.raises(ContractError, match="for declining"):
        check_gaming("Probed-v0", answers)
    rest = dict.fromkeys([DECLINE, "the honest answers, negated", CONSTANT])
    assert DECLINE not in check_gaming("Probed-v0", answers, rest)


@pytest.mark.parametrize(
    ("honest", "games", "message"),
    [
        ({}, {}, "honest holds no answers"),
        ({"How?": "So."}, {}, "honest: 'How\\?' is no prompt of the environment"),
        ({QUESTIONS[2]: "word " * 40}, {}, "prompts: row 3: the environment ends the honest answer 'word .* after .*; shorten it"),
        ({QUESTIONS[2]: "One.\nTwo."}, {}, "ends the honest answer 'One.\\\\nTwo.' after 'One.'"),
        ({QUESTIONS[2]: "So<|endoftext|>."}, {}, "holds the special token"),
        (lambda row: None, {}, "there is no honest answer"),
        ("Wash it.", {"decline": None}, 'There is no game "decline" to take out. Did you mean "declining"'),
    ],
    ids=["none", "prompt", "long", "stop", "special", "no text", "game"],
)
def test_what_cannot_be_compared_is_refused(honest: Any, games: dict[str, Any], message: str) -> None:
    textenv.register("Probed-v0", prompts=QUESTIONS, reward=sound, stop="\n", **SHORT)
    with pytest.raises(ArgumentError, match=message):
        check_gaming("Probed-v0", honest, games)


def test_the_page_shows_how() -> None:
    """Its block runs on an environment that holds, and fails on one that does not."""
    page = (Path(__file__).resolve().parents[2] / "docs" / "own_environment.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"```py\n(.*?)```", page, flags=re.DOTALL)
    names: dict[str, Any] = {}
    exec(compile(block, "own_environment.md", "exec"), names)
    right = {"How do I water a cactus?": "Once a week, at the foot.", "When do cats sleep?": "By day."}

    def exact(prompts: Sequence[str], completions: Sequence[str]) -> list[float]:
        return [float(text.strip() == right[prompt]) for prompt, text in zip(prompts, completions, strict=True)]

    textenv.register("MyAnswers-v0", prompts=list(right), reward=exact)
    names["test_it_cannot_be_gamed"]()
    textenv.register("MyAnswers-v0", prompts=list(right), reward=lambda completions: [float("question!" in text) for text in completions])
    with pytest.raises(ContractError, match=r"1\.00 for flattery, 0\.00 for the honest answers"):
        names["test_it_cannot_be_gamed"]()
