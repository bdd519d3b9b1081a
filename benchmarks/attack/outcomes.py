"""What came of an attack: taken, refused in a sentence, a traceback, a hang; and whether that keeps a promise."""

import contextlib
import io
import os
import re
import signal
import subprocess
import sys
import tempfile
import traceback
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import FrameType
from typing import IO, Any, Final, Literal, NamedTuple

from benchmarks.harness import ROOT
from textenv.errors import TextenvError

Kind = Literal["taken", "refused", "traceback", "hang"]

LIMIT: Final = 30.0
"""Seconds after which a call counts as a hang."""

ENVIRONMENT: Final = {
    "OMP_WAIT_POLICY": "passive",
    "OMP_NUM_THREADS": "1",  # other bits come of another number of threads
    "HF_HUB_OFFLINE": "1",
    "PYTHONPATH": str(ROOT),
    "COLUMNS": "200",
}

# What moves a terminal's cursor, colours or title; rich's own colours do not come into a pipe.
_CONTROL: Final = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f]")


class Outcome(NamedTuple):
    """What came of one call or command."""

    kind: Kind
    said: str = ""
    """The sentence, or the last line of the traceback."""
    value: Any = None
    """What a call returned, the exit code of a command, or the files that an error passed through."""
    output: str = ""
    """Standard output and error of a command."""


class Try(NamedTuple):
    """One input that was tried."""

    input: str
    fault: str = ""
    """Why the promise was not kept; empty if it was."""
    skipped: bool = False
    """It could not be tried here, and `fault` says why."""


class Row(NamedTuple):
    """One line of the table: an attack."""

    attack: str
    promise: str
    tries: Callable[[Path, int], Iterator[Try]]
    """Given an empty folder and a seed."""


class TimeLimitError(BaseException):
    """Ends a call that takes too long; derived so that no `except Exception` swallows it."""


@contextlib.contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Raise `TimeLimitError` in a block of the main thread that takes too long, and again each second in case it is swallowed."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise TimeLimitError

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds, 1.0)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def outcome_of_call(call: Callable[..., Any], limit: float = LIMIT) -> Outcome:
    """Run a call: one of textenv's own errors refuses, every other is a traceback for who calls."""
    try:
        with time_limit(limit):
            return Outcome("taken", value=call())
    except TimeLimitError:
        return Outcome("hang", f"no end after {limit:g} s")
    except TextenvError as error:
        return Outcome("refused", str(error))
    except Exception as error:
        return Outcome("traceback", _line_of(error), _files_of(error))


def outcome_of_command(arguments: Sequence[str], limit: float = LIMIT) -> Outcome:
    """Run a command of textenv in this process."""
    from textenv.cli import main

    said = io.StringIO()
    code: Any = 0
    path = [*sys.path]
    try:
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said), time_limit(limit):
            main([*arguments])
    except TimeLimitError:
        return Outcome("hang", f"no end after {limit:g} s", output=said.getvalue())
    except SystemExit as stopped:
        code = stopped.code
    except BaseException as error:
        return Outcome("traceback", _line_of(error), 1, said.getvalue())
    finally:
        sys.path[:] = path  # the command line adds the working folder
    return judge_command(code, said.getvalue())


def outcome_of_process(
    command: Sequence[str],
    limit: float = LIMIT,
    *,
    cwd: Path | None = None,
    environment: Mapping[str, str] | None = None,
    before: Callable[[], None] | None = None,
) -> Outcome:
    """Run a command in a process of its own, which is killed with its children after the limit.

    Args:
        command: program and arguments.
        limit: in seconds.
        cwd: to run it in.
        environment: variables to add.
        before: is called in the new process, to limit what it may use.
    """
    with tempfile.TemporaryFile("w+", errors="replace") as output:
        process = start(command, output, cwd=cwd, environment=environment, before=before)
        try:
            code = process.wait(limit)
        except subprocess.TimeoutExpired:
            kill(process)
            return Outcome("hang", f"no end after {limit:g} s")
        output.seek(0)
        return judge_command(code, output.read())


def start(
    command: Sequence[str],
    output: IO[Any] | int,
    *,
    cwd: Path | None = None,
    environment: Mapping[str, str] | None = None,
    before: Callable[[], None] | None = None,
) -> subprocess.Popen[bytes]:
    """Start a process in a group of its own."""
    return subprocess.Popen(
        [*command],
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=output,
        cwd=cwd,
        env={**os.environ, **ENVIRONMENT, **(environment or {})},
        preexec_fn=before,
        start_new_session=True,
    )


def kill(process: subprocess.Popen[bytes]) -> None:
    """Kill a process of `start` and its children, and wait for its end."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def textenv(*arguments: object) -> list[str]:
    """Return the command that runs textenv in a process."""
    return [sys.executable, "-m", "textenv", *map(str, arguments)]


def judge_command(code: Any, output: str) -> Outcome:
    """Classify what a command left: its exit code and what it wrote.

    A refusal is exit code 1 or 2 and, as the last line, one sentence after "textenv: ".
    """
    lines = output.rstrip().split("\n")
    last = lines[-1] if lines else ""
    if "Traceback (most recent call last)" in output:
        return Outcome("traceback", last, code, output)
    if code == 0:
        return Outcome("taken", "", code, output)
    sentences = [line for line in lines if line.startswith("textenv: ")]
    if code in (1, 2) and sentences and lines[-1] == sentences[-1]:
        if len(sentences) > 1:
            return Outcome("traceback", f"{len(sentences)} sentences", code, output)
        return Outcome("refused", last, code, output)
    return Outcome("traceback", f"exit {code}, the last line is {last[:200]!r}", code, output)


def fault_of(
    outcome: Outcome,
    *,
    may: Iterable[str] = ("taken", "refused"),
    code: int | None = None,
    right: Callable[..., bool] | None = None,
) -> str:
    """Tell why an outcome breaks a promise; empty if it keeps it.

    Args:
        outcome: what came.
        may: what may come.
        code: with which a command must exit when it refuses.
        right: whether the value of what was taken is right.
    """
    if outcome.kind not in may:
        return f"{outcome.kind}: {plain(outcome.said)}" if outcome.said else outcome.kind
    if outcome.kind == "taken" and right is not None and not right(outcome.value):
        return f"wrong result: {plain(repr(outcome.value))}"
    if outcome.kind == "refused":
        if not outcome.said.strip():
            return "refused without a word"
        if code is not None and outcome.value != code:
            return f"exit {outcome.value}, not {code}: {plain(outcome.said)}"
    return control_fault(outcome.output)


def control_fault(output: str) -> str:
    """Tell of a control character that would reach the terminal."""
    control = _CONTROL.search(output)
    if control is None:
        return ""
    around = output[max(control.start() - 20, 0) : control.end() + 20]
    return f"a control character reaches the terminal: {around!r}"


def unaccounted(promised: Iterable[Hashable], kept: Iterable[Hashable], possible: Iterable[Hashable] = ()) -> str:
    """Compare what was promised with what is there; empty if each is there once and nothing else is.

    Args:
        promised: was answered with success.
        kept: is there.
        possible: may be there, as its answer did not come.

    >>> unaccounted(["a", "b", "c"], ["a", "b", "b", "x"])
    "lost: 1, such as 'c'; doubled: 1, such as 'b'; never made: 1, such as 'x'"
    >>> unaccounted(["a"], ["a", "b"], ["b"])
    ''
    """
    wanted = set(promised)
    counts = Counter(kept)
    faults = {
        "lost": wanted - counts.keys(),
        "doubled": {name for name, count in counts.items() if count > 1},
        "never made": counts.keys() - wanted - set(possible),
    }
    return "; ".join(f"{what}: {len(names)}, such as {min(map(repr, names))}" for what, names in faults.items() if names)


def plain(text: str, longest: int = 240) -> str:
    """Write a text on one short line without control characters."""
    line = " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())
    return line if len(line) <= longest else f"{line[:longest]} ..."


def _files_of(error: BaseException | None) -> list[Path]:
    """Return the files of the frames of an error and of those that it came of; not the error, which would keep what they hold."""
    files = []
    while error is not None:
        files += [Path(frame.filename) for frame in traceback.extract_tb(error.__traceback__)]
        error = error.__cause__ or error.__context__
    return files


def _line_of(error: BaseException) -> str:
    return plain(f"{type(error).__name__}: {error}")
