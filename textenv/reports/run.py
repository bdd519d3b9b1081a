"""The run folder: configuration, metrics, episodes, checkpoint, model and summary."""

import contextlib
import itertools
import json
import math
import platform
import re
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

import torch

from textenv.agents.config import settled
from textenv.checkpoint import (
    check_global_generators,
    global_generators,
    load_state,
    save_state,
)
from textenv.errors import ArgumentError, LoadError
from textenv.files import (
    LOCK,
    FolderLock,
    check_unlocked,
    is_empty,
    replacing,
    saving,
)
from textenv.reports.counters import UNFIT, Counters, check_kinds
from textenv.reports.evaluation import Measured
from textenv.reports.frames import episode_frame, measured_frame
from textenv.reports.loading import read_object
from textenv.reports.tables import Table
from textenv.types import Episodes

if TYPE_CHECKING:
    from torch import nn
    from transformers import PreTrainedTokenizerBase

    from textenv.agents.learner import Learner
    from textenv.reports.watch import Watch

CHECKPOINT_SHARE: Final = 0.02
"""Of the time, at most, is spent on writing checkpoints."""

PART: Final = re.compile(r"\.?part-(\d+)\.parquet(\.new|\.textenv\.new)?", re.ASCII)
"""Names of files of episodes, and of those that were not whole yet when a run died."""

SESSION: Final[tuple[str, ...]] = ("versions", "threads", "processor", "device")
"""What may differ between the processes that work on a run, and moves the last bits of its results."""


def versions() -> dict[str, str]:
    """Versions of what a result depends on."""
    names = ("textenv", "gymnasium", "numpy", "torch", "transformers")
    return {"python": platform.python_version(), **{name: version(name) for name in names}}


def surroundings() -> dict[str, Any]:
    """Return what the last bits of a result depend on: versions, threads of torch and the processor."""
    capability = torch.backends.cpu.get_cpu_capability()
    return {
        "versions": versions(),
        "threads": torch.get_num_threads(),
        "processor": f"{platform.processor() or platform.machine()} {capability}",
    }


def plain_json(data: dict[str, Any]) -> str:
    """Write strict JSON, in which a number that is not finite is null."""

    def plain(node: Any) -> Any:
        if isinstance(node, dict):
            return {name: plain(value) for name, value in node.items()}
        if isinstance(node, list | tuple):
            return [plain(value) for value in node]
        return None if isinstance(node, float) and not math.isfinite(node) else node

    return json.dumps(plain(data), indent=2, allow_nan=False, default=str) + "\n"


def free_folder(folder: Path) -> Path:
    """Return a folder that is new or empty: this one, or else the first of FOLDER-2, FOLDER-3 and so on."""
    return next(filter(_is_free, _row(folder)))


def last_folder(folder: Path) -> Path:
    """Return the folder that was taken last where `free_folder` gave the names, and this one where none is taken."""
    taken = list(itertools.takewhile(lambda one: not _is_free(one), _row(folder)))
    return taken[-1] if taken else folder


def _row(folder: Path) -> Iterator[Path]:
    others = (folder.with_name(f"{folder.name}-{number}") for number in itertools.count(2))
    return itertools.chain([folder], others)


def _is_free(folder: Path) -> bool:
    if folder.is_dir():
        return not any(folder.iterdir())
    return not folder.exists() and not folder.is_symlink()


def find_run(folder: Path, config: dict[str, Any], *, resume: bool) -> dict[str, Any] | None:
    """Look whether a run can be written into a folder, and write nothing.

    Args:
        folder: of the run.
        config: plain data.
        resume: whether a run of the same configuration may be there. The place and what `SESSION` names may differ.

    Returns:
        The summary of a run that is finished.

    Raises:
        ArgumentError: another process is writing there, or the folder holds a run that is not to be resumed or has another
            configuration, or something else.
        LoadError: the configuration or the summary of its run is damaged.
    """
    check_unlocked(folder)
    return _find(folder, config, resume=resume)


def _find(folder: Path, config: dict[str, Any], *, resume: bool) -> dict[str, Any] | None:
    """Do what `find_run` does in a folder that this process may have locked."""
    if not folder.exists() or (folder.is_dir() and is_empty(folder)):
        return None
    if not resume or not folder.is_dir():
        raise ArgumentError(f"{folder} exists already; go on with --resume, choose another --out or remove it.")
    if not (folder / "config.json").exists():
        # All that a run leaves that died in its first moment, of this version or an earlier one.
        if {path.name for path in folder.iterdir()} <= {LOCK, "config.json.new", ".config.json.textenv.new"}:
            return None
        raise ArgumentError(f"{folder} holds no run to resume: it has no config.json; choose another --out.")
    stored, given = read_object(folder / "config.json"), json.loads(plain_json(config))
    options = given.get("algorithm", {})
    stored, given = (_flat(_with_settled(side, options)) for side in (stored, given))
    for name in {**stored, **given}:
        values = [None if side.get(name) is False else side.get(name) for side in (stored, given)]  # what is off may be newer than the run
        if values[0] != values[1] and name.partition(".")[0] not in ("out", "resumed", *SESSION):
            raise ArgumentError(
                f"{folder} was started with {name}={stored.get(name)!r}, not {given.get(name)!r}; go on with the former or choose "
                "another --out."
            )
    summary = folder / "summary.json"
    return read_object(summary) if summary.exists() else None


def _with_settled(config: dict[str, Any], run: dict[str, Any]) -> dict[str, Any]:
    """Return a configuration whose agent's options are comparable with those of another version."""
    options = config.get("algorithm")
    return {**config, "algorithm": settled(options, run)} if isinstance(options, dict) else config


def _flat(config: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Write {"algorithm": {"gamma": 1}} as {"algorithm.gamma": 1}."""
    flat: dict[str, Any] = {}
    for name, value in config.items():
        flat |= _flat(value, f"{prefix}{name}.") if isinstance(value, dict) else {f"{prefix}{name}": value}
    return flat


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

    `config.json` keeps the surroundings (`SESSION`) of the process that started the run, and in `resumed` those of each that went on
    with it, with the number of updates by then.

    The folder is locked until `close`, see `textenv.files.FolderLock`. What is a link in it is replaced by what the run writes, and
    nothing is written or removed behind it; to keep a run on another disk, let the whole folder be a link.

    Args:
        folder: new or empty, or with `resume` of a run of the same configuration.
        config: plain data.
        resume: see `find_run`.

    Raises:
        ArgumentError: the folder is no such place, cannot be made, or another process writes there.
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
        self.warnings: list[str] = []
        """Sentences about how this process differs from those that worked on the run before."""
        self._at_start = global_generators()
        self._saved, self._cost = time.perf_counter(), 0.0
        self._tables = {name: Table(folder / name) for name in ("metrics.csv", "evaluations.csv")}
        self._config = {**config, **surroundings()}
        self._lock = FolderLock(folder)
        try:
            _find(folder, config, resume=resume)  # what another process has written since
            if not (folder / "config.json").exists():
                self._write("config.json", self._config)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Let other processes write the folder."""
        self._lock.release()

    def restore(self, agent: "Learner", watch: "Watch | None" = None) -> tuple[dict[str, Any], dict[str, Any]]:
        """Go on from the checkpoint, or from the start if there is none; what is newer is dropped.

        Nothing is changed before checkpoint and tables have been read as a whole.

        Returns:
            The states of the global generators when the run began, and when the checkpoint was written.

        Raises:
            LoadError: checkpoint, tables or configuration are damaged, or not of this agent and model.
            SaveError: the folder cannot be written.
        """
        self._lock.check()
        present = self._at_start
        checkpoint, episodes = self.folder / "checkpoint", self.folder / "episodes"
        if episodes.is_symlink() and not episodes.exists():
            raise LoadError(
                f"{episodes} is a link to nothing, such as a disk that is not there now; bring it back, or choose another --out."
            )
        with contextlib.suppress(FileNotFoundError):
            state = load_state(checkpoint)
            try:
                present = self._load(state, agent, watch)
            except UNFIT as error:
                raise LoadError(f"{checkpoint} cannot be used: {error}") from error
        updates = self.counters.updates
        self._check_parts(updates)
        rows = {name: table.until(updates, complete=name == "metrics.csv") if updates else None for name, table in self._tables.items()}
        config = self._resumed_config()
        for name, table in self._tables.items():
            kept = rows[name]
            if kept is not None:
                table.keep(kept)
            else:
                with saving(table.file):
                    table.file.unlink(missing_ok=True)
        self._drop_parts()
        self._write("config.json", config)
        return self._at_start, present

    def _check_parts(self, updates: int) -> None:
        """Refuse to go on where episodes of an update that counts are missing.

        Raises:
            LoadError: they are.
        """
        for update in range(1, updates + 1):
            part = self._part(update)
            if not part.is_file():
                raise LoadError(f"{part} is missing; restore it from a copy, or choose another --out.")

    def _part(self, update: int) -> Path:
        return self.folder / "episodes" / f"part-{update:05d}.parquet"

    def _load(self, state: dict[str, Any], agent: "Learner", watch: "Watch | None") -> dict[str, Any]:
        """Take in a checkpoint and return the states of the global generators when it was written."""
        check_kinds(agent.state_dict(), state)
        agent.load_state_dict(state)
        if watch is not None:
            watch.load_state_dict(state["watch"])
        counters = Counters.load(state)
        at_start, present = state["global_generators"]
        for states in (at_start, present):
            check_global_generators(states)
        self.counters, self._at_start = counters, at_start
        return dict(present)

    def _resumed_config(self) -> dict[str, Any]:
        """Return the configuration with the surroundings of all processes, and warn where they differ."""
        stored = read_object(self.folder / "config.json")
        if self.counters.updates == 0:  # nothing is left of what another process did
            return self._config
        now = {name: self._config[name] for name in SESSION if name in self._config}
        sessions = stored.get("resumed", [])
        if not isinstance(sessions, list) or not all(isinstance(session, dict) for session in sessions):
            raise LoadError(f"{self.folder / 'config.json'} is damaged: resumed is no list of sessions; restore it from a copy.")
        for session in [stored, *sessions]:
            before, here = _flat({name: session[name] for name in now if name in session}), _flat(now)
            changes = [f"{name} {here.get(name)} instead of {value}" for name, value in before.items() if here.get(name) != value]
            if changes:
                self.warnings = [
                    f"{self.folder} goes on with {', '.join(changes)}: the results are not to the bit those of a run without a break."
                ]
        sessions = [session for session in sessions if session.get("update") != self.counters.updates]  # those that learnt nothing
        return {**stored, "resumed": [*sessions, {"update": self.counters.updates, **now}]}

    def _drop_parts(self) -> None:
        """Drop the episodes of updates that will be played again, and nothing that is not of a run."""
        updates = self.counters.updates
        episodes, evaluation = self.folder / "episodes", self.folder / "evaluation"
        with saving(episodes):
            if episodes.is_symlink():
                self._copy_parts(episodes)
            for part in episodes.iterdir() if episodes.is_dir() else ():
                match = PART.fullmatch(part.name)
                is_newer = match is not None and (match[2] is not None or int(match[1]) > updates)
                if is_newer and (part.is_symlink() or part.is_file()):
                    part.unlink()  # of a link the name, and nothing behind it
        with saving(evaluation):
            if evaluation.is_symlink():
                evaluation.unlink()  # both its files are written anew

    def _copy_parts(self, episodes: Path) -> None:
        """Replace a link to episodes by a folder with those that count."""
        with replacing(episodes) as new:
            new.mkdir()
            for update in range(1, self.counters.updates + 1):
                part = self._part(update)
                shutil.copyfile(part, new / part.name)

    def record(self, metrics: dict[str, Any], episodes: Episodes, tokenizer: "PreTrainedTokenizerBase") -> None:
        """Append one update: a row of metrics and a part of episodes.

        Raises:
            SaveError: they cannot be written.
        """
        self._lock.check()
        self.counters.updates += 1
        row = {"update": self.counters.updates, **metrics}
        part = self._part(self.counters.updates)
        _make_folder(part.parent)
        with replacing(part) as new:
            episode_frame(episodes, self.counters.updates, tokenizer).to_parquet(new, index=False)
        self._tables["metrics.csv"].append(row)

    def evaluated(self, row: dict[str, Any]) -> None:
        """Append an evaluation during training.

        Raises:
            SaveError: it cannot be written.
        """
        self._lock.check()
        self._tables["evaluations.csv"].append(row)

    def evaluation(self, name: Literal["before", "after"], measured: Measured, tokenizer: "PreTrainedTokenizerBase") -> None:
        """Write the episodes of an evaluation, before the first update or after the last.

        Raises:
            SaveError: they cannot be written.
        """
        self._lock.check()
        file = self.folder / "evaluation" / f"{name}.parquet"
        _make_folder(file.parent)
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
        self._lock.check()
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
        self._lock.check()
        folder = self.folder / "failed-batch"
        save_state(folder, vars(episodes))
        return folder

    def finish(self, agent: "Learner", summary: dict[str, Any]) -> None:
        """Write the model and the summary.

        Raises:
            SaveError: they cannot be written.
        """
        self._lock.check()
        with replacing(self.folder / "model") as new:
            agent.policy.save_pretrained(new)
        self._write("summary.json", {**summary, "versions": versions()})

    def _write(self, name: str, content: dict[str, Any]) -> None:
        self._lock.check()
        with replacing(self.folder / name) as new:
            new.write_text(plain_json(content))


def start_run(folder: Path, config: dict[str, Any], *, resume: bool, following: Callable[[], Path] | None = None) -> Run:
    """Make the `Run` of a folder, or of the next where another process has just taken it.

    Args:
        folder: see `Run`.
        config: see `Run`; its `out` becomes the folder.
        resume: see `Run`.
        following: returns the next folder; None: there is no other.

    Raises:
        ArgumentError: see `Run`.
        SaveError: see `Run`.
    """
    while True:
        try:
            return Run(folder, {**config, "out": str(folder)}, resume=resume)
        except ArgumentError:
            free = following() if following is not None else folder
            if free == folder:
                raise
            folder = free


def _make_folder(folder: Path) -> None:
    with saving(folder):
        folder.mkdir(exist_ok=True)
