"""A scoring endpoint over loopback: one that answers, one that is slow, refuses, fails, and answers garbage."""

import contextlib
import json
import pickle
import socket
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import gymnasium
import pytest

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
        endpoint = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
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
    ],
)
def test_garbage_is_shown(endpoint: Endpoint, garbage: bytes) -> None:
    endpoint.answers = [lambda body: (200, garbage)]
    with pytest.raises(RewardError, match=r'must answer \{"scores": \[...\]\} with 3 finite numbers, got ') as caught:
        call_reward(HTTPReward(endpoint.url), **TEXTS)
    assert endpoint.url in str(caught.value)
    assert repr(garbage[:80].decode(errors="replace")) in str(caught.value)
    assert len(endpoint.asked) == 1


def test_half_a_character_is_named_before_it_is_sent(endpoint: Endpoint) -> None:
    for pair in (["a\ud83d"], ["b"]), (["a"], ["b\ud83d"]):
        with pytest.raises(RewardError, match=r"^The reward HTTPReward\(http://.*\) cannot read '.*' is half a character"):
            HTTPReward(endpoint.url)(*pair)
    assert not endpoint.asked


def test_a_column_that_is_no_json_is_named() -> None:
    with pytest.raises(RewardError, match="The columns of the prompts cannot be sent to http://localhost/ as JSON: Object of type set"):
        HTTPReward("http://localhost/")(**TEXTS, kinds=[{1}, {2}, {3}])


@pytest.mark.parametrize("url", ["localhost:80", "ftp://host/x", "http://", "", "http://host:port/", "http://[1/"])
def test_a_bad_url_is_refused_at_construction(url: str) -> None:
    with pytest.raises(ArgumentError, match=r'HTTPReward needs a url such as "http://localhost:8000/score", got '):
        HTTPReward(url)


@pytest.mark.parametrize(
    "fields", [{"timeout": 0.0}, {"timeout": -1.0}, {"timeout": float("nan")}, {"retries": -1}, {"timeout": "10"}, {"retries": 1.5}]
)
def test_bad_numbers_are_refused_at_construction(fields: dict[str, Any]) -> None:
    with pytest.raises(ArgumentError, match="HTTPReward needs a number timeout > 0 and an integer retries ≥ 0, got timeout="):
        HTTPReward("http://localhost/", **fields)
