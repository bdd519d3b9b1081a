"""Alternation, verdicts, and what is written."""

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks.harness import Meter, Row, alternate, conclude, markdown, memory, start, timed, write_between_markers, write_json


def row(kind: Any, target: float | None, name: str = "a row") -> Row:
    return Row(name=name, versus="the peer", kind=kind, ours=[2.0, 1.0, 9.0], theirs=[5.0, 4.0, 3.0], target=target)


def test_sides_take_turns_after_a_warm_up() -> None:
    played: list[str] = []

    def side(name: str) -> float:
        played.append(name)
        return float(len(played))

    samples = alternate({"a": lambda: side("a"), "b": lambda: side("b")}, rounds=3)
    assert "".join(played) == "ab" + "ababab"
    assert samples == {"a": [3, 5, 7], "b": [4, 6, 8]}


def test_timed_measures_seconds() -> None:
    assert 0 < timed(lambda: sum(range(1000)))() < 1


@pytest.mark.parametrize(("kind", "figure"), [("speed-up", 2.0), ("share", 0.5), ("value", 2.0)])
def test_figure_is_made_of_medians(kind: str, figure: float) -> None:
    assert row(kind, None).figure == figure


@pytest.mark.parametrize(
    ("kind", "target", "met"),
    [
        ("speed-up", 2.0, True),
        ("speed-up", 2.1, False),
        ("share", 0.5, True),
        ("share", 0.4, False),
        ("value", 2, True),
        ("value", 1, False),
    ],
)
def test_target_is_a_floor_of_speed_ups_and_a_ceiling_of_the_rest(kind: str, target: float, met: bool) -> None:
    assert row(kind, target).met is met


def test_missed_target_exits_with_1(capsys: pytest.CaptureFixture[str]) -> None:
    conclude([row("speed-up", 2.0), row("speed-up", None)])
    assert capsys.readouterr().out == ""
    with pytest.raises(SystemExit) as exit:
        conclude([row("speed-up", 2.0), row("share", 0.4, "slow")])
    assert exit.value.code == 1
    assert capsys.readouterr().out == "Missed: slow against the peer: 0.5, target 0.4.\n"


def test_json_keeps_rows_that_were_not_measured_again(tmp_path: Path) -> None:
    file = tmp_path / "new" / "rows.json"
    write_json(file, [row("speed-up", 3.0), row("share", None, "other")])
    records = write_json(file, [row("speed-up", 1.0)])
    written = json.loads(file.read_text())
    assert written["rows"] == records
    assert [(record["name"], record["target"], record["met"]) for record in records] == [("a row", 1.0, True), ("other", None, True)]
    assert records[0]["ours"] == [2.0, 1.0, 9.0]
    assert {"ours_median", "theirs_median", "figure", "unit", "versus", "kind"} <= set(records[0])
    assert {"device", "threads", "versions"} <= set(written["machine"])


def test_json_drops_rows_of_another_machine(tmp_path: Path) -> None:
    file = tmp_path / "rows.json"
    write_json(file, [row("share", None, "other")])
    file.write_text(json.dumps({**json.loads(file.read_text()), "machine": {"device": "another"}}))
    assert [record["name"] for record in write_json(file, [row("share", None)])] == ["a row"]


def test_table_says_what_was_missed() -> None:
    lines = markdown([row("speed-up", 3.0).record(), row("share", None).record()]).splitlines()
    assert lines[2] == "| a row | 2 s | the peer | 4 s | 2× | ≥ 3× | **no** |"
    assert lines[3] == "| a row | 2 s | the peer | 4 s | 0.5× |  |  |"


def test_table_goes_between_the_markers(tmp_path: Path) -> None:
    file = tmp_path / "page.md"
    file.write_text("before\n<!-- benchmarks: start -->\nold\n<!-- benchmarks: end -->\nafter\n")
    for _ in range(2):
        write_between_markers(file, "new")
    assert file.read_text() == "before\n<!-- benchmarks: start -->\n\nnew\n\n<!-- benchmarks: end -->\nafter\n"
    file.write_text("no markers")
    with pytest.raises(ValueError, match="benchmarks: start"):
        write_between_markers(file, "new")


def main() -> None:
    """A worker that holds 64 MiB in its second round only."""
    meter, rounds = Meter(), 0
    while True:
        meter.wait()
        rounds += 1
        held = bytearray(2**26) if rounds == 2 else bytearray()
        print(f"{len(held)} bytes are no answer")
        del held
        meter.report()
        if rounds == 4:
            raise ValueError("worn out")


def test_worker_answers_a_round_at_a_time_with_its_own_peak() -> None:
    with start("tests.benchmarks.test_harness", {}) as worker:
        seconds = [worker.play() for _ in range(4)]
        with pytest.raises(RuntimeError, match="worn out"):
            worker.play()
    assert all(0 <= taken < 5 for taken in seconds)
    assert len(worker.growth) == 3
    assert 60 < worker.growth[0] < 80
    assert worker.growth[1] < 16
    assert worker.totals[0] > memory("VmRSS") / 100
    assert worker.process.returncode == 1


if __name__ == "__main__":
    main()
