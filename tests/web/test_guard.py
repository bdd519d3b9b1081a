"""`Guard`: who is let in, and what every answer forbids."""

from collections.abc import Callable

import pytest

from tests.web.client import Client
from textenv.preferences.store import ComparisonStore
from textenv.web.guard import HEADERS


@pytest.fixture
def client(enter: Callable[..., Client]) -> Client:
    return enter()


def test_the_token_moves_from_the_address_into_a_cookie(client: Client) -> None:
    opened = client.request("GET", "/?token=secret", Cookie="")
    assert (opened.status, opened.headers["refresh"]) == (200, "0; url=/")
    port = client.host.partition(":")[2]
    assert opened.headers["set-cookie"] == f"textenv-{port}=secret; HttpOnly; Path=/; SameSite=strict"
    assert "secret" not in opened.text
    assert client.get().status == 200


@pytest.mark.parametrize("path", ["/", "/progress", "/static/label.js", "/name", "/nowhere", "/?token=", "/?token=s%C3%A9cret"])
def test_nothing_is_shown_without_the_token(path: str, client: Client) -> None:
    for cookie in ("", "textenv=secret", f"textenv-{client.host.partition(':')[2]}=secre"):
        answer = client.request("GET", path, Cookie=cookie)
        assert answer.status == 403
        assert answer.text == "Open the address that the command printed when it was started last; nothing you did is lost."


@pytest.mark.parametrize("host", ["evil.example", "evil.example:{port}", "127.0.0.1.evil.example", "127.0.0.1:{port}.evil", "0.0.0.0"])
def test_another_host_is_refused(host: str, client: Client) -> None:
    """As in DNS rebinding, where a page of another host reaches this server under its own name."""
    answer = client.request("GET", "/", Host=host.format(port=client.host.partition(":")[2]))
    assert (answer.status, answer.text) == (403, "This page is for 127.0.0.1 and localhost only.")


def test_localhost_and_tunnels_are_let_in(client: Client) -> None:
    for host in ("localhost", "localhost:9000", "127.0.0.1:9000"):
        assert client.request("GET", "/", Host=host).status == 200


def test_what_another_page_sends_is_refused(client: Client, store: ComparisonStore) -> None:
    token = client.get().field("token")
    body = f"token={token}&cannot_tell=1"
    for origin in ("", "null", "http://evil.example", "http://127.0.0.1", f"https://{client.host}", f"http://{client.host}.evil"):
        answer = client.request("POST", "/label", body, Origin=origin)
        assert (answer.status, answer.text) == (403, "This request was sent by another page.")
    assert store.comparisons() == []
    assert client.request("POST", "/label", body, Origin=f"http://{client.host}").status == 303
    assert len(store.comparisons()) == 1


@pytest.mark.parametrize("path", ["/", "/progress", "/static/label.css", "/nowhere"])
def test_every_answer_has_the_headers(path: str, client: Client) -> None:
    answers = [
        client.get(path),
        client.request("GET", path, Cookie=""),
        client.request("GET", path, Host="evil.example"),
        client.post(path),
    ]
    for answer in answers:
        assert {name: answer.headers[name.lower()] for name in HEADERS} == HEADERS
    assert "script-src 'self'" in HEADERS["Content-Security-Policy"]
    assert "unsafe" not in HEADERS["Content-Security-Policy"]


def test_there_are_no_sockets(client: Client) -> None:
    upgrade = {
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec_WebSocket_Version": "13",
        "Sec_WebSocket_Key": "AAAAAAAAAAAAAAAAAAAAAA==",
    }
    assert client.request("GET", "/", **upgrade).status == 200, "an answer like any other"
