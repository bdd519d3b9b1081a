"""The benchmark of the labelling page: that it runs, and that a page of many items asks as little as one of few."""

import sqlite3
from pathlib import Path

import pytest

from benchmarks.labelling import at_once, by_place, label_pages, long_texts, main, make_items
from textenv.preferences.store import ComparisonStore


def test_every_number_is_measured(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(sizes=(12,), pages=2, long=1000, annotators=2)
    printed = capsys.readouterr().out.splitlines()
    assert printed[2].startswith("| 12 | ")
    assert printed[3].startswith("2 annotators at once, 12 items: ")
    assert printed[4].startswith("two responses of 1,000 characters: ")
    assert len(list(by_place(tmp_path / "a", 12, 2))) == 3
    assert at_once(tmp_path / "b", 12, 2, 1) > 0
    assert len(long_texts(tmp_path / "c", 100, 3)) == 2


def test_a_page_costs_as_little_at_the_end_of_many_items(tmp_path: Path) -> None:
    """In steps of SQLite, which do not depend on the machine."""
    steps = {}
    for n in (30, 3000):
        with ComparisonStore(tmp_path / f"{n}.db", create=True) as store:
            store.add(make_items(n))
            with store._database.transaction():
                store._database.run("INSERT INTO labels (item, annotator, time) SELECT id, 'ben', 0 FROM items WHERE id <= ?", (n - 10,))
            label_pages(store, "anna", 1)
            steps[n] = count_steps(store._database._connection, lambda: label_pages(store, "anna", 5))
    assert steps[3000] < 1.5 * steps[30]


def count_steps(connection: sqlite3.Connection, work: object) -> int:
    assert callable(work)
    count = 0

    def step() -> None:
        nonlocal count
        count += 1

    connection.set_progress_handler(step, 1)
    work()
    connection.set_progress_handler(None, 1)
    return count
