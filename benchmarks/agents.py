"""Agents beside each other in TextSentiment-v0, with little to learn from: the table and the picture of docs/agents.md.

Run: python -m benchmarks.agents [--seeds 3]

All of it takes about a quarter of an hour on one quiet core.
"""

import json
import math
import os
import tempfile
from pathlib import Path
from typing import Any, Final

os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # before torch: idle threads sleep

import numpy as np
import tyro
from rich.console import Console

from benchmarks.harness import ROOT, machine, write_between_markers
from textenv.agents import agent_class
from textenv.training import TrainConfig, train

RESULTS: Final = ROOT / "benchmarks" / "results" / "agents.json"
PAGE: Final = ROOT / "docs" / "agents.md"
EPISODES: Final = 2048
SETTINGS: Final[dict[str, dict[str, Any]]] = {
    "reinforce": {"episodes_per_update": 64},
    "actor_critic": {"episodes_per_update": 64},
    "ppo": {"episodes_per_update": 128, "minibatch_size": 32},
    "rloo": {"episodes_per_update": 64},
    "grpo": {"episodes_per_update": 128, "minibatch_size": 32},
}
SHOWN: Final = {"score": 3, "judge": 3, "kl_exact": 2, "distinct2": 3}


def measure(agent: str, seeds: int, episodes: int, env: str = "TextSentiment-v0") -> dict[str, Any]:
    """Train once a seed, and keep what was measured before and after."""
    options = SETTINGS[agent]
    runs: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        for seed in range(seeds):
            algorithm = agent_class(agent).Config(**options)
            config = TrainConfig(env=env, agent=agent, algorithm=algorithm, episodes=episodes, seed=seed, out=Path(folder) / str(seed))
            summary = train(config, results=Console(quiet=True))
            table = {name: {key: value for key, value in row.items() if math.isfinite(value)} for name, row in summary["table"].items()}
            runs.append({"seed": seed, "seconds": summary["train_seconds"], "table": table})
    return {**machine(), "options": options, "kl_coef": algorithm.kl_coef, "episodes": episodes, "runs": runs}


def mean_and_range(values: list[float], digits: int) -> str:
    """Mean over the seeds, and the lowest and the highest.

    >>> mean_and_range([0.5, 0.7, 0.9], 2)
    '0.70 (0.50 to 0.90)'
    """
    return f"{np.mean(values):.{digits}f} ({min(values):.{digits}f} to {max(values):.{digits}f})"


def table(results: dict[str, Any]) -> str:
    """One row an agent, after those of the policy before training and of the best of 16 of its samples."""
    some = next(iter(results.values()))
    lines = ["| agent | score | judge | KL, exact | distinct-2 | seconds of training |", "|---|---|---|---|---|---|"]
    rows = [(name, name, some["runs"]) for name in ("before", "best of 16")] + [
        (name, "after", found["runs"]) for name, found in results.items()
    ]
    for name, when, runs in rows:
        cells = [
            mean_and_range([run["table"][when][key] for run in runs if key in run["table"][when]], digits) for key, digits in SHOWN.items()
        ]
        seconds = mean_and_range([run["seconds"] for run in runs], 0) if when == "after" else ""
        lines.append(f"| {' | '.join([name, *cells, seconds])} |")
    return "\n".join(lines)


def draw(results: dict[str, Any], path: Path) -> None:
    """Draw score against KL: a point a run, and the best of 16 and the re-weighted base that need no training."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4.5), layout="constrained")
    axes = figure.add_subplot()
    for marker, (name, found) in zip("osD^v", results.items(), strict=False):
        points = [run["table"]["after"] for run in found["runs"]]
        axes.scatter([point["kl_exact"] for point in points], [point["score"] for point in points], marker=marker, label=name)
    base = [run["table"] for found in results.values() for run in found["runs"]]
    for marker, name in (("*", "before"), ("P", "best of 16")):
        axes.scatter(
            [float(np.mean([row[name]["kl_exact"] for row in base]))],
            [float(np.mean([row[name]["score"] for row in base]))],
            marker=marker,
            s=90,
            color="black" if name == "before" else "grey",
            label=name,
        )
    axes.set(xlabel="exact KL to the reference, nats a sequence", ylabel="score: P(positive)", title="TextSentiment-v0")
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(path, format="svg", metadata={"Date": None})


def main(
    agents: tuple[str, ...] = tuple(SETTINGS), seeds: int = 3, episodes: int = EPISODES, out: Path = RESULTS, page: Path = PAGE
) -> None:
    """Measure these agents, keep the results of the others, and write table and picture."""
    results = json.loads(out.read_text()) if out.is_file() else {}
    for agent in agents:
        results[agent] = measure(agent, seeds, episodes)
        results = {name: results[name] for name in SETTINGS if name in results}
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(json.dumps(results, indent=1, allow_nan=False) + "\n")
    write_between_markers(page, table(results))
    draw(results, page.with_name("agents.svg"))


if __name__ == "__main__":
    tyro.cli(main)
