"""How fast and how large textenv is against its peers, every row a ratio measured in one run; see docs/benchmarks.md.

Run: python -m benchmarks.speed [--only ROW ...] [--rounds 5]; exits with 1 when a target is missed.
"""

import dataclasses
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # before torch: idle threads sleep
os.environ.setdefault("HF_HUB_OFFLINE", "1")

import tyro
from transformers.utils import logging

from benchmarks.harness import ROOT, Row, conclude, markdown, write_between_markers, write_json
from benchmarks.rows import decode, iterations, learner, stepping
from benchmarks.rows.plan import FULL, REDUCED, Plan

ROWS: Final[dict[str, Callable[[Plan], list[Row]]]] = {
    "ppo-fp32": iterations.ppo_fp32,
    "ppo-bf16": iterations.ppo_bf16,
    "groups": iterations.groups,
    "update-fp32": learner.update_fp32,
    "update-bf16": learner.update_bf16,
    "wide-vocabulary": learner.wide_vocabulary,
    "collect": decode.equal_lengths,
    "collect-bf16": decode.equal_lengths_bf16,
    "gpt2-small": decode.gpt2_small,
    "unequal-lengths": decode.unequal_lengths,
    "token-loop": decode.token_loop,
    "environment": stepping.environment,
    "reward": stepping.reward,
    "start-up": stepping.start_up,
}


def main(
    only: tuple[str, ...] = (),
    rounds: int = 5,
    reduced: bool = False,
    out: Path = ROOT / "benchmarks" / "results" / "speed.json",
    docs: Path = ROOT / "docs" / "benchmarks.md",
) -> None:
    """Measure, print, write.

    Args:
        only: names of rows, by default all.
        rounds: a side, after one warm-up.
        reduced: toy sizes and one round, to see that every line runs.
        out: JSON file; rows of the same machine and versions that are not measured now stay in it.
        docs: Markdown file whose table is replaced.
    """
    unknown = set(only) - set(ROWS)
    if unknown:
        sys.exit(f"There is no row {', '.join(sorted(unknown))}; there are {', '.join(ROWS)}.")
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    plan = REDUCED if reduced else dataclasses.replace(FULL, rounds=rounds)
    measured: list[Row] = []
    for name in only or ROWS:
        begun = time.perf_counter()
        rows = ROWS[name](plan)
        records = write_json(out, rows)
        measured += rows
        print(f"{name}: {time.perf_counter() - begun:.0f} s\n{markdown([row.record() for row in rows])}\n", flush=True)
    write_between_markers(docs, markdown(records))
    if not reduced:
        conclude(measured)


if __name__ == "__main__":
    tyro.cli(main)
