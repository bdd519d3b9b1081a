"""The run folder: configuration, metrics, episodes, checkpoint, model and summary."""

import contextlib
import csv
import json
import math
import platform
import shutil
import time
from dataclasses import asdict, dataclass, field, fields
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from textenv.checkpoint import global_generators, load_state, save_state
from textenv.errors import ArgumentError, LoadError
from textenv.files import replacing, saving, sync
from textenv.reports.evaluation import Measured
from textenv.reports.frames import episode_frame, measured_frame
from textenv.types import Episodes

if TYPE_CHECKING:
    from torch import nn
    from transformers import PreTrainedTokenizerBase

    from textenv.agents.learner import Learner
    from textenv.reports.watch import Watch

CHECKPOINT_SHARE: Final = 0.02
"""Of the time, at most, is spent on writing checkpoints."""


def versions() -> dict[str, str]:
    """Versions of what a result depends on."""
    names = ("textenv", "gymnasium", "numpy", "torch", "transformers")
    return {"python": platform.python_version(), **{name: version(name) for name in names}}


def plain_json(data: dict[str, Any]) -> str:
    """Write strict JSON, in which a number that is not finite is null."""

    def plain(node: Any) -> Any:
        if isinstance(node, dict):
            return {name: plain(value) for name, value in node.items()}
        if isinstance(node, list | tuple):
            return [plain(value) for value in node]
        return None if isinstance(node, float) and not math.isfinite(node) else node

    return json.dumps(plain(data), indent=2, allow_nan=False, default=str) + "\n"


@dataclass(kw_only=True)
class Counters:
    """What a run counts, beside what its learner does."""

    updates: int = 0
    tokens: int = 0
    """Response tokens played."""
    seconds: float = 0.0
    """Spent on learning, by all processes that worked on the run up to its checkpoint."""
    first: dict[str, float] = field(default_factory=dict)
    """Metrics of the first update, with which the collapse alarm compares."""
    told: list[str] = field(default_factory=list)
    """Collapse alarms that have been shown."""


def find_run(folder: Path, config: dict[str, Any], *, resume: bool) -> dict[str, Any] | None:
    """Look whether a run can be written into a folder, and write nothing.

    Args:
        folder: of the run.
        config: plain data.
        resume: whether a run of the same configuration may be there. The place and the device may differ.

    Returns:
        The summary of a run that is finished.

    Raises:
        ArgumentError: the folder holds a run that is not to be resumed or has another configuration, or something else.
        LoadError: the configuration or the summary of its run is damaged.
    """
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return None
    if not resume or not folder.is_dir():
        raise ArgumentError(f"{folder} exists already; go on with --resume, choose another --out or remove it.")
    if not (folder / "config.json").exists():
        if {path.name for path in folder.iterdir()} == {"config.json.new"}:  # all that a run leaves that died in its first moment
            return None
        raise ArgumentError(f"{folder} holds no run to resume: it has no config.json; choose another --out.")
    stored, given = _flat(_read_json(folder / "config.json")), _flat(json.loads(plain_json(config)))
    for name in {**stored, **given}:
        values = [
            None if found.get(name) is False else found.get(name) for found in (stored, given)
        ]  # what is off may be newer than the run
        if values[0] != values[1] and name.partition(".")[0] not in ("out", "device", "versions"):
            raise ArgumentError(
                f"{folder} was started with {name}={stored.get(name)!r}, not {given.get(name)!r}; go on with the former or choose "
                "another --out."
            )
    summary = folder / "summary.json"
    return _read_json(summary) if summary.exists() else None


def _flat(config: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Write {"algorithm": {"gamma": 1}} as {"algorithm.gamma": 1}."""
    flat: dict[str, Any] = {}
    for name, value in config.items():
        flat |= _flat(value, f"{prefix}{name}.") if isinstance(value, dict) else {f"{prefix}{name}": value}
    return flat


def _read_json(file: Path) -> dict[str, Any]:
    try:
        content = json.loads(file.read_bytes())
    except ValueError as error:
        raise LoadError(f"{file} is damaged: {error}; restore it from a copy, or choose another --out.") from error
    if not isinstance(content, dict):
        raise LoadError(f"{file} is not of a run; choose another --out.")
    return content


def check_space(folder: Path, *modules: "nn.Module", keeps_best: bool = False) -> None:
    """Refuse a folder whose disk is too small for the run of a policy.

    A checkpoint holds the weights, tied ones twice, and two moments of each; it is whole before the last one is removed, and at the
    end comes the model.

    Args:
        folder: of the run.
        *modules: the policy, of which the model is saved, and what is learnt beside it, such as a critic.
        keeps_best: whether a checkpoint holds the weights of an earlier policy too.

    Raises:
        ArgumentError: there is too little space.
    """
    weights = [sum(parameter.numel() * parameter.element_size() for parameter in module.parameters()) for module in modules]
    states = [sum(value.numel() * value.element_size() for value in module.state_dict().values()) for module in modules]
    checkpoint = 2 * sum(weights) + sum(states) + (states[0] if keeps_best else 0)
    needed = weights[0] + checkpoint * (1 if (folder / "checkpoint").exists() else 2)
    place = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    free = shutil.disk_usage(place).free
    if free < needed:
        raise ArgumentError(
            f"{place} has {free / 1e6:.1f} MB free, but the checkpoints and the model of {folder} take {needed / 1e6:.1f} MB; make room "
            "or choose another --out."
        )


class Run:
    """Writes a run into a folder of its own, so that it survives the death of the process at any moment.

    `config.json`, `metrics.csv` (a row an update), `episodes/part-NNNNN.parquet` (one an update, a row an episode),
    `evaluation/before.parquet` and `after.parquet` (a row an episode), `evaluations.csv` (a row an evaluation during training, if
    there are any), `checkpoint/`, `model/` (for `from_pretrained`), `summary.json`, which says that it is finished.

    Args:
        folder: new or empty, or with `resume` of a run of the same configuration.
        config: plain data.
        resume: see `find_run`.

    Raises:
        ArgumentError: the folder is no such place, or cannot be made.
        SaveError: nothing can be written there.
    """

    def __init__(self, folder: Path, config: dict[str, Any], *, resume: bool = False) -> None:
        find_run(folder, config, resume=resume)
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ArgumentError(f"{folder} cannot be written: {error.strerror}; choose another --out.") from error
        self.folder = folder
        self.counters = Counters()
        self._at_start = global_generators()
        self._saved, self._cost = time.perf_counter(), 0.0
        self._write("config.json", {**config, "versions": versions()})

    def restore(self, agent: "Learner", watch: "Watch | None" = None) -> tuple[dict[str, Any], dict[str, Any]]:
        """Go on from the checkpoint, or from the start if there is none; what is newer is dropped.

        Returns:
            The states of the global generators when the run began, and when the checkpoint was written.

        Raises:
            LoadError: the checkpoint is damaged, or not of this agent and model.
        """
        present = self._at_start
        checkpoint = self.folder / "checkpoint"
        with contextlib.suppress(FileNotFoundError):
            state = load_state(checkpoint)
            try:
                agent.load_state_dict(state)
                if watch is not None:
                    watch.load_state_dict(state["watch"])
                self.counters = Counters(**{item.name: state[item.name] for item in fields(Counters)})
                self._at_start, present = state["global_generators"]
            except (KeyError, LoadError) as error:
                raise LoadError(f"{checkpoint} cannot be used: {error}") from error
        self._drop_newer()
        return self._at_start, present

    def _drop_newer(self) -> None:
        """Drop episodes, metrics and evaluations of updates that will be played again; a last row may be torn."""
        updates = self.counters.updates
        kept = {f"part-{update:05d}.parquet" for update in range(1, updates + 1)}
        for part in (self.folder / "episodes").glob("*"):
            if part.name not in kept:
                part.unlink()
        for table in (self.folder / name for name in ("metrics.csv", "evaluations.csv")):
            if updates == 0:
                table.unlink(missing_ok=True)
            elif table.exists():
                head, *rows = table.read_bytes().splitlines(keepends=True)
                rows = [row for row in rows if row.endswith(b"\n") and int(row.partition(b",")[0]) <= updates]
                with replacing(table) as new:
                    new.write_bytes(b"".join([head, *rows]))

    def record(self, metrics: dict[str, Any], episodes: Episodes, tokenizer: "PreTrainedTokenizerBase") -> None:
        """Append one update: a row of metrics and a part of episodes.

        Raises:
            SaveError: they cannot be written.
        """
        self.counters.updates += 1
        row = {"update": self.counters.updates, **metrics}
        part = self.folder / "episodes" / f"part-{self.counters.updates:05d}.parquet"
        part.parent.mkdir(exist_ok=True)
        with replacing(part) as new:
            episode_frame(episodes, self.counters.updates, tokenizer).to_parquet(new, index=False)
        self._append("metrics.csv", row)

    def evaluated(self, row: dict[str, Any]) -> None:
        """Append an evaluation during training.

        Raises:
            SaveError: it cannot be written.
        """
        self._append("evaluations.csv", row)

    def _append(self, name: str, row: dict[str, Any]) -> None:
        """Append a row to a table, whose head it writes first."""
        file = self.folder / name
        with saving(file):
            started = file.exists()
            with file.open("a", newline="") as handle:
                writer = csv.DictWriter(handle, fieldnames=list(row))
                if not started:
                    writer.writeheader()
                writer.writerow(row)
            sync(file)

    def evaluation(self, name: Literal["before", "after"], measured: Measured, tokenizer: "PreTrainedTokenizerBase") -> None:
        """Write the episodes of an evaluation, before the first update or after the last.

        Raises:
            SaveError: they cannot be written.
        """
        file = self.folder / "evaluation" / f"{name}.parquet"
        file.parent.mkdir(exist_ok=True)
        updates = 0 if name == "before" else self.counters.updates
        with replacing(file) as new:
            measured_frame(measured, updates, tokenizer).to_parquet(new, index=False)

    @property
    def checkpoint_is_due(self) -> bool:
        """Whether the last checkpoint is so long ago that another keeps to their share of the time."""
        return time.perf_counter() - self._saved >= self._cost / CHECKPOINT_SHARE

    def checkpoint(self, agent: "Learner", watch: "Watch | None" = None) -> None:
        """Save everything that later updates, and evaluations during training, depend on.

        Raises:
            SaveError: it cannot be written; the last checkpoint is kept.
        """
        started = time.perf_counter()
        generators = [self._at_start, global_generators()]
        state = {**agent.state_dict(), **asdict(self.counters), "global_generators": generators}
        if watch is not None:
            state["watch"] = watch.state_dict()
        save_state(self.folder / "checkpoint", state)
        self._saved = time.perf_counter()
        self._cost = self._saved - started

    def keep_failed(self, episodes: Episodes) -> Path:
        """Write the batch on which training failed; `Episodes(**load_state(folder))` reads it.

        Returns:
            Its folder.
        """
        folder = self.folder / "failed-batch"
        save_state(folder, vars(episodes))
        return folder

    def finish(self, agent: "Learner", summary: dict[str, Any]) -> None:
        """Write the model and the summary.

        Raises:
            SaveError: they cannot be written.
        """
        with replacing(self.folder / "model") as new:
            agent.policy.save_pretrained(new)
        self._write("summary.json", {**summary, "versions": versions()})

    def _write(self, name: str, content: dict[str, Any]) -> None:
        with replacing(self.folder / name) as new:
            new.write_text(plain_json(content))
