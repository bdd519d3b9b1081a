"""TRPO: conjugate gradients, the Fisher matrix, and a step that keeps to its region."""

import dataclasses
from typing import Any

import gymnasium
import pytest
import torch

from tests.agents.enumerated import cosine, every_group, tiny_envs, tiny_policy
from textenv.agents.trpo import TRPO, TRPOConfig, conjugate_gradient, fisher, flat, last_layers
from textenv.envs.exact import ExactMDP
from textenv.errors import ArgumentError
from textenv.models.policy import LanguagePolicy
from textenv.models.proof import AfterHead
from textenv.rewards.kl import exact


def test_conjugate_gradient_solves() -> None:
    torch.manual_seed(0)
    root = torch.randn(6, 6, dtype=torch.float64)
    matrix, target = root @ root.T + torch.eye(6), torch.randn(6, dtype=torch.float64)
    found = conjugate_gradient(lambda vector: matrix @ vector, target, 6)
    assert torch.allclose(found, torch.linalg.solve(matrix, target), atol=1e-8)
    assert not torch.allclose(conjugate_gradient(lambda vector: matrix @ vector, target, 2), found, atol=1e-3)


def test_fisher_is_the_covariance_of_the_scores() -> None:
    """F = E_s E_a[∇log π ∇log πᵀ], written down from every token's gradient; a forbidden token counts nothing."""
    torch.manual_seed(0)
    weight = torch.nn.Parameter(torch.randn(4, 3))
    states = torch.randn(5, 3)
    banned = torch.tensor([False, False, True, False])

    def distribution() -> torch.Tensor:
        return torch.log_softmax((states @ weight.T).masked_fill(banned, -torch.inf), -1)

    expected = torch.zeros(12, 12)
    for state in range(5):
        for token in (0, 1, 3):
            log_prob = distribution()[state, token]
            (score,) = torch.autograd.grad(log_prob, weight)
            expected += log_prob.exp().detach() * torch.outer(score.flatten(), score.flatten()) / 5
    product = fisher(distribution, [weight], damping=0.5)
    found = torch.stack([product(unit) for unit in torch.eye(12)])
    assert torch.allclose(found, expected + 0.5 * torch.eye(12), atol=1e-5)


def make(**fields: Any) -> TRPO:
    envs: Any = gymnasium.make_vec("TextCopy-v0", num_envs=32)
    config = TRPOConfig(**{"episodes_per_update": 64, "kl_coef": 0.1, "fisher_episodes": 64, **fields})
    return TRPO(LanguagePolicy.for_rules(envs.unwrapped.rules), envs, config, seed=1)


@pytest.mark.parametrize("max_kl", [0.001, 0.05])
def test_a_step_moves_the_policy_as_far_as_it_may(max_kl: float) -> None:
    agent = make(max_kl=max_kl, layers=None)
    batch = agent.collect()
    old = agent._distribution(batch).detach()
    metrics = agent.update(batch)
    moved = float(exact(old, agent._distribution(batch).detach()).mean())
    assert moved == pytest.approx(metrics["kl_old"], rel=1e-3)
    assert 0.3 * max_kl < moved <= max_kl
    assert metrics["step"] > 0.2


def test_a_step_that_helps_nothing_is_not_taken() -> None:
    agent = make(layers=None)
    batch = agent.collect()
    assert batch.advantages is not None
    before = flat(agent.parameters).clone()
    metrics = agent.update(dataclasses.replace(batch, advantages=torch.zeros_like(batch.advantages)))
    assert (metrics["step"], metrics["kl_old"]) == (0, 0)
    assert torch.equal(flat(agent.parameters), before)


def test_only_the_last_layers_move() -> None:
    agent = make(layers=1)
    before = {name: value.clone() for name, value in agent.policy.model.named_parameters()}
    agent.update(agent.collect())
    moved = {name for name, value in agent.policy.model.named_parameters() if not torch.equal(value, before[name])}
    assert {name.split(".")[1] + "." + name.split(".")[2] for name in moved if ".h." in name} == {"h.1"}
    assert moved & {"transformer.ln_f.weight"}
    assert not moved & {"transformer.wte.weight", "transformer.wpe.weight"}
    assert len(last_layers(agent.policy, None)) == len(before)
    assert all(parameter.requires_grad for parameter in agent.policy.parameters())  # another agent may train the whole policy


def test_the_critic_is_trained_whole() -> None:
    agent = make(advantage="critic", layers=1)
    assert len(agent.optimiser.param_groups[0]["params"]) == len(list(agent.critic.parameters()))


def test_its_distribution_has_what_follows_the_head() -> None:
    agent = make(layers=None)
    agent.policy.after_head = AfterHead(0.5, 2.0)
    batch = agent.collect()
    with torch.no_grad():
        log_probs = agent.policy.response_log_probs(batch.tokens, batch.prompt_columns)[0][batch.mask]
        tokens = batch.tokens[:, batch.prompt_columns :][batch.mask]
        found = agent._distribution(batch).gather(-1, tokens[:, None])[:, 0]
    assert torch.allclose(found, log_probs, atol=1e-5)
    agent.policy.after_head = AfterHead()
    assert not torch.allclose(agent._distribution(batch).gather(-1, tokens[:, None])[:, 0], log_probs, atol=1e-2)


def test_refuses_bf16() -> None:
    envs: Any = gymnasium.make_vec("TextCopy-v0", num_envs=2)
    with pytest.raises(ArgumentError, match="its policy's precision must be fp32, not bf16"):
        TRPO(LanguagePolicy.for_rules(envs.unwrapped.rules, precision="bf16"), envs)


def test_refuses_more_layers_than_there_are() -> None:
    with pytest.raises(ArgumentError, match="layers=3 must be at most the model's 2, in one list of blocks; give None to move everything"):
        make(layers=3)


def test_the_gradient_it_starts_from_is_the_enumerated_one() -> None:
    envs = tiny_envs()
    policy, reference = tiny_policy(envs.rules), tiny_policy(envs.rules, seed=0)
    episodes, weights = every_group(envs.rules, policy, 2)
    config = TRPOConfig(layers=None, group_size=2, episodes_per_update=len(episodes), kl_coef=0.1)
    agent = TRPO(policy, envs, config, reference=reference)
    batch = agent.estimate(episodes)
    assert batch.advantages is not None
    # Whitening subtracts a mean and divides by a spread: undone, since they are known, it leaves the plain advantages.
    plain = agent.shaped_rewards(batch).flip(1).cumsum(1).flip(1)
    others = plain.reshape(-1, 2, plain.shape[1]).flip(1).reshape(plain.shape)
    batch = dataclasses.replace(batch, advantages=(plain - others) * batch.mask * weights[:, None].float())
    gradient = agent._gradient(batch) * batch.mask.sum()
    names = [name for name, _ in policy.model.named_parameters()]
    found = dict(zip(names, gradient.split([p.numel() for p in agent.parameters]), strict=True))
    truth = {name: value.flatten() for name, value in ExactMDP(envs.rules, reference).gradient(policy, 0.1).items()}
    direction, size = cosine(found, truth)
    assert direction >= 0.99999
    assert size == pytest.approx(1, rel=1e-3)


def test_the_critic_learns_and_does_not_move_the_policy() -> None:
    agent = make(advantage="critic", learning_rate=3e-3, critic_epochs=8)
    batch = agent.collect()
    assert batch.advantages is not None
    before = agent.policy.state_dict()["model.transformer.h.1.mlp.c_fc.weight"].clone()
    metrics = agent.update(dataclasses.replace(batch, advantages=torch.zeros_like(batch.advantages)))
    assert torch.equal(agent.policy.state_dict()["model.transformer.h.1.mlp.c_fc.weight"], before)
    fresh = agent.estimate(dataclasses.replace(batch, ref_log_probs=None, advantages=None))
    assert batch.returns is not None
    errors = [float((values - batch.returns)[batch.mask].square().mean()) for values in (batch.values, fresh.values)]
    assert errors[1] < 0.8 * errors[0]
    assert metrics["value_loss"] > 0


def test_linear_decay_lowers_the_region() -> None:
    agent = make(layers=None, max_kl=0.05)
    rows: list[dict[str, float]] = []
    agent.learn(64 * 4, lambda metrics, _: rows.append(metrics))
    assert rows[0]["kl_old"] > 2 * rows[-1]["kl_old"] > 0
