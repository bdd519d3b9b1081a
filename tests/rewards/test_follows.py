"""Follows: what a completion owes to its own prompt."""

import pickle
from typing import Any

import numpy as np
import pytest

from textenv.errors import ArgumentError, LoadError
from textenv.rewards.fluency import load_policy, log_probabilities
from textenv.rewards.follows import Follows
from textenv.rewards.protocol import call_reward

PROMPTS = (
    "The young actor who plays the son",
    "The colours in this film",
    "I missed the first ten minutes, but",
    "My sister and I went to see",
    "Once upon a time there was a",
)
ANSWERS = (" is very good as his father.", " are bright and beautiful.", " I could follow the story.", " this movie.", " little girl.")
CONSTANTS = (" is a good film.", " I like it.", " and the music is very nice.", " The end.")


def test_the_right_order_earns_more_than_any_other() -> None:
    follows = Follows(others=PROMPTS)
    right = np.mean(follows(PROMPTS, ANSWERS))
    for turn in range(1, len(PROMPTS)):
        turned = [*ANSWERS[turn:], *ANSWERS[:turn]]
        assert np.mean(follows(PROMPTS, turned)) < right - 0.3


@pytest.mark.parametrize("constant", CONSTANTS)
def test_one_text_for_every_prompt_has_no_lift(constant: str) -> None:
    follows = Follows(others=PROMPTS)
    assert follows.lift([(prompt, constant) for prompt in PROMPTS]).mean() <= 0.3
    assert follows.lift(list(zip(PROMPTS, ANSWERS, strict=True))).mean() > 2


def test_lift_by_hand() -> None:
    policy = load_policy("tiny-en", "cpu")
    text = " are bright."
    own, first, second = np.exp(log_probabilities(policy, [(prompt, text) for prompt in PROMPTS[1::-1] + PROMPTS[2:3]]))
    lift = Follows(others=PROMPTS[:3]).lift([(PROMPTS[1], text)])
    assert lift == pytest.approx([np.log(own / np.mean([first, second]))], abs=1e-4)


def test_equal_texts_score_equally_and_an_empty_one_nothing() -> None:
    follows: Follows = pickle.loads(pickle.dumps(Follows(others=PROMPTS[:2])))
    scores = call_reward(follows, [PROMPTS[2], PROMPTS[3], PROMPTS[2]], [ANSWERS[2], "", ANSWERS[2]]).scores
    assert scores[0] == scores[2] > scores[1] == 0
    assert follows([PROMPTS[2]], [ANSWERS[2]])[0] == pytest.approx(scores[0], abs=1e-5)
    assert follows([], []) == []


def test_it_is_refused_without_a_model_or_others() -> None:
    with pytest.raises(LoadError, match="nowhere"):
        Follows(others=PROMPTS, model="nowhere")


@pytest.mark.parametrize("others", [(), PROMPTS[:1], PROMPTS[:1] * 3, PROMPTS[0]])
def test_fewer_than_two_others_are_refused(others: Any) -> None:
    with pytest.raises(ArgumentError, match=r"Follows needs two or more different prompts .*, got others=.*; give some of the environment"):
        Follows(others=others)
