"""Where the time of one PPO iteration goes.

Run: python -m benchmarks.breakdown [--precision bf16]

Stopwatches around the functions that do the parts, the real ones, called by the real agent; a part that calls another is
charged without it, and `rest` is what no stopwatch saw. The shares are of the wall clock of `collect` and `update`.
"""

import functools
import json
import os
import statistics
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final
from unittest.mock import patch

os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # before torch: idle threads sleep

import torch
import tyro

from benchmarks.harness import ROOT, machine
from benchmarks.workloads import TINY, Advantage, Precision, Workload, ppo
from textenv.agents import PPO
from textenv.envs.vector import text_envs

PARTS: Final = ("decode trunk", "head and sampling", "environment", "reward", "reference", "forward", "backward", "optimiser", "rest")


class Stopwatch:
    """Seconds by part, of which each second is charged to the innermost part that runs."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self.running: list[str] = []
        self.since = 0.0

    def _charge(self) -> None:
        now = time.perf_counter()
        if self.running:
            self.seconds[self.running[-1]] += now - self.since
        self.since = now

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Charge what runs inside to a part."""
        self._charge()
        self.running.append(name)
        try:
            yield
        finally:
            self._charge()
            self.running.pop()

    def around(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function, charged to a part."""

        @functools.wraps(function)
        def watched(*arguments: Any, **options: Any) -> Any:
            with self.part(name):
                return function(*arguments, **options)

        return watched


def watched_iteration(agent: PPO) -> dict[str, float]:
    """Play one iteration under stopwatches; returns seconds by part."""
    watch, envs = Stopwatch(), text_envs(agent.envs)
    parts: list[tuple[Any, str, str]] = [
        (agent.policy, "act", "head and sampling"),
        (agent.policy.cache, "last_hidden", "decode trunk"),
        (envs, "step", "environment"),
        (envs.rules, "reward", "reward"),
        (agent, "refer", "reference"),
        (agent.policy, "response_log_probs", "forward"),
        (torch.Tensor, "backward", "backward"),
        (torch.nn.utils, "clip_grad_norm_", "optimiser"),
        (agent.optimiser, "step", "optimiser"),
    ]
    with ExitStack() as stack:
        for owner, name, part in parts:
            stack.enter_context(patch.object(owner, name, watch.around(part, getattr(owner, name))))
        with watch.part("rest"):
            agent.update(agent.collect())
    return {part: watch.seconds[part] for part in PARTS}


def main(
    precision: Precision = "fp32",
    advantage: Advantage = "critic",
    rounds: int = 5,
    work: tyro.conf.Suppress[Workload] = TINY,
    out: Path = ROOT / "benchmarks" / "results" / "breakdown.json",
) -> None:
    """Play, print the medians of the parts, and write them.

    Args:
        precision: fp32 or bf16.
        advantage: of `PPOConfig`.
        rounds: iterations, after one warm-up.
        work: shape of the model and of the episodes.
        out: JSON file.
    """
    agent = ppo(work, advantage, precision, reward="tiny-sentiment")
    watched_iteration(agent)
    played = [watched_iteration(agent) for _ in range(rounds)]
    median = {part: statistics.median(seconds[part] for seconds in played) for part in PARTS}
    total = sum(median.values())
    print(f"| part of one iteration, {advantage.replace('_', '-')}, {precision} | s | share |\n|---|---|---|")
    for part, seconds in median.items():
        print(f"| {part} | {seconds:.4f} | {seconds / total:.1%} |")
    result = {"precision": precision, "advantage": advantage, "seconds": median, "samples": played, "machine": machine()}
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    tyro.cli(main)
