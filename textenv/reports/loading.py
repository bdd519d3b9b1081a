"""Read a run folder back as tidy tables."""

import html
import math
import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow

from textenv.errors import LoadError
from textenv.files import open_plain, read_json, read_plain
from textenv.reports.captions import METRICS
from textenv.reports.counters import count_updates, is_number
from textenv.reports.tables import order_fault, updates_fault

PHASES = ("before", "train", "after")

# Lists of a part to columns of the token table.
_BY_TOKEN = {
    "tokens": "token",
    "pieces": "text",
    "log_probs": "log_prob",
    "ref_log_probs": "ref_log_prob",
    "values": "value",
    "rewards": "reward",
    "advantages": "advantage",
}
_TOKEN = "phase update episode t token text log_prob ref_log_prob log_ratio value reward advantage".split()
_OPTIONAL = ("ref_log_probs", "advantages")
_EPISODE = ("update", "prompt_index", "prompt", "completion", "finish_reason", "score", "length")
_EVALUATED = ("judge", "kl_k1", "kl_k2", "kl_k3", "kl_exact")
_TEXTS = ("prompt", "completion", "finish_reason")
_SUMMARY = ("episodes", "tokens", "train_seconds", "model", "reward", "table")


@dataclass(frozen=True, kw_only=True, repr=False)
class LoadedRun:
    """A run as it lies on disk; KLs are of one episode, in nats a sequence."""

    folder: Path
    """Where it was read."""
    config: dict[str, Any]
    """What it was started with, and the versions, threads and processor of then; `resumed` lists those of the processes that went on."""
    summary: dict[str, Any] | None
    """What came of it, None while it is not finished."""
    metrics: pd.DataFrame
    """A row an update."""
    evaluations: pd.DataFrame
    """A row an evaluation during training: update, episodes (learnt from), what `reports.evaluation.summarise` tells, alarm; without rows
    where there was none."""
    episodes: pd.DataFrame
    """A row an episode: phase ("before", "train", "after"), update (the last one by then), episode (index within the phase),
    prompt_index, prompt, completion, finish_reason, score, length (tokens), reward (what `step` paid in all), kl_k1, and of
    evaluations judge, kl_k2, kl_k3 and kl_exact; NaN where unknown."""
    tokens: pd.DataFrame
    """A row a response token: phase, update, episode, t (from 0), token (id), text, log_prob and ref_log_prob (nats), log_ratio
    (their difference), value, reward, advantage (as the learner weighs it, in training); NaN where unknown."""

    def facts(self) -> dict[str, str]:
        """Return what the run is in a few words each, by name."""
        counts = self.episodes["phase"].value_counts()
        facts = {
            "folder": str(self.folder),
            "env": str(self.config.get("env", "unknown")),
            "agent": f"{self.config.get('agent', 'unknown')}, seed {self.config.get('seed', 'unknown')}",
            "finished": "no" if self.summary is None else "yes",
            "metrics": f"{len(self.metrics)} updates",
            "evaluations": f"{len(self.evaluations)} during training",
            "episodes": ", ".join(f"{counts[phase]} {phase}" for phase in PHASES if phase in counts) or "none",
            "tokens": f"{len(self.tokens)} rows",
        }
        ends = [None if self.summary is None else self.summary["table"].get(when, {}).get("score") for when in ("before", "after")]
        if None not in ends:
            facts["score"] = f"{ends[0]:.3f} before, {ends[1]:.3f} after"
        return facts

    def __repr__(self) -> str:
        return "\n".join(["LoadedRun", *(f"  {name}: {fact}" for name, fact in self.facts().items())])

    def _repr_html_(self) -> str:
        rows = "".join(f"<tr><th>{name}</th><td>{html.escape(fact)}</td></tr>" for name, fact in self.facts().items())
        return f"<table>{rows}</table>"


def load_run(folder: str | Path) -> LoadedRun:
    """Read a run that `textenv train` wrote, finished or not.

    Of a run that was killed, the updates are read that have both their row of metrics and their part of episodes; one of the two may be
    missing at the end alone. Metrics must be of the updates 1, 2, ... in their order, and of no fewer than the checkpoint counts, if
    there is one.

    Args:
        folder: of the run.

    Raises:
        LoadError: it is no run, or one of its files cannot be read.
    """
    folder = Path(folder)
    if not (folder / "config.json").exists():
        raise LoadError(f"{folder} is no run: it holds no config.json; name a folder that `textenv train` wrote.")
    counted = count_updates(folder / "checkpoint")  # before the metrics, which a process that is writing them has written first
    metrics, evaluations = (_table(folder / name) for name in ("metrics.csv", "evaluations.csv"))
    fault = updates_fault(metrics["update"].tolist(), counted)
    if fault:
        raise LoadError(f"{folder / 'metrics.csv'} cannot be read as the metrics of a run: {fault}; restore it from a copy, or train anew.")
    files = {
        int(file.stem.removeprefix("part-")): file
        for file in sorted((folder / "episodes").glob("part-*.parquet"))
        if re.fullmatch(r"part-\d{1,15}", file.stem)
    }
    metrics = metrics[: _count_parts(folder, metrics["update"].tolist(), files)]
    parts = [("train", files[update]) for update in metrics["update"]]
    before, after = ((name, folder / "evaluation" / f"{name}.parquet") for name in ("before", "after"))
    frames = [_read_part(file, phase) for phase, file in (before, *parts, after) if file.exists()]
    _count(frames)
    tokens = [_token_table(frame) for frame in frames]
    episodes = [_episode_table(frame, table) for frame, table in zip(frames, tokens, strict=True)]
    return LoadedRun(
        folder=folder,
        config=read_object(folder / "config.json"),
        summary=_read_summary(folder / "summary.json"),
        metrics=metrics,
        evaluations=evaluations[evaluations["update"].isin([0, *metrics["update"]])].reset_index(drop=True),
        episodes=pd.concat(episodes, ignore_index=True) if episodes else _episode_table(_nothing(), _token_table(_nothing())),
        tokens=pd.concat(tokens, ignore_index=True) if tokens else _token_table(_nothing()),
    )


def _count_parts(folder: Path, updates: list[int], files: Collection[int]) -> int:
    """Return how many updates of the metrics have a part of episodes.

    Raises:
        LoadError: one has none, and it is not at the end.
    """
    present = [update for update in updates if update in files]
    missing = next((update for update in updates if update not in files), None)
    if missing is not None and (not present or missing < present[-1]):
        part = folder / "episodes" / f"part-{missing:05d}.parquet"
        raise LoadError(f"{part} is missing, but metrics.csv holds its update; restore it from a copy.")
    return len(present)


def read_object(file: Path) -> dict[str, Any]:
    """Return the configuration or the summary of a run.

    Raises:
        LoadError: the file cannot be read, or holds neither.
    """
    try:
        data = read_json(file)
    except (OSError, ValueError) as error:
        raise LoadError(f"{file} cannot be read as JSON: {error}; restore it from a copy.") from error
    if not isinstance(data, dict):
        raise LoadError(f"{file} holds no configuration or summary of a run but {type(data).__name__}; restore it from a copy.")
    return data


def _read_summary(file: Path) -> dict[str, Any] | None:
    """Read a summary and check that its table is one: rows of numbers by name."""
    if not file.exists():
        return None
    summary = read_object(file)
    if missing := [name for name in _SUMMARY if name not in summary]:
        raise LoadError(f"{file} holds no summary of a run: it lacks {', '.join(missing)}.")
    rows = summary["table"].values() if isinstance(summary["table"], dict) else [None]
    for row in rows:
        if not isinstance(row, dict) or not all(value is None or is_number(value) for value in row.values()):
            raise LoadError(f"{file} holds no summary of a run: its table is none of numbers by name.")
        if not is_number(row.get("n")):
            raise LoadError(f"{file} holds no summary of a run: a row of its table lacks n.")
    return summary


def _table(file: Path) -> pd.DataFrame:
    """Read the whole lines of metrics or evaluations; a run that is killed while it writes leaves a piece of one."""
    try:
        text = read_plain(file).decode() if file.exists() else ""
        whole = text[: text.rfind("\n") + 1] or "update\n"
        table = pd.read_csv(StringIO(whole), dtype={"update": np.int64, "alarm": str}, keep_default_na=True)
    except (OSError, ValueError, OverflowError) as error:
        raise LoadError(f"{file} cannot be read as the {file.stem} of a run: {str(error).rstrip('.')}.") from error
    if "update" not in table:
        raise LoadError(f'{file} holds no {file.stem} of a run: it lacks the column "update".')
    fault = order_fault(table["update"].tolist())
    if fault:
        raise LoadError(f"{file} cannot be read as the {file.stem} of a run: {fault}, or train anew.")
    for name in table.columns.intersection([*METRICS, *(f"{name}_se" for name in METRICS)]):
        if not pd.api.types.is_numeric_dtype(table[name]):
            raise LoadError(f'{file} holds no {file.stem} of a run: its column "{name}" holds what is no number.')
    return table


def _read_part(file: Path, phase: str) -> pd.DataFrame:
    """Read one file of episodes and check that it is one."""
    try:
        with open_plain(file) as handle:
            frame = pd.read_parquet(handle)
    except (OSError, ValueError, TypeError, LookupError, NotImplementedError, pyarrow.ArrowException) as error:
        raise LoadError(f"{file} cannot be read as parquet: {str(error).rstrip('.')}; it may be cut off.") from error
    for name in (*_EPISODE, *_BY_TOKEN):
        if name not in frame and name not in _OPTIONAL:
            raise _no_episodes(file, f'it lacks the column "{name}"')
    if not len(frame):
        raise _no_episodes(file, "it has no rows")
    frame = frame.reset_index(drop=True)
    for name in (*_EPISODE, *_EVALUATED):
        if name in frame and not _is_of_kind(frame[name], name in _TEXTS):
            raise _no_episodes(file, f'its column "{name}" holds no {"texts" if name in _TEXTS else "numbers"}')
    for name in (name for name in _BY_TOKEN if name in frame):
        try:
            lengths = [np.shape(values) for values in frame[name]]
            if lengths == [(length,) for length in frame["length"]] and name != "pieces":
                np.concatenate(frame[name].to_list()).astype(np.float64)
        except (ValueError, TypeError) as error:
            raise _no_episodes(file, f'its lists "{name}" hold no numbers') from error
        if lengths != [(length,) for length in frame["length"]]:
            raise _no_episodes(file, f'its lists "{name}" are not as long as the episodes')
    frame.insert(0, "phase", pd.Series(pd.Categorical([phase] * len(frame), PHASES)))
    return frame


def _is_of_kind(column: pd.Series, texts: bool) -> bool:
    """Return whether a column holds texts, or numbers."""
    if texts:
        return all(isinstance(value, str) for value in column)
    return bool(pd.api.types.is_numeric_dtype(column))


def _no_episodes(file: Path, reason: str) -> LoadError:
    return LoadError(f"{file} holds no episodes of a run: {reason}.")


def _count(frames: Iterable[pd.DataFrame]) -> None:
    """Number the episodes of each phase from 0, across its parts."""
    counts = dict.fromkeys(PHASES, 0)
    for frame in frames:
        phase = frame["phase"].iloc[0]
        frame.insert(2, "episode", np.arange(counts[phase], counts[phase] + len(frame)))
        counts[phase] += len(frame)


def _nothing() -> pd.DataFrame:
    """Stand for the parts of a run that has none."""
    columns = ("phase", "update", "episode", *_EPISODE[1:], *_BY_TOKEN)
    return pd.DataFrame({name: pd.Series(dtype=object if name in _BY_TOKEN else np.int64) for name in columns})


def _token_table(frame: pd.DataFrame) -> pd.DataFrame:
    """Give each token of a part a row."""
    lengths = frame["length"].to_numpy()
    table = frame.loc[frame.index.repeat(lengths), ["phase", "update", "episode"]].reset_index(drop=True)
    table["t"] = np.arange(len(table)) - np.repeat(lengths.cumsum() - lengths, lengths)
    for plural, name in _BY_TOKEN.items():
        table[name] = np.concatenate(frame[plural].to_list()) if plural in frame and len(frame) else math.nan
    table["log_ratio"] = table["log_prob"] - table["ref_log_prob"]
    return table[_TOKEN]


def _episode_table(frame: pd.DataFrame, tokens: pd.DataFrame) -> pd.DataFrame:
    """Drop the lists of a part and sum over them what is asked of an episode."""
    table = frame[["phase", "update", "episode", *_EPISODE[1:]]].copy()
    by_episode = tokens.groupby("episode")  # every episode has a token, so the rows are those of the frame
    table["reward"] = by_episode["reward"].sum().to_numpy()
    sums = {"kl_k1": by_episode["log_ratio"].sum(min_count=1).to_numpy()}
    for name in _EVALUATED:
        table[name] = frame[name] if name in frame else sums.get(name, math.nan)
    return table
