"""Online DPO: which pairs it takes, its step by hand, and that it comes to the optimum of E[r] - β KL."""

from dataclasses import replace
from typing import Any

import gymnasium
import pytest
import torch

from tests.agents.enumerated import tiny_envs, tiny_policy
from tests.agents.test_dpo import BETA, Truth, rewarded_envs
from textenv.agents.dpo import sigmoid_loss
from textenv.agents.online_dpo import OnlineDPO, OnlineDPOConfig
from textenv.envs.exact import ExactMDP
from textenv.errors import ArgumentError
from textenv.models.policy import LanguagePolicy
from textenv.rollouts.collect import collect

SMALL = OnlineDPOConfig(episodes_per_update=12, kl_coef=0.3, max_grad_norm=1e9)


def moved(config: OnlineDPOConfig, rewards: list[float]) -> tuple[torch.Tensor, torch.Tensor, dict[str, float], Any]:
    """A step of plain gradient descent on given rewards: before, after, what it told, and the episodes with the agent."""
    envs = tiny_envs()
    policy = tiny_policy(envs.rules)
    agent = OnlineDPO(policy, envs, config, reference=tiny_policy(envs.rules, seed=0), seed=1)
    batch = agent.collect()
    given = torch.zeros_like(batch.rewards)
    given[torch.arange(len(batch)), batch.lengths - 1] = torch.tensor(rewards, dtype=given.dtype)
    batch = replace(batch, rewards=given)
    before = torch.cat([parameter.detach().flatten() for parameter in policy.model.parameters()])
    agent.optimiser = torch.optim.SGD(policy.parameters(), lr=1.0)  # type: ignore[assignment]
    told = agent.update(batch)
    after = torch.cat([parameter.detach().flatten() for parameter in policy.model.parameters()])
    return before, after, told, batch


@pytest.mark.parametrize(("temperature", "micro"), [(1.0, None), (0.5, 2), (0.0, None)])
def test_a_step_is_along_the_gradient_of_the_mean_over_pairs(temperature: float, micro: int | None) -> None:
    config = replace(SMALL, group_size=3, judge_temperature=temperature, micro_batch_size=micro)
    rewards = [0.5, 2.0, -1.0, 1.0, 1.0, 1.0, 3.0, 0.0, 0.0, 0.2, 0.1, 0.3]
    before, after, told, batch = moved(config, rewards)
    pairs = [(1, 2, 3.0), (3, 5, 0.0), (6, 8, 3.0), (11, 10, 0.2)]  # best, worst and how far they are apart
    envs = tiny_envs()
    policy, reference = tiny_policy(envs.rules), tiny_policy(envs.rules, seed=0)
    ours, theirs = (model.response_log_probs(batch.tokens, batch.prompt_columns)[0].sum(1) for model in (policy, reference))
    losses, margins = [], []
    for better, worse, apart in pairs:
        h = (ours - theirs.detach())[better] - (ours - theirs.detach())[worse]
        wrong = float(torch.sigmoid(torch.tensor(-apart / temperature))) if temperature else 0.0
        if temperature or apart:
            losses.append(sigmoid_loss(h, 0.3, wrong))
        margins.append(0.3 * float(h.detach()))
    loss = torch.stack(losses).sum() / 4
    expected = torch.cat([gradient.flatten() for gradient in torch.autograd.grad(loss, list(policy.model.parameters()))])
    assert torch.allclose(after, before - expected, atol=1e-5)
    assert told["margin"] == pytest.approx(sum(margins) / 4, abs=1e-5)
    assert told["tied"] == pytest.approx(0.25)
    # Two equal texts are no more probable than each other.
    right = [0.5 if apart == 0 or abs(margin) < 1e-6 else float(margin > 0) for margin, (_, _, apart) in zip(margins, pairs, strict=True)]
    assert told["accuracy"] == pytest.approx(sum(right) / 4)


def test_a_sure_judge_learns_nothing_of_equals() -> None:
    before, after, told, _ = moved(replace(SMALL, judge_temperature=0.0), [1.0] * 12)
    assert torch.equal(before, after)
    assert told["tied"] == 1.0
    before, after, _, _ = moved(SMALL, [1.0] * 12)  # one who is not says that they are equally good
    assert not torch.equal(before, after)


@pytest.mark.slow
def test_it_comes_to_the_optimum() -> None:
    truth = Truth()
    policy = LanguagePolicy.for_rules(truth.rules)
    config = OnlineDPOConfig(episodes_per_update=256, kl_coef=BETA, learning_rate=3e-3)
    OnlineDPO(policy, rewarded_envs(), config).learn(32_768)
    assert truth.distance(policy) <= 0.03


def test_it_learns() -> None:
    envs = gymnasium.make_vec("TextCopy-v0", num_envs=128)
    policy = LanguagePolicy.for_rules(envs.unwrapped.rules)  # type: ignore[attr-defined]
    mdp = ExactMDP(envs.unwrapped.rules, policy)  # type: ignore[attr-defined]
    OnlineDPO(policy, envs, OnlineDPOConfig(learning_rate=3e-3, kl_coef=0.1)).learn(4096)
    assert mdp.normalised_return(policy, 0.1) > 0.5


def test_episodes_that_are_no_pairs_are_refused() -> None:
    envs = tiny_envs()
    agent = OnlineDPO(tiny_policy(envs.rules), envs, SMALL, reference=tiny_policy(envs.rules, seed=0))
    with pytest.raises(ArgumentError, match="groups of 2 episodes of the same prompt"):
        agent.update(collect(agent.policy, envs, 3, seed=0))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"kl_coef": 0.0}, r"kl_coef is β, by which online DPO multiplies log\(π/π_ref\), and must be positive"),
        ({"group_size": 1}, "group_size=1 must be at least 2 and divide episodes_per_update=128"),
        ({"micro_batch_size": 1}, "micro_batch_size=1 must be even, for episodes come in pairs"),
        ({"judge_temperature": -1.0}, r"judge_temperature must be at least 0, got -1\.0"),
        ({"gamma": 0.9}, r"Online DPO compares whole episodes, so gamma must be 1, got 0\.9"),
    ],
)
def test_bad_numbers_are_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        OnlineDPOConfig(**fields)
