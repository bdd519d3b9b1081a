"""`Database`: what is no store stays as it was, and a transaction is all or nothing."""

import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from textenv.errors import LoadError, SaveError
from textenv.preferences import database
from textenv.preferences.database import Database

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
