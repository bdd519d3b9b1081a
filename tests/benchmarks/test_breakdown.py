"""The split of an iteration's time."""

import json
import time
from pathlib import Path

import pytest

from benchmarks.breakdown import PARTS, Stopwatch, main, watched_iteration
from benchmarks.workloads import TOY, ppo


def test_a_second_is_charged_to_the_innermost_part() -> None:
    watch = Stopwatch()
    with watch.part("outer"):
        time.sleep(0.02)
        watch.around("inner", time.sleep)(0.05)
    assert 0.05 <= watch.seconds["inner"] < 0.07
    assert 0.02 <= watch.seconds["outer"] < 0.04


def test_parts_of_an_iteration_sum_to_its_time() -> None:
    agent = ppo(TOY, "critic")
    watched_iteration(agent)
    begun = time.perf_counter()
    parts = watched_iteration(agent)
    total = time.perf_counter() - begun
    assert list(parts) == list(PARTS)
    assert all(seconds > 0 for seconds in parts.values())
    assert 0.7 * total < sum(parts.values()) <= total


def test_writes_the_medians(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(work=TOY, rounds=1, out=tmp_path / "breakdown.json")
    written = json.loads((tmp_path / "breakdown.json").read_text())
    assert written["seconds"] == written["samples"][0]
    assert "| backward |" in capsys.readouterr().out
