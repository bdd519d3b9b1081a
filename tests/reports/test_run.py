"""The run folder can be read back by other tools, and nothing is written over."""

import json
import math
import os
import time
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pandas as pd
import pytest
import torch
from transformers import AutoModelForCausalLM

from textenv.agents.config import minibatch
from textenv.agents.ppo import PPO, PPOConfig
from textenv.checkpoint import load_state, save_state
from textenv.errors import ArgumentError, LoadError, SaveError
from textenv.files import LOCK, FolderLock
from textenv.models.policy import LanguagePolicy
from textenv.reports import run as run_module
from textenv.reports.counters import Counters
from textenv.reports.evaluation import measure
from textenv.reports.run import Run, check_space, find_run, free_folder, last_folder, start_run, surroundings, versions
from textenv.reports.watch import Watch
from textenv.types import Episodes

CONFIG = PPOConfig(episodes_per_update=16, group_size=4, minibatch_size=8)
SETTINGS: dict[str, Any] = {"seed": 0, "algorithm": {"epochs": 1}}


def make_agent(seed: int = 0) -> PPO:
    envs = gymnasium.make_vec("TextCopy-v0", num_envs=16)
    inner: Any = envs.unwrapped
    return PPO(LanguagePolicy.for_rules(inner.rules), envs, CONFIG, seed=seed)


def strict(file: Path) -> Any:
    """Read JSON as other languages do, without NaN."""

    def refuse(constant: str) -> Any:
        raise ValueError(constant)

    return json.loads(file.read_text(), parse_constant=refuse)


def test_a_run_from_start_to_end(tmp_path: Path) -> None:
    agent = make_agent()
    run = Run(tmp_path / "a" / "run", {"env": "TextCopy-v0", "algorithm": {"kl_coef": 0.05}})
    batches = []
    for _ in range(2):
        batches.append(agent.collect())
        run.record({**agent.update(batches[-1]), "alarm": 'k1, "odd"'}, batches[-1], agent.policy.tokenizer)
    run.checkpoint(agent)
    run.finish(
        agent, {"score": 0.5, "judge": None, "kl_k1": math.nan, "table": {"best": {"n": 4, "kl": math.inf}}, "list": [(math.nan, 1)]}
    )

    run.close()
    names = {"config.json", "metrics.csv", "episodes", "checkpoint", "model", "summary.json"}
    assert {path.name for path in run.folder.iterdir()} == names
    assert strict(run.folder / "config.json") == {"env": "TextCopy-v0", "algorithm": {"kl_coef": 0.05}, **surroundings()}
    table = {"best": {"n": 4, "kl": None}}
    assert strict(run.folder / "summary.json") == {
        "score": 0.5,
        "judge": None,
        "kl_k1": None,
        "table": table,
        "list": [[None, 1]],
        "versions": versions(),
    }

    metrics = pd.read_csv(run.folder / "metrics.csv")
    assert metrics["update"].tolist() == [1, 2]
    assert metrics["episodes"].tolist() == [16, 32]
    assert metrics["score"].tolist() == pytest.approx([float(batch.scores.mean()) for batch in batches])
    assert metrics["alarm"].tolist() == ['k1, "odd"'] * 2

    assert sorted(path.name for path in (run.folder / "episodes").iterdir()) == ["part-00001.parquet", "part-00002.parquet"]
    second = pd.read_parquet(run.folder / "episodes" / "part-00002.parquet")
    assert set(second["update"]) == {2}
    assert second["completion"].tolist() == batches[1].completions

    state = load_state(run.folder / "checkpoint")
    assert state["updates"] == 2
    restored = make_agent(seed=9)
    restored.load_state_dict(state)
    assert torch.equal(restored.collect().tokens, agent.collect().tokens)
    model = AutoModelForCausalLM.from_pretrained(run.folder / "model")
    assert all(torch.equal(model.state_dict()[name], value) for name, value in agent.policy.model.state_dict().items())


def test_a_checkpoint_in_between_is_replaced(tmp_path: Path) -> None:
    agent, run = make_agent(), Run(tmp_path / "run", {})
    for expected in (1, 2):
        batch = agent.collect()
        run.record(agent.update(batch), batch, agent.policy.tokenizer)
        run.checkpoint(agent)
        state = load_state(run.folder / "checkpoint")
        assert (state["updates"], state["episodes"]) == (expected, 16 * expected)
    assert not list(run.folder.glob("checkpoint.*"))


def test_an_empty_folder_is_taken(tmp_path: Path) -> None:
    Run(tmp_path, {"seed": 3})
    assert strict(tmp_path / "config.json")["seed"] == 3


def test_what_is_there_is_never_written_over(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "notes.txt").write_text("mine")
    (tmp_path / "file").write_text("mine")
    for place in ("run", "file"):
        with pytest.raises(ArgumentError, match=f"{place} exists already; go on with --resume, choose another --out or remove it"):
            Run(tmp_path / place, {})
    with pytest.raises(ArgumentError, match=r"file/run cannot be written: .*; choose another --out"):
        Run(tmp_path / "file" / "run", {})
    assert [path.name for path in sorted(tmp_path.rglob("*"))] == ["file", "run", "notes.txt"]
    assert (tmp_path / "run" / "notes.txt").read_text() == (tmp_path / "file").read_text() == "mine"


def started(folder: Path, updates: int) -> tuple[PPO, Run]:
    """A run with a checkpoint after so many updates, whose folder others may write."""
    agent, run = make_agent(), Run(folder, SETTINGS)
    for _ in range(updates):
        batch = agent.collect()
        run.record(agent.update(batch), batch, agent.policy.tokenizer)
    run.checkpoint(agent)
    run.close()
    return agent, run


def test_what_is_newer_than_the_checkpoint_is_dropped(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    agent, run = started(folder, 2)
    run.counters.tokens, run.counters.seconds, run.counters.first, run.counters.told = 7, 1.5, {"entropy": math.inf}, ["k1"]
    run.checkpoint(agent)
    before = {path.name: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    batch = agent.collect()
    run.record(agent.update(batch), batch, agent.policy.tokenizer)
    with (folder / "metrics.csv").open("a") as file:
        file.write('4,64.0,0.3,"torn')
    for name in ("part-00004.parquet.new", ".part-00004.parquet.textenv.new"):
        (folder / "episodes" / name).write_bytes(b"PAR1")
    again, agent = Run(folder, SETTINGS, resume=True), make_agent(seed=5)
    again.restore(agent)
    again.close()
    resumed = strict(folder / "config.json").pop("resumed")
    assert resumed == [{"update": 2, **surroundings()}]
    before["config.json"] = (folder / "config.json").read_bytes()
    assert (agent.episodes, again.counters) == (32, Counters(updates=2, tokens=7, seconds=1.5, first={"entropy": math.inf}, told=["k1"]))
    assert {path.name: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before
    again.record(agent.update(batch := agent.collect()), batch, agent.policy.tokenizer)
    assert pd.read_csv(folder / "metrics.csv")["update"].tolist() == [1, 2, 3]


def test_evaluations_go_on_from_the_checkpoint(tmp_path: Path) -> None:
    agent, run = started(tmp_path / "run", 2)
    watch = Watch(np.arange(2), 0, every=1)
    watch.compare(1, score=np.array([0.5, 0.25]), judge=np.array([1.0, 0.1]))
    for update in (0, 2):
        run.evaluated({"update": update, "score": 0.5, "alarm": "a, b" if update else ""})
    kept = (run.folder / "evaluations.csv").read_bytes()
    run.checkpoint(agent, watch)
    run.evaluated({"update": 3, "score": 0.25, "alarm": ""})
    with (run.folder / "evaluations.csv").open("a") as file:
        file.write("1")  # torn
    again, other = Run(run.folder, SETTINGS, resume=True), Watch(np.arange(2), 0, every=1)
    again.restore(make_agent(), other)
    assert (run.folder / "evaluations.csv").read_bytes() == kept
    assert other.state_dict() == watch.state_dict()
    run.checkpoint(agent)  # of a run that nobody watches
    again.close()
    with pytest.raises(LoadError, match="checkpoint cannot be used: 'watch'"):
        Run(run.folder, SETTINGS, resume=True).restore(make_agent(), other)


@pytest.mark.parametrize("death", ["config.json.new", ".config.json.textenv.new", LOCK, "config.json", "metrics.csv"])
def test_without_a_checkpoint_a_run_starts_again(death: str, tmp_path: Path) -> None:
    if death in ("config.json", "metrics.csv"):
        Run(tmp_path, SETTINGS).close()
    else:
        (tmp_path / death).write_text('{"se')
    if death == "metrics.csv":
        (tmp_path / death).write_text("upd")
    run, agent = Run(tmp_path, SETTINGS, resume=True), make_agent()
    run.restore(agent)
    run.close()
    assert (run.counters.updates, agent.episodes) == (0, 0)
    assert {path.name for path in tmp_path.iterdir()} - {"config.json.new"} == {"config.json"}


def test_a_run_goes_on_only_with_its_own_configuration(tmp_path: Path) -> None:
    run = Run(tmp_path / "run", {**SETTINGS, "out": "run", "device": "cpu", "kl_target": math.inf})
    run.close()
    here = {**SETTINGS, "out": "./run", "device": "cuda", "kl_target": math.inf}
    assert find_run(run.folder, here, resume=True) is None
    for changed, name, values in (
        ({"seed": 1}, "seed", "0, not 1"),
        ({"algorithm": {"epochs": 2}}, r"algorithm\.epochs", "1, not 2"),
        ({"algorithm": {"epochs": 1, "lam": 0.5}}, r"algorithm\.lam", "None, not 0.5"),
    ):
        with pytest.raises(ArgumentError, match=f"run was started with {name}={values}; go on with the former or choose another --out"):
            find_run(run.folder, {**here, **changed}, resume=True)
    assert find_run(run.folder, {**here, "younger": False}, resume=True) is None  # an option that the run did not know is off
    with pytest.raises(ArgumentError, match="was started with younger=None, not True"):
        find_run(run.folder, {**here, "younger": True}, resume=True)
    with pytest.raises(ArgumentError, match="run exists already; go on with --resume"):
        find_run(run.folder, here, resume=False)
    assert find_run(tmp_path / "new", here, resume=True) is None
    run.finish(make_agent(), {"score": 0.5})
    summary = find_run(run.folder, here, resume=True)
    assert summary is not None
    assert summary["score"] == 0.5


def test_what_is_no_run_is_not_resumed(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(ArgumentError, match=r"holds no run to resume: it has no config\.json"):
        find_run(tmp_path, {}, resume=True)
    with pytest.raises(ArgumentError, match=r"notes\.txt exists already"):
        find_run(tmp_path / "notes.txt", {}, resume=True)
    for content, sentence in (('{"se', r"config\.json cannot be read as JSON"), ("[]", r"config\.json holds no configuration")):
        (tmp_path / "config.json").write_text(content)
        with pytest.raises(LoadError, match=sentence):
            find_run(tmp_path, {}, resume=True)


def test_a_foreign_checkpoint_is_refused_and_nothing_is_dropped(tmp_path: Path) -> None:
    agent, run = started(tmp_path / "run", 1)
    files = {path for path in run.folder.rglob("*") if path.is_file()}
    incomplete = agent.state_dict()
    save_state(run.folder / "checkpoint", incomplete)
    again = Run(run.folder, SETTINGS, resume=True)
    with pytest.raises(LoadError, match="checkpoint cannot be used: 'updates'"):
        again.restore(make_agent())
    save_state(run.folder / "checkpoint", {"model": {}, "step": 3})
    with pytest.raises(LoadError, match=r"checkpoint cannot be used: The state lacks .*device"):
        again.restore(make_agent())
    again.close()
    assert {path for path in run.folder.rglob("*") if path.is_file()} == files


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs /proc to name what is synced")
def test_what_a_checkpoint_counts_is_on_the_disk_before_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced, real = list[str](), os.fsync

    def fsync(handle: int) -> None:
        synced.append(Path(f"/proc/self/fd/{handle}").resolve().name)
        real(handle)

    monkeypatch.setattr(os, "fsync", fsync)
    started(tmp_path / "run", 1)
    synced[5:7] = sorted(synced[5:7])
    assert synced == [
        *(".config.json.textenv.new", "run"),
        *(".part-00001.parquet.textenv.new", "episodes"),
        "metrics.csv",
        *("state.json", "state.safetensors", ".checkpoint.textenv.new", "run"),
    ]


@pytest.mark.parametrize(("size", "file"), [(3000, "part-00002.parquet"), (50_000, "checkpoint")])
def test_a_full_disk_is_told_by_the_name_of_the_file(size: int, file: str, tmp_path: Path, largest_file: Any) -> None:
    agent, run = started(tmp_path / "run", 1)
    batch = agent.collect()

    def go_on() -> None:
        run.record(agent.update(batch), batch, agent.policy.tokenizer)
        run.checkpoint(agent)

    with largest_file(size), pytest.raises(SaveError, match=f"{file} cannot be written: .*File too large"):
        go_on()
    assert load_state(run.folder / "checkpoint")["updates"] == 1
    assert not list(run.folder.rglob("*.new"))


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_no_space_for_metrics_is_told(tmp_path: Path) -> None:
    agent, run = make_agent(), Run(tmp_path / "run", {})
    (run.folder / "metrics.csv").symlink_to("/dev/full")
    batch = agent.collect()
    with pytest.raises(SaveError, match=r"metrics\.csv cannot be written: No space left on device"):
        run.record(agent.update(batch), batch, agent.policy.tokenizer)


def space_asked(*modules: torch.nn.Module, **options: bool) -> float:
    with pytest.raises(ArgumentError) as caught:
        check_space(Path("/proc/a/run"), *modules, **options)
    return float(str(caught.value).partition("/proc/a/run take ")[2].split()[0])


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs a file system without space")
def test_a_disk_without_space_is_refused(tmp_path: Path) -> None:
    policy = make_agent().policy
    check_space(tmp_path / "new" / "run", policy)
    check_space(Path("new"), policy)  # beside the working directory
    with pytest.raises(ArgumentError, match=r"^/proc has 0\.0 MB free, but the checkpoints and the model of /proc/a/run take \d\.\d MB"):
        check_space(Path("/proc/a/run"), policy)
    alone, with_critic = (space_asked(policy, *others) for others in ((), (policy,)))
    assert with_critic == pytest.approx(alone * 13 / 7, rel=0.04)  # the model, and two checkpoints of three times the weights each
    assert space_asked(policy, keeps_best=True) == pytest.approx(alone * 9 / 7, rel=0.04)  # the weights in both checkpoints once more
    with pytest.raises(ArgumentError, match="/proc/run cannot be written"):
        Run(Path("/proc/run"), {})


def test_a_failed_batch_can_be_read(tmp_path: Path) -> None:
    agent, run = make_agent(), Run(tmp_path / "run", {})
    episodes = agent.collect()
    folder = run.keep_failed(episodes)
    assert folder == run.folder / "failed-batch"
    found = Episodes(**load_state(folder))
    for name, value in vars(episodes).items():
        assert torch.equal(getattr(found, name), value) if isinstance(value, torch.Tensor) else getattr(found, name) == value


def test_checkpoints_take_a_share_of_the_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_module, "CHECKPOINT_SHARE", 0.25)
    agent, run = make_agent(), Run(tmp_path / "run", {})
    assert run.checkpoint_is_due  # so that a disk that is too slow or too small is found early
    started = time.perf_counter()
    run.checkpoint(agent)
    cost = time.perf_counter() - started
    assert not run.checkpoint_is_due
    time.sleep(1.1 * cost / 0.25)
    assert run.checkpoint_is_due


def test_evaluations_are_kept(tmp_path: Path) -> None:
    agent, run = make_agent(), Run(tmp_path / "run", {})
    measured = {"before": measure(agent.policy, agent.reference, agent.envs, np.arange(8), seed=0)}
    run.evaluation("before", measured["before"], agent.policy.tokenizer)
    batch = agent.collect()
    run.record(agent.update(batch), batch, agent.policy.tokenizer)
    measured["after"] = measure(agent.policy, agent.reference, agent.envs, np.arange(8), seed=1)
    run.evaluation("after", measured["after"], agent.policy.tokenizer)
    assert {file.name for file in (run.folder / "evaluation").iterdir()} == {"before.parquet", "after.parquet"}
    for updates, (name, expected) in enumerate(measured.items()):
        frame = pd.read_parquet(run.folder / "evaluation" / f"{name}.parquet")
        assert frame["completion"].tolist() == expected.episodes.completions
        assert frame["kl_exact"].tolist() == expected.divergence.exact.tolist()
        assert set(frame["update"]) == {updates}


def test_versions_name_what_results_depend_on() -> None:
    assert set(versions()) == {"python", "textenv", "gymnasium", "numpy", "torch", "transformers"}
    assert versions()["torch"].split("+")[0] == torch.__version__.split("+")[0]


def snapshot(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_only_its_own_parts_are_dropped(tmp_path: Path) -> None:
    _, run = started(tmp_path / "run", 2)
    episodes = run.folder / "episodes"
    (episodes / "folder").mkdir()
    (episodes / "part-00009.parquet").mkdir()
    outside = tmp_path / "outside.parquet"
    outside.write_text("theirs")
    (episodes / "part-00008.parquet").symlink_to(outside)
    (episodes / "part-00007.parquet").symlink_to(tmp_path)
    (episodes / "part-00006.parquet").symlink_to(tmp_path / "nothing")
    mine = ("notes.txt", "part-1.csv", "part-x.parquet", "part-00003.parquet.bak", "my part-00003.parquet", "folder/part-00003.parquet")
    for name in mine:
        (episodes / name).write_text("mine")
    for name in ("part-00003.parquet", "part-00004.parquet.new", "part-00001.parquet.new"):
        (episodes / name).write_text("dropped")
    again = Run(run.folder, SETTINGS, resume=True)
    again.restore(make_agent())
    again.close()
    left = {path.relative_to(episodes).as_posix() for path in episodes.rglob("*")}
    parts = {"part-00001.parquet", "part-00002.parquet", "part-00009.parquet"}
    assert left == {*mine, "folder", *parts}
    assert outside.read_text() == "theirs"


def test_nothing_is_dropped_before_the_run_is_accepted(tmp_path: Path) -> None:
    agent, run = started(tmp_path / "run", 2)
    batch = agent.collect()
    run.record(agent.update(batch), batch, agent.policy.tokenizer)
    (run.folder / "evaluations.csv").write_text("update,score\n0,1\n0,1\n")  # the last that is read
    before = snapshot(run.folder)
    again = Run(run.folder, SETTINGS, resume=True)
    with pytest.raises(LoadError, match=r"evaluations\.csv is damaged: update 0 comes twice"):
        again.restore(make_agent())
    again.close()
    assert snapshot(run.folder) == before


@pytest.mark.parametrize("linked", ["episodes", "evaluation", "checkpoint", "model", "metrics.csv", "config.json", "summary.json"])
def test_a_link_lets_a_run_finish_and_nothing_behind_it_changes(linked: str, tmp_path: Path) -> None:
    agent, run = started(tmp_path / "run", 2)
    measured = measure(agent.policy, agent.reference, agent.envs, np.arange(2), seed=0)
    run.evaluation("before", measured, agent.policy.tokenizer)
    batch = agent.collect()
    run.record(agent.update(batch), batch, agent.policy.tokenizer)  # newer than the checkpoint
    run.finish(agent, {"score": 0.5})
    (run.folder / "summary.json").rename(tmp_path / "summary.json")
    outside = tmp_path / "outside"
    if linked == "summary.json":
        (tmp_path / "summary.json").rename(outside)
    else:
        (run.folder / linked).rename(outside)
    if outside.is_dir():
        (outside / "thesis.tex").write_text("mine")
    (run.folder / linked).symlink_to(outside)
    before = snapshot(outside) if outside.is_dir() else {"": outside.read_bytes()}
    again, agent = Run(run.folder, SETTINGS, resume=True), make_agent(seed=5)
    again.restore(agent)
    again.evaluation("before", measured, agent.policy.tokenizer)
    batch = agent.collect()
    again.record(agent.update(batch), batch, agent.policy.tokenizer)
    again.checkpoint(agent)
    again.finish(agent, {"score": 0.5})
    again.close()
    assert (snapshot(outside) if outside.is_dir() else {"": outside.read_bytes()}) == before
    assert not (run.folder / linked).is_symlink()
    assert pd.read_csv(run.folder / "metrics.csv")["update"].tolist() == [1, 2, 3]
    assert sorted(path.name for path in (run.folder / "episodes").iterdir()) == [f"part-{n:05d}.parquet" for n in (1, 2, 3)]


@pytest.mark.parametrize("linked", ["episodes", "checkpoint"])
def test_a_disk_that_is_not_there_is_not_taken_for_a_new_run(linked: str, tmp_path: Path) -> None:
    _, run = started(tmp_path / "run", 1)
    (run.folder / linked).rename(tmp_path / "outside")
    (run.folder / linked).symlink_to(tmp_path / "gone")
    before = snapshot(run.folder)
    again = Run(run.folder, SETTINGS, resume=True)
    with pytest.raises(LoadError, match=linked):
        again.restore(make_agent())
    again.close()
    assert snapshot(run.folder) == before


def test_the_surroundings_of_every_process_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    agent, run = started(tmp_path / "run", 1)
    first = strict(run.folder / "config.json")
    assert first == {**SETTINGS, **surroundings()}
    present = surroundings()
    for threads, update in ((7, 1), (7, 2), (present["threads"], 2)):
        monkeypatch.setattr(run_module, "surroundings", lambda threads=threads: {**present, "threads": threads})
        again = Run(run.folder, SETTINGS, resume=True)
        again.restore(agent)
        changes = f"threads {threads} instead of {present['threads'] if threads == 7 else 7}"
        assert again.warnings == [f"{run.folder} goes on with {changes}: the results are not to the bit those of a run without a break."]
        if update == 1:
            batch = agent.collect()
            again.record(agent.update(batch), batch, agent.policy.tokenizer)
            again.checkpoint(agent)
        again.close()
    config = strict(run.folder / "config.json")
    sessions = [(session["update"], session["threads"]) for session in config.pop("resumed")]
    assert config == first
    assert sessions == [(1, 7), (2, present["threads"])]  # the one between has learnt nothing
    assert find_run(run.folder, SETTINGS, resume=True) is None


def test_a_run_that_another_process_starts_meanwhile_is_not_written_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def late(folder: Path) -> FolderLock:
        monkeypatch.undo()
        Run(folder, SETTINGS).close()  # whole, between the first look and the lock
        return FolderLock(folder)

    monkeypatch.setattr(run_module, "FolderLock", late)
    with pytest.raises(ArgumentError, match="run exists already; go on with --resume"):
        Run(tmp_path / "run", {**SETTINGS, "seed": 9})
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["config.json"]
    assert find_run(tmp_path / "run", SETTINGS, resume=True) is None


@pytest.mark.skipif(os.name == "nt", reason="Windows has no flock")
def test_a_run_that_is_written_is_refused_before_anything_is_loaded(tmp_path: Path) -> None:
    run = Run(tmp_path / "run", SETTINGS)
    with pytest.raises(ArgumentError, match="run is being written by this process"):
        find_run(run.folder, SETTINGS, resume=True)
    run.close()
    assert find_run(run.folder, SETTINGS, resume=True) is None


@pytest.mark.skipif(os.name == "nt", reason="Windows moves no folder that has an open file")
def test_nothing_is_written_where_another_run_is_now(tmp_path: Path) -> None:
    agent, run = make_agent(), Run(tmp_path / "run", SETTINGS)
    batch, tokenizer = agent.collect(), agent.policy.tokenizer
    measured = measure(agent.policy, agent.reference, agent.envs, np.arange(2), seed=0)
    run.folder.rename(tmp_path / "moved")
    other = Run(tmp_path / "run", {**SETTINGS, "seed": 1})
    before = snapshot(other.folder)
    for write in (
        lambda: run.restore(agent),
        lambda: run.record({"score": 0.5}, batch, tokenizer),
        lambda: run.evaluated({"update": 1}),
        lambda: run.evaluation("before", measured, tokenizer),
        lambda: run.checkpoint(agent),
        lambda: run.keep_failed(batch),
        lambda: run.finish(agent, {}),
    ):
        with pytest.raises(SaveError, match="run was moved or deleted while it was written"):
            write()
        assert snapshot(other.folder) == before
    run.close()
    other.close()


def test_the_same_surroundings_say_nothing(tmp_path: Path) -> None:
    agent, run = started(tmp_path / "run", 1)
    again = Run(run.folder, SETTINGS, resume=True)
    again.restore(agent)
    again.close()
    assert again.warnings == []


def test_a_free_folder_is_the_first_of_a_row(tmp_path: Path) -> None:
    assert free_folder(tmp_path / "a") == last_folder(tmp_path / "a") == tmp_path / "a"
    (tmp_path / "a").mkdir()
    assert free_folder(tmp_path / "a") == tmp_path / "a"
    for taken in ("a/file", "a-2", "a-4"):
        (tmp_path / taken).touch()
    assert free_folder(tmp_path / "a") == tmp_path / "a-3"
    assert last_folder(tmp_path / "a") == tmp_path / "a-2"
    (tmp_path / "a-3").symlink_to(tmp_path / "nothing")
    assert free_folder(tmp_path / "a") == tmp_path / "a-5"


def test_metrics_that_lack_an_update_are_refused(tmp_path: Path) -> None:
    _, run = started(tmp_path / "run", 2)
    file = run.folder / "metrics.csv"
    pd.read_csv(file).iloc[[1]].to_csv(file, index=False)
    before = snapshot(run.folder)
    again = Run(run.folder, SETTINGS, resume=True)
    with pytest.raises(LoadError, match=r"metrics\.csv is damaged: it lacks update 1"):
        again.restore(make_agent())
    again.close()
    assert snapshot(run.folder) == before


def test_metrics_of_another_version_are_gone_on_with(tmp_path: Path) -> None:
    agent, run = started(tmp_path / "run", 2)
    file = run.folder / "metrics.csv"
    table = pd.read_csv(file)
    older = table.drop(columns="reward").assign(gone=[1, 2])[["update", "gone", *[c for c in table if c not in ("update", "reward")]]]
    older.to_csv(file, index=False)
    again = Run(run.folder, SETTINGS, resume=True)
    again.restore(agent)
    batch = agent.collect()
    metrics = agent.update(batch)
    again.record(metrics, batch, agent.policy.tokenizer)
    again.close()
    mixed = pd.read_csv(file)
    assert mixed["update"].tolist() == [1, 2, 3]
    assert mixed["score"].tolist() == pytest.approx([*table["score"], metrics["score"]])
    assert mixed["reward"].isna().tolist() == [True, True, False]
    assert mixed["gone"].isna().tolist() == [False, False, True]


@pytest.mark.parametrize("size", [128, 192, 512])
def test_a_default_that_changed_is_the_number_it_stands_for(size: int, tmp_path: Path) -> None:
    present = {"episodes_per_update": size, "micro_batch_size": None, "minibatch_size": None, "epochs": 1}
    number = minibatch(PPOConfig(episodes_per_update=size))
    for name, options in (("earlier", {**present, "minibatch_size": number}), ("present", present)):
        Run(tmp_path / name, {"agent": "ppo", "algorithm": options}).close()
        for given in (present, {**present, "minibatch_size": number}):
            config = {"agent": "ppo", "task": {}, "algorithm": given}  # an earlier version knew no `task`
            assert find_run(tmp_path / name, config, resume=True) is None
        with pytest.raises(ArgumentError, match=f"was started with algorithm.minibatch_size={number}, not 64"):
            find_run(tmp_path / name, {"agent": "ppo", "algorithm": {**present, "minibatch_size": 64}}, resume=True)


@pytest.mark.parametrize("missing", [1, 2, 3])
@pytest.mark.parametrize("linked", [False, True])
def test_a_run_without_the_episodes_that_count_is_not_gone_on_with(missing: int, linked: bool, tmp_path: Path) -> None:
    _, run = started(tmp_path / "run", 3)
    episodes = run.folder / "episodes"
    part = episodes / f"part-{missing:05d}.parquet"
    if linked:
        episodes.rename(tmp_path / "outside")
        episodes.symlink_to(tmp_path / "outside")
    content = part.read_bytes()
    part.unlink()
    before = snapshot(run.folder)
    again = Run(run.folder, SETTINGS, resume=True)
    with pytest.raises(LoadError, match=rf"part-0000{missing}\.parquet is missing; restore it from a copy"):
        again.restore(make_agent())
    again.close()
    assert snapshot(run.folder) == before
    part.write_bytes(content)
    again = Run(run.folder, SETTINGS, resume=True)
    again.restore(make_agent())
    again.close()
    assert again.counters.updates == 3


def test_a_run_starts_in_the_next_folder_where_one_is_taken(tmp_path: Path) -> None:
    other = Run(tmp_path / "run", SETTINGS)
    run = start_run(tmp_path / "run", SETTINGS, resume=False, following=lambda: free_folder(tmp_path / "run"))
    assert run.folder == tmp_path / "run-2"
    assert strict(run.folder / "config.json")["out"] == str(run.folder)
    for following in (None, lambda: tmp_path / "run"):
        with pytest.raises(ArgumentError, match="run is being written by this process"):
            start_run(tmp_path / "run", SETTINGS, resume=False, following=following)
    other.close()
    run.close()
