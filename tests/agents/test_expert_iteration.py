"""Expert iteration: what it imitates, on numbers worked out by hand, and that demonstrations help."""

import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import gymnasium
import pytest
import torch

from textenv import wrappers
from textenv.agents.expert_iteration import ExpertIteration, ExpertIterationConfig
from textenv.envs.exact import ExactMDP
from textenv.errors import ArgumentError
from textenv.models.loading import toy_causal_lm
from textenv.models.policy import LanguagePolicy

BETA = 0.1
SMALL = ExpertIterationConfig(episodes_per_update=64, learning_rate=3e-3, kl_coef=BETA, win_score=0.5)


def make_envs(num_envs: int = 64, **fields: Any) -> Any:
    return gymnasium.make_vec("TextCopy-v0", num_envs=num_envs, **fields)


def make_agent(config: ExpertIterationConfig = SMALL, seed: int = 3, envs: Any = None, **options: Any) -> ExpertIteration:
    envs = make_envs() if envs is None else envs
    return ExpertIteration(LanguagePolicy.for_rules(envs.unwrapped.rules), envs, config, seed=seed, **options)


def answers(envs: Any) -> list[dict[str, str]]:
    return [{"prompt": prompt, "completion": prompt[:-1]} for prompt in envs.unwrapped.prompts]


def test_rl_phase_moves_along_the_enumerated_gradient() -> None:
    envs = make_envs(1152)
    rules = envs.unwrapped.rules
    reference = LanguagePolicy.for_rules(rules)
    policy = LanguagePolicy(toy_causal_lm(rules.tokenizer, rules.width, seed=9), rules.tokenizer)
    exact = ExactMDP(rules, reference).gradient(policy, BETA)
    n = 36 * 32 * 4
    config = replace(SMALL, episodes_per_update=n, group_size=32, bc_coef=0.0, whiten_advantages=False, max_grad_norm=1e9)
    agent = ExpertIteration(policy, envs, config, reference=reference)
    before = {name: parameter.detach().clone() for name, parameter in policy.model.named_parameters()}
    agent.optimiser = torch.optim.SGD(policy.parameters(), lr=1e-3)  # type: ignore[assignment]  # a step along the plain gradient
    agent.update(agent.collect())
    moved = torch.cat([(parameter.detach() - before[name]).flatten() for name, parameter in policy.model.named_parameters()])
    wanted = torch.cat([exact[name].flatten() for name in before])
    assert float(moved @ wanted / (moved.norm() * wanted.norm())) >= 0.98


def test_bc_phase_lowers_the_mean_of_minus_log_pi() -> None:
    """The step is the gradient of β times the mean over the tokens of D and of the wins, counted by hand."""
    envs = make_envs()
    demonstrations = [{"prompt": "ab>", "completion": "ab"}, {"prompt": "cc>", "completion": ""}]  # 3 tokens and 1
    agent = make_agent(replace(SMALL, bc_coef=0.5, rl=False, bc_steps=1, bc_minibatch_size=512, max_grad_norm=1e9), envs=envs)
    other = make_agent(agent.config, envs=envs, demonstrations=demonstrations)
    batch = other.collect()
    wins = batch.scores >= 0.5
    assert 0 < int(wins.sum()) < 20
    for learner, rows in ((agent, 0), (other, 2)):
        learner.optimiser = torch.optim.SGD(learner.policy.parameters(), lr=0.1)  # type: ignore[assignment]
        before = {name: value.clone() for name, value in learner.policy.model.state_dict().items()}
        twin = copy.deepcopy(learner.policy)
        columns = batch.prompt_columns
        whole = torch.cat([batch.tokens[wins], *([other.demonstrations.tokens] if rows and other.demonstrations else [])])
        log_probs, _ = twin.response_log_probs(whole, columns)
        mean = -log_probs.sum() / (whole[:, columns:] >= 0).sum()
        names = [name for name, _ in twin.model.named_parameters()]
        gradients = torch.autograd.grad(0.5 * mean, list(twin.model.parameters()))
        told = learner.update(batch)
        assert told["bc_loss"] == pytest.approx(mean.item(), rel=1e-5)
        assert told["wins"] == pytest.approx(wins.float().mean().item())
        assert told["optimiser_steps"] == 1
        after = learner.policy.model.state_dict()
        for name, gradient in zip(names, gradients, strict=True):
            assert torch.allclose(after[name], before[name] - 0.1 * gradient, atol=1e-6), name


def test_without_anything_to_imitate_only_the_rl_phase_moves() -> None:
    agent, plain = make_agent(replace(SMALL, win_score=2.0)), make_agent(replace(SMALL, bc_coef=0.0))
    told, again = agent.update(agent.collect()), plain.update(plain.collect())
    assert told["wins"] == 0
    assert told["bc_loss"] != told["bc_loss"]  # there is none
    assert (told["optimiser_steps"], again["optimiser_steps"]) == (1, 1)
    expected = plain.policy.state_dict()
    assert all(torch.equal(value, expected[name]) for name, value in agent.policy.state_dict().items())


@pytest.mark.parametrize(("seed", "episodes"), [(0, 1024), *(pytest.param(seed, 4096, marks=pytest.mark.slow) for seed in range(3))])
def test_demonstrations_help(seed: int, episodes: int) -> None:
    shares = []
    for given in (False, True):
        envs = make_envs(128)
        demonstrations = answers(envs) if given else None
        config = ExpertIterationConfig(learning_rate=3e-3, kl_coef=BETA, bc_coef=0.1 if given else 0.0)
        agent = make_agent(config, seed, envs, demonstrations=demonstrations)
        mdp = ExactMDP(envs.unwrapped.rules, agent.reference)
        agent.learn(episodes)
        shares.append(mdp.normalised_return(agent.policy, BETA))
    assert shares[1] > shares[0] + 0.1


def test_classic_expert_iteration_learns_too() -> None:
    envs = make_envs(128)
    agent = make_agent(replace(SMALL, rl=False, bc_coef=1.0, win_score=0.6, episodes_per_update=128), 0, envs)
    scores: list[float] = []
    agent.learn(2048, lambda told, _: scores.append(told["score"]))
    assert sum(scores[-2:]) / 2 > 2.5 * sum(scores[:2]) / 2


def test_two_runs_are_equal_and_a_saved_one_goes_on_to_the_bit() -> None:
    config = replace(SMALL, bc_minibatch_size=16, linear_decay=False)

    def fresh(seed: int) -> ExpertIteration:
        envs = make_envs(32)
        return make_agent(config, seed, envs, demonstrations=answers(envs))

    straight, again, half, resumed = fresh(3), fresh(3), fresh(3), fresh(99)
    straight.learn(64 * 3)
    again.learn(64 * 3)
    half.learn(64)
    resumed.load_state_dict(half.state_dict())
    resumed.learn(64 * 2)
    expected = straight.policy.state_dict()
    for other in (again, resumed):
        assert all(torch.equal(value, expected[name]) for name, value in other.policy.state_dict().items())


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"bc_coef": -0.1}, r"bc_coef must be at least 0, got -0\.1\."),
        ({"bc_coef": float("nan")}, r"bc_coef must be at least 0, got nan\."),
        ({"win_score": float("nan")}, r"win_score must be a finite number, got nan\."),
        ({"bc_steps": 0}, r"bc_steps must be positive, got 0\."),
        ({"bc_minibatch_size": 0}, r"bc_minibatch_size must be positive, got 0\."),
        ({"group_size": 3}, r"group_size=3 must be at least 2 and divide episodes_per_update=128\."),
        ({"rl": False, "bc_coef": 0.0}, r"Without the RL phase and with bc_coef=0 nothing is learnt"),
    ],
)
def test_bad_numbers_are_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        ExpertIterationConfig(**fields)


def test_demonstrations_that_cannot_be_used_are_refused() -> None:
    envs = make_envs(4)
    with pytest.raises(ArgumentError, match=r"demonstrations: there is no file nowhere\.csv\."):
        make_agent(replace(SMALL, demonstrations=Path("nowhere.csv")), envs=envs)
    with pytest.raises(ArgumentError, match="demonstrations are given twice"):
        make_agent(replace(SMALL, demonstrations=Path("nowhere.csv")), envs=envs, demonstrations=answers(envs))
    with pytest.raises(ArgumentError, match="cannot be used where ActionMask forbids tokens"):
        make_agent(envs=wrappers.ActionMask(envs, ban=["c"]), demonstrations=answers(envs))
    agent = make_agent(envs=envs)
    strangers = replace(agent.collect().select([0, 9, 17]), advantages=None)
    with pytest.raises(ArgumentError, match=r"groups of 8 episodes of the same prompt"):
        agent.update(strangers)
