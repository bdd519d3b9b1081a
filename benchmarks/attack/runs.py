"""Run folders that are damaged, killed, written by two, full, linked elsewhere; and resumed."""

import contextlib
import json
import multiprocessing
import multiprocessing.connection
import os
import random
import resource
import shutil
import signal
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial
from pathlib import Path
from typing import Any, Final

import pandas as pd

from benchmarks.attack.outcomes import Outcome, Row, Try, fault_of, judge_command, outcome_of_call, outcome_of_command
from textenv import load_run

UPDATES: Final = 8
LONG: Final = 25
"""Updates of the runs that two processes write, long enough for them to meet."""
NESTED: Final = b"[" * 100_000
KILLS: Final = 8
SIZES: Final = (100, 5_000, 20_000, 100_000, 450_000, 1_000_000)
"""Bytes that a file may have, on a disk that is full at that."""


def command(folder: Path, updates: int = UPDATES) -> list[str]:
    """Return the command that trains a small run, or goes on with it."""
    options = {
        "--episodes": 16 * updates,
        "--num-envs": 16,
        "--eval-prompts": 2,
        "--episodes-per-update": 16,
        "--minibatch-size": 8,
        "--device": "cpu",
        "--out": folder,
    }
    return ["train", "TextCopy-v0", *(str(word) for option in options.items() for word in option), "--resume"]


class Life:
    """A command of textenv in a process of its own, forked from a server that has imported everything: quick to start."""

    def __init__(self, arguments: Sequence[str], output: Path, file_bytes: int | None = None) -> None:
        self.output = output
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(["textenv.training", "textenv.options", "pyarrow.parquet"])
        self.process = context.Process(target=_live, args=([*arguments], output, file_bytes))
        with _children:
            self.process.start()

    def wait(self, limit: float | None = None) -> Outcome:
        """Wait for its end and classify it; after the limit, by default our patience, it is killed."""
        limit = limit or _patience[0]
        in_time = multiprocessing.connection.wait([self.process.sentinel], limit)
        with _children:
            if not in_time:
                self.process.kill()
            self.process.join()
        if not in_time:
            return Outcome("hang", f"no end after {limit:g} s")
        return judge_command(self.process.exitcode, self.output.read_text(errors="replace") if self.output.exists() else "")

    def signal(self, number: signal.Signals) -> None:
        """Send a signal, if it still runs."""
        if self.process.exitcode is None:
            os.kill(self.process.pid or 0, number)


_children = threading.Lock()
"""Starting a process asks all others for their exit codes; where two threads ask for one, the second reads 255."""


def _live(arguments: list[str], output: Path, file_bytes: int | None) -> None:
    import torch

    from textenv.cli import main

    with output.open("wb") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    sys.stdout, sys.stderr = os.fdopen(1, "w"), os.fdopen(2, "w", buffering=1)
    os.setsid()
    torch.set_num_threads(1)
    if file_bytes is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (file_bytes, file_bytes))
    main(arguments)


def train(folder: Path, updates: int = UPDATES, limit: float | None = None, file_bytes: int | None = None) -> Outcome:
    """Train a run to its end, from where it is."""
    return Life(command(folder, updates), _output(folder), file_bytes).wait(limit)


_patience = [60.0]
"""Seconds after which a life counts as a hang: eight times those of an undisturbed run, on this machine as busy as it is."""


def _output(folder: Path, name: str = "output") -> Path:
    return folder.with_name(f"{folder.name}.{name}.txt")


def wait_for_update(folder: Path, update: int, limit: float = 40.0) -> None:
    """Wait until an update of a run is on the disk."""
    until = time.monotonic() + limit
    while time.monotonic() < until and not (folder / "episodes" / f"part-{update:05d}.parquet").exists():
        time.sleep(0.01)


def result(folder: Path) -> dict[str, Any]:
    """Return what a run has learnt and recorded, without what a clock wrote."""
    files = [*folder.glob("model/*"), *folder.glob("episodes/part-*.parquet")]
    metrics = pd.read_csv(folder / "metrics.csv").drop(columns=["seconds", "tokens_per_second"])
    return {
        **{path.relative_to(folder).as_posix(): path.read_bytes() for path in files if path.is_file()},
        "metrics.csv": metrics.to_csv(index=False),
        "updates": metrics["update"].tolist(),
    }


def difference(folder: Path, expected: Mapping[str, Any], *, without: str = "nothing") -> str:
    """Tell in what a finished run differs from an undisturbed one; empty if in nothing.

    Args:
        folder: of the run.
        expected: `result` of the other.
        without: files whose name begins like this may differ.
    """
    outcome = outcome_of_call(lambda: result(folder))
    if outcome.kind != "taken":
        return f"cannot be compared: {outcome.said}"
    updates = outcome.value["updates"]
    if len(set(updates)) < len(updates):
        return f"{len(updates) - len(set(updates))} updates are doubled in metrics.csv"
    if updates != expected["updates"]:
        return f"the updates are {updates}"
    names = [name for name in expected.keys() | outcome.value.keys() if not name.startswith(without)]
    differ = sorted(name for name in names if outcome.value.get(name) != expected.get(name))
    return f"{', '.join(differ[:3])} differ from an undisturbed run" if differ else ""


@cache
def undisturbed(root: Path, updates: int) -> dict[str, Any]:
    """Return the result of a run that nothing befell."""
    folder = root / f"straight-{updates}"
    begun = time.monotonic()
    outcome = train(folder, updates, 240)
    _patience[0] = max(60.0, 8 * (time.monotonic() - begun))
    if outcome.kind != "taken":
        raise RuntimeError(f"the undisturbed run ended with {outcome.said}")
    return result(folder)


def stopped(folder: Path, updates: int = UPDATES) -> Path:
    """Make a run that was stopped after some updates, with a checkpoint."""
    for _ in range(5):  # on a busy machine a run may come to its end before the signal comes
        life = Life(command(folder, updates), _output(folder))
        wait_for_update(folder, 2)
        life.signal(signal.SIGTERM)
        life.wait()
        if (folder / "checkpoint").is_dir() and not (folder / "summary.json").exists():
            return folder
        shutil.rmtree(folder)
    raise RuntimeError(f"{folder} was not stopped in time")


# Damage


def _write(data: bytes) -> Callable[[Path], Any]:
    return lambda path: path.write_bytes(data)


def _cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def _zeros(path: Path) -> None:
    path.write_bytes(bytes(path.stat().st_size))


def _noise(path: Path, seed: int) -> None:
    generator, data = random.Random(seed), bytearray(path.read_bytes())
    for _ in range(20):
        data[generator.randrange(len(data))] = generator.randrange(256)
    path.write_bytes(data)


def _hole(path: Path) -> None:
    """Lose a block in the middle, as a power cut may do."""
    data = path.read_bytes()
    middle = len(data) // 2
    path.write_bytes(data[:middle] + bytes(min(4096, len(data) - middle)) + data[middle + 4096 :])


def _in_place(make: Callable[[Path], Any]) -> Callable[[Path], None]:
    def damage(path: Path) -> None:
        path.unlink()
        make(path)

    return damage


DAMAGES: Final[dict[str, Callable[[Path], Any]]] = {
    "empty": _write(b""),
    "cut": _cut,
    "zeros": _zeros,
    "noise": partial(_noise, seed=0),
    "a hole": _hole,
    "nested": _write(NESTED),
    "a list": _write(b"[]"),
    "a number": _write(b"5"),
    "an object": _write(b"{}"),
    "missing": _in_place(lambda path: None),
    "a folder": _in_place(lambda path: path.mkdir()),
    "a pipe": _in_place(os.mkfifo),
    "/dev/zero": _in_place(lambda path: path.symlink_to("/dev/zero")),
    "a link to itself": _in_place(lambda path: path.symlink_to(path)),
}
FILES: Final = (
    *("config.json", "metrics.csv", "checkpoint/state.json", "checkpoint/state.safetensors"),
    *("episodes/part-00001.parquet", "evaluation/before.parquet"),
)
FINISHED_FILES: Final = (*FILES[:2], *FILES[4:], "summary.json", "evaluation/after.parquet")


def _rows(change: Callable[[list[str]], list[str]]) -> Callable[[Path], None]:
    """Change the lines of a table."""

    def damage(path: Path) -> None:
        path.write_text("".join(f"{line}\n" for line in change(path.read_text().splitlines())))

    return damage


def _field(place: int, value: str) -> Callable[[Path], None]:
    def change(lines: list[str]) -> list[str]:
        cells = lines[1].split(",")
        cells[place] = value
        return [lines[0], ",".join(cells), *lines[2:]]

    return _rows(change)


TABLES: Final[dict[str, Callable[[Path], Any]]] = {
    "a row twice": _rows(lambda lines: [*lines[:2], *lines[1:]]),
    "all rows twice": _rows(lambda lines: [*lines, *lines[1:]]),
    "a row missing": _rows(lambda lines: [lines[0], *lines[2:]]),
    "the head only": _rows(lambda lines: lines[:1]),
    "no head": _rows(lambda lines: lines[1:]),
    "rows in another order": _rows(lambda lines: [lines[0], *reversed(lines[1:])]),
    "a cell more": _rows(lambda lines: [lines[0], lines[1] + ",7", *lines[2:]]),
    "a cell less": _rows(lambda lines: [lines[0], lines[1].rpartition(",")[0], *lines[2:]]),
    **{f"update {value!r}": _field(0, value) for value in ("x", "", "0", "-1", "1.5", "1e9", "nan", "9" * 400)},
    **{f"score {value!r}": _field(2, value) for value in ("x", "\x1b[2J", "<script>")},
}


def _state(name: str, value: Any) -> Callable[[Path], None]:
    """Set a value of the state, wherever it stands in the file."""

    def change(node: Any) -> Any:
        if isinstance(node, dict):
            return {key: value if key == name else change(inner) for key, inner in node.items()}
        if isinstance(node, list) and len(node) == 2 and node[0] == name:
            return [name, value]
        return [change(inner) for inner in node] if isinstance(node, list) else node

    def damage(path: Path) -> None:
        path.write_text(json.dumps(change(json.loads(path.read_text()))))

    return damage


def _states(name: str, *values: Any) -> dict[str, Callable[[Path], Any]]:
    return {f"{name} {value!r:.20}": _state(name, value) for value in values}


STATES: Final[dict[str, Callable[[Path], Any]]] = {
    **_states("updates", "x", 2.5, -1, 10**8, 10**400, None, 99),
    **_states("tokens", "x", None),
    **_states("seconds", "x", None),
    **_states("first", "x", None),
    **_states("global_generators", None, 5, [[], []]),
    **_states("format", 99, "x"),
    "900 levels": _state("told", json.loads("[" * 450 + "]" * 450)),
}


def _safetensors(length: int, header: bytes = b"{}") -> Callable[[Path], Any]:
    return _write(struct.pack("<Q", length) + header + bytes(100))


def _shape(shape: list[int], dtype: str = "F32", ends: tuple[int, int] = (0, 100)) -> Callable[[Path], Any]:
    header = json.dumps({"a": {"dtype": dtype, "shape": shape, "data_offsets": ends}}).encode()
    return _safetensors(len(header), header)


HEADERS: Final[dict[str, Callable[[Path], Any]]] = {
    **{f"a header of {length} bytes": _safetensors(length) for length in (0, 2**63, 2**64 - 1, 2**40, 99_000_000)},
    "a nested header": _safetensors(100_000, NESTED),
    "a shape of 2**80": _shape([2**40, 2**40]),
    "a shape below 0": _shape([-25]),
    "an unknown type": _shape([25], "X99"),
    "ends beyond the file": _shape([25], ends=(0, 10**12)),
    "ends that are turned": _shape([25], ends=(100, 0)),
}


def _all_damages() -> list[tuple[str, str, Callable[[Path], Any]]]:
    pairs = [(file, name, damage) for file in FILES[:4] for name, damage in DAMAGES.items()]
    # What resuming need not read is damaged in fewer ways.
    pairs += [(file, name, DAMAGES[name]) for file in FILES[4:] for name in ("empty", "zeros", "missing", "a folder")]
    pairs += [("metrics.csv", name, damage) for name, damage in TABLES.items()]
    pairs += [("checkpoint/state.json", name, damage) for name, damage in STATES.items()]
    pairs += [("checkpoint/state.safetensors", name, damage) for name, damage in HEADERS.items()]
    return pairs


def _copy(base: Path, folder: Path, file: str, damage: Callable[[Path], Any]) -> Path:
    shutil.copytree(base, folder)
    damage(folder / file)
    return folder


def resumed(folder: Path, seed: int) -> Iterator[Try]:
    """Resume each damaged run: a sentence, or the bits of an undisturbed run."""
    base, expected = stopped(folder / "base"), undisturbed(folder, UPDATES)
    pairs = _all_damages()

    def attempt(number: int) -> Outcome:
        file, _, damage = pairs[number]
        return train(_copy(base, folder / str(number), file, damage))

    with ThreadPoolExecutor(2) as pool:
        for number, outcome in enumerate(pool.map(attempt, range(len(pairs)))):
            file, name, _ = pairs[number]
            fault = fault_of(outcome)
            if not fault and outcome.kind == "taken":
                # In a part, and in the cells of a table, another number cannot be told from the right one.
                unseen = file.startswith("episodes") or name.startswith(("noise", "score"))
                without = file if unseen else "nothing"
                fault = difference(folder / str(number), expected, without=without)
            shutil.rmtree(folder / str(number), ignore_errors=True)
            yield Try(f"{file}: {name}", fault)


def other_columns(folder: Path, seed: int) -> Iterator[Try]:
    """Resume runs whose table of metrics has the columns of another version: rows stay under their names."""
    base, expected = stopped(folder / "base"), undisturbed(folder, UPDATES)
    scores = pd.read_csv(folder / f"straight-{UPDATES}" / "metrics.csv")["score"].tolist()
    changes: dict[str, Callable[[pd.DataFrame], pd.DataFrame]] = {
        "a column less": lambda table: table.drop(columns="kl_k3"),
        "the last column less": lambda table: table.iloc[:, :-1],
        "a column more": lambda table: table.assign(newer=1.0),
        "a column more in front of the others": lambda table: table.assign(newer=1.0)[["update", "newer", *table.columns[1:]]],
        "columns in another order": lambda table: table[["update", *sorted(table.columns[1:])]],
        "a column renamed": lambda table: table.rename(columns={"kl_k1": "kl_old"}),
    }
    for name, change in changes.items():

        def damage(path: Path, change: Callable[[pd.DataFrame], pd.DataFrame] = change) -> None:
            change(pd.read_csv(path)).to_csv(path, index=False)

        run = _copy(base, folder / name, "metrics.csv", damage)
        outcome = train(run)
        fault = fault_of(outcome)
        if not fault and outcome.kind == "taken":
            read = outcome_of_call(lambda run=run: load_run(run).metrics)
            fault = fault_of(read, may=("taken",))
            fault = fault or ("" if read.value["update"].tolist() == expected["updates"] else "other updates")
            fault = fault or ("" if read.value["score"].tolist() == scores else "score holds other numbers")
        yield Try(name, fault)


def read_damaged(folder: Path, seed: int) -> Iterator[Try]:
    """Read each damaged run by load_run and report: a sentence, or each update once."""
    base = folder / f"straight-{UPDATES}"
    undisturbed(folder, UPDATES)
    pairs = [(file, name, damage) for file in FINISHED_FILES for name, damage in DAMAGES.items()]
    pairs += [("metrics.csv", name, damage) for name, damage in TABLES.items()]
    tables: list[Any] = [[], 5, "x", None, {"after": 1}, {"\x1b[2J": {}}, {"after": {"score": "x"}}]
    pairs += [("summary.json", f"table {value!r}", _table_of(value)) for value in tables]
    for number, (file, name, damage) in enumerate(pairs):
        run = _copy(base, folder / str(number), file, damage)
        outcome = outcome_of_call(lambda run=run: load_run(run).metrics["update"].tolist(), 15)
        yield Try(f"load_run, {file}: {name}", fault_of(outcome, right=_each_once))
        if number % 2 == seed % 2:
            report = outcome_of_command(["report", str(run), "--out", str(folder / "report.html")], 30)
            yield Try(f"report, {file}: {name}", fault_of(report))
        shutil.rmtree(run, ignore_errors=True)


def _each_once(updates: list[Any]) -> bool:
    """Tell whether updates are read in their order and once; those that lack a row or a part are left out, as documented."""
    return updates == sorted(set(updates)) and set(updates) <= {*range(1, UPDATES + 1)}


def _table_of(value: Any) -> Callable[[Path], None]:
    def damage(path: Path) -> None:
        summary = json.loads(path.read_text())
        names = [name for name, inner in summary.items() if isinstance(inner, dict | list)]
        path.write_text(json.dumps({**summary, **dict.fromkeys(names, value)}))

    return damage


# Two at once, kills and signals


def two_writers(folder: Path, seed: int) -> Iterator[Try]:
    """Let several processes write one run: one does, the others are refused, and no update is doubled."""
    expected = undisturbed(folder, LONG)
    base = stopped(folder / "base", LONG)
    for name, delays in {
        "two resume": (0.0,),
        "three resume": (0.0, 0.0),
        "another resumes a moment later": (0.3,),
        "another resumes a second later": (1.0,),
    }.items():
        run = folder / name
        shutil.copytree(base, run)
        lives = [Life(command(run, LONG), _output(run, "0"))]
        for number, delay in enumerate(delays, 1):
            time.sleep(delay)
            lives.append(Life(command(run, LONG), _output(run, str(number))))
        yield Try(name, _of_writers([life.wait() for life in lives]) or difference(run, expected))
    for name, is_stopped in (("resumed while the first is stopped", True), ("resumed while the first runs", False)):
        run = folder / name
        first = Life(command(run, LONG), _output(run, "0"))
        wait_for_update(run, 3)
        if is_stopped:
            first.signal(signal.SIGSTOP)
        second = Life(command(run, LONG), _output(run, "1")).wait()
        first.signal(signal.SIGCONT)
        yield Try(name, _of_writers([first.wait(), second]) or difference(run, expected))


def _of_writers(outcomes: Sequence[Outcome]) -> str:
    faults = [fault_of(outcome) for outcome in outcomes]
    return next(filter(None, faults), "") or ("" if any(outcome.kind == "taken" for outcome in outcomes) else "none came to the end")


def killed(folder: Path, seed: int) -> Iterator[Try]:
    """Kill runs at random moments and resume them: the bits of an undisturbed run."""
    expected = undisturbed(folder, UPDATES)
    generator = random.Random(seed)
    begun = time.monotonic()
    train(folder / "timed")
    seconds = time.monotonic() - begun
    cut = 0
    for number in range(KILLS):
        run = folder / f"killed-{number}"
        lives = 1 + number % 2
        for _ in range(lives):
            life = Life(command(run), _output(run))
            time.sleep(generator.uniform(0.1, 1.0) * seconds)
            life.signal(signal.SIGKILL)
            cut += life.wait().value == -signal.SIGKILL
        outcome = train(run)
        yield Try(f"run {number}, killed {lives} times", fault_of(outcome, may=("taken",)) or difference(run, expected))
    yield Try("kills that came before the end", "" if cut >= KILLS // 2 else f"only {cut}")
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        run = folder / number.name
        life = Life(command(run), _output(run))
        wait_for_update(run, 3)
        life.signal(number)
        ended = life.wait()
        fault = "a traceback" if "Traceback" in ended.output else ""
        outcome = train(run)
        yield Try(f"{number.name}, then resumed", fault or fault_of(outcome, may=("taken",)) or difference(run, expected))
    run = folder / "stopped and continued"
    life = Life(command(run), _output(run))
    for update in (1, 3, 5):
        wait_for_update(run, update)
        life.signal(signal.SIGSTOP)
        time.sleep(0.3)
        life.signal(signal.SIGCONT)
    yield Try("SIGSTOP and SIGCONT, three times", fault_of(life.wait(), may=("taken",)) or difference(run, expected))


def moved_away(folder: Path, seed: int) -> Iterator[Try]:
    """Rename or delete a run while it is written: a sentence; under its new name it goes on."""
    expected = undisturbed(folder, LONG)
    for name in ("renamed", "deleted", "its parent renamed"):
        run = folder / name / "run"
        run.parent.mkdir()
        life = Life(command(run, LONG), folder / f"{name}.txt")
        wait_for_update(run, 3)
        if name == "deleted":
            shutil.rmtree(run, ignore_errors=True)
            shutil.rmtree(run, ignore_errors=True)
        elif name == "renamed":
            run = run.rename(run.with_name("other"))
        else:
            run = run.parent.rename(run.parent.with_name("other parent")) / "run"
        fault = fault_of(life.wait())
        if not fault and name != "deleted":
            fault = fault_of(train(run, LONG), may=("taken",)) or difference(run, expected)
        yield Try(name, fault)


def read_while_written(folder: Path, seed: int) -> Iterator[Try]:
    """Read a run while it is written, killed and resumed: whole updates, each once."""
    run = folder / "run"
    for number in range(3):
        life = Life(command(run, LONG), _output(run))
        until = time.monotonic() + (60 if number == 2 else 4)
        reads = 0
        while life.process.exitcode is None and time.monotonic() < until:
            if (run / "config.json").exists():
                reads += 1
                outcome = outcome_of_call(lambda: load_run(run))
                yield Try(f"life {number}, read {reads}", fault_of(outcome, may=("taken",), right=_is_whole))
            time.sleep(0.2)
        life.signal(signal.SIGKILL)
        life.wait()


def _is_whole(read: Any) -> bool:
    updates = read.metrics["update"].tolist()
    played = read.episodes[read.episodes["phase"] == "train"].groupby("update").size()
    return updates == [*range(1, len(updates) + 1)] and played.index.tolist() == updates and bool((played == 16).all())


# Space and links


def full_disk(folder: Path, seed: int) -> Iterator[Try]:
    """Train where files may not grow, then where they may: a sentence, and the bits of an undisturbed run."""
    expected = undisturbed(folder, UPDATES)
    for size in SIZES:
        run = folder / str(size)
        first = train(run, file_bytes=size)
        fault = fault_of(first)
        left = [path.name for path in run.rglob("*.new")]
        fault = fault or (f"{left[0]} is left" if left else "")
        yield Try(f"files of at most {size:,} bytes", fault or fault_of(train(run), may=("taken",)) or difference(run, expected))
    yield from _full_tmpfs(folder, expected)


def _full_tmpfs(folder: Path, expected: Mapping[str, Any]) -> Iterator[Try]:
    mount = folder / "small"
    mount.mkdir()
    made = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(mount)], capture_output=True, text=True)
    if made.returncode:
        yield Try("a disk of 8 MB", f"no small disk can be made here: {made.stderr.strip()}", skipped=True)
        return
    try:
        for kilobytes in (30, 300, 1500, 2500):
            run = mount / str(kilobytes)
            filler = mount / "filler"
            life = Life(command(run), _output(folder / str(kilobytes)))
            wait_for_update(run, 1)
            free = shutil.disk_usage(mount).free
            _fill(filler, free - 1024 * kilobytes)
            first = life.wait()
            filler.unlink()
            fault = fault_of(first) or fault_of(train(run), may=("taken",)) or difference(run, expected)
            yield Try(f"{kilobytes} kB left", fault)
            shutil.rmtree(run)
    finally:
        subprocess.run(["umount", "-l", str(mount)], capture_output=True)


def _fill(file: Path, size: int) -> None:
    """Write a file of so many bytes, or as many as there is space for: the run takes some meanwhile."""
    with file.open("wb", buffering=0) as handle, contextlib.suppress(OSError):
        for _ in range(size // 4096):
            handle.write(bytes(4096))


def links(folder: Path, seed: int) -> Iterator[Try]:
    """Resume runs with links out of their folder and with files of others: nothing of others is touched."""
    base, expected = stopped(folder / "base"), undisturbed(folder, UPDATES)
    for number, (name, prepare) in enumerate(_links().items()):
        run, outside = folder / f"run-{number}", folder / f"outside-{number}"
        shutil.copytree(base, run)
        outside.mkdir()
        for each in (outside / "thesis.tex", outside / "deeper" / "notes.txt"):
            each.parent.mkdir(exist_ok=True)
            each.write_text("mine")
        prepare(run, outside)
        mine = {path: path.read_bytes() for root in (run, outside) for path in root.rglob("*") if _is_mine(path)}
        fault = ""
        for _ in range(2):  # once more, as a run that was refused must not be refused for ever
            outcome = train(run)
            fault = fault or fault_of(outcome)
            gone = [path.name for path, content in mine.items() if not path.exists() or path.read_bytes() != content]
            fault = fault or (f"{gone[0]} was touched" if gone else "")
            if outcome.kind == "taken":
                break
        if not fault and outcome.kind == "taken":
            # Where others' folder took the place of the run's parts, these are gone.
            fault = difference(run, expected, without="episodes" if name == "episodes is a link to a folder of others" else "nothing")
        yield Try(name, fault)


def _is_mine(path: Path) -> bool:
    return path.is_file() and path.name in ("thesis.tex", "notes.txt")


def _links() -> dict[str, Callable[[Path, Path], Any]]:
    """Return what is put into a run, given its folder and one elsewhere, by name."""

    def move(name: str) -> Callable[[Path, Path], None]:
        """Move a part of the run to another disk, and link to it."""

        def prepare(run: Path, outside: Path) -> None:
            if (run / name).exists():
                shutil.move(run / name, outside / Path(name).name)
            else:
                (outside / Path(name).name).mkdir()
            (run / name).symlink_to(outside / Path(name).name)

        return prepare

    def swap(name: str) -> Callable[[Path, Path], None]:
        """Put a link to a folder of someone else's."""

        def prepare(run: Path, outside: Path) -> None:
            if (run / name).is_dir():
                shutil.rmtree(run / name)
            elif (run / name).exists():
                (run / name).unlink()
            (run / name).symlink_to(outside)

        return prepare

    def put(name: str) -> Callable[[Path, Path], None]:
        def prepare(run: Path, outside: Path) -> None:
            (run / name).parent.mkdir(exist_ok=True)
            (run / name).write_text("mine")

        return prepare

    moved = ("episodes", "checkpoint", "evaluation", "model", "metrics.csv", "config.json", "checkpoint/state.json")
    swapped = (
        "episodes",
        "checkpoint",
        "model",
        "evaluation",
        "checkpoint.old",
        "checkpoint.new",
        "model.new",
        "model.old",
        "metrics.csv.new",
    )
    return {
        **{f"{name} was moved, and linked": move(name) for name in moved},
        **{f"{name} is a link to a folder of others": swap(name) for name in swapped},
        **{
            f"{name} of others": put(name)
            for name in ("episodes/notes.txt", "episodes/deeper/notes.txt", "notes.txt", "evaluation/notes.txt")
        },
        "a part is a link to a file of others": lambda run, outside: (run / "episodes" / "part-00099.parquet").symlink_to(
            outside / "thesis.tex"
        ),
        "a new part is a link to a file of others": lambda run, outside: (run / "episodes" / "part-00008.parquet.new").symlink_to(
            outside / "thesis.tex"
        ),
    }


ROWS: Final = (
    Row("damaged runs, resumed", "one sentence, or the same bits as undisturbed", resumed),
    Row("a table of another version, resumed", "each number under its name", other_columns),
    Row("damaged runs, by `load_run` and `report`", "one sentence, or each update once", read_damaged),
    Row("several processes on a run", "one writes, the others are refused, the same bits", two_writers),
    Row("kills and signals, then `--resume`", "the same bits", killed),
    Row("a run renamed or deleted while written", "one sentence; goes on under its new name", moved_away),
    Row("a run read while written and killed", "whole updates, each once", read_while_written),
    Row("a full disk, then space", "one sentence, then the same bits", full_disk),
    Row("links out of a run, files of others", "nothing of others is touched; goes on or one sentence", links),
)
