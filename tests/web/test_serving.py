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
from typing import Any

import pytest

from tests.web.client import Client, start
from textenv.errors import ArgumentError
from textenv.preferences.store import ComparisonStore, Item
from textenv.web.serving import bind, is_local, names_of, reachable

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


def test_one_of_several_at_once_gets_the_port() -> None:
    """Two can bind a port before either listens, with which the second then fails."""
    for _ in range(20):
        with bind(0) as free:
            port = free.getsockname()[1]
        start_together = threading.Barrier(4)

        def take(port: int = port, start_together: threading.Barrier = start_together) -> socket.socket | str:
            start_together.wait()
            try:
                return bind(port)
            except ArgumentError as error:
                return str(error)

        with ThreadPoolExecutor(4) as threads:
            outcomes = [threads.submit(take) for _ in range(4)]
            listening = [outcome.result() for outcome in outcomes if isinstance(outcome.result(), socket.socket)]
            refused = [outcome.result() for outcome in outcomes if isinstance(outcome.result(), str)]
        for one in listening:
            assert isinstance(one, socket.socket)
            one.close()
        assert len(listening) == 1
        assert all(str(one).startswith(f"Port {port} cannot be used: Address already in use;") for one in refused)


def test_a_port_is_ours_only_when_we_listen() -> None:
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind(("127.0.0.1", 0))
        other.listen()
        with pytest.raises(ArgumentError, match="cannot be used: Address already in use"):
            bind(other.getsockname()[1])


@pytest.mark.parametrize("host", ["nowhere.invalid", "1.2.3", "999.1.1.1", "a b", "x" * 300])
def test_a_host_that_is_not_this_machine(host: str) -> None:
    with pytest.raises(ArgumentError, match=r"^There is no host .*; give an address of this machine, or 0\.0\.0\.0\.$|cannot be used"):
        bind(0, host)


def test_a_host_of_another_machine() -> None:
    with pytest.raises(ArgumentError, match=r"^Port 0 of 192\.0\.2\.1 cannot be used: Cannot assign requested address; choose"):
        bind(0, "192.0.2.1")


@pytest.mark.parametrize(
    ("host", "printed"),
    [
        ("127.0.0.1", "127.0.0.1"),
        ("127.1", "127.0.0.1"),
        ("127.0.0.2", "127.0.0.2"),
        ("localhost", "localhost"),
        ("LOCALHOST", "LOCALHOST"),
    ],
)
def test_what_only_this_machine_reaches(host: str, printed: str) -> None:
    with bind(0, host) as listening:
        assert is_local(listening)
        assert names_of(host, listening) == ("localhost",)
        assert reachable(host, listening) == printed


@pytest.mark.parametrize("host", ["0.0.0.0", "0", "0.0"])
def test_what_every_machine_reaches(host: str) -> None:
    with bind(0, host) as listening:
        assert not is_local(listening)
        assert names_of(host, listening) == (socket.gethostname().lower(), "localhost")
        printed = reachable(host, listening)
        assert printed == reachable("0.0.0.0", listening)
        socket.create_connection((printed, listening.getsockname()[1]), timeout=5).close()


@pytest.mark.skipif(not socket.has_ipv6, reason="without IPv6")
def test_addresses_of_ipv6_are_written_in_brackets() -> None:
    try:
        listening = bind(0, "::1")
    except ArgumentError:
        pytest.skip("this machine has no IPv6")
    with listening:
        assert is_local(listening)
        assert reachable("::1", listening) == "[::1]"


def hosts_file(monkeypatch: pytest.MonkeyPatch, addresses: dict[str, str]) -> None:
    """Let names have addresses, as /etc/hosts does, which only root may write."""
    real = socket.getaddrinfo

    def look_up(host: str, *arguments: Any, **options: Any) -> Any:
        if options.get("flags") == socket.AI_NUMERICHOST:
            return real(host, *arguments, **options)
        return real(addresses.get(host, host), *arguments, **options)

    monkeypatch.setattr(socket, "getaddrinfo", look_up)


def test_a_name_that_leads_to_this_machine_only_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Debian gives a machine's own name the address 127.0.1.1."""
    hosts_file(monkeypatch, {"vm": "127.0.1.1", "desk.example": "127.0.0.1", "label.localhost": "127.0.0.1"})
    for host, address in (("vm", "127.0.1.1"), ("desk.example", "127.0.0.1")):
        with pytest.raises(ArgumentError) as caught:
            bind(0, host)
        assert str(caught.value) == f"{host} is {address} here; give the machine's address, or 0.0.0.0."
    with bind(0, "label.localhost") as listening:
        assert names_of("label.localhost", listening) == ("label.localhost", "localhost")


def test_a_name_that_others_reach_is_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    hosts_file(monkeypatch, {"Desk.example": "0.0.0.0"})
    with bind(0, "Desk.example") as listening:
        assert not is_local(listening)
        assert names_of("Desk.example", listening)[0] == "desk.example"
        assert reachable("Desk.example", listening) == "Desk.example"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("hanging", [True, False])
def test_a_signal_ends_the_page_with_the_last_sentence(number: signal.Signals, hanging: bool, tmp_path: Path) -> None:
    path = tmp_path / "store"
    fill(path, 2)
    process, address = start(path)
    client = Client(address, "anna")
    client.post("/label", token=client.get().field("token"), cannot_tell=1)
    cookies = "; ".join(f"{name}={value}" for name, value in client.cookies.items())
    head = f"POST /label HTTP/1.1\r\nHost: {client.host}\r\nOrigin: http://{client.host}\r\nCookie: {cookies}\r\n"
    host, _, port = client.host.partition(":")
    with (
        socket.create_connection((host, int(port)), timeout=10) as body_to_come,
        socket.create_connection((host, int(port))) as head_to_come,
    ):
        if hanging:
            body_to_come.sendall(f"{head}Content-Length: 1000\r\n\r\ntoken=".encode())
            head_to_come.sendall(head.encode())
        time.sleep(0.3)
        sent = time.monotonic()
        process.send_signal(number)
        _, said = process.communicate(timeout=30)
        assert time.monotonic() - sent < 6
        if hanging:
            assert body_to_come.recv(100).startswith(b"HTTP/1.1 503 ")
    assert process.returncode == 0
    first, *last = said.splitlines()
    assert first.startswith("Open this address in a browser")
    assert last == [f"1 of 2 items are judged; {path} holds 1 judgements."]


def test_the_last_sentence_of_a_store_that_is_gone_is_true(tmp_path: Path) -> None:
    path = tmp_path / "store"
    fill(path, 2)
    process, address = start(path)
    client = Client(address, "anna")
    path.unlink()
    assert client.get().status == 503
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=30)
    assert process.returncode == 1
    assert said.splitlines()[-1].startswith(f"textenv: The comparison store {path} was moved or deleted, or another file took its place")
    assert "holds" not in said
    assert not path.exists()


@pytest.mark.parametrize("host", ["0.0.0.0", "0"])
def test_each_annotator_gets_an_address(host: str, tmp_path: Path) -> None:
    path = tmp_path / "store"
    fill(path, 3)
    process, first = start(path, "--host", host, "--annotators", "anna", " Zoe\u0308  M.", "--instructions", "Prefer\nthe shorter.")
    assert process.stdout is not None
    addresses = dict(line.strip().split(": ", 1) for line in (first, process.stdout.readline()))
    try:
        assert list(addresses) == ["anna", "Zo\u00eb M."]
        assert len(set(addresses.values())) == 2
        with bind(0, "0.0.0.0") as listening:
            reached = reachable("0.0.0.0", listening)
        for name, address in addresses.items():
            assert address.startswith(f"http://{reached}:")
            client = Client(address)
            page = client.get()
            assert f"<span>{name}</span>" in page.text
            assert "Prefer\nthe shorter." in page.text
            client.post("/label", token=page.field("token"), cannot_tell=1)
    finally:
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=30)
    warning, last = said.splitlines()
    assert "The traffic is not encrypted" in warning
    assert "every machine that reaches it" in warning
    assert last == f"2 of 3 items are judged; {path} holds 2 judgements."
    with ComparisonStore(path) as store:
        assert store.progress().annotators == {"Zo\u00eb M.": 1, "anna": 1}


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
