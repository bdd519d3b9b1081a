"""The labelling page without a browser: what its forms do to the store."""

import re
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.web.client import Answer, Client
from textenv.preferences.comparison import Comparison
from textenv.preferences.store import ComparisonStore, Item
from textenv.web.labelling import BODY_BYTES


def rank(client: Client, ranks: dict[str, int], page: Answer | None = None, **fields: object) -> Answer:
    """Rank the responses of a page, by default the next one, by their last letter."""
    page = page or client.get()
    _, *responses = page.texts
    given = {f"rank-{place}": ranks[text[-1]] for place, text in enumerate(responses) if text[-1] in ranks}
    return client.post("/label", token=page.field("token"), responses=len(responses), **given, **fields)


ALPHABET = {"a": 1, "b": 2, "c": 3}


def test_a_name_is_asked_for_once(serve: Callable[..., str]) -> None:
    client = Client(serve())
    assert "Who are you?" in client.get().text
    for name in ("", "  ", "x" * 65, "a\0b"):
        assert client.post("/name", name=name).to == "/name?name"
    assert "A name has 1 to 64 characters." in client.get("/name?name").text
    answer = client.post("/name", name="  Zoë 张; x=<b> ")
    assert (answer.status, answer.to) == (303, "/")
    assert "HttpOnly" in answer.headers["set-cookie"]
    assert "Zoë 张; x=&lt;b&gt;" in client.get().text
    assert 'value="Zoë 张; x=&lt;b&gt;"' in client.get("/name").text


def test_a_ranking_is_kept_in_the_order_of_the_item(enter: Callable[..., Client], store: ComparisonStore) -> None:
    client = enter()
    answer = rank(client, {"a": 2, "b": 1, "c": 2}, seconds="1.5")
    assert (answer.status, answer.to) == (303, "/")
    expected = Comparison(prompt="prompt 0", responses=("0a", "0b", "0c"), ranks=(2, 1, 2), annotator="anna", sources=("secret run",) * 3)
    assert store.comparisons() == [expected]
    assert client.get().texts[0] == "prompt 1"


def test_the_page_tells_nothing_of_the_sources(enter: Callable[..., Client]) -> None:
    client = enter()
    assert all("secret run" not in client.get(path).text for path in ("/", "/progress", "/name"))


def test_markup_is_text(enter: Callable[..., Client], store: ComparisonStore) -> None:
    hostile = ("</div><script>alert(1)</script>", "\"'><img src=x onerror=alert(1)>", "{{ 7 * 7 }} &amp; <b>")
    store.add([Item(prompt="<h1>&lt;", responses=hostile)])
    client = enter("<i>anna</i>")
    for _ in range(3):
        rank(client, ALPHABET)
    page = client.get()
    assert page.texts[0] == "<h1>&lt;"
    assert sorted(page.texts[1:]) == sorted(hostile)
    for tag in ("<script>", "<img", "<b>", "<i>", "49"):
        assert tag not in page.text
    assert re.findall("<script[^>]*>", page.text) == ['<script src="/static/label.js" defer>']
    assert " style=" not in page.text
    assert "<style" not in page.text


def test_a_reload_shows_the_same_in_the_same_order(enter: Callable[..., Client]) -> None:
    client = enter()
    first, again = client.get(), client.get()
    assert (first.texts, first.field("token")) == (again.texts, again.field("token"))


def test_gaps_in_ranks_are_closed(enter: Callable[..., Client], store: ComparisonStore) -> None:
    rank(enter(), {"a": 3, "b": 2, "c": 3})
    assert [comparison.ranks for comparison in store.comparisons()] == [(2, 1, 2)]


def test_a_form_that_is_sent_twice_is_one_judgement(enter: Callable[..., Client], store: ComparisonStore) -> None:
    client = enter()
    page = client.get()
    rank(client, ALPHABET, page)
    assert rank(client, {"a": 3, "b": 2, "c": 1}, page).to == "/?again"
    assert [comparison.ranks for comparison in store.comparisons()] == [(1, 2, 3)]
    assert "the first judgement stays" in client.get("/?again").text


def test_cannot_tell(enter: Callable[..., Client], store: ComparisonStore) -> None:
    client = enter()
    assert rank(client, {"a": 1}, cannot_tell="1").to == "/"
    assert [comparison.ranks for comparison in store.comparisons()] == [None]


def test_ratings_are_asked_for_only_when_wanted(enter: Callable[..., Client], store: ComparisonStore) -> None:
    assert "Rating" not in enter().get().text
    client = enter("ben", ratings=True)
    page = client.get()
    assert page.text.count('type="radio"') == 3 * (3 + 7)
    place = [text[-1] for text in page.texts[1:]].index("b")
    rank(client, ALPHABET, page, **{f"rating-{place}": 6})
    rank(client, ALPHABET)
    assert [comparison.ratings for comparison in store.comparisons()] == [(None, 6.0, None), None]


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"responses": 3, "rank-0": 1, "rank-1": 2},
        {"responses": 2, "rank-0": 1, "rank-1": 2},
        {"responses": 3, "rank-0": 1, "rank-1": 2, "rank-2": "x"},
        {"responses": 3, "rank-0": 1, "rank-1": 2, "rank-2": 3, "rating-0": 8},
        {"responses": 3, "rank-0": 1, "rank-1": 2, "rank-2": 3, "seconds": "x"},
        {"responses": "x"},
        {"responses": 10**12},
        {"responses": -1},
    ],
)
def test_what_is_no_judgement_is_not_kept(fields: dict[str, object], enter: Callable[..., Client], store: ComparisonStore) -> None:
    client = enter()
    assert client.post("/label", token=client.get().field("token"), **fields).to == "/?ranks"
    assert store.comparisons() == []
    assert "Every response needs a rank" in client.get("/?ranks").text


def test_undo_shows_what_was_judged(enter: Callable[..., Client], store: ComparisonStore) -> None:
    client = enter(ratings=True)
    assert client.get().field("last") == ""
    page = client.get()
    rank(client, {"a": 2, "b": 1, "c": 2}, page, **{"rating-1": 5})
    following = client.get()
    assert following.checked == []
    assert client.post("/undo", last=following.field("last")).to == "/"
    assert client.post("/undo", last=following.field("last")).to == "/", "sent twice"
    assert store.comparisons() == []
    undone = client.get()
    assert undone.texts == page.texts
    places = [f"rank-{place}={ {'a': 2, 'b': 1, 'c': 2}[text[-1]] }" for place, text in enumerate(page.texts[1:])]
    assert sorted(undone.checked) == sorted([*places, "rating-1=5"])
    assert rank(client, ALPHABET, page).to == "/?gone"
    assert "it had been undone" in client.get("/?gone").text
    rank(client, ALPHABET)
    assert client.get().field("token") == following.field("token")


def test_the_end_and_what_others_still_hold(serve: Callable[..., str]) -> None:
    address = serve()
    anna, ben = Client(address, "anna"), Client(address, "ben")
    held = anna.get()
    for _ in range(2):
        rank(ben, ALPHABET)
    assert "1 of 3 items wait for other annotators" in ben.get().text
    rank(anna, ALPHABET, held)
    assert "All 3 items are judged" in ben.get().text
    assert "3 of 3 done, 1 by you" in anna.get().text
    ben.post("/undo", last=ben.get().field("last"))
    assert "2 of 3 done, 1 by you" in ben.get().text


def test_progress_and_agreement(serve: Callable[..., str]) -> None:
    address = serve(overlap=2)
    anna, ben = Client(address, "anna"), Client(address, "ben")
    assert "No responses have been ranked by two annotators yet" in anna.get("/progress").text
    rank(anna, ALPHABET)
    rank(anna, ALPHABET)
    rank(ben, {"a": 1, "b": 3, "c": 2})
    said = ben.get("/progress").text
    assert "1 of 3 items have 2 judgements" in said
    assert re.findall(r"<td[^>]*>(.*?)</td>", said) == ["anna", "2", "ben", "1"]
    assert "say the same of 67 % of 3 pairs" in said


def test_a_form_that_is_too_large_is_refused(enter: Callable[..., Client], store: ComparisonStore) -> None:
    client = enter()
    assert client.post("/label", token=client.get().field("token"), cannot_tell="x" * BODY_BYTES).status == 413
    assert store.comparisons() == []


def test_a_store_that_cannot_be_written_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, enter: Callable[..., Client], store: ComparisonStore
) -> None:
    client = enter()
    page = client.get()
    store._database._connection.execute("PRAGMA busy_timeout = 100")
    other = sqlite3.connect(tmp_path / "store.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    answer = rank(client, ALPHABET, page)
    assert answer.status == 503
    assert answer.text.endswith("store.db cannot be used: database is locked. Nothing was kept; go back and try again.")
    other.execute("ROLLBACK")
    other.close()
    assert rank(client, ALPHABET, page).to == "/"


def test_other_paths_and_methods(enter: Callable[..., Client]) -> None:
    client = enter()
    for path in ("/nowhere", "/docs", "/openapi.json", "/static/page.html", "/static/..%2flabelling.py"):
        assert client.get(path).status == 404, path
    assert client.get("/label").status == 405
    assert client.get("/static/label.js").headers["content-type"].startswith("text/javascript")
