"""The suite at toy size."""

import json
from pathlib import Path

import pytest
import torch

from benchmarks.rows.learner import LargestTensor
from benchmarks.speed import ROWS, main

QUICK = ("collect", "collect-bf16", "unequal-lengths", "token-loop", "environment")


def test_rows_are_measured_written_and_documented(tmp_path: Path) -> None:
    docs = tmp_path / "page.md"
    docs.write_text("<!-- benchmarks: start --><!-- benchmarks: end -->")
    main(only=QUICK, reduced=True, out=tmp_path / "speed.json", docs=docs)
    rows = json.loads((tmp_path / "speed.json").read_text())["rows"]
    assert len({(row["name"], row["versus"]) for row in rows}) == len(rows) == 12
    assert all(len(row["ours"]) == 1 and row["figure"] > 0 for row in rows)
    assert docs.read_text().count("\n| ") == 1 + len(rows)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["update-fp32", "wide-vocabulary", "reward", "start-up"])
def test_rows_with_processes_of_their_own(name: str, tmp_path: Path) -> None:
    docs = tmp_path / "page.md"
    docs.write_text("<!-- benchmarks: start --><!-- benchmarks: end -->")
    main(only=(name,), reduced=True, out=tmp_path / "speed.json", docs=docs)
    assert all(row["figure"] > -1 for row in json.loads((tmp_path / "speed.json").read_text())["rows"])


def test_largest_tensor_is_seen_in_the_backward_pass_too() -> None:
    weight = torch.ones(4, 3, requires_grad=True)
    with LargestTensor() as seen:
        total = weight.sum()
    assert seen.bytes == 4
    with seen:
        (total * 2).backward()
    assert seen.bytes == 4 * 3 * 4


def test_unknown_row_is_refused() -> None:
    with pytest.raises(SystemExit, match=f"no row colect; there are {next(iter(ROWS))}"):
        main(only=("colect",))
