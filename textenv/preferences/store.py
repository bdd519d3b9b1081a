"""`ComparisonStore`: prompts with responses to compare and what annotators said of them, in one SQLite file."""

import json
import secrets
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path
from types import TracebackType
from typing import Any, Final, NamedTuple

from textenv.errors import ArgumentError, OrderError
from textenv.preferences.comparison import Comparison
from textenv.preferences.database import Database

LEASE_SECONDS: Final = 900.0
"""For which an item that an annotator is at is kept from others."""

# How many annotators have judged an item or, other than :me, are at it.
_TAKEN: Final = """(
    (SELECT count(*) FROM labels WHERE labels.item = items.id)
    + (SELECT count(*) FROM leases WHERE leases.item = items.id AND leases.expires > :now AND leases.annotator != :me)
)"""
_NOT_JUDGED: Final = "NOT EXISTS (SELECT 1 FROM labels WHERE labels.item = items.id AND labels.annotator = :me)"
# Responses that are all the same text tie without being asked about.
_DIFFER: Final = "differ(items.responses)"


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
        LoadError: there is no such file, it is no store, or a newer version of textenv made it.
        SaveError: it cannot be written; every method may find it so.
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
        where = f"{_NOT_JUDGED} AND {_TAKEN} < :overlap AND {_DIFFER}"
        return self._items(where, {"me": annotator, "now": time.time(), "overlap": overlap})

    def items(self) -> list[Item]:
        """List all items, in the order in which they came."""
        return self._items("1", {})

    # Labels

    def lease(self, annotator: str, *, overlap: int = 1, seconds: float = LEASE_SECONDS) -> Lease | None:
        """Give an annotator an item: the one he is at, else the first that he has not judged and is in few enough hands.

        A lease that has expired keeps nobody from its item; what is submitted under it counts all the same.

        Args:
            annotator: a name.
            overlap: how many annotators are to judge each item.
            seconds: until the lease expires.

        Returns:
            None if nothing is left for this annotator.
        """
        now = time.time()
        known = {"me": annotator, "now": now, "overlap": overlap}
        with self._database.transaction():
            tokens = self._database.rows(
                "SELECT token FROM leases JOIN items ON items.id = leases.item WHERE leases.annotator = :me"
                f" AND (leases.expires > :now OR {_TAKEN} < :overlap) ORDER BY leases.rowid DESC LIMIT 1",
                known,
            )
            if tokens:
                ((token,),) = tokens
                self._database.run("UPDATE leases SET expires = ? WHERE token = ?", (now + seconds, token))
                return self._lease(token)
            items = self._database.rows(
                f"SELECT id, responses FROM items WHERE {_NOT_JUDGED} AND {_TAKEN} < :overlap AND {_DIFFER}"
                " AND NOT EXISTS (SELECT 1 FROM leases WHERE leases.item = items.id AND leases.annotator = :me) ORDER BY id LIMIT 1",
                known,
            )
            if not items:
                return None
            ((item, responses),) = items
            k = len(json.loads(responses))
            return self._add_lease(item, annotator, _json(secrets.SystemRandom().sample(range(k), k)), now + seconds)

    def submit(
        self, token: str, ranks: Sequence[int] | None, ratings: Sequence[float | None] | None = None, seconds: float | None = None
    ) -> bool:
        """Label a leased item.

        Args:
            token: of the lease.
            ranks: of the responses in the order of the lease; None: cannot tell.
            ratings: likewise, from 1 to 7; None leaves those of a label that was undone, unless the annotator cannot tell any more.
            seconds: that the annotator took; by default, and at most, those since the item was leased.

        Returns:
            False if the token was submitted before: that label stays.

        Raises:
            ArgumentError: ranks or ratings do not fit the responses.
            OrderError: there is no such lease: its label was undone, or the annotator's judgement came in another way.
        """
        with self._database.transaction():
            if self._database.rows("SELECT 1 FROM labels WHERE token = ?", (token,)):
                return False
            waiting = "SELECT item, annotator, shown, since, ratings, prompt, responses FROM leases JOIN items ON id = item WHERE token = ?"
            found = self._database.rows(waiting, (token,))
            if not found:
                raise OrderError("Nothing waits for this judgement: it was undone or given in another way.")
            ((item, annotator, shown, since, undone, prompt, responses),) = found
            Comparison(
                prompt=prompt,
                responses=_tuple(responses),
                ranks=None if ranks is None else tuple(ranks),
                ratings=None if ratings is None else tuple(ratings),
            )
            order = json.loads(shown)
            places = [order.index(response) for response in range(len(order))]
            took = max(time.time() - since, 0.0)
            self._add_label(
                item,
                annotator,
                ranks=None if ranks is None else [ranks[place] for place in places],
                ratings=[ratings[place] for place in places] if ratings else None if ranks is None else _tuple(undone),
                token=token,
                shown=shown,
                seconds=took if seconds is None else min(max(seconds, 0.0), took),
            )
            return True

    def last(self, annotator: str) -> str | None:
        """Name the token of an annotator's last submission, None before the first."""
        tokens = self._database.rows(
            "SELECT token FROM labels WHERE annotator = ? AND token IS NOT NULL ORDER BY id DESC LIMIT 1", (annotator,)
        )
        return tokens[0][0] if tokens else None

    def undo(self, annotator: str, token: str) -> Lease | None:
        """Take an annotator's last submission back, and lease its item to him once more.

        Args:
            annotator: a name.
            token: of that submission, so that two requests to undo it undo no other.

        Returns:
            None if it is not his last.
        """
        with self._database.transaction():
            if self.last(annotator) != token:
                return None
            ((item, shown, ranks, ratings),) = self._database.rows(
                "SELECT item, shown, ranks, ratings FROM labels WHERE token = ?", (token,)
            )
            self._database.run("DELETE FROM labels WHERE token = ?", (token,))
            return self._add_lease(item, annotator, shown, time.time() + LEASE_SECONDS, ranks, ratings)

    def progress(self, *, overlap: int = 1) -> Progress:
        """Count items and labels."""
        with self._database.transaction():
            ((items, done),) = self._database.rows(
                "SELECT count(*), coalesce(sum((SELECT count(*) FROM labels WHERE labels.item = items.id) >= ?), 0)"
                f" FROM items WHERE {_DIFFER}",
                (overlap,),
            )
            by_annotator = f"FROM labels JOIN items ON items.id = item WHERE {_DIFFER} GROUP BY annotator ORDER BY annotator"
            annotators = self._database.rows(f"SELECT annotator, count(*) {by_annotator}")
        return Progress(items, done, sum(count for _, count in annotators), dict(annotators))

    # Labels with their items

    def comparisons(self) -> list[Comparison]:
        """List all judgements, in the order of their items."""
        names = ("prompt", "annotator", "responses", "sources", "ranks", "ratings")
        found = self._database.rows(f"SELECT {', '.join(names)} FROM labels JOIN items ON items.id = item ORDER BY item, labels.id")
        return [Comparison(**dict(zip(names, (*row[:2], *map(_tuple, row[2:])), strict=True))) for row in found]

    def add_comparisons(self, comparisons: Iterable[Comparison], items: Iterable[Item] = ()) -> tuple[int, int]:
        """Add judgements with their items, all or none; those that are there already stay as they are.

        Args:
            comparisons: judgements; one that nobody has made adds its item only.
            items: are added first, so with their columns.

        Returns:
            How many items and how many judgements are new.

        Raises:
            ArgumentError: an annotator has judged the same responses in another way.
        """
        new_labels = 0
        with self._database.transaction():
            new_items = sum(self._add(item)[1] for item in items)
            for comparison in comparisons:
                item, new = self._add(Item(prompt=comparison.prompt, responses=comparison.responses, sources=comparison.sources))
                new_items += new
                if comparison.ranks is None and comparison.ratings is None and not comparison.annotator:
                    continue
                key = (item, comparison.annotator)
                before = self._database.rows("SELECT ranks, ratings FROM labels WHERE item = ? AND annotator = ?", key)
                if before and tuple(map(_tuple, before[0])) != (comparison.ranks, comparison.ratings):
                    raise ArgumentError(
                        f"{comparison.annotator or 'An annotator without name'} judges the same responses in two ways,"
                        f" to the prompt {comparison.prompt!r}; two annotators need two names."
                    )
                if not before:
                    self._add_label(item, comparison.annotator, ranks=comparison.ranks, ratings=comparison.ratings)
                    new_labels += 1
        return new_items, new_labels

    # Rows

    def _items(self, where: str, known: dict[str, Any]) -> list[Item]:
        found = self._database.rows(f"SELECT prompt, responses, sources, columns FROM items WHERE {where} ORDER BY id", known)
        return [Item(prompt=p, responses=_tuple(r), sources=_tuple(s), columns=json.loads(c)) for p, r, s, c in found]

    def _add(self, item: Item) -> tuple[int, bool]:
        """Give the id of an item, and whether it is new."""
        digest = blake2b(json.dumps([item.prompt, item.responses]).encode(), digest_size=16).digest()
        found = self._database.rows("SELECT id FROM items WHERE digest = ?", (digest,))
        if found:
            return found[0][0], False
        try:
            columns = json.dumps(item.columns, ensure_ascii=False)
        except TypeError as error:
            raise ArgumentError(f"A store keeps columns as JSON: {error}, for the prompt {item.prompt!r}.") from error
        values = (digest, item.prompt, _json(item.responses), _json(item.sources), columns)
        return self._database.run("INSERT INTO items (digest, prompt, responses, sources, columns) VALUES (?, ?, ?, ?, ?)", values), True

    def _add_lease(
        self, item: int, annotator: str, shown: str | None, expires: float, ranks: str | None = None, ratings: str | None = None
    ) -> Lease:
        token = secrets.token_urlsafe(16)
        values = (token, item, annotator, shown, time.time(), expires, ranks, ratings)
        self._database.run("INSERT INTO leases VALUES (?, ?, ?, ?, ?, ?, ?, ?)", values)
        return self._lease(token)

    def _lease(self, token: str) -> Lease:
        ((prompt, shown, *by_response),) = self._database.rows(
            "SELECT prompt, shown, responses, ranks, ratings FROM leases JOIN items ON items.id = item WHERE token = ?", (token,)
        )
        order = json.loads(shown)
        in_places = (None if text is None else tuple(json.loads(text)[response] for response in order) for text in by_response)
        responses, ranks, ratings = in_places
        return Lease(token=token, prompt=prompt, responses=responses or (), ranks=ranks, ratings=ratings)

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
            (item, annotator, _json(ranks), _json(ratings), time.time(), token, shown, seconds),
        )


def _json(values: Sequence[Any] | None) -> str | None:
    """Write a list; one that says nothing is none."""
    return None if values is None or all(value is None for value in values) else json.dumps(list(values), ensure_ascii=False)


def _tuple(text: str | None) -> Any:
    return None if text is None else tuple(json.loads(text))
