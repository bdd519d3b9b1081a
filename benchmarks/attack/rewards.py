"""Rewards that return, raise or change what they should not, and servers that answer badly."""

import asyncio
import functools
import json
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any, Final, NamedTuple

import gymnasium
import numpy as np
import pandas as pd
import torch

from benchmarks.attack.outcomes import Row, Try, control_fault, fault_of, outcome_of_call
from benchmarks.harness import memory
from textenv.errors import RewardError
from textenv.rewards import HTTPReward, Scores

PROMPTS: Final = ["The film", "A cat"]


def _envs(reward: Callable[..., Any], **changed: Any) -> Any:
    given = {"num_envs": 2, "prompts": PROMPTS, "reward": reward, "max_new_tokens": 1, **changed}
    return gymnasium.make_vec("TextSentiment-v0", **given)


def paid(reward: Callable[..., Any], **changed: Any) -> list[float]:
    """Return what a step pays two episodes of a token each."""
    envs = _envs(reward, **changed)
    envs.reset(seed=0)
    scores: list[float] = envs.step(np.array([5, 6]))[1].tolist()
    envs.close()
    return scores


class _Ambiguous:
    def __float__(self) -> float:
        raise ValueError("no number")

    def __len__(self) -> int:
        return 2


def values(folder: Path, seed: int) -> Iterator[Try]:
    """Return each value for two texts."""
    right: dict[str, Any] = {
        "a list": [0.25, 0.5],
        "a tuple": (0.25, 0.5),
        "float64": np.array([0.25, 0.5]),
        "float32": np.array([0.25, 0.5], dtype=np.float32),
        "float16": np.array([0.25, 0.5], dtype=np.float16),
        "a tensor": torch.tensor([0.25, 0.5]),
        "a tensor with a gradient": torch.tensor([0.25, 0.5], requires_grad=True),
        "a tensor in bfloat16": torch.tensor([0.25, 0.5], dtype=torch.bfloat16),
        "numbers of numpy": [np.float64(0.25), np.float32(0.5)],
        "arrays of 0 dimensions": [np.array(0.25), np.array(0.5)],
        "tensors of 0 dimensions": [torch.tensor(0.25), torch.tensor(0.5)],
        "scores with parts": Scores([0.25, 0.5], parts={"a": [1.0, 2.0]}),
        "a series": pd.Series([0.25, 0.5]),
        "a series with an odd index": pd.Series([0.25, 0.5], index=[1, 0]),
    }
    for name, value in right.items():
        outcome = outcome_of_call(lambda value=value: paid(lambda completions: value))
        fault = fault_of(outcome, may=("taken",) if name in ("a list", "a tuple", "float64", "a tensor") else ("taken", "refused"))
        yield Try(name, fault or fault_of(outcome, right=lambda scores: scores == [0.25, 0.5]))
    wrong: list[Any] = [None, 1, 0.5, True, "ab", "12", b"12", bytearray(b"12"), memoryview(b"12"), {1.0, 2.0}, frozenset({1.0, 2.0})]
    wrong += [{0: 1.0, 1: 2.0}, {"a": 1, "b": 2}, [], [1.0], [1.0, 2.0, 3.0], [None, 1], ["1", "2"], [b"1", b"2"], ["a", "b"]]
    wrong += [[float("nan"), 1], [float("inf"), 1], [-float("inf"), 1], [1e300, 1], [1j, 2], [1 + 0j, 2], [10**400, 1], 10**400]
    wrong += [[[1, 2], [3]], [[], []], [{}, {}], [object(), 1], object(), type, len, [[1.0], [2.0, 3.0]], [Ellipsis, 1]]
    wrong += [np.array([1j, 2]), np.array(["1", "2"]), np.array([1.0, None], dtype=object), np.zeros((2, 2)), np.array(1.0)]
    wrong += [np.array([np.nan, 1]), np.array([], dtype=float), np.array(["2020-01-01"] * 2, dtype="datetime64[D]")]
    wrong += [torch.zeros(3), torch.zeros(2, 2), torch.tensor([1j, 2]), torch.tensor(float("nan")), _Ambiguous(), [_Ambiguous(), 1]]
    wrong += [np.ma.array([1.0, 2.0], mask=[True, False]), [pd.NA, 1], [pd.NaT, 1], pd.Series([1.0, None]), asyncio.Future]
    for value in wrong:
        outcome = outcome_of_call(lambda value=value: paid(lambda completions: value))
        yield Try(f"{type(value).__name__} {value!r:.60}", fault_of(outcome, may=("refused",)))
    either: dict[str, Any] = {
        "decimals": [Decimal("0.25"), Decimal("0.5")],
        "fractions": [Fraction(1, 4), Fraction(1, 2)],
        "an iterator": lambda: iter([0.25, 0.5]),
        "a generator": lambda: (value for value in (0.25, 0.5)),
        "lists of one number": [[0.25], [0.5]],
    }
    for name, value in either.items():
        outcome = outcome_of_call(lambda value=value: paid(lambda completions: value() if callable(value) else value))
        yield Try(name, fault_of(outcome, right=lambda scores: scores == [0.25, 0.5]))


def piece_values(folder: Path, seed: int) -> Iterator[Try]:
    """Return each value where one a piece is asked for; two texts of a piece each."""
    wrong: list[Any] = [None, 1, [1], [1.0, 2.0], "ab", b"12", {1: [1], 2: [2]}, {(1.0,), (2.0,)}, [[1.0], 2.0], [[1.0, 2.0], [1.0]]]
    wrong += [[np.array(1.0), np.array(2.0)], [torch.tensor(1.0), torch.tensor(2.0)], [["1"], ["2"]], [[None], [1.0]], [[1j], [1.0]]]
    wrong += [
        [[float("nan")], [1.0]],
        [[10**400], [1.0]],
        [b"1", b"2"],
        [{1.0}, {2.0}],
        [{0: 1.0}, {0: 2.0}],
        [[[1.0]], [[2.0, 3.0]]],
        10**400,
    ]
    for value in wrong:
        outcome = outcome_of_call(lambda value=value: paid(lambda pieces: value))
        yield Try(f"{value!r:.60}", fault_of(outcome, may=("refused",)))
    for name, value in {"lists": [[0.25], [0.5]], "arrays": [np.array([0.25]), np.array([0.5])]}.items():
        outcome = outcome_of_call(lambda value=value: paid(lambda pieces: value))
        yield Try(name, fault_of(outcome, may=("taken",), right=lambda scores: scores == [0.25, 0.5]))


def _signatures() -> dict[str, tuple[Callable[..., Any], bool]]:
    """Return rewards by name, and whether each can be called."""

    def of_completions(completions: Sequence[str]) -> list[float]:
        return [0.25, 0.5]

    def of_all(prompts: Any, completions: Any, **columns: Any) -> list[float]:
        return [0.25, 0.5]

    def with_default(completions: Any, weight: float = 2.0) -> list[float]:
        return [0.25, 0.5]

    def of_a_missing_column(completions: Any, answer: Any) -> list[float]:
        return [0.25, 0.5]

    def positional(completions: Any, /) -> list[float]:
        return [0.25, 0.5]

    async def asynchronous(completions: Any) -> list[float]:
        return [0.25, 0.5]

    class Instance:
        def __call__(self, completions: Any) -> list[float]:
            return [0.25, 0.5]

    class NeedsArguments:
        def __init__(self, x: int) -> None:
            pass

    return {
        "of completions": (of_completions, True),
        "of all": (of_all, True),
        "with a default": (with_default, True),
        "an object": (Instance(), True),
        "partial": (functools.partial(with_default, weight=3.0), True),
        "a missing column": (of_a_missing_column, False),
        "positional only": (positional, False),
        "asynchronous": (asynchronous, False),
        "a class": (NeedsArguments, False),
        "a class of errors": (ValueError, False),
        "len": (len, False),
        "print": (print, False),
        "of nothing": (lambda: [0.25, 0.5], True),
        "many": (lambda *anything: [0.25, 0.5], True),
        "a method of str": ("".join, False),
        "dict": (dict, False),
    }


def signatures(folder: Path, seed: int) -> Iterator[Try]:
    """Give rewards of each signature."""
    for name, (reward, can_be_called) in _signatures().items():
        outcome = outcome_of_call(lambda reward=reward: paid(reward))
        may = ("taken", "refused") if can_be_called else ("refused",)
        yield Try(name, fault_of(outcome, may=may, right=lambda scores: scores == [0.25, 0.5]))


class Own(Exception):
    """An error of a reward's own kind."""


class OwnBase(BaseException):
    """One that no `except Exception` catches."""


ERRORS: Final = (
    *(ValueError("x"), TypeError("x"), KeyError("x"), RuntimeError(""), OSError(28, "No space left"), MemoryError(), StopIteration()),
    *(AssertionError(), ZeroDivisionError(), RecursionError(), TimeoutError(), Own("\x1b[2J"), UnicodeDecodeError("utf-8", b"", 0, 1, "x")),
    *(KeyboardInterrupt(), SystemExit(3), GeneratorExit(), OwnBase(), asyncio.CancelledError()),
)


def _length(completions: Sequence[str]) -> list[float]:
    return [float(len(text)) for text in completions]


def _play(envs: Any, fail: Callable[[], bool]) -> tuple[list[Any], int]:
    """Play six steps, each again after it has failed; return all that was seen, and how often it failed."""
    envs.reset(seed=3)
    generator = np.random.default_rng(0)
    seen: list[Any] = []
    failures = 0
    for _ in range(6):
        actions = generator.integers(2, 4096, envs.num_envs)
        for _ in range(3):
            try:
                observations, rewards, terminated, _, infos = envs.step(actions)
                break
            except BaseException as error:
                if type(error).__name__ == "TimeLimitError":
                    raise
                failures += 1
        else:
            raise RuntimeError("the step fails for good")
        seen.append((observations.tolist(), rewards.tolist(), terminated.tolist(), repr(sorted(infos))))
    return seen, failures


def interruptions(folder: Path, seed: int) -> Iterator[Try]:
    """Raise in the reward, at its second call, and repeat the step: all is as without the error."""
    settings: dict[str, dict[str, Any]] = {
        "SAME_STEP": {"autoreset_mode": "SAME_STEP"},
        "NEXT_STEP": {"autoreset_mode": "NEXT_STEP"},
        "with KL": {"kl_coef": 0.1},
        "with a potential": {"potential": _length},
    }
    for title, changed in settings.items():
        undisturbed, _ = _play(_envs(_length, max_new_tokens=2, **changed), lambda: False)
        for error in ERRORS:
            calls = [0]

            def failing(completions: Sequence[str], error: BaseException = error, calls: list[int] = calls) -> list[float]:
                calls[0] += 1
                if calls[0] == 2:
                    raise error
                return _length(completions)

            outcome = outcome_of_call(
                lambda changed=changed, failing=failing: _play(_envs(failing, max_new_tokens=2, **changed), lambda: True)
            )
            fault = fault_of(outcome, may=("taken",))
            if not fault and outcome.value[1] != 1:
                fault = f"the error came {outcome.value[1]} times"
            if not fault and outcome.value[0] != undisturbed:
                fault = "the repeated step does not come to the same"
            yield Try(f"{title}: {error!r}", fault)


def names_of_errors(folder: Path, seed: int) -> Iterator[Try]:
    """Raise in the reward: a RewardError comes of an error, and what ends a process ends it."""
    for error in ERRORS:

        def failing(completions: Sequence[str], error: BaseException = error) -> list[float]:
            raise error

        try:
            paid(failing)
        except RewardError as refused:
            fault = "" if isinstance(error, Exception) else "it was turned into a RewardError"
            fault = fault or ("refused without a word" if not str(refused) else "")
        except BaseException as other:
            ends = not isinstance(error, Exception)
            fault = "" if ends and other is error else f"{type(other).__name__} came"
        else:
            fault = "nothing came"
        yield Try(repr(error), fault)


def mutations(folder: Path, seed: int) -> Iterator[Try]:
    """Change the arguments in the reward: later episodes of the prompt are paid the same."""

    def clear(value: Any) -> None:
        for name in ("clear", "sort", "reverse"):
            getattr(value, name, lambda: None)()

    def change(value: Any) -> None:
        if isinstance(value, list):
            value.append("x")
        elif isinstance(value, dict):
            value["x"] = 1
        elif isinstance(value, np.ndarray):
            value += 1

    cells: dict[str, Any] = {
        "a list": [1, 2],
        "an object": {"a": 1},
        "a list of lists": [[1], [2]],
        "an object of lists": {"a": [1]},
        "a text": "a",
    }
    for name, cell in cells.items():
        for how, act in (("clear", clear), ("append", change)):
            for deep in (False, True):
                yield Try(f"{name}: {how}, {'within' if deep else 'outside'}", _changed_by(cell, act, deep))
    for column in ("prompts", "completions"):

        def spoil(prompts: Any, completions: Any, column: str = column) -> list[float]:
            scores = [float(len(prompt)) for prompt in prompts]
            target = prompts if column == "prompts" else completions
            if isinstance(target, list):
                target[:] = ["spoilt"] * len(target)
            return scores

        outcome = outcome_of_call(lambda spoil=spoil: [paid(spoil), paid(spoil)])
        yield Try(f"all {column} replaced", fault_of(outcome, may=("taken",), right=lambda twice: twice[0] == twice[1]))


def _changed_by(cell: Any, act: Callable[[Any], None], deep: bool) -> str:
    def reward(completions: Any, x: Any) -> list[float]:
        scores = [float(len(repr(value))) for value in x]
        for value in x:
            act(value)
            for inner in (value.values() if isinstance(value, dict) else value) if deep else ():
                act(inner)
        return scores

    def play() -> list[list[float]]:
        import copy

        envs = _envs(reward, prompts=[{"prompt": "The film", "x": copy.deepcopy(cell)}] * 2)
        envs.reset(seed=0)
        return [envs.step(np.array([5, 6]))[1].tolist() for _ in range(4)]

    outcome = outcome_of_call(play)
    return fault_of(outcome, right=lambda rows: all(row == rows[0] for row in rows))


# Servers


class Answer(NamedTuple):
    """What a server sends, and what may come of it."""

    name: str
    send: Callable[[socket.socket], None]
    right: bool = False
    """Whether its scores, .25 and .5, may be taken."""
    must: bool = False
    """Whether they must."""


def _http(body: bytes, status: str = "200 OK", *headers: str, length: int | None = None) -> bytes:
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body) if length is None else length}", "Connection: close", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def _sends(data: bytes) -> Callable[[socket.socket], None]:
    return lambda connection: connection.sendall(data)


def _drips(data: bytes, seconds: float = 0.3) -> Callable[[socket.socket], None]:
    def send(connection: socket.socket) -> None:
        for byte in data:
            connection.sendall(bytes([byte]))
            time.sleep(seconds)

    return send


def _endless(start: bytes, piece: bytes) -> Callable[[socket.socket], None]:
    def send(connection: socket.socket) -> None:
        connection.sendall(start)
        while True:
            connection.sendall(piece)

    return send


def _resets(connection: socket.socket) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")


GOOD: Final = b'{"scores": [0.25, 0.5]}'


def _answers() -> Iterator[Answer]:
    yield Answer("right", _sends(_http(GOOD)), True, True)
    yield Answer("right, in chunks", _sends(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n17\r\n" + GOOD + b"\r\n0\r\n\r\n"), True)
    yield Answer("right, without a length", _sends(b"HTTP/1.0 200 OK\r\n\r\n" + GOOD), True)
    yield Answer("more fields", _sends(_http(b'{"scores": [0.25, 0.5], "x": 1}')), True)
    for scores in (
        *("[]", "[1]", "[1, 2, 3]", "null", "{}", '"ab"', "[null, 1]", '["1", "2"]', "[true, false]", "[NaN, 1]", "[Infinity, 1]"),
        *("[1e400, 1]", f"[1{'0' * 400}, 1]", "[[1], [2]]", '{"0": 1, "1": 2}', "1", f"[1{'0' * 5000}, 1]", "[1, 2"),
    ):
        yield Answer(f"scores {scores:.40}", _sends(_http(f'{{"scores": {scores}}}'.encode())))
    for name, body in {
        "empty": b"",
        "no scores": b"{}",
        "a list": b"[0.25, 0.5]",
        "null": b"null",
        "a web page": b"<html>\x1b[2J</html>",
        "garbage": bytes(range(256)) * 200,
        "an escape": b"\x1b]0;title\x07\x1b[2J",
        "nested lists": b"[" * 100_000,
        "nested objects": b'{"scores": ' * 100_000,
        "nested scores": b'{"scores": [' + b"[" * 100_000 + b"]" * 100_000 + b", 1]}",
        "not UTF-8": b'{"scores": [0.25, "\xff"]}',
        "cut": GOOD[:-4],
        "two": GOOD + GOOD,
        "gzip": b"\x1f\x8b\x08" + bytes(40),
    }.items():
        yield Answer(f"body: {name}", _sends(_http(body)))
    for status in ("100 Continue", "199 X", "204 No Content", "304 Not Modified", "400 Bad", "401 No", "404 Not Found", "418 Tea", "600 X"):
        yield Answer(f"status {status}", _sends(_http(GOOD, status)))
    for status in ("429 Too Many", "500 Bad", "502 Bad", "503 Busy", "599 X"):
        yield Answer(f"status {status}", _sends(_http(GOOD, status)))
    yield Answer("a reason with an escape", _sends(_http(GOOD, "404 \x1b[2J\x07")))
    for name, data in {
        "nothing": b"",
        "half a status": b"HTTP/1.1 2",
        "no HTTP": b"hello\r\n\r\n",
        "SSH": b"SSH-2.0-x\r\n",
        "a status of letters": b"HTTP/1.1 abc OK\r\n\r\n",
        "too long a length": _http(GOOD, length=1000),
        "a length of 2**63": _http(GOOD, length=2**63),
        "a header of 100 kB": _http(GOOD, "200 OK", "X: " + "x" * 100_000),
        "1,000 headers": _http(GOOD, "200 OK", *(f"X{i}: x" for i in range(1000))),
        "a chunk of no size": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
        "a chunk of 2**63": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n8000000000000000\r\nx",
        "a chunk below 0": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\nx",
    }.items():
        yield Answer(name, _sends(data))
    # These can be read, so that the scores may be taken as well.
    yield Answer("UTF-16", _sends(_http(GOOD.decode().encode("utf-16"))), True)
    yield Answer("a length below 0", _sends(_http(GOOD, length=-5)), True)
    yield Answer("too short a length", _sends(_http(GOOD, length=5)))
    yield Answer("a reset", _resets)
    yield Answer("silence", lambda connection: time.sleep(8))
    yield Answer("a body that drips", _drips(_http(b" " * 60 + GOOD), 0.2))
    yield Answer("headers that drip", _drips(b"HTTP/1.1 200 OK\r\n" + b"X: " + b"x" * 200, 0.2))
    yield Answer("a status that drips", _drips(b"HTTP/1.1 200 " + b"O" * 200, 0.2))
    yield Answer("chunks that drip", _drips(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"1\r\n \r\n" * 60, 0.2))
    endless = b"HTTP/1.1 200 OK\r\n"
    yield Answer("a body without end", _endless(endless + b"\r\n", b" " * 65536))
    yield Answer("a body of 10 GB", _endless(endless + b"Content-Length: 10000000000\r\n\r\n", b" " * 65536))
    yield Answer("chunks without end", _endless(endless + b"Transfer-Encoding: chunked\r\n\r\n", b"10000\r\n" + b" " * 65536 + b"\r\n"))
    yield Answer("headers without end", _endless(endless, b"X: x\r\n" * 1000))


class _Server:
    """Answers every connection, whatever is sent, by one function; a context."""

    def __init__(self, send: Callable[[socket.socket], None]) -> None:
        self._send = send
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listening.getsockname()[1]}/score"
        self.requests: list[bytes] = []

    def __enter__(self) -> "_Server":
        threading.Thread(target=self._serve, daemon=True).start()
        return self

    def __exit__(self, *anything: object) -> None:
        # To close a socket wakes no thread that waits for a connection to it, and each that waits takes memory.
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listening.accept()
            except OSError:
                return
            threading.Thread(target=self._answer, args=(connection,), daemon=True).start()

    def _answer(self, connection: socket.socket) -> None:
        try:
            with connection:
                self.requests.append(_read_request(connection))
                self._send(connection)
        except OSError:
            pass  # the other side has left


def _read_request(connection: socket.socket) -> bytes:
    data = b""
    connection.settimeout(20)
    while b"\r\n\r\n" not in data:
        data += connection.recv(65536)
    head, _, body = data.partition(b"\r\n\r\n")
    length = next((int(line.partition(b":")[2]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length")), 0)
    while len(body) < length:
        body += connection.recv(65536)
    return head.split(b"\r\n")[0] + b"\n" + body


def answers(folder: Path, seed: int) -> Iterator[Try]:
    """Ask a server that answers badly: a RewardError in time, in little memory, on one clean line."""
    for answer in _answers():
        with _Server(answer.send) as server:
            before = memory("VmRSS")
            reward = HTTPReward(server.url, timeout=1.0, retries=0)
            outcome = outcome_of_call(lambda reward=reward: reward(PROMPTS, ["a", "b"]), 6)
            may = ("taken",) if answer.must else ("taken", "refused") if answer.right else ("refused",)
            fault = fault_of(outcome, may=may, right=lambda scores: scores == [0.25, 0.5])
            grown = memory("VmRSS") - before
            if not fault and grown > 300:
                fault = f"{grown:.0f} MiB more memory"
            yield Try(answer.name, fault or control_fault(outcome.said))


def redirects(folder: Path, seed: int) -> Iterator[Try]:
    """Lead the request elsewhere: nothing but the address that was given is asked."""
    with _Server(_sends(_http(GOOD))) as target:
        for status in (301, 302, 303, 307, 308, 300, 305):
            for place in (
                target.url,
                target.url.replace("127.0.0.1", "localhost"),
                target.url.replace("http", "ftp"),
                "file:" + "///etc/passwd",
                "/other",
                "",
            ):
                with _Server(_sends(_http(b"", f"{status} Moved", f"Location: {place}"))) as server:
                    before = len(target.requests)
                    reward = HTTPReward(server.url, timeout=1.0, retries=0)
                    outcome = outcome_of_call(lambda reward=reward: reward(PROMPTS, ["a", "b"]), 6)
                    fault = fault_of(outcome, may=("refused",)) or control_fault(outcome.said)
                    if not fault and (len(target.requests) > before or len(server.requests) > 1):
                        fault = "another address was asked"
                    yield Try(f"{status} to {re.sub(':[0-9]+', '', place) or 'nowhere'}", fault)


def requests_sent(folder: Path, seed: int) -> Iterator[Try]:
    """Send odd columns and texts: what arrives is strict JSON, or nothing is sent."""

    def refuse(name: str) -> None:
        raise ValueError(f"{name} is no JSON")

    columns: dict[str, Any] = {
        "NaN": [float("nan"), 1.0],
        "infinity": [float("inf"), 1.0],
        "NaN of numpy": [np.float64("nan"), 1.0],
        "None": [None, 1],
        "NaN in a list": [[float("nan")], []],
        "NaN in an object": [{"a": float("nan")}, {}],
        "pandas' NA": [pd.NA, 1],
        "dates": [pd.Timestamp(0), 1],
        "bytes": [b"a", b"b"],
        "a number of numpy": [np.int64(1), np.float32(2)],
        "half a surrogate": ["\ud800", "a"],
        "10**400": [10**400, 1],
    }
    with _Server(_sends(_http(GOOD))) as server:
        reward = HTTPReward(server.url, timeout=2.0, retries=0)
        for name, column in columns.items():
            before = len(server.requests)
            outcome = outcome_of_call(lambda column=column: reward(PROMPTS, ["a", "b"], x=column), 6)
            fault = fault_of(outcome, right=lambda scores: scores == [0.25, 0.5])
            for request in server.requests[before:]:
                try:
                    body = json.loads(request.partition(b"\n")[2], parse_constant=refuse)
                    fault = fault or ("" if body["prompts"] == PROMPTS else "other prompts arrived")
                except ValueError as error:
                    fault = fault or str(error)
            yield Try(name, fault)


def retries(folder: Path, seed: int) -> Iterator[Try]:
    """Fail twice, then answer: the batch is scored."""
    failures: dict[str, Callable[[socket.socket], None]] = {
        "503": _sends(_http(b"", "503 Busy")),
        "429": _sends(_http(b"", "429 Too Many")),
        "closes": _sends(b""),
        "resets": _resets,
        "closes in the body": _sends(_http(GOOD, length=1000)),
    }
    for name, fail in failures.items():
        count = [0]

        def send(connection: socket.socket, fail: Callable[[socket.socket], None] = fail, count: list[int] = count) -> None:
            count[0] += 1
            (fail if count[0] <= 2 else _sends(_http(GOOD)))(connection)

        with _Server(send) as server:
            reward = HTTPReward(server.url, timeout=2.0, retries=2)
            outcome = outcome_of_call(lambda reward=reward: reward(PROMPTS, ["a", "b"]), 15)
            yield Try(name, fault_of(outcome, may=("taken",), right=lambda scores: scores == [0.25, 0.5]))


ROWS: Final = (
    Row("what a reward returns", "the scores it means, or refused by name", values),
    Row("what a reward by pieces returns", "the values it means, or refused by name", piece_values),
    Row("signatures of rewards", "called as documented, or refused by name", signatures),
    Row("errors in a reward", "a RewardError; what ends a process ends it", names_of_errors),
    Row("a step that failed, again", "all is as if it had not failed", interruptions),
    Row("a reward that changes its arguments", "the prompt set stays as it is", mutations),
    Row("redirections", "nothing but the given address is asked", redirects),
    Row("columns that are sent", "strict JSON, or refused", requests_sent),
    Row("a server that fails twice", "the batch is scored", retries),
    # The last, as an answer without end may leave no memory to the rows after it.
    Row("answers of a server", "the scores, or a RewardError in time and in bounded memory", answers),
)
