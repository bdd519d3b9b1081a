"""Attack textenv: damaged and hostile files, folders, runs, stores, servers, rewards and arguments.

Each row of the table is an attack, what is promised, how many inputs were tried and how many kept the promise. Areas run in
processes of their own, two at a time, so that one that dies or hangs is counted and harms no other.

Run: python -m benchmarks.attack [--only AREA ...] [--seed S]
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # before torch: idle threads sleep

import tyro

from benchmarks.attack.outcomes import Try, kill, plain, start
from benchmarks.harness import END, ROOT, START, machine, write_between_markers

RESULTS: Final = ROOT / "benchmarks" / "results" / "attack.json"
PAGE: Final = ROOT / "docs" / "attacks.md"
# The longest first, so that two at a time end together.
AREAS: Final = ("runs", "server", "folders", "files", "rewards", "store", "terminal", "arguments")
AREA_SECONDS: Final = 1500.0
"""After which an area counts as hanging."""
SHOWN: Final = 3
"""Inputs of each row that the page shows when they broke a promise; the results hold fifty."""


def read(lines: Sequence[str], ending: str) -> list[dict[str, Any]]:
    """Put the lines of a worker together to records, one a row.

    Args:
        lines: of JSON; where the last does not say that the area is whole, its last row has a fault more.
        ending: how the process ended, which that fault tells.
    """
    records: list[dict[str, Any]] = []
    whole = False
    for parsed in map(json.loads, lines):
        if "attack" in parsed:
            records.append({**parsed, "tried": 0, "held": 0, "skipped": [], "faults": [], "seconds": 0.0})
        elif "try" in parsed:
            _count(records[-1], Try(**parsed["try"]))
        elif "seconds" in parsed:
            records[-1]["seconds"] = round(parsed["seconds"], 1)
        else:
            whole = True
    if not whole and records:
        _count(records[-1], Try("the process of the area", ending))
    return records


def _count(record: dict[str, Any], tried: Try) -> None:
    if tried.skipped:
        record["skipped"].append({"input": tried.input, "why": tried.fault})
        return
    record["tried"] += 1
    record["held"] += not tried.fault
    if tried.fault:
        record["faults"].append({"input": tried.input, "fault": tried.fault})


def run_area(area: str, seed: int, row: str) -> list[dict[str, Any]]:
    """Run an area in a process of its own, and say what came of it."""
    with tempfile.TemporaryDirectory(prefix="textenv-attack-") as folder:
        into, errors = Path(folder) / "tries.jsonl", Path(folder) / "errors.txt"
        into.touch()
        given = json.dumps({"area": area, "seed": seed, "into": str(into), "row": row})
        command = [sys.executable, "-m", "benchmarks.attack.worker", given]
        with errors.open("wb") as file:
            # Work folders lie where the lines lie, so that a killed area leaves nothing.
            process = start(command, file, cwd=Path(folder), environment={"TMPDIR": folder})
            try:
                ended = f"ended with code {process.wait(AREA_SECONDS)}: {plain(errors.read_text(errors='replace')[-300:])}"
            except subprocess.TimeoutExpired:
                ended = f"hang: no end after {AREA_SECONDS:g} s"
            kill(process)
        records = read(into.read_text(encoding="utf-8").splitlines(), ended)
    if not records and not row:
        records = [{**_empty(area), "faults": [{"input": "the process of the area", "fault": ended}]}]
    tried, held = sum(record["tried"] for record in records), sum(record["held"] for record in records)
    print(f"{area}: {held} of {tried} held, {sum(record['seconds'] for record in records):.0f} s", flush=True)
    return records


def _empty(area: str) -> dict[str, Any]:
    return {"area": area, "attack": "start", "promise": "runs", "tried": 1, "held": 0, "skipped": [], "seconds": 0.0}


def table(records: Sequence[Mapping[str, Any]]) -> str:
    """Lay the records out as a table, and list what did not hold and what was skipped."""
    lines = ["| area | attack | promise | tried | held |", "|---|---|---|---|---|"]
    for record in records:
        held = f"{record['held']:,}" if record["held"] == record["tried"] else f"**{record['held']:,}**"
        lines.append(f"| {record['area']} | {record['attack']} | {record['promise']} | {record['tried']:,} | {held} |")
    tried, held = sum(record["tried"] for record in records), sum(record["held"] for record in records)
    lines.append(f"| all | | | {tried:,} | {held:,} |")
    for title, name, why in (("Did not hold", "faults", "fault"), ("Not tried here", "skipped", "why")):
        listed = [line for record in records for line in _listed(record, name, why)]
        if listed:
            lines += ["", f"{title}:", "", *listed]
    return "\n".join(lines)


def _listed(record: Mapping[str, Any], name: str, why: str) -> list[str]:
    items = [f"- {record['attack']}: `{_code(each['input'])}`: `{_code(each[why])}`" for each in record[name][:SHOWN]]
    total = record["tried"] - record["held"] if name == "faults" else len(record[name])
    more = total - SHOWN
    return [*items, f"- {record['attack']}: {more} more"] if more > 0 else items


def _code(text: str) -> str:
    """Write a text so that it can stand between back quotes."""
    return text.replace("`", "'")


def merge(old: Sequence[Mapping[str, Any]], new: Sequence[Mapping[str, Any]], *, whole: bool = True) -> list[dict[str, Any]]:
    """Put new records in the place of old ones, in the order of the areas.

    Args:
        old: records.
        new: records.
        whole: the new ones are all of their areas, so that those of old that are not among them are no more.
    """
    left = {(record["area"], record["attack"]): dict(record) for record in new}
    areas = {record["area"] for record in new}
    merged = []
    for record in old:
        key = (record["area"], record["attack"])
        if key in left:
            merged.append(left.pop(key))
        elif not whole or record["area"] not in areas:
            merged.append(dict(record))
    return sorted([*merged, *left.values()], key=lambda record: AREAS.index(record["area"]))


def check_markers(page: Path) -> None:
    """Exit with a sentence, before minutes are spent, if no table can be written into a page."""
    try:
        text = page.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        sys.exit(f"The page {page} cannot be read: {error}; give one with the lines {START} and {END}.")
    if not text.partition(START)[2].partition(END)[1]:
        sys.exit(f"The page {page} has no place for the table; give it the lines {START} and {END}.")


def main(
    only: tuple[str, ...] = AREAS,
    row: str = "",
    seed: int = 0,
    out: Path = RESULTS,
    page: Path = PAGE,
) -> None:
    """Attack, write the counts and the table, and exit with 1 if anything did not hold.

    Args:
        only: areas; the counts of the others are kept as they are.
        row: try only attacks whose name holds this; the counts of the others are kept as they are.
        seed: of the inputs and of the moments of kills.
        out: file of the counts.
        page: with the table.
    """
    for area in only:
        if area not in AREAS:
            sys.exit(f"There is no area {area}; there are {', '.join(AREAS)}.")
    check_markers(page)
    begun = time.perf_counter()
    with ThreadPoolExecutor(2) as pool:
        records = [record for found in pool.map(lambda area: run_area(area, seed, row), only) for record in found]
    seconds = time.perf_counter() - begun
    for record in records:
        for fault in record["faults"]:
            print(f"{record['area']}, {record['attack']}: {fault['input']}: {fault['fault']}")
    if records:
        old: dict[str, Any] = json.loads(out.read_text(encoding="utf-8")) if out.is_file() else {"rows": []}
        merged = merge(old["rows"], [{**record, "faults": record["faults"][:50]} for record in records], whole=not row)
        whole = {"machine": machine(), "seed": seed, "rows": merged}
        out.write_text(json.dumps(whole, indent=2) + "\n", encoding="utf-8")
        write_between_markers(page, table(merged))
    tried, held = sum(record["tried"] for record in records), sum(record["held"] for record in records)
    print(f"{held} of {tried} held, in {seconds:.0f} s.")
    if held < tried:
        sys.exit(1)


if __name__ == "__main__":
    tyro.cli(main)
