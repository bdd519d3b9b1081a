"""`textenv report`."""

from collections.abc import Callable
from pathlib import Path

import pytest

from textenv.cli import main
from textenv.commands.report import ReportConfig
from textenv.errors import ArgumentError


def test_a_report_needs_a_run() -> None:
    with pytest.raises(ArgumentError, match="report needs the folder of a run"):
        ReportConfig(runs=())


def test_where_it_is_written() -> None:
    one, two = Path("one"), Path("two")
    assert ReportConfig(runs=(one,)).file == Path("one/report.html")
    assert ReportConfig(runs=(one, two)).file == Path("report.html")
    assert ReportConfig(runs=(one,), out=Path("three.html")).file == Path("three.html")


def test_one_run_and_two(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: Callable[..., str]) -> None:
    monkeypatch.chdir(tmp_path)
    before = (run / "report.html").read_text(encoding="utf-8")
    (run / "report.html").unlink()
    assert call("report", str(run)) == f"{run / 'report.html'}\n"
    assert (run / "report.html").read_text(encoding="utf-8") == before
    assert call("report", str(run), str(run)) == "report.html\n"
    assert (tmp_path / "report.html").read_text(encoding="utf-8") != before


def test_what_is_no_run_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["report", str(tmp_path / "nowhere")])
    assert caught.value.code == 2
    assert "nowhere" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
