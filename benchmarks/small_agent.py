"""What agents without a language model of their own learn on TextSentiment-v0: Stable-Baselines3's PPO, A2C and DQN.

The recipe is `examples/small_agent.py`: an embedding of the text, 16 candidates of the reference, the KL shaping.

Run: python -m benchmarks.small_agent
"""

import json
import os
import statistics
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # before torch: idle threads sleep

import numpy as np
import tyro
from stable_baselines3 import DQN

from benchmarks.harness import ROOT, machine, write_between_markers
from examples.small_agent import AGENTS, K, make_envs, score

RESULTS: Final = ROOT / "benchmarks" / "results"
STEPS: Final = {"ppo": 60_000, "a2c": 40_000, "dqn": 40_000}


def train(name: str, steps: int, seed: int) -> dict[str, float]:
    """Train one agent.

    Returns:
        The seconds of training and three mean scores of 256 texts: of the reference, drawing from its 16 candidates, and of the
        agent before and after. A DQN takes its best slot, the others draw.
    """
    kind, potential, settings = AGENTS[name]
    envs, generator = make_envs(potential), np.random.default_rng(seed)
    agent = kind("MultiInputPolicy", envs, seed=seed, **settings)

    def by_reference(seen: Any) -> Any:
        return np.array([generator.choice(K, p=probs) for probs in np.exp(seen["candidate_logprobs"])])

    def by_agent(seen: Any) -> Any:
        return agent.predict(seen, deterministic=kind is DQN)[0]

    reference, before = score(envs, by_reference), score(envs, by_agent)
    begun = time.perf_counter()
    agent.learn(steps)
    seconds = time.perf_counter() - begun
    return {"seconds": seconds, "reference": reference, "before": before, "after": score(envs, by_agent)}


def spread(values: Sequence[float], digits: int) -> str:
    """Write the mean, and of several values the lowest and the highest.

    >>> spread([0.5, 0.75, 0.25], 2)
    '0.50 (0.25 to 0.75)'
    """
    mean = f"{statistics.mean(values):.{digits}f}"
    return mean if len(values) == 1 else f"{mean} ({min(values):.{digits}f} to {max(values):.{digits}f})"


def table(agents: Mapping[str, Sequence[Mapping[str, float]]]) -> str:
    """Lay the runs out as a table, a row an agent."""
    lines = ["| agent | seeds | steps | seconds | score before | score after | gain |", "|---|---|---|---|---|---|---|"]
    for name, runs in agents.items():
        gains = [run["after"] - run["before"] for run in runs]
        cells = [str(len(runs)), f"{runs[0]['steps']:,}", spread([run["seconds"] for run in runs], 0)]
        cells += [spread([run[which] for run in runs], 3) for which in ("before", "after")]
        lines.append(f"| {name.upper()} | {' | '.join([*cells, spread(gains, 3)])} |")
    reference = spread([run["reference"] for runs in agents.values() for run in runs], 3)
    return "\n".join([*lines, f"| the reference among its 16 candidates | | | | {reference} | | |"])


def main(
    names: tuple[str, ...] = tuple(STEPS),
    seeds: int = 3,
    out: Path = RESULTS / "small_agent.json",
    page: Path = ROOT / "docs" / "small_agents.md",
) -> None:
    """Train agents with every seed, keep what is known of the others, and print the table and put it into the page."""
    for name in names:
        runs = [{"seed": seed, "steps": STEPS[name], **train(name, STEPS[name], seed)} for seed in range(seeds)]
        # Read late, for another process may have written of another agent.
        known: dict[str, Any] = json.loads(out.read_text())["agents"] if out.exists() else {}
        agents = {each: runs if each == name else known[each] for each in STEPS if each == name or each in known}
        out.write_text(json.dumps({"machine": machine(), "agents": agents}, indent=2) + "\n")
        write_between_markers(page, table(agents))
        print(table(agents), flush=True)


if __name__ == "__main__":
    tyro.cli(main)
