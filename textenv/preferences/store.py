"""`ComparisonStore`: prompts with responses to compare and what annotators said of them, in one SQLite file."""

import json
import math
import secrets
import time
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path
from types import TracebackType
from typing import Any, Final, NamedTuple

from textenv.errors import ArgumentError, OrderError
from textenv.preferences.comparison import Comparison
from textenv.preferences.database import Database
from textenv.preferences.names import clean_name
from textenv.preferences.rows import columns_json, decode, list_json

LEASE_SECONDS: Final = 900.0
"""For which an item that an annotator is at is kept from others."""
FRESH_SECONDS: Final = 10.0
"""For which a lease is not renewed, as every write waits for the disk."""

# One that lies further ahead was given by a clock that was wrong.
_ALIVE: Final = f"(leases.expires > :now AND leases.expires <= :now + {LEASE_SECONDS})"
# How many annotators have judged an item or, other than :me, are at it.
_TAKEN: Final = f"""(
    asked.labels
    + (SELECT count(*) FROM leases WHERE leases.item = asked.item AND leases.annotator != :me AND {_ALIVE})
)"""
_NOT_JUDGED: Final = "NOT EXISTS (SELECT 1 FROM labels WHERE labels.item = asked.item AND labels.annotator = :me)"
_NOT_LEASED: Final = "NOT EXISTS (SELECT 1 FROM leases WHERE leases.item = asked.item AND leases.annotator = :me)"


@dataclass(frozen=True, kw_only=True)
class Item:
    """A prompt and the responses to compare.

    Raises:
        ArgumentError: there are fewer than two responses, or sources do not fit them.
    """

    prompt: str
    responses: tuple[str, ...]
    """K texts, K ≥ 2."""
    sources: tuple[str, ...] | None = None
    """Who wrote each response."""
    columns: dict[str, Any] = field(default_factory=dict)
    """The prompt's values of the other columns of its set, as JSON has them."""

    def __post_init__(self) -> None:
        Comparison(prompt=self.prompt, responses=self.responses, sources=self.sources)


@dataclass(frozen=True, kw_only=True)
class Lease:
    """What an annotator is shown: an item without the sources, its responses in an order of chance."""

    token: str
    """Under which the judgement is submitted."""
    prompt: str
    responses: tuple[str, ...]
    """In the order that is shown."""
    ranks: tuple[int, ...] | None = None
    """In that order, of the label that was undone; otherwise None."""
    ratings: tuple[float | None, ...] | None = None
    """Likewise."""


class Progress(NamedTuple):
    """How far the labelling is."""

    items: int
    """Those whose responses are not all the same text."""
    done: int
    """Items with as many labels as are wanted."""
    labels: int
    annotators: dict[str, int]
    """Labels of each, by name."""


class ComparisonStore:
    """A store on disk, used by any number of threads, and by other processes through stores of their own.

    What a method has written is on the disk when it returns.

    Args:
        path: of the file.
        create: make the file if it is missing.

    Raises:
        LoadError: there is no such file, it is no store or a damaged one, or a newer version of textenv made it; every method may
            find it damaged.
        SaveError: it cannot be written, or is no longer where it was; every method may find it so.
    """

    def __init__(self, path: Path | str, *, create: bool = False) -> None:
        self._database = Database(Path(path), create=create)

    def __enter__(self) -> "ComparisonStore":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._database.close()

    def together(self) -> AbstractContextManager[None]:
        """Let what the methods in a block write reach the disk at once, all or nothing."""
        return self._database.transaction()

    # What is to be judged

    def add(self, items: Iterable[Item]) -> int:
        """Add items, all or none.

        Returns:
            How many were not there already.

        Raises:
            ArgumentError: a column holds what JSON does not.
        """
        with self._database.transaction():
            return sum(self._add(item)[1] for item in items)

    def pending(self, annotator: str, *, overlap: int = 1) -> list[Item]:
        """List the items that an annotator has not judged, that are in fewer other hands than `overlap`, and whose responses differ."""
        where = f"JOIN asked ON asked.item = items.id WHERE {_NOT_JUDGED} AND {_TAKEN} < :overlap"
        with self._database.snapshot():
            return self._items(where, {"me": clean_name(annotator), "now": time.time(), "overlap": overlap})

    def items(self) -> list[Item]:
        """List all items, in the order in which they came."""
        return self._items("", {})

    # Labels

    def lease(self, annotator: str, *, overlap: int = 1) -> Lease | None:
        """Lease an item to an annotator: the one they are at, else the first that they have not judged and few enough others have.

        A lease keeps others from its item for LEASE_SECONDS; what is submitted later counts all the same.

        Args:
            annotator: a name, see `clean_name`.
            overlap: how many annotators are to judge each item.

        Returns:
            None if nothing is left for this annotator.

        Raises:
            ArgumentError: the name cannot be one.
        """
        me = clean_name(annotator)
        with self._database.transaction():
            now = time.time()  # in here, as others lease until it begins
            asks = {"me": me, "now": now, "overlap": overlap}
            tokens = self._database.rows(
                "SELECT token, expires FROM leases JOIN asked USING (item) WHERE leases.annotator = :me"
                f" AND ({_ALIVE} OR {_TAKEN} < :overlap) ORDER BY leases.rowid DESC LIMIT 1",
                asks,
            )
            if tokens:
                token, expires = self._decoded("token expires", tokens[0]).values()
                if not 0 <= now + LEASE_SECONDS - expires < FRESH_SECONDS:
                    self._database.run("UPDATE leases SET expires = ? WHERE token = ?", (now + LEASE_SECONDS, token))
            else:
                items = self._database.rows(
                    f"SELECT item, responses FROM asked WHERE item >= :cursor AND {_TAKEN} < :overlap AND {_NOT_JUDGED} AND {_NOT_LEASED}"
                    " ORDER BY item LIMIT 1",
                    {**asks, "cursor": self._move_cursor(asks)},
                )
                if not items:
                    return None
                item, k = self._decoded("item k", items[0]).values()
                token = self._add_lease(item, me, list_json(secrets.SystemRandom().sample(range(k), k)))
            row = self._leased_row(token)
        return self._lease(token, row)

    def _move_cursor(self, asks: dict[str, Any]) -> int:
        """Move an annotator's cursor to the first item that waits for them, so that nobody looks through all that is done again."""
        cursors = self._database.rows("SELECT item FROM cursors WHERE annotator = :me AND overlap = :overlap", asks)
        before = self._decoded("item", cursors[0])["item"] if cursors else 0
        items = self._database.rows(
            f"SELECT item FROM asked WHERE item >= :cursor AND labels < :overlap AND {_NOT_JUDGED} ORDER BY item LIMIT 1",
            {**asks, "cursor": before},
        )
        # Where nothing waits, behind the last item: an item that is added later gets a higher number.
        after = items[0][0] if items else self._database.rows("SELECT coalesce(max(id), 0) + 1 FROM items")[0][0]
        if after != before:
            self._database.run("INSERT OR REPLACE INTO cursors VALUES (:me, :overlap, :cursor)", {**asks, "cursor": after})
        return int(after)

    def submit(
        self,
        token: str,
        ranks: Sequence[int] | None,
        ratings: Sequence[float | None] | None = None,
        seconds: float | None = None,
        *,
        annotator: str | None = None,
    ) -> bool:
        """Label a leased item.

        Args:
            token: of the lease.
            ranks: of the responses in the order of the lease; None: cannot tell.
            ratings: likewise, from 1 to 7; None leaves those of a label that was undone, unless the annotator cannot tell any more.
            seconds: that the annotator took; by default, and at most, those since the item was leased.
            annotator: refuse the leases of all others; by default whoever has a token may submit it.

        Returns:
            False if the token was submitted before: that label stays.

        Raises:
            ArgumentError: ranks, ratings or seconds do not fit the responses.
            OrderError: there is no such lease: its label was undone, or the judgement came in another way, or the lease is of
                another annotator, see `holder`.
        """
        if seconds is not None and math.isnan(seconds):
            raise ArgumentError("seconds must be a number, got nan.")
        mine = {"token": token, "me": annotator}
        with self._database.transaction():
            if self._database.rows("SELECT 1 FROM labels WHERE token = :token AND annotator = coalesce(:me, annotator)", mine):
                return False
            lease = self._waiting(mine)
            order = lease["shown"]
            judged = Comparison(prompt=lease["prompt"], responses=lease["responses"], ranks=ranks, ratings=ratings)  # type: ignore[arg-type]
            places = [order.index(response) for response in range(len(order))]
            took = max(time.time() - lease["since"], 0.0)  # a clock may have been set back
            kept = None if ranks is None else lease["ratings"]  # of a label that was undone
            self._add_label(
                lease["item"],
                lease["annotator"],
                ranks=None if judged.ranks is None else [judged.ranks[place] for place in places],
                ratings=[judged.ratings[place] for place in places] if judged.ratings else kept,
                token=token,
                shown=list_json(order),
                seconds=took if seconds is None else min(max(seconds, 0.0), took),
            )
            return True

    def _waiting(self, mine: dict[str, Any]) -> dict[str, Any]:
        """Return the lease of a token, and its item."""
        names = "item annotator shown since ratings prompt responses"
        leases = self._database.rows(
            f"SELECT {', '.join(names.split())} FROM leases JOIN items ON id = item"
            " WHERE token = :token AND annotator = coalesce(:me, annotator)",
            mine,
        )
        if leases:
            return self._decoded(names, leases[0])
        why = "it was undone or given in another way"
        if self.holder(mine["token"]) is not None:
            why = "it is on an item that was shown to another annotator"
        raise OrderError(f"Nothing waits for this judgement: {why}.")

    def holder(self, token: str) -> str | None:
        """Return the annotator who was shown what a token is of; None where it is of nothing any more."""
        names = self._database.rows(
            "SELECT annotator FROM leases WHERE token = :token UNION SELECT annotator FROM labels WHERE token = :token",
            {"token": token},
        )
        return str(self._decoded("annotator", names[0])["annotator"]) if names else None

    def last(self, annotator: str) -> str | None:
        """Name the token of an annotator's last submission, None before the first."""
        tokens = self._database.rows(
            "SELECT token FROM labels WHERE annotator = ? AND token IS NOT NULL ORDER BY id DESC LIMIT 1", (clean_name(annotator),)
        )
        return str(self._decoded("token", tokens[0])["token"]) if tokens else None

    def undo(self, annotator: str, token: str) -> Lease | None:
        """Take an annotator's last submission back, and lease its item to them once more.

        Args:
            annotator: a name.
            token: of that submission, so that two requests to undo it undo no other.

        Returns:
            None if it is not their last.
        """
        with self._database.transaction():
            if self.last(annotator) != token:
                return None
            ((item, *judged),) = self._database.rows("SELECT item, shown, ranks, ratings FROM labels WHERE token = ?", (token,))
            self._database.run("DELETE FROM labels WHERE token = ?", (token,))
            self._database.run("UPDATE cursors SET item = min(item, ?)", (item,))  # it may wait for anybody now
            again = self._add_lease(item, clean_name(annotator), *judged)
            row = self._leased_row(again)
        return self._lease(again, row)

    def progress(self, *, overlap: int = 1) -> Progress:
        """Count items and labels."""
        with self._database.snapshot():
            (totals,) = self._database.rows(
                "SELECT coalesce(sum(items), 0), coalesce(sum(items) FILTER (WHERE labels >= ?), 0), coalesce(sum(items * labels), 0)"
                " FROM totals",
                (overlap,),
            )
            annotators = self._database.rows(
                "SELECT annotator, sum(items) FROM annotators GROUP BY annotator HAVING sum(items) > 0 ORDER BY annotator"
            )
        names = [self._decoded("annotator labels", row) for row in annotators]
        return Progress(**self._decoded("items done labels", totals), annotators={row["annotator"]: row["labels"] for row in names})

    def open_to(self, annotator: str, *, overlap: int = 1) -> int:
        """Count the items that an annotator has not judged and fewer than `overlap` others have."""
        ((open_to,),) = self._database.rows(
            "SELECT (SELECT coalesce(sum(items), 0) FROM totals WHERE labels < :overlap)"
            " - (SELECT coalesce(sum(items), 0) FROM annotators WHERE labels < :overlap AND annotator = :me)",
            {"me": clean_name(annotator), "overlap": overlap},
        )
        return int(open_to)

    # Labels with their items

    def comparisons(self, *, least: int = 1) -> list[Comparison]:
        """List the judgements of all items with at least so many, in the order of the items."""
        names = ("prompt", "annotator", "responses", "sources", "ranks", "ratings")
        rows = self._database.rows(
            f"SELECT item, {', '.join(names)} FROM labels JOIN items ON items.id = item"
            " WHERE (SELECT count(*) FROM labels AS others WHERE others.item = items.id) >= ? ORDER BY item, labels.id",
            (least,),
        )
        decoded = [self._decoded(f"item {' '.join(names)}", row) for row in rows]
        return [Comparison(**{name: values[name] for name in names}) for values in decoded]

    def add_comparisons(self, comparisons: Iterable[Comparison], items: Iterable[Item] = ()) -> tuple[int, int]:
        """Add judgements with their items, all or none; those that are there already stay as they are.

        Args:
            comparisons: judgements; one that nobody has made adds its item only.
            items: are added first, so with their columns.

        Returns:
            How many items and how many judgements are new.

        Raises:
            ArgumentError: an annotator has judged the same responses in another way, or has a name that cannot be one.
        """
        new_labels = 0
        with self._database.transaction():
            new_items = sum(self._add(item)[1] for item in items)
            for comparison in comparisons:
                item, new = self._add(Item(prompt=comparison.prompt, responses=comparison.responses, sources=comparison.sources))
                new_items += new
                if comparison.ranks is None and comparison.ratings is None and not comparison.annotator:
                    continue
                annotator = clean_name(comparison.annotator)
                before = self._label(item, annotator)
                if before and (before["ranks"], before["ratings"]) != (comparison.ranks, comparison.ratings):
                    raise ArgumentError(
                        f"{annotator or 'An annotator without name'} judges the same responses in two ways,"
                        f" to the prompt {comparison.prompt!r}; two annotators need two names."
                    )
                if not before:
                    self._add_label(item, annotator, ranks=comparison.ranks, ratings=comparison.ratings)
                    new_labels += 1
        return new_items, new_labels

    # Rows

    def _items(self, where: str, values: dict[str, Any]) -> list[Item]:
        rows = self._database.rows(f"SELECT id, prompt, items.responses, sources, columns FROM items {where} ORDER BY id", values)
        decoded = [self._decoded("item prompt responses sources columns", row) for row in rows]
        return [Item(**{name: value for name, value in row.items() if name != "item"}) for row in decoded]

    def _label(self, item: int, annotator: str) -> dict[str, Any] | None:
        """Return ranks and ratings that an annotator has given an item, None where there are none."""
        rows = self._database.rows(
            "SELECT item, prompt, responses, ranks, ratings FROM labels JOIN items ON items.id = item WHERE item = ? AND annotator = ?",
            (item, annotator),
        )
        return self._decoded("item prompt responses ranks ratings", rows[0]) if rows else None

    def _add(self, item: Item) -> tuple[int, bool]:
        """Return the id of an item, and whether it is new."""
        digest = blake2b(json.dumps([item.prompt, item.responses]).encode(), digest_size=16).digest()
        ids = self._database.rows("SELECT id FROM items WHERE digest = ?", (digest,))
        if ids:
            return ids[0][0], False
        columns = columns_json(item.columns, item.prompt)
        values = (digest, item.prompt, list_json(item.responses), list_json(item.sources), columns)
        new = self._database.run("INSERT INTO items (digest, prompt, responses, sources, columns) VALUES (?, ?, ?, ?, ?)", values)
        if len(set(item.responses)) > 1:  # responses that are all the same text tie without being asked about
            self._database.run("INSERT INTO asked VALUES (?, ?, 0)", (new, len(item.responses)))
            self._database.run("INSERT INTO totals VALUES (0, 1) ON CONFLICT (labels) DO UPDATE SET items = items + 1")
        return new, True

    def _add_lease(self, item: int, annotator: str, shown: str | None, ranks: str | None = None, ratings: str | None = None) -> str:
        token, now = secrets.token_urlsafe(16), time.time()
        values = (token, item, annotator, shown, now, now + LEASE_SECONDS, ranks, ratings)
        self._database.run("INSERT INTO leases VALUES (?, ?, ?, ?, ?, ?, ?, ?)", values)
        return token

    def _leased_row(self, token: str) -> tuple[Any, ...]:
        (row,) = self._database.rows(
            "SELECT item, prompt, shown, responses, ranks, ratings FROM leases JOIN items ON items.id = item WHERE token = ?", (token,)
        )
        return row

    def _add_label(
        self,
        item: int,
        annotator: str,
        *,
        ranks: Sequence[int] | None,
        ratings: Sequence[float | None] | None,
        token: str | None = None,
        shown: str | None = None,
        seconds: float | None = None,
    ) -> None:
        self._database.run("DELETE FROM leases WHERE item = ? AND annotator = ?", (item, annotator))
        self._database.run(
            "INSERT INTO labels (item, annotator, ranks, ratings, time, token, shown, seconds) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (item, annotator, list_json(ranks), list_json(ratings), time.time(), token, shown, seconds),
        )

    def _lease(self, token: str, row: tuple[Any, ...]) -> Lease:
        """Put what a lease holds into the order that is shown; long texts are parsed here, where nobody waits for the database."""
        lease = self._decoded("item prompt shown responses ranks ratings", row)
        by_response = (lease["responses"], lease["ranks"], lease["ratings"])
        responses, ranks, ratings = (values and tuple(values[place] for place in lease["shown"]) for values in by_response)
        return Lease(token=token, prompt=lease["prompt"], responses=responses, ranks=ranks, ratings=ratings)

    def _decoded(self, names: str, row: tuple[Any, ...]) -> dict[str, Any]:
        return decode(self._database.path, names, row)
