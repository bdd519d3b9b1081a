"""The report in a browser: what a reader sees by pointing, by keyboard and on a small screen."""

import importlib
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from textenv.reports.html import write_report

pytestmark = pytest.mark.browser

ARGUMENTS = (
    "--headless --no-sandbox --disable-gpu --disable-background-networking --disable-component-update --disable-sync --no-first-run".split()
)
BACKGROUND = "element => getComputedStyle(element).backgroundColor"


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
def open_page(browser: Any) -> Iterator[Callable[..., Any]]:
    """Open files; afterwards none of them may have asked for anything else or have written to the console."""
    contexts, asked, said = [], [], []

    def open_file(file: Path, **options: Any) -> Any:
        context = browser.new_context(**{"viewport": {"width": 1200, "height": 800}, **options})
        page = context.new_page()
        page.on("request", lambda request: asked.append(request.url))
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.goto(file.as_uri())
        contexts.append((context, file.as_uri()))
        return page

    yield open_file
    for context, _ in contexts:
        context.close()
    assert [url for url in asked if not url.startswith("data:")] == [uri for _, uri in contexts]
    assert said == []


@pytest.fixture(scope="module")
def report(runs: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a report of two runs; the critic's, which has values that are not 0, comes first."""
    return write_report(runs[::-1], tmp_path_factory.mktemp("report") / "report.html")


@pytest.fixture
def worst(runs: list[Path]) -> pd.Series:
    """Read the episode that comes first in the token maps."""
    return pd.read_parquet(runs[1] / "episodes" / "part-00003.parquet").sort_values("score", kind="stable").iloc[0]


def numbers(page: Any) -> list[float]:
    return [float(text) for text in page.locator("#tip dd").all_inner_texts()]


def facts(episode: pd.Series, t: int) -> list[float]:
    log_prob, ref_log_prob = episode["log_probs"][t], episode["ref_log_probs"][t]
    return [log_prob, ref_log_prob, log_prob - ref_log_prob, episode["values"][t], episode["advantages"][t], episode["rewards"][t]]


def test_pointing_at_a_token_shows_its_numbers(report: Path, worst: pd.Series, open_page: Callable[..., Any]) -> None:
    page = open_page(report)
    tokens = page.locator(".map").first.locator(".token")
    assert tokens.count() == worst["length"]
    assert page.locator("#tip").is_hidden()
    for t in range(tokens.count()):
        tokens.nth(t).hover()
        assert page.locator("#tip").is_visible()
        assert numbers(page) == pytest.approx(facts(worst, t), rel=1e-5)
        assert page.locator("#tip p span").inner_text() == f"token {worst['tokens'][t]}"
    page.mouse.move(0, 0)
    assert page.locator("#tip").is_hidden()


def test_the_keyboard_reaches_every_token(report: Path, worst: pd.Series, open_page: Callable[..., Any]) -> None:
    page = open_page(report)
    page.locator("#by-log_ratio").focus()
    page.keyboard.press("Tab")  # past the choice of colours
    assert page.evaluate("document.activeElement.className").startswith("token")
    assert numbers(page) == pytest.approx(facts(worst, 0), rel=1e-5)
    page.keyboard.press("ArrowRight")
    assert numbers(page) == pytest.approx(facts(worst, 1), rel=1e-5)
    page.keyboard.press("End")
    assert numbers(page) == pytest.approx(facts(worst, -1), rel=1e-5)
    page.keyboard.press("ArrowRight")  # there is no further one
    assert numbers(page) == pytest.approx(facts(worst, -1), rel=1e-5)
    page.keyboard.press("Home")
    assert numbers(page) == pytest.approx(facts(worst, 0), rel=1e-5)
    page.keyboard.press("Escape")
    assert page.locator("#tip").is_hidden()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Tab")
    second = page.locator(".map").nth(1).locator(".token").first
    assert second.evaluate("element => element === document.activeElement"), "Tab goes to the next episode"
    assert page.locator("#tip").is_visible()
    page.keyboard.press("Shift+Tab")
    assert numbers(page) == pytest.approx(facts(worst, 1), rel=1e-5), "and back to the token that was left"


def test_the_colour_is_of_what_is_chosen(report: Path, open_page: Callable[..., Any]) -> None:
    page = open_page(report)
    tokens = page.locator(".map .token").all()
    colours = {}
    for name in ("log_ratio", "value", "advantage"):
        page.locator(f"#by-{name}").check()
        assert [scale.get_attribute("data-scale") for scale in page.locator(".scale").all() if scale.is_visible()] == [name]
        colours[name] = [token.evaluate(BACKGROUND) for token in tokens]
        weights = [float(token.evaluate(f"element => getComputedStyle(element).getPropertyValue('--{name}')")) for token in tokens]
        assert len({colour for colour, weight in zip(colours[name], weights, strict=True) if weight == 1}) <= 1
        neutral = {colour for colour, weight in zip(colours[name], weights, strict=True) if weight == 0}
        assert len(neutral) <= 1
        for colour, weight in zip(colours[name], weights, strict=True):
            red, _, blue = (float(part) for part in colour.removeprefix("color(srgb ").removesuffix(")").split()[:3])
            assert abs(weight) < 0.02 or (red > blue) == (weight > 0), (colour, weight)
    assert colours["log_ratio"] != colours["value"] != colours["advantage"] != colours["log_ratio"]


def test_two_runs_are_drawn_over_each_other(report: Path, open_page: Callable[..., Any]) -> None:
    page = open_page(report)
    legend = page.locator("#curves .legend li")
    assert [text.strip() for text in legend.all_inner_texts()] == ["critic", "leave_one_out"]
    stroke = "element => getComputedStyle(element).stroke"
    colours = [line.evaluate(stroke) for line in legend.locator("line").all()]
    assert len(set(colours)) == 2
    drawn = page.locator("[data-curve=entropy] path[clip-path]").evaluate_all(f"elements => elements.map({stroke})")
    assert set(colours) <= set(drawn)
    box = page.locator("[data-curve=entropy] svg").bounding_box()
    assert box["width"] > 200
    assert box["height"] > 100


def test_markup_in_a_completion_is_shown_as_text(hostile: Path, tmp_path: Path, open_page: Callable[..., Any]) -> None:
    page = open_page(write_report([hostile], tmp_path / "report.html"))
    assert page.title() != "broken"
    assert page.locator("img").count() == 0
    assert "<script>document.title = 'broken'</script>" in page.locator("#prompts").inner_text()
    page.locator(".token").first.hover()
    assert "<script>document.title" in page.locator("#tip").inner_text()
    assert page.locator("h1").count() == 1


def test_the_browser_refuses_other_scripts_and_requests(report: Path, browser: Any) -> None:
    page = browser.new_page()
    page.goto(report.as_uri())
    page.evaluate("document.body.append(Object.assign(document.createElement('script'), {textContent: \"document.title = 'broken'\"}))")
    assert page.title() != "broken"
    assert page.evaluate("fetch('data:text/plain,a').then(() => 'sent', () => 'refused')") == "refused"
    page.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_small_screens_and_both_schemes_are_readable(scheme: str, report: Path, open_page: Callable[..., Any]) -> None:
    page = open_page(report, viewport={"width": 400, "height": 700}, color_scheme=scheme)
    assert page.evaluate("document.documentElement.scrollWidth") == 400, "nothing is wider than the screen"
    page_colour = page.locator("body").evaluate(BACKGROUND)
    ink = page.locator("[data-curve=score] text").first.evaluate("element => getComputedStyle(element).fill")
    brightness = [sum(int(part) for part in colour.removeprefix("rgb(").removesuffix(")").split(",")) for colour in (page_colour, ink)]
    assert (brightness[0] > 600 > 400 > brightness[1]) if scheme == "light" else (brightness[0] < 120 < 400 < brightness[1])
    page.locator(".map .text").nth(3).evaluate("element => { element.style.textAlign = 'right'; }")  # as a long line would be
    for token in page.locator(".map").nth(3).locator(".token").all():
        token.hover()
        box = page.locator("#tip").bounding_box()
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= 400
        assert box["y"] >= 0
        assert box["y"] + box["height"] <= 700
