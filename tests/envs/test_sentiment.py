"""TextSentiment-v0: its openings and its reward."""

import pickle
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest

from textenv.envs.registry import task_of
from textenv.envs.sentiment import Tone, neutrality, task
from textenv.envs.task import Task
from textenv.errors import ArgumentError, RewardError
from textenv.rewards.loading import load_reward
from textenv.rewards.protocol import call_reward

TASK = task()
PRAISE, SCORN = " it was wonderful, superb and a great film.", " it was awful, boring and a terrible film."


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
        praise = earn(index, PRAISE)
        scorn = earn(index, SCORN)
        assert 0 <= scorn < 0.35 < 0.65 < praise <= 1


def test_the_default_is_the_positive_target() -> None:
    assert task() == task(target="positive")
    assert isinstance(task().reward, str)


def test_neutrality_by_hand() -> None:
    odds = np.array([0.0, 2.0, -2.0, 50.0, -50.0])
    expected = [4, 0, 0, 4 - 2 * np.log(999999), 4 - 2 * np.log(999999)]
    assert neutrality(1 / (1 + np.exp(-odds))) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("role", ["reward", "judge"])
def test_the_targets_pay_for_what_they_say(role: str) -> None:
    def scores(target: str) -> Any:
        of: Task = task(target=target)
        return np.array(load_reward(getattr(of, role))(prompts=["The film:"] * 2, completions=[PRAISE, SCORN]))

    positive = scores("positive")
    assert scores("negative") == pytest.approx(1 - positive, abs=1e-6)
    assert scores("neutral") == pytest.approx(4 - 2 * np.abs(np.log(positive / (1 - positive))), abs=1e-3)
    assert (scores("neutral") < 2).all()


def test_a_target_of_an_environment_and_its_reward_survive_a_pickle() -> None:
    env: Any = gymnasium.make("TextSentiment-v0", target="negative")
    assert env.unwrapped.task.reward == Tone("tiny-sentiment", "negative")
    assert env.unwrapped.task.judge == Tone("tiny-sentiment-judge", "negative")
    assert pickle.loads(pickle.dumps(env.unwrapped.task)) == env.unwrapped.task


@pytest.mark.parametrize(("target", "message"), [("postive", 'Did you mean "positive"'), (["x"], "Known: negative, neutral, positive")])
def test_unknown_targets(target: Any, message: str) -> None:
    with pytest.raises(ArgumentError, match=f'There is no target ".*" of sentiment. {message}'):
        gymnasium.make("TextSentiment-v0", target=target)


def test_a_target_turns_another_reward_too() -> None:
    negative = task_of("TextSentiment-v0", target="negative", reward="tiny-sentiment-judge")
    assert negative.reward == Tone("tiny-sentiment-judge", "negative")
    assert task_of("TextSentiment-v0", reward="tiny-sentiment-judge").reward == "tiny-sentiment-judge"


def test_a_target_does_not_turn_what_is_no_probability() -> None:
    def loud(completions: list[str]) -> list[float]:
        return [float(text.count("!")) for text in completions]

    for reward in (loud, "my_rewards:loud"):
        assert task(reward=reward).reward is reward
        for target in ("negative", "neutral"):
            with pytest.raises(ArgumentError, match=f'target="{target}" turns .* but the reward is a function of your own; leave'):
                task(target=target, reward=reward)
    with pytest.raises(RewardError, match=r'target="negative" reads P\(positive\), from 0 to 1, but .* scores from -0.5 to -0.5'):
        call_reward(Tone(lambda completions: [-0.5] * len(completions), "negative"), ["a"], ["b"])
