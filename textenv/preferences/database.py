"""`Database`: the SQLite file of a comparison store, its tables, transactions and errors."""

import contextlib
import json
import os
import sqlite3
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from textenv.errors import ArgumentError, LoadError, SaveError
from textenv.preferences.names import tidy_name

FORMAT: Final = 2
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

# What follows is computed from the tables above, so that a page need not read all texts, nor count all rows.
_COUNTS: Final = (
    # The items whose responses differ. A table of its own, as a column behind the texts is read through them.
    """CREATE {temporary} TABLE asked (
        item INTEGER PRIMARY KEY,
        responses INTEGER NOT NULL,    -- how many there are
        labels INTEGER NOT NULL        -- likewise
    )""",
    """INSERT INTO asked
        SELECT id, json_array_length(responses), (SELECT count(*) FROM labels WHERE item = items.id)
        FROM items WHERE differ(responses)""",
    """CREATE {temporary} TABLE totals (
        labels INTEGER PRIMARY KEY,
        items INTEGER NOT NULL         -- how many of asked have so many labels
    )""",
    "INSERT INTO totals SELECT labels, count(*) FROM asked GROUP BY labels",
    """CREATE {temporary} TABLE annotators (
        annotator TEXT NOT NULL,
        labels INTEGER NOT NULL,
        items INTEGER NOT NULL,        -- how many of asked the annotator labelled that have so many labels
        PRIMARY KEY (annotator, labels)
    ) WITHOUT ROWID""",
    """INSERT INTO annotators
        SELECT annotator, asked.labels, count(*) FROM labels JOIN asked USING (item) GROUP BY annotator, asked.labels""",
)

# Whatever changes an item's labels takes it out of the counts before and puts it in again after.
_COUNTED: Final = """
    INSERT INTO totals SELECT labels, {sign}1 FROM asked WHERE item = {row}.item
        ON CONFLICT (labels) DO UPDATE SET items = items {sign} 1;
    INSERT INTO annotators
        SELECT annotator, asked.labels, {sign}1 FROM labels JOIN asked USING (item) WHERE item = {row}.item
        ON CONFLICT (annotator, labels) DO UPDATE SET items = items {sign} 1;
"""
_TRIGGERS: Final = tuple(
    f"CREATE TRIGGER {when}_{event} {when} {event} ON labels BEGIN {change} {_COUNTED.format(sign=sign, row=row)} END"
    for event, row, step in (("INSERT", "new", "+ 1"), ("DELETE", "old", "- 1"))
    for when, sign, change in (
        ("BEFORE", "-", ""),
        ("AFTER", "+", f"UPDATE asked SET labels = labels {step} WHERE item = {row}.item;"),
    )
)

# Tables of format 1 become those of format 2 by these.
_SINCE_1: Final = (
    *(statement.format(temporary="") for statement in _COUNTS),
    *_TRIGGERS,
    """CREATE TABLE cursors (
        annotator TEXT NOT NULL,
        overlap INTEGER NOT NULL,
        item INTEGER NOT NULL,         -- each before it has so many labels, or one of this annotator
        PRIMARY KEY (annotator, overlap)
    ) WITHOUT ROWID""",
    "CREATE INDEX labels_by_annotator ON labels (annotator)",
)


def _differ(texts: str) -> bool:
    """Tell whether a list of texts, as JSON, holds two. SQLite's own functions end a text at a NUL."""
    return len(set(json.loads(texts))) > 1


class Database:
    """An open file, used by any number of threads; another process opens its own.

    All is in this one file: SQLite's write-ahead log, a second file beside it, would be left behind by whoever moves or copies
    the store while it is open. Where the file or its folder cannot be written, it can be read.

    Args:
        path: of the file.
        create: make the file if it is missing, and refuse one that cannot be written.

    Raises:
        ArgumentError: the path is not that of a file.
        LoadError: there is no such file, it is no store, or a newer version of textenv made it.
        SaveError: it cannot be written.
    """

    def __init__(self, path: Path, *, create: bool) -> None:
        self.path = path
        self._lock = threading.RLock()
        self._identity: tuple[int, int] | None = None
        _check_path(path, create=create)
        self._file = path.absolute()  # wherever the process goes later
        self._read_only = self._file.exists() and not _is_writable(self._file)
        if create and self._read_only:
            raise SaveError(f"The comparison store {path} cannot be written, or its folder cannot.")
        with self._explained():
            uri = f"{self._file.as_uri()}?{_mode(self._file, create=create, read_only=self._read_only)}"
            self._connection = sqlite3.connect(uri, uri=True, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)
        try:
            self._connection.create_function("differ", 1, _differ, deterministic=True)
            self._identity = _identity(self._file)
            self._open(create)
        except BaseException:
            self._connection.close()
            raise

    def _open(self, create: bool) -> None:
        if create and self._is_empty():
            with self.transaction():
                if self._is_empty():  # no other process was faster
                    self._make((*TABLES, *_SINCE_1))
                    self.run(f"PRAGMA application_id = {APPLICATION}")
        (application,), (version,) = (self.rows(f"PRAGMA {name}")[0] for name in ("application_id", "user_version"))
        if application != APPLICATION:
            what = "empty" if self._is_empty() else "a database of another program"
            raise LoadError(f"{self.path} is no comparison store, but {what}.")
        if version > FORMAT:
            raise LoadError(f"{self.path} is a comparison store of a newer textenv: its format is {version}, this one reads {FORMAT}.")
        self.run("PRAGMA synchronous = EXTRA")  # the folder is synchronised too
        self.run("PRAGMA foreign_keys = ON")
        if version < FORMAT:
            self._migrate()

    def _migrate(self) -> None:
        """Bring a store of format 1, which had a write-ahead log, to the format of today, all or nothing."""
        if self._read_only:  # for this connection only
            self.run("PRAGMA temp_store = MEMORY")
            for statement in _COUNTS:
                self.run(statement.format(temporary="TEMP"))
            return
        self._leave_log()
        with self.transaction():
            if self.rows("PRAGMA user_version") == [(1,)]:  # no other process was faster
                self._tidy_names()
                self._make(_SINCE_1)

    def _tidy_names(self) -> None:
        """Write annotators' names as they are written today, so that nobody becomes two people.

        Where somebody judged an item under both names, the judgement under the old one keeps it.
        """
        names = self.rows(
            "SELECT annotator FROM (SELECT annotator FROM labels UNION SELECT annotator FROM leases)"
            " WHERE typeof(annotator) = 'text'"  # what is damaged is named when it is read
        )
        renamed = [{"old": old, "new": tidy_name(old)} for (old,) in names if tidy_name(old) != old]
        for change in renamed:
            self.run("UPDATE OR IGNORE labels SET annotator = :new WHERE annotator = :old", change)
        for change in renamed:
            self.run(
                "UPDATE leases SET annotator = :new WHERE annotator = :old"
                " AND NOT EXISTS (SELECT 1 FROM labels"
                " WHERE labels.item = leases.item AND labels.annotator = :new)"
                " AND NOT EXISTS (SELECT 1 FROM leases AS others"
                " WHERE others.item = leases.item AND others.annotator = :new)",
                change,
            )

    def _leave_log(self) -> None:
        """Move what the write-ahead log holds into the file, which can be done while no other process has it open."""
        patience = time.monotonic() + min(BUSY_SECONDS, 5.0)
        while True:
            try:
                self.rows("PRAGMA journal_mode = DELETE")
                return
            except SaveError as error:
                if "locked" not in str(error) or time.monotonic() > patience:
                    raise SaveError(f"{error} It is of an older textenv; end the processes that have it open.") from error
            time.sleep(0.05)

    def _make(self, statements: tuple[str, ...]) -> None:
        for statement in statements:
            self.run(statement)
        self.run(f"PRAGMA user_version = {FORMAT}")

    def _is_empty(self) -> bool:
        return not self.rows("SELECT 1 FROM sqlite_master LIMIT 1")

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        """Do all of a block or nothing, while no other thread or process writes; afterwards it is on the disk.

        One inside another is a part of it.

        Raises:
            SaveError: the file cannot be written, is no longer where it was, or another process kept it locked for too long.
        """
        if self._read_only:
            raise SaveError(f"The comparison store {self.path} can only be read: the file or its folder cannot be written.")
        with self._lock:
            if self._connection.in_transaction:
                yield
                return
            with self._begun("IMMEDIATE"):
                yield
                self._check_place()

    @contextlib.contextmanager
    def snapshot(self) -> Iterator[None]:
        """Ask several times of one state of the file."""
        self._check_place()
        with self._begun("DEFERRED"):
            yield

    @contextlib.contextmanager
    def _begun(self, kind: str) -> Iterator[None]:
        with self._lock, self._explained():
            self._connection.execute(f"BEGIN {kind}")
            try:
                yield
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise

    def rows(self, query: str, values: Any = ()) -> list[tuple[Any, ...]]:
        """Ask."""
        with self._lock, self._explained():
            if not self._connection.in_transaction:
                self._check_place()
            return self._connection.execute(query, values).fetchall()

    def run(self, statement: str, values: Any = ()) -> int:
        """Change something, and return the id of the row that was inserted."""
        with self._lock, self._explained():
            return self._connection.execute(statement, values).lastrowid or 0

    def _check_place(self) -> None:
        """Raise SaveError if another file, or none, has the path: what is written would be lost with nobody the wiser."""
        if self._identity is not None and _identity(self._file) != self._identity:
            raise SaveError(
                f"The comparison store {self.path} was moved or deleted, or another file took its place, while it was open."
                " What it held went with it, and nothing was kept since; put it back, or start again with the file that is meant."
            )

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        """Put what SQLite complains of into one sentence."""
        try:
            yield
        except UnicodeEncodeError as error:
            where = error.object[max(error.start - 20, 0) : error.end + 20]
            raise ArgumentError(f"A text holds half of a character, which no file can keep (a lone surrogate): {where!r}.") from error
        except (sqlite3.OperationalError, sqlite3.DataError) as error:
            self._check_place()
            if self._read_only:
                raise SaveError(
                    f"The comparison store {self.path} cannot be read where it is: {error}."
                    " Its folder must be writable, as a process ended while it wrote; copy it with the files beside it to one that is."
                ) from error
            raise SaveError(f"The comparison store {self.path} cannot be used: {error}.") from error
        except sqlite3.DatabaseError as error:
            raise LoadError(f"{self.path} is no comparison store: {error}.") from error


def _check_path(path: Path, *, create: bool) -> None:
    if str(path) == ":memory:":
        raise ArgumentError("A comparison store is a file, which :memory: is not; give the path of one.")
    try:
        is_file, exists = path.is_file(), path.exists()
    except OSError as error:
        raise LoadError(f"There can be no comparison store {path}: {error.strerror}.") from error
    if exists and not is_file:
        raise LoadError(f"{path} is no comparison store, as it is no file.")
    if not exists and not create:
        raise LoadError(f"There is no comparison store {path}; textenv compare makes one.")


def _is_writable(file: Path) -> bool:
    """Tell whether SQLite can write a file: while it does, it keeps another one beside it."""
    return os.access(file, os.W_OK) and os.access(file.resolve().parent, os.W_OK)


def _mode(file: Path, *, create: bool, read_only: bool) -> str:
    """Choose how SQLite opens a file."""
    if create:
        return "mode=rwc"
    if not read_only:
        return "mode=rw"
    with file.open("rb") as opened:
        has_log = opened.read(20)[18:] == b"\x02\x02"
    log = Path(f"{file.resolve()}-wal")
    # To read a file that has a write-ahead log SQLite writes one beside it, but where the log is empty it need not look for one.
    return "mode=ro&immutable=1" if has_log and not (log.is_file() and log.stat().st_size) else "mode=ro"


def _identity(file: Path) -> tuple[int, int] | None:
    try:
        status = file.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino
