"""The labelling page in a browser, by keyboard."""

import importlib
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.web.client import start
from textenv.preferences.comparison import Comparison
from textenv.preferences.store import ComparisonStore, Item

pytestmark = pytest.mark.browser

ARGUMENTS = (
    "--headless --no-sandbox --disable-gpu --disable-background-networking --disable-component-update --disable-sync --no-first-run".split()
)
FOCUSED = "document.activeElement.querySelector('h2')?.textContent ?? document.activeElement.textContent"
INK = "element => getComputedStyle(element).color"


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    path = shutil.which("chromium")
    assert path is not None, "These tests need chromium on the path."
    # Imported by name: playwright belongs to an extra of its own, and type checkers do without it.
    with importlib.import_module("playwright.sync_api").sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture
def enter(browser: Any) -> Iterator[Callable[..., Any]]:
    """Open the page as an annotator in a browser of their own; no page may ask elsewhere or write to the console."""
    contexts, asked, said = [], [], []

    def open_page(address: str, name: str = "anna", **options: Any) -> Any:
        context = browser.new_context(**{"viewport": {"width": 1000, "height": 800}, **options})
        contexts.append(context)
        page = context.new_page()
        page.on("request", lambda request: asked.append(request.url))
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.goto(address)
        page.wait_for_url("**/")
        assert "secret" not in page.url
        page.wait_for_function("document.activeElement.name === 'name'")
        page.keyboard.type(name)
        press(page, "Enter")
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert not [url for url in asked if not url.startswith(("http://127.0.0.1:", "data:"))]
    assert [text for text in said if "403 (Forbidden)" not in text] == []


def press(page: Any, *keys: str) -> None:
    """Press keys; one that sends a form is waited for."""
    for key in keys:
        if key in ("Enter", "u", "c"):
            with page.expect_navigation():
                page.keyboard.press(key)
        else:
            page.keyboard.press(key)


def shown(page: Any) -> list[str]:
    return [text.strip() for text in page.locator("article .text").all_inner_texts()]


def rank(page: Any, ranks: dict[str, int]) -> None:
    """Rank the responses from the first to the last, each by its last letter."""
    for text in shown(page):
        page.keyboard.press(str(ranks[text[-1]]))


def checked(page: Any) -> list[str]:
    return [f"{radio.get_attribute('name')}={radio.get_attribute('value')}" for radio in page.locator("input:checked").all()]


def ranks_in(store: ComparisonStore) -> list[tuple[int, ...] | None]:
    return [comparison.ranks for comparison in store.comparisons()]


def test_ranks_and_ties_by_keyboard_alone(serve: Callable[..., str], enter: Callable[..., Any], store: ComparisonStore) -> None:
    page = enter(serve())
    assert page.evaluate(FOCUSED) == "Response A"
    rank(page, {"a": 2, "b": 1, "c": 2})
    assert page.locator("#status").inner_text().endswith("All are ranked: Enter submits.")
    press(page, "Enter")
    assert ranks_in(store) == [(2, 1, 2)]
    assert page.locator("#prompt + .text").inner_text() == "prompt 1"
    press(page, "c")
    assert ranks_in(store) == [(2, 1, 2), None]
    rank(page, {"a": 3, "b": 3, "c": 3})
    press(page, "Enter")
    assert ranks_in(store) == [(2, 1, 2), None, (1, 1, 1)]
    assert page.locator("h1").inner_text() == "Nothing is left for you"


def test_keys_move_change_and_clear(serve: Callable[..., str], enter: Callable[..., Any]) -> None:
    page = enter(serve())
    seen = []
    for key in ("j", "ArrowDown", "j", "k", "ArrowUp", "k"):
        press(page, key)
        seen.append(page.evaluate(FOCUSED)[-1])
    assert seen == ["B", "C", "C", "B", "A", "A"]
    press(page, "j", "1")
    assert page.evaluate(FOCUSED) == "Response C", "the next without a rank"
    press(page, "2")
    assert page.evaluate(FOCUSED) == "Response A"
    assert checked(page) == ["rank-1=1", "rank-2=2"]
    press(page, "j", "3", "j", "j", "0", "9", "Control+1")
    assert checked(page) == ["rank-1=3"]
    press(page, "Shift+Digit1")
    assert checked(page) == ["rank-1=3", "rank-2=1"], "without ratings, Shift and a digit are a digit"
    page.keyboard.press("Enter")
    assert page.locator("#status").inner_text() == "1 of 3 without a rank."
    assert page.evaluate(FOCUSED) == "Response A"
    press(page, "1", "Enter")
    assert page.locator("#prompt + .text").inner_text() == "prompt 1"


def test_radio_buttons_by_tab_arrows_and_mouse(serve: Callable[..., str], enter: Callable[..., Any], store: ComparisonStore) -> None:
    page = enter(serve())
    press(page, "Tab", "Space", "ArrowRight", "ArrowDown")
    assert checked(page) == ["rank-0=3"]
    press(page, "Tab", "Space")
    assert checked(page) == ["rank-0=3", "rank-1=1"]
    outline = page.locator("article").nth(1).evaluate("element => getComputedStyle(element).outlineStyle")
    assert outline == "solid"
    page.locator("article").nth(2).locator("label").nth(1).click()
    assert checked(page) == ["rank-0=3", "rank-1=1", "rank-2=2"]
    with page.expect_navigation():
        page.get_by_role("button", name="Submit").click()
    assert sorted(ranks_in(store)[0] or ()) == [1, 2, 3]
    with page.expect_navigation():
        page.get_by_role("button", name="Undo").click()
    page.get_by_role("button", name="Undo").focus()
    assert not page.get_by_role("button", name="Undo").is_enabled()


def test_undo(serve: Callable[..., str], enter: Callable[..., Any], store: ComparisonStore) -> None:
    page = enter(serve())
    responses = shown(page)
    rank(page, {"a": 1, "b": 2, "c": 2})
    before = checked(page)
    press(page, "Enter", "u")
    assert (shown(page), checked(page)) == (responses, before)
    assert store.comparisons() == []
    rank(page, {"a": 3, "b": 2, "c": 1})
    press(page, "Enter")
    assert ranks_in(store) == [(3, 2, 1)]


def test_a_reload_and_a_closed_tab_lose_nothing(serve: Callable[..., str], enter: Callable[..., Any]) -> None:
    page = enter(serve(ratings=True))
    press(page, "3", "1", "k", "Shift+Digit6")
    before, responses = checked(page), shown(page)
    assert before == ["rank-0=3", "rank-1=1", "rating-1=6"]
    page.reload()
    assert (checked(page), shown(page)) == (before, responses)
    assert page.evaluate(FOCUSED) == "Response C"
    address, context = page.url, page.context
    page.close()
    page = context.new_page()
    page.goto(address)
    assert (checked(page), shown(page)) == (before, responses)
    press(page, "2", "Enter")
    assert checked(page) == [], "the next item"
    assert page.evaluate("Object.keys(localStorage).length") == 0, "what was submitted is not kept twice"


def test_going_back_shows_what_is_to_be_judged_now(serve: Callable[..., str], enter: Callable[..., Any], store: ComparisonStore) -> None:
    page = enter(serve())
    rank(page, {"a": 1, "b": 2, "c": 3})
    press(page, "Enter")
    page.go_back()
    assert page.locator("#prompt + .text").inner_text() == "prompt 1"
    rank(page, {"a": 3, "b": 2, "c": 1})
    press(page, "Enter")
    assert ranks_in(store) == [(1, 2, 3), (3, 2, 1)]


def test_two_annotators(serve: Callable[..., str], enter: Callable[..., Any], store: ComparisonStore) -> None:
    address = serve(overlap=2)
    anna, ben = enter(address, "anna"), enter(address, "ben")
    prompts = []
    for page in (anna, ben, ben, anna, anna, ben):
        prompts.append(page.locator("#prompt + .text").inner_text())
        rank(page, {"a": 1, "b": 2, "c": 3} if page is anna else {"a": 1, "b": 2, "c": 2})
        press(page, "Enter")
    assert prompts == [f"prompt {n}" for n in (0, 0, 1, 1, 2, 2)]
    assert sorted(comparison.annotator for comparison in store.comparisons()) == ["anna"] * 3 + ["ben"] * 3
    anna.get_by_role("link", name="Progress").click()
    assert "say the same of 67 % of 9 pairs" in anna.locator("main").inner_text()
    one = Item(prompt="one more", responses=("a", "b"))
    store.add([one])
    anna.goto(address)
    anna.wait_for_url("**/")
    for page in (anna, ben):
        page.goto(address.partition("?")[0])
        assert page.locator("#prompt + .text").inner_text() == "one more"


def test_ratings_by_keyboard(serve: Callable[..., str], enter: Callable[..., Any], store: ComparisonStore) -> None:
    page = enter(serve(ratings=True))
    responses = shown(page)
    press(page, "Shift+Digit7", "1", "Shift+Digit4", "Shift+Digit9", "2", "3", "Enter")
    expected = {responses[0]: 7.0, responses[1]: 4.0, responses[2]: None}
    (judged,) = store.comparisons()
    assert judged.ratings == tuple(expected[text] for text in judged.responses)
    assert judged.ranks == tuple(responses.index(text) + 1 for text in judged.responses)


def test_markup_and_long_texts_are_shown_as_text(serve: Callable[..., str], enter: Callable[..., Any], store: ComparisonStore) -> None:
    hostile = (
        "<script>document.title = 'broken'</script>",
        "<img src=x onerror=\"document.title='broken'\"></div>",
        "x" * 3000,
        "\u202eabc ",
    )
    store.add_comparisons([Comparison(prompt="<h1>broken</h1>", responses=hostile)])
    page = enter(serve(), "<b>anna</b>", viewport={"width": 400, "height": 700})
    press(page, "c", "c", "c")
    assert page.title() == "Rank the responses · textenv"
    assert page.locator("#prompt + .text").inner_text() == "<h1>broken</h1>"
    assert sorted(shown(page)) == sorted(text.strip() for text in hostile)
    assert page.locator("main img, main script").count() == 0
    assert page.locator("h1").count() == 1
    assert page.evaluate("document.documentElement.scrollWidth") == 400, "nothing is wider than the screen"


def test_the_browser_refuses_other_scripts_and_requests(serve: Callable[..., str], enter: Callable[..., Any], browser: Any) -> None:
    address = serve()
    page = browser.new_page()
    page.goto(address)
    page.wait_for_url("**/")
    page.evaluate("document.body.append(Object.assign(document.createElement('script'), {textContent: \"document.title = 'broken'\"}))")
    assert page.title() != "broken"
    assert page.evaluate("fetch('/').then(() => 'sent', () => 'refused')") == "refused"
    assert page.evaluate("document.cookie") == "", "no script sees the token"
    page.close()


def test_a_form_of_another_page_is_refused(serve: Callable[..., str], browser: Any, store: ComparisonStore, tmp_path: Path) -> None:
    address = serve()
    page = browser.new_page()
    page.goto(address)
    page.wait_for_url("**/")
    page.locator("[name=name]").fill("anna")
    press(page, "Enter")
    token = page.locator("[name=token]").get_attribute("value")
    forged = tmp_path / "forged.html"
    fields = f"<input name=token value='{token}'><input name=cannot_tell value=1>"
    forged.write_text(f"<form method=post action='{page.url}label'>{fields}<button>go</button></form>")
    page.goto(forged.as_uri())
    with page.expect_navigation():
        page.get_by_role("button").click()
    assert "sent by another page" in page.locator("body").inner_text()
    assert store.comparisons() == []
    page.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_both_schemes_are_readable(scheme: str, serve: Callable[..., str], enter: Callable[..., Any]) -> None:
    page = enter(serve(ratings=True), color_scheme=scheme, viewport={"width": 400, "height": 800})
    page.keyboard.press("1")
    for selector in ("article .text", "article h2", "#status", ".keys", "input:checked + span", "button.main", "a"):
        element = page.locator(selector).first
        behind = element.evaluate(
            "element => { for (let e = element; e; e = e.parentElement) { const colour = getComputedStyle(e).backgroundColor;"
            " if (colour !== 'rgba(0, 0, 0, 0)') return colour; } }"
        )
        assert contrast(element.evaluate(INK), behind) >= 4.5  # WCAG 2.2, 1.4.3


def contrast(*colours: str) -> float:
    """Compute the contrast of two colours as WCAG 2.2 does."""
    luminances = []
    for colour in colours:
        channels = [int(part) / 255 for part in colour.removeprefix("rgb(").removesuffix(")").split(",")]
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
        luminances.append(0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2])
    return (max(luminances) + 0.05) / (min(luminances) + 0.05)


def test_controls_have_names(serve: Callable[..., str], enter: Callable[..., Any]) -> None:
    page = enter(serve(ratings=True))
    tree = page.locator("main").aria_snapshot()
    assert 'group "Rank of response A"' in tree
    assert 'group "Rating of response C, 7 is best"' in tree
    assert tree.count("radio") == 3 * (3 + 7)
    assert 'radio "3"' in tree
    assert page.locator("[role=status], [role=alert]").count() == 2
    assert page.get_by_role("progressbar", name="0 of 3 done, 0 by you").count() == 1
    page.goto(page.url + "name")
    assert page.get_by_label("Your name").input_value() == "anna"


def test_what_was_begun_before_the_server_died_is_finished_after(tmp_path: Path, enter: Callable[..., Any], store: ComparisonStore) -> None:
    path = tmp_path / "store.db"
    process, address = start(path)
    port = address.partition("?")[0].rstrip("/").rpartition(":")[2]
    page = enter(address)
    responses = shown(page)
    press(page, "2", "1")
    process.kill()
    process.communicate()
    press(page, "3")
    process, address = start(path, "--port", port)
    try:
        press(page, "Enter")
        assert "Open the address that the command printed when it was started last" in page.locator("body").inner_text()
        page.goto(address)
        page.wait_for_url("**/")
        assert (shown(page), checked(page)) == (responses, ["rank-0=2", "rank-1=1", "rank-2=3"])
        press(page, "Enter")
    finally:
        process.kill()
        process.communicate()
    assert ranks_in(store) == [tuple((2, 1, 3)[responses.index(text)] for text in ("0a", "0b", "0c"))]
