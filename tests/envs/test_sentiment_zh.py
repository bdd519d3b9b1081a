"""TextSentimentZh-v0: its openings, its characters and its reward."""

import unicodedata
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np

from textenv.envs.sentiment_zh import TASK
from textenv.rewards.loading import load_reward

PUBLISHED = ["刚收到货，感觉", "这部电影很", "说实话，真的很", "这次购物总的来说很"]


def openings() -> list[str]:
    return Path(TASK.prompts).read_text(encoding="utf-8").splitlines()


def test_there_are_many_openings_and_each_stands_once() -> None:
    lines = openings()
    assert len(lines) >= 100
    assert lines[:4] == PUBLISHED
    assert len(set(lines)) == len(lines)
    assert all(unicodedata.category(character) in ("Lo", "Po") for line in lines for character in line)


def test_openings_stop_in_mid_sentence_and_are_neutral_together() -> None:
    assert not [line for line in openings() if line.endswith(("。", "！", "？"))]
    assert isinstance(TASK.judge, str)
    for scorer in (TASK.reward, TASK.judge):
        scores = np.array(load_reward(scorer)(prompts=openings(), completions=[""] * len(openings())))
        assert 0.35 < scores.mean() < 0.65
        assert 0.35 < np.median(scores) < 0.65


def test_every_character_of_the_openings_is_known_and_none_is_cut_off() -> None:
    env: Any = gymnasium.make("TextSentimentZh-v0", on_long_prompt="error")
    rules = env.unwrapped.rules
    rows = [row[row >= 0].tolist() for row in rules.prompts.tokens]
    assert all(len(row) == len(line) for row, line in zip(rows, openings(), strict=True))
    assert not any(rules.tokenizer.unk_token_id in row for row in rows)
    assert rules.tokenizer.batch_decode(rows) == openings()


def test_the_unknown_character_is_never_played() -> None:
    env: Any = gymnasium.make("TextSentimentZh-v0")
    env.reset(seed=0)
    tokenizer = env.unwrapped.rules.tokenizer
    allowed = env.unwrapped.rules.allowed
    assert env.action_space.n == len(tokenizer) == 3600
    assert not allowed[[tokenizer.unk_token_id, tokenizer.pad_token_id]].any()
    assert allowed[tokenizer.eos_token_id]
    assert allowed.sum() == 3598


def test_praise_earns_more_than_complaint_after_every_opening() -> None:
    def scores(text: str) -> Any:
        return np.array(load_reward(TASK.reward)(prompts=openings(), completions=[text] * len(openings())))

    praise, complaint = scores("很好，非常满意，下次还买！"), scores("很差，太失望了，不会再买。")
    assert (praise > complaint).all()
    assert complaint.mean() < 0.15 < 0.75 < praise.mean()


def test_an_episode_is_paid_for_its_characters() -> None:
    env: Any = gymnasium.make("TextSentimentZh-v0")
    tokenizer = env.unwrapped.rules.tokenizer
    text = "很好，非常满意！"
    env.reset(seed=0, options={"prompt_index": 0})
    *_, last = (env.step(np.int64(token)) for token in [*tokenizer(text)["input_ids"], tokenizer.eos_token_id])
    _, reward, terminated, _, info = last
    assert (terminated, info["completion"], info["score"]) == (True, text, reward)
    assert reward > 0.9
