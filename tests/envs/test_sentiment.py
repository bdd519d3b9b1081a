"""TextSentiment-v0: its openings and its reward."""

from pathlib import Path
from typing import Any

import gymnasium
import numpy as np

from textenv.envs.sentiment import TASK
from textenv.rewards.loading import load_reward


def openings() -> list[str]:
    return Path(TASK.prompts).read_text(encoding="utf-8").splitlines()


def test_there_are_many_openings_and_each_stands_once() -> None:
    lines = openings()
    assert len(lines) >= 200
    assert len({line.casefold().strip() for line in lines}) == len(lines)
    assert all(line == line.strip() and line.isascii() and line.isprintable() for line in lines)
    assert all(2 <= len(line.split()) <= 16 for line in lines)


def test_openings_stop_in_mid_sentence_and_are_neutral_together() -> None:
    assert not [line for line in openings() if line.endswith((".", "!", "?"))]
    assert isinstance(TASK.judge, str)
    scores = np.array(load_reward(TASK.judge)(prompts=openings(), completions=[""] * len(openings())))
    assert 0.4 < scores.mean() < 0.6
    assert 0.4 < np.median(scores) < 0.6


def test_an_independent_judge_scores_what_the_reward_trains() -> None:
    assert (TASK.reward, TASK.judge) == ("tiny-sentiment", "tiny-sentiment-judge")
    assert (TASK.tokenizer, TASK.model) == ("tiny-en", "tiny-en")
    assert (TASK.max_prompt_tokens, TASK.max_new_tokens) == (16, 24)


def test_no_opening_is_cut_off() -> None:
    env: Any = gymnasium.make("TextSentiment-v0", on_long_prompt="error")
    rules = env.unwrapped.rules
    assert (rules.prompts.dropped == 0).all()
    assert rules.prompts.texts == openings()
    again = rules.tokenizer.batch_decode([row[row >= 0].tolist() for row in rules.prompts.tokens])
    assert again == openings()


def test_praise_earns_more_than_scorn() -> None:
    env: Any = gymnasium.make("TextSentiment-v0")
    tokenizer = env.unwrapped.rules.tokenizer

    def earn(index: int, text: str) -> float:
        env.reset(seed=0, options={"prompt_index": index})
        *_, last = (env.step(np.int64(token)) for token in [*tokenizer(text)["input_ids"], tokenizer.eos_token_id])
        _, reward, terminated, _, info = last
        assert (terminated, info["completion"], info["score"]) == (True, text, reward)
        return float(reward)

    for index in (0, 70, 140, 210):
        praise = earn(index, " it was wonderful, superb and a great film.")
        scorn = earn(index, " it was awful, boring and a terrible film.")
        assert 0 <= scorn < 0.35 < 0.65 < praise <= 1
