"""Numbers of docs/labelling.md: what a page of `textenv label` costs, by the size of the store and of its texts.

A page is what GET / asks of the store: a lease, the progress and the last submission. Each is timed with the submission that leads
to it. Of a store of n items the first, the middle and the last ones are judged; what was judged before is imported. Most of the time
is the disk's, so the processor's is printed beside it.

Run: python -m benchmarks.labelling
"""

import statistics
import tempfile
import threading
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Final, NamedTuple

import tyro

from textenv.preferences.comparison import Comparison
from textenv.preferences.store import ComparisonStore, Item

SIZES: Final = (1_000, 10_000, 100_000)
CHARACTERS: Final = 200
"""Of each of two responses."""


def main(sizes: tuple[int, ...] = SIZES, pages: int = 30, long: int = 10_000_000, annotators: int = 20) -> None:
    """Measure and print.

    Args:
        sizes: items of the stores.
        pages: for each median.
        long: characters of the long responses.
        annotators: who work at once, each in a thread, in the largest store.
    """
    with tempfile.TemporaryDirectory() as folder:
        print("| items | first | middle | last |\n|---|---|---|---|")
        for n in sizes:
            cells = [f"{_median(pages_seen)}" for pages_seen in by_place(Path(folder) / f"{n}.db", n, pages)]
            print(f"| {n:,} | {' | '.join(cells)} |", flush=True)
        path = Path(folder) / "many.db"
        together = at_once(path, max(sizes), annotators, pages // 3 + 1)
        print(f"{annotators} annotators at once, {max(sizes):,} items: {1000 * together:.0f} ms")
        print(f"two responses of {long:,} characters: {_median(long_texts(Path(folder) / 'long.db', long))}")


class Page(NamedTuple):
    """What one page took."""

    wall: float
    """Seconds that passed."""
    cpu: float
    """Seconds of the processor."""


def _median(pages: list[Page]) -> str:
    wall, cpu = (statistics.median(column) for column in zip(*pages, strict=True))
    return f"{1000 * wall:.0f} ms ({1000 * cpu:.1f} of the processor)"


def by_place(path: Path, n: int, pages: int) -> Iterable[list[Page]]:
    """Measure pages at the first, the middle and the last items of a store of n."""
    items = make_items(n)
    with ComparisonStore(path, create=True) as store:
        store.add(items)
    for start in (0, n // 2, n - pages - 1):
        with ComparisonStore(path) as store:
            store.add_comparisons(
                Comparison(prompt=item.prompt, responses=item.responses, ranks=(1, 2), annotator="anna") for item in items[: max(start, 0)]
            )
            yield label_pages(store, "ben", pages)


def label_pages(store: ComparisonStore, annotator: str, pages: int) -> list[Page]:
    """Judge some items, and return what each page took."""
    pages_seen = []
    lease = store.lease(annotator)
    for _ in range(pages):
        if lease is None:
            break
        wall, cpu = time.perf_counter(), time.process_time()
        with store.together():
            store.submit(lease.token, [1] * len(lease.responses))
            store.lease(annotator)
        lease = store.lease(annotator)
        store.progress()
        store.open_to(annotator)
        store.last(annotator)
        pages_seen.append(Page(time.perf_counter() - wall, time.process_time() - cpu))
    return pages_seen


def at_once(path: Path, n: int, annotators: int, pages: int) -> float:
    """Measure the median seconds of a page while many ask without a pause."""
    seconds: list[float] = []
    with ComparisonStore(path, create=True) as store:
        store.add(make_items(n))

        def work(name: str) -> None:
            seconds.extend(page.wall for page in label_pages(store, name, pages))

        threads = [threading.Thread(target=work, args=(f"annotator {i}",)) for i in range(annotators)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    return statistics.median(seconds)


def long_texts(path: Path, characters: int, n: int = 12) -> list[Page]:
    """Measure pages whose responses are very long."""
    with ComparisonStore(path, create=True) as store:
        store.add(make_items(n, characters))
        return label_pages(store, "anna", n - 1)


def make_items(n: int, characters: int = CHARACTERS) -> list[Item]:
    """Make items of two responses that differ at their ends."""
    text = "the film was " * (characters // 13)
    return [Item(prompt=f"prompt {i}", responses=(f"{text}{i} a", f"{text}{i} b")) for i in range(n)]


if __name__ == "__main__":
    tyro.cli(main)
