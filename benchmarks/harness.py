"""Measure two sides in one run: alternating rounds, medians, ratios, and what is written of them.

A machine's speed drifts, so no time is compared with one of another run: the sides of a row take turns, A B A B, after one
warm-up round each, and the row is the ratio of their medians. A side whose memory or packages are its own lives in a `Worker`.
"""

import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import distributions
from pathlib import Path
from typing import IO, Any, Final, Literal, NamedTuple

ROOT: Final = Path(__file__).parent.parent
START, END = "<!-- benchmarks: start -->", "<!-- benchmarks: end -->"

Side = Callable[[], float]
"""One round of one side; returns what was measured, seconds unless the row says otherwise."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """One comparison.

    A "speed-up" is versus / ours and must reach the target, a "share" is ours / versus and must stay below it, and so must a
    "value", which is ours alone.
    """

    name: str
    """What is measured."""
    versus: str
    """Against what."""
    kind: Literal["speed-up", "share", "value"]
    """How the figure is made."""
    ours: Sequence[float]
    """Samples, one a round."""
    theirs: Sequence[float] = ()
    """Samples, one a round."""
    unit: str = "s"
    """Of the samples."""
    target: float | None = None
    """None measures without a verdict."""

    @property
    def figure(self) -> float:
        """The number that is compared with the target."""
        ours = statistics.median(self.ours)
        if self.kind == "value":
            return ours
        theirs = statistics.median(self.theirs)
        return theirs / ours if self.kind == "speed-up" else ours / theirs

    @property
    def met(self) -> bool:
        """Whether the target is reached; always without one."""
        if self.target is None:
            return True
        return self.figure >= self.target if self.kind == "speed-up" else self.figure <= self.target

    def record(self) -> dict[str, Any]:
        """Everything as plain data."""
        return {
            "name": self.name,
            "versus": self.versus,
            "kind": self.kind,
            "unit": self.unit,
            "ours": list(self.ours),
            "theirs": list(self.theirs),
            "ours_median": statistics.median(self.ours),
            "theirs_median": statistics.median(self.theirs) if self.theirs else None,
            "figure": self.figure,
            "target": self.target,
            "met": self.met,
        }


def timed(function: Callable[[], object]) -> Side:
    """Make a side of a function: its wall-clock seconds."""

    def side() -> float:
        begun = time.perf_counter()
        function()
        return time.perf_counter() - begun

    return side


def alternate(sides: Mapping[str, Side], rounds: int) -> dict[str, list[float]]:
    """Warm every side up once, then let them take turns; the warm-up is not kept.

    >>> played = []
    >>> alternate({"a": lambda: played.append("a") or 1.0, "b": lambda: played.append("b") or 2.0}, rounds=2)
    {'a': [1.0, 1.0], 'b': [2.0, 2.0]}
    >>> "".join(played)
    'ababab'
    """
    for side in sides.values():
        side()
    samples: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(rounds):
        for name, side in sides.items():
            samples[name].append(side())
    return samples


class Round(NamedTuple):
    """What a worker says of one round."""

    seconds: float
    """Of the round."""
    before: float
    """MiB resident once the worker was set up, before its first round."""
    peak: float
    """Most MiB that were resident at once during the round."""


class Worker:
    """A side in a process of its own, which plays a round for every line it is sent; made by `start`.

    Args:
        process: ends in `serve`, or talks through a `Meter`.
        log: what it writes beside its answers.
    """

    def __init__(self, process: subprocess.Popen[str], log: IO[str]) -> None:
        self.process, self.log = process, log
        self.rounds: list[Round] = []

    def play(self) -> float:
        """Let it play a round; the first also waits for its set-up, outside the time.

        Raises:
            RuntimeError: the process has died; the message holds the end of what it wrote.
        """
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        print("round", file=self.process.stdin, flush=True)
        line = self.process.stdout.readline()
        if not line:
            self.log.seek(0)
            raise RuntimeError(f"{self.process.args!r} ended with code {self.process.wait()}:\n{self.log.read()[-4000:]}")
        self.rounds.append(Round(**json.loads(line)))
        return self.rounds[-1].seconds

    def __enter__(self) -> "Worker":
        return self

    @property
    def growth(self) -> list[float]:
        """MiB that each round took beyond what the set-up held, without the warm-up."""
        return [played.peak - played.before for played in self.rounds[1:]]

    @property
    def totals(self) -> list[float]:
        """Peak MiB of each round without the warm-up, interpreter and libraries included."""
        return [played.peak for played in self.rounds[1:]]


@contextmanager
def start(module: str, argument: Mapping[str, Any], environment: Mapping[str, str] | None = None) -> Iterator[Worker]:
    """Start a worker; leaving the context closes its input, which ends it.

    Args:
        module: to run with `python -m`.
        argument: plain data for it.
        environment: variables to add.
    """
    variables = {**os.environ, "OMP_WAIT_POLICY": "passive", "HF_HUB_OFFLINE": "1", "PYTHONPATH": str(ROOT), **(environment or {})}
    command = [sys.executable, "-m", module, json.dumps(argument)]
    with (
        tempfile.TemporaryFile("w+") as log,
        subprocess.Popen(command, cwd=ROOT, env=variables, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log) as process,
    ):
        yield Worker(process, log)


def memory(field: Literal["VmRSS", "VmHWM"]) -> float:
    """MiB of this process: resident now, or the most since `Meter` reset it (Linux)."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field):
            return int(line.split()[1]) / 1024
    raise RuntimeError(f"This system's /proc/self/status has no {field}; measure memory on Linux.")


class Meter:
    """The worker's half of the conversation, for peers that own their loop: `wait` before a round, `report` after it.

    Whatever else the process prints goes to its standard error.
    """

    def __init__(self) -> None:
        self.output = os.fdopen(os.dup(1), "w")
        os.dup2(2, 1)
        self.before: float | None = None
        self.begun = 0.0

    def wait(self) -> None:
        """Wait for the next round to be asked for; exit when none will be."""
        if not sys.stdin.readline():
            sys.exit(0)
        self.before = self.before or memory("VmRSS")
        Path("/proc/self/clear_refs").write_text("5")  # the high-water mark starts again from what is resident
        self.begun = time.perf_counter()

    def report(self) -> None:
        """Say how the round went."""
        seconds = time.perf_counter() - self.begun
        assert self.before is not None
        print(json.dumps(Round(seconds, self.before, memory("VmHWM"))._asdict()), file=self.output, flush=True)


def serve(play: Callable[[], object]) -> None:
    """Play a round for every line on standard input."""
    meter = Meter()
    while True:
        meter.wait()
        play()
        meter.report()


def machine() -> dict[str, Any]:
    """What the numbers depend on."""
    import torch

    names = {"textenv", "gymnasium", "numpy", "torch", "transformers", "trl", "accelerate"}
    installed = {found.name: found.version for found in distributions() if found.name in names}
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else f"{platform.machine()} CPU"
    versions = {"python": platform.python_version(), **dict(sorted(installed.items()))}
    return {"device": device, "threads": torch.get_num_threads(), "versions": versions}


def write_json(path: Path, rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Write rows; those of the same machine and versions that the file has and that were not measured now are kept.

    Returns:
        All rows as plain data.
    """
    here = machine()
    old: dict[str, Any] = json.loads(path.read_text()) if path.is_file() else {}
    kept = old["rows"] if old.get("machine") == here else []
    new = {(row.name, row.versus): row.record() for row in rows}
    merged = [new.pop((record["name"], record["versus"]), record) for record in kept] + list(new.values())
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"machine": here, "rows": merged}, indent=2) + "\n")
    return merged


def markdown(records: Sequence[Mapping[str, Any]]) -> str:
    """The table of `docs/benchmarks.md`."""
    lines = ["| what | ours | versus | theirs | figure | target | met |", "|---|---|---|---|---|---|---|"]
    for record in records:
        sign = {"speed-up": "≥", "share": "≤", "value": "≤"}[record["kind"]]
        times = "×" if record["kind"] != "value" else f" {record['unit']}"
        theirs = "" if record["theirs_median"] is None else f"{record['theirs_median']:.4g} {record['unit']}"
        target = "" if record["target"] is None else f"{sign} {record['target']:g}{times}"
        met = "" if record["target"] is None else "yes" if record["met"] else "**no**"
        cells = [record["name"], f"{record['ours_median']:.4g} {record['unit']}", record["versus"], theirs]
        lines.append("| " + " | ".join([*cells, f"{record['figure']:.3g}{times}", target, met]) + " |")
    return "\n".join(lines)


def write_between_markers(path: Path, text: str) -> None:
    """Replace what stands between the markers of a file.

    Raises:
        ValueError: the file has not one marker of each kind, in order.
    """
    before, start, rest = path.read_text(encoding="utf-8").partition(START)
    _, end, after = rest.partition(END)
    if not start or not end:
        raise ValueError(f"{path} needs the lines {START} and {END}, with the table between them.")
    path.write_text(f"{before}{START}\n\n{text}\n\n{END}{after}", encoding="utf-8")


def conclude(rows: Sequence[Row]) -> None:
    """Name the targets that were missed, and exit with 1 if there are any."""
    missed = [row for row in rows if not row.met]
    for row in missed:
        print(f"Missed: {row.name} against {row.versus or 'the clock'}: {row.figure:.3g}, target {row.target:g}.")
    if missed:
        sys.exit(1)
