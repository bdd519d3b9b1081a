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
from benchmarks.score_run import SETTINGS, TARGET

LEVEL: Final = 4.0
"""Nats at which scores are compared."""
SIDES: Final = {"ours": "textenv", "ppo": "TRL PPO", "rloo": "TRL RLOO", "grpo": "TRL GRPO"}


def value_at(points: list[dict[str, float]], name: str, measure: str, level: float) -> float | None:
    """Value of `name` where the line through the evaluations first has `measure` at a level, None if it never does.

    >>> value_at([{"kl_exact": 0, "score": 0.5}, {"kl_exact": 3, "score": 0.7}, {"kl_exact": 5, "score": 0.9}], "score", "kl_exact", 4)
    0.8
    """
    for before, after in itertools.pairwise(points):
        if after[measure] >= level:
            share = (level - before[measure]) / (after[measure] - before[measure])
            return before[name] + share * (after[name] - before[name])
    return None


def report(runs: list[dict[str, Any]], target: float) -> str:
    """A row a side and setting, its seeds beside each other, as docs/benchmarks.md shows it."""
    lines = ["| side | setting | seconds to .80, by seed | KL there, nats a sequence | score at 4 nats |", "|---|---|---|---|---|"]
    for side, setting in sorted({(run["peer"], run["setting"]) for run in runs}, key=lambda key: (list(SIDES).index(key[0]), key[1])):
        group = sorted((run for run in runs if (run["peer"], run["setting"]) == (side, setting)), key=lambda run: int(run["seed"]))
        times = [f"{run['seconds_to_target']:.0f}" if run["seconds_to_target"] else f"> {run['cap_seconds']:g}" for run in group]
        kls = [value_at(run["points"], "kl_exact", "score", target) for run in group]
        scores = [value_at(run["points"], "score", "kl_exact", LEVEL) for run in group]
        shown = (", ".join(f"{value:.{digits}f}" for value in row if value is not None) for row, digits in ((kls, 1), (scores, 3)))
        chosen = SETTINGS[setting]
        epochs = f"{chosen['epochs']} epoch{'s' if chosen['epochs'] > 1 else ''}"
        beta = f"{chosen['kl_coef']:g}".removeprefix("0")
        rate = f"{chosen['learning_rate']:.0e}".replace("e-0", "e-")
        what = f"{chosen['episodes']} episodes, {epochs}, {rate}, β {beta}"
        lines.append(f"| {SIDES[side]} | {what} | {', '.join(times)} | {' | '.join(shown)} |")
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
                print(report(json.loads(out.read_text())["runs"], TARGET), end="\n\n", flush=True)


if __name__ == "__main__":
    tyro.cli(main)
