"""A reward behind an HTTP endpoint."""

import contextlib
import ipaddress
import json
import math
import re
import socket
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException, HTTPSConnection, IncompleteRead
from typing import Any, Final, cast
from urllib.error import HTTPError
from urllib.parse import urljoin, urlsplit
from urllib.request import (
    AbstractHTTPHandler,
    HTTPDefaultErrorHandler,
    HTTPErrorProcessor,
    OpenerDirector,
    ProxyHandler,
    Request,
    UnknownHandler,
)

import numpy as np
import pandas as pd

from textenv.errors import ArgumentError, RewardError
from textenv.models.pieces import half_character
from textenv.rewards.protocol import refuse_half_characters

LARGEST_ANSWER: Final = 2**24
"""Bytes. A number takes about 20, so that half a million of them fit."""
_FIRST_WAIT = 0.1
"""Seconds before the first retry; each further wait is twice as long."""
_SHOWN: Final = 200
"""Characters of what a server says that messages show."""
_LONGEST_TIMEOUT: Final = 1e6
_OWN_HEADERS: Final = ("content-type", "content-length", "transfer-encoding", "connection")


@dataclass(frozen=True)
class HTTPReward:
    """Scores by a server; range and direction are the server's.

    Each batch is one POST of `{"prompts": [...], "completions": [...]}`, with every other column of the prompt set beside
    these, n values each; the answer is `{"scores": [...]}`, n finite numbers. What is missing in a column is null. A refused
    connection, a time-out, too many requests (429) and a failure of the server (5xx) are tried again after .1, .2, .4 ...
    seconds. No redirect is followed. Proxies are those of the environment variables, but none for this machine.

    Args:
        url: of the endpoint, http or https.
        timeout: seconds for a whole attempt, from the look-up of the name to the last byte of the answer.
        retries: further attempts after a failure.
        headers: further headers of each request, such as {"Authorization": "Bearer ..."}; no message shows their values.

    Raises:
        ArgumentError: the url is none, a number is out of its range, or a header cannot be sent.
    """

    url: str
    timeout: float = 10.0
    retries: int = 2
    headers: Mapping[str, str] = field(default_factory=dict, repr=False, hash=False)

    def __post_init__(self) -> None:
        _check_url(self.url)
        numbers = not isinstance(self.timeout, bool) and isinstance(self.timeout, int | float) and type(self.retries) is int
        if not numbers or not 0 < self.timeout <= _LONGEST_TIMEOUT or self.retries < 0:
            got = f"timeout={self.timeout!r} and retries={self.retries!r}"
            raise ArgumentError(
                f"HTTPReward needs a number timeout > 0 and an integer retries ≥ 0, got {got}; a timeout is at most {_LONGEST_TIMEOUT:g} s."
            )
        _check_headers(self.headers)
        object.__setattr__(self, "headers", dict(self.headers))  # what the caller changes later is not sent

    def __call__(self, prompts: Sequence[str], completions: Sequence[str], **columns: Any) -> list[float]:
        """Score n texts.

        Raises:
            RewardError: a column cannot be sent, or the endpoint cannot be reached or answers with something else than
                n finite numbers.
        """
        refuse_half_characters(f"HTTPReward({self.url})", prompts, completions)
        body: dict[str, Any] = {}
        for name, values in columns.items():
            try:
                body[name] = _plain(values)
            except (TypeError, ValueError, RecursionError) as error:
                reason = "it is nested too deeply" if isinstance(error, RecursionError) else str(error)
                raise RewardError(f"The column {name} of the prompts cannot be sent to {self.url} as JSON: {reason}.") from error
        body |= {"prompts": list(prompts), "completions": list(completions)}
        data = json.dumps(body, allow_nan=False).encode()
        return self._read(self._post(data), len(completions))

    def _post(self, data: bytes) -> bytes:
        problem = ""
        for attempt in range(self.retries + 1):
            if attempt:
                time.sleep(_FIRST_WAIT * 2 ** (attempt - 1))
            try:
                return _Exchange(self.url, data, dict(self.headers)).within(self.timeout)
            except HTTPError as error:
                error.close()
                problem = f"HTTP status {error.code} ({_shown(error.reason)})"
                if 300 <= error.code < 400:
                    raise RewardError(f"The reward endpoint {self.url} {_moved(self.url, error)}") from error
                if error.code != 429 and error.code < 500:
                    raise RewardError(f"The reward endpoint {self.url} refused the batch: {problem}.") from error
            except (OSError, HTTPException, ValueError, RuntimeError, MemoryError) as error:  # of a machine without room too
                reason = getattr(error, "reason", error)
                late = isinstance(reason, TimeoutError)
                problem = f"no answer within {self.timeout} s" if late else _shown(reason) or type(reason).__name__
        raise RewardError(f"The reward endpoint {self.url} failed {self.retries + 1} times, the last time by: {problem}.")

    def _read(self, answer: bytes, n: int) -> list[float]:
        wants = f'must answer {{"scores": [...]}} with {n} finite numbers'
        if len(answer) > LARGEST_ANSWER:
            raise RewardError(f"The reward endpoint {self.url} {wants}, got more than {LARGEST_ANSWER:,} bytes.")
        try:
            scores: Any = json.loads(answer)["scores"]
        except (ValueError, LookupError, TypeError, RecursionError):
            scores = None
        right = isinstance(scores, list) and len(scores) == n and all(type(score) in (int, float) for score in scores)
        if not right or not all(abs(score) <= sys.float_info.max for score in scores):
            got = f"{len(answer):,} bytes: {answer[:80].decode(errors='replace')!r}"
            raise RewardError(f"The reward endpoint {self.url} {wants}, got {got}.")
        return [float(score) for score in scores]


class _Exchange:
    """One request and its answer, which end in time.

    A time-out of a socket is one of each wait, which a server that sends a byte now and then never reaches, and a
    look-up of a name has none. So all is done in a thread, whose socket is shut under it when the time is over, so that
    the thread ends: in a handshake or a proxy's answer as well as in the answer itself.
    """

    def __init__(self, url: str, data: bytes, headers: dict[str, str]) -> None:
        self._request = Request(url, data, {**headers, "Content-Type": "application/json"}, method="POST")
        self._sockets: list[socket.socket] = []
        self._answer: bytes = b""
        self._error: BaseException | None = None
        self._over = False
        self._lock = threading.Lock()
        self._opener = OpenerDirector()  # without a handler of redirects, which are errors then
        proxies = ProxyHandler({} if _is_this_machine(url) else None)
        for handler in (proxies, _Connections(self), UnknownHandler(), HTTPDefaultErrorHandler(), HTTPErrorProcessor()):
            self._opener.add_handler(handler)

    def within(self, seconds: float) -> bytes:
        """Return at most one byte more than `LARGEST_ANSWER`."""
        # A daemon, because a look-up of a name cannot be broken off.
        thread = threading.Thread(target=self._run, args=(seconds,), daemon=True)
        thread.start()
        try:
            thread.join(seconds)
        finally:  # an interrupt leaves no thread either
            with self._lock:
                self._over = True
                for each in self._sockets:
                    _shut(each)
        if thread.is_alive():
            raise TimeoutError
        if self._error is not None:
            raise self._error
        return self._answer

    def opened(self, connection: HTTPConnection) -> HTTPConnection:
        """Take note of the socket of a connection as soon as there is one, before a proxy or TLS is spoken to."""
        own = cast(Any, connection)
        connect, tunnel = own._create_connection, own._tunnel

        def noted(*where: Any) -> socket.socket:
            connected: socket.socket = connect(*where)
            with self._lock:
                self._sockets.append(connected.dup())  # TLS takes the connection over, and leaves the socket without it
            if self._over:
                connected.close()
                raise TimeoutError
            return connected

        def tunnelled() -> None:
            tunnel()
            if self._over:  # or else TLS would begin on a connection that was shut
                raise TimeoutError

        own._create_connection, own._tunnel = noted, tunnelled
        return connection

    def _run(self, seconds: float) -> None:
        try:
            with self._opener.open(self._request, timeout=seconds) as response:
                self._answer = response.read(LARGEST_ANSWER + 1)
                # `read` takes the end of a connection for that of an answer of any length.
                if len(self._answer) <= LARGEST_ANSWER and response.length:
                    raise IncompleteRead(self._answer, response.length)
        except BaseException as error:  # raised again where it was asked
            self._error = error
        finally:
            with self._lock:
                for each in self._sockets:
                    each.close()
                self._sockets.clear()


class _Connections(AbstractHTTPHandler):
    """Opens connections that an exchange takes note of."""

    def __init__(self, exchange: _Exchange) -> None:
        super().__init__()
        self._exchange = exchange

    def http_open(self, request: Request) -> Any:
        """Send a request."""
        return self.do_open(lambda host, **options: self._exchange.opened(HTTPConnection(host, **options)), request)

    def https_open(self, request: Request) -> Any:
        """Send a request."""
        return self.do_open(lambda host, **options: self._exchange.opened(HTTPSConnection(host, **options)), request)

    http_request = https_request = AbstractHTTPHandler.do_request_


def _shut(connected: socket.socket) -> None:
    """Wake whoever reads from a socket; one that is closed already is left alone."""
    with contextlib.suppress(OSError):
        connected.shutdown(socket.SHUT_RDWR)


def _is_this_machine(url: str) -> bool:
    host = str(urlsplit(url).hostname)
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def _moved(url: str, error: HTTPError) -> str:
    """Say what a redirect asks for, which is not followed: a POST would become a GET without the batch."""
    target = error.headers.get("Location")
    if not target:
        return f"answers by a redirect (HTTP status {error.code}) to nowhere."
    return f"has moved to {_shown(urljoin(url, target))} (HTTP status {error.code}); give that url if you trust it."


def _shown(said: object) -> str:
    """Return a server's words in one line, without control characters and cut to some length."""
    text = str(said)
    printable = repr(text)[1:-1]
    return printable if len(printable) <= _SHOWN else f"{printable[:_SHOWN]}... ({len(text):,} characters)"


def _check_url(url: Any) -> None:
    example = 'HTTPReward needs a url such as "http://localhost:8000/score"'
    parts, valid = None, False
    with contextlib.suppress(ValueError, TypeError, AttributeError):
        parts = urlsplit(url)
        valid = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    if parts is None or not valid:
        raise ArgumentError(f"{example}, got {url!r}.")
    if parts.username is not None or parts.password is not None:
        raise ArgumentError(f'{example}, without a user and password; give headers={{"Authorization": ...}} instead.')
    if not re.fullmatch(r"[!-~]+", url):
        raise ArgumentError(f"{example}, got {url!r}; encode what is not ASCII, and spaces, by urllib.parse.quote.")


def _check_headers(headers: Any) -> None:
    """Refuse what would be another header, or the end of them; values may be secret and are not shown."""
    if not isinstance(headers, Mapping):
        raise ArgumentError(f'headers must be a dictionary such as {{"Authorization": "Bearer ..."}}, got {type(headers).__name__}.')
    for name, value in headers.items():
        if not isinstance(name, str) or not re.fullmatch(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", name):
            raise ArgumentError("The name of a header must be of letters, digits and hyphens; one of headers is not.")
        if name.lower() in _OWN_HEADERS:
            raise ArgumentError(f"The header {name} is HTTPReward's own; leave it out.")
        if not isinstance(value, str) or not re.fullmatch(r"[\t -~\xa0-\xff]*", value):
            raise ArgumentError(f"The header {name} must be a text of one line in Latin-1; its value is not shown here.")


def _plain(value: Any) -> Any:
    """Turn a value of a column into what strict JSON holds; what is missing becomes None.

    Raises:
        ValueError: it is infinite, or text that holds half a character.
        TypeError: it is of another kind.
    """
    if hasattr(value, "detach"):
        value = value.detach().cpu().numpy()
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    if isinstance(value, Mapping):
        return {_key(name): _plain(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    if value is None or (pd.api.types.is_scalar(value) and pd.isna(value)):
        return None
    if isinstance(value, str):
        half = half_character(value)
        if half is not None:
            raise ValueError(f"{value!r} holds {half!r}, half a character")
        return value
    if isinstance(value, float) and math.isinf(value):
        raise ValueError("it holds an infinite number")
    if isinstance(value, bool | int | float):
        json.dumps(value)  # of some thousand digits Python writes none
        return value
    raise TypeError(f"it holds an object of type {type(value).__name__}")


def _key(name: Any) -> str:
    if not isinstance(name, str):
        raise TypeError(f"the names in a dictionary must be strings, got {name!r}")
    return str(_plain(name))
