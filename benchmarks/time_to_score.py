"""Seconds of training until TextSentiment-v0 pays .80: textenv and TRL's trainers, each at its best of three settings.

Run: python -m benchmarks.time_to_score [--peers ppo rloo grpo] [--settings 0 1 2] [--seeds 0] [--cap-seconds 900]

All sides train `tiny-en` on the prompts of TextSentiment-v0 for `tiny-sentiment`, which each calls as a function of texts. The
policy is evaluated every 512 episodes by textenv's `measure` on 64 held prompts, the same draws for all, with the clock stopped;
the time to the score is read off the line between the two evaluations around it. Score and KL (exact, nats a sequence) along the
way are kept, so that scores can be compared at equal KL. Every run is a process of its own and is written when it ends.
"""

import itertools
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # before torch: idle threads sleep
os.environ.setdefault("HF_HUB_OFFLINE", "1")

import tyro

from benchmarks.harness import ROOT
from benchmarks.peers.trl_trainers import environment

LEVEL: Final = 4.0
"""Nats at which scores are compared."""


def score_at(points: list[dict[str, float]], kl: float) -> float | None:
    """Score at which the line through the evaluations first has so much KL, None if it never does.

    >>> score_at([{"kl_exact": 0, "score": 0.5}, {"kl_exact": 3, "score": 0.7}, {"kl_exact": 5, "score": 0.9}], 4)
    0.8
    """
    for before, after in itertools.pairwise(points):
        if after["kl_exact"] >= kl:
            share = (kl - before["kl_exact"]) / (after["kl_exact"] - before["kl_exact"])
            return before["score"] + share * (after["score"] - before["score"])
    return None


def report(runs: list[dict[str, Any]]) -> str:
    """A row a peer: its best setting by the mean time, a run that never reached the target counting as its cap."""
    lines = ["| side | setting | seconds to .80, by seed | KL there, nats a sequence | score at 4 nats |", "|---|---|---|---|---|"]
    for peer in dict.fromkeys(run["peer"] for run in runs):
        by_setting: dict[int, list[dict[str, Any]]] = {}
        for run in runs:
            if run["peer"] == peer:
                by_setting.setdefault(run["setting"], []).append(run)
        best = min(by_setting.values(), key=lambda group: sum(run["seconds_to_target"] or run["cap_seconds"] for run in group) / len(group))
        times = [f"{run['seconds_to_target']:.0f}" if run["seconds_to_target"] else f"> {run['cap_seconds']:g}" for run in best]
        kls = [f"{run['points'][-1]['kl_exact']:.1f}" for run in best]
        level = [f"{score:.3f}" if (score := score_at(run["points"], LEVEL)) else "" for run in best]
        lines.append(f"| {peer} | {best[0]['setting']} of {len(by_setting)} | {', '.join(times)} | {', '.join(kls)} | {', '.join(level)} |")
    return "\n".join(lines)


def main(
    peers: tuple[str, ...] = ("ours", "ppo", "rloo", "grpo"),
    settings: tuple[int, ...] = (0, 1, 2),
    seeds: tuple[int, ...] = (0,),
    cap_seconds: float = 900.0,
    out: Path = ROOT / "benchmarks" / "results" / "time_to_score.json",
) -> None:
    """Run what is asked for, merge it into the results, print the table.

    Args:
        peers: "ours", "ppo", "rloo", "grpo".
        settings: of `score_run.SETTINGS`.
        seeds: of the draws.
        cap_seconds: of training, a run; set it to a few times ours.
        out: JSON file; a run that is in it already is replaced.
    """
    variables = {**os.environ, "PYTHONPATH": str(ROOT), **environment("fp32")}
    for seed in seeds:
        for peer in peers:
            for setting in settings:
                chosen = {"peer": peer, "setting": setting, "seed": seed, "cap_seconds": cap_seconds, "out": str(out.absolute())}
                subprocess.run([sys.executable, "-m", "benchmarks.score_run", json.dumps(chosen)], cwd=ROOT, env=variables, check=True)
                print(report(json.loads(out.read_text())["runs"]), end="\n\n", flush=True)


if __name__ == "__main__":
    tyro.cli(main)
