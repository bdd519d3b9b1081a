"""Every agent: the expected update is the gradient, two runs are equal, and a saved one goes on to the bit."""

import copy
import dataclasses
from pathlib import Path
from typing import Any

import gymnasium
import pytest
import torch

from tests.agents.enumerated import cosine, every_group, every_text, tiny_envs, tiny_policy
from textenv import wrappers
from textenv.agents import AGENTS, agent_class
from textenv.agents.learner import Learner, explained_variance
from textenv.checkpoint import load_state, save_state
from textenv.envs.exact import ExactMDP
from textenv.envs.wrappers.base import rules_of
from textenv.errors import ArgumentError, LoadError, TrainingError
from textenv.models.loading import toy_causal_lm
from textenv.models.lora import add_lora
from textenv.models.policy import LanguagePolicy
from textenv.rollouts.divergence import divergence

BETA = 0.1

UNBIASED: list[tuple[str, dict[str, Any]]] = [
    ("reinforce", {"baseline": "none"}),
    ("reinforce", {"baseline": "none", "returns": "whole"}),
    ("reinforce", {"baseline": "mean"}),
    ("reinforce", {"baseline": "value", "value_coef": 0.0}),
    ("reinforce", {"baseline": "value", "value_coef": 0.0, "separate_critic": True}),
    ("actor_critic", {"lam": 1.0, "value_coef": 0.0}),
    ("actor_critic", {"n_steps": 2, "value_coef": 0.0}),
    ("ppo", {"group_size": 2}),
    ("ppo", {"group_size": 2, "form": "penalty"}),
    ("ppo", {"advantage": "critic", "lam": 1.0, "value_coef": 0.0}),
    ("ppo", {"advantage": "critic", "lam": 1.0, "value_coef": 0.0, "separate_critic": True}),
    ("rloo", {"group_size": 2}),
    ("rloo", {"group_size": 3}),
    ("scst", {}),
    ("grpo", {"group_size": 2, "dr_grpo": True}),
    ("grpo", {"group_size": 2, "dr_grpo": True, "kl_in": "loss", "kl_coef": 0.0}),
]
"""Agents and settings whose expected update is the policy gradient of E[score] - β KL."""


def name_of(case: Any) -> str | None:
    if isinstance(case, str):
        return case
    return " ".join(f"{key}={value}" for key, value in case.items()) or "defaults" if isinstance(case, dict) else None


def movement(agent: Learner, batch: Any) -> dict[str, torch.Tensor]:
    """How an update by plain gradient descent moves the model's weights, at a learning rate that undoes the mean over tokens."""
    model = agent.policy.model
    before = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    agent.optimiser = torch.optim.SGD(agent.optimiser.param_groups[0]["params"], lr=float(batch.mask.sum()))  # type: ignore[assignment]
    agent.update(batch)
    return {name: parameter.detach() - before[name] for name, parameter in model.named_parameters()}


@pytest.mark.parametrize(("name", "fields"), UNBIASED, ids=name_of)
def test_the_expected_update_is_the_enumerated_gradient(name: str, fields: dict[str, Any]) -> None:
    rules = tiny_envs().rules
    exact = ExactMDP(rules, tiny_policy(rules, seed=0)).gradient(tiny_policy(rules), fields.get("kl_coef", BETA))
    direction, length = cosine(expected_update(name, fields), exact)
    assert direction >= 0.99999
    size = fields.get("group_size", 1)
    biased = (size - 1) / size if name == "grpo" else 1  # a group's mean holds the episode itself
    assert length == pytest.approx(biased, rel=2e-3)


@pytest.mark.parametrize(
    ("name", "fields", "returns"),
    [
        ("ppo", {"group_size": 2}, "reward_to_go"),
        ("reinforce", {"baseline": "mean"}, "reward_to_go"),
        ("reinforce", {"baseline": "mean", "returns": "whole"}, "whole"),
        ("rloo", {"group_size": 2}, "whole"),
    ],
    ids=name_of,
)
def test_a_baseline_moves_no_expected_update_below_gamma_1(name: str, fields: dict[str, Any], returns: str) -> None:
    without = expected_update("reinforce", {"baseline": "none", "returns": returns, "gamma": 0.5})
    direction, length = cosine(expected_update(name, {**fields, "gamma": 0.5}), without)
    assert direction >= 0.99999
    assert length == pytest.approx(1, rel=2e-3)


def expected_update(name: str, fields: dict[str, Any]) -> dict[str, torch.Tensor]:
    """Compute how the update of an agent moves the model's weights, over every batch that can be drawn."""
    envs = tiny_envs()
    rules = envs.rules
    reference, policy = tiny_policy(rules, seed=0), tiny_policy(rules)
    kind, size = agent_class(name), fields.get("group_size", 1)
    episodes, weights = every_text(rules, policy) if size == 1 else every_group(rules, policy, size)
    assert float(weights.sum()) == pytest.approx(1, abs=1e-5)
    sizes = {field: len(episodes) for field in ("episodes_per_update", "minibatch_size") if hasattr(kind.Config(), field)}
    whiten = {"whiten_advantages": False} if hasattr(kind.Config(), "whiten_advantages") else {}
    config = kind.Config(**{"kl_coef": BETA, "max_grad_norm": 1e9, **sizes, **whiten, **fields})
    agent = kind(policy, envs, config, reference=reference)
    if fields.get("baseline") == "mean":
        agent.memory = {"mean": 0.03, "updates": 1}
    batch = agent.estimate(episodes)
    assert batch.advantages is not None
    # Losses are linear in the advantages, so a batch of everything with advantages times probabilities is an infinite batch.
    batch = dataclasses.replace(batch, advantages=batch.advantages * weights[:, None].float())
    return movement(agent, batch)


SMALL: dict[str, dict[str, Any]] = {
    "trpo": {"fisher_episodes": 8, "layers": 1},
    "dqn": {"kl_coef": 0.0, "replay_size": 32, "minibatch_size": 8},
    "best_of_n": {"n": 4},
}
VARIANTS: list[tuple[str, dict[str, Any]]] = [
    *((name, {}) for name in AGENTS if name not in ("guided", "expert_iteration")),
    ("reinforce", {"baseline": "value", "separate_critic": True}),
    ("actor_critic", {"critic": "q", "entropy_coef": 0.01}),
    ("ppo", {"form": "penalty"}),
    ("ppo", {"advantage": "critic", "separate_critic": True}),
    ("trpo", {"advantage": "critic"}),
]


def made(name: str, fields: dict[str, Any], seed: int = 3, envs: Any = None) -> Learner:
    """A small agent in TextCopy-v0."""
    kind = agent_class(name)
    envs = envs or gymnasium.make_vec("TextCopy-v0", num_envs=16)
    known = {field.name for field in dataclasses.fields(kind.Config)}
    common = {"episodes_per_update": 16, "minibatch_size": 8, "group_size": 4, "learning_rate": 2e-3, "kl_coef": BETA}
    given = {**{field: value for field, value in common.items() if field in known}, **SMALL.get(name, {}), **fields}
    return kind(LanguagePolicy.for_rules(envs.unwrapped.rules), envs, kind.Config(**given), seed=seed)


def weights_of(agent: Learner) -> dict[str, torch.Tensor]:
    return {f"{part}.{name}": value.clone() for part, module in agent.modules.items() for name, value in module.state_dict().items()}


@pytest.mark.parametrize(("name", "fields"), VARIANTS, ids=name_of)
def test_two_runs_are_equal_and_a_saved_one_goes_on_to_the_bit(name: str, fields: dict[str, Any]) -> None:
    straight, again, resumed = made(name, fields), made(name, fields), made(name, fields, seed=99)
    states: list[dict[str, Any]] = []
    rows: list[dict[str, float]] = []

    def after(metrics: dict[str, float], _: Any) -> None:
        rows.append(metrics)
        states.append(copy.deepcopy(straight.state_dict()))

    start = weights_of(straight)
    straight.learn(16 * 4, after)
    again.learn(16 * 4)
    resumed.load_state_dict(states[1])
    resumed.learn(16 * 2)
    end = weights_of(straight)
    assert all(torch.equal(value, end[part]) for part, value in weights_of(again).items())
    assert all(torch.equal(value, end[part]) for part, value in weights_of(resumed).items())
    assert (name == "best_of_n") == all(torch.equal(value, end[part]) for part, value in start.items())
    assert [row["episodes"] for row in rows] == [16, 32, 48, 64]
    assert {"score", "reward", "kl_k1", "kl_k2", "kl_k3", "kl_coef", "entropy", "length", "learning_rate"} <= rows[-1].keys()
    assert all(torch.equal(value, weights) for value, weights in zip(straight.reference.parameters(), start_of(start), strict=True))


def start_of(start: dict[str, torch.Tensor]) -> list[torch.Tensor]:
    """The policy's parameters among the weights at the start."""
    return [value for part, value in start.items() if part.startswith("policy.") and not part.endswith("lm_head.weight")]


def test_every_name_leads_to_its_class_and_options() -> None:
    for name, base in AGENTS.items():
        kind = agent_class(name)
        assert (kind.__name__, kind.Config.__name__) == (base, f"{base}Config")
        assert kind.__doc__
    with pytest.raises(ArgumentError, match=r'There is no agent "reinforc"\. Did you mean "reinforce"\?'):
        agent_class("reinforc")


@pytest.mark.parametrize("name", AGENTS)
def test_refuses_options_of_another_agent(name: str) -> None:
    envs, other = tiny_envs(), agent_class("ppo" if name != "ppo" else "rloo").Config()
    with pytest.raises(ArgumentError, match=f"{AGENTS[name]} needs a {AGENTS[name]}Config, got {type(other).__name__}"):
        agent_class(name)(tiny_policy(envs.rules), envs, other)


@pytest.mark.parametrize("name", [name for name in AGENTS if name != "dqn"])
def test_refuses_actions_that_are_no_tokens(name: str) -> None:
    envs = wrappers.TopKActions(gymnasium.make_vec("TextCopy-v0", num_envs=2), 3)
    with pytest.raises(ArgumentError, match="This reads and writes tokens"):
        agent_class(name)(LanguagePolicy.for_rules(envs.unwrapped.rules), envs)


@pytest.mark.parametrize("name", AGENTS)
def test_refuses_a_policy_without_a_value_head(name: str) -> None:
    envs = tiny_envs()
    policy = tiny_policy(envs.rules)
    policy.value_head = None  # type: ignore[assignment]
    with pytest.raises(ArgumentError, match=f"{AGENTS[name]} needs a policy with a value head"):
        agent_class(name)(policy, envs)


def test_refuses_the_policy_as_its_own_reference() -> None:
    envs = tiny_envs()
    policy = tiny_policy(envs.rules)
    with pytest.raises(ArgumentError, match="The reference is the policy itself, which learns"):
        agent_class("rloo")(policy, envs, reference=policy)
    assert all(parameter.requires_grad for parameter in policy.parameters())


@pytest.mark.parametrize("name", AGENTS)
def test_refuses_to_discount_payments_of_a_potential(name: str) -> None:
    kind = agent_class(name)
    if name in ("grpo", "online_dpo"):
        pytest.skip("refuses any gamma below 1")
    config = kind.Config(gamma=0.9, kl_coef=0.0 if name == "dqn" else BETA)
    envs = gymnasium.make_vec("TextGridWorld-v0", num_envs=2)
    policy = LanguagePolicy.for_rules(rules_of(envs))
    options: dict[str, Any] = {"expert": lambda prompts, completions: [None for _ in prompts]} if name == "guided" else {}
    with pytest.raises(
        ArgumentError, match=r"gamma=0\.9 does not go with a potential.*leave gamma out, or make the envs with potential=None"
    ):
        kind(policy, envs, config, **options)
    kind(policy, gymnasium.make_vec("TextGridWorld-v0", num_envs=2, potential=None), config, **options)


def test_refuses_a_reference_that_rounds_otherwise() -> None:
    envs = tiny_envs()
    policy, reference = tiny_policy(envs.rules), tiny_policy(envs.rules, seed=0)
    reference.precision = "bf16"
    with pytest.raises(ArgumentError, match="The reference's precision is bf16, the policy's fp32"):
        agent_class("rloo")(policy, envs, reference=reference)


@pytest.mark.parametrize("name", [name for name in AGENTS if name != "guided"])
def test_refuses_weights_that_round_their_steps_away(name: str) -> None:
    envs = tiny_envs()
    policy = tiny_policy(envs.rules)
    policy.model.get_input_embeddings().half()  # one of them is enough
    if name == "best_of_n":  # learns nothing
        agent_class(name)(policy, envs)
        return
    with pytest.raises(ArgumentError, match=r"weight model\.transformer\.wte\.weight is torch\.float16.*dtype=torch\.float32, or freeze"):
        agent_class(name)(policy, envs)
    policy.model.requires_grad_(False)
    with pytest.raises(ArgumentError, match="No weight of the model requires a gradient, so nothing can be trained"):
        agent_class(name)(policy, envs)


def test_a_reference_of_coarser_weights_is_refused() -> None:
    """Both called bf16: one by autocast, the other by its weights."""
    envs = tiny_envs()
    one, other = (tiny_policy(rules_of(envs)) for _ in range(2))
    policy = LanguagePolicy(one.model, one.tokenizer, precision="bf16")
    model: Any = other.model
    coarse = LanguagePolicy(model.to(torch.bfloat16), other.tokenizer, precision="bf16")
    for name in AGENTS:
        with pytest.raises(ArgumentError, match=r"The reference's weights are torch\.bfloat16, the policy's torch\.float32|fp32"):
            agent_class(name)(policy, envs, reference=coarse)


def test_frozen_half_precision_weights_may_stand_beside_adapters() -> None:
    envs = gymnasium.make_vec("TextCopy-v0", num_envs=8)
    policy = LanguagePolicy.for_rules(rules_of(envs))
    add_lora(policy, 2)
    next(parameter for parameter in policy.model.parameters() if not parameter.requires_grad).data = torch.zeros(1).bfloat16()
    agent_class("rloo")(policy, envs)


def in_bf16(name: str, **fields: Any) -> Learner:
    """A small agent in TextCopy-v0 whose policy computes in bf16."""
    envs: Any = gymnasium.make_vec("TextCopy-v0", num_envs=16)
    rules = envs.unwrapped.rules
    policy = LanguagePolicy(toy_causal_lm(rules.tokenizer, rules.width), rules.tokenizer, precision="bf16")
    kind = agent_class(name)
    return kind(policy, envs, kind.Config(episodes_per_update=16, **fields))


def test_in_bf16_the_policy_is_asked_again_in_the_way_it_learns() -> None:
    agent = in_bf16("ppo", minibatch_size=16, learning_rate=1e-9)
    batch = agent.collect()
    with torch.no_grad():
        parallel = agent.policy.response_log_probs(batch.tokens, batch.prompt_columns)[0]
    assert torch.equal(batch.log_probs, parallel)
    assert batch.played_log_probs is not None
    gap = (batch.played_log_probs - parallel)[batch.mask].abs()
    assert 0 < float(gap.max()) < 0.1
    metrics = agent.update(batch)
    assert metrics["play_gap"] == pytest.approx(float(gap.mean()))
    assert metrics["approx_kl"] < 1e-12  # the first ratio is 1


def test_what_was_not_drawn_from_the_policy_keeps_its_log_probabilities() -> None:
    greedy = in_bf16("dqn", kl_coef=0.0, minibatch_size=8)
    assert greedy.collect().played_log_probs is None
    agent = in_bf16("rloo", group_size=4)
    batch = dataclasses.replace(agent.collect(), ref_log_probs=None, played_log_probs=None)
    theirs = torch.zeros_like(batch.mask)
    theirs[0, 0] = True
    taken = dataclasses.replace(batch, taken_over=theirs, log_probs=batch.log_probs + batch.mask.float())
    again = agent.refer(taken)
    assert torch.equal(again.log_probs != taken.log_probs, batch.mask & ~theirs)


def test_in_fp32_nothing_is_asked_twice() -> None:
    agent = made("ppo", {})
    batch = agent.collect()
    assert batch.played_log_probs is None
    assert "play_gap" not in agent.update(batch)


@pytest.mark.parametrize(
    ("fields", "shares"),
    [
        ({"linear_decay": False, "warmup_episodes": 64}, [1 / 4, 2 / 4, 3 / 4, 1, 1]),
        ({"warmup_episodes": 64}, [1 / 4, 2 / 4 * 4 / 5, 3 / 4 * 3 / 5, 2 / 5, 1 / 5]),
        ({}, [1, 4 / 5, 3 / 5, 2 / 5, 1 / 5]),
        ({"linear_decay": False}, [1] * 5),
    ],
)
def test_the_learning_rate_rises_and_falls(fields: dict[str, Any], shares: list[float]) -> None:
    agent = made("ppo", fields)
    rates = list[float]()
    agent.learn(80, lambda *_: rates.append(agent.optimiser.param_groups[0]["lr"]))
    assert rates == pytest.approx([share * agent.config.learning_rate for share in shares])


def test_a_separate_critic_shares_nothing_with_the_policy() -> None:
    agent = made("reinforce", {"baseline": "value", "separate_critic": True, "value_coef": 1.0, "kl_coef": 0.0})
    own = {id(parameter) for parameter in agent.policy.parameters()}
    assert not own & {id(parameter) for parameter in agent.critic.parameters()}
    batch = agent.collect()
    silent = dataclasses.replace(batch, advantages=torch.zeros_like(batch.rewards))  # nothing pulls at the policy
    before = weights_of(agent)
    agent.update(silent)
    moved = {part.split(".")[0] for part, value in weights_of(agent).items() if not torch.equal(value, before[part])}
    assert moved == {"critic"}
    assert torch.allclose(agent.refer(dataclasses.replace(batch, ref_log_probs=None)).values[batch.mask], critic_values(agent, batch))


def critic_values(agent: Learner, batch: Any) -> torch.Tensor:
    with torch.no_grad():
        values = agent.critic.response_log_probs(batch.tokens, batch.prompt_columns)[1]
    return values[batch.mask]


def test_a_state_of_another_agent_is_refused() -> None:
    state = made("rloo", {}).state_dict()
    with pytest.raises(LoadError, match="The state lacks critic: it is not PPO's"):
        made("ppo", {"advantage": "critic", "separate_critic": True}).load_state_dict(state)
    for name, fields in (("reinforce", {}), ("ppo", {}), ("ppo", {"form": "penalty"})):
        with pytest.raises(LoadError, match=f"The state is of RLOO with other options than this {AGENTS[name]}'s"):
            made(name, fields).load_state_dict(state)
    clipped = made("ppo", {}).state_dict()
    with pytest.raises(LoadError, match="The state is of PPO with other options than this PPO's"):
        made("ppo", {"form": "penalty"}).load_state_dict(clipped)


def test_a_gradient_that_is_not_finite_stops_every_agent() -> None:
    for name in ("reinforce", "actor_critic", "rloo", "grpo", "trpo"):
        agent = made(name, {})
        batch = agent.collect()
        assert batch.advantages is not None
        before = weights_of(agent)
        with pytest.raises(TrainingError, match="The gradient is not finite after 0 episodes"):
            agent.update(dataclasses.replace(batch, advantages=batch.advantages * torch.nan))
        assert all(torch.equal(value, before[part]) for part, value in weights_of(agent).items())


def test_explained_variance_by_hand() -> None:
    envs = tiny_envs()
    batch = every_text(envs.rules, tiny_policy(envs.rules))[0].select([1, 4])  # two texts of two tokens
    returns = torch.tensor([[1.0, 2.0], [3.0, 4.0]])  # variance 1.25
    values = torch.tensor([[1.0, 1.0], [3.0, 3.0]])  # errors 0 1 0 1: variance .25
    assert batch.mask.all()
    assert explained_variance(dataclasses.replace(batch, returns=returns, values=values)) == pytest.approx(0.8)


def test_the_kl_is_charged_token_by_token() -> None:
    envs = tiny_envs()
    policy = tiny_policy(envs.rules)
    agent = agent_class("rloo")(policy, envs, agent_class("rloo").Config(kl_coef=0.5), reference=tiny_policy(envs.rules, seed=0))
    batch = agent.refer(every_text(envs.rules, policy)[0])
    assert batch.ref_log_probs is not None
    expected = batch.rewards - 0.5 * (batch.log_probs - batch.ref_log_probs)
    assert torch.allclose(agent.shaped_rewards(batch), expected * batch.mask)
    assert float((batch.log_probs - batch.ref_log_probs).abs().max()) > 0.1


def adapted(name: str = "ppo", rank: int = 4, seed: int = 3, **fields: Any) -> Learner:
    """A small agent in TextCopy-v0 whose policy has adapters."""
    envs: Any = gymnasium.make_vec("TextCopy-v0", num_envs=64)
    policy = LanguagePolicy.for_rules(envs.unwrapped.rules)
    add_lora(policy, rank)
    config = agent_class(name).Config(**{"episodes_per_update": 64, "learning_rate": 5e-3, "kl_coef": 0.02, **fields})
    return agent_class(name)(policy, envs, config, seed=seed)


def base_of(policy: LanguagePolicy) -> dict[str, torch.Tensor]:
    """A copy of the weights that stand beside no adapter of their own, by the names they had before."""
    state = policy.model.state_dict().items()
    return {name.replace(".base_layer", ""): value.clone() for name, value in state if ".lora_" not in name}


@pytest.mark.parametrize("critic", [False, True])
def test_adapters_learn_beside_frozen_weights(critic: bool) -> None:
    fields: dict[str, Any] = {"advantage": "critic", "separate_critic": True} if critic else {"group_size": 4}
    agent = adapted(minibatch_size=16, **fields)
    fresh = LanguagePolicy.for_rules(rules_of(agent.envs))
    start = base_of(agent.policy)
    assert all(torch.equal(value, start[name]) for name, value in fresh.model.state_dict().items())
    batch = agent.collect()
    assert divergence(agent.policy, agent.reference, batch).exact.abs().max() < 1e-5
    assert batch.ref_log_probs is not None
    assert torch.allclose(batch.ref_log_probs, batch.log_probs, atol=1e-5)
    rows: list[dict[str, float]] = []
    agent.learn(64 * 16, lambda metrics, _: rows.append(metrics))
    assert rows[0]["kl_k1"] == pytest.approx(0, abs=1e-5)
    assert rows[-1]["kl_k1"] > 0.1
    assert rows[-1]["score"] > rows[0]["score"] + 0.1
    assert all(torch.equal(value, start[name]) for name, value in base_of(agent.policy).items())
    again = agent.refer(dataclasses.replace(batch, ref_log_probs=None)).ref_log_probs
    with torch.no_grad():
        right = fresh.response_log_probs(batch.tokens, batch.prompt_columns)[0]
    assert again is not None
    assert torch.equal(again, right)


def test_an_agent_with_adapters_holds_one_model() -> None:
    agent = adapted(minibatch_size=16, advantage="critic", separate_critic=True)
    size = sum(parameter.numel() for parameter in LanguagePolicy.for_rules(rules_of(agent.envs)).model.parameters())
    adapters = 2 * 4 * (4 * 64 + 2 * 64 + 2 * 5 * 64)  # two blocks of 64→192, 64→64, 64→256 and 256→64
    held = {id(p): p.numel() for module in (agent.policy, agent.reference, agent.critic) for p in module.parameters()}
    assert sum(held.values()) == size + 2 * adapters + 3 * 65  # those of policy and critic, and three value heads
    trained = agent.optimiser.param_groups[0]["params"]
    assert sum(parameter.numel() for parameter in trained) == 2 * (adapters + 65)


@pytest.mark.parametrize("separate_critic", [False, True])
def test_saved_adapters_go_on_to_the_bit_without_the_weights_beside_them(separate_critic: bool, tmp_path: Path) -> None:
    fields: dict[str, Any] = {"minibatch_size": 16, "advantage": "critic", "separate_critic": separate_critic}
    straight, resumed = adapted(**fields), adapted(seed=99, **fields)

    def after(metrics: dict[str, float], _: Any) -> None:
        if metrics["episodes"] == 128:
            save_state(tmp_path / "state", straight.state_dict())

    straight.learn(64 * 4, after)
    state = load_state(tmp_path / "state")
    trained = {name for name, parameter in straight.policy.named_parameters() if parameter.requires_grad}
    assert set(state["policy"]) == trained
    resumed.load_state_dict(state)
    resumed.learn(64 * 2)
    end = weights_of(straight)
    assert all(torch.equal(value, end[part]) for part, value in weights_of(resumed).items())


def test_a_state_of_another_rank_is_refused() -> None:
    with pytest.raises(LoadError, match=r"lora_A\.default\.weight has the shape \(4, 64\) there and \(2, 64\) in this policy"):
        adapted(rank=2, minibatch_size=16).load_state_dict(adapted(minibatch_size=16).state_dict())


def test_trpo_moves_adapters_of_the_last_layers_alone() -> None:
    agent = adapted("trpo", layers=1, fisher_episodes=16)
    before = weights_of(agent)
    agent.learn(64 * 2)
    moved = {name for name, value in weights_of(agent).items() if not torch.equal(value, before[name])}
    assert moved
    assert all(".h.1." in name and ".lora_" in name for name in moved)


def test_a_callback_ends_the_learning_by_true() -> None:
    envs = tiny_envs()
    config = agent_class("reinforce").Config(episodes_per_update=4)
    agent = agent_class("reinforce")(tiny_policy(envs.rules), envs, config)
    agent.learn(40, lambda metrics, batch: metrics["episodes"] >= 8)
    assert agent.episodes == 8
    agent.learn(8, lambda metrics, batch: None)
    assert agent.episodes == 16
