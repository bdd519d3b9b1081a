"""What is measured in a toy, and the page that is made of it."""

import json
from pathlib import Path

import pytest
from benchmarks.known_optimum import main, pictures, table

FOUND = {
    "kl_coef": 0.1,
    "episodes": 24576,
    "states": 12,
    "optimum": {"score": 2.5, "kl": 3.0, "objective": 2.2},
    "reference": {"objective": -3.25},
    "values": {"A1:": 1.75, "D4:": -0.5},
    "runs": [{"share": 0.9, "seconds": 9.6}, {"share": 0.96, "seconds": 12.2}],
}
ROW = "| `TextGridWorld-v0` | 2 | 12 | -3.250 | 2.200 | 2.500, 3.00 | 2 | 24,576 | 0.930 (0.900 to 0.960) | 10 to 12 |"


def test_a_toy_is_measured_exactly_and_the_others_are_left_alone(tmp_path: Path) -> None:
    out, page = tmp_path / "known_optimum.json", tmp_path / "page.md"
    out.write_text(json.dumps({"TextGridWorld-v0": FOUND}))
    page.write_text("<!-- benchmarks: start --><!-- benchmarks: end -->")
    main(toys=("TextCount-v0",), seeds=2, episodes=512, out=out, page=page)
    results = json.loads(out.read_text())
    assert results["TextGridWorld-v0"] == FOUND
    found = results["TextCount-v0"]
    assert [run["seed"] for run in found["runs"]] == [0, 1]
    best, start = found["optimum"]["objective"], found["reference"]["objective"]
    for run in found["runs"]:
        assert run["objective"] == pytest.approx(run["score"] - 0.1 * run["kl"])
        assert run["share"] == pytest.approx((run["objective"] - start) / (best - start))
        assert run["kl"] > 0
    assert found["runs"][0]["share"] != found["runs"][1]["share"]
    assert len(found["values"]) == 30
    assert sum(found["values"].values()) / 30 == pytest.approx(best)
    assert found["states"] == 30 * (1 + 8 + 64)
    assert page.read_text().splitlines()[4:6] == table(results).splitlines()[2:]
    assert pictures(FOUND) in page.read_text()


def test_table_and_pictures() -> None:
    assert table({"TextGridWorld-v0": FOUND}).splitlines()[2:] == [ROW]
    lines = pictures(FOUND).splitlines()
    assert lines[1].split() == "the grid V, β 0, 6 moves left V, β 0.1".split()
    assert lines[3].split() == ["1", ".", ".", ".", ".", "+5", "1", "2", "2", "3", "4", "+5", "1", "1.75", ".", ".", ".", "+5"]
    assert lines[6].split()[-6:] == ["4", ".", ".", "#", "-0.5", "-2"]
