"""`textenv report`."""

from pathlib import Path

import pytest

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
