"""Comparison stores that are damaged, deleted, moved, replaced, full, or used by many at once."""

import dataclasses
import json
import os
import random
import resource
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final

from benchmarks.attack.outcomes import (
    Row,
    Try,
    fault_of,
    kill,
    outcome_of_call,
    outcome_of_command,
    start,
    unaccounted,
)
from textenv.preferences.comparison import Comparison
from textenv.preferences.loading import load_comparisons, write_comparisons
from textenv.preferences.store import LEASE_SECONDS, ComparisonStore, Item

ODD_TEXTS: Final = (
    *(
        "a",
        "",
        " ",
        "\n",
        "\r\n",
        "\t",
        "a\0b",
        "\x1b[2J",
        "\ufeff",
        "\u2028",
        "\u202e",
        "e\u0301",
        "😀",
        "\ud83d\ude00",
        "\ud800",
        "\udfff",
    ),
    *('"', "'", "\\", "'; DROP TABLE items; --", "{{ 7 * 7 }}", "<script>", "NaN", "null", "[1]", "x" * 100_000, "\uffff", "\U0010ffff"),
)


def make_store(path: Path, items: int = 4) -> Path:
    """Make a store of items that wait."""
    with ComparisonStore(path, create=True) as store:
        store.add(Item(prompt=f"prompt {i}", responses=(f"{i}a", f"{i}b", f"{i}c")) for i in range(items))
    return path


def kept(path: Path) -> list[tuple[str, str]]:
    """Return annotator and prompt of each judgement of a store; none where there is no store."""
    if not path.is_file() or path.stat().st_size == 0:
        return []
    with ComparisonStore(path) as store:
        return [(comparison.annotator, comparison.prompt) for comparison in store.comparisons()]


def judge_one(store: ComparisonStore, name: str) -> tuple[str, str] | None:
    """Judge an item; return what was promised to be kept."""
    lease = store.lease(name)
    if lease is None:
        return None
    return (name, lease.prompt) if store.submit(lease.token, (1, 2, 3)) else None


# Damage


def _sqlite(path: Path, *statements: str) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA writable_schema = ON")
        for statement in statements:
            connection.execute(statement)
        connection.commit()


def _damages(seed: int) -> Iterator[tuple[str, Callable[[Path], Any], bool]]:
    """Yield names, what damages a store, and whether it must be refused."""
    yield "empty", lambda path: path.write_bytes(b""), True
    yield "text", lambda path: path.write_text("a store\n" * 100), True
    yield "zeros", lambda path: path.write_bytes(bytes(8192)), True
    yield "a folder", _in_place(lambda path: path.mkdir()), True
    yield "missing", lambda path: path.unlink(), True
    yield "a pipe", _in_place(os.mkfifo), True
    yield "/dev/zero", _in_place(lambda path: path.symlink_to("/dev/zero")), True
    yield "a link to itself", _in_place(lambda path: path.symlink_to(path)), True
    for share in (0.01, 0.1, 0.3, 0.6, 0.9):
        yield f"cut to {share:.0%}", partial(_cut, share), False
    for number in range(8):
        yield f"noise {number}", partial(_noise, seed=seed + number), False
    yield "another program's", _in_place(lambda path: _sqlite(path, "CREATE TABLE a (b)")), True
    yield "a newer format", lambda path: _sqlite(path, "PRAGMA user_version = 99"), True
    yield "another mark", lambda path: _sqlite(path, "PRAGMA application_id = 1"), True
    for table in ("items", "labels", "leases"):
        yield f"no table {table}", _statements(f"DROP TABLE {table}"), False
        yield f"{table} is a view", _statements(f"DROP TABLE {table}", f"CREATE VIEW {table} AS SELECT 1 AS id"), False
    for column in ("prompt", "responses", "sources", "columns"):
        for value in ("'[[['", "'5'", "'null'", "'{}'", "''", "x'ff'", "7", f"'{'[' * 3000}'", "'[1, 2]'", "'[\"a\"]'"):
            statement = f"UPDATE items SET {column} = {value} WHERE id = 2"
            yield f"items.{column} = {value:.30}", _statements(statement), False
    for column in ("ranks", "ratings", "annotator", "item", "time"):
        for value in ("'[[['", "'5'", "'{}'", "''", "x'ff'", "7", f"'{'[' * 3000}'", "'[1, 9, 1]'", "'[\"a\"]'", "'[1e999, 1, 1]'"):
            statement = f"UPDATE labels SET {column} = {value}"
            yield f"labels.{column} = {value:.30}", _statements(statement), False
    yield "a journal of noise", lambda path: path.with_name(path.name + "-journal").write_bytes(random.Random(seed).randbytes(4096)), False
    yield "a wal of noise", lambda path: path.with_name(path.name + "-wal").write_bytes(random.Random(seed).randbytes(8192)), False


def _in_place(make: Callable[[Path], Any]) -> Callable[[Path], None]:
    def damage(path: Path) -> None:
        path.unlink()
        make(path)

    return damage


def _cut(share: float, path: Path) -> None:
    os.truncate(path, int(path.stat().st_size * share))


def _statements(*statements: str) -> Callable[[Path], None]:
    return lambda path: _sqlite(path, *statements)


def _noise(path: Path, seed: int) -> None:
    generator = random.Random(seed)
    data = bytearray(path.read_bytes())
    for _ in range(20):
        data[generator.randrange(len(data))] = generator.randrange(256)
    path.write_bytes(data)


def bad_stores(folder: Path, seed: int) -> Iterator[Try]:
    """Give each damaged store to the commands."""
    whole = make_store(folder / "whole.db")
    with ComparisonStore(whole) as store:
        judge_one(store, "anna")
    for number, (name, damage, must) in enumerate(_damages(seed)):
        for command in (["comparisons"], ["comparisons", "--export", str(folder / "out.jsonl")], ["label", "--simulate", "x"]):
            path = folder / f"{number}.db"
            _remove(path)
            shutil.copyfile(whole, path)
            damage(path)
            outcome = outcome_of_command([command[0], str(path), *command[1:]], 10)
            # There is no reward x, so label, which would write, refuses every store.
            may = ("refused",) if must or command[0] == "label" else ("taken", "refused")
            yield Try(f"{name}: {' '.join(command[:2])}", fault_of(outcome, may=may))


def _remove(path: Path) -> None:
    for suffix in ("", "-wal", "-shm", "-journal"):
        each = path.with_name(path.name + suffix)
        if each.is_dir() and not each.is_symlink():
            each.rmdir()
        else:
            each.unlink(missing_ok=True)


# While it is open


def _changes() -> dict[str, Callable[[Path], Any]]:
    """Return what befalls a store that is open, by name."""

    def delete(path: Path) -> None:
        for suffix in ("", "-wal", "-shm"):
            path.with_name(path.name + suffix).unlink(missing_ok=True)

    def move(path: Path) -> None:
        path.rename(path.with_name("moved.db"))

    def move_folder(path: Path) -> None:
        path.parent.rename(path.parent.with_name("elsewhere"))

    def replace_by_copy(path: Path) -> None:
        shutil.copyfile(path, path.with_name("copy.db"))
        path.with_name("copy.db").replace(path)

    def replace_by_other(path: Path) -> None:
        make_store(path.with_name("other.db"), 3).replace(path)

    def replace_by_link(path: Path) -> None:
        move(path)
        path.symlink_to(path.with_name("moved.db"))

    return {
        "deleted": lambda path: path.unlink(),
        "deleted with -wal and -shm": delete,
        "moved": move,
        "its folder moved": move_folder,
        "replaced by a copy": replace_by_copy,
        "replaced by another store": replace_by_other,
        "replaced by an empty file": lambda path: (path.unlink(), path.write_bytes(b"")),
        "moved, and a link in its place": replace_by_link,
        "its folder deleted": lambda path: shutil.rmtree(path.parent),
        "-wal deleted": lambda path: path.with_name(path.name + "-wal").unlink(missing_ok=True),
        "-wal moved": lambda path: os.rename(f"{path}-wal", f"{path}-old") if os.path.exists(f"{path}-wal") else None,
        "-shm deleted": lambda path: path.with_name(path.name + "-shm").unlink(missing_ok=True),
        "untouched": lambda path: None,
    }


def places_of(path: Path) -> list[Path]:
    """Return where one would look for a store after `_changes`."""
    return [path, path.with_name("moved.db"), path.parent.with_name("elsewhere") / path.name]


def changed_while_open(folder: Path, seed: int) -> Iterator[Try]:
    """Judge, let something befall the store, judge on: what was said to be kept is found, or nothing is said."""
    for number, (name, change) in enumerate(_changes().items()):
        for close in (True, False):
            path = folder / str(number * 2 + close) / "here" / "store.db"
            path.parent.mkdir(parents=True)
            make_store(path, 8)
            store = ComparisonStore(path)
            judge_one(store, "anna")
            change(path)
            promised: list[tuple[str, str]] = []
            fault = ""
            for _ in range(3):
                outcome = outcome_of_call(lambda store=store: judge_one(store, "anna"), 10)
                fault = fault or fault_of(outcome)
                promised += [outcome.value] if outcome.kind == "taken" and outcome.value else []
            if close:  # otherwise the process is as if killed: the files are read as they lie
                fault = fault or fault_of(outcome_of_call(store.close, 10))
            there = outcome_of_call(lambda path=path: [key for place in places_of(path) if place.exists() for key in kept(place)], 10)
            fault = fault or fault_of(there)
            lost = [key for key in promised if key not in (there.value or [])] if there.kind == "taken" else promised
            if lost and not fault:
                fault = f"{len(lost)} of {len(promised)} judgements are lost"
            store.close()
            yield Try(f"{name}, {'closed' if close else 'not closed'}", fault)


# Clock


@contextmanager
def _clock(ahead: float) -> Iterator[None]:
    """Set the clock of this process."""
    real = time.time
    time.time = lambda: real() + ahead
    try:
        yield
    finally:
        time.time = real


def clock(folder: Path, seed: int) -> Iterator[Try]:
    """Lease while the clock is wrong: an item is kept from others for 15 minutes, and late judgements count."""
    day = 86400.0
    for number, ahead in enumerate((60.0, 600.0, 3600.0, day, 365 * day, 1e9, -600.0, -3600.0, -365 * day)):
        with ComparisonStore(make_store(folder / f"{number}.db", 1)) as store:
            with _clock(ahead):
                lease = store.lease("anna")
            assert lease is not None
            other = store.lease("ben")  # the clock is set right: a lease that is none may be seen at once
            with _clock(LEASE_SECONDS + 1):
                other = other or store.lease("ben")
            fault = "" if other else "nobody else gets the item after 15 minutes"
            late = outcome_of_call(lambda store=store, lease=lease: store.submit(lease.token, (1, 2, 3)))
            yield Try(f"{ahead:+.0f} s", fault or fault_of(late, may=("taken",), right=bool))
    for seconds, free in ((0.0, False), (LEASE_SECONDS - 5, False), (LEASE_SECONDS + 5, True)):
        with ComparisonStore(make_store(folder / f"after-{seconds}.db", 1)) as store:
            store.lease("anna")
            with _clock(seconds):
                given = store.lease("ben") is not None
            yield Try(f"{seconds:.0f} s after a lease", "" if given == free else f"given to another: {given}")


# Texts


def texts(folder: Path, seed: int) -> Iterator[Try]:
    """Write each odd text into a store and files and read it back: it is equal, or refused."""
    for number, text in enumerate(ODD_TEXTS):
        whole = partial(_written_and_read, folder / str(number), text)
        for place in ("prompt", "response", "annotator", "source"):
            for form in ("store", ".jsonl", ".parquet"):
                outcome = outcome_of_call(lambda whole=whole, place=place, form=form: whole(place, form))
                yield Try(f"{text[:20]!r} as {place}, {form}", fault_of(outcome, right=bool))


def _written_and_read(folder: Path, text: str, place: str, form: str) -> bool:
    folder.mkdir(exist_ok=True)
    written = Comparison(
        prompt=text if place == "prompt" else "p",
        responses=(text if place == "response" else "a", "b!", "c"),
        ranks=(1, 3, 2),
        annotator=text if place == "annotator" else "anna",
        sources=(text if place == "source" else "s", "s", "s"),
    )
    path = folder / f"{place}{'.db' if form == 'store' else form}"
    if form == "store":
        with ComparisonStore(path, create=True) as store:
            store.add_comparisons([written])
    else:
        write_comparisons([written], path)
    (read,) = load_comparisons(path)
    # One name may be kept in one spelling, so that é is one annotator whatever keyboard it came from.
    spelt = unicodedata.normalize("NFC", read.annotator) == unicodedata.normalize("NFC", written.annotator)
    return spelt and dataclasses.replace(read, annotator="") == dataclasses.replace(written, annotator="")


def columns(folder: Path, seed: int) -> Iterator[Try]:
    """Add items with odd columns: what is read back is equal, or refused and nothing is added."""
    bad: list[Any] = [float("nan"), float("inf"), object(), b"a", {1}, 1j, "\ud800", 10**400, {"a": {"b": [1, None, True]}}, [[[]]], {1: 2}]
    nested: list[Any] = []
    for _ in range(5000):
        nested = [nested]
    for number, value in enumerate([*bad, nested]):
        path = folder / f"{number}.db"

        def add(path: Path = path, value: Any = value) -> bool:
            with ComparisonStore(path, create=True) as store:
                store.add([Item(prompt="p", responses=("a", "b"), columns={"x": value})])
                read = store.items()[0].columns["x"]
                return bool(read == value or value != value)

        outcome = outcome_of_call(add)
        fault = fault_of(outcome, right=bool)
        if not fault and outcome.kind == "refused":
            with ComparisonStore(path) as store:
                fault = "refused, but added" if store.items() else ""
        yield Try(f"{value!r:.40}" if number < len(bad) else "nested lists", fault)


def submissions(folder: Path, seed: int) -> Iterator[Try]:
    """Submit what is no judgement: refused, and nothing is kept."""
    ranks: list[Any] = [
        [],
        [1],
        [1, 2],
        [1, 2, 3, 4],
        [0, 1, 2],
        [1, 3, 4],
        [-1, 1, 2],
        [1, 2, 2.5],
        ["1", "2", "3"],
        [None, 1, 2],
        [1, 2, 10**400],
    ]
    ranks += [[True, 2, 3], "123", b"123", [[1], 2, 3], [float("nan"), 1, 2], [float("inf"), 1, 2]]
    ratings: list[Any] = [
        [8, 1, 1],
        [0, 1, 1],
        [1],
        [1, 1, 1, 1],
        ["1", 1, 1],
        [float("nan"), 1, 1],
        [10**400, 1, 1],
        [1j, 1, 1],
        [[1], 1, 1],
    ]
    path = make_store(folder / "store.db")
    with ComparisonStore(path) as store:
        lease = store.lease("anna")
        assert lease is not None
        attempts: list[tuple[str, Callable[[], Any]]] = [
            *((f"ranks {value!r:.40}", lambda value=value: store.submit(lease.token, value)) for value in ranks),
            *((f"ratings {value!r:.40}", lambda value=value: store.submit(lease.token, (1, 2, 3), value)) for value in ratings),
            *((f"token {value!r:.40}", lambda value=value: store.submit(value, (1, 2, 3))) for value in ("", "x", "\0", "' OR 1 --")),
        ]
        for name, submit in attempts:
            fault = fault_of(outcome_of_call(submit), may=("refused",))
            yield Try(name, fault or ("refused, but kept" if store.comparisons() else ""))


# Several at once, and without space


@contextmanager
def _annotators(
    path: Path, count: int, before: Callable[[], None] | None = None
) -> Iterator[list[tuple[subprocess.Popen[bytes], Any, str]]]:
    started = []
    with ExitStack() as files:
        for number in range(count):
            output = files.enter_context(tempfile.TemporaryFile("w+"))
            command = [sys.executable, "-m", "benchmarks.attack.judge", str(path), f"annotator {number}"]
            started.append((start(command, output, before=before), output, f"annotator {number}"))
        yield started
        for process, _, _ in started:
            kill(process)


def _promised(started: Sequence[tuple[subprocess.Popen[bytes], Any, str]]) -> tuple[list[tuple[str, str]], str]:
    """Return what the processes were promised, and a traceback if there is one."""
    promised, fault = [], ""
    for _, output, name in started:
        output.seek(0)
        written = output.read()
        fault = fault or ("a traceback: " + written.rstrip().splitlines()[-1] if "Traceback" in written else "")
        promised += [(name, line) for line in written.splitlines() if line.startswith("prompt ")]
    return promised, fault


def processes(folder: Path, seed: int) -> Iterator[Try]:
    """Let four processes judge one store, and kill them at random: nothing is lost and nobody does another's work."""
    generator = random.Random(seed)
    for number, killed in enumerate((False, True, True)):
        path = make_store(folder / f"{number}.db", 300)
        with _annotators(path, 4) as started:
            if killed:
                _wait_for_labels(path, generator.randint(20, 200))
                for process, _, _ in started:
                    process.send_signal(signal.SIGKILL)
            for process, _, _ in started:
                process.wait(120)
            promised, fault = _promised(started)
        there = kept(path)
        more = set(there) - set(promised)
        # A process that dies between keeping and telling has kept one more.
        may_be_more = killed and len({name for name, _ in more}) == len(more)
        fault = fault or unaccounted(promised, there, more if may_be_more else [])
        prompts = [prompt for _, prompt in there]
        fault = fault or ("an item was judged twice" if len(set(prompts)) < len(prompts) else "")
        fault = fault or ("" if killed or len(prompts) == 300 else f"{len(prompts)} of 300 were judged")
        fault = fault or ("" if promised else "nothing was judged")
        yield Try(f"four annotators, {'killed' if killed else 'to the end'}, store {number}", fault)


def _wait_for_labels(path: Path, count: int) -> None:
    for _ in range(3000):
        if len(kept(path)) >= count:
            return
        time.sleep(0.02)


def _limit_files(size: int) -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


def full_disk(folder: Path, seed: int) -> Iterator[Try]:
    """Judge until no file may grow: what was promised is there, and judging goes on where there is space again."""
    for size in (40_000, 60_000, 100_000, 200_000):
        path = make_store(folder / f"{size}.db", 300)
        with _annotators(path, 1, partial(_limit_files, size)) as started:
            started[0][0].wait(120)
            promised, fault = _promised(started)
            output = started[0][1]
            output.seek(0)
            refused = "refused: " in output.read()
        fault = fault or unaccounted(promised, kept(path))
        fault = fault or ("" if refused or len(promised) == 300 else "it ended without a word")
        with ComparisonStore(path) as store:
            again = outcome_of_call(lambda store=store: judge_one(store, "ben"))
        yield Try(f"files of at most {size:,} bytes", fault or fault_of(again, may=("taken",)))
    yield from _full_tmpfs(folder)


def _full_tmpfs(folder: Path) -> Iterator[Try]:
    mount = folder / "small"
    mount.mkdir()
    made = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(mount)], capture_output=True, text=True)
    if made.returncode:
        yield Try("a disk of 1 MB", f"no small disk can be made here: {made.stderr.strip()}", skipped=True)
        return
    try:
        path = make_store(mount / "store.db", 300)
        filler = mount / "filler"
        with ComparisonStore(path) as store:
            with filler.open("wb", buffering=0) as file:
                try:
                    while True:
                        file.write(bytes(4096))
                except OSError:
                    pass
            promised = []
            faults = []
            for _ in range(300):
                outcome = outcome_of_call(lambda: judge_one(store, "anna"))
                faults.append(fault_of(outcome))
                promised += [outcome.value] if outcome.kind == "taken" and outcome.value else []
            fault = next(filter(None, faults), "") or unaccounted(promised, kept(path))
            filler.unlink()
            again = outcome_of_call(lambda: judge_one(store, "ben"))
        yield Try("a disk of 1 MB", fault or fault_of(again, may=("taken",)))
    finally:
        subprocess.run(["umount", "-l", str(mount)], capture_output=True)


def read_only(folder: Path, seed: int) -> Iterator[Try]:
    """Open a store that may not be written."""
    (folder / "closed").mkdir()
    path = make_store(folder / "closed" / "store.db")
    path.chmod(0o444)
    path.parent.chmod(0o555)
    try:
        if os.access(path, os.W_OK):
            yield Try("a folder without the right to write", "this user may write everywhere", skipped=True)
            return
        for arguments in (["comparisons", str(path)], ["label", str(path), "--simulate", "x"]):
            yield Try(" ".join(arguments[:1]), fault_of(outcome_of_command(arguments, 20)))
    finally:
        path.parent.chmod(0o755)


def memory_store(folder: Path, seed: int) -> Iterator[Try]:
    """Name a store as SQLite's own names: a file is made, or it is refused."""
    file = folder / "c.jsonl"
    file.write_text(json.dumps({"prompt": "p", "responses": ["a", "b"], "ranks": [1, 2]}) + "\n")
    before = Path.cwd()
    os.chdir(folder)
    try:
        for name in (":memory:", "file:x.db", "file::memory:?cache=shared", "", " ", "-x", "a?mode=memory", "~"):
            outcome = outcome_of_command(["comparisons", name, "--add", str(file)], 10)
            fault = fault_of(outcome)
            if not fault and outcome.kind == "taken" and not (folder / name).is_file():
                fault = "taken, but there is no file"
            yield Try(repr(name), fault)
    finally:
        os.chdir(before)


ROWS: Final = (
    Row("stores that are none or damaged", "one sentence, exit 1 or 2", bad_stores),
    Row("a store deleted, moved, replaced while open", "what was said to be kept is found", changed_while_open),
    Row("a clock that is wrong", "15 minutes, and what comes late counts", clock),
    Row("odd texts", "read back equal, or refused", texts),
    Row("odd columns of items", "read back equal, or refused and nothing added", columns),
    Row("what is no judgement", "refused, nothing kept", submissions),
    Row("four processes on a store, killed", "each judgement once, no item twice", processes),
    Row("a full disk", "what was said to be kept is there; it goes on with space", full_disk),
    Row("a store that may not be written", "one sentence", read_only),
    Row("names that mean no file to SQLite", "a file is made, or refused", memory_store),
)
