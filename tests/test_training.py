"""A whole run: it repeats itself, and what it reports is what it did."""

import contextlib
import dataclasses
import io
import itertools
import json
import random
import re
import shlex
import signal
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pandas as pd
import pytest
import torch
import tyro
from rich.console import Console

import textenv
from textenv import training
from textenv.agents.ppo import PPO as PPOAgent
from textenv.agents.ppo import PPOConfig
from textenv.checkpoint import load_state
from textenv.errors import ArgumentError, LoadError, SaveError, TrainingError
from textenv.files import FolderLock
from textenv.models.loading import toy_causal_lm, toy_tokenizer
from textenv.models.policy import LanguagePolicy
from textenv.reports import run as run_module
from textenv.reports.run import Run, check_space
from textenv.reports.tables import COLUMNS
from textenv.training import (
    TrainConfig,
    check_training,
    command,
    config_of,
    default_folder,
    train,
)
from textenv.types import Episodes

PPO = PPOConfig(episodes_per_update=16, group_size=4, minibatch_size=8, learning_rate=3e-3, kl_coef=0.05)
LIMITS: dict[str, Any] = {"tokenizer": toy_tokenizer("abc>"), "max_prompt_tokens": 4, "max_new_tokens": 4}
TIMES = ["seconds", "tokens_per_second"]


def config(out: Path | None, **fields: Any) -> TrainConfig:
    return TrainConfig(**{"env": "TextCopy-v0", "episodes": 48, "num_envs": 16, "eval_prompts": 4, "algorithm": PPO, "out": out, **fields})


def quiet() -> Console:
    return Console(file=io.StringIO(), width=200)


def shown(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


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
    assert "best of 16" in shown(console)
    assert f"{summary['score_after']:.3f}" in (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    assert f"Trained on 48 episodes, {summary['tokens']} tokens" in shown(console)


@dataclass
class Noisy:
    """A reward that draws from the global generators, and raises a signal at one of its calls."""

    signal_at: int = -1
    number: int = signal.SIGTERM
    calls: int = 0

    def __call__(self, completions: list[str]) -> list[float]:
        self.calls += 1
        if self.calls == self.signal_at:
            time.sleep(0.3)  # so that the time of this process is seen in the next one's
            signal.raise_signal(self.number)
        noise = [random.random(), float(np.random.random()), torch.rand(1).item()]
        return [text.count("a") + sum(noise) for text in completions]


def noisy(folder: Path, reward: Noisy, seed: int, console: Console | None = None, resume: bool = False, **fields: Any) -> None:
    """Train on a noisy reward, with the global generators seeded."""
    textenv.register("Noisy-v0", prompts=["a>", "ab>", "b>"], reward=reward, model=None, **LIMITS)
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)
    train(config(folder, env="Noisy-v0", resume=resume, **fields), console or quiet())


# Of the reward's calls: before, in and after learning.
@pytest.mark.parametrize("signal_at", [1, *(pytest.param(call, marks=pytest.mark.slow) for call in (12, 15)), 22])
def test_a_run_that_is_stopped_goes_on_to_the_same_bits(signal_at: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_module, "CHECKPOINT_SHARE", 1e-9)  # only the first and the last, and when a signal comes
    paths = [tmp_path / "straight", tmp_path / "stopped"]
    reward = Noisy()
    noisy(paths[0], reward, 0)
    assert reward.calls > 22
    console = quiet()
    with pytest.raises(SystemExit) as caught:
        noisy(paths[1], Noisy(signal_at), 0, console)
    assert caught.value.code == 143
    assert f"Stopped by SIGTERM; go on with: textenv train Noisy-v0 --episodes 48 --out {paths[1]} --num-envs 16" in shown(console)
    assert shown(console).endswith(" --resume\n")
    assert not (paths[1] / "summary.json").exists()
    played = len(metrics(paths[1])) if signal_at > 1 else 0
    assert played == (load_state(paths[1] / "checkpoint")["updates"] if signal_at > 1 else 0)
    # A new process has other global generators; without a checkpoint the run starts again.
    noisy(paths[1], Noisy(), 7 if played else 0, resume=True)
    assert pd.read_csv(paths[1] / "metrics.csv")["seconds"].is_monotonic_increasing
    pd.testing.assert_frame_equal(metrics(paths[0]), metrics(paths[1]), check_exact=True)
    for part in sorted((paths[0] / "episodes").iterdir()):
        pd.testing.assert_frame_equal(pd.read_parquet(part), pd.read_parquet(paths[1] / "episodes" / part.name), check_exact=True)
    straight, stopped = ((path / "checkpoint" / "state.safetensors").read_bytes() for path in paths)
    assert straight == stopped
    summaries = [json.loads((path / "summary.json").read_text()) for path in paths]
    assert summaries[0] | {"train_seconds": 0} == summaries[1] | {"train_seconds": 0}
    assert summaries[0]["tokens"] == sum(pd.read_parquet(part)["length"].sum() for part in (paths[0] / "episodes").iterdir())


def test_alarms_compare_with_the_first_update_and_are_told_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    steep = config(tmp_path / "run", episodes=160, algorithm=dataclasses.replace(PPO, learning_rate=0.1, linear_decay=False))
    real, stopped, resumed = Run.record, quiet(), quiet()

    def record(run: Run, metrics: dict[str, Any], *rest: Any) -> None:
        real(run, metrics, *rest)
        if metrics["alarm"]:
            signal.raise_signal(signal.SIGTERM)

    monkeypatch.setattr(Run, "record", record)
    with pytest.raises(SystemExit):
        train(steep, stopped)
    monkeypatch.setattr(Run, "record", real)
    train(dataclasses.replace(steep, resume=True), resumed)
    rows = pd.read_csv(tmp_path / "run" / "metrics.csv", keep_default_na=False)
    entropy = rows["alarm"].str.contains("entropy fell from")
    assert (entropy == (rows["entropy"] < 0.2 * rows["entropy"][0])).all()
    assert entropy.sum() > 1
    assert (shown(stopped) + shown(resumed)).count("collapse alarm: entropy") == 1


def test_a_finished_run_is_not_trained_again(tmp_path: Path) -> None:
    summary = train(config(tmp_path / "run", resume=True), quiet())  # there is none, so it starts
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    console = quiet()
    again = train(config(tmp_path / "run", resume=True), console)
    assert shown(console) == f"{tmp_path / 'run'} is finished already.\n"
    assert again["score_after"] == summary["score_after"]
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before
    with pytest.raises(ArgumentError, match="run was started with episodes=48, not 64; go on with the former or choose another --out"):
        train(config(tmp_path / "run", resume=True, episodes=64), quiet())


@pytest.mark.parametrize(
    ("episodes", "sentence"), [(48, r"The gradient is not finite after \d+ episodes"), (8, "The trained policy is not finite")]
)
def test_a_training_that_diverges_leaves_its_batch(episodes: int, sentence: str, tmp_path: Path) -> None:
    ppo = PPOConfig(episodes_per_update=8, group_size=4, minibatch_size=8, learning_rate=1e30)
    with pytest.raises(TrainingError, match=rf"^{sentence}; lower learning_rate .*; its batch is in .*/run/failed-batch$") as caught:
        train(config(tmp_path / "run", episodes=episodes, algorithm=ppo), quiet())
    batch = Episodes(**load_state(Path(str(caught.value).rpartition(" ")[2])))
    assert not batch.log_probs.isfinite().all()
    assert load_state(tmp_path / "run" / "checkpoint")["updates"] == 1
    assert not (tmp_path / "run" / "summary.json").exists()


def test_a_full_disk_ends_with_the_last_checkpoint(tmp_path: Path, largest_file: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_module, "CHECKPOINT_SHARE", 1e9)
    train(config(tmp_path / "straight"), quiet())
    fills_up, real = contextlib.ExitStack(), Run.record

    def record(run: Run, *recorded: Any) -> None:
        real(run, *recorded)
        if run.counters.updates == 2:
            fills_up.enter_context(largest_file(50_000))

    monkeypatch.setattr(Run, "record", record)
    with fills_up, pytest.raises(SaveError, match=r"run/checkpoint cannot be written: .*; once it can, go on"):
        train(config(tmp_path / "run"), quiet())
    monkeypatch.setattr(Run, "record", real)
    assert load_state(tmp_path / "run" / "checkpoint")["updates"] == 1
    train(config(tmp_path / "run", resume=True), quiet())
    pd.testing.assert_frame_equal(metrics(tmp_path / "straight"), metrics(tmp_path / "run"), check_exact=True)


def test_a_run_without_room_is_refused_before_it_starts() -> None:
    if not Path("/proc/self").exists():
        pytest.skip("needs a file system without space")
    with pytest.raises(ArgumentError, match=r"/proc has 0\.0 MB free"):
        train(config(Path("/proc/run")), quiet())


def test_the_command_gives_the_configuration(tmp_path: Path) -> None:
    ppo = PPOConfig(episodes_per_update=24, group_size=4, minibatch_size=8, linear_decay=False, kl_target=0.5)
    given = config(tmp_path / "a run", algorithm=ppo, seed=3, temperature=0.7, reward="tiny-sentiment")
    words = shlex.split(command(given))
    assert words[:2] == ["textenv", "train"]
    assert tyro.cli(tyro.conf.OmitArgPrefixes[TrainConfig], args=words[2:]) == given


def test_more_is_learnt_than_nothing(tmp_path: Path) -> None:
    ppo = PPOConfig(episodes_per_update=128, minibatch_size=64, learning_rate=3e-3, kl_coef=0.02)
    summary = train(config(tmp_path / "run", episodes=1024, num_envs=128, eval_prompts=16, algorithm=ppo), quiet())
    assert summary["score_after"] > summary["score_before"] + 0.2


def test_what_cannot_be_trained_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    out = tmp_path / "run"
    with pytest.raises(ArgumentError, match=r'There is no environment "TextCopi-v0"\. Did you mean "TextCopy-v0"\?'):
        train(config(out, env="TextCopi-v0"), quiet())
    with pytest.raises(ArgumentError, match='There is no environment "CartPole-v1"'):
        train(config(out, env="CartPole-v1"), quiet())
    with pytest.raises(ArgumentError, match='The module "no_such_module" cannot be imported'):
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
    with pytest.raises(ArgumentError, match="torch sees no GPU; use device=cpu"):
        config(tmp_path, device="cuda")


def test_a_run_with_adapters_goes_on_to_the_same_bits_and_saves_a_plain_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_module, "CHECKPOINT_SHARE", 1e-9)
    paths = [tmp_path / "straight", tmp_path / "stopped"]
    noisy(paths[0], Noisy(), 0, lora_rank=2)
    with pytest.raises(SystemExit):
        noisy(paths[1], Noisy(12), 0, lora_rank=2)
    assert not (paths[1] / "summary.json").exists()
    state = load_state(paths[1] / "checkpoint")
    assert not any("base_layer" in name or "wte" in name for name in state["policy"])
    noisy(paths[1], Noisy(), 7, resume=True, lora_rank=2)
    straight, stopped = (metrics(path) for path in paths)
    pd.testing.assert_frame_equal(straight, stopped, check_exact=True)
    table = json.loads((paths[0] / "summary.json").read_text())["table"]
    assert table["before"]["kl_exact"] == 0
    assert table["after"]["kl_exact"] > 1e-4
    saved = [LanguagePolicy.from_pretrained(path / "model").model.state_dict() for path in paths]
    assert all(torch.equal(value, saved[1][name]) for name, value in saved[0].items())
    assert saved[0].keys() == toy_causal_lm(LIMITS["tokenizer"], 8).state_dict().keys()


@pytest.mark.parametrize("rank", [0, -1])
def test_refuses_a_rank_below_1(rank: int) -> None:
    with pytest.raises(ArgumentError, match=f"lora_rank must be at least 1, got {rank}"):
        config(None, lora_rank=rank)


def test_a_run_without_peft_is_refused_before_anything_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "peft", None)  # as if it were not installed
    with pytest.raises(ArgumentError, match=r'pip install "textenv\[lora\]"'):
        train(config(tmp_path / "run", lora_rank=2), quiet())
    assert not (tmp_path / "run").exists()


def hacked(completions: list[str]) -> list[float]:
    """A proxy: the share of b's, the more the better."""
    return [text.count("b") / 6 for text in completions]


def wanted(completions: list[str]) -> list[float]:
    """What is really wanted: two b's or three, and no more."""
    return [min(text.count("b"), 2) / 2 - max(0, text.count("b") - 3) / 3 for text in completions]


def hack(out: Path, console: Console | None = None, judge: Any = wanted, **fields: Any) -> dict[str, Any]:
    """Train on a reward that can be hacked."""
    prompts = [f"{a}{b}>" for a in "abc" for b in "abc"]
    limits = {**LIMITS, "max_new_tokens": 6}
    textenv.register("Hacked-v0", prompts=prompts, reward=hacked, judge=judge, model=None, **limits)
    ppo = PPOConfig(episodes_per_update=36, group_size=4, minibatch_size=36, epochs=2, learning_rate=2e-3, kl_coef=0.0, linear_decay=False)
    settings: dict[str, Any] = {"env": "Hacked-v0", "episodes": 720, "num_envs": 36, "eval_prompts": 9, "algorithm": ppo, **fields}
    return train(config(out, **settings), console or quiet())


def test_a_hacked_reward_rings_the_alarm_and_ends_with_the_model_that_the_judge_likes_best(tmp_path: Path) -> None:
    console = quiet()
    summary = hack(tmp_path / "run", console, eval_every=1, stop_on_overoptimisation=True)
    rows = pd.read_csv(tmp_path / "run" / "evaluations.csv", keep_default_na=False)
    best, last = rows.sort_values("judge").iloc[-1], rows.iloc[-1]
    assert rows["update"].tolist() == list(range(int(last["update"]) + 1))
    assert 0 < best["update"] < last["update"] < 20
    assert best["judge"] > rows["judge"][0] + 0.2
    assert last["score"] > best["score"] + 0.2
    assert last["judge"] < best["judge"] - 0.2
    assert [bool(alarm) for alarm in rows["alarm"]] == [False] * (len(rows) - 1) + [True]
    said = shown(console)
    assert said.count("alarm: over-optimisation: since update") == 1
    assert f"Stopped for over-optimisation; the model is that of update {best['update']}, where the judge was best." in said
    assert (summary["over_optimised"], summary["best_update"]) == (True, best["update"])
    assert summary["episodes"] == 36 * last["update"]
    assert summary["judge_after"] == pytest.approx(best["judge"], abs=4 * best["judge_se"])
    assert summary["judge_after"] > last["judge"] + 0.2
    # The model that is saved is the one that would have come of stopping there.
    hack(tmp_path / "shorter", episodes=36 * int(best["update"]))
    saved = [LanguagePolicy.from_pretrained(tmp_path / name / "model").state_dict() for name in ("run", "shorter")]
    assert all(torch.equal(value, saved[1][name]) for name, value in saved[0].items())


def test_a_healthy_run_learns_what_it_learns_without_being_watched(tmp_path: Path) -> None:
    paths = [tmp_path / "plain", tmp_path / "watched"]
    plain = hack(paths[0], judge=hacked, episodes=252)
    watched = hack(paths[1], judge=hacked, episodes=252, eval_every=3, stop_on_overoptimisation=True)
    pd.testing.assert_frame_equal(metrics(paths[0]), metrics(paths[1]), check_exact=True)
    for name in ("model/model.safetensors", "evaluation/after.parquet", "episodes/part-00007.parquet"):
        assert (paths[0] / name).read_bytes() == (paths[1] / name).read_bytes()
    assert json.dumps(watched["table"]) == json.dumps(plain["table"])  # as text, in which NaN equals NaN
    assert watched.keys() - plain.keys() == {"over_optimised", "best_update"}
    assert watched["over_optimised"] is False
    assert not (paths[0] / "evaluations.csv").exists()
    assert load_state(paths[0] / "checkpoint").keys() == load_state(paths[1] / "checkpoint").keys() - {"watch"}
    assert pd.read_csv(paths[1] / "evaluations.csv")["update"].tolist() == [0, 3, 6]


# Of the reward's calls: in the first evaluation, in an update, in an evaluation.
@pytest.mark.parametrize("signal_at", [pytest.param(4, marks=pytest.mark.slow), 21, pytest.param(28, marks=pytest.mark.slow)])
def test_a_watched_run_goes_on_to_the_same_bits(signal_at: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_module, "CHECKPOINT_SHARE", 1e-9)
    watched: dict[str, Any] = {"eval_every": 2, "stop_on_overoptimisation": True, "episodes": 80}
    paths = [tmp_path / "straight", tmp_path / "stopped"]
    noisy(paths[0], Noisy(), 0, judge="tiny-sentiment", **watched)
    with pytest.raises(SystemExit):
        noisy(paths[1], Noisy(signal_at), 0, judge="tiny-sentiment", **watched)
    begun = (paths[1] / "checkpoint").exists()
    assert begun is (signal_at > 4)
    noisy(paths[1], Noisy(), 7 if begun else 0, judge="tiny-sentiment", resume=True, **watched)
    pd.testing.assert_frame_equal(metrics(paths[0]), metrics(paths[1]), check_exact=True)
    for name in ("evaluations.csv", "checkpoint/state.safetensors", "model/model.safetensors"):
        assert (paths[0] / name).read_bytes() == (paths[1] / name).read_bytes()
    states = [load_state(path / "checkpoint")["watch"]["best"] for path in paths]
    assert states[0] == states[1]


def test_a_run_that_stopped_and_died_does_not_learn_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hack(tmp_path / "straight", eval_every=1, stop_on_overoptimisation=True)
    real = Run.evaluation

    def evaluation(run: Run, name: Any, *rest: Any) -> None:
        if name == "after":
            signal.raise_signal(signal.SIGTERM)
        real(run, name, *rest)

    monkeypatch.setattr(Run, "evaluation", evaluation)
    with pytest.raises(SystemExit):
        hack(tmp_path / "run", eval_every=1, stop_on_overoptimisation=True)
    monkeypatch.setattr(Run, "evaluation", real)
    hack(tmp_path / "run", eval_every=1, stop_on_overoptimisation=True, resume=True)
    for name in ("evaluations.csv", "model/model.safetensors", "evaluation/after.parquet"):
        assert (tmp_path / "straight" / name).read_bytes() == (tmp_path / "run" / name).read_bytes()


def test_a_run_of_an_earlier_version_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    train(config(tmp_path / "run"), quiet())
    settings = json.loads((tmp_path / "run" / "config.json").read_text())
    for name in ("judge", "eval_every", "stop_on_overoptimisation"):
        del settings[name]
    (tmp_path / "run" / "config.json").write_text(json.dumps(settings))
    console = quiet()
    train(config(tmp_path / "run", resume=True), console)
    assert "is finished already" in shown(console)


def test_another_judge_is_asked(tmp_path: Path) -> None:
    summary = train(config(tmp_path / "run", judge="tiny-sentiment-judge", episodes=1), quiet())
    assert 0 < summary["judge_after"] < 1


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"eval_every": 0}, "eval_every must be at least 1, got 0"),
        ({"stop_on_overoptimisation": True}, "stop_on_overoptimisation needs evaluations during training; give eval_every"),
        (
            {"stop_on_overoptimisation": True, "eval_every": 1},
            "TextCopy-v0 has no judge to tell over-optimisation by; name one with --judge",
        ),
        ({"judge": "nobody/nothing"}, '"nobody/nothing" is no embedded reward'),
        (
            {"env": "TextSentiment-v0", "stop_on_overoptimisation": True, "eval_every": 1, "eval_prompts": 1},
            "Over-optimisation is judged by the spread over prompts; let eval_prompts be 2 or more",
        ),
    ],
)
def test_what_cannot_be_watched_is_refused(fields: dict[str, Any], sentence: str, tmp_path: Path) -> None:
    with pytest.raises((ArgumentError, LoadError), match=sentence):
        train(config(tmp_path / "run", **fields), quiet())
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("episodes", "says"), [(16, ""), (17, "An update takes 16 episodes, so 32 are played in place of 17;"), (1, "so 16 are")]
)
def test_whole_updates_are_played_and_it_is_said(episodes: int, says: str, tmp_path: Path) -> None:
    console = quiet()
    train(config(tmp_path / "run", episodes=episodes, eval_prompts=1), console)
    assert says in shown(console)
    assert ("in place of" in shown(console)) == bool(says)


def test_a_run_without_a_name_gets_a_free_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    settings, first = TrainConfig(env="TextCopy-v0"), Path("runs/TextCopy-v0-ppo-0")
    assert default_folder(settings) == first
    first.mkdir(parents=True)
    (first / "config.json").touch()
    assert default_folder(settings) == Path("runs/TextCopy-v0-ppo-0-2")
    assert default_folder(dataclasses.replace(settings, resume=True)) == first


@pytest.mark.parametrize(("seconds", "least", "most"), [(1e-6, 1, 1), (0.1, 2, 7)])
def test_without_a_terminal_there_is_a_line_now_and_then(
    seconds: float, least: int, most: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The clock goes on by so much at each look, of which an update has a few."""
    console, clock = quiet(), itertools.count(0.0, seconds)
    monkeypatch.setattr("textenv.training.time.perf_counter", lambda: next(clock))
    train(config(tmp_path / "run", episodes=16 * 8), console)
    lines = [line for line in shown(console).splitlines() if re.match(r"\d+/128 episodes  score \d\.\d{3}  KL ", line)]
    assert lines[-1].startswith("128/128 episodes")
    assert least <= len(lines) <= most


@pytest.mark.parametrize("episodes", [-1, 1.5, True, "16"])
def test_learn_needs_a_number(episodes: Any) -> None:
    envs: Any = gymnasium.make_vec("TextCopy-v0", num_envs=4)
    agent = PPOAgent(LanguagePolicy.for_rules(envs.unwrapped.rules), envs, PPO)
    with pytest.raises(ArgumentError, match="learn needs a number of episodes, an integer of at least 0, got"):
        agent.learn(episodes)
    agent.learn(0)
    assert agent.episodes == 0


def test_options_of_the_environment_are_kept_and_learnt_with(tmp_path: Path) -> None:
    settings = config(tmp_path / "run", task={"missing_eos_penalty": 0.5, "max_new_tokens": 2}, episodes=16)
    train(settings, quiet())
    stored = json.loads((tmp_path / "run" / "config.json").read_text())
    assert stored["task"] == {"missing_eos_penalty": 0.5, "max_new_tokens": 2}
    assert pd.read_parquet(tmp_path / "run" / "episodes" / "part-00001.parquet")["length"].max() == 2
    with pytest.raises(ArgumentError, match=r"was started with task.max_new_tokens=2, not 3"):
        train(dataclasses.replace(settings, task={"missing_eos_penalty": 0.5, "max_new_tokens": 3}, resume=True), quiet())


class OddMetrics(PPOAgent):
    """Reports a metric in the name of a column that the run writes."""

    def update(self, episodes: Episodes) -> dict[str, float]:
        return {**super().update(episodes), "seconds": 1.0}


def test_a_metric_in_the_name_of_a_column_of_the_run_is_refused(tmp_path: Path) -> None:
    name = f"{__name__}:OddMetrics"
    with pytest.raises(ArgumentError, match=rf'^The agent "{name}" reports the metric "seconds", .*; rename it\.$'):
        train(config(tmp_path / "run", agent=name), quiet())
    assert not (tmp_path / "run" / "metrics.csv").exists()
    assert not (tmp_path / "run" / "episodes").exists()


def test_a_run_writes_columns_of_its_own(tmp_path: Path) -> None:
    train(config(tmp_path / "run", episodes=16), quiet())
    assert set(COLUMNS) <= set(pd.read_csv(tmp_path / "run" / "metrics.csv"))


def test_a_run_whose_folder_is_taken_meanwhile_goes_to_the_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    others, real = contextlib.ExitStack(), check_space

    def check(folder: Path, *modules: Any, **options: Any) -> None:
        folder.mkdir(parents=True)
        others.enter_context(FolderLock(folder))  # the other process was quicker
        real(folder, *modules, **options)

    monkeypatch.setattr(training, "check_space", check)
    console = quiet()
    with others:
        train(config(None), console)
        with pytest.raises(ArgumentError, match="named is being written by"):
            train(config(tmp_path / "named"), quiet())
    assert "Writing to runs/TextCopy-v0-ppo-0-2/." in shown(console)
    assert [path.name for path in (tmp_path / "runs" / "TextCopy-v0-ppo-0").iterdir()] == []
    settings = json.loads((tmp_path / "runs" / "TextCopy-v0-ppo-0-2" / "config.json").read_text())
    assert settings["out"] == "runs/TextCopy-v0-ppo-0-2"


# The environment's own training


def no_score(completions: list[str]) -> list[float]:
    return [0.0 for _ in completions]


@pytest.fixture
def suited() -> str:
    own = {"episodes": 48, "kl_coef": 0.01, "episodes_per_update": 24, "group_size": 4}
    toy: dict[str, Any] = {"tokenizer": toy_tokenizer("ab."), "model": None, "max_new_tokens": 2}
    textenv.register("Suited-v0", prompts=["a", "b"], reward=no_score, training=own, **toy)
    return "Suited-v0"


def test_a_config_takes_the_environments_training_where_nothing_is_given(suited: str) -> None:
    config = config_of(suited, seed=3, algorithm={"kl_coef": 0.035})
    assert (config.episodes, config.seed, config.algorithm.kl_coef) == (48, 3, 0.035)
    assert config.algorithm.episodes_per_update == 24
    assert config_of(suited, episodes=6144).episodes == 6144
    assert config_of("TextCopy-v0") == TrainConfig(env="TextCopy-v0")


@pytest.mark.parametrize("given", [{}, {"episodes": 6144, "algorithm": {"kl_coef": 0.035}}])
def test_the_command_leaves_out_what_the_environment_says(given: dict[str, Any], suited: str) -> None:
    words = shlex.split(command(config_of(suited, **given)))
    expected = "--episodes 6144 --kl-coef 0.035".split() if given else []
    assert words == ["textenv", "train", suited, *expected]


def test_a_run_holds_the_settled_values_and_goes_on_by_the_same_command(suited: str, tmp_path: Path) -> None:
    out = tmp_path / "run"
    first = textenv.train(suited, out=out, eval_prompts=2, num_envs=8)
    stored = json.loads((out / "config.json").read_text())
    assert (stored["episodes"], stored["algorithm"]["kl_coef"]) == (48, 0.01)
    assert stored["algorithm"]["episodes_per_update"] == 24
    assert len(first.metrics) == 2
    again = textenv.train(suited, out=out, eval_prompts=2, num_envs=8, resume=True)
    assert again.metrics.equals(first.metrics)


@pytest.mark.parametrize(
    ("own", "sentence"),
    [
        ({"kl_coef": -1}, "The training of Bad-v0: kl_coef must be at least 0, got -1"),
        ({"minibatch_size": 100}, "The training of Bad-v0: minibatch_size=100 must divide"),
        ({"replay_size": "large"}, "The training of Bad-v0: replay_size needs an integer"),
        ({"episodes": 0}, "The training of Bad-v0: episodes must be at least 1, got 0"),
        ({"episodes": 1.5}, "The training of Bad-v0: episodes needs an integer, got 1.5"),
    ],
)
def test_check_refuses_values_that_no_run_could_take(own: dict[str, Any], sentence: str) -> None:
    textenv.register("Bad-v0", prompts=["a"], reward=no_score, training=own)
    with pytest.raises(ArgumentError, match=sentence):
        check_training("Bad-v0")
