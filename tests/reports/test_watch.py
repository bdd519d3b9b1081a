"""Evaluations during training: what they tell, and when their alarm rings."""

from typing import Any

import gymnasium
import numpy as np
import pytest
import torch

from textenv.agents.ppo import PPO, PPOConfig
from textenv.checkpoint import global_generators
from textenv.models.policy import LanguagePolicy
from textenv.reports.evaluation import measure, summarise
from textenv.reports.watch import EPISODES, Watch

PROMPTS = np.arange(5)


def make_agent(**fields: Any) -> PPO:
    envs: Any = gymnasium.make_vec("TextCopy-v0", num_envs=16, **fields)
    config = PPOConfig(episodes_per_update=16, group_size=4, minibatch_size=8, learning_rate=0.01)
    return PPO(LanguagePolicy.for_rules(envs.unwrapped.rules), envs, config)


def many_a(completions: list[str]) -> list[float]:
    """Judge by the a's; draws from a global generator, as a reward may."""
    return [text.count("a") + 0 * torch.rand(1).item() for text in completions]


def test_a_row_is_an_evaluation() -> None:
    agent, watch = make_agent(judge=many_a), Watch(PROMPTS, seed=3, every=1)
    agent.learn(32)
    row = watch.look(agent, 2)
    expected = summarise(measure(agent.policy, agent.reference, agent.envs, np.repeat(PROMPTS, EPISODES), seed=3))
    assert row == {"update": 2, "episodes": 32.0, **expected, "alarm": ""}
    assert watch.best is not None
    assert watch.best["update"] == 2
    assert np.mean(watch.best["judge"]) == pytest.approx(row["judge"])
    assert np.mean(watch.best["score"]) == pytest.approx(row["score"])
    assert len(watch.best["score"]) == len(PROMPTS)


def test_evaluations_repeat_themselves_and_move_no_generator() -> None:
    agent, watch = make_agent(judge=many_a), Watch(PROMPTS, seed=3, every=1)
    before, own = global_generators(), agent.generator.get_state()
    assert watch.look(agent, 0) == watch.look(agent, 0)
    after = global_generators()
    assert before["python"] == after["python"]
    assert before["numpy"] == after["numpy"]
    assert torch.equal(before["torch"], after["torch"])
    assert torch.equal(own, agent.generator.get_state())


def test_without_a_judge_there_is_no_best() -> None:
    watch = Watch(PROMPTS, seed=3, every=1)
    assert "judge" not in watch.look(make_agent(), 0)
    assert watch.best is None


def test_the_weights_of_the_best_are_kept_and_restored() -> None:
    agent, watch = make_agent(judge=many_a), Watch(PROMPTS, seed=3, every=1, stops=True)
    watch.look(agent, 0)
    start = {name: value.clone() for name, value in agent.policy.state_dict().items()}
    agent.learn(32)
    assert any(not torch.equal(value, start[name]) for name, value in agent.policy.state_dict().items())
    watch.restore_best(agent)
    assert all(torch.equal(value, start[name]) for name, value in agent.policy.state_dict().items())
    assert not Watch(PROMPTS, seed=3, every=1).weights


def told(watch: Watch, scores: list[float], judges: list[float], noise: float = 0.0, seed: int = 0) -> list[str]:
    """Let it compare evaluations of 64 prompts with these means."""
    rng = np.random.default_rng(seed)
    found = []
    for update, means in enumerate(zip(scores, judges, strict=True)):
        score, judge = np.array(means)[:, None] + noise * rng.normal(size=(2, 64))
        found.append(watch.compare(update, score=score, judge=judge))
    return found


def test_the_alarm_rings_the_second_time_that_score_and_judge_have_parted() -> None:
    watch = Watch(PROMPTS, seed=0, every=1, stops=True)
    alarms = told(watch, [0.1, 0.3, 0.5, 0.7], [0.4, 0.6, 0.5, 0.3])
    assert alarms[:3] == [""] * 3
    assert alarms[3] == "over-optimisation: since update 1 the score rose from 0.300 to 0.700, but the judge fell from 0.600 to 0.300"
    assert watch.stopped
    assert watch.best is not None
    assert watch.best["update"] == 1


@pytest.mark.parametrize(
    ("scores", "judges"),
    [
        ([0.1, 0.3, 0.5, 0.7], [0.4, 0.6, 0.7, 0.8]),  # both rise
        ([0.1, 0.3, 0.5, 0.7, 0.8], [0.4, 0.6, 0.5, 0.7, 0.6]),  # dips
        ([0.5, 0.4, 0.3, 0.2], [0.6, 0.5, 0.4, 0.3]),  # both fall: it unlearns
    ],
)
def test_the_alarm_is_silent_otherwise(scores: list[float], judges: list[float]) -> None:
    assert told(Watch(PROMPTS, seed=0, every=1), scores, judges) == [""] * len(scores)


def test_noise_rings_seldom_and_a_fall_almost_always() -> None:
    rising = np.linspace(0.2, 0.9, 30).tolist()
    false = sum(any(told(Watch(PROMPTS, seed=0, every=1), rising, [0.5] * 30, 0.4, seed)) for seed in range(200))
    true = sum(any(told(Watch(PROMPTS, seed=0, every=1), rising, np.linspace(0.5, 0.0, 30).tolist(), 0.4, seed)) for seed in range(100))
    assert false <= 0.03 * 200
    assert true >= 95


def test_a_new_best_of_the_judge_ends_the_alarm() -> None:
    watch = Watch(PROMPTS, seed=0, every=1, stops=True)
    assert told(watch, [0.1, 0.3, 0.5, 0.7], [0.6, 0.5, 0.4, 0.9])[2:] != ["", ""]
    assert not watch.stopped


def test_a_state_goes_on_where_it_was() -> None:
    watch, other = Watch(PROMPTS, seed=0, every=1), Watch(PROMPTS, seed=0, every=1)
    told(watch, [0.1, 0.3], [0.4, 0.2])
    other.load_state_dict(watch.state_dict())
    rows = np.full(64, 0.5), np.full(64, 0.1)
    assert other.compare(2, score=rows[0], judge=rows[1]) == watch.compare(2, score=rows[0], judge=rows[1]) != ""
