"""The time to a score, and the merging of runs."""

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks.harness import ROOT
from benchmarks.score_run import Watch, merge, run_one, time_to
from benchmarks.time_to_score import report


def points(*scores: float) -> list[dict[str, float]]:
    return [{"seconds": 10.0 * index, "score": score, "kl_exact": float(index)} for index, score in enumerate(scores)]


def test_time_is_read_off_between_two_evaluations() -> None:
    assert time_to(points(0.5, 0.6, 0.9), 0.75) == pytest.approx(15)
    assert time_to(points(0.5, 0.8), 0.8) == pytest.approx(10)
    assert time_to(points(0.5, 0.7), 0.8) is None


def run(peer: str, setting: int, seconds: float | None) -> dict[str, Any]:
    return {"peer": peer, "setting": setting, "seed": 0, "cap_seconds": 50.0, "seconds_to_target": seconds, "points": points(0.5, 0.9)}


def test_runs_are_merged_by_side_setting_and_seed(tmp_path: Path) -> None:
    file = tmp_path / "runs.json"
    for setting, seconds in ((0, 30.0), (1, None), (0, 20.0)):
        runs = merge(file, run("ppo", setting, seconds))
    assert [(one["setting"], one["seconds_to_target"]) for one in runs] == [(1, None), (0, 20.0)]


def test_report_has_a_row_a_setting_and_names_the_cap() -> None:
    runs = [run("grpo", 0, None), run("ppo", 1, 40.0), {**run("ppo", 1, None), "seed": 1, "points": points(0.5, 0.7, 0.9, 0.9, 0.8)}]
    assert report(runs, 0.7).splitlines()[2:] == [
        "| TRL PPO | 128 episodes, 4 epochs, 1e-4, β .02 | 40, > 50 | 0.5, 1.0 | 0.800 |",
        "| TRL GRPO | 512 episodes, 1 epoch, 3e-4, β .035 | > 50 | 0.5 |  |",
    ]


def test_the_page_shows_the_report() -> None:
    found = json.loads((ROOT / "benchmarks" / "results" / "time_to_score.json").read_text())
    assert report(found["runs"], found["target"]) in (ROOT / "docs" / "benchmarks.md").read_text(encoding="utf-8")


@pytest.mark.slow
def test_run_of_ours_stops_at_the_cap_and_evaluates_held_prompts() -> None:
    found = run_one("ours", 0, seed=0, cap_seconds=0.1, held=2)
    assert [point["episodes"] for point in found["points"]] == [0, 512]
    assert found["points"][0]["kl_exact"] == pytest.approx(0, abs=1e-4)
    assert found["points"][1]["kl_exact"] > 0
    assert found["seconds_to_target"] is None


def test_clock_stands_while_the_policy_is_evaluated(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr("time.perf_counter", lambda: now[0])

    def evaluate(watch: Watch) -> None:
        now[0] += 100
        watch.points.append({"seconds": watch.seconds, "score": 0.5})

    monkeypatch.setattr(Watch, "evaluate", evaluate)
    watch = Watch(None, None, None, cap_seconds=7)
    now[0] += 5
    assert not watch.after_update(512)
    now[0] += 3
    assert watch.after_update(512)
    assert [point["seconds"] for point in watch.points] == [0, 5, 8]
