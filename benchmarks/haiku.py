"""How soon PPO writes strict haiku: the table of docs/haiku.md.

Run: python -m benchmarks.haiku [--episodes 16384 24576] [--seeds 1]

The settings of `SETTINGS` and not the defaults: small batches with few episodes each, because counting takes many small steps, and
a low β, because strict haiku are far from what the model has read.
"""

import json
import os
import statistics
import tempfile
from pathlib import Path
from typing import Any, Final

os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # before torch: idle threads sleep

import pandas as pd
import tyro
from rich.console import Console

from benchmarks.harness import ROOT, machine, write_between_markers
from textenv.agents.ppo import PPOConfig
from textenv.envs.haiku import is_strict
from textenv.training import TrainConfig, train

RESULTS: Final = ROOT / "benchmarks" / "results" / "haiku.json"
PAGE: Final = ROOT / "docs" / "haiku.md"
SETTINGS: Final = PPOConfig(episodes_per_update=256, minibatch_size=32, learning_rate=2e-4, linear_decay=False, kl_coef=0.005)
SAMPLES: Final = 256
"""Among which equal texts are counted."""


def run(seed: int, episodes: int, config: PPOConfig = SETTINGS, console: Console | None = None) -> dict[str, Any]:
    """Train once.

    Returns:
        seed, episodes, seconds of training, strict_before and strict_after (share of the evaluation's texts), distinct (share of
        different ones among 256 texts after training, drawn from the evaluation's), the KLs in nats a sequence,
        examples (four texts), and curve: [seconds, strict share of the update's episodes] for each update.
    """
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "run"
        task = TrainConfig(env="TextHaiku-v0", episodes=episodes, seed=seed, out=out, algorithm=config)
        summary = train(task, console, results=Console(quiet=True))
        after = pd.read_parquet(out / "evaluation" / "after.parquet")
        metrics = pd.read_csv(out / "metrics.csv")
        parts = [pd.read_parquet(path, columns=["completion"]) for path in sorted((out / "episodes").glob("*.parquet"))]
    shown = after.sample(frac=1, random_state=0).head(SAMPLES)["completion"]
    strict = [statistics.fmean(is_strict(part["completion"].tolist())) for part in parts]
    return {
        "seed": seed,
        "episodes": episodes,
        "seconds": summary["train_seconds"],
        "strict_before": summary["judge_before"],
        "strict_after": summary["judge_after"],
        "distinct": float(shown.nunique() / len(shown)),
        "kl_k1": summary["kl_k1"],
        "kl_exact": summary["kl_exact"],
        "distinct2_before": summary["distinct2_before"],
        "distinct2_after": summary["distinct2_after"],
        "examples": (after["prompt"] + after["completion"]).head(4).tolist(),
        "curve": [[round(second, 1), round(share, 4)] for second, share in zip(metrics["seconds"], strict, strict=True)],
    }


def markdown(runs: list[dict[str, Any]]) -> str:
    """A row a run, and what the last one writes."""
    lines = [
        "| episodes | seed | seconds of training | strict before | strict after | different among 256 | KL k1 | KL exact | distinct-2 |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for one in runs:
        shares = " | ".join(f"{one[name]:.1%}".replace("%", " %") for name in ("strict_before", "strict_after", "distinct"))
        kls = f"{one['kl_k1']:.1f} | {one['kl_exact']:.1f} | {one['distinct2_before']:.2f} to {one['distinct2_after']:.2f}"
        lines.append(f"| {one['episodes']:,} | {one['seed']} | {one['seconds']:.0f} | {shares} | {kls} |")
    return "\n".join([*lines, "", "```", "\n\n".join(text.strip() for text in runs[-1]["examples"]), "```"])


def main(episodes: tuple[int, ...] = (16_384, 24_576), seeds: int = 1, out: Path = RESULTS, page: Path = PAGE) -> None:
    """Train, and write the results and the table of the page.

    Args:
        episodes: to learn from, a run each.
        seeds: runs of each.
        out: file of the results.
        page: with the markers of a table.
    """
    runs = [run(seed, n) for n in episodes for seed in range(seeds)]
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps({**machine(), "runs": runs}, indent=1) + "\n", encoding="utf-8")
    write_between_markers(page, markdown(runs))
    print(markdown(runs))


if __name__ == "__main__":
    tyro.cli(main)
