"""PPO against the enumerated gradient and the known optimum."""

import copy
from dataclasses import replace
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch

from textenv import wrappers
from textenv.agents.losses import clipped_surrogate
from textenv.agents.ppo import PPO, PPOConfig
from textenv.envs.exact import ExactMDP
from textenv.envs.rules import Rules
from textenv.errors import ArgumentError, LoadError, TrainingError
from textenv.models.loading import toy_causal_lm
from textenv.models.policy import LanguagePolicy
from textenv.rollouts.collect import collect
from textenv.types import Episodes

BETA = 0.1
SMALL = PPOConfig(episodes_per_update=64, minibatch_size=32, learning_rate=2e-3, kl_coef=BETA)


def make_envs(num_envs: int = 128, **fields: Any) -> Any:
    return gymnasium.make_vec("TextCopy-v0", num_envs=num_envs, **fields)


def moved_policy(rules: Rules) -> LanguagePolicy:
    """A policy away from the reference, so that the KL has a gradient."""
    return LanguagePolicy(toy_causal_lm(rules.tokenizer, rules.width, seed=9), rules.tokenizer)


def every_text(envs: Any, policy: LanguagePolicy) -> tuple[Episodes, torch.Tensor]:
    """Every episode that can happen, and its probability: an infinite batch."""
    rules = envs.unwrapped.rules
    prompts, finished_rows = len(rules.prompts.texts), list[Any]()
    prefixes = [np.concatenate([prompt, np.full(rules.response_columns, -1)]).astype(np.int32) for prompt in rules.prompts.tokens]
    for t in range(rules.response_columns):
        longer: list[Any] = []
        for prefix in prefixes:
            for token in range(rules.vocabulary):
                row = prefix.copy()
                row[rules.prompt_columns + t] = token
                (finished_rows if token == rules.contract.end or t == rules.response_columns - 1 else longer).append(row)
        prefixes = longer
    observations = np.stack(finished_rows)
    lengths = (observations[:, rules.prompt_columns :] >= 0).sum(1)
    index_of = {row.tobytes(): i for i, row in enumerate(rules.prompts.tokens)}
    prompt_index = np.array([index_of[row[: rules.prompt_columns].tobytes()] for row in observations])
    outcome = rules.outcome(observations, lengths, prompt_index)
    finished = torch.from_numpy(observations).long()
    with torch.no_grad():
        log_probs, values = policy.response_log_probs(finished, rules.prompt_columns)
    rewards = torch.zeros_like(log_probs)
    rewards[torch.arange(len(rewards)), torch.from_numpy(lengths) - 1] = torch.from_numpy(outcome.scores).float()
    episodes = Episodes(
        tokens=finished,
        prompt_columns=rules.prompt_columns,
        log_probs=log_probs,
        values=values,
        rewards=rewards,
        scores=torch.from_numpy(outcome.scores),
        prompt_index=torch.from_numpy(prompt_index),
        prompts=[info["prompt"] for info in outcome.infos],
        completions=[info["completion"] for info in outcome.infos],
        finish_reasons=[info["finish_reason"] for info in outcome.infos],
    )
    return episodes, log_probs.sum(1).exp() / prompts


def cosine(left: dict[str, torch.Tensor], right: dict[str, torch.Tensor]) -> tuple[float, float]:
    """Cosine of two gradients, and the ratio of their norms."""
    a, b = (torch.cat([gradient.flatten() for gradient in side.values()]) for side in (left, right))
    return float(a @ b / (a.norm() * b.norm())), float(a.norm() / b.norm())


def test_expected_update_equals_the_enumerated_gradient() -> None:
    """With every text weighted by its probability, the surrogate at ratio 1 has the gradient of E[score] - β KL."""
    envs = make_envs(max_new_tokens=3)
    rules = envs.unwrapped.rules
    reference, policy = LanguagePolicy.for_rules(rules), moved_policy(rules)
    exact = ExactMDP(rules, reference).gradient(policy, BETA)
    agent = PPO(policy, envs, SMALL, reference=reference)
    episodes, probability = every_text(envs, policy)
    assert float(probability.sum()) == pytest.approx(1, abs=1e-5)
    episodes = agent.refer(episodes)
    assert episodes.ref_log_probs is not None
    mask = episodes.mask
    shaped = episodes.rewards - BETA * (episodes.log_probs - episodes.ref_log_probs) * mask
    to_go = shaped.flip(1).cumsum(1).flip(1) * mask
    new, _ = policy.response_log_probs(episodes.tokens, episodes.prompt_columns)
    loss = (clipped_surrogate(new, episodes.log_probs, to_go, 0.2) * mask * probability[:, None]).sum()
    names = dict(policy.model.named_parameters())
    found = dict(zip(names, torch.autograd.grad(-loss, list(names.values())), strict=True))
    direction, size = cosine(found, exact)
    assert direction >= 0.99999
    assert size == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize("advantage", ["leave_one_out", "critic"])
def test_update_moves_along_the_enumerated_gradient(advantage: Any) -> None:
    """`update` itself, with its baselines and on sampled episodes, whose noise is all that is left of the angle."""
    envs = make_envs(1152)
    rules = envs.unwrapped.rules
    reference, policy = LanguagePolicy.for_rules(rules), moved_policy(rules)
    exact = ExactMDP(rules, reference).gradient(policy, BETA)
    n = 36 * 32 * 4
    config = PPOConfig(
        advantage=advantage,
        episodes_per_update=n,
        minibatch_size=n,
        micro_batch_size=n // 4,
        group_size=32,
        kl_coef=BETA,
        lam=1.0,
        value_coef=0.0 if advantage == "critic" else 0.1,
        whiten_advantages=False,
        max_grad_norm=1e9,
    )
    agent = PPO(policy, envs, config, reference=reference)
    before = {name: parameter.detach().clone() for name, parameter in policy.model.named_parameters()}
    agent.optimiser = torch.optim.SGD(policy.parameters(), lr=1e-3)  # type: ignore[assignment]  # a step along the plain gradient
    agent.update(agent.collect())
    moved = {name: parameter.detach() - before[name] for name, parameter in policy.model.named_parameters()}
    assert cosine(moved, exact)[0] >= 0.98


def test_comes_near_the_known_optimum() -> None:
    envs = make_envs(256)
    policy = LanguagePolicy.for_rules(envs.unwrapped.rules)
    mdp = ExactMDP(envs.unwrapped.rules, policy)
    config = PPOConfig(episodes_per_update=256, minibatch_size=64, epochs=2, learning_rate=3e-3, kl_coef=BETA)
    PPO(policy, envs, config).learn(2048)
    assert mdp.normalised_return(policy, BETA) >= 0.6


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(5))
def test_reaches_the_known_optimum(seed: int) -> None:
    envs = make_envs(256)
    policy = LanguagePolicy.for_rules(envs.unwrapped.rules)
    mdp = ExactMDP(envs.unwrapped.rules, policy)
    config = PPOConfig(episodes_per_update=512, minibatch_size=128, epochs=2, learning_rate=3e-3, kl_coef=BETA)
    PPO(policy, envs, config, seed=seed).learn(24_576)
    assert mdp.normalised_return(policy, BETA) >= 0.95


def test_critic_learns_too() -> None:
    envs = make_envs(128)
    policy = LanguagePolicy.for_rules(envs.unwrapped.rules)
    mdp = ExactMDP(envs.unwrapped.rules, policy)
    config = PPOConfig(advantage="critic", epochs=2, episodes_per_update=256, minibatch_size=64, learning_rate=2e-3, kl_coef=BETA)
    seen: list[float] = []
    PPO(policy, envs, config).learn(4096, lambda metrics, _: seen.append(metrics["explained_variance"]))
    assert mdp.normalised_return(policy, BETA) >= 0.85
    assert seen[0] == pytest.approx(0, abs=0.1)
    assert np.mean(seen[-4:]) > 0.2


def run(updates: int, **changes: Any) -> tuple[dict[str, torch.Tensor], list[dict[str, float]]]:
    envs = make_envs(32)
    policy = LanguagePolicy.for_rules(envs.unwrapped.rules)
    metrics: list[dict[str, float]] = []
    PPO(policy, envs, replace(SMALL, **changes), seed=3).learn(64 * updates, lambda row, _: metrics.append(row))
    return policy.state_dict(), metrics


def test_two_runs_are_equal() -> None:
    (first, metrics), (second, again) = run(3), run(3)
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert [row["score"] for row in metrics] == [row["score"] for row in again]


def test_accumulated_gradients_equal_whole_ones() -> None:
    whole, _ = run(1, minibatch_size=64)
    parts, _ = run(1, minibatch_size=64, micro_batch_size=8)
    assert all(torch.allclose(whole[name], parts[name], atol=1e-5) for name in whole)


def test_goes_on_from_a_saved_state_to_the_bit() -> None:
    envs = make_envs(32)
    straight = PPO(LanguagePolicy.for_rules(envs.unwrapped.rules), envs, replace(SMALL, linear_decay=False), seed=3)
    straight.learn(64 * 4)
    halves = PPO(LanguagePolicy.for_rules(envs.unwrapped.rules), envs, replace(SMALL, linear_decay=False), seed=3)
    halves.learn(64 * 2)
    resumed = PPO(LanguagePolicy.for_rules(envs.unwrapped.rules), make_envs(32), replace(SMALL, linear_decay=False), seed=99)
    resumed.load_state_dict(halves.state_dict())
    resumed.learn(64 * 2)
    expected = straight.policy.state_dict()
    assert all(torch.equal(value, expected[name]) for name, value in resumed.policy.state_dict().items())


def test_a_killed_schedule_goes_on_to_the_bit() -> None:
    envs = make_envs(32)
    straight = PPO(LanguagePolicy.for_rules(envs.unwrapped.rules), envs, SMALL, seed=3)
    rates: list[float] = []
    states: list[dict[str, Any]] = []

    def after(metrics: dict[str, float], _: Episodes) -> None:
        rates.append(metrics["learning_rate"])
        states.append(copy.deepcopy(straight.state_dict()))

    straight.learn(64 * 4, after)
    resumed = PPO(LanguagePolicy.for_rules(envs.unwrapped.rules), make_envs(32), SMALL, seed=99)
    resumed.load_state_dict(states[1])
    again: list[float] = []
    resumed.learn(64 * 2, lambda metrics, _: again.append(metrics["learning_rate"]))
    assert rates == pytest.approx([2e-3, 1.5e-3, 1e-3, 0.5e-3])
    assert again == rates[2:]
    expected = straight.policy.state_dict()
    assert all(torch.equal(value, expected[name]) for name, value in resumed.policy.state_dict().items())


def small_agent(seed: int = 3, **fields: Any) -> PPO:
    envs = make_envs(32, **fields)
    return PPO(LanguagePolicy.for_rules(envs.unwrapped.rules), envs, SMALL, seed=seed)


def test_a_state_of_another_model_is_refused_before_anything_changes() -> None:
    wider, agent = small_agent(max_new_tokens=5), small_agent()
    wider.learn(64)
    before = copy.deepcopy(agent.state_dict())
    with pytest.raises(LoadError, match=r"of another model: model\.transformer\.wpe\.weight has the shape \(9, \d+\) there and \(8, \d+\)"):
        agent.load_state_dict(wider.state_dict())
    fewer = {name: value for name, value in before["policy"].items() if name != "value_head.bias"}
    with pytest.raises(LoadError, match=r"value_head\.bias has the shape None there"):
        agent.load_state_dict({**before, "policy": fewer})
    with pytest.raises(LoadError, match=r"lacks agent, device, .*, waiting: it is not PPO's"):
        agent.load_state_dict({"policy": wider.policy.state_dict(), "step": 3})
    assert all(torch.equal(value, before["policy"][name]) for name, value in agent.policy.state_dict().items())
    assert (agent.episodes, agent.optimiser.state_dict()["state"]) == (0, {})


def test_draws_on_another_device_go_on_from_a_new_seed() -> None:
    agent = small_agent()
    agent.learn(64)
    # What a CUDA generator's state looks like: a seed and an offset, which no CPU generator takes.
    state = {**agent.state_dict(), "device": "cuda", "generator": torch.zeros(16, dtype=torch.uint8)}
    tokens = []
    for episodes in (64, 64, 128):
        other = small_agent(seed=9)
        other.load_state_dict({**state, "episodes": episodes})
        tokens.append(other.collect().tokens)
        assert all(torch.equal(value, state["policy"][name]) for name, value in other.policy.state_dict().items())
    assert torch.equal(tokens[0], tokens[1])
    assert not torch.equal(tokens[0], tokens[2])
    assert not torch.equal(tokens[0], small_agent().collect().tokens)


def test_dropout_of_a_loaded_model_is_off_in_the_update() -> None:
    envs = make_envs(32)
    rules = envs.unwrapped.rules
    model = toy_causal_lm(rules.tokenizer, rules.width)
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.5
    agent = PPO(LanguagePolicy(model, rules.tokenizer), envs, replace(SMALL, learning_rate=1e-9))
    assert agent.update(agent.collect())["approx_kl"] < 1e-9


def test_a_gradient_that_is_not_finite_stops_the_training() -> None:
    envs = make_envs(32)
    agent = PPO(LanguagePolicy.for_rules(envs.unwrapped.rules), envs, SMALL)
    before = {name: value.clone() for name, value in agent.policy.state_dict().items()}
    episodes = agent.collect()
    poisoned = replace(episodes, rewards=episodes.rewards * torch.nan, advantages=None)
    with pytest.raises(TrainingError, match="gradient is not finite") as caught:
        agent.update(poisoned)
    assert caught.value.episodes is not None
    assert torch.equal(caught.value.episodes.tokens, episodes.tokens)
    assert all(torch.equal(value, before[name]) for name, value in agent.policy.state_dict().items())


def test_refuses_episodes_that_are_no_groups() -> None:
    envs = make_envs(32)
    agent = PPO(LanguagePolicy.for_rules(envs.unwrapped.rules), envs, SMALL)
    with pytest.raises(ArgumentError, match="groups of 8 episodes of the same prompt"):
        agent.update(collect(agent.policy, envs, 64, seed=1))


def test_refuses_a_reference_or_envs_that_do_not_fit() -> None:
    envs = make_envs(4)
    rules = envs.unwrapped.rules
    with pytest.raises(ArgumentError, match=r"reference.s temperature is 0\.5, the policy.s 1\.0"):
        PPO(LanguagePolicy.for_rules(rules), envs, reference=LanguagePolicy.for_rules(rules, temperature=0.5))
    with pytest.raises(ArgumentError, match=r"from gymnasium\.make_vec, got CartPoleVectorEnv"):
        PPO(LanguagePolicy.for_rules(rules), gymnasium.make_vec("CartPole-v1"))


def test_refuses_texts_longer_than_the_context() -> None:
    envs = make_envs(4)
    longer = make_envs(4, max_new_tokens=9)
    policy = LanguagePolicy.for_rules(envs.unwrapped.rules)  # 8 positions
    with pytest.raises(ArgumentError, match="up to 13 tokens, but the model reads only 8"):
        collect(policy, longer, 4, seed=0)


def test_reference_stays_and_is_the_start() -> None:
    envs = make_envs(32)
    policy = LanguagePolicy.for_rules(envs.unwrapped.rules)
    start = {name: value.clone() for name, value in policy.state_dict().items()}
    agent = PPO(policy, envs, SMALL)
    rows: list[dict[str, float]] = []
    agent.learn(128, lambda row, _: rows.append(row))
    assert all(torch.equal(value, start[name]) for name, value in agent.reference.state_dict().items())
    assert abs(rows[0]["kl_k1"]) < 1e-5  # the first episodes were drawn by the reference itself
    assert not torch.equal(policy.state_dict()["model.transformer.wte.weight"], start["model.transformer.wte.weight"])


def test_every_prompt_comes_before_any_comes_again() -> None:
    envs = make_envs(32)
    agent = PPO(LanguagePolicy.for_rules(envs.unwrapped.rules), envs, replace(SMALL, group_size=4))
    seen = [index for _ in range(9) for index in agent.collect().prompt_index.tolist()[::4]]  # 9 x 16 groups, 36 prompts
    assert all(sorted(seen[start : start + 36]) == list(range(36)) for start in range(0, 144, 36))


def test_target_kl_stops_an_update() -> None:
    _, free = run(2, epochs=4)
    _, stopped = run(2, epochs=4, target_kl=1e-9)
    assert [row["optimiser_steps"] for row in free] == [8, 8]
    assert all(row["optimiser_steps"] < 8 for row in stopped)


def test_adaptive_coefficient_follows_the_kl() -> None:
    _, rows = run(3, kl_target=1e-6, kl_horizon=100)
    assert rows[2]["kl_coef"] > rows[1]["kl_coef"] == pytest.approx(BETA * (1 - 0.2 * 0.64), rel=0.3)


def test_collect_metrics_come_from_the_episodes() -> None:
    envs = make_envs(32)
    agent = PPO(LanguagePolicy.for_rules(envs.unwrapped.rules), envs, SMALL)
    episodes = collect(agent.policy, envs, 64, seed=0, prompt_index=np.repeat(np.arange(8), 8))
    metrics = agent.update(episodes)
    assert metrics["score"] == pytest.approx(float(episodes.scores.mean()))
    assert metrics["length"] == pytest.approx(float(episodes.lengths.double().mean()))
    assert metrics["entropy"] == pytest.approx(float(-episodes.log_probs.sum() / episodes.mask.sum()), rel=1e-5)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"group_size": 7}, "group_size=7 must be at least 2 and divide"),
        ({"group_size": 1}, "group_size=1 must be at least 2"),
        ({"minibatch_size": 100}, "minibatch_size=100 must divide"),
        ({"micro_batch_size": 5}, "micro_batch_size=5 must divide"),
        ({"learning_rate": 0.0}, "learning_rate must be positive"),
        ({"gamma": 1.5}, "gamma must be between 0 and 1"),
        ({"kl_coef": -0.1}, "kl_coef must be at least 0"),
        ({"advantage": "magic"}, "advantage must be"),
    ],
)
def test_config_refuses(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        PPOConfig(**fields)


def test_refuses_envs_that_shape_too() -> None:
    envs = make_envs(4, kl_coef=0.1)
    envs = wrappers.KLShaping(gymnasium.make_vec("TextCopy-v0", num_envs=2), kl_coef=0.1)
    with pytest.raises(ArgumentError, match="PPO adds the KL itself"):
        PPO(LanguagePolicy.for_rules(envs.unwrapped.rules), envs)
    with pytest.raises(ArgumentError, match="PPO adds the KL itself"):
        PPO(LanguagePolicy.for_rules(envs.unwrapped.rules), envs)
