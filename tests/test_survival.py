"""Runs that are killed, wherever and whenever, and go on to the same bits."""

import io
import json
import multiprocessing
import os
import random
import shlex
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from rich.console import Console

from textenv.agents.ppo import PPO, PPOConfig
from textenv.checkpoint import load_state
from textenv.files import LOCK
from textenv.reports import run as run_module
from textenv.reports.run import Run
from textenv.training import TrainConfig, command, train

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork and SIGKILL")

SMALL = PPOConfig(episodes_per_update=16, group_size=4, minibatch_size=8, learning_rate=3e-3, kl_coef=0.05, kl_target=0.5)

UPDATES = 8


def config(out: Path, updates: int, resume: bool = False) -> TrainConfig:
    return TrainConfig(env="TextCopy-v0", episodes=16 * updates, num_envs=16, eval_prompts=2, algorithm=SMALL, out=out, resume=resume)


def live(settings: TrainConfig, seed: int, prepare: Callable[[], None]) -> None:
    """Train in this process, which is a child; `seed` is of the global generators."""
    torch.set_num_threads(1)
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)
    prepare()
    train(settings, Console(file=io.StringIO()))


def nothing() -> None:
    """Prepare nothing."""


def start(settings: TrainConfig, seed: int = 0, prepare: Callable[[], None] = nothing) -> Any:
    """Start a life in a process of its own.

    It is forked from a server that has imported everything and computed nothing: quick, and no thread that a fork could break.
    """
    context = multiprocessing.get_context("forkserver")
    process = context.Process(target=live, args=(settings, seed, prepare))
    process.start()
    return process


def lives(several: list[Any]) -> list[int]:
    """Wait for processes; return their exit codes, negative for a signal."""
    for process in several:
        process.join()
    return [process.exitcode for process in several]


def outcome(folder: Path) -> dict[str, Any]:
    """All that a run leaves, without what a clock wrote."""
    state = json.loads((folder / "checkpoint" / "state.json").read_text())
    state["state"]["__items__"] = [item for item in state["state"]["__items__"] if item[0] != "seconds"]
    summary = json.loads((folder / "summary.json").read_text())
    del summary["train_seconds"]
    files = [*folder.glob("episodes/*"), *folder.glob("model/*"), folder / "checkpoint" / "state.safetensors"]
    return {
        **{path.relative_to(folder).as_posix(): path.read_bytes() for path in files},
        "names": sorted(path.name for path in folder.iterdir()),
        "state": state,
        "summary": summary,
        "metrics": pd.read_csv(folder / "metrics.csv").drop(columns=["seconds", "tokens_per_second"]).to_csv(),
    }


def die_at(boundary: int, kind: str = "") -> None:
    """Kill this process before the n-th call that touches the disk, or call of a kind, from the recording of the second update on.

    A file that is synced counts twice: as it is, and without its last bytes, which were not on the disk yet.
    """
    left, armed = boundary, False

    def pass_boundary(name: str, tear: Callable[[], None] = nothing) -> None:
        nonlocal left
        left -= armed and kind in ("", name)
        if left == 0:
            tear()
            os.kill(os.getpid(), signal.SIGKILL)

    def before(name: str, real: Any, *args: Any, **options: Any) -> Any:
        if name == "fsync" and stat.S_ISREG(os.fstat(args[0]).st_mode):
            pass_boundary("torn", lambda: os.ftruncate(args[0], os.fstat(args[0]).st_size - 7))
        pass_boundary(name)
        return real(*args, **options)

    def before_opening(event: str, args: tuple[Any, ...]) -> None:
        if event == "open" and set(str(args[1])) & set("wax+"):
            pass_boundary(event)

    def record(run: Any, *recorded: Any) -> None:
        nonlocal armed
        armed = armed or run.counters.updates == 1
        real_record(run, *recorded)

    sys.addaudithook(before_opening)
    patch, real_record = pytest.MonkeyPatch(), Run.record
    for name in ("fsync", "rename", "replace", "unlink", "rmdir", "mkdir"):
        patch.setattr(os, name, partial(before, name, getattr(os, name)))
    patch.setattr(run_module, "CHECKPOINT_SHARE", 1e9)  # a checkpoint after every update
    patch.setattr(Run, "record", record)


def differences(folder: Path, expected: dict[str, Any]) -> list[str]:
    found = outcome(folder)
    return [name for name in expected.keys() | found.keys() if found.get(name) != expected.get(name)]


def test_death_at_a_call_of_every_kind(tmp_path: Path) -> None:
    assert lives([start(config(tmp_path / "straight", 2))]) == [0]
    expected, kinds = outcome(tmp_path / "straight"), ("open", "torn", "fsync", "replace", "rename", "unlink", "rmdir", "mkdir")
    codes = lives([start(config(tmp_path / kind, 2), prepare=partial(die_at, 1, kind)) for kind in kinds])
    assert dict(zip(kinds, codes, strict=True)) == dict.fromkeys(kinds, -signal.SIGKILL)
    assert lives([start(config(tmp_path / kind, 2, resume=True), seed=1) for kind in kinds]) == [0] * len(kinds)
    assert {kind: differences(tmp_path / kind, expected) for kind in kinds} == {kind: [] for kind in kinds}


@pytest.mark.slow
def test_death_at_every_call_that_touches_the_disk(tmp_path: Path) -> None:
    assert lives([start(config(tmp_path / "straight", 2))]) == [0]
    expected = outcome(tmp_path / "straight")
    deaths, unfinished = 0, 0
    while True:
        boundaries = range(deaths + 1, deaths + 5)
        codes = lives([start(config(tmp_path / str(n), 2), prepare=partial(die_at, n)) for n in boundaries])
        killed = [n for n, code in zip(boundaries, codes, strict=True) if code == -signal.SIGKILL]
        deaths += len(killed)
        unfinished += sum(bool(list((tmp_path / str(n)).rglob("*.new"))) for n in killed)
        # Other global generators, as in any new process: the checkpoint's must count.
        resumed = lives([start(config(tmp_path / str(n), 2, resume=True), seed=n) for n in killed])
        assert resumed == [0] * len(killed)
        assert [differences(tmp_path / str(n), expected) for n in killed] == [[]] * len(killed)
        if 0 in codes:
            break
    assert deaths == boundaries[0] - 1 + codes.index(0)  # none of them missed
    assert deaths > 50
    assert unfinished > 20


@pytest.mark.slow
def test_death_at_25_random_moments(tmp_path: Path) -> None:
    assert lives([start(config(tmp_path / "warm", 1))]) == [0]
    started = time.perf_counter()
    assert lives([start(config(tmp_path / "straight", UPDATES))]) == [0]
    seconds = time.perf_counter() - started
    expected = outcome(tmp_path / "straight")
    codes = []
    for n, delay in enumerate(np.random.default_rng(0).permutation(25) / 25 * seconds):
        process = start(config(tmp_path / str(n), UPDATES))
        time.sleep(delay)
        process.kill()
        codes += lives([process, start(config(tmp_path / str(n), UPDATES, resume=True))])
        assert differences(tmp_path / str(n), expected) == []
    assert codes[1::2] == [0] * 25
    assert codes[::2].count(-signal.SIGKILL) >= 15


def linger(marker: Path) -> None:
    """Let the second update last for a minute."""
    patch, real = pytest.MonkeyPatch(), PPO.update

    def update(agent: Any, episodes: Any) -> Any:
        if agent.episodes > 0:
            marker.touch()
            time.sleep(60)
        return real(agent, episodes)

    patch.setattr(run_module, "CHECKPOINT_SHARE", 1e9)
    patch.setattr(PPO, "update", update)


@pytest.mark.slow
def test_a_second_signal_ends_at_once_and_the_last_checkpoint_stays(tmp_path: Path) -> None:
    assert lives([start(config(tmp_path / "straight", 2))]) == [0]
    process = start(config(tmp_path / "run", 2), prepare=partial(linger, tmp_path / "lingers"))
    wait_for(tmp_path / "lingers")
    os.kill(process.pid, signal.SIGTERM)
    process.join(0.5)
    assert process.exitcode is None
    os.kill(process.pid, signal.SIGTERM)
    process.join(20)
    assert process.exitcode == -signal.SIGTERM
    assert load_state(tmp_path / "run" / "checkpoint")["updates"] == 1
    assert lives([start(config(tmp_path / "run", 2, resume=True), seed=1)]) == [0]
    assert differences(tmp_path / "run", outcome(tmp_path / "straight")) == []


def interrupt_at(seconds: float) -> None:
    """Send this process two SIGINTs, of which the second raises KeyboardInterrupt wherever it is, so long after its second update.

    By then there is a checkpoint, which says where the generators stood that a process has of its own.
    """
    real, armed = Run.record, False

    def interrupt(number: int, frame: Any) -> None:
        for _ in range(2):
            os.kill(os.getpid(), signal.SIGINT)

    def record(run: Any, *recorded: Any) -> None:
        nonlocal armed
        if not armed and run.counters.updates == 1:
            armed = True
            signal.signal(signal.SIGALRM, interrupt)
            signal.setitimer(signal.ITIMER_REAL, seconds)
        real(run, *recorded)

    patch = pytest.MonkeyPatch()
    patch.setattr(run_module, "CHECKPOINT_SHARE", 1e9)
    patch.setattr(Run, "record", record)


@pytest.mark.parametrize("moments", [(0.001, 0.05), pytest.param(tuple(0.002 + 0.017 * n for n in range(20)), marks=pytest.mark.slow)])
def test_an_interrupt_at_any_moment_leaves_a_run_that_goes_on(moments: tuple[float, ...], tmp_path: Path) -> None:
    assert lives([start(config(tmp_path / "straight", 3))]) == [0]
    expected = outcome(tmp_path / "straight")
    codes = lives([start(config(tmp_path / str(n), 3), prepare=partial(interrupt_at, moment)) for n, moment in enumerate(moments)])
    assert codes[0] == 1  # of the KeyboardInterrupt
    assert not [n for n in range(len(moments)) if (tmp_path / str(n) / LOCK).exists()]
    assert lives([start(config(tmp_path / str(n), 3, resume=True), seed=1) for n in range(len(moments))]) == [0] * len(moments)
    assert {n: differences(tmp_path / str(n), expected) for n in range(len(moments))} == {n: [] for n in range(len(moments))}


def wait_for(path: Path) -> None:
    for _ in range(6000):
        if path.exists():
            return
        time.sleep(0.01)
    raise AssertionError(f"{path} did not come")


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_with_a_checkpoint_and_the_command_that_goes_on(number: signal.Signals, tmp_path: Path) -> None:
    words = shlex.split(command(config(Path("a run"), 60)))
    process = subprocess.Popen([sys.executable, "-m", *words], cwd=tmp_path, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    folder = tmp_path / "a run"
    wait_for(folder / "episodes" / "part-00003.parquet")
    process.send_signal(number)
    shown, errors = process.communicate(timeout=60)
    assert process.returncode == 128 + number
    assert "Traceback" not in errors
    assert "Stopping soon, so that nothing is lost" in errors
    sentences = [line for line in (shown + errors).splitlines() if line.startswith(f"Stopped by {number.name}; go on with: ")]
    assert len(sentences) == 1
    rest = sentences[0].partition("; go on with: ")[2]
    updates = load_state(folder / "checkpoint")["updates"]
    assert 3 <= updates < 60
    assert pd.read_csv(folder / "metrics.csv")["update"].tolist() == list(range(1, updates + 1))
    done = subprocess.run([sys.executable, "-m", *shlex.split(rest)], cwd=tmp_path, text=True, capture_output=True)
    assert done.returncode == 0, done.stderr
    assert f"a run: going on after {updates} updates" in done.stdout + done.stderr
    assert pd.read_csv(folder / "metrics.csv")["update"].tolist() == list(range(1, 61))
