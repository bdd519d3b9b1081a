"""A whole run: it repeats itself, and what it reports is what it did."""

import io
import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from rich.console import Console

from textenv.agents.ppo import PPOConfig
from textenv.checkpoint import load_state
from textenv.errors import ArgumentError, LoadError
from textenv.models.loading import toy_causal_lm, toy_tokenizer
from textenv.models.policy import LanguagePolicy
from textenv.training import TrainConfig, train

PPO = PPOConfig(episodes_per_update=16, group_size=4, minibatch_size=8, learning_rate=3e-3, kl_coef=0.05)
TIMES = ["seconds", "tokens_per_second"]


def config(out: Path | None, **fields: Any) -> TrainConfig:
    return TrainConfig(**{"env": "TextCopy-v0", "episodes": 48, "num_envs": 16, "eval_prompts": 4, "ppo": PPO, "out": out, **fields})


def quiet() -> Console:
    return Console(file=io.StringIO(), width=200)


def metrics(run: Path) -> pd.DataFrame:
    return pd.read_csv(run / "metrics.csv").drop(columns=TIMES)


def test_two_runs_of_one_seed_are_equal(tmp_path: Path) -> None:
    summaries = []
    for name, seed, noise in (("a", 0, 0), ("b", 0, 99), ("c", 1, 0)):
        torch.manual_seed(noise)  # the global generator has no say
        summaries.append(train(config(tmp_path / name, seed=seed), quiet()))
    a, b, c = (metrics(tmp_path / name) for name in "abc")
    assert len(a) == 3
    pd.testing.assert_frame_equal(a, b, check_exact=True)
    assert not a.equals(c)
    for part in ("part-00001.parquet", "part-00003.parquet"):
        one, two = (pd.read_parquet(tmp_path / name / "episodes" / part) for name in "ab")
        pd.testing.assert_frame_equal(one, two, check_exact=True)
    ours = [{name: value for name, value in summary.items() if name != "train_seconds"} for summary in summaries]
    assert json.dumps(ours[0]) == json.dumps(ours[1]) != json.dumps(ours[2])  # as text, in which NaN equals NaN


def test_the_summary_is_of_this_run(tmp_path: Path) -> None:
    console = quiet()
    summary = train(config(tmp_path / "run", seed=2), console)
    assert (summary["env"], summary["agent"], summary["model"], summary["reward"]) == ("TextCopy-v0", "ppo", "toy", "copied_share")
    assert (summary["seed"], summary["episodes"]) == (2, 48)
    episodes = pd.concat(pd.read_parquet(part) for part in sorted((tmp_path / "run" / "episodes").iterdir()))
    assert summary["tokens"] == episodes["length"].sum()
    rows = metrics(tmp_path / "run")
    assert rows["score"].tolist() == pytest.approx(episodes.groupby("update")["score"].mean().tolist())
    assert rows["kl_k1"][0] == pytest.approx(0, abs=1e-5)
    assert rows["kl_k1"][2] > 0.01
    assert rows["learning_rate"].tolist() == pytest.approx([3e-3, 2e-3, 1e-3])
    table = summary["table"]
    assert list(table) == ["before", "after", "best of 16", "exp(score/0.05)"]
    assert summary["score_before"] == table["before"]["score"] < table["best of 16"]["score"]
    assert table["before"]["kl_exact"] == 0
    assert summary["kl_exact"] == table["after"]["kl_exact"] > 0.01
    assert summary["judge_before"] is None
    shorter = train(config(tmp_path / "shorter", seed=2, episodes=16), quiet())["table"]
    for name in ("before", "best of 16", "exp(score/0.05)"):  # which training does not move
        assert json.dumps(shorter[name]) == json.dumps(table[name])
    assert isinstance(console.file, io.StringIO)
    shown = console.file.getvalue()
    assert "best of 16" in shown
    assert f"{summary['score_after']:.3f}" in (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    assert f"Trained on 48 episodes, {summary['tokens']} tokens" in shown


def test_more_is_learnt_than_nothing(tmp_path: Path) -> None:
    ppo = PPOConfig(episodes_per_update=128, minibatch_size=64, learning_rate=3e-3, kl_coef=0.02)
    summary = train(config(tmp_path / "run", episodes=1024, num_envs=128, eval_prompts=16, ppo=ppo), quiet())
    assert summary["score_after"] > summary["score_before"] + 0.2


def test_what_cannot_be_trained_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    out = tmp_path / "run"
    with pytest.raises(ArgumentError, match=r'There is no environment "TextCopi-v0"\. Did you mean "TextCopy-v0"\?'):
        train(config(out, env="TextCopi-v0"), quiet())
    with pytest.raises(ArgumentError, match='There is no environment "CartPole-v1"'):
        train(config(out, env="CartPole-v1"), quiet())
    with pytest.raises(ArgumentError, match='The module of "no_such_module:Haiku-v0" cannot be imported'):
        train(config(out, env="no_such_module:Haiku-v0"), quiet())
    with pytest.raises(LoadError, match='"nobody/nothing" is no embedded reward'):
        train(config(out, reward="nobody/nothing"), quiet())
    tokenizer = toy_tokenizer("abc>")
    toy_causal_lm(tokenizer, 6).save_pretrained(tmp_path / "model")  # prompts and completions are of 4 tokens each
    tokenizer.save_pretrained(tmp_path / "model")
    with pytest.raises(ArgumentError, match="have up to 8 tokens, but the model reads only 6"):
        train(config(out, model=str(tmp_path / "model")), quiet())
    assert not out.exists()


def test_a_run_can_start_from_anothers_model(tmp_path: Path) -> None:
    train(config(tmp_path / "first"), quiet())
    model = str(tmp_path / "first" / "model")
    summary = train(config(tmp_path / "second", model=model, episodes=1), quiet())
    assert summary["model"] == model
    state = load_state(tmp_path / "first" / "checkpoint")["policy"]
    reference = LanguagePolicy.from_pretrained(model).state_dict()
    assert all(torch.equal(state[name], value) for name, value in reference.items())
    learnt = load_state(tmp_path / "second" / "checkpoint")["policy"]
    assert 0 < max((learnt[name] - value).abs().max().item() for name, value in reference.items()) < 0.01  # two steps of 3e-3


def test_a_model_brings_its_tokenizer(tmp_path: Path) -> None:
    tokenizer = toy_tokenizer("(>cba")  # other ids for the same letters
    toy_causal_lm(tokenizer, 8).save_pretrained(tmp_path / "model")
    tokenizer.save_pretrained(tmp_path / "model")
    train(config(tmp_path / "run", model=str(tmp_path / "model"), episodes=1), quiet())
    episodes = pd.read_parquet(tmp_path / "run" / "episodes" / "part-00001.parquet")
    assert [tokenizer.decode(list(ids), skip_special_tokens=True) for ids in episodes["tokens"]] == episodes["completion"].tolist()


def test_an_id_may_name_its_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    summary = train(config(None, env="textenv:TextCopy-v0", episodes=1), quiet())
    assert (summary["env"], summary["episodes"]) == ("textenv:TextCopy-v0", 16)
    assert (tmp_path / "runs" / "textenv-TextCopy-v0-ppo-0" / "summary.json").is_file()  # a colon is no part of a path everywhere


@pytest.mark.parametrize("name", ["episodes", "num_envs", "eval_prompts"])
def test_numbers_out_of_range_are_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match=f"{name} must be at least 1, got 0"):
        config(tmp_path, **{name: 0})


def test_a_negative_seed_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match="seed must be at least 0, got -1"):
        config(tmp_path, seed=-1)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_cuda_without_a_gpu_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match="torch sees no GPU; use --device cpu"):
        config(tmp_path, device="cuda")
