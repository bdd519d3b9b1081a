"""PPO in TextSentiment-v0 with the defaults of `textenv train`, several seeds: the results table of the README.

Run: python benchmarks/text_sentiment.py [--seeds 5]
"""

import json
import os
import platform
import statistics
import tempfile
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # before torch: idle threads sleep

import torch
import tyro

from textenv.reports.run import versions
from textenv.training import TrainConfig, train

RESULTS = Path(__file__).parent / "results"
SHOWN = ("score", "judge", "kl_k1", "kl_exact", "distinct2", "perplexity")


def device_name() -> str:
    """Name what the numbers were measured on."""
    if torch.cuda.is_available():
        return torch.cuda.get_device_name()
    return f"{platform.machine()} CPU, {torch.get_num_threads()} threads"


def cell(values: list[float]) -> str:
    """Mean and spread over the seeds."""
    digits = 1 if values[0] > 10 else 3
    spread = f" ({min(values):.{digits}f} to {max(values):.{digits}f})" if max(values) - min(values) > 1e-9 else ""
    return f"{statistics.mean(values):.{digits}f}{spread}"


def main(seeds: int = 5, out: Path = RESULTS / "text_sentiment.json") -> None:
    """Train `seeds` times and write the summaries and the table."""
    summaries: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        for seed in range(seeds):
            summaries.append(train(TrainConfig(env="TextSentiment-v0", seed=seed, out=Path(folder) / str(seed))))
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps({"device": device_name(), "versions": versions(), "runs": summaries}, indent=2) + "\n")
    print("| policy | " + " | ".join(SHOWN) + " |")
    print("|---" * (len(SHOWN) + 1) + "|")
    for policy in summaries[0]["table"]:
        rows = [summary["table"][policy] for summary in summaries]
        cells = [cell([row[key] for row in rows]) if key in rows[0] and rows[0][key] == rows[0][key] else "" for key in SHOWN]
        print(f"| {policy} | " + " | ".join(cells) + " |")
    seconds = [summary["train_seconds"] for summary in summaries]
    print(f"\n{summaries[0]['episodes']} episodes, {cell(seconds)} s of training; {device_name()}.")


if __name__ == "__main__":
    tyro.cli(main)
