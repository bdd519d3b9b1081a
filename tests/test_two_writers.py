"""A folder that a process is writing is refused to others before they do any work, and one that goes away ends the writer."""

import contextlib
import multiprocessing
import os
import shutil
import signal
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch

from textenv.agents.ppo import PPO
from textenv.cli import main
from textenv.files import LOCK
from textenv.reports import run as run_module

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork and SIGKILL")

SMALL = "--num-envs 16 --eval-prompts 2 --episodes-per-update 16 --group-size 4 --minibatch-size 8 --learning-rate 3e-3"


def nothing() -> None:
    """Prepare nothing."""


def linger(marker: Path) -> None:
    """Let every update from the third on wait until the marker is removed."""
    patch, real = pytest.MonkeyPatch(), PPO.update

    def update(agent: Any, episodes: Any) -> Any:
        if agent.episodes >= 32 and not marker.with_name("go").exists():
            marker.touch()
            while marker.exists():
                time.sleep(0.01)
        return real(agent, episodes)

    patch.setattr(run_module, "CHECKPOINT_SHARE", 1e9)
    patch.setattr(PPO, "update", update)


def live(arguments: list[str], said: Path, prepare: Callable[[], None]) -> None:
    """Run the command line in this process, which is a child."""
    torch.set_num_threads(1)
    prepare()
    with said.open("w", buffering=1) as file, contextlib.redirect_stderr(file), contextlib.redirect_stdout(file):
        main(arguments)


class Life:
    """A command in a process of its own, forked from a server that has imported everything."""

    def __init__(self, line: str, folder: Path, prepare: Callable[[], None] = nothing) -> None:
        self.said = folder / f"said-{time.monotonic_ns()}"
        context = multiprocessing.get_context("forkserver")
        self.process = context.Process(target=live, args=(line.split(), self.said, prepare))
        self.process.start()

    @property
    def pid(self) -> int:
        assert self.process.pid is not None
        return self.process.pid

    def end(self) -> tuple[int | None, str]:
        """Wait for the end; return the exit code and what was said."""
        self.process.join(60)
        return self.process.exitcode, self.said.read_text()


def wait_for(path: Path) -> None:
    for _ in range(3000):
        if path.exists():
            return
        time.sleep(0.01)
    raise AssertionError(f"{path} did not come")


@pytest.fixture
def writer(tmp_path: Path) -> Any:
    """A training of five updates that waits after the second, and its command."""
    line = f"train TextCopy-v0 --episodes 80 {SMALL} --out {tmp_path / 'run'}"
    life = Life(line, tmp_path, partial(linger, tmp_path / "waits"))
    wait_for(tmp_path / "waits")
    yield life, line
    life.process.kill()
    life.process.join()


def snapshot(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("stopped", [False, True])
def test_a_second_process_is_refused(stopped: bool, writer: Any, tmp_path: Path) -> None:
    life, line = writer
    if stopped:
        os.kill(life.pid, signal.SIGSTOP)
    before = snapshot(tmp_path / "run")
    sentence = (
        f"textenv: {tmp_path / 'run'} is being written by process {life.pid}; wait until it ends or stop it, or choose another --out.\n"
    )
    for options in (" --resume", "", " --resume --seed 5"):
        assert Life(line + options, tmp_path).end() == (2, sentence)
    assert snapshot(tmp_path / "run") == before
    os.kill(life.pid, signal.SIGCONT)
    (tmp_path / "waits").rename(tmp_path / "go")
    assert life.end()[0] == 0
    assert pd.read_csv(tmp_path / "run" / "metrics.csv")["update"].tolist() == [1, 2, 3, 4, 5]
    assert not (tmp_path / "run" / LOCK).exists()
    code, said = Life(line + " --resume", tmp_path).end()
    assert (code, "is finished already" in said) == (0, True)


def test_a_killed_process_leaves_no_lock(writer: Any, tmp_path: Path) -> None:
    life, line = writer
    life.process.kill()
    life.process.join()
    assert (tmp_path / "run" / LOCK).exists()
    assert Life(line + " --resume", tmp_path).end()[0] == 0
    assert pd.read_csv(tmp_path / "run" / "metrics.csv")["update"].tolist() == [1, 2, 3, 4, 5]
    assert not (tmp_path / "run" / LOCK).exists()


def test_many_at_once_and_one_writes(tmp_path: Path) -> None:
    line = f"train TextCopy-v0 --episodes 48 {SMALL} --out {tmp_path / 'run'} --resume"
    ends = [life.end() for life in [Life(line, tmp_path) for _ in range(4)]]
    assert {code for code, _ in ends} <= {0, 2}
    assert 0 in [code for code, _ in ends]
    for code, said in ends:
        assert ("is being written by" in said) == (code == 2), said
        assert "Traceback" not in said
    assert pd.read_csv(tmp_path / "run" / "metrics.csv")["update"].tolist() == [1, 2, 3]


@pytest.mark.parametrize("what", ["deleted", "moved", "replaced"])
def test_a_folder_that_goes_away_ends_the_run_with_a_sentence(what: str, writer: Any, tmp_path: Path) -> None:
    life, line = writer
    run, away = tmp_path / "run", tmp_path / "away"
    run.rename(away)
    if what == "deleted":
        shutil.rmtree(away)
    elif what == "replaced":
        assert Life(line.replace("--episodes 80", "--episodes 32"), tmp_path).end()[0] == 0
    before = snapshot(run) if what == "replaced" else None
    (tmp_path / "waits").rename(tmp_path / "go")
    code, said = life.end()
    assert code == 1
    assert f"textenv: {run} was moved or deleted while it was written" in said
    assert "Traceback" not in said
    if what == "replaced":
        assert snapshot(run) == before
    else:
        assert not run.exists()
    if what == "moved":
        assert Life(line.replace(str(run), str(away)) + " --resume", tmp_path).end()[0] == 0
        assert pd.read_csv(away / "metrics.csv")["update"].tolist() == [1, 2, 3, 4, 5]


def test_every_command_that_writes_for_long_has_its_folder_for_itself(tmp_path: Path) -> None:
    (tmp_path / "texts.txt").write_text("".join(f"a word {i} and more of it\n" for i in range(40)))
    (tmp_path / "pairs.jsonl").write_text('{"prompt": "a", "responses": ["b", "c"], "ranks": [1, 2]}\n' * 8)
    out = tmp_path / "out"
    lines = [
        f"sft {tmp_path / 'texts.txt'} --model tiny-en --out {out}",
        f"dpo {tmp_path / 'pairs.jsonl'} --model tiny-en --out {out}",
        f"reward {tmp_path / 'pairs.jsonl'} --model tiny-en --out {out}",
        f"frontier TextCopy-v0 --out {out}",
    ]
    out.mkdir()
    child = Life(f"sft {tmp_path / 'texts.txt'} --model tiny-en --out {out}", tmp_path, hold)
    wait_for(out / LOCK)
    for line in lines:
        code, said = Life(line, tmp_path).end()
        assert (code, said) == (
            2,
            f"textenv: {out} is being written by process {child.pid}; wait until it ends or stop it, or choose another --out.\n",
        )
    child.process.terminate()
    child.process.join()
    assert Life(lines[0] + " --epochs 1", tmp_path).end()[0] == 0
    assert not (out / LOCK).exists()
    code, said = Life(lines[0], tmp_path).end()
    assert (code, said) == (2, f"textenv: {out} exists already; choose another --out or remove it.\n")


def hold() -> None:
    """Let fine-tuning take a minute."""
    import textenv.commands.sft

    pytest.MonkeyPatch().setattr(textenv.commands.sft, "fine_tune", lambda *args, **options: time.sleep(60))
