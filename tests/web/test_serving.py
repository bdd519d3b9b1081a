"""Serving on this machine: ports, the end, and that no judgement is lost when the server is killed under twenty clients."""

import http.client
import random
import signal
import socket
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.web.client import Client, start
from textenv.errors import ArgumentError
from textenv.preferences.store import ComparisonStore, Item
from textenv.web.serving import bind

CLIENTS, ITEMS, OVERLAP = 20, 60, 3


def fill(path: Path, n: int) -> None:
    with ComparisonStore(path, create=True) as store:
        store.add(Item(prompt=f"{i}", responses=(f"{i}a", f"{i}b", f"{i}c")) for i in range(n))


def test_a_port_in_use_is_refused() -> None:
    with bind(0) as taken:
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(ArgumentError, match=f"^Port {port} cannot be used: Address already in use; choose another --port"):
            bind(port)
    bind(port).close()
    with pytest.raises(ArgumentError, match=r"^Port 70000 cannot be used"):
        bind(70000)


def test_only_this_machine_is_served(tmp_path: Path) -> None:
    fill(tmp_path / "store", 1)
    process, address = start(tmp_path / "store")
    try:
        client = Client(address, "anna")
        assert "Rank the responses" in client.get().text
        own = socket.gethostbyname(socket.gethostname())
        if not own.startswith("127."):
            with pytest.raises(ConnectionRefusedError):
                socket.create_connection((own, int(client.host.partition(":")[2])), timeout=5).close()
    finally:
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=30)
    assert process.returncode == 0
    assert said.splitlines()[-1] == f"0 of 1 items are judged; {tmp_path / 'store'} holds 0 judgements."


class Annotators:
    """Clients that judge until nothing is left, and note what they were told is kept.

    Args:
        address: of the page.
    """

    def __init__(self, address: str) -> None:
        self.address = address
        self.kept: list[tuple[str, str, tuple[int, ...]]] = []  # annotator, prompt, ranks in the order of the item
        self.lock = threading.Lock()

    def judge_all(self, name: str) -> None:
        rng, client = random.Random(name), None
        while True:
            address = self.address
            try:
                client = client or Client(address, name)
                page = client.get()
                if page.status == 200 and "Nothing is left" in page.text:
                    return
                prompt, *responses = page.texts
                ranks = {letter: rng.randint(1, 3) for letter in "abc"}
                form = {f"rank-{place}": ranks[text[-1]] for place, text in enumerate(responses)}
                answers = [client.post("/label", token=page.field("token"), responses=3, **form) for _ in range(rng.randint(1, 2))]
                assert answers[0].to in ("/", "/?again"), answers[0].text
                dense = tuple(sorted(set(ranks.values())).index(rank) + 1 for rank in ranks.values())
                with self.lock:
                    self.kept.append((name, prompt, dense))
            except (OSError, http.client.HTTPException):
                client = None
                while self.address == address:
                    time.sleep(0.02)


@pytest.mark.slow
def test_no_judgement_is_lost_or_doubled_when_the_server_is_killed(tmp_path: Path) -> None:
    path = tmp_path / "store"
    fill(path, ITEMS)
    process, address = start(path, "--overlap", str(OVERLAP))
    annotators = Annotators(address)
    with ThreadPoolExecutor(CLIENTS) as threads:
        working = [threads.submit(annotators.judge_all, f"annotator {n}") for n in range(CLIENTS)]
        for already in (40, 90):
            while len(annotators.kept) < already and not any(one.done() for one in working):
                time.sleep(0.005)
            process.kill()
            process.communicate()
            process, annotators.address = start(path, "--overlap", str(OVERLAP))
        for one in working:
            one.result(timeout=120)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=30)
    with ComparisonStore(path) as store:
        judged = [(comparison.annotator, comparison.prompt, comparison.ranks) for comparison in store.comparisons()]
    assert len(annotators.kept) >= ITEMS * OVERLAP - 2 * CLIENTS, "a kill loses at most the answer that each client waits for"
    assert not set(annotators.kept) - set(judged), "what was acknowledged is there"
    assert len(judged) == len({(annotator, prompt) for annotator, prompt, _ in judged}) == ITEMS * OVERLAP
    assert set(Counter(prompt for _, prompt, _ in judged).values()) == {OVERLAP}, "no item in more hands than asked for"
