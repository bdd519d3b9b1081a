"""Actor-critic: what its critics learn, the Q actor-critic's gradient under the exact Q, and the entropy bonus."""

import dataclasses
from typing import Any

import gymnasium
import pytest
import torch

from tests.agents.enumerated import cosine, every_text, tiny_envs, tiny_policy
from textenv.agents.actor_critic import ActorCritic, ActorCriticConfig
from textenv.envs.exact import ExactMDP
from textenv.models.policy import LanguagePolicy

BETA = 0.1


def make(**fields: Any) -> tuple[ActorCritic, Any, torch.Tensor]:
    envs = tiny_envs()
    policy = tiny_policy(envs.rules)
    config = ActorCriticConfig(**{"kl_coef": BETA, "whiten_advantages": False, "max_grad_norm": 1e9, **fields})
    agent = ActorCritic(policy, envs, config, reference=tiny_policy(envs.rules, seed=0))
    return agent, *every_text(envs.rules, policy)


def exact_q(agent: ActorCritic, batch: Any, probability: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Q and V of the shaped rewards in the states of every text, by averaging over the texts that go through them: (B, T) each."""
    rewards = agent.shaped_rewards(agent.refer(batch)).double()
    to_go = rewards.flip(1).cumsum(1).flip(1)
    q, v = torch.zeros_like(to_go), torch.zeros_like(to_go)
    for row in range(len(batch)):
        for t in range(int(batch.lengths[row])):
            for columns, target in ((2 + t, q), (1 + t, v)):  # what agrees up to and with the action, and up to the state
                same = (batch.tokens[:, :columns] == batch.tokens[row, :columns]).all(1)
                target[row, t] = (probability * to_go[:, t])[same].sum() / probability[same].sum()
    return q.float(), v.float()


def test_with_the_exact_q_the_expected_update_is_the_gradient(monkeypatch: pytest.MonkeyPatch) -> None:
    agent, texts, probability = make(critic="q", value_coef=0.0)
    found = exact_q(agent, texts, probability)
    monkeypatch.setattr(agent.q_head, "evaluate", lambda *_: found)
    batch = agent.estimate(texts)
    assert batch.advantages is not None
    batch = dataclasses.replace(batch, advantages=batch.advantages * probability[:, None].float())
    parameters = dict(agent.policy.model.named_parameters())
    (agent.loss(batch)["loss"] * batch.mask).sum().backward()
    gradient = {name: -parameter.grad for name, parameter in parameters.items() if parameter.grad is not None}
    exact = ExactMDP(agent.envs.unwrapped.rules, agent.reference).gradient(agent.policy, BETA)  # type: ignore[attr-defined]
    direction, size = cosine(gradient, exact)
    assert direction >= 0.99999
    assert size == pytest.approx(1, rel=1e-3)


@pytest.mark.parametrize("lam", [0.0, 0.5, 1.0])
def test_the_exact_values_are_where_the_critic_rests(lam: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """With exact values the mean return that Q or V learns in a state is the exact one, whatever λ."""
    agent, texts, probability = make(critic="q", lam=lam)
    q, v = exact_q(agent, texts, probability)
    monkeypatch.setattr(agent.q_head, "evaluate", lambda *_: (q, v))
    for trained in (agent.estimate(texts), make(lam=lam)[0].estimate(dataclasses.replace(texts, values=v))):
        assert trained.returns is not None
        for row in (1, 3, 10):
            for t in range(int(texts.lengths[row])):
                same = (texts.tokens[:, : 2 + t] == texts.tokens[row, : 2 + t]).all(1)
                mean = (probability * trained.returns[:, t])[same].sum() / probability[same].sum()
                assert float(mean) == pytest.approx(float(q[row, t]), abs=1e-4)


def test_n_steps_mix_rewards_and_values() -> None:
    agent, texts, _ = make(n_steps=1, kl_coef=0.0)
    batch = agent.estimate(texts.select([1]))  # "aa" pays 1.2 at its end
    assert batch.advantages is not None
    values = texts.values[1].tolist()
    assert batch.advantages[0].tolist() == pytest.approx([values[1] - values[0], 1.2 - values[1]], abs=1e-5)


@pytest.mark.parametrize("left", [1.0, 0.25])
def test_the_entropy_bonus_has_the_gradient_of_the_entropy_and_falls_with_the_learning_rate(left: float) -> None:
    agent, texts, probability = make(entropy_coef=0.7, value_coef=0.0)
    agent.optimiser.param_groups[0]["lr"] *= left
    weights = probability[:, None].float() * 2
    parameters = list(agent.policy.model.parameters())
    # Of each state once: a token's bonus times its probability in it, so the texts are weighted by how they come about.
    silent = dataclasses.replace(texts, advantages=torch.zeros_like(texts.rewards), returns=texts.values)
    loss = (agent.loss(silent)["loss"] * texts.mask)[:, :1] * weights  # first states only
    found = torch.autograd.grad(-loss.sum(), parameters, allow_unused=True)
    first = agent.policy.next_log_probs(
        torch.nn.functional.pad(texts.tokens[[0, 7], :1], (0, 2), value=-1).int().numpy(), cached=False
    )  # (2, V)
    exact = torch.autograd.grad(-0.7 * left * (first.exp() * first).sum(), parameters, allow_unused=True)
    pairs = {str(i): (a, b) for i, (a, b) in enumerate(zip(found, exact, strict=True)) if a is not None and b is not None}
    direction, size = cosine({name: pair[0] for name, pair in pairs.items()}, {name: pair[1] for name, pair in pairs.items()})
    assert direction >= 0.9999
    assert size == pytest.approx(1, rel=1e-3)


@pytest.mark.parametrize(
    ("fields", "beta", "least"),
    [
        ({"learning_rate": 3e-3}, BETA, 0.9),
        ({"critic": "q", "learning_rate": 3e-3, "value_coef": 10.0, "entropy_coef": 0.02, "whiten_advantages": False}, 0.0, 0.4),
    ],
)
def test_learns_what_pays(fields: dict[str, Any], beta: float, least: float) -> None:
    envs = tiny_envs(32)
    policy = LanguagePolicy.for_rules(envs.rules)
    mdp = ExactMDP(envs.rules, policy)
    ActorCritic(policy, envs, ActorCriticConfig(kl_coef=beta, episodes_per_update=64, **fields)).learn(2048)
    assert mdp.normalised_return(policy, beta) >= least


@pytest.mark.slow
@pytest.mark.parametrize(
    ("fields", "beta", "least"),
    [
        ({"learning_rate": 3e-3}, BETA, 0.8),
        ({"critic": "q", "learning_rate": 1e-3, "value_coef": 10.0, "entropy_coef": 0.08, "whiten_advantages": False}, 0.0, 0.7),
    ],
)
def test_approaches_the_known_optimum(fields: dict[str, Any], beta: float, least: float) -> None:
    envs: Any = gymnasium.make_vec("TextCopy-v0", num_envs=128)
    policy = LanguagePolicy.for_rules(envs.unwrapped.rules)
    mdp = ExactMDP(envs.unwrapped.rules, policy)
    ActorCritic(policy, envs, ActorCriticConfig(kl_coef=beta, **fields)).learn(12_288)
    assert mdp.normalised_return(policy, beta) >= least
