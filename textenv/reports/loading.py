"""Read a run folder back as tidy tables."""

import json
import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from textenv.errors import LoadError

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


@dataclass(frozen=True, kw_only=True)
class LoadedRun:
    """A run as it lies on disk; KLs are of one episode, in nats a sequence."""

    folder: Path
    """Where it was read."""
    config: dict[str, Any]
    """What it was started with, and the versions."""
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


def load_run(folder: str | Path) -> LoadedRun:
    """Read a run that `textenv train` wrote, finished or not.

    Of a run that was killed, the updates are read that have both their row of metrics and their part of episodes.

    Args:
        folder: of the run.

    Raises:
        LoadError: it is no run, or one of its files cannot be read.
    """
    folder = Path(folder)
    if not (folder / "config.json").is_file():
        raise LoadError(f"{folder} is no run: it holds no config.json; name a folder that `textenv train` wrote.")
    metrics, evaluations = (_table(folder / name) for name in ("metrics.csv", "evaluations.csv"))
    files = {
        int(file.stem.removeprefix("part-")): file
        for file in sorted((folder / "episodes").glob("part-*.parquet"))
        if re.fullmatch(r"part-\d+", file.stem)
    }
    metrics = metrics[metrics["update"].isin(list(files))].reset_index(drop=True)
    parts = [("train", files[update]) for update in metrics["update"]]
    before, after = ((name, folder / "evaluation" / f"{name}.parquet") for name in ("before", "after"))
    frames = [_read_part(file, phase) for phase, file in (before, *parts, after) if file.is_file()]
    _count(frames)
    tokens = [_token_table(frame) for frame in frames]
    episodes = [_episode_table(frame, table) for frame, table in zip(frames, tokens, strict=True)]
    return LoadedRun(
        folder=folder,
        config=_read_json(folder / "config.json"),
        summary=_read_json(folder / "summary.json") if (folder / "summary.json").is_file() else None,
        metrics=metrics,
        evaluations=evaluations[evaluations["update"].isin([0, *metrics["update"]])].reset_index(drop=True),
        episodes=pd.concat(episodes, ignore_index=True) if episodes else _episode_table(_nothing(), _token_table(_nothing())),
        tokens=pd.concat(tokens, ignore_index=True) if tokens else _token_table(_nothing()),
    )


def _read_json(file: Path) -> dict[str, Any]:
    try:
        data = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise LoadError(f"{file} cannot be read as JSON: {error}.") from error
    if not isinstance(data, dict):
        raise LoadError(f"{file} holds no configuration or summary of a run but {type(data).__name__}.")
    return data


def _table(file: Path) -> pd.DataFrame:
    """Read the whole lines of metrics or evaluations; a run that is killed while it writes leaves a piece of one."""
    try:
        text = file.read_text(encoding="utf-8") if file.is_file() else ""
        whole = text[: text.rfind("\n") + 1] or "update\n"
        table = pd.read_csv(StringIO(whole), dtype={"update": np.int64, "alarm": str}, keep_default_na=True)
    except (OSError, ValueError) as error:
        raise LoadError(f"{file} cannot be read as the {file.stem} of a run: {error}.") from error
    if "update" not in table:
        raise LoadError(f'{file} holds no {file.stem} of a run: it lacks the column "update".')
    return table


def _read_part(file: Path, phase: str) -> pd.DataFrame:
    """Read one file of episodes and check that it is one."""
    try:
        frame = pd.read_parquet(file)
    except (OSError, ValueError) as error:
        raise LoadError(f"{file} cannot be read as parquet: {str(error).rstrip('.')}; it may be cut off.") from error
    for name in (*_EPISODE, *_BY_TOKEN):
        if name not in frame and name not in _OPTIONAL:
            raise LoadError(f'{file} holds no episodes of a run: it lacks the column "{name}".')
    for name in (name for name in _BY_TOKEN if name in frame):
        if [np.shape(values) for values in frame[name]] != [(length,) for length in frame["length"]]:
            raise LoadError(f'{file} holds no episodes of a run: its lists "{name}" are not as long as the episodes.')
    frame.insert(0, "phase", pd.Series(pd.Categorical([phase] * len(frame), PHASES)))
    return frame


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
