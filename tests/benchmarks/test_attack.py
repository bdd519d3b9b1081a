"""The attacks can fail: what is broken for real is counted as broken."""

import contextlib
import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from benchmarks.attack.__main__ import AREAS, PAGE, RESULTS, main, merge, read, table
from benchmarks.attack.outcomes import (
    Row,
    Try,
    control_fault,
    fault_of,
    judge_command,
    outcome_of_call,
    outcome_of_command,
    outcome_of_process,
    unaccounted,
)
from benchmarks.attack.server import Server, free_port, load
from benchmarks.attack.store import make_store
from benchmarks.attack.worker import attack
from benchmarks.harness import END, START
from textenv.errors import LoadError


def python(code: str, limit: float = 20.0) -> str:
    return outcome_of_process([sys.executable, "-c", code], limit).kind


def test_processes_are_classified() -> None:
    assert python("pass") == "taken"
    assert python("import sys; print('textenv: no such file.', file=sys.stderr); sys.exit(2)") == "refused"
    assert python("1 / 0") == "traceback"
    assert python("import sys; sys.exit(2)") == "traceback", "refused without a sentence"
    assert python("import sys; print('textenv: a\\ntextenv: b', file=sys.stderr); sys.exit(2)") == "traceback", "two sentences"
    assert python("import os; os.kill(os.getpid(), 11)") == "traceback"


def test_a_hang_is_ended_and_its_children_too(tmp_path: Path) -> None:
    child = tmp_path / "child.py"
    child.write_text("import time\ntime.sleep(2)\nopen('alive', 'w')\n")
    code = f"import subprocess, sys, time; subprocess.Popen([sys.executable, {str(child)!r}], cwd={str(tmp_path)!r}); time.sleep(60)"
    assert python(code, 1.0) == "hang"
    time.sleep(2.5)
    assert not (tmp_path / "alive").exists()


def test_calls_are_classified() -> None:
    def swallows() -> None:
        while True:
            with contextlib.suppress(Exception):
                time.sleep(60)

    def refuses() -> None:
        raise LoadError("There is no store.")

    assert outcome_of_call(lambda: 3).value == 3
    assert outcome_of_call(refuses).kind == "refused"
    assert outcome_of_call(lambda: [][1]).kind == "traceback"
    assert outcome_of_call(swallows, 0.2).kind == "hang"


def test_commands_are_classified(monkeypatch: pytest.MonkeyPatch) -> None:
    refused = outcome_of_command(["no-such-command"])
    assert (refused.kind, refused.value) == ("refused", 2)
    assert fault_of(refused, may=("refused",), code=2) == ""
    assert fault_of(refused, may=("refused",), code=1) == f"exit 2, not 1: {refused.said}"
    assert fault_of(refused, may=("taken",)).startswith("refused: textenv: ")
    monkeypatch.setattr("textenv.cli._run", lambda arguments: [][1])
    assert outcome_of_command([]).kind == "traceback"


def test_wrong_results_and_control_characters_are_faults() -> None:
    assert fault_of(outcome_of_call(lambda: [1]), right=lambda value: value == [2]) == "wrong result: [1]"
    assert fault_of(outcome_of_call(lambda: [2]), right=lambda value: value == [2]) == ""
    assert "control character" in fault_of(judge_command(0, "a\x1b[2Jb"))
    assert [bool(control_fault(text)) for text in ("a\tb\n", "\x9b", "\x7f", "\r", "é电")] == [False, True, True, True, False]


def test_what_is_lost_doubled_or_made_up_is_told() -> None:
    assert unaccounted(["a"], []) == "lost: 1, such as 'a'"
    assert unaccounted(["a"], ["a", "a"]) == "doubled: 1, such as 'a'"
    assert unaccounted([], ["a"]) == "never made: 1, such as 'a'"
    assert unaccounted(["a"], ["a", "b"], possible=["b"]) == ""


LOSING = """
import sys
from textenv.preferences.store import ComparisonStore

submit, lost = ComparisonStore.submit, []

def losing(store, token, *judgement, **named):
    if not lost:
        lost.append(token)
    return token in lost or submit(store, token, *judgement, **named)

ComparisonStore.submit = losing
"""
HONEST = """
import sys
from textenv.cli import main
main(["label", *sys.argv[1:]])
"""


@pytest.mark.parametrize("losing", [False, True])
def test_a_page_that_loses_a_judgement_is_found_out(losing: bool, tmp_path: Path) -> None:
    program = tmp_path / "label.py"
    program.write_text((LOSING if losing else "") + HONEST)
    path = make_store(tmp_path / "store.db", 6)
    with Server(path, free_port(), [sys.executable, str(program)]) as server:
        ledger, fault = load(path, [server], kills=0, seed=0, clients=2, items=6)
        assert server.stop() == ""
    assert len(ledger.promised) >= 6
    assert fault.startswith("lost: 1, such as") if losing else not fault


def broken_rows() -> tuple[Row, ...]:
    def tries(folder: Path, seed: int) -> Iterator[Try]:
        assert not list(folder.iterdir())
        yield Try("good")
        yield Try(f"bad\x1b[2J {seed}", "lost\nall")
        yield Try("no disk", "not the rights", skipped=True)
        raise ValueError("the attack is wrong")

    return (Row("an attack", "a promise", tries), Row("another", "nothing", lambda folder, seed: iter([Try("good")])))


def test_rows_are_counted_even_where_an_attack_breaks(tmp_path: Path) -> None:
    attack("files", 7, tmp_path / "lines", rows=broken_rows())
    records = read((tmp_path / "lines").read_text().splitlines(), "ended")
    assert [(record["tried"], record["held"], len(record["skipped"])) for record in records] == [(3, 1, 1), (1, 1, 0)]
    assert records[0]["faults"] == [
        {"input": "bad [2J 7", "fault": "lost all"},
        {"input": "the attack itself", "fault": "broke: ValueError: the attack is wrong"},
    ]


def test_a_process_that_dies_is_a_fault_of_its_last_row(tmp_path: Path) -> None:
    attack("files", 0, tmp_path / "lines", rows=broken_rows())
    cut = (tmp_path / "lines").read_text().splitlines()[:-1]
    assert read(cut, "ended with code -9")[1]["faults"] == [{"input": "the process of the area", "fault": "ended with code -9"}]


def test_the_table_names_what_did_not_hold() -> None:
    faults = [{"input": f"`x{number}`", "fault": "lost"} for number in range(5)]
    record = {"area": "files", "attack": "a", "promise": "p", "tried": 9, "held": 4, "skipped": [], "faults": faults, "seconds": 1.0}
    lines = table([record]).splitlines()
    assert lines[2:4] == ["| files | a | p | 9 | **4** |", "| all | | | 9 | 4 |"]
    assert lines[-4:] == ["- a: `'x0'`: `lost`", "- a: `'x1'`: `lost`", "- a: `'x2'`: `lost`", "- a: 2 more"]


def test_what_was_not_tried_keeps_its_counts() -> None:
    def record(area: str, attack: str, tried: int) -> dict[str, Any]:
        return {"area": area, "attack": attack, "tried": tried}

    old = [record("store", "a", 1), record("store", "b", 1), record("files", "a", 1)]
    new = [record("store", "b", 2), record("store", "c", 2)]
    assert merge(old, new) == [record("files", "a", 1), *new]
    assert merge(old, new, whole=False) == [record("files", "a", 1), record("store", "a", 1), *new]


def test_an_unknown_area_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="There is no area fils; there are runs, server"):
        main(only=("fils",), out=tmp_path / "attack.json", page=tmp_path / "page.md")


@pytest.mark.parametrize(
    ("content", "says"), [(None, "cannot be read: "), ("a table", "has no place for the table"), (END + START, "no place")]
)
def test_a_page_without_a_place_is_refused_before_anything_is_tried(content: str | None, says: str, tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    if content is not None:
        page.write_text(content)
    with pytest.raises(SystemExit, match=f"The page {page} .*{says}"):
        main(only=("store",), out=tmp_path / "attack.json", page=page)
    assert not (tmp_path / "attack.json").exists()


def test_the_page_shows_the_results() -> None:
    rows = json.loads(RESULTS.read_text(encoding="utf-8"))["rows"]
    assert {row["area"] for row in rows} == set(AREAS)
    between = PAGE.read_text(encoding="utf-8").partition(START)[2].partition(END)[0]
    assert between.strip() == table(rows)
