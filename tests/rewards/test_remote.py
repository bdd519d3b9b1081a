"""A scoring endpoint over loopback: one that answers, one that is slow, refuses, fails, and answers garbage."""

import contextlib
import dataclasses
import gzip
import json
import os
import pickle
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import gymnasium
import numpy as np
import pandas as pd
import pytest
import torch

from textenv.errors import ArgumentError, RewardError
from textenv.rewards import remote as module
from textenv.rewards.protocol import call_reward
from textenv.rewards.remote import HTTPReward

Answer = Callable[[dict[str, Any]], tuple[int, bytes]]

TEXTS: dict[str, Any] = {"prompts": ["a", "b", "c"], "completions": ["yes", "", "好"]}


def lengths(body: dict[str, Any]) -> tuple[int, bytes]:
    return 200, json.dumps({"scores": [len(text) for text in body["completions"]]}).encode()


class Endpoint:
    """A server whose answers are set by a test, and what it was asked."""

    def __init__(self) -> None:
        self.answers: list[Answer] = []
        """To one request each; the last stays."""
        self.asked: list[dict[str, Any]] = []
        self.raw: list[bytes] = []
        self.headers: list[dict[str, str]] = []
        endpoint = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                endpoint.raw.append(self.rfile.read(int(self.headers["Content-Length"])))
                endpoint.headers.append(dict(self.headers))
                body = json.loads(endpoint.raw[-1])
                endpoint.asked.append(body)
                answer = endpoint.answers.pop(0) if len(endpoint.answers) > 1 else endpoint.answers[0]
                status, data = answer(body)
                with contextlib.suppress(ConnectionError):  # a client may have left
                    self.send_response(status)
                    self.send_header("Content-Length", str(len(data)))
                    self.end_headers()
                    self.wfile.write(data)

            def log_message(self, format: str, *args: Any) -> None:
                """Say nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/score"


@pytest.fixture
def endpoint(monkeypatch: pytest.MonkeyPatch) -> Iterator[Endpoint]:
    monkeypatch.setattr(module, "_FIRST_WAIT", 0.01)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    endpoint = Endpoint()
    thread = threading.Thread(target=endpoint.server.serve_forever, args=(0.01,))
    thread.start()
    yield endpoint
    endpoint.server.shutdown()
    thread.join()
    endpoint.server.server_close()


def test_a_batch_is_one_request_with_its_columns(endpoint: Endpoint) -> None:
    endpoint.answers = [lengths]
    reward = pickle.loads(pickle.dumps(HTTPReward(endpoint.url)))
    columns = {"topic": ["x", "y", "雨"]}
    assert call_reward(reward, TEXTS["prompts"], TEXTS["completions"], columns, [["p"]] * 3).scores.tolist() == [3.0, 0.0, 1.0]
    assert endpoint.asked == [{**TEXTS, **columns}]


def test_it_pays_an_environment(endpoint: Endpoint) -> None:
    endpoint.answers = [lengths]
    env = gymnasium.make("TextCopy-v0", reward=HTTPReward(endpoint.url))
    env.reset(seed=0)
    info: dict[str, Any] = {}
    paid: Any = None
    while "score" not in info:
        _, paid, _, _, info = env.step(0)
    assert info["score"] == paid == len(info["completion"]) > 0


def test_a_server_that_fails_twice_is_asked_three_times(endpoint: Endpoint) -> None:
    endpoint.answers = [lambda body: (500, b""), lambda body: (429, b""), lengths]
    assert HTTPReward(endpoint.url)(**TEXTS) == [3.0, 0.0, 1.0]
    assert endpoint.asked == [TEXTS] * 3


def test_retries_are_bounded(endpoint: Endpoint) -> None:
    endpoint.answers = [lambda body: (503, b"busy")]
    with pytest.raises(
        RewardError, match=rf"^The reward endpoint {endpoint.url} failed 2 times, the last time by: HTTP status 503 \(Service"
    ):
        call_reward(HTTPReward(endpoint.url, retries=1), **TEXTS)
    assert len(endpoint.asked) == 2


def test_a_refused_batch_is_not_sent_again(endpoint: Endpoint) -> None:
    endpoint.answers = [lambda body: (404, b"")]
    with pytest.raises(RewardError, match=rf"The reward endpoint {endpoint.url} refused the batch: HTTP status 404 \(Not Found\)"):
        HTTPReward(endpoint.url)(**TEXTS)
    assert len(endpoint.asked) == 1


def test_a_slow_server_is_left(endpoint: Endpoint) -> None:
    over = threading.Event()

    def slow(body: dict[str, Any]) -> tuple[int, bytes]:
        over.wait(5)
        return 200, b""

    endpoint.answers = [slow]
    start = time.monotonic()
    try:
        with pytest.raises(RewardError, match=r"failed 2 times, the last time by: no answer within 0\.1 s"):
            HTTPReward(endpoint.url, timeout=0.1, retries=1)(**TEXTS)
        assert 0.2 <= time.monotonic() - start < 2
        assert len(endpoint.asked) == 2
    finally:
        over.set()


def test_a_closed_port_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_FIRST_WAIT", 0.01)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}/"
    with pytest.raises(RewardError, match=rf"The reward endpoint {url} failed 3 times, the last time by: .*Connection refused"):
        HTTPReward(url, timeout=0.3)(**TEXTS)


def test_waits_grow(monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []
    monkeypatch.setattr("time.sleep", waits.append)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}/"
    with pytest.raises(RewardError, match="failed 4 times"):
        HTTPReward(url, timeout=0.3, retries=3)(**TEXTS)
    assert waits == [0.1, 0.2, 0.4]


@pytest.mark.parametrize(
    "garbage",
    [
        b"<html><body>Welcome!</body></html>",
        b"",
        b"\xff\xfe\x00",
        b"[1, 2, 3]",
        b'{"score": [1, 2, 3]}',
        b'{"scores": 3}',
        b'{"scores": [1, 2]}',
        b'{"scores": [1, 2, NaN]}',
        b'{"scores": [1, Infinity, 3]}',
        b'{"scores": [1, 2, 1%s]}' % (b"0" * 400),
        b'{"scores": [1, 2, "3"]}',
        b'{"scores": [1, 2, null]}',
        b'{"scores": [1, 2, true]}',
        b'{"scores": [1, 2, 1%s]}' % (b"0" * 5000),
        b"[" * 100_000,
        b"\x00\x1b]0;title\x07" * 9,
        gzip.compress(bytes(10**6)),
    ],
)
def test_garbage_is_shown(endpoint: Endpoint, garbage: bytes) -> None:
    endpoint.answers = [lambda body: (200, garbage)]
    with pytest.raises(RewardError, match=r'must answer \{"scores": \[...\]\} with 3 finite numbers, got ') as caught:
        call_reward(HTTPReward(endpoint.url), **TEXTS)
    assert endpoint.url in str(caught.value)
    assert f"got {len(garbage):,} bytes: {garbage[:80].decode(errors='replace')!r}" in str(caught.value)
    assert str(caught.value).isprintable()
    assert len(endpoint.asked) == 1


def test_half_a_character_is_named_before_it_is_sent(endpoint: Endpoint) -> None:
    for pair in (["a\ud83d"], ["b"]), (["a"], ["b\ud83d"]):
        with pytest.raises(RewardError, match=r"^The reward HTTPReward\(http://.*\) cannot read '.*' is half a character"):
            HTTPReward(endpoint.url)(*pair)
    assert not endpoint.asked


def test_a_column_that_is_no_json_is_named() -> None:
    cases: list[tuple[Any, str]] = [
        ({1}, "it holds an object of type set"),
        (b"x", "it holds an object of type bytes"),
        (1j, "it holds an object of type complex"),
        ({1: 2}, "the names in a dictionary must be strings, got 1"),
        (float("inf"), "it holds an infinite number"),
        (np.array([1, -np.inf]), "it holds an infinite number"),
        (10**5000, "Exceeds the limit"),
        ("a\ud83d", "half a character"),
        ({"\ud83d": 1}, "half a character"),
        (deep(), "it is nested too deeply"),
    ]
    for value, why in cases:
        with pytest.raises(RewardError, match=rf"^The column kinds of the prompts cannot be sent to http://localhost/ as JSON: .*{why}"):
            HTTPReward("http://localhost/")(**TEXTS, kinds=[None, value, None])


def deep() -> list[Any]:
    inner: list[Any] = []
    for _ in range(100_000):
        inner = [inner]
    return inner


def test_what_is_missing_is_null_and_numbers_of_numpy_are_numbers(endpoint: Endpoint) -> None:
    endpoint.answers = [lengths]
    columns: dict[str, Any] = {
        "missing": [None, float("nan"), pd.NA],
        "nested": [{"a": [np.nan, pd.NaT]}, (1, None), []],
        "numpy": [np.float32(0.5), np.int64(7), np.bool_(True)],
        "arrays": [np.arange(2), np.array(3), torch.ones(1, 2)],
        "texts": [np.str_("a"), "b", "雨"],
        "large": [10**300, 1e300, -0.0],
    }
    HTTPReward(endpoint.url)(**TEXTS, **columns)
    assert endpoint.asked == [
        {
            **TEXTS,
            "missing": [None, None, None],
            "nested": [{"a": [None, None]}, [1, None], []],
            "numpy": [0.5, 7, True],
            "arrays": [[0, 1], 3, [[1.0, 1.0]]],
            "texts": ["a", "b", "雨"],
            "large": [10**300, 1e300, 0.0],
        }
    ]
    assert b"NaN" not in endpoint.raw[0]


@pytest.mark.parametrize("url", ["localhost:80", "ftp://host/x", "http://", "", "http://host:port/", "http://[1/"])
def test_a_bad_url_is_refused_at_construction(url: str) -> None:
    with pytest.raises(ArgumentError, match=r'HTTPReward needs a url such as "http://localhost:8000/score", got '):
        HTTPReward(url)


@pytest.mark.parametrize(
    "fields",
    [
        {"timeout": 0.0},
        {"timeout": -1.0},
        {"timeout": float("nan")},
        {"retries": -1},
        {"timeout": "10"},
        {"retries": 1.5},
        {"timeout": float("inf")},
    ],
)
def test_bad_numbers_are_refused_at_construction(fields: dict[str, Any]) -> None:
    with pytest.raises(ArgumentError, match="HTTPReward needs a number timeout > 0 and an integer retries ≥ 0, got timeout="):
        HTTPReward("http://localhost/", **fields)


Say = Callable[[socket.socket, threading.Event], None]
"""What a server says after it has read a request; the event is set when the test is over."""


@contextlib.contextmanager
def speaking(say: Say) -> Iterator[str]:
    """Serve bytes that no library of servers would send."""
    over = threading.Event()

    def answer(connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            connection.recv(65536)
            say(connection, over)

    def accept() -> None:
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=answer, args=(server.accept()[0],), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=accept, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.getsockname()[1]}/score"
        finally:
            over.set()
            with contextlib.suppress(OSError):
                server.shutdown(socket.SHUT_RDWR)


def dripping(start: bytes, drop: bytes) -> Say:
    def say(connection: socket.socket, over: threading.Event) -> None:
        connection.sendall(start)
        while not over.wait(0.02):
            connection.sendall(drop)

    return say


OK = b"HTTP/1.1 200 OK\r\n"


@pytest.mark.parametrize(
    ("start", "drop"),
    [
        (b"", b""),
        (b"H", b"T"),
        (OK + b"X: ", b"a"),
        (OK, b"X: a\r\n"),
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
        (OK + b"\r\n", b" "),
        (OK + b"Content-Length: 1000000\r\n\r\n", b" "),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\n \r\n"),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n1;", b"a"),
    ],
    ids=["nothing", "status", "header", "headers", "continue", "body", "length", "chunks", "extension"],
)
def test_a_server_that_drips_is_left_in_time(start: bytes, drop: bytes) -> None:
    threads = threading.active_count()
    with speaking(dripping(start, drop)) as url:
        before = time.monotonic()
        with pytest.raises(RewardError, match=r"failed 1 times, the last time by: (no answer within 0\.3 s|got more than 100 headers)"):
            HTTPReward(url, timeout=0.3, retries=0)(**TEXTS)
        assert time.monotonic() - before < 2
        for _ in range(100):  # the one that waited goes, though the server would drip on
            if threading.active_count() <= threads + 2:
                break
            time.sleep(0.02)
        assert threading.active_count() <= threads + 2  # the server's own


def test_an_endless_answer_is_cut() -> None:
    def say(connection: socket.socket, over: threading.Event) -> None:
        connection.sendall(OK + b"\r\n")
        while not over.is_set():
            connection.sendall(b" " * 65536)

    with speaking(say) as url, pytest.raises(RewardError, match=r"must answer .* with 3 finite numbers, got more than 16,777,216 bytes\."):
        HTTPReward(url, timeout=60, retries=0)(**TEXTS)


def test_many_numbers_are_few_bytes(endpoint: Endpoint) -> None:
    n = 100_000
    endpoint.answers = [lambda body: (200, json.dumps({"scores": [1 / 3] * n}).encode())]
    assert HTTPReward(endpoint.url)([""] * n, [""] * n) == [1 / 3] * n


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize(
    ("location", "shown"),
    [
        ("/other", "has moved to http://127.0.0.1:{port}/other "),
        ("https://elsewhere.example/x", "has moved to https://elsewhere.example/x "),
        ("data:,x", "has moved to data:,x "),
        ("ftp://127.0.0.1:1/x", "has moved to ftp://127.0.0.1:1/x "),
        (None, "answers by a redirect "),
    ],
)
def test_no_redirect_is_followed(status: int, location: str | None, shown: str) -> None:
    asked: list[int] = []

    def say(connection: socket.socket, over: threading.Event) -> None:
        asked.append(1)
        where = b"" if location is None else f"Location: {location}\r\n".encode()
        connection.sendall(f"HTTP/1.1 {status} Moved\r\n".encode() + where + b"Content-Length: 0\r\n\r\n")

    with speaking(say) as url:
        port = url.split(":")[2].partition("/")[0]
        with pytest.raises(RewardError) as caught:
            HTTPReward(url)(**TEXTS)
    assert f"The reward endpoint {url} {shown.format(port=port)}" in str(caught.value)
    assert str(status) in str(caught.value)
    assert asked == [1]


@pytest.mark.parametrize(
    "said",
    [
        b"\x1b]0;title\x07\x00" * 2000 + b"\r\n\r\n",
        b"HTTP/1.1 500 \x1b[2Jgone" + b"!" * 9999 + b"\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 404 \x1b[2Jgone\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 302 Moved\r\nLocation: http://a/\x1b[2J\r\nContent-Length: 0\r\n\r\n",
        OK + b"Content-Length: 50\r\n\r\n" + b"x",
        OK + b"Content-Length: -1\r\n\r\n" + b"x",
        OK + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
    ],
)
def test_what_a_server_says_is_shown_in_a_line(said: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_FIRST_WAIT", 0.01)
    with speaking(lambda connection, over: connection.sendall(said)) as url, pytest.raises(RewardError) as caught:
        HTTPReward(url, timeout=5)(**TEXTS)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 500


def test_headers_are_sent_and_never_shown(endpoint: Endpoint) -> None:
    endpoint.answers = [lengths, lambda body: (401, b"")]
    given = {"Authorization": "Bearer secret", "X-Trace": "one"}
    reward = HTTPReward(endpoint.url, headers=given)
    given["Authorization"] = "changed"
    again = pickle.loads(pickle.dumps(reward))
    assert again == reward != HTTPReward(endpoint.url)
    assert hash(again) == hash(reward)
    again(**TEXTS)
    assert endpoint.headers[0]["Authorization"] == "Bearer secret"
    assert endpoint.headers[0]["X-Trace"] == "one"
    assert endpoint.headers[0]["Content-Type"] == "application/json"
    assert dataclasses.replace(reward, timeout=1.0).headers == reward.headers
    with pytest.raises(RewardError, match="HTTP status 401") as caught:
        reward(**TEXTS)
    assert "secret" not in repr(reward) + str(reward) + str(caught.value)


@pytest.mark.parametrize(
    "headers",
    [
        {"Authorization": "secret\r\nX: y"},
        {"Authorization": "secret\n"},
        {"Authorization": "secret\0"},
        {"Authorization": "secret雨"},
        {"Authorization": b"secret"},
        {"Authorization": None},
        {"a: secret\r\nb": "x"},
        {"": "secret"},
        {3: "secret"},
        {"content-length": "3"},
        {"Content-Type": "text/plain"},
        {"Transfer-Encoding": "chunked"},
        [("Authorization", "secret")],
        "secret",
    ],
)
def test_headers_that_would_be_others_are_refused(headers: Any) -> None:
    with pytest.raises(ArgumentError) as caught:
        HTTPReward("http://localhost/", headers=headers)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "http://me:secret@localhost/",
        "http://localhost/a b",
        "http://localhost/雨",
        "http://localhost/\r\nX: y",
        "http://:secret@localhost/",
    ],
)
def test_urls_that_cannot_be_sent_are_refused(url: str) -> None:
    with pytest.raises(ArgumentError, match="HTTPReward needs a url such as") as caught:
        HTTPReward(url)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_this_machine_is_asked_without_a_proxy(host: str, endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("no_proxy")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    endpoint.answers = [lengths]
    assert HTTPReward(endpoint.url.replace("127.0.0.1", host))(**TEXTS) == [3.0, 0.0, 1.0]


@pytest.mark.parametrize(("variable", "bypassed"), [("http_proxy", False), ("HTTP_PROXY", False), ("http_proxy", True)])
def test_other_machines_are_asked_through_the_proxy(
    variable: str, bypassed: bool, endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("no_proxy", "NO_PROXY", "http_proxy", "HTTP_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv(variable, endpoint.url)
    endpoint.answers = [lengths]
    reward = HTTPReward("http://scores.invalid/score", retries=0)
    if not bypassed:
        assert reward(**TEXTS) == [3.0, 0.0, 1.0]
        return
    monkeypatch.setenv("NO_PROXY", "other.example,.invalid")
    with pytest.raises(RewardError, match="failed 1 times"):
        reward(**TEXTS)
    assert not endpoint.asked


def test_a_proxy_of_another_kind_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.setenv("http_proxy", "socks5://127.0.0.1:1")
    with pytest.raises(RewardError, match="unknown url type: socks5"):
        HTTPReward("http://scores.invalid/", retries=0)(**TEXTS)


def askers() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.endswith("(_run)")]


def connecting(connection: socket.socket, over: threading.Event) -> None:
    """Answer as a proxy that is asked to connect, with headers that do not end."""
    dripping(OK, b"X: a\r\n")(connection, over)


TLS: bytes = b"\x16\x03\x03\x40\x00\x02\x00\x3f\xfc"  # the head of a greeting of 16 kB


# Python's ssl leaves a socket that was shut before its handshake to the collector, which closes it at once.
@pytest.mark.filterwarnings("ignore:Exception ignored in. <ssl.SSLSocket:pytest.PytestUnraisableExceptionWarning")
@pytest.mark.filterwarnings("ignore:unclosed <ssl.SSLSocket:ResourceWarning")
@pytest.mark.parametrize(
    ("scheme", "say"),
    [
        ("http", dripping(b"", b"")),
        ("http", dripping(OK + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\n \r\n")),
        ("https", dripping(b"", b"")),
        ("https", dripping(TLS, b"\0")),
        ("proxy", connecting),
    ],
    ids=["silence", "chunks", "no greeting", "a greeting that drips", "a proxy that drips"],
)
def test_requests_that_were_given_up_leave_no_thread(scheme: str, say: Say, monkeypatch: pytest.MonkeyPatch) -> None:
    with speaking(say) as url:
        if scheme == "proxy":
            monkeypatch.delenv("no_proxy", raising=False)
            monkeypatch.delenv("NO_PROXY", raising=False)
            monkeypatch.setenv("https_proxy", url)
        target = "https://scores.invalid/" if scheme == "proxy" else url.replace("http", scheme, 1)
        open_files = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0

        def ask(number: int) -> None:
            with pytest.raises(RewardError, match=r"no answer within 1\.0 s"):
                HTTPReward(target, timeout=1.0, retries=0)(**TEXTS)

        with ThreadPoolExecutor(20) as pool:
            list(pool.map(ask, range(20)))
        before = time.monotonic()
        for thread in askers():
            thread.join(1)
        assert not askers()  # though the server would go on
        assert time.monotonic() - before < 1
    if open_files:
        time.sleep(0.2)  # for the server's own
        assert len(os.listdir("/proc/self/fd")) <= open_files + 2


def test_an_answer_shorter_than_it_says_is_none() -> None:
    for length in (1000, 2**24 + 5, 2**63, 10**40):
        body = json.dumps({"scores": [1, 2, 3]}).encode()
        answer = OK + f"Content-Length: {length}\r\n\r\n".encode() + body

        def say(connection: socket.socket, over: threading.Event, answer: bytes = answer) -> None:
            connection.settimeout(0.3)
            with contextlib.suppress(TimeoutError):  # a server that closes before it has read all resets the connection
                connection.recv(65536)
            connection.sendall(answer)

        with (
            speaking(say) as url,
            pytest.raises(RewardError, match="failed 1 times, the last time by: IncompleteRead"),
        ):
            HTTPReward(url, timeout=5, retries=0)(**TEXTS)


@pytest.mark.parametrize("error", [RuntimeError("can't start new thread"), MemoryError("no room")])
def test_a_machine_without_room_is_said(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    def start(thread: threading.Thread) -> None:
        raise error

    monkeypatch.setattr(threading.Thread, "start", start)
    with pytest.raises(RewardError, match=f"failed 1 times, the last time by: {error}"):
        HTTPReward("http://127.0.0.1:1/", retries=0)(**TEXTS)


@pytest.mark.parametrize("say", [dripping(b"", b""), dripping(OK + b"Content-Length: 1000\r\n\r\n", b" ")], ids=["silence", "drops"])
def test_an_interrupt_leaves_no_thread(say: Say) -> None:
    interrupt = threading.Timer(0.3, signal.pthread_kill, (threading.main_thread().ident, signal.SIGINT))
    with speaking(say) as url:
        interrupt.start()
        start = time.monotonic()
        with pytest.raises(KeyboardInterrupt):
            HTTPReward(url, timeout=60.0, retries=0)(**TEXTS)
        while askers():  # not by `join`: Python takes a thread for stopped if it is interrupted while it waits for it
            assert time.monotonic() - start < 3
            time.sleep(0.01)
