"""A constant in the score changes no advantage of an agent that compares episodes."""

import functools
from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple

import pytest
import torch

from tests.agents.enumerated import tiny_policy
from textenv.agents import AGENTS, agent_class
from textenv.agents.learner import Learner
from textenv.envs.task import Task
from textenv.envs.vector import TextVectorEnv
from textenv.models.loading import toy_tokenizer
from textenv.rollouts.collect import collect
from textenv.types import Episodes

GROUP, PROMPTS, TOKENS = 8, 2, 6
POLICY_SEED = 3  # one that ends its texts after two to six tokens
CONSTANTS: Final = (-5.0, 1.0, 100.0)

COMPARING: Final[dict[str, list[dict[str, Any]]]] = {
    "reinforce": [{}, {"returns": "whole"}],
    "ppo": [{}, {"form": "penalty"}],
    "trpo": [{"layers": 1}],
    "rloo": [{}],
    "scst": [{}],
    "grpo": [{}, {"kl_in": "loss"}, {"dr_grpo": True}],
    "expert_iteration": [{}],
}
"""Agents that hold an episode against others, and their options."""

OTHERS: Final = {
    "actor_critic": "V or Q starts at 0 and has to learn the constant; so have the critics of PPO, TRPO and REINFORCE",
    "dqn": "Q learns the constant",
    "guided": "Q learns the constant",
    "online_dpo": "has pairs in the place of advantages, and looks at differences of scores alone",
    "best_of_n": "learns nothing",
}
"""Agents of which this is not said, and why."""


def letters(constant: float, completions: Sequence[str]) -> list[float]:
    """The share of a's in six letters, and a constant."""
    return [constant + text.count("a") / TOKENS for text in completions]


def letters_by_piece(constant: float, pieces: Sequence[Sequence[str]]) -> list[list[float]]:
    """The same, a token at a time, and the constant in equal parts."""
    return [[constant / len(row) + (piece == "a") / TOKENS for piece in row] for row in pieces]


def letters_at_once(constant: float, pieces: Sequence[Sequence[str]]) -> list[list[float]]:
    """The same, and the constant with the first token."""
    return [[constant * (place == 0) + (piece == "a") / TOKENS for place, piece in enumerate(row)] for row in pieces]


PAYMENTS: Final[dict[str, Callable[[float], dict[str, Any]]]] = {
    "at the end": lambda constant: {"reward": functools.partial(letters, constant)},
    "by pieces": lambda constant: {"reward": functools.partial(letters_by_piece, constant)},
    "at once": lambda constant: {"reward": functools.partial(letters_at_once, constant)},
    "by a potential": lambda constant: {"reward": functools.partial(letters, constant), "potential": functools.partial(letters, 0.0)},
    "by the score as potential": lambda constant: dict.fromkeys(("reward", "potential"), functools.partial(letters, constant)),
}


class Played(NamedTuple):
    """Episodes, and where they were played."""

    envs: TextVectorEnv
    episodes: Episodes


@functools.cache
def play(payment: str, equal_lengths: bool, constant: float) -> Played:
    """Play groups of two prompts, the same texts whatever is paid, and ask the reference of them."""
    task = Task(
        prompts=["a", "b"],
        tokenizer=toy_tokenizer("ab"),
        max_prompt_tokens=1,
        max_new_tokens=TOKENS,
        min_new_tokens=TOKENS if equal_lengths else 1,
        model=None,
        **PAYMENTS[payment](constant),
    )
    envs = TextVectorEnv(task, GROUP * PROMPTS)
    policy, reference = tiny_policy(envs.rules, POLICY_SEED), tiny_policy(envs.rules, seed=0)
    prompts = torch.arange(PROMPTS).repeat_interleave(GROUP)
    episodes = collect(policy, envs, len(prompts), prompt_index=prompts.numpy(), seed=5)
    return Played(envs, agent_class("rloo")(policy, envs, reference=reference).refer(episodes))


def make(name: str, options: dict[str, Any], envs: TextVectorEnv) -> Learner:
    """An agent that learns from such episodes."""
    kind = agent_class(name)
    sizes = {"group_size": GROUP, "minibatch_size": GROUP * PROMPTS, "episodes_per_update": GROUP * PROMPTS}
    given = {field: value for field, value in sizes.items() if field in kind.Config.__dataclass_fields__}
    config = kind.Config(**{**given, **options})
    return kind(tiny_policy(envs.rules, POLICY_SEED), envs, config, reference=tiny_policy(envs.rules, seed=0))


def advantages(agent: Learner, played: Played) -> list[torch.Tensor]:
    """The advantages before a first update, and after it those of an agent that remembers a mean."""
    agent.envs, fresh = played.envs, dict(agent.memory)
    batches = [agent.estimate(played.episodes)]
    if "mean" in agent.memory:
        agent.update(batches[0])
        batches.append(agent.estimate(played.episodes))
    agent.memory = fresh
    return [batch.advantages for batch in batches if batch.advantages is not None]


def test_every_agent_is_in_one_of_the_lists() -> None:
    assert sorted([*COMPARING, *OTHERS]) == sorted(AGENTS)


@pytest.mark.parametrize("payment", PAYMENTS)
@pytest.mark.parametrize(("name", "options"), [(name, options) for name, cases in COMPARING.items() for options in cases])
def test_a_constant_in_the_score_changes_no_advantage(name: str, options: dict[str, Any], payment: str) -> None:
    whitening = ("whiten_advantages" in agent_class(name).Config.__dataclass_fields__) * [{"whiten_advantages": False}]
    for fields in ({}, *whitening):
        agent = make(name, {**options, **fields}, play(payment, True, 0.0).envs)
        for equal_lengths in (False, True):
            plain = play(payment, equal_lengths, 0.0)
            assert (len(plain.episodes.lengths.unique()) == 1) == equal_lengths
            without = advantages(agent, plain)
            assert all(float(values.abs().max()) > 0.05 for values in without)
            for constant in CONSTANTS:
                shifted = play(payment, equal_lengths, constant)
                gap = shifted.episodes.rewards.sum(1) - plain.episodes.rewards.sum(1)
                torch.testing.assert_close(gap, torch.full_like(gap, constant))
                torch.testing.assert_close(advantages(agent, shifted), without, rtol=0, atol=1e-5)
