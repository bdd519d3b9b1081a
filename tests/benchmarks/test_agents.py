"""What is measured of an agent, and the table and picture that are made of it."""

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks import agents
from benchmarks.agents import main, table

ROW = {"score": 0.5, "judge": 0.4, "kl_exact": 0.0, "distinct2": 0.8}


def run(score: float, seconds: float) -> dict[str, Any]:
    return {"seed": 0, "seconds": seconds, "table": {"before": ROW, "after": {**ROW, "score": score}, "best of 16": {**ROW, "score": 0.9}}}


def test_table() -> None:
    lines = table({"ppo": {"runs": [run(0.7, 10.4), run(0.8, 20.6)]}}).splitlines()
    assert lines[3].startswith("| best of 16 | 0.900 (0.900 to 0.900) | 0.400 (0.400 to 0.400) | 0.00 (0.00 to 0.00) |")
    assert (
        lines[4]
        == "| ppo | 0.750 (0.700 to 0.800) | 0.400 (0.400 to 0.400) | 0.00 (0.00 to 0.00) | 0.800 (0.800 to 0.800) | 16 (10 to 21) |"
    )


@pytest.mark.slow
def test_an_agent_is_measured_and_the_others_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(agents.SETTINGS, "rloo", {"episodes_per_update": 16})
    out, page = tmp_path / "agents.json", tmp_path / "agents.md"
    out.write_text(json.dumps({"ppo": {"runs": [run(0.7, 10)]}}))
    page.write_text("<!-- benchmarks: start --><!-- benchmarks: end -->")
    main(agents=("rloo",), seeds=1, episodes=16, out=out, page=page)
    results = json.loads(out.read_text())
    assert list(results) == ["ppo", "rloo"]
    found = results["rloo"]["runs"][0]["table"]
    assert 0 < found["after"]["score"] < 1
    assert found["after"]["kl_exact"] > 0 == found["before"]["kl_exact"]
    assert table(results) in page.read_text()
    assert (tmp_path / "agents.svg").is_file()
