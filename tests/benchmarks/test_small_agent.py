"""The table of small agents: its numbers, and that the page shows those of the results."""

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks import small_agent
from benchmarks.harness import END, START
from benchmarks.small_agent import STEPS, main, spread, table

ROOT = Path(__file__).parents[2]
RUNS = {
    "ppo": [
        {"steps": 2048, "seconds": 10.0, "reference": 0.5, "before": 0.50, "after": 0.75},
        {"steps": 2048, "seconds": 14.0, "reference": 0.7, "before": 0.60, "after": 0.65},
    ],
    "dqn": [{"steps": 64, "seconds": 1.4, "reference": 0.6, "before": 0.5, "after": 0.4}],
}
TABLE = """
| agent | seeds | steps | seconds | score before | score after | gain |
|---|---|---|---|---|---|---|
| PPO | 2 | 2,048 | 12 (10 to 14) | 0.550 (0.500 to 0.600) | 0.700 (0.650 to 0.750) | 0.150 (0.050 to 0.250) |
| DQN | 1 | 64 | 1 | 0.500 | 0.400 | -0.100 |
| the reference among its 16 candidates | | | | 0.600 (0.500 to 0.700) | | |
"""


def test_means_and_spreads() -> None:
    assert table(RUNS) == TABLE.strip()
    assert spread([2.0], 1) == "2.0"


def test_every_agent_is_trained_with_every_seed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def train(name: str, steps: int, seed: int) -> dict[str, float]:
        assert steps == STEPS[name]
        return {"seconds": 1.0, "reference": 0.5, "before": 0.5, "after": 0.5 + 0.1 * seed}

    monkeypatch.setattr(small_agent, "train", train)
    page = tmp_path / "page.md"
    page.write_text(f"before\n{START}\n{END}\nafter\n")
    main(seeds=2, out=tmp_path / "found.json", page=page)
    agents: dict[str, list[dict[str, Any]]] = json.loads((tmp_path / "found.json").read_text())["agents"]
    assert list(agents) == ["ppo", "a2c", "dqn"]
    assert all([(run["seed"], run["after"]) for run in runs] == [(0, 0.5), (1, 0.6)] for runs in agents.values())
    assert page.read_text() == f"before\n{START}\n\n{table(agents)}\n\n{END}\nafter\n"


def test_the_page_shows_the_results() -> None:
    results = json.loads((ROOT / "benchmarks" / "results" / "small_agent.json").read_text())
    between = (ROOT / "docs" / "small_agents.md").read_text().partition(START)[2].partition(END)[0]
    assert between.strip() == table(results["agents"])
