"""TextInstruct-v0: its instructions in their shares, and what its parts stop."""

from collections import Counter
from typing import Any

import gymnasium
import numpy as np
import pytest

from textenv.envs.instruct import TASK, word_f1
from textenv.envs.templates import INSTRUCTION, INSTRUCTION_WITH_INPUT
from textenv.rewards.loading import load_reward
from textenv.rewards.protocol import Scored, call_reward

SHARES = {
    "generation": 45.6,
    "open_qa": 12.4,
    "brainstorming": 11.2,
    "chat": 8.4,
    "rewrite": 6.6,
    "summarisation": 4.2,
    "classification": 3.5,
    "other": 3.5,
    "closed_qa": 2.6,
    "extract": 1.9,
}


def task_rules() -> Any:
    env: Any = gymnasium.make("TextInstruct-v0")
    return env.unwrapped.rules


def paid(request: str, form: str, *completions: str, options: tuple[str, ...] = ()) -> Scored:
    n = len(completions)
    columns: dict[str, Any] = {"request": [request] * n, "instruction": [request] * n, "format": [form] * n, "options": [options] * n}
    return call_reward(load_reward(TASK.reward), [f"Instruction: {request}\nResponse:"] * n, list(completions), columns)


def test_use_cases_have_their_published_shares() -> None:
    counts = Counter(task_rules().prompts.columns["use_case"])
    assert counts.total() >= 250
    assert counts == {name: round(share / 100 * counts.total()) for name, share in SHARES.items()}


def test_there_are_many_instructions_and_each_stands_once() -> None:
    prompts = task_rules().prompts
    assert len(set(prompts.texts)) == len(prompts.texts)
    assert not prompts.dropped.any()
    for text, instruction, request in zip(prompts.texts, prompts.columns["instruction"], prompts.columns["request"], strict=True):
        given = request.removeprefix(instruction).strip()
        template = INSTRUCTION_WITH_INPUT if given else INSTRUCTION
        assert text == template.format(instruction=instruction, input=given)
        assert text.isascii()


def test_options_and_answers_go_with_the_format() -> None:
    columns = task_rules().prompts.columns
    assert set(columns["format"]) == {"sentence", "paragraph", "list", "label"}
    for use, form, options, answer in zip(*(columns[name] for name in ("use_case", "format", "options", "reference")), strict=True):
        assert (form == "label") == (use == "classification") == bool(options)
        assert answer in options if options else len(answer.split()) >= 2
    scores = call_reward(load_reward(TASK.reward), columns["request"], columns["reference"], columns)
    assert scores.parts["answer_form"].mean() > 0.95
    assert scores.scores.mean() > 0.5


def test_an_answer_earns_more_than_another_text() -> None:
    scores = paid(
        "List five animals that live on a farm.",
        "list",
        " Horses, cows, pigs and sheep, and a dog.",
        " The acting in this film was a waste of my time.",
    ).scores
    assert scores[0] > 2 * scores[1]


def test_a_label_is_one_of_the_options() -> None:
    scores = paid("Is this a question? Answer yes or no.", "label", " yes", " perhaps", " I think yes", options=("yes", "no")).scores
    assert scores[0] > max(scores[1:])


@pytest.mark.parametrize(
    ("text", "part"),
    [
        (" Write a story about a dog that runs.", "novelty"),
        (" dog story" * 15 + ".", "distinct"),
        (" dog", "answer_form"),
        ("", "answer_form"),
        (" It rained on the roof all day.", "answer_relevance"),
    ],
)
def test_what_is_gamed_loses_by_a_part(text: str, part: str) -> None:
    found = paid("Write a story about a dog that runs.", "sentence", " The little dog ran away from home, happy and free.", text)
    assert found.parts[part][1] < 0.5 * found.parts[part][0]
    assert found.scores[1] < found.scores[0]


def test_the_score_is_the_product_of_its_parts() -> None:
    found = paid("What is Mars?", "sentence", " Mars is a cold planet.", " What is Mars and what is Mars?", "")
    assert set(found.parts) == {"answer", "answer_relevance", "answer_form", "novelty", "distinct", "fluency"}
    assert found.scores == pytest.approx(np.prod([found.parts[name] for name in ("answer", "novelty", "distinct", "fluency")], axis=0))


def test_a_copy_of_the_input_earns_nothing() -> None:
    request = "Rewrite this sentence politely: Shut the door behind you now."
    assert paid(request, "sentence", " Shut the door behind you now.").scores.tolist() == [0]


def test_the_judge_compares_content_words_with_an_answer() -> None:
    assert TASK.judge is word_f1
    columns = {"reference": ["Mars is a cold red planet.", "yes", "mars", "不", ""]}
    scores = call_reward(word_f1, [""] * 5, [" The red, red planet.", " No, no.", "mars " * 20_000, "", ""], columns).scores
    assert scores == pytest.approx([2 * 2 / (2 + 4), 0, 1, 0, 0])
