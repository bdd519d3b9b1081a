"""The report is one file that needs nothing else and runs nothing that stands in a text."""

import base64
import hashlib
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path
from typing import Final

import pandas as pd
import pytest

from textenv.errors import ArgumentError, LoadError
from textenv.reports.glossary import GLOSSARY
from textenv.reports.html import write_report

VOID: Final = {"meta", "link", "input", "img", "br"}


class Page(HTMLParser):
    """Collects elements, and the texts by the element they stand in."""

    def __init__(self, file: Path) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: dict[str, list[str]] = {}
        self.within = [""]
        self.feed(file.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.within.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.within.pop() == tag, "elements are closed in the order in which they were opened"

    def handle_data(self, data: str) -> None:
        self.texts.setdefault(self.within[-1], []).append(data)

    def of_class(self, name: str) -> list[dict[str, str | None]]:
        return [attributes for _, attributes in self.elements if name in (attributes.get("class") or "").split()]

    @property
    def text(self) -> str:
        return " ".join(" ".join(part) for tag, part in self.texts.items() if tag not in ("script", "style"))


@pytest.fixture(scope="module")
def pages(runs: list[Path], tmp_path_factory: pytest.TempPathFactory) -> dict[int, Page]:
    """Write the reports of one run and of two."""
    folder = tmp_path_factory.mktemp("pages")
    return {n: Page(write_report(runs[:n], folder / f"{n}.html")) for n in (1, 2)}


def test_nothing_is_asked_for_outside_the_file(runs: list[Path], tmp_path: Path) -> None:
    out = tmp_path / "report.html"
    assert write_report(runs, out) == out
    page, text = Page(out), out.read_text(encoding="utf-8")
    for _, attributes in page.elements:
        for name in ("src", "srcset", "href", "xlink:href", "action", "data", "poster"):
            assert (attributes.get(name) or "#").startswith(("#", "data:")), attributes
    assert set(re.findall(r"https?://[^\"' <]*", text)) <= {"http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"}
    assert "@import" not in text
    assert not re.findall(r"url\((?!#)", text)
    assert out.stat().st_size < 500_000


def test_only_the_reports_own_script_may_run(pages: dict[int, Page]) -> None:
    page = pages[2]
    (policy,) = [attributes["content"] for _, attributes in page.elements if attributes.get("http-equiv") == "Content-Security-Policy"]
    assert policy is not None
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    (script,) = page.texts["script"]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert rules["default-src"] == rules["base-uri"] == rules["form-action"] == "'none'"
    assert rules["script-src"] == f"'sha256-{digest}'"
    assert not [name for _, attributes in page.elements for name in attributes if name.startswith("on")]


def test_markup_in_texts_is_text(hostile: Path, pages: dict[int, Page], tmp_path: Path) -> None:
    page = Page(write_report([hostile], tmp_path / "hostile.html"))
    found, wanted = ([tag for tag, _ in elements] for elements in (page.elements, pages[1].elements))
    assert [found.count(tag) for tag in ("script", "h1", "img")] == [wanted.count(tag) for tag in ("script", "h1", "img")] == [1, 1, 0]
    assert "bold" not in page.texts["b"]
    for tag in ("h1", "li", "h4", "p", "span", "th", "td"):  # environment, alarm, prompt, completion, token, setting and its value
        assert any("<script>document.title" in text for text in page.texts[tag]), tag
    assert "hostile & <b>bold</b>" in page.text


def test_the_numbers_are_the_runs(runs: list[Path], pages: dict[int, Page]) -> None:
    page = pages[2]
    part = pd.read_parquet(runs[1] / "episodes" / "part-00003.parquet").sort_values("score", kind="stable")
    worst = part.iloc[0]
    tokens = page.of_class("token")
    facts = [token["data-facts"] for token in tokens]
    wanted = [worst[name][0] for name in ("log_probs", "ref_log_probs")]
    wanted += [wanted[0] - wanted[1], *(worst[name][0] for name in ("values", "advantages", "rewards"))]
    assert "|".join(f"{number:.6g}" for number in wanted) in facts
    assert str(worst["tokens"][0]) in [token["data-id"] for token in tokens]
    assert len(page.of_class("map")) == 16
    assert [token["tabindex"] for token in tokens].count("0") == 16
    assert worst["prompt"] in page.text
    assert "leave_one_out, critic" in page.texts["title"][0]
    assert [attributes["data-curve"] for _, attributes in page.elements if "data-curve" in attributes][:3] == ["score", "reward", "kl_k1"]


def test_words_are_explained_in_the_page(pages: dict[int, Page]) -> None:
    for word, text in GLOSSARY.items():
        assert word in [shown.strip() for shown in pages[1].texts["dt"]]
        assert text in pages[1].texts["dd"]
    assert "± one standard error over prompts, whose episodes are not independent" in pages[1].text
    assert "over n episodes" not in pages[1].text


def test_own_metrics_are_drawn(runs: list[Path], tmp_path: Path) -> None:
    run = Path(shutil.copytree(runs[0], tmp_path / "run"))
    pd.read_csv(run / "metrics.csv").assign(**{"my <share>": [0.1, 0.2, 0.4]}).to_csv(run / "metrics.csv", index=False)
    page = Page(write_report([run], tmp_path / "report.html"))
    drawn = [attributes["data-curve"] for _, attributes in page.elements if "data-curve" in attributes]
    assert {"my <share>", "grad_norm", "policy_loss"} <= set(drawn)
    assert len(drawn) == len(set(drawn))
    assert "Other metrics" in page.texts["summary"]


def test_a_folder_is_never_replaced_by_a_report(runs: list[Path], tmp_path: Path) -> None:
    (tmp_path / "mine" / "thesis").mkdir(parents=True)
    with pytest.raises(ArgumentError, match="mine cannot be written: Is a directory; choose another file"):
        write_report([runs[0]], tmp_path / "mine")
    assert (tmp_path / "mine" / "thesis").is_dir()


def test_metrics_without_episodes_are_refused(runs: list[Path], tmp_path: Path) -> None:
    run = Path(shutil.copytree(runs[0], tmp_path / "run"))
    pd.read_csv(run / "metrics.csv").drop(columns="episodes").to_csv(run / "metrics.csv", index=False)
    with pytest.raises(LoadError, match=r'metrics\.csv holds no metrics of a run: it lacks the column "episodes"'):
        write_report([run], tmp_path / "report.html")


def test_alarms_are_shown(hostile: Path, runs: list[Path], pages: dict[int, Page], tmp_path: Path) -> None:
    shown = Page(write_report([runs[0], hostile], tmp_path / "report.html"))
    assert len(shown.of_class("alarm")) == 1
    assert "update 2: distinct-2 fell" in shown.text
    assert not pages[1].of_class("alarm")


def test_several_runs_are_told_apart(pages: dict[int, Page]) -> None:
    one, two = pages[1], pages[2]
    assert "h3" not in one.texts
    assert [text.strip() for text in two.texts["h3"] if text.strip()] == ["leave_one_out", "critic"] * 3
    assert "≠ algorithm.advantage" in two.text
    assert "≠" not in one.text


def test_runs_of_one_name_are_told_apart(runs: list[Path], tmp_path: Path) -> None:
    for folder in "ab":
        shutil.copytree(runs[0], tmp_path / folder / "run")
    page = Page(write_report([tmp_path / "a" / "run", tmp_path / "b" / "run"], tmp_path / "report.html"))
    assert page.texts["title"][0].endswith(f"{tmp_path / 'a' / 'run'}, {tmp_path / 'b' / 'run'}")


def test_an_unfinished_run_has_a_report(runs: list[Path], tmp_path: Path) -> None:
    run = Path(shutil.copytree(runs[0], tmp_path / "run"))
    (run / "summary.json").unlink()
    (run / "evaluation" / "after.parquet").unlink()
    page = Page(write_report([run], tmp_path / "report.html"))
    assert "not finished" in page.text
    assert "Not both evaluations are there." in page.text
    assert page.of_class("token")
    for name in ("episodes", "checkpoint"):
        shutil.rmtree(run / name)
    (run / "evaluation" / "before.parquet").unlink()
    (run / "metrics.csv").unlink()
    page = Page(write_report([run], tmp_path / "report.html"))
    assert page.text.count("There is no update yet.") == 2
    assert not page.of_class("token")


def test_what_cannot_be_reported_is_refused(runs: list[Path], tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match=r"^A report needs at least one run; name folders that `textenv train` wrote\.$"):
        write_report([], tmp_path / "report.html")
    with pytest.raises(LoadError, match=r"nothing is no run"):
        write_report([runs[0], tmp_path / "nothing"], tmp_path / "report.html")
    assert not (tmp_path / "report.html").exists()
    with pytest.raises(ArgumentError, match=r"missing/report\.html cannot be written: No such file or directory; choose another file\.$"):
        write_report(runs, tmp_path / "missing" / "report.html")


def test_score_and_judge_are_drawn_where_a_run_was_watched(watched: Path, runs: list[Path], tmp_path: Path) -> None:
    seen, unseen = (Page(write_report([run], tmp_path / "report.html")) for run in (watched, runs[0]))
    label = "Score and judge over the square root of the KL to the reference"
    assert [label in [attributes.get("aria-label") for _, attributes in page.elements] for page in (seen, unseen)] == [True, False]
    assert "Where the score rises while the judge falls" in seen.text
