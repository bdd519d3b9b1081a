"""Guided learning: the weight of the expert's tokens and the returns of Q by hand, and that an expert helps."""

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch

from textenv.agents.guided import Guided, GuidedConfig, Supervised, expected_sarsa, intervention_weight
from textenv.cli import main
from textenv.envs.exact import ExactMDP
from textenv.errors import ArgumentError
from textenv.models.loading import toy_causal_lm
from textenv.models.policy import LanguagePolicy
from textenv.rollouts.collect import collect

BETA = 0.1
A, B, C, MARK, EOS = range(5)  # the tokens of TextCopy-v0
SMALL = GuidedConfig(learning_rate=3e-3, kl_coef=BETA, intervention_rate=0.5)


def copies(prompts: list[str], completions: list[str]) -> list[str | None]:
    """Know the answer, and leave alone what has gone wrong."""
    words = [prompt[:-1] for prompt in prompts]
    return [word[len(text) :] if word.startswith(text) else None for word, text in zip(words, completions, strict=True)]


def silent(prompts: list[str]) -> list[None]:
    return [None] * len(prompts)


def make_envs(num_envs: int = 64, **fields: Any) -> Any:
    return gymnasium.make_vec("TextCopy-v0", num_envs=num_envs, **fields)


def make_agent(config: GuidedConfig = SMALL, seed: int = 3, envs: Any = None, expert: Any = copies, **options: Any) -> Guided:
    envs = make_envs() if envs is None else envs
    return Guided(LanguagePolicy.for_rules(envs.unwrapped.rules), envs, config, expert=expert, seed=seed, **options)


def test_only_what_beats_the_policy_weighs_anything() -> None:
    q, expected = torch.tensor([1.0, 0.5, 0.2]), torch.tensor([0.0, 0.5, 0.9])
    assert intervention_weight(q, expected, 1.0).tolist() == pytest.approx([math.e - 1, 0, 0])
    assert intervention_weight(q, expected, 0.25).tolist() == pytest.approx([(math.e - 1) / 4, 0, 0])


def test_returns_are_cut_where_the_expert_takes_over() -> None:
    rewards = torch.tensor([[1.0, 2.0, 4.0, 9.0]])
    expected = torch.tensor([[0.5, 1.0, 3.0, 9.0]])
    mask = torch.tensor([[True, True, True, False]])
    nobody = torch.zeros_like(mask)
    # G_2 = 4; G_1 = 2 + .5 (3 + .8 (4 - 3)) = 3.9; G_0 = 1 + .5 (1 + .8 (3.9 - 1)) = 2.66
    assert expected_sarsa(rewards, expected, mask, nobody, 0.5, 0.8)[0].tolist() == pytest.approx([2.66, 3.9, 4, 0])
    # the expert's last token: G_1 = 2 + .5 x 3 = 3.5; G_0 = 1 + .5 (1 + .8 (3.5 - 1)) = 2.5
    last = torch.tensor([[False, False, True, False]])
    assert expected_sarsa(rewards, expected, mask, last, 0.5, 0.8)[0].tolist() == pytest.approx([2.5, 3.5, 4, 0])
    # the expert's first token: it may be credited with what follows, and nothing stands before it
    start = torch.tensor([[True, False, False, False]])
    assert expected_sarsa(rewards, expected, mask, start, 0.5, 0.8)[0].tolist() == pytest.approx([2.66, 3.9, 4, 0])
    # the expert's last two, a run: G_1 = 3.9 as without the expert; G_0 = 1 + .5 x 1
    run = torch.tensor([[False, True, True, False]])
    assert expected_sarsa(rewards, expected, mask, run, 0.5, 0.8)[0].tolist() == pytest.approx([1.5, 3.9, 4, 0])
    # λ = 1 and nobody: the return
    assert expected_sarsa(rewards, expected, mask, nobody, 1.0, 1.0)[0].tolist() == pytest.approx([7, 6, 4, 0])


def test_tokens_weigh_their_advantage_or_omega() -> None:
    config = replace(SMALL, whiten_advantages=False, lam=0.7, expert_decay=0.99)
    agent = make_agent(config)
    torch.nn.init.normal_(agent.q_head.head.weight, std=0.05, generator=torch.Generator().manual_seed(1))
    agent.episodes = 10
    batch = agent.collect()
    theirs, mask = batch.taken_over, batch.mask
    assert theirs is not None
    assert batch.advantages is not None
    assert batch.returns is not None
    assert 0.2 < float(theirs.sum() / mask.sum()) < 0.8
    log_probs, _ = agent.policy.response_log_probs(batch.tokens, batch.prompt_columns)
    assert torch.allclose(batch.log_probs, log_probs, atol=1e-5)  # of the expert's tokens too
    _, expected = agent.q_head.evaluate(batch)
    assert torch.equal(batch.values, expected)
    omega = 0.99**10 * (torch.clamp((batch.returns - expected).exp(), min=1) - 1)
    assert torch.allclose(batch.advantages[theirs], omega[theirs], atol=1e-6)
    own = mask & ~theirs
    assert torch.allclose(batch.advantages[own], (batch.returns - expected)[own], atol=1e-6)
    terms = agent.loss(batch)
    taken = agent.q_head.forward_taken(batch).q
    for where, name in ((own, "policy_loss"), (theirs, "intervention_loss")):
        assert torch.allclose(terms[name], -(batch.advantages * log_probs * where), atol=1e-5)
    error = 0.5 * (taken - batch.returns).square() * mask
    whole = terms["policy_loss"] + terms["intervention_loss"] + error
    assert torch.allclose(terms["loss"] * mask, whole, atol=1e-5)


def test_policy_term_moves_along_the_enumerated_gradient() -> None:
    """Of its own tokens, whatever Q says, with λ = 1 and an expert that is asked but says nothing."""
    envs = make_envs(1152)
    rules = envs.unwrapped.rules
    reference = LanguagePolicy.for_rules(rules)
    policy = LanguagePolicy(toy_causal_lm(rules.tokenizer, rules.width, seed=9), rules.tokenizer)
    exact = ExactMDP(rules, reference).gradient(policy, BETA)
    config = replace(SMALL, episodes_per_update=36 * 128, lam=1.0, value_coef=0.0, whiten_advantages=False, max_grad_norm=1e9)
    agent = Guided(policy, envs, config, expert=silent, reference=reference)
    torch.nn.init.normal_(agent.q_head.head.weight, std=0.02, generator=torch.Generator().manual_seed(1))
    before = {name: parameter.detach().clone() for name, parameter in policy.model.named_parameters()}
    agent.optimiser = torch.optim.SGD(policy.parameters(), lr=1e-3)  # type: ignore[assignment]  # a step along the plain gradient
    agent.update(agent.collect())
    moved = torch.cat([(parameter.detach() - before[name]).flatten() for name, parameter in policy.model.named_parameters()])
    wanted = torch.cat([exact[name].flatten() for name in before])
    assert float(moved @ wanted / (moved.norm() * wanted.norm())) >= 0.97


def test_the_expert_writes_in_the_episodes_that_it_watches() -> None:
    envs = make_envs(32)
    policy = LanguagePolicy.for_rules(envs.unwrapped.rules)
    played = collect(Supervised(policy, copies, envs.unwrapped, 1.0), envs, 72, prompt_index=np.arange(72) % 36)
    assert torch.equal(played.scores, torch.ones(72, dtype=torch.float64))
    assert played.taken_over is not None
    assert torch.equal(played.taken_over, played.mask)
    assert not played.log_probs.any()
    generator = torch.Generator().manual_seed(0)
    some = collect(Supervised(policy, copies, envs.unwrapped, 0.25), envs, 720, prompt_index=np.arange(720) % 36, generator=generator)
    assert some.taken_over is not None
    watched = some.taken_over[:, 0]
    assert 0.2 < float(watched.float().mean()) < 0.3
    assert torch.equal(some.taken_over.any(1), watched)
    assert (some.scores[watched] == 1).all()


@pytest.mark.parametrize("mode", ["SAME_STEP", "NEXT_STEP"])
def test_an_expert_takes_over_in_the_middle_and_never_in_a_finished_text(mode: str) -> None:
    seen: list[str] = []

    def second(completions: list[str]) -> list[str | None]:
        seen.extend(completions)
        return ["c" if len(text) == 1 else None for text in completions]

    envs = make_envs(8, autoreset_mode=mode, stop="cc")
    policy = LanguagePolicy.for_rules(envs.unwrapped.rules)
    played = collect(Supervised(policy, second, envs.unwrapped, 1.0), envs, 40, seed=2)
    assert played.taken_over is not None
    longer = played.lengths > 1
    assert 20 < int(longer.sum()) < 40
    assert torch.equal(played.taken_over[:, 1], longer)
    assert not played.taken_over[:, [0, 2, 3]].any()
    assert (played.tokens[longer, played.prompt_columns + 1] == C).all()
    assert all(len(text) < 4 and "cc" not in text for text in seen)
    assert len(seen) == int(played.lengths.sum())


def test_what_is_forbidden_is_left_to_the_policy() -> None:
    envs = make_envs(8, min_new_tokens=2)
    policy = LanguagePolicy.for_rules(envs.unwrapped.rules)
    played = collect(Supervised(policy, lambda prompts: [""] * len(prompts), envs.unwrapped, 1.0), envs, 16, seed=2)
    assert played.taken_over is not None
    assert (played.lengths == 3).all()
    assert played.taken_over.int().tolist() == [[0, 0, 1, 0]] * 16


@pytest.mark.parametrize(("seed", "episodes"), [(0, 1024), *(pytest.param(seed, 4096, marks=pytest.mark.slow) for seed in range(3))])
def test_an_expert_helps(seed: int, episodes: int) -> None:
    shares = []
    for rate in (0.0, 0.25):
        envs = make_envs()
        agent = make_agent(replace(SMALL, intervention_rate=rate), seed, envs)
        mdp = ExactMDP(envs.unwrapped.rules, agent.reference)
        agent.learn(episodes)
        shares.append(mdp.normalised_return(agent.policy, BETA))
    assert shares[1] > shares[0]


def test_two_runs_are_equal_and_a_saved_one_goes_on_to_the_bit() -> None:
    config = replace(SMALL, linear_decay=False)
    straight, again, half, resumed = (make_agent(config, seed, make_envs(32)) for seed in (3, 3, 3, 99))
    straight.learn(64 * 3)
    again.learn(64 * 3)
    half.learn(64)
    resumed.load_state_dict(half.state_dict())
    resumed.learn(64 * 2)
    expected = straight.policy.state_dict() | straight.q_head.state_dict()
    for other in (again, resumed):
        found = other.policy.state_dict() | other.q_head.state_dict()
        assert all(torch.equal(value, expected[name]) for name, value in found.items())


def test_metrics_tell_the_policy_apart_from_the_expert() -> None:
    agent = make_agent(replace(SMALL, intervention_rate=1.0))
    told = agent.update(agent.collect())
    assert told["score"] == told["taken_over"] == 1
    assert told["kl_k1"] == told["policy_loss"] == 0
    alone = make_agent(replace(SMALL, intervention_rate=0.0))
    told = alone.update(alone.collect())
    assert told["taken_over"] == told["intervention_loss"] == 0
    assert 0.5 < told["entropy"] < math.log(5) + 0.1


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"intervention_rate": 1.5}, r"intervention_rate must be between 0 and 1, got 1\.5\."),
        ({"expert_decay": -0.1}, r"expert_decay must be between 0 and 1, got -0\.1\."),
        ({"expert_decay": float("nan")}, r"expert_decay must be between 0 and 1, got nan\."),
        ({"lam": 2.0}, r"lam must be between 0 and 1, got 2\.0\."),
        ({"value_coef": -1.0}, r"value_coef must be at least 0, got -1\.0\."),
    ],
)
def test_bad_numbers_are_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        GuidedConfig(**fields)


def test_no_expert_and_two_are_refused() -> None:
    with pytest.raises(ArgumentError, match=r"Guided needs an expert, got none; give --expert module:function"):
        make_agent(expert=None)
    with pytest.raises(ArgumentError, match="got two, in the config and beside it"):
        make_agent(replace(SMALL, expert="terminal"))
    with pytest.raises(ArgumentError, match="nobody can type"):
        make_agent(replace(SMALL, expert="terminal"), expert=None)


@pytest.mark.parametrize("agent", ["guided", "expert_iteration"])
def test_the_command_line_trains_and_goes_on(agent: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "answers.jsonl").write_text('{"prompt": "ab>", "completion": "ab"}\n{"prompt": "ccc>", "completion": "ccc"}\n')
    (tmp_path / "an_expert_of_mine.py").write_text("def expert(prompts):\n    return [prompt[0] for prompt in prompts]\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    options = ["--demonstrations", "answers.jsonl"] if agent == "expert_iteration" else ["--expert", "an_expert_of_mine:expert"]
    options += "--episodes 32 --episodes-per-update 16 --eval-prompts 1 --num-envs 16 --out run".split()
    main(["train", "TextCopy-v0", "--agent", agent, *options])
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert (summary["agent"], summary["episodes"]) == (agent, 32)
    (tmp_path / "run" / "summary.json").unlink()  # as if it had been killed before its end
    main(["train", "TextCopy-v0", "--agent", agent, *options, "--resume"])
    again = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert again["table"] == summary["table"]
