"""Progress: lines where there is no terminal, a bar where there is one."""

import io
import time

import pytest
from rich.console import Console

from textenv.reports.progress import progress_of

ROW = {"score": 0.5, "kl_k1": 1.25, "tokens_per_second": 100.0}


def shown(*, terminal: bool) -> str:
    written = io.StringIO()
    console = Console(file=written, force_terminal=terminal, width=120)
    with progress_of(64, 16, console) as show:
        for episodes in (32, 48, 64):
            show(episodes, ROW)
    return written.getvalue()


def test_the_last_update_has_a_line() -> None:
    assert shown(terminal=False) == "64/64 episodes  score 0.500  KL 1.25  100 tokens/s\n"


def test_a_terminal_has_a_bar() -> None:
    assert "64/64 episodes" in shown(terminal=True)
    assert "\x1b" in shown(terminal=True)


def test_lines_come_as_time_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    ticks = iter(range(0, 1000, 2))
    monkeypatch.setattr(time, "perf_counter", lambda: float(next(ticks)))
    assert shown(terminal=False).count("\n") == 3
