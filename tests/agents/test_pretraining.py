"""Pretraining texts beside rewards: their order, their gradient, and PPO-ptx as the sum of two gradients."""

import copy
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import gymnasium
import pytest
import torch

from textenv.agents.ppo import PPO, PPOConfig
from textenv.agents.pretraining import Pretraining
from textenv.checkpoint import load_state, save_state
from textenv.cli import main
from textenv.errors import ArgumentError
from textenv.models.policy import LanguagePolicy
from textenv.reports.loading import load_run

TEXTS = ["abc", "a", "bcab>", "cc", "abcabcabcabc", "b>b", "ca", ">>>"]


def make_envs() -> Any:
    return gymnasium.make_vec("TextCopy-v0", num_envs=32)


def make_policy() -> LanguagePolicy:
    return LanguagePolicy.for_rules(make_envs().unwrapped.rules)


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    file = tmp_path / "corpus.txt"
    file.write_text("\n".join(TEXTS))
    return file


def make_agent(corpus: Path | None, seed: int = 3, **changes: Any) -> PPO:
    config = PPOConfig(episodes_per_update=64, minibatch_size=32, learning_rate=2e-3, kl_coef=0.1, linear_decay=False)
    ptx: dict[str, Any] = {} if corpus is None else {"ptx_coef": 0.5, "ptx_corpus": corpus, "ptx_batch_size": 2}
    return PPO(make_policy(), make_envs(), replace(config, **ptx, **changes), seed=seed)


def test_every_row_comes_once_a_pass() -> None:
    pretraining = Pretraining(make_policy(), TEXTS, 2)
    n = len(pretraining.packed.tokens)
    assert n == 7  # so that of three steps of two one row is left out
    passes = [[row for batch in range(3) for row in pretraining.rows(0, 3 * number + batch).tolist()] for number in range(2)]
    assert len(set(passes[0])) == len(set(passes[1])) == 6
    assert passes[0] != passes[1]
    assert torch.equal(pretraining.rows(0, 4), pretraining.rows(0, 4))
    assert passes[0] != [row for batch in range(3) for row in pretraining.rows(1, batch).tolist()]
    few = Pretraining(make_policy(), TEXTS[:2], 100)
    assert few.rows(0, 7).tolist() == [0]


def test_the_gradient_is_that_of_the_mean_over_tokens() -> None:
    policy = make_policy()
    nats = []
    for text in TEXTS[:4]:
        ids = [4, *policy.tokenizer(text)["input_ids"], 4]
        log_probs = policy.model(input_ids=torch.tensor([ids])).logits[0].log_softmax(-1)
        nats.append(-log_probs[torch.arange(len(ids) - 1), ids[1:]])
    mean = torch.cat(nats).mean()
    expected = torch.autograd.grad(0.5 * mean, list(policy.model.parameters()))
    pretraining = Pretraining(policy, TEXTS[:4], 99)
    assert pretraining.add_gradient(pretraining.rows(0, 0), 0.5) == pytest.approx(mean.item(), rel=1e-5)
    for parameter, wanted in zip(policy.model.parameters(), expected, strict=True):
        assert parameter.grad is not None
        assert torch.allclose(parameter.grad, wanted, atol=1e-6)


def test_a_response_that_the_environment_cut_has_no_end(tmp_path: Path) -> None:
    """TextCopy ends a text after four tokens."""
    rows = [{"prompt": "ab>", "response": response} for response in ("a", "abca")]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    pretraining = make_agent(tmp_path / "rows.jsonl").pretraining
    assert pretraining is not None
    written = [row[owner >= 0].tolist() for row, owner in zip(pretraining.packed.tokens, pretraining.packed.owner, strict=True)]
    assert sorted(written) == [[0, 1, 2, 0], [0, 4]]


def movement(agent: PPO, episodes: Any) -> torch.Tensor:
    """What one step of plain gradient descent on all of an update moves."""
    before = [parameter.detach().clone() for parameter in agent.policy.model.parameters()]
    agent.optimiser = torch.optim.SGD(agent.policy.parameters(), lr=1.0)  # type: ignore[assignment]
    agent.update(episodes)
    return torch.cat([(p.detach() - b).flatten() for p, b in zip(agent.policy.model.parameters(), before, strict=True)])


def test_a_step_is_along_the_sum_of_both_gradients(corpus: Path) -> None:
    whole: dict[str, Any] = {"minibatch_size": 64, "max_grad_norm": 1e9}
    mixed, plain = make_agent(corpus, **whole), make_agent(None, **whole)
    episodes = plain.collect()
    pretraining = Pretraining(plain.policy, corpus, 2)
    pretraining.add_gradient(pretraining.rows(3, 0), 0.5)
    text = torch.cat([parameter.grad.flatten() for parameter in plain.policy.model.parameters() if parameter.grad is not None])
    reward = movement(plain, episodes)
    assert 0.1 < float(text.norm() / reward.norm()) < 10
    assert torch.allclose(movement(mixed, episodes), reward - text, atol=1e-6)


def test_ptx_keeps_the_text_in_mind(corpus: Path) -> None:
    told: dict[bool, list[float]] = {}
    for mixed in (True, False):
        agent = make_agent(corpus if mixed else None)
        agent.learn(64 * 8)
        pretraining = Pretraining(agent.policy, corpus, 99)
        told[mixed] = [pretraining.add_gradient(pretraining.rows(0, 0), 0.0)]
    assert told[True][0] < told[False][0] - 0.5


def test_it_goes_on_to_the_bit(corpus: Path, tmp_path: Path) -> None:
    straight, halves, resumed = make_agent(corpus), make_agent(corpus), make_agent(corpus, seed=99)
    rows: list[dict[str, float]] = []
    straight.learn(64 * 4, lambda row, _: rows.append(row))
    halves.learn(64 * 2)
    save_state(tmp_path / "state", halves.state_dict())
    resumed.load_state_dict(load_state(tmp_path / "state"))
    again: list[dict[str, float]] = []
    resumed.learn(64 * 2, lambda row, _: again.append(row))
    assert [row["ptx_loss"] for row in rows[2:]] == [row["ptx_loss"] for row in again]
    expected = straight.policy.state_dict()
    assert all(torch.equal(value, expected[name]) for name, value in resumed.policy.state_dict().items())
    assert straight.memory == {"ptx_seed": 3, "ptx_batches": 8}


def test_without_it_nothing_is_changed(corpus: Path) -> None:
    plain = make_agent(None)
    told = plain.update(plain.collect())
    assert "ptx_loss" not in told
    assert plain.state_dict()["memory"] == {}
    mixed = make_agent(corpus)
    mixed.pretraining = None
    mixed.update(mixed.collect())
    expected = plain.policy.state_dict()
    assert all(torch.equal(value, expected[name]) for name, value in mixed.policy.state_dict().items())


def test_on_the_command_line(corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = tmp_path / "run"
    common = ["train", "TextCopy-v0", "--episodes", "32", "--episodes-per-update", "16", "--minibatch-size", "16", "--eval-prompts", "2"]
    main([*common, "--ptx-coef", "0.2", "--ptx-corpus", str(corpus), "--out", str(run)])
    assert load_run(run).metrics["ptx_loss"].iloc[0] > 1
    assert json.loads((run / "config.json").read_text())["algorithm"]["ptx_corpus"] == str(corpus)
    (tmp_path / "rows.jsonl").write_text('{"prompt": "a"}\n')
    (tmp_path / "empty.txt").write_text("\n")
    together = "--ptx-coef and --ptx-corpus, the weight of pretraining text and the text, go together; give both or neither."
    for options, message in (
        (["--ptx-coef", "0.2"], together),
        (["--ptx-corpus", str(corpus)], together),
        (["--ptx-coef", "-1", "--ptx-corpus", str(corpus)], "--ptx-coef must be at least 0, got -1.0."),
        (
            ["--ptx-coef", "1", "--ptx-corpus", str(tmp_path / "rows.jsonl")],
            '--ptx-corpus needs the columns "prompt" and "response", or "text", but',
        ),
        (["--ptx-coef", "1", "--ptx-corpus", str(tmp_path / "empty.txt")], "--ptx-corpus is empty; give at least one text."),
        (["--ptx-coef", "1", "--ptx-corpus", "nowhere.txt"], "--ptx-corpus: there is no file nowhere.txt."),
    ):
        capsys.readouterr()
        with pytest.raises(SystemExit) as caught:
            main([*common, *options, "--out", str(tmp_path / "other")])
        assert caught.value.code == 2
        assert capsys.readouterr().err.startswith(f"textenv: {message}")
        assert not (tmp_path / "other").exists()


def test_a_state_with_texts_is_not_one_without(corpus: Path) -> None:
    mixed, plain = make_agent(corpus), make_agent(None)
    state = copy.deepcopy(mixed.state_dict())
    with pytest.raises(OSError, match="The state is of PPO with other options than this PPO's"):
        plain.load_state_dict(state)
    with pytest.raises(ArgumentError, match="ptx_batch_size must be positive, got 0"):
        PPOConfig(ptx_coef=1.0, ptx_corpus=corpus, ptx_batch_size=0)
