"""`Database`: what is no store stays as it was, and a transaction is all or nothing."""

import json
import os
import random
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from textenv.errors import ArgumentError, LoadError, SaveError
from textenv.preferences import database
from textenv.preferences.database import APPLICATION, FORMAT, TABLES, Database

OPENED_BY_MANY = """
import sys, pathlib
from textenv.preferences.database import Database
Database(pathlib.Path(sys.argv[1]), create=True).close()
"""


def test_a_file_is_made_only_when_asked(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    with pytest.raises(LoadError, match=r"^There is no comparison store .*store\.db; textenv compare makes one\.$"):
        Database(path, create=False)
    assert not path.exists()
    Database(path, create=True).close()
    Database(path, create=False).close()


@pytest.mark.parametrize("create", [True, False])
def test_what_is_no_store_is_refused_and_left_alone(create: bool, tmp_path: Path) -> None:
    text = tmp_path / "text.db"
    text.write_text("a text, and no database, but one of more than a hundred bytes, as shorter ones read as empty" * 2)
    other = tmp_path / "other.db"
    connection = sqlite3.connect(other)
    connection.execute("CREATE TABLE items (id)")
    connection.close()
    for path, says in ((text, "is no comparison store: file is not a database"), (other, "but a database of another program")):
        before = path.read_bytes()
        with pytest.raises(LoadError, match=says):
            Database(path, create=create)
        assert path.read_bytes() == before
        assert [found.name for found in tmp_path.glob(f"{path.name}*")] == [path.name]


def test_an_empty_file_is_no_store(tmp_path: Path) -> None:
    path = tmp_path / "empty.db"
    path.touch()
    with pytest.raises(LoadError, match="no comparison store"):
        Database(path, create=False)
    assert path.read_bytes() == b""


def test_a_newer_format_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "store.db"
    with monkeypatch.context() as patch:
        patch.setattr(database, "FORMAT", database.FORMAT + 1)
        Database(path, create=True).close()
    with pytest.raises(LoadError, match="of a newer textenv: its format is 3, this one reads 2"):
        Database(path, create=False)


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(SaveError, match=r"cannot be used: unable to open database file\.$"):
        Database(tmp_path / "missing" / "store.db", create=True)


def test_a_transaction_is_all_or_nothing(tmp_path: Path) -> None:
    opened = Database(tmp_path / "store.db", create=True)
    insert = "INSERT INTO items (digest, prompt, responses, columns) VALUES (?, '', '', '')"

    def fail() -> None:
        with opened.transaction():
            opened.run(insert, (b"1",))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert opened.rows("SELECT * FROM items") == []
    with opened.transaction():
        first = opened.run(insert, (b"1",))
    assert opened.rows("SELECT id FROM items") == [(first,)]
    opened.close()


def test_a_writer_waits_for_another_and_says_so_when_it_takes_too_long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "BUSY_SECONDS", 0.2)
    first, second = (Database(tmp_path / "store.db", create=True) for _ in range(2))
    with first.transaction(), pytest.raises(SaveError, match="database is locked"), second.transaction():
        pass
    with second.transaction():
        pass
    first.close()
    second.close()


def test_several_processes_make_one_store(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    processes = [subprocess.Popen([sys.executable, "-c", OPENED_BY_MANY, str(path)]) for _ in range(4)]
    assert [process.wait() for process in processes] == [0] * 4
    opened = Database(path, create=False)
    assert {name for (name,) in opened.rows("SELECT name FROM sqlite_master")} >= {"items", "labels", "leases"}
    opened.close()


# Where the file is


def test_what_cannot_be_the_path_of_a_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    for create in (True, False):
        with pytest.raises(ArgumentError, match=r"^A comparison store is a file, which :memory: is not; give the path of one\.$"):
            Database(Path(":memory:"), create=create)
        for path in (tmp_path, fifo, Path("/dev/null")):
            with pytest.raises(LoadError, match=r" is no comparison store, as it is no file\.$"):
                Database(path, create=create)
        with pytest.raises(LoadError, match=r"^There can be no comparison store .*: File name too long\.$"):
            Database(tmp_path / ("x" * 5000), create=create)
    assert os.listdir(tmp_path) == ["fifo"]


@pytest.mark.parametrize("name", ["file:store.db", "store?mode=ro", "100%.db", "a#b.db", "ü 雨.db", "store.db;--"])
def test_a_path_is_taken_as_it_is(name: str, tmp_path: Path) -> None:
    Database(tmp_path / name, create=True).close()
    assert os.listdir(tmp_path) == [name]
    Database(tmp_path / name, create=False).close()


def delete(path: Path) -> None:
    path.unlink()


def delete_with_everything_beside_it(path: Path) -> None:
    for beside in path.parent.glob(f"{path.name}*"):
        beside.unlink()


def move(path: Path) -> None:
    path.rename(path.with_name("elsewhere.db"))


def replace_by_a_copy(path: Path) -> None:
    shutil.copy(path, path.with_name("copy.db"))
    path.with_name("copy.db").replace(path)


def rename_the_folder(path: Path) -> None:
    path.parent.rename(path.parent.with_name("renamed"))


def delete_the_folder(path: Path) -> None:
    shutil.rmtree(path.parent)


def link_to_a_copy(path: Path) -> None:
    shutil.copy(path, path.with_name("copy.db"))
    path.unlink()
    path.symlink_to("copy.db")


LOSSES = (delete, delete_with_everything_beside_it, move, replace_by_a_copy, rename_the_folder, delete_the_folder, link_to_a_copy)
INSERT = "INSERT INTO items (digest, prompt, responses, columns) VALUES (?, '', '[]', '{}')"


@pytest.mark.parametrize("lose", LOSSES)
@pytest.mark.parametrize("kind", ["absolute", "relative", "link"])
def test_nothing_is_written_to_or_read_from_a_file_that_is_no_longer_there(
    lose: Callable[[Path], None], kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "folder" / "store.db"
    path.parent.mkdir()
    monkeypatch.chdir(path.parent)
    Database(path, create=True).close()
    link = tmp_path / "link.db"
    link.symlink_to(path)
    opened = Database({"absolute": path, "relative": Path("store.db"), "link": link}[kind], create=False)
    monkeypatch.chdir(tmp_path)  # a relative path is that of the time of opening
    with opened.transaction():
        opened.run(INSERT, (b"1",))
    lose(path)
    says = r"(store|link)\.db was moved or deleted, or another file took its place, while it was open"
    with pytest.raises(SaveError, match=says), opened.transaction():
        opened.run(INSERT, (b"2",))
    with pytest.raises(SaveError, match=says):
        opened.rows("SELECT * FROM items")
    with pytest.raises(SaveError, match=says), opened.snapshot():
        pass
    opened.close()


def test_a_store_that_is_lost_in_the_middle_of_a_transaction_takes_nothing(tmp_path: Path) -> None:
    opened = Database(tmp_path / "store.db", create=True)

    def lose_it() -> None:
        with opened.transaction():
            opened.run(INSERT, (b"1",))
            move(tmp_path / "store.db")

    with pytest.raises(SaveError, match="was moved or deleted"):
        lose_it()
    (tmp_path / "elsewhere.db").rename(tmp_path / "store.db")
    assert opened.rows("SELECT * FROM items") == []
    with opened.transaction():
        opened.run(INSERT, (b"2",))
    assert len(opened.rows("SELECT * FROM items")) == 1, "it is back"
    opened.close()


def test_what_was_written_goes_along_with_the_file(tmp_path: Path) -> None:
    opened = Database(tmp_path / "store.db", create=True)
    with opened.transaction():
        opened.run(INSERT, (b"1",))
    assert os.listdir(tmp_path) == ["store.db"], "there is nothing beside it that could be left behind"
    shutil.copy(tmp_path / "store.db", tmp_path / "copy.db")
    move(tmp_path / "store.db")
    opened.close()
    for name in ("copy.db", "elsewhere.db"):
        again = Database(tmp_path / name, create=False)
        assert len(again.rows("SELECT * FROM items")) == 1
        again.close()


# Stores of format 1


def make_old_store(path: Path) -> sqlite3.Connection:
    """Make a store as textenv once did, with a write-ahead log; it has the file open."""
    connection = sqlite3.connect(path, isolation_level=None)
    for statement in TABLES:
        connection.execute(statement)
    connection.execute(f"PRAGMA application_id = {APPLICATION}")
    connection.execute("PRAGMA user_version = 1")
    connection.execute("PRAGMA journal_mode = WAL")
    for i, responses in enumerate((["a", "b"], ["a", "a"], ["x\0a", "x\0b", "x\0b"]), 1):
        values = (str(i).encode(), f"prompt {i}", json.dumps(responses))
        connection.execute("INSERT INTO items (digest, prompt, responses, columns) VALUES (?, ?, ?, '{}')", values)
    for item, annotator in ((1, "anna"), (2, "anna"), (3, "  old\x1b name"), (3, "anna")):
        connection.execute("INSERT INTO labels (item, annotator, ranks, time) VALUES (?, ?, NULL, 0)", (item, annotator))
    return connection


def counts_of(opened: Database) -> list[list[tuple[object, ...]]]:
    return [
        opened.rows("SELECT * FROM asked ORDER BY item"),
        opened.rows("SELECT * FROM totals WHERE items ORDER BY labels"),
        opened.rows("SELECT * FROM annotators WHERE items ORDER BY annotator, labels"),
    ]


COUNTS = [
    [(1, 2, 1), (3, 3, 2)],
    [(1, 1), (2, 1)],
    [("anna", 1, 1), ("anna", 2, 1), ("old name", 2, 1)],
]


def test_an_old_store_is_brought_to_the_format_of_today(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    make_old_store(path).close()
    for _ in range(2):
        opened = Database(path, create=False)
        assert opened.rows("PRAGMA user_version") == [(FORMAT,)]
        assert opened.rows("PRAGMA journal_mode") == [("delete",)]
        assert counts_of(opened) == COUNTS
        opened.close()
        assert os.listdir(tmp_path) == ["store.db"]


def test_nobody_becomes_two_people_when_an_old_store_is_opened(tmp_path: Path) -> None:
    connection = make_old_store(tmp_path / "store.db")
    connection.execute("DELETE FROM labels")
    insert = "INSERT INTO labels (item, annotator, ranks, time) VALUES (?, ?, ?, 0)"
    typed = ["Zoe\u0308", " Zo\u00eb", "Zo\u00eb\u200b", "Zo\u00eb", "\u200b", "Anna \u2764\ufe0f", ""]
    for item, name in ((1, typed[0]), (2, typed[1]), (3, typed[2]), (3, typed[3]), *((1, name) for name in typed[4:])):
        connection.execute(insert, (item, name, "[1, 2]"))
    lease = "INSERT INTO leases VALUES (?, ?, ?, '[0, 1]', 0, 0, NULL, NULL)"
    for token, item, name in (("a", 1, " Zo\u00eb"), ("b", 2, "Zo\u00eb\u200b"), ("c", 3, "ben "), ("d", 3, "ben"), ("e", 2, "cleo\t")):
        connection.execute(lease, (token, item, name))
    connection.close()
    opened = Database(tmp_path / "store.db", create=False)
    labels = opened.rows("SELECT item, annotator FROM labels ORDER BY id")
    assert labels == [
        *((1, "Zo\u00eb"), (2, "Zo\u00eb")),
        *((3, "Zo\u00eb\u200b"), (3, "Zo\u00eb")),  # the same item twice: no judgement is lost
        *((1, "\u200b"), (1, "Anna \u2764"), (1, "")),
    ]
    leases = opened.rows("SELECT token, annotator FROM leases ORDER BY token")
    assert leases == [("a", " Zo\u00eb"), ("b", "Zo\u00eb\u200b"), ("c", "ben "), ("d", "ben"), ("e", "cleo")]
    assert opened.rows("SELECT sum(items) FROM annotators WHERE annotator = 'Zo\u00eb'") == [(2,)]
    opened.close()


def test_counts_follow_every_change_of_the_labels(tmp_path: Path) -> None:
    make_old_store(tmp_path / "store.db").close()
    opened = Database(tmp_path / "store.db", create=False)
    rng = random.Random(0)
    for _ in range(60):
        item, annotator = rng.choice((1, 2, 3)), rng.choice(("anna", "ben", "cleo"))
        there = opened.rows("SELECT 1 FROM labels WHERE item = ? AND annotator = ?", (item, annotator))
        change = "INSERT INTO labels (item, annotator, time) VALUES (?, ?, 0)"
        if there:
            change = "DELETE FROM labels WHERE item = ? AND annotator = ?"
        with opened.transaction():
            opened.run(change, (item, annotator))
        kept = counts_of(opened)
        asked = opened.rows("SELECT id, (SELECT count(*) FROM labels WHERE item = items.id) FROM items WHERE id != 2")
        assert [(number, labels) for number, _, labels in kept[0]] == asked
        assert kept[1] == sorted(Counter(labels for _, labels in asked).items())
        labelled = opened.rows("SELECT annotator, item FROM labels WHERE item != 2")
        each = Counter((name, dict(asked)[item]) for name, item in labelled)
        assert kept[2] == sorted((name, labels, items) for (name, labels), items in each.items())
    opened.close()


def test_an_old_store_that_another_process_has_open_stays_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "BUSY_SECONDS", 0.2)
    connection = make_old_store(tmp_path / "store.db")
    with pytest.raises(SaveError, match=r"database is locked\. It is of an older textenv; end the processes that have it open\.$"):
        Database(tmp_path / "store.db", create=False)
    assert connection.execute("PRAGMA user_version").fetchall() == [(1,)]
    connection.close()
    Database(tmp_path / "store.db", create=False).close()


def test_a_migration_that_is_cut_off_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_old_store(tmp_path / "store.db").close()
    with monkeypatch.context() as patch:
        patch.setattr(database, "_SINCE_1", (*database._SINCE_1, "SELECT no_such_function()"))
        with pytest.raises(SaveError, match="no such function"):
            Database(tmp_path / "store.db", create=False)
    connection = sqlite3.connect(tmp_path / "store.db")
    assert connection.execute("PRAGMA user_version").fetchall() == [(1,)]
    assert ("asked",) not in connection.execute("SELECT name FROM sqlite_master").fetchall()
    connection.close()
    opened = Database(tmp_path / "store.db", create=False)
    assert counts_of(opened) == COUNTS
    opened.close()


# Files that can only be read

READ_ONLY = """
import os, sys, pathlib
from textenv.errors import TextenvError
from textenv.preferences.store import ComparisonStore
if os.getuid() == 0:
    os.setuid(65534)  # nobody; root may write everything
path = pathlib.Path(sys.argv[1])
try:
    with ComparisonStore(path, create=sys.argv[2] == "create") as store:
        print(len(store.items()), len(store.comparisons()), store.progress(overlap=2)[:3], store.open_to("anna", overlap=2))
        store.lease("anna")
except TextenvError as error:
    print(f"{type(error).__name__}: {error}")
"""


@pytest.fixture
def folder() -> Iterator[Path]:
    """Make a folder that everybody can reach."""
    with tempfile.TemporaryDirectory() as name:
        os.chmod(name, 0o755)
        yield Path(name)
        os.chmod(name, 0o755)


def read_as_nobody(path: Path, how: str = "open") -> list[str]:
    """Read a store in a process that may write neither the file nor its folder."""
    path.chmod(0o444)
    path.parent.chmod(0o555)
    done = subprocess.run([sys.executable, "-c", READ_ONLY, str(path), how], capture_output=True, text=True, check=True)
    return done.stdout.splitlines()


@pytest.mark.parametrize("format", ["old", "new"])
def test_a_store_that_cannot_be_written_is_read(format: str, folder: Path) -> None:
    path = folder / "store.db"
    make_old_store(path).close()
    if format == "new":
        Database(path, create=False).close()
    before = path.read_bytes()
    numbers, refused = read_as_nobody(path)
    assert numbers == "3 4 (2, 1, 3) 0"
    assert refused == f"SaveError: The comparison store {path} can only be read: the file or its folder cannot be written."
    assert read_as_nobody(path, "create") == [f"SaveError: The comparison store {path} cannot be written, or its folder cannot."]
    assert (path.read_bytes(), os.listdir(folder)) == (before, ["store.db"])


def test_a_store_that_needs_what_lies_beside_it_is_not_read_without(folder: Path) -> None:
    connection = make_old_store(folder / "open.db")
    for end in ("", "-wal"):  # as they are after a crash
        shutil.copy(folder / f"open.db{end}", folder / f"store.db{end}")
    connection.close()
    (said,) = read_as_nobody(folder / "store.db")
    assert said.startswith(f"SaveError: The comparison store {folder / 'store.db'} cannot be read where it is: ")
    assert "Its folder must be writable" in said
