"""Stable-Baselines3's rollouts and learning with a language model, at toy size."""

import json
from pathlib import Path

import pytest
import torch

from benchmarks.harness import END, START
from benchmarks.sb3 import Plain, Rollouts, main
from textenv.agents.sb3 import LanguageModelPolicy


def test_rows_are_measured_written_and_documented(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"before\n{START}\n{END}\nafter\n")
    main(reduced=True, out=tmp_path / "sb3.json", page=page)
    rows = json.loads((tmp_path / "sb3.json").read_text())["rows"]
    assert [(row["unit"], row["target"], len(row["ours"])) for row in rows] == [("s", 6, 1), ("s", None, 1), *[("ms/token", None, 1)] * 3]
    assert all(row["figure"] > 0 for row in rows)
    assert page.read_text().count("\n| ") == 1 + len(rows)


def test_the_sides_differ_in_speed_alone() -> None:
    cached, plain = (Rollouts(policy, rows=4, new=6, minibatches=2) for policy in (LanguageModelPolicy, Plain))
    cached.collect()
    plain.collect()
    states = torch.from_numpy(cached.agent.rollout_buffer.observations).flatten(0, 1)
    actions = torch.from_numpy(cached.agent.rollout_buffer.actions).flatten()
    drawn = torch.from_numpy(cached.agent.rollout_buffer.log_probs).flatten()
    for side in (cached, plain):
        torch.testing.assert_close(side.agent.policy.evaluate_actions(states, actions)[1].detach(), drawn, rtol=0, atol=1e-4)
    assert cached.agent.policy.language.cache._slots is not None  # type: ignore[union-attr]
    assert plain.agent.policy.language.cache._slots is None  # type: ignore[union-attr]


@pytest.mark.parametrize("policy", [LanguageModelPolicy, Plain])
def test_every_rollout_begins_without_a_cache(policy: type[LanguageModelPolicy]) -> None:
    side = Rollouts(policy, rows=2, new=3, minibatches=1)
    side.collect()
    first = side.agent.rollout_buffer.log_probs.copy()
    for weights in side.agent.policy.parameters():
        weights.data.mul_(0)
    side.collect()
    assert (first != side.agent.rollout_buffer.log_probs).all()
    assert side.agent.rollout_buffer.log_probs == pytest.approx(-torch.tensor(4096.0).log().item(), abs=0.01)
