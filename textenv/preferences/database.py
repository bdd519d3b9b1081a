"""`Database`: the SQLite file of a comparison store, its tables, transactions and errors."""

import contextlib
import json
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from textenv.errors import LoadError, SaveError

FORMAT: Final = 1
"""Of the tables; it is raised when they change."""
APPLICATION: Final = 0x74786376
"""Marks the header of the file, where SQLite keeps a number for it, as a store of textenv."""
BUSY_SECONDS: Final = 30.0
"""That one process waits for another to finish writing."""

TABLES: Final = (
    """CREATE TABLE items (
        id INTEGER PRIMARY KEY,
        digest BLOB NOT NULL UNIQUE,   -- of prompt and responses
        prompt TEXT NOT NULL,
        responses TEXT NOT NULL,       -- JSON, as are sources, columns, ranks, ratings and shown
        sources TEXT,
        columns TEXT NOT NULL
    )""",
    """CREATE TABLE labels (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        item INTEGER NOT NULL REFERENCES items (id),
        annotator TEXT NOT NULL,
        ranks TEXT,                    -- NULL: cannot tell
        ratings TEXT,
        time REAL NOT NULL,            -- seconds since 1970
        token TEXT UNIQUE,             -- of the lease; this and what follows is NULL for labels that were given without one
        shown TEXT,                    -- the response that stood in each place
        seconds REAL,                  -- that the annotator took
        UNIQUE (item, annotator)
    )""",
    """CREATE TABLE leases (
        token TEXT PRIMARY KEY,
        item INTEGER NOT NULL REFERENCES items (id),
        annotator TEXT NOT NULL,
        shown TEXT NOT NULL,
        since REAL NOT NULL,
        expires REAL NOT NULL,
        ranks TEXT,                    -- of a label that was undone
        ratings TEXT
    )""",
    "CREATE INDEX leases_by_item ON leases (item)",
    "CREATE INDEX leases_by_annotator ON leases (annotator)",
)


def _differ(texts: str) -> bool:
    """Tell whether a list of texts, as JSON, holds two. SQLite's own functions end a text at a NUL."""
    return len(set(json.loads(texts))) > 1


class Database:
    """An open file, used by any number of threads; another process opens its own.

    Args:
        path: of the file.
        create: make the file if it is missing.

    Raises:
        LoadError: there is no such file, it is no store, or a newer version of textenv made it.
        SaveError: it cannot be written.
    """

    def __init__(self, path: Path, *, create: bool) -> None:
        self.path = path
        self._lock = threading.RLock()
        if not path.is_file() and not create:
            raise LoadError(f"There is no comparison store {path}; textenv compare makes one.")
        with self._saying():
            self._connection = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)
            self._connection.create_function("differ", 1, _differ, deterministic=True)
        try:
            self._open(create)
        except BaseException:
            self._connection.close()
            raise

    def _open(self, create: bool) -> None:
        if create and self._is_empty():
            with self.transaction():
                if self._is_empty():  # no other process was faster
                    for statement in TABLES:
                        self.run(statement)
                    self.run(f"PRAGMA application_id = {APPLICATION}")
                    self.run(f"PRAGMA user_version = {FORMAT}")
        (application,), (version,) = (self.rows(f"PRAGMA {name}")[0] for name in ("application_id", "user_version"))
        if application != APPLICATION:
            what = "empty" if self._is_empty() else "a database of another program"
            raise LoadError(f"{self.path} is no comparison store, but {what}.")
        if version > FORMAT:
            raise LoadError(f"{self.path} is a comparison store of a newer textenv: its format is {version}, this one reads {FORMAT}.")
        self.rows("PRAGMA journal_mode = WAL")
        self.run("PRAGMA synchronous = FULL")
        self.run("PRAGMA foreign_keys = ON")

    def _is_empty(self) -> bool:
        return not self.rows("SELECT 1 FROM sqlite_master LIMIT 1")

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        """Do all of a block or nothing, while no other thread or process writes; afterwards it is on the disk.

        Raises:
            SaveError: the file cannot be written, or another process kept it locked for too long.
        """
        with self._lock, self._saying():
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise

    def rows(self, query: str, values: Any = ()) -> list[tuple[Any, ...]]:
        """Ask."""
        with self._lock, self._saying():
            return self._connection.execute(query, values).fetchall()

    def run(self, statement: str, values: Any = ()) -> int:
        """Change something, and give the id of the row that was inserted."""
        with self._lock, self._saying():
            return self._connection.execute(statement, values).lastrowid or 0

    @contextlib.contextmanager
    def _saying(self) -> Iterator[None]:
        """Put what SQLite complains of into one sentence."""
        try:
            yield
        except sqlite3.OperationalError as error:
            raise SaveError(f"The comparison store {self.path} cannot be used: {error}.") from error
        except sqlite3.DatabaseError as error:
            raise LoadError(f"{self.path} is no comparison store: {error}.") from error
