"""What is measured in a toy, what is asked of it, and the page that is made of it."""

import json
from pathlib import Path
from typing import Any

import gymnasium
import pytest
import torch

from benchmarks import regret
from benchmarks.regret import Row, compare_values, main, missing, most_probable
from benchmarks.regret_page import agents_table, text_panels, toys_table, value_panels, write_page
from textenv import LanguagePolicy
from textenv.agents.actor_critic import ActorCritic, ActorCriticConfig
from textenv.envs.exact import ExactMDP

TOY = {
    "states": 12,
    "optimum": {"0.1": {"score": 2.5, "kl": 3.0, "objective": 2.2}, "0.0": {"score": 2.75, "kl": 4.0, "objective": 2.75}},
    "reference": {"0.1": {"objective": -3.25}, "0.0": {"objective": -3.25}},
    "values": {"A1:": 1.75, "D4:": -0.5},
}
RUNS = [
    {"share": 0.9, "seconds": 9.6, "value_error": 0.25, "values": [1.5, -0.25]},
    {"share": 0.98, "seconds": 12.2, "value_error": 0.5, "values": [1, 1]},
]
FOUND: dict[str, Any] = {
    "toys": {"TextGridWorld-v0": TOY},
    "rows": {
        "ppo, clip": {"TextGridWorld-v0": {"kl_coef": 0.1, "episodes": 24576, "runs": RUNS}},
        "scst": {"TextGridWorld-v0": {"kl_coef": 0.1, "episodes": 24576, "runs": RUNS}},
    },
}


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two rows that learn from little."""
    rows = {
        "ppo, clip": Row("ppo", 512, {"episodes_per_update": 256, "minibatch_size": 64, "advantage": "critic"}),
        "dqn": Row("dqn", 256, {"softness": 0.03}, kl_coef=0.0, greedy=True),
    }
    monkeypatch.setattr(regret, "SETTINGS", rows)


@pytest.mark.usefixtures("small")
def test_a_toy_is_measured_exactly_and_the_rest_is_left_alone(tmp_path: Path) -> None:
    out, page = tmp_path / "regret.json", tmp_path / "page.md"
    old = {"toys": {"TextGridWorld-v0": TOY}, "rows": {"ppo, clip": FOUND["rows"]["ppo, clip"]}}
    out.write_text(json.dumps(old))
    page.write_text("<!-- benchmarks: start --><!-- benchmarks: end -->")
    with pytest.raises(SystemExit, match=r"Below 0\.95: ppo, clip in TextGridWorld-v0; ppo, clip in TextCount-v0; dqn in TextCount-v0\."):
        main(toys=("TextCount-v0",), rows=("ppo, clip", "dqn"), seeds=2, out=out, page=page)
    results = json.loads(out.read_text())
    assert results["rows"]["ppo, clip"]["TextGridWorld-v0"] == FOUND["rows"]["ppo, clip"]["TextGridWorld-v0"]
    toy = results["toys"]["TextCount-v0"]
    for row, beta in (("ppo, clip", 0.1), ("dqn", 0.0)):
        runs = results["rows"][row]["TextCount-v0"]["runs"]
        best, start = toy["optimum"][str(beta)]["objective"], toy["reference"][str(beta)]["objective"]
        assert [run["seed"] for run in runs] == [0, 1]
        assert runs[0]["share"] != runs[1]["share"]
        for run in runs:
            assert run["objective"] == pytest.approx(run["score"] - beta * run["kl"])
            assert run["share"] == pytest.approx((run["objective"] - start) / (best - start))
            assert len(run["values"]) == 30
    assert sum(toy["values"].values()) / 30 == pytest.approx(toy["optimum"]["0.1"]["objective"])
    assert toy["states"] == 30 * (1 + 8 + 64)
    assert page.read_text().splitlines()[2:] == [*toys_table(results["toys"]).splitlines(), "", *page.read_text().splitlines()[7:]]
    assert agents_table(results) in page.read_text()
    assert (tmp_path / "grid_values.svg").is_file()


def test_what_is_asked() -> None:
    assert missing(FOUND) == ["ppo, clip in TextGridWorld-v0"]  # a mean of .94; nothing is asked of SCST


def test_tables_and_pictures(tmp_path: Path) -> None:
    assert toys_table(FOUND["toys"]).splitlines()[2] == "| `TextGridWorld-v0` | 2 | 12 | -3.250 | 2.200 | 2.500, 3.00 | 2.750 |"
    row = "| ppo, clip | 0.1 | 24,576 | 0.940 (0.900 to 0.980) | 10 to 12 | 0.25 to 0.50 |"
    assert agents_table(FOUND).splitlines()[2] == row
    panels = value_panels(FOUND)
    assert list(panels) == ["V*, β 0, 6 moves left", "V*, β 0.1", "learnt, ppo, clip", "learnt, scst"]
    assert panels["learnt, scst"] == {"A1": 1.5, "D4": -0.25}
    lines = text_panels(panels)
    assert lines[0].split() == "the grid V*, β 0, 6 moves left V*, β 0.1 learnt, ppo, clip".split()
    drawn = "1 . . . . +5  1 2 2 3 4 +5  1 1.75 . . . +5  1 1.5 . . . +5"
    assert lines[2].split() == drawn.split()
    page = tmp_path / "page.md"
    page.write_text("<!-- benchmarks: start --><!-- benchmarks: end -->")
    write_page(FOUND, page)
    assert "1.75" in (tmp_path / "grid_values.svg").read_text() or (tmp_path / "grid_values.svg").stat().st_size > 10_000


def test_learnt_values_are_held_against_the_exact_ones() -> None:
    """A critic that takes every state for 0 is wrong by the root mean square of the values, weighted by how often they are passed."""
    envs: Any = gymnasium.make_vec("TextGridWorld-v0", num_envs=4, max_new_tokens=4)
    rules = envs.unwrapped.rules
    policy = LanguagePolicy.for_rules(rules)
    mdp = ExactMDP(rules, policy)
    log_probs = mdp.log_probs(policy)
    for critic in ("advantage", "q"):
        agent = ActorCritic(policy, envs, ActorCriticConfig(critic=critic))
        found = compare_values(agent, mdp, [level.detach() for level in log_probs], 0.1)
        truth = torch.cat([values - level.paid for values, level in zip(mdp.values(policy, 0.1), mdp.levels, strict=True)])
        reach = torch.cat(mdp.reach(policy))
        assert found["value_error"] == pytest.approx(float(((reach * truth.square()).sum() / reach.sum()).sqrt()))
        assert found["values"] == [0.0] * 13


def test_most_probable() -> None:
    level = torch.log_softmax(torch.tensor([[0.0, 2.0, 1.0], [3.0, 0.0, 0.0]]), -1)
    assert most_probable([level])[0].exp().tolist() == [[0, 1, 0], [1, 0, 0]]
