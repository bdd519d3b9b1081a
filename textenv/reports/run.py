"""The run folder: configuration, metrics, episodes, checkpoint, model and summary."""

import csv
import json
import math
import platform
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from textenv.checkpoint import save_state
from textenv.errors import ArgumentError
from textenv.reports.evaluation import Measured
from textenv.reports.frames import episode_frame, measured_frame
from textenv.types import Episodes

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from textenv.agents.ppo import PPO


def versions() -> dict[str, str]:
    """Versions of what a result depends on."""
    names = ("textenv", "gymnasium", "numpy", "torch", "transformers")
    return {"python": platform.python_version(), **{name: version(name) for name in names}}


def _json(data: dict[str, Any]) -> str:
    """Write strict JSON, in which a number that is not finite is null."""

    def plain(node: Any) -> Any:
        if isinstance(node, dict):
            return {name: plain(value) for name, value in node.items()}
        if isinstance(node, list | tuple):
            return [plain(value) for value in node]
        return None if isinstance(node, float) and not math.isfinite(node) else node

    return json.dumps(plain(data), indent=2, allow_nan=False) + "\n"


class Run:
    """Writes a run into a folder of its own.

    `config.json`, `metrics.csv` (a row an update), `episodes/part-NNNNN.parquet` (one an update, a row an episode),
    `evaluation/before.parquet` and `after.parquet` (a row an episode), `checkpoint/`, `model/` (for `from_pretrained`), `summary.json`.

    Args:
        folder: new or empty.
        config: plain data.

    Raises:
        ArgumentError: the folder holds something already, or cannot be written.
    """

    def __init__(self, folder: Path, config: dict[str, Any]) -> None:
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise ArgumentError(f"{folder} exists already; choose another --out or remove it.")
        try:
            (folder / "episodes").mkdir(parents=True)
            (folder / "config.json").write_text(_json({**config, "versions": versions()}))
        except OSError as error:
            raise ArgumentError(f"{folder} cannot be written: {error.strerror}; choose another --out.") from error
        self.folder = folder
        self.updates = 0

    def record(self, metrics: dict[str, Any], episodes: Episodes, tokenizer: "PreTrainedTokenizerBase") -> None:
        """Append one update: a row of metrics and a part of episodes."""
        self.updates += 1
        row = {"update": self.updates, **metrics}
        file = self.folder / "metrics.csv"
        new = not file.exists()
        with file.open("a", newline="") as handle:
            writer = csv.DictWriter(handle, fieldnames=list(row))
            if new:
                writer.writeheader()
            writer.writerow(row)
        frame = episode_frame(episodes, self.updates, tokenizer)
        frame.to_parquet(self.folder / "episodes" / f"part-{self.updates:05d}.parquet", index=False)

    def evaluation(self, name: Literal["before", "after"], measured: Measured, tokenizer: "PreTrainedTokenizerBase") -> None:
        """Write the episodes of an evaluation; a file that is cut off never bears the name."""
        file = self.folder / "evaluation" / f"{name}.parquet"
        file.parent.mkdir(exist_ok=True)
        measured_frame(measured, self.updates, tokenizer).to_parquet(file.with_suffix(".tmp"), index=False)
        file.with_suffix(".tmp").replace(file)

    def checkpoint(self, agent: "PPO") -> None:
        """Save everything that later updates depend on."""
        save_state(self.folder / "checkpoint", {**agent.state_dict(), "updates": self.updates})

    def finish(self, agent: "PPO", summary: dict[str, Any]) -> None:
        """Write the last checkpoint, the model and the summary."""
        self.checkpoint(agent)
        agent.policy.save_pretrained(self.folder / "model")
        (self.folder / "summary.json").write_text(_json({**summary, "versions": versions()}))
