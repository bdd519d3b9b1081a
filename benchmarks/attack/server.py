"""A labelling page in a process of its own: killed under load, and asked by hostile clients."""

import contextlib
import html
import http.client
import random
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Final
from urllib.parse import urlencode

from benchmarks.attack.outcomes import (
    Row,
    Try,
    fault_of,
    judge_command,
    kill,
    outcome_of_call,
    outcome_of_command,
    plain,
    start,
    unaccounted,
)
from benchmarks.attack.store import kept, make_store, places_of
from textenv.preferences.store import ComparisonStore

LABEL: Final = (sys.executable, "-m", "textenv", "label")
CLIENTS: Final = 20
KILLS: Final = 6

Judgement = tuple[str, str, tuple[int, ...]]
"""Annotator, prompt, and ranks in the order of the item."""


def free_port() -> int:
    """Return a port that nobody uses."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port: int = listening.getsockname()[1]
        return port


class Server:
    """`textenv label` in a process; a context.

    Args:
        store: its path.
        port: of the page.
        command: what runs before the store and the options.
    """

    def __init__(self, store: Path, port: int, command: Sequence[str] = LABEL) -> None:
        self.store, self.port, self.command = store, port, command
        self.output = tempfile.TemporaryFile("w+b")  # noqa: SIM115 (closed by __exit__)
        self.token = ""
        self.process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> "Server":
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self.process is not None:
            kill(self.process)
        self.output.close()

    def start(self) -> None:
        """Start it, and wait until it tells its address."""
        size = len(self.said())
        self.process = start([*self.command, str(self.store), "--port", str(self.port)], self.output.fileno())
        for _ in range(1200):
            addresses = re.findall(r"/\?token=([\w-]+)", self.said()[size:])
            if addresses:
                self.token = addresses[-1]
                return
            if self.process.poll() is not None:
                raise RuntimeError(f"the page does not start: {plain(self.said()[-300:])}")
            time.sleep(0.05)
        raise RuntimeError("the page does not start within a minute")

    def restart(self, number: signal.Signals = signal.SIGKILL) -> None:
        """End it by a signal and start it again."""
        assert self.process is not None
        self.process.send_signal(number)
        self.process.wait(30)
        self.start()

    def stop(self) -> str:
        """Press ctrl-C; return why the end is none in one sentence."""
        assert self.process is not None
        self.process.send_signal(signal.SIGINT)
        try:
            code = self.process.wait(30)
        except subprocess.TimeoutExpired:
            return "ctrl-C does not end it within 30 s"
        said = self.said()
        if "Traceback" in said:
            return f"a traceback: {plain(said.rstrip().splitlines()[-1])}"
        if code not in (0, 130):
            return f"exit {code}: {plain(said[-200:])}"
        return "" if "judged" in said.rstrip().splitlines()[-1] else "no last sentence"

    def said(self) -> str:
        """Return all that was written."""
        self.output.seek(0)
        return self.output.read().decode(errors="replace")


class Client:
    """A browser without scripts, which keeps its cookies."""

    def __init__(self, server: Server, name: str) -> None:
        self.server, self.name = server, name
        self.cookies: dict[str, str] = {}
        self._token = ""

    def request(self, method: str, path: str, form: Mapping[str, Any] | None = None) -> tuple[int, str, str]:
        """Return status, where it leads, and the text."""
        host = f"127.0.0.1:{self.server.port}"
        headers = {"Cookie": "; ".join(f"{name}={value}" for name, value in self.cookies.items())}
        if form is not None:
            headers |= {"Origin": f"http://{host}", "Content-Type": "application/x-www-form-urlencoded"}
        connection = http.client.HTTPConnection(host, timeout=30)
        try:
            connection.request(method, path, None if form is None else urlencode(form), headers)
            response = connection.getresponse()
            text = response.read().decode()
        finally:
            connection.close()
        for name, value in response.getheaders():
            if name.lower() == "set-cookie":
                cookie, _, content = value.partition(";")[0].partition("=")
                self.cookies[cookie] = content
        return response.status, response.headers.get("location", ""), text

    def enter(self) -> None:
        """Enter with the token of the server as it runs now."""
        if self._token != self.server.token:
            token = self.server.token
            self.request("GET", f"/?token={token}")
            self.request("POST", "/name", {"name": self.name})
            self._token = token

    def show(self) -> tuple[str, str, list[str]] | None:
        """Return token, prompt and responses of the next item; None if there is none."""
        status, _, text = self.request("GET", "/")
        if status != 200:
            raise ConnectionError(f"status {status}")
        token = re.findall(r'name="token" value="([^"]*)"', text)
        shown = [html.unescape(part) for part in re.findall(r'<div class="text"[^>]*>(.*?)</div>', text, re.DOTALL)]
        return (token[0], shown[0], shown[1:]) if token and len(shown) > 2 else None


class Ledger:
    """What was promised to many clients, and what may be kept as its answer did not come."""

    def __init__(self) -> None:
        self.promised: list[Judgement] = []
        self.possible: list[Judgement] = []
        self.cut = 0
        self.errors: list[str] = []


def ranks_of(name: str, prompt: str) -> tuple[int, ...]:
    """Return how an annotator ranks the responses a, b, c of a prompt: always alike."""
    order = [1, 2, 3]
    random.Random(f"{name} {prompt}").shuffle(order)
    return tuple(order)


def judge_all(client: Client, ledger: Ledger, most: int, until: float) -> None:
    """Judge until nothing is left, asking again whenever the server is down.

    Args:
        client: the annotator.
        ledger: is told what was promised.
        most: submissions, so that a server that keeps nothing ends it too.
        until: time.monotonic() at which to give up.
    """
    sent = 0
    while sent < most and time.monotonic() < until:
        try:
            client.enter()
            item = client.show()
        except (OSError, http.client.HTTPException):
            ledger.cut += 1
            time.sleep(0.1)
            continue
        if item is None:
            return
        token, prompt, responses = item
        ranks = ranks_of(client.name, prompt)
        judgement = (client.name, prompt, ranks)
        form = {"token": token, "responses": 3}
        form |= {f"rank-{place}": ranks["abc".index(text[-1])] for place, text in enumerate(responses)}
        sent += 1
        try:
            status, to, _ = client.request("POST", "/label", form)
        except (OSError, http.client.HTTPException):
            ledger.cut += 1
            ledger.possible.append(judgement)
            continue
        if status == 303 and to in ("/", "/?again"):
            ledger.promised.append(judgement)
        elif status != 403:  # the cookie of a server that was killed meanwhile
            ledger.errors.append(f"status {status} to {to}")


def judgements(path: Path) -> list[Judgement]:
    """Return what a store holds."""
    with ComparisonStore(path) as store:
        return [(each.annotator, each.prompt, each.ranks or ()) for each in store.comparisons()]


def load(path: Path, servers: Sequence[Server], kills: int, seed: int, clients: int = CLIENTS, items: int = 300) -> tuple[Ledger, str]:
    """Let clients judge a store while its servers are killed; return what was promised and why it was not kept."""
    generator = random.Random(seed)
    ledger = Ledger()
    until = time.monotonic() + 300
    people = [Client(servers[number % len(servers)], f"annotator {number}") for number in range(clients)]
    threads = [threading.Thread(target=judge_all, args=(client, ledger, 2 * items, until), daemon=True) for client in people]
    for thread in threads:
        thread.start()
    for number in range(kills):
        # Each time that some more judgements came in, so that each kill comes under load.
        wanted = len(ledger.promised) + generator.randint(10, max(12, items // (kills + 2)))
        while len(ledger.promised) < wanted and any(thread.is_alive() for thread in threads):
            time.sleep(0.02)
        servers[number % len(servers)].restart()
    for thread in threads:
        thread.join(max(until + 60 - time.monotonic(), 1))
    there = judgements(path)
    fault = unaccounted(set(ledger.promised), there, ledger.possible)
    prompts = [prompt for _, prompt, _ in there]
    fault = fault or ("an item was judged by two" if len(set(prompts)) < len(prompts) else "")
    fault = fault or ("; ".join(sorted(set(ledger.errors))[:3]))
    return ledger, fault or ("" if len(prompts) == items else f"{len(prompts)} of {items} items were judged")


def kills(folder: Path, seed: int) -> Iterator[Try]:
    """Kill one server, then two on one store, while twenty clients judge."""
    for count in (1, 2):
        path = make_store(folder / f"{count}.db", 300)
        with contextlib.ExitStack() as stack:
            servers = [stack.enter_context(Server(path, free_port())) for _ in range(count)]
            ledger, fault = load(path, servers, KILLS, seed + count)
            ended = [server.stop() for server in servers]
        yield Try(f"{CLIENTS} clients, {count} server(s), {KILLS} SIGKILLs", fault or ("" if ledger.cut else "no request was cut off"))
        yield Try(f"ctrl-C after that, {count} server(s)", next(filter(None, ended), ""))


def store_changes(folder: Path, seed: int) -> Iterator[Try]:
    """Delete, move and replace the store of a page: what is said to be kept is found."""

    def delete(path: Path) -> None:
        for each in path.parent.glob("store.db*"):
            each.unlink()

    changes: dict[str, Callable[[Path], Any]] = {
        "deleted": delete,
        "moved": lambda path: path.rename(path.with_name("moved.db")),
        "replaced": lambda path: make_store(path.with_name("other.db"), 5).replace(path),
    }
    for name, change in changes.items():
        path = folder / name / "here" / "store.db"
        path.parent.mkdir(parents=True)
        make_store(path, 6)
        ledger = Ledger()
        with Server(path, free_port()) as server:
            client = Client(server, "anna")
            judge_all(client, Ledger(), 1, time.monotonic() + 20)
            change(path)
            judge_all(client, ledger, 2, time.monotonic() + 5)
            ended = server.stop()
        there = [key for place in places_of(path) if place.exists() for key in kept(place)]
        lost = [judgement for judgement in ledger.promised if judgement[:2] not in there]
        fault = f"{len(lost)} of {len(ledger.promised)} judgements are lost" if lost else ""
        yield Try(name, fault or ("" if "Traceback" not in ended and "traceback" not in ended else ended))


# Hostile clients


def _raw(port: int, data: bytes, seconds: float = 10.0) -> bytes:
    """Send bytes; return all that is answered."""
    answer = b""
    with socket.create_connection(("127.0.0.1", port), seconds) as connection, contextlib.suppress(OSError):
        connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)
        while part := connection.recv(65536):
            answer += part
    return answer


def _status(answer: bytes) -> int:
    words = answer.split(None, 2)
    return int(words[1]) if len(words) > 1 and words[1].isdigit() else 0


HOSTS: Final = (
    *("evil.com", "127.0.0.1.evil.com", "localhost.evil.com", "evil.com:{port}", "127.0.0.2:{port}", "0.0.0.0:{port}", "[::1]:{port}"),
    *("2130706433:{port}", "0x7f.1:{port}", "127.1:{port}", "", " ", "127.0.0.1:{port}@evil.com", "evil.com#127.0.0.1", "localhost:123456"),
    *("127.0.0.1:{port}\x00", "LOCALHOST.:{port}", "127.0.0.1:{port}/x", "127.0.0.1:-1", "user@127.0.0.1:{port}"),
)
ORIGINS: Final = (
    *("http://evil.com", "null", "https://127.0.0.1:{port}", "http://127.0.0.1:1", "http://127.0.0.1", "http://localhost.evil.com:{port}"),
    *("http://127.0.0.1:{port}.evil.com", "file://", "", "http://127.0.0.1:{port}/", "http://evil.com, http://127.0.0.1:{port}", "*"),
)
FIELDS: Final = (
    *(
        "",
        " ",
        "0",
        "-1",
        "1e5",
        "1.5",
        "NaN",
        "inf",
        "9" * 400,
        "9" * 5000,
        "\0",
        "x",
        "1 2",
        "١",
        "²",
        "0x1",
        "1_0",
        "+1",
        "True",
        "null",
    ),
    *("' OR 1=1 --", "'; DROP TABLE labels; --", "<script>", "{{7*7}}", "\r\nX: y", "%00", "😀", "../../etc/passwd", "[1]", "{}"),
    *("1" * 30_000, "1e400", "-inf", "1\n", "\x1b[2J", "1,2"),
)


def _session(server: Server) -> Client:
    client = Client(server, "anna")
    client.enter()
    return client


def _head(client: Client, method: str, path: str, *more: str, host: str | None = None) -> bytes:
    name = f"127.0.0.1:{client.server.port}" if host is None else host
    cookie = "; ".join(f"{name}={value}" for name, value in client.cookies.items())
    lines = [f"{method} {path} HTTP/1.1", f"Host: {name}", f"Cookie: {cookie}", "Connection: close", *more]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("utf-8", "replace")


def _form_of(client: Client) -> dict[str, Any]:
    item = client.show()
    token = item[0] if item else "x"
    return {"token": token, "responses": 3, "rank-0": 1, "rank-1": 2, "rank-2": 3}


def _refusals(client: Client, port: int) -> Iterator[Try]:
    """Yield requests that must be answered 400 or 403, whatever they ask."""
    body = urlencode(_form_of(client))
    form = ("Content-Type: application/x-www-form-urlencoded", f"Content-Length: {len(body)}")
    stranger = Client(client.server, "eve")
    for host in HOSTS:
        for method, path in (("GET", "/"), ("POST", "/label")):
            origin = (f"Origin: http://127.0.0.1:{port}", *form) if method == "POST" else ()
            data = _head(client, method, path, *origin, host=host.format(port=port)) + (body.encode() if origin else b"")
            yield Try(f"{method}, Host {host!r}", _not_refused(_raw(port, data)))
    for foreign in ORIGINS:
        for path in ("/label", "/undo", "/name"):
            data = _head(client, "POST", path, f"Origin: {foreign.format(port=port)}", *form) + body.encode()
            yield Try(f"{path}, Origin {foreign!r}", _not_refused(_raw(port, data)))
    for path in ("/", "/label", "/undo", "/name", "/progress", "/static/label.js", "/?token=x", "/?token=", f"/?token={'a' * 32}", "/x"):
        method = "POST" if path in ("/label", "/undo") else "GET"
        data = _head(stranger, method, path, f"Origin: http://127.0.0.1:{port}", *form) + body.encode()
        yield Try(f"{path} without the cookie", _not_refused(_raw(port, data)))
    for value in ("", "x", "a" * 10_000, "\0", "é", '"', "=", ";"):
        stranger.cookies = {f"textenv-{port}": value}
        yield Try(f"a cookie of {value[:10]!r}", _not_refused(_raw(port, _head(stranger, "GET", "/"))))


def _not_refused(answer: bytes) -> str:
    status = _status(answer)
    return "" if status in (0, 400, 403, 404, 405, 413, 431) else f"status {status}"


def _survived(client: Client, port: int) -> Iterator[Try]:
    """Yield requests after which the server must go on, answered without a status of 500."""
    whole = _head(client, "GET", "/")
    raw: dict[str, bytes] = {
        "nothing": b"",
        "NULs": bytes(1000),
        "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(100),
        "HTTP/0.9": b"GET /\r\n",
        "two hosts": whole.replace(b"Cookie:", b"Host: evil.com\r\nCookie:"),
        "no host": re.sub(rb"Host: [^\r]*\r\n", b"", whole),
        "a length and chunks": _head(client, "POST", "/label", "Content-Length: 5", "Transfer-Encoding: chunked")
        + b"0\r\n\r\nGET / HTTP/1.1\r\n\r\n",
        "two lengths": _head(client, "POST", "/label", "Content-Length: 5", "Content-Length: 6") + b"token=",
        "a length below 0": _head(client, "POST", "/label", "Content-Length: -1"),
        "a length of letters": _head(client, "POST", "/label", "Content-Length: x"),
        "a length of 2**63": _head(client, "POST", "/label", f"Content-Length: {2**63}") + b"token=",
        "a header of 100 kB": _head(client, "GET", "/", "X: " + "x" * 100_000),
        "10,000 headers": _head(client, "GET", "/", *(f"X{i}: x" for i in range(10_000))),
        "a folded header": _head(client, "GET", "/", "X: a\r\n b"),
        "a header with a NUL": _head(client, "GET", "/", "X: a\0b"),
        "a path of 100 kB": _head(client, "GET", "/" + "x" * 100_000),
        "a path of spaces": _head(client, "GET", "/ a b"),
        "an upgrade": _head(client, "GET", "/", "Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Key: x"),
        "a range": _head(client, "GET", "/static/label.js", "Range: bytes=0-1,5-2,x"),
        "expect": _head(client, "POST", "/label", "Expect: 100-continue", "Content-Length: 0"),
    }
    for method in ("HEAD", "PUT", "DELETE", "OPTIONS", "TRACE", "CONNECT", "PATCH", "PROPFIND", "get", "X" * 1000, "", "GET\0"):
        raw[f"method {method[:10]!r}"] = _head(client, method, "/")
    for path in (
        "../../etc/passwd",
        "%2e%2e%2flabel.html",
        "..%5c..",
        "label.html",
        "",
        "%00",
        "a" * 5000,
        "label.js%00",
        "//etc/passwd",
        "%ff",
    ):
        raw[f"/static/{path[:20]}"] = _head(client, "GET", f"/static/{path}")
    for name, data in raw.items():
        answer = outcome_of_call(lambda data=data: _raw(port, data), 20)
        fault = fault_of(answer, may=("taken",))
        status = _status(answer.value or b"") if not fault else 0
        yield Try(name, fault or (f"status {status}" if status >= 500 and status not in (501, 505) else ""))


def _forms(client: Client, promised: list[int]) -> Iterator[Try]:
    """Yield forms of odd fields: none is answered with 500, and all that is said to be kept is counted."""
    names = ("token", "responses", "rank-0", "rank-2", "rating-0", "rating-2", "seconds", "cannot_tell", "no-such-field")
    for name in names:
        for value in FIELDS:
            yield _post(client, "/label", {**_form_of(client), name: value}, promised, f"{name}={value[:20]!r}")
    for path, name in (("/name", "name"), ("/undo", "last")):
        for value in FIELDS:
            yield _post(client, path, {name: value}, promised, f"{path} {name}={value[:20]!r}")
        client.enter()
        client.request("POST", "/name", {"name": client.name})
    bodies: dict[str, bytes] = {
        "50 MB": b"x" * 50_000_000,
        "100 kB": b"x" * 100_000,
        "no UTF-8": b"token=\xff\xfe&rank-0=\xff",
        "many fields": b"&".join(b"a=1" for _ in range(10_000)),
        "JSON": b'{"token": 1}',
        "parts": b"--x\r\nContent-Disposition: form-data; name=token\r\n\r\n1\r\n--x--",
        "equal signs": b"=" * 1000,
        "ampersands": b"&" * 1000,
    }
    for path in ("/label", "/name", "/undo"):
        for name, body in bodies.items():
            form = (f"Origin: http://127.0.0.1:{client.server.port}", "Content-Type: application/x-www-form-urlencoded")
            data = _head(client, "POST", path, *form, f"Content-Length: {len(body)}") + body
            outcome = outcome_of_call(lambda data=data: _status(_raw(client.server.port, data, 20)), 30)
            fault = fault_of(outcome, may=("taken",), right=lambda status: status < 500)
            yield Try(f"{path}, a body of {name}", fault)


def _post(client: Client, path: str, form: dict[str, Any], promised: list[int], shown: str) -> Try:
    outcome = outcome_of_call(lambda: client.request("POST", path, form), 20)
    fault = fault_of(outcome, may=("taken",))
    if fault:
        return Try(shown, fault)
    status, to, _ = outcome.value
    if path == "/label" and status == 303 and to == "/":
        promised[0] += 1
    return Try(shown, f"status {status}" if status >= 500 else "")


def hostile_requests(folder: Path, seed: int) -> Iterator[Try]:
    """Ask with foreign hosts and origins, without the token, in broken HTTP, with odd forms."""
    path = make_store(folder / "store.db", 500)
    promised = [0]
    with Server(path, free_port()) as server:
        client = _session(server)
        yield from _refusals(client, server.port)
        yield Try("all of these together", f"{len(kept(path))} judgements were kept" if kept(path) else "")
        yield from _survived(client, server.port)
        yield from _forms(client, promised)
        there = len(kept(path))
        yield Try("judgements kept of odd forms", "" if there == promised[0] else f"{there} are kept, {promised[0]} were said to be")
        alive = outcome_of_call(client.show, 20)
        yield Try("the page afterwards", fault_of(alive, may=("taken",), right=lambda item: item is not None))
        fault = server.stop()
        secret = "the token is in what was logged" if server.said().count(server.token) > 1 else ""
    yield Try("ctrl-C afterwards", fault or secret)


def ends(folder: Path, seed: int) -> Iterator[Try]:
    """Press ctrl-C while clients hang: a sentence, no traceback, nothing lost."""
    path = make_store(folder / "store.db", 10)
    hangs: dict[str, bytes] = {
        "in a body": b"POST /label HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 100\r\n\r\ntoken=",
        "in a body, with the cookie": b"",
        "in the head": b"GET / HTTP/1.1\r\nHost:",
        "before the first byte": b"-",
        "after an answer": b"GET /name HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
    }
    for name, data in hangs.items():
        with Server(path, free_port()) as server, socket.create_connection(("127.0.0.1", server.port), 20) as connection:
            if not data:
                origin = f"Origin: http://127.0.0.1:{server.port}"
                data = _head(_session(server), "POST", "/label", origin, "Content-Length: 100") + b"token="
            connection.sendall(data.strip(b"-"))
            time.sleep(0.3)
            yield Try(f"ctrl-C, a client hangs {name}", server.stop())
    ledger = Ledger()
    with Server(path, free_port()) as server:
        judge_all(Client(server, "anna"), ledger, 3, time.monotonic() + 20)
        server.restart(signal.SIGTERM)
        fault = unaccounted(ledger.promised, judgements(path)) or ("" if ledger.promised else "nothing was judged")
    yield Try("SIGTERM after three judgements", fault)


def ports(folder: Path, seed: int) -> Iterator[Try]:
    """Take a port twice, and ports that are none."""
    path = make_store(folder / "store.db")
    for number in range(3):
        port = free_port()
        with tempfile.TemporaryFile("w+") as one, tempfile.TemporaryFile("w+") as other:
            started = [start([*LABEL, str(path), "--port", str(port)], output) for output in (one, other)]
            deadline = time.monotonic() + 60
            while all(process.poll() is None for process in started) and time.monotonic() < deadline:
                time.sleep(0.05)
            codes = [process.poll() for process in started]
            fault = "" if None in codes and codes != [None, None] else f"exit codes {codes}"
            for process, output, code in zip(started, (one, other), codes, strict=True):
                kill(process)
                output.seek(0)
                if code is not None:
                    fault = fault or fault_of(judge_command(code, output.read()), may=("refused",), code=2)
        yield Try(f"two pages on one port at once, {number}", fault)
    with socket.create_server(("127.0.0.1", 0)) as used:
        taken: Any = used.getsockname()[1]
        for given in (taken, 65536, -1, "x", "", "1.5", 10**30):
            outcome = outcome_of_command(["label", str(path), "--port", str(given)], 20)
            shown = "in use" if given == taken else repr(given)
            yield Try(f"port {shown}", fault_of(outcome, may=("refused",), code=2))


ROWS: Final = (
    Row("a page killed while 20 clients judge", "each promised judgement once, no other, no item twice", kills),
    Row("the store deleted, moved, replaced under a page", "what was said to be kept is found", store_changes),
    Row("hostile requests", "refused, nothing kept, no status 500", hostile_requests),
    Row("ctrl-C and SIGTERM", "one sentence, nothing lost", ends),
    Row("ports", "one page has it, exit 2 and a sentence for the other", ports),
)
