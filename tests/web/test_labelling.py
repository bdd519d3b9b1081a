"""The labelling page without a browser: what its forms do to the store."""

import html
import random
import re
import shutil
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
    for tag in ("<script>", "<img", "<b>", "<i>"):
        assert tag not in page.text
    assert "49" not in "".join(page.texts)
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


@pytest.mark.parametrize("seconds", ["nan", "NaN", "-nan", "x", "1,5", "", "inf", "-inf", "1e400"])
def test_a_time_that_cannot_be_read_costs_no_judgement(seconds: str, enter: Callable[..., Client], store: ComparisonStore) -> None:
    client = enter()
    form = {"token": client.get().field("token"), "responses": 3, "rank-0": 1, "rank-1": 2, "rank-2": 3}
    assert client.post("/label", **form, seconds=seconds).to == "/"
    assert len(store.comparisons()) == 1


NUMBERS = (
    *("1", "2", "3", "7", "0", "8", "-1", "+1", " 1", "1 ", "01", "1_0", "1.0", "1e3", "0x1", "\u0663", "\uff11", "\u00b2", "\u2460"),
    *("9" * 400, "9" * 5000, "-" + "9" * 400, "1e400", "nan", "NaN", "inf", "-inf", "Infinity", "", " ", "x", "\0", "\ud7ff", "🙂"),
    *("None", "true", "[]", "{}", "'; DROP TABLE labels; --", "%00", "{{7*7}}", "\u202e1"),
)
FIELDS = ("token", "responses", "seconds", "cannot_tell", "name", "last", *(f"{what}-{i}" for what in ("rank", "rating") for i in range(4)))
# No form fields at all, and bytes that are no text.
BODIES = (b"", b"&&&", b"=", b"%", b"%ff%fe=%ff", b"\xff\xfe", b"responses=3;rank-0=1", b"{}", b"\0" * 100, b"a" * 60_000, b"&a=" * 20_000)


def test_no_form_fails_in_the_server(enter: Callable[..., Client], store: ComparisonStore) -> None:
    rng = random.Random(0)
    client = enter(ratings=True)
    token = client.get().field("token")
    good = {"responses": 3, "rank-0": 1, "rank-1": 2, "rank-2": 3}
    forms: list[dict[str, object]] = [
        {**good, field: number} for field in ("responses", "seconds", "rank-0", "rating-0") for number in NUMBERS
    ]
    for _ in range(150):
        forms.append({field: rng.choice(NUMBERS) for field in rng.sample(FIELDS, rng.randint(0, len(FIELDS)))})
    for form in forms:
        answer = client.post("/label", **{"token": token, **form})
        assert answer.status == 303 or 400 <= answer.status < 500, form
        if answer.to == "/":  # this one was a judgement
            ((ranks, ratings),) = [(judged.ranks, judged.ratings) for judged in store.comparisons()]
            assert ranks is None or sorted(ranks) == [1, 2, 3] or len(set(ranks)) < 3
            assert all(rating is None or rating in range(1, 8) for rating in ratings or ())
            client.post("/undo", last=token)
            token = client.get().field("token")
    headers = {"Origin": f"http://{client.host}", "Content_Type": "application/x-www-form-urlencoded"}
    for path in ("/name", "/undo", "/label"):
        for number in NUMBERS:
            assert client.post(path, name=number, last=number, token=number).status == 303, (path, number)
        for body in BODIES:
            assert client.request("POST", path, body.decode("latin-1"), **headers).status == 303, (path, body[:20])
    client.post("/name", name="anna")
    assert client.get().status == 200


@pytest.mark.parametrize("field", ["responses", "rank-0", "rating-0"])
def test_numbers_are_digits_as_the_page_sends_them(field: str, enter: Callable[..., Client], store: ComparisonStore) -> None:
    client = enter(ratings=True)
    good = {"token": client.get().field("token"), "responses": "3", "rank-0": "3", "rank-1": "2", "rank-2": "1", "rating-0": "3"}
    for number in ("\u0663", "+3", " 3", "3.0", "0_3", "\uff13", "3\n"):
        assert client.post("/label", **{**good, field: number}).to == "/?ranks", number
    assert store.comparisons() == []
    assert client.post("/label", **good).to == "/"


def test_names_are_written_in_one_way(serve: Callable[..., str], store: ComparisonStore) -> None:
    client = Client(serve(overlap=2))
    for name in ("anna\u202e", "\u200banna", "an\x1bna", "\u3164", "\u3000"):
        assert client.post("/name", name=name).to == "/name?name"
    assert "None of them may be invisible" in client.get("/name?name").text
    port = client.host.partition(":")[2]
    for cookie in ("%1b%5b2J", "%E2%80%AEanna", "%ff", "x" * 65, "", "%20"):
        client.cookies[f"textenv-annotator-{port}"] = cookie
        page = client.get()
        assert page.status == 200
        assert ("Who are you?" in page.text) == (cookie != "%ff"), cookie
    assert client.post("/name", name=" Zoe\u0308  M.").to == "/"
    rank(client, ALPHABET)
    client.post("/name", name="Zo\u00eb\tM.")
    rank(client, ALPHABET)
    assert store.progress().annotators == {"Zo\u00eb M.": 2}


def test_by_what_to_judge(serve: Callable[..., str], store: ComparisonStore) -> None:
    hostile = "Prefer </div><script>alert(1)</script> & {{ 7 * 7 }}\n\n1. grammar\n2. tone"
    client = Client(serve(instructions=hostile, ratings=True), "anna")
    page = client.get()
    before, _, after = page.text.partition('<details open><summary>Instructions</summary><div class="guide" dir="auto">')
    assert "Response A" not in before
    shown = after.partition("</div></details>")[0]
    assert html.unescape(shown) == hostile
    assert "<script>" not in page.text
    assert page.texts[0] == "prompt 0"
    scales = re.sub(r"\s+", " ", page.text)
    assert "Rank 1 is the best; responses of the same rank tie." in scales
    assert "1 is the worst, 7 the best; leave it out where you cannot say." in scales
    plain = Client(serve(), "ben").get()
    assert "Instructions" not in plain.text
    assert "Rank 1 is the best" in plain.text
    assert "A rating" not in plain.text


def test_everybody_sees_the_own_progress(serve: Callable[..., str]) -> None:
    address = serve(overlap=2)
    anna, ben, cleo = (Client(address, name) for name in ("anna", "ben", "cleo"))

    def bar(client: Client) -> tuple[str, str, str]:
        page = re.sub(r"\s+", " ", client.get().text)
        (words,) = re.findall(r'<label for="yours">(.*?)</label>', page)
        ((value, most),) = re.findall(r'<progress id="yours" value="(\d+)" max="(\d+)">', page)
        return str(words), str(value), str(most)

    for done in range(3):
        assert bar(anna) == (f"Yours: {done} of 3", f"{done}", "3")
        rank(anna, ALPHABET)
    assert bar(anna) == ("Yours: 3 of 3", "3", "3")
    assert "0 of 3 done, 3 by you" in anna.get().text
    rank(ben, ALPHABET)
    assert bar(ben) == ("Yours: 1 of 3", "1", "3")
    assert bar(cleo) == ("Yours: 0 of 2", "0", "2"), "one has two judgements already"
    rank(ben, ALPHABET)
    assert bar(ben) == ("Yours: 2 of 3", "2", "3"), "cleo is at the third"
    rank(cleo, ALPHABET)
    assert bar(Client(address, "dora")) == ("Yours: 0 of 0", "0", "1")


@pytest.mark.parametrize("way", ["moved", "deleted", "replaced"])
def test_a_store_that_is_gone_counts_nothing(way: str, tmp_path: Path, enter: Callable[..., Client], store: ComparisonStore) -> None:
    client = enter()
    rank(client, ALPHABET)
    page = client.get()
    path, elsewhere = tmp_path / "store.db", tmp_path / "elsewhere.db"
    shutil.copy(path, tmp_path / "copy.db")
    path.rename(elsewhere)
    if way == "deleted":
        elsewhere.unlink()
    if way == "replaced":
        (tmp_path / "copy.db").rename(path)
    last = page.field("last")
    answers = (rank(client, ALPHABET, page), client.get(), client.post("/undo", last=last), client.get("/progress"))
    for answer in answers:
        assert answer.status == 503
        assert "was moved or deleted, or another file took its place" in answer.text
        assert answer.text.endswith(" Nothing was kept; go back and try again.")
    if way == "moved":
        with ComparisonStore(elsewhere) as moved:
            assert len(moved.comparisons()) == 1
        elsewhere.rename(path)
        assert rank(client, ALPHABET, page).to == "/", "it is back"
        assert len(store.comparisons()) == 2


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
