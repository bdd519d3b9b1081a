"""`Guard`: who is let in, and what every answer forbids."""

import socket
from collections.abc import Callable
from urllib.parse import quote

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


# An address for each annotator


TOKENS = {"secret of anna": "anna", "secret of ben": "ben"}


def enter_as(address: str, name: str) -> Client:
    return Client(f"{address.partition('?')[0]}?token=secret+of+{name}")


def test_a_token_is_bound_to_its_name(serve: Callable[..., str], store: ComparisonStore) -> None:
    address = serve(tokens=TOKENS, overlap=2)
    anna, ben = enter_as(address, "anna"), enter_as(address, "ben")
    port = anna.host.partition(":")[2]
    for client, name in ((anna, "anna"), (ben, "ben")):
        page = client.get()
        assert f"<span>{name}</span>" in page.text
        assert 'href="/name"' not in page.text
        for answer in (client.get("/name"), client.post("/name", name="chris")):
            assert (answer.status, answer.text) == (403, f'{{"detail":"This address is that of {name}."}}')
        # Nor does a cookie that somebody wrote by hand make another of them.
        client.cookies[f"textenv-annotator-{port}"] = "chris"
        assert f"<span>{name}</span>" in client.get().text
        assert client.post("/label", token=client.get().field("token"), cannot_tell=1).to == "/"
    assert store.progress().annotators == {"anna": 1, "ben": 1}


def test_nobody_judges_or_undoes_in_the_name_of_another(serve: Callable[..., str], store: ComparisonStore) -> None:
    address = serve(tokens=TOKENS, overlap=2)
    anna, ben = enter_as(address, "anna"), enter_as(address, "ben")
    lease = anna.get().field("token")
    assert ben.post("/label", token=lease, cannot_tell=1).to == "/?other"
    assert store.comparisons() == []
    assert anna.post("/label", token=lease, cannot_tell=1).to == "/"
    assert ben.post("/label", token=lease, cannot_tell=1).to == "/?other", "not even that it was judged"
    ben.post("/undo", last=lease)
    assert store.progress().annotators == {"anna": 1}
    anna.post("/undo", last=lease)
    assert store.progress().annotators == {}


def test_a_judgement_of_another_is_refused_for_what_it_is(serve: Callable[..., str], store: ComparisonStore) -> None:
    """Whoever opens another's address goes on in the tabs of before under the new name."""
    address = serve(tokens=TOKENS)
    anna, ben = enter_as(address, "anna"), enter_as(address, "ben")
    token = anna.get().field("token")
    ben.get()
    for _ in range(2):
        refused = ben.post("/label", token=token, cannot_tell=1)
        said = ben.get(refused.to).text
        assert "its page was shown to another annotator" in said
        assert "undone" not in said
        assert not [judged for judged in store.comparisons() if judged.annotator == "ben"]
        anna.post("/label", token=token, cannot_tell=1)  # then it is a label of hers
    anna.post("/undo", last=token)
    assert "it had been undone" in anna.get(anna.post("/label", token=token, cannot_tell=1).to).text
    assert store.progress().labels == 0


def test_no_other_token_opens_an_address_for_one(serve: Callable[..., str], store: ComparisonStore) -> None:
    address = serve(tokens=TOKENS)
    anna = enter_as(address, "anna")
    (cookie,) = anna.cookies
    near = ("", "anna", "secret", "secret of", "secret of chris", "secret of ann", "secret of annas", "SECRET OF ANNA")
    for token in near:
        assert anna.request("GET", "/", Cookie=f"{cookie}={token}").status == 403, token
        assert anna.request("GET", f"/?token={quote(token)}", Cookie="").status == 403, token
    assert anna.request("GET", "/", Cookie="textenv=secret of anna").status == 403
    answer = anna.request("GET", "/?token=secret+of+ben")
    assert (answer.status, answer.headers["refresh"]) == (200, "0; url=/")
    assert "<span>ben</span>" in anna.get().text, "whoever opens it is ben from now on"


@pytest.mark.parametrize("host", ["0.0.0.0", "127.0.0.2"])
def test_a_page_for_others_knows_the_names_of_its_machine_only(host: str, serve: Callable[..., str], store: ComparisonStore) -> None:
    port = serve(tokens=TOKENS, host=host).rpartition("?")[0].rpartition(":")[2].rstrip("/")
    reached = "127.0.0.1" if host == "0.0.0.0" else host
    anna = enter_as(f"http://{reached}:{port}/", "anna")
    allowed = [reached, f"{reached}:{port}", f"{reached}:9000", "localhost", "LOCALHOST"]
    refused = [
        "evil.example",
        f"evil.example:{port}",
        f"{reached}.evil.example",
        f"evil.{reached}",
        "0.0.0.0",
        "10.9.8.7",
        "[::1]",
        "a b",
        f"{reached}:x",
    ]
    if host == "0.0.0.0":
        allowed += [socket.gethostname(), f"{socket.gethostname().upper()}:{port}"]
    for name in allowed:
        assert anna.request("GET", "/", Host=name).status == 200, name
    for name in refused:
        answer = anna.request("GET", "/", Host=name)
        assert answer.status in (400, 403), name
    assert anna.request("GET", "/", Host="evil.example").text.startswith(f"This page is for {reached} and ")
    body = f"token={anna.get().field('token')}&cannot_tell=1"
    for origin in ("", "null", "http://evil.example", f"http://{reached}", f"https://{reached}:{port}", f"http://localhost:{port}"):
        answer = anna.request("POST", "/label", body, Origin=origin)
        assert (answer.status, answer.text) == (403, "This request was sent by another page.")
    assert store.comparisons() == []
    assert anna.request("POST", "/label", body, Origin=f"http://{reached}:{port}").status == 303
