"""Whatever happened to a file of a run, it is refused by a sentence or read, and nothing hangs."""

import contextlib
import copy
import functools
import json
import os
import re
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import gymnasium
import numpy as np
import pandas as pd
import pytest

from textenv.agents.ppo import PPO, PPOConfig
from textenv.checkpoint import global_generators, set_global_generators
from textenv.errors import ArgumentError, LoadError, SaveError
from textenv.models.policy import LanguagePolicy
from textenv.reports.html import write_report
from textenv.reports.loading import load_run
from textenv.reports.run import Run, find_run
from textenv.reports.watch import Watch

pytestmark = pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="needs signals to notice what hangs")

SETTINGS: Final = {"env": "TextCopy-v0", "seed": 0}
CONFIG: Final = PPOConfig(episodes_per_update=16, group_size=4, minibatch_size=8)

Damage = Callable[[Path], Any]


@functools.cache
def make_agent() -> PPO:
    """Make the one agent of these tests, which takes in checkpoint after checkpoint."""
    envs = gymnasium.make_vec("TextCopy-v0", num_envs=16)
    inner: Any = envs.unwrapped
    return PPO(LanguagePolicy.for_rules(inner.rules), envs, CONFIG)


@pytest.fixture(scope="module")
def whole(watched: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a run of two updates that was killed in its third and has evaluations, a model and the summary of another."""
    folder = tmp_path_factory.mktemp("damage") / "run"
    shutil.copytree(watched, folder, ignore=lambda _, names: {name for name in names if name in ("episodes", "checkpoint")})
    for name in ("config.json", "metrics.csv", "evaluations.csv"):
        (folder / name).unlink()
    shutil.move(folder, folder.with_name("rest"))
    agent, run, watch = make_agent(), Run(folder, dict(SETTINGS)), Watch(np.arange(2), 0, every=1)
    for update in range(3):
        run.evaluated(watch.look(agent, update))
        batch = agent.collect()
        run.record({**agent.update(batch), "distinct2": 0.5}, batch, agent.policy.tokenizer)
        watch.compare(update, score=np.array([0.5, 0.25]), judge=np.array([1.0, 0.1]))
        if update == 1:
            run.checkpoint(agent, watch)
    run.close()
    shutil.copytree(folder.with_name("rest"), folder, dirs_exist_ok=True)
    return folder


@contextlib.contextmanager
def within(seconds: float) -> Iterator[None]:
    """Raise where a block takes longer."""

    def ring(number: int, frame: Any) -> None:
        raise TimeoutError("it hangs")

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def resume(folder: Path) -> None:
    """Go on for an update, as training does."""
    (folder / "summary.json").unlink(missing_ok=True)
    find_run(folder, dict(SETTINGS), resume=True)
    run, agent, watch = Run(folder, dict(SETTINGS), resume=True), make_agent(), Watch(np.arange(2), 0, every=1)
    present = global_generators()
    try:
        at_start, here = run.restore(agent, watch)
        set_global_generators(at_start)
        set_global_generators(here)
        run.evaluated(watch.look(agent, run.counters.updates))
        batch = agent.collect()
        run.record({**agent.update(batch), "distinct2": 0.5}, batch, agent.policy.tokenizer)
        run.checkpoint(agent, watch)
    finally:
        set_global_generators(present)
        run.close()


def finished(folder: Path) -> None:
    find_run(folder, dict(SETTINGS), resume=True)


def report(folder: Path) -> None:
    load_run(folder)
    write_report([folder], folder.parent / "report.html")


READERS: Final = {"resume": resume, "finished": finished, "report": report}

FILES: Final = (
    "config.json",
    "summary.json",
    "metrics.csv",
    "evaluations.csv",
    "episodes/part-00002.parquet",
    "evaluation/before.parquet",
    "checkpoint/state.json",
    "checkpoint/state.safetensors",
    "checkpoint",
    "episodes",
    "evaluation",
)


def remove(file: Path) -> None:
    if file.is_dir():
        shutil.rmtree(file)
    else:
        file.unlink()


def put(content: bytes, file: Path) -> None:
    remove(file)
    file.write_bytes(content)


def link(target: str, file: Path) -> None:
    remove(file)
    file.symlink_to(target)


def fifo(file: Path) -> None:
    remove(file)
    os.mkfifo(file)


def folder_in_place(file: Path) -> None:
    remove(file)
    (file / "inside").mkdir(parents=True)


def edit(change: Callable[[bytes], bytes], file: Path) -> None:
    if file.is_file():
        file.write_bytes(change(file.read_bytes()))


def zero_the_middle(content: bytes) -> bytes:
    start = len(content) // 3
    size = min(65536, len(content) // 3)
    return content[:start] + bytes(size) + content[start + size :]


ANY_FILE: Final[dict[str, Damage]] = {
    "missing": remove,
    "empty": functools.partial(put, b""),
    "word": functools.partial(put, b"hello"),
    "number": functools.partial(put, b"5"),
    "list": functools.partial(put, b"[1, 2]"),
    "object": functools.partial(put, b"{}"),
    "nested lists": functools.partial(put, b"[" * 900 + b"]" * 900),
    "nested objects": functools.partial(put, b'{"a":' * 900 + b"1" + b"}" * 900),
    "zeros": functools.partial(put, bytes(10_000)),
    "garbage": functools.partial(put, np.random.default_rng(0).bytes(10_000)),
    "first half": functools.partial(edit, lambda content: content[: len(content) // 2]),
    "zeros in the middle": functools.partial(edit, zero_the_middle),
    "twice": functools.partial(edit, lambda content: content * 2),
    "fifo": fifo,
    "device": functools.partial(link, "/dev/zero"),
    "dangling link": functools.partial(link, "/nowhere/at/all"),
    "folder": folder_in_place,
}


def try_readers(whole: Path, folder: Path, damage: Callable[[Path], Any]) -> dict[str, str]:
    """Damage copies of a run, and return what each reader says, "" where it takes the run."""
    said = {}
    for name, reader in READERS.items():
        copied = Path(shutil.copytree(whole, folder / name / "run"))
        damage(copied)
        try:
            with within(20):
                reader(copied)
            said[name] = ""
        except (ArgumentError, LoadError, SaveError) as error:
            said[name] = str(error)
            assert re.search(re.escape(str(copied)), said[name]), said[name]
            assert "\n" not in said[name].strip() or name != "resume", said[name]
            assert len(said[name]) < 1500
    return said


PAIRS: Final = [(file, kind) for file in FILES for kind in ANY_FILE]
QUICK: Final = [("checkpoint/state.json", "fifo"), ("checkpoint/state.safetensors", "zeros in the middle"), *PAIRS[5::23]]


@pytest.mark.parametrize(("file", "kind"), [pytest.param(*pair, marks=() if pair in QUICK else pytest.mark.slow) for pair in PAIRS])
def test_a_damaged_file_is_refused_by_a_sentence_or_read(file: str, kind: str, whole: Path, tmp_path: Path) -> None:
    said = try_readers(whole, tmp_path, lambda folder: ANY_FILE[kind](folder / file))
    silent = {name for name, sentence in said.items() if not sentence}
    if file == "checkpoint/state.safetensors" or (file == "checkpoint/state.json" and kind != "missing"):
        assert "resume" not in silent, "a damaged checkpoint was taken"
    if file == "config.json":
        assert said["report"] or kind == "object"


def test_the_whole_run_is_read(whole: Path, tmp_path: Path) -> None:
    assert try_readers(whole, tmp_path, lambda folder: None) == dict.fromkeys(READERS, "")


VALUES: Final[tuple[Any, ...]] = ("x", 2.5, -1, 10**8, 10**30, True, None, [], ["a"], {"__items__": []}, [[1]])


@pytest.mark.slow
def test_every_value_of_a_checkpoint_is_looked_at(whole: Path, tmp_path: Path) -> None:
    content = json.loads((whole / "checkpoint" / "state.json").read_text())
    names = [name for name, _ in content["state"]["__items__"]]
    assert {"updates", "policy", "waiting", "watch", "global_generators"} <= set(names)
    taken = set()
    for name in names:
        for number, value in enumerate(VALUES):
            changed = copy.deepcopy(content)
            for item in changed["state"]["__items__"]:
                if item[0] == name:
                    item[1] = value
            folder = Path(shutil.copytree(whole, tmp_path / f"{name}-{number}"))
            (folder / "checkpoint" / "state.json").write_text(json.dumps(changed))
            try:
                with within(20):
                    resume(folder)
                taken.add((name, str(value)))
            except LoadError:
                pass
            shutil.rmtree(folder)
    refused = {name for name in names if not any(taken_name == name for taken_name, _ in taken)}
    assert {"updates", "policy", "agent", "optimiser", "generator", "global_generators", "order", "watch"} <= refused, taken


def test_a_generator_of_zeros_is_refused(whole: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    folder = Path(shutil.copytree(whole, tmp_path / "run"))
    state = folder / "checkpoint" / "state.json"
    content = json.loads(state.read_text())
    del content["crc32"]  # as an earlier version wrote it
    state.write_text(json.dumps(content))
    file = folder / "checkpoint" / "state.safetensors"
    tensors = load_file(file)
    for name in [name for name in tensors if "generator" in name]:
        zeroed = {**tensors, name: tensors[name] * 0}
        save_file(zeroed, file)
        with pytest.raises(LoadError, match="checkpoint cannot be used: "):
            resume(folder)
    save_file(tensors, file)
    resume(folder)


@pytest.mark.parametrize(
    ("file", "change"),
    [
        (file, change)
        for file in ("episodes/part-00002.parquet", "evaluation/before.parquet")
        for change in ("rows", "score", "prompt", "update", "tokens", "log_probs", "values", "length", "kl_exact")
    ],
)
def test_a_part_of_other_kinds_is_refused(file: str, change: str, whole: Path, tmp_path: Path) -> None:
    def damage(folder: Path) -> None:
        frame = pd.read_parquet(folder / file)
        if change == "rows":
            frame = frame.head(0)
        elif change in ("tokens", "log_probs", "values"):
            frame[change] = [["a"] * length for length in frame["length"]]
        else:
            frame[change] = 7 if change == "prompt" else "seven"
        frame.to_parquet(folder / file)

    said = try_readers(whole, tmp_path, damage)
    assert f"{file} holds no episodes of a run: " in said["report"]


@pytest.mark.parametrize(
    "table",
    [[], {}, 5, None, {"before": []}, {"before": {"score": "high", "n": 4}}, {"before": {"score": 0.5}}, {"before": {"n": "four"}}],
)
def test_a_summary_of_another_kind_is_refused(table: Any, whole: Path, tmp_path: Path) -> None:
    def damage(folder: Path) -> None:
        summary = json.loads((folder / "summary.json").read_text())
        (folder / "summary.json").write_text(json.dumps({**summary, "table": table}))

    said = try_readers(whole, tmp_path, damage)
    assert table == {} or "summary.json holds no summary of a run: " in said["report"]


def test_an_update_that_comes_twice_is_refused(whole: Path, tmp_path: Path) -> None:
    for file in ("metrics.csv", "evaluations.csv"):

        def damage(folder: Path, file: str = file) -> None:
            lines = (folder / file).read_bytes().splitlines(keepends=True)
            (folder / file).write_bytes(b"".join([*lines, lines[-2]]))

        said = try_readers(whole, tmp_path / file, damage)
        assert "update 2 comes twice" in said["resume"] or "update 1 comes twice" in said["resume"]
        assert re.search(r"update \d comes twice, as two processes have written it", said["report"])


Lines = Callable[[list[bytes]], list[bytes]]
METRICS: Final[dict[str, Lines]] = {
    "rows in another order": lambda lines: [lines[0], *reversed(lines[1:])],
    "two rows changed": lambda lines: [lines[0], lines[2], lines[1], *lines[3:]],
    "update 0": lambda lines: [lines[0], b"0" + lines[1][1:], *lines[2:]],
    "update 0 in front": lambda lines: [lines[0], b"0" + lines[1][1:], *lines[1:]],
    "the first row missing": lambda lines: [lines[0], *lines[2:]],
    "fewer than the checkpoint counts": lambda lines: lines[:2],
    "the head only": lambda lines: lines[:1],
}


@pytest.mark.parametrize("kind", [*METRICS, "missing"])
def test_metrics_that_are_not_the_updates_are_refused_by_all(kind: str, whole: Path, tmp_path: Path) -> None:
    def damage(folder: Path) -> None:
        file = folder / "metrics.csv"
        if kind == "missing":
            file.unlink()
        else:
            file.write_bytes(b"".join(METRICS[kind](file.read_bytes().splitlines(keepends=True))))

    said = try_readers(whole, tmp_path, damage)
    for reader in ("resume", "report"):
        assert "metrics.csv" in said[reader], said


def test_old_checkpoints_have_no_checksum(whole: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(whole, tmp_path / "run"))
    state = folder / "checkpoint" / "state.json"
    content = json.loads(state.read_text())
    assert isinstance(content.pop("crc32"), int)
    state.write_text(json.dumps(content))
    resume(folder)
