"""What `textenv train ID` makes of every environment: the tables of docs/environments.md and a line of every card.

Run: python -m benchmarks.suite [--only ID ...] [--seeds 3]
Then: python -m benchmarks.suite --table --cards
To read: python -m benchmarks.suite --texts ID

Every run is a folder under runs/suite, and what has been measured of it lies in it. A suite that was stopped
goes on where it was, and what is finished there is not done again: it is measured anew where this file or the strangers
have changed, and refused where the code or the assets have changed with which it was trained.
"""

import functools
import json
import math
import os
import statistics
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # before torch: idle threads sleep

import numpy as np
import pandas as pd
import tyro
from numpy.typing import NDArray
from rich.console import Console
from scipy.special import logsumexp

from benchmarks import strangers
from benchmarks.fingerprint import code_hash, training_hash
from benchmarks.harness import ROOT, machine
from benchmarks.strangers import stranger_of
from benchmarks.suite_page import Record, not_improved, tables, texts_to_read, write_cards, write_page
from textenv.commands import players
from textenv.commands.output import hide_loading_bars
from textenv.commands.players import Player, PlayerConfig, load_player
from textenv.envs import exact
from textenv.envs.exact import ExactMDP
from textenv.envs.registry import BUILT_IN, find_id
from textenv.errors import ArgumentError, TextenvError
from textenv.files import read_json, replacing
from textenv.reports.evaluation import clusters, standard_error
from textenv.rewards.protocol import call_reward
from textenv.rollouts.collect import collect
from textenv.training import TrainConfig, config_of, train

RESULTS: Final = ROOT / "benchmarks" / "results" / "suite.json"
PAGE: Final = ROOT / "docs" / "environments.md"
RUNS: Final = ROOT / "runs" / "suite"

BINS: Final = 10
TEXTS: Final = 30
"""Read per environment, of the first seed."""
SAMPLES: Final = 64
"""Of the reference per evaluated prompt, from which the attainable is estimated."""
AT_ONCE: Final = 16
"""Prompts whose samples are in memory together; only their scores are kept."""
MEASURED: Final = "measured.json"
"""In the folder of a run."""
MEASURED_BY: Final = code_hash(Path(__file__), Path(strangers.__file__), Path(exact.__file__), Path(players.__file__))
"""Of the code that makes `MEASURED`."""


@functools.cache
def code_of(id: str) -> str:
    """Hash the code that a training hangs on, once: whoever edits it meanwhile does not change what is loaded."""
    return training_hash(id)


# A run


def run_config(id: str, seed: int, out: Path, episodes: int | None) -> TrainConfig:
    """Configure a run as `textenv train ID --seed SEED --out OUT --resume` does."""
    given: dict[str, Any] = {} if episodes is None else {"episodes": episodes}
    return config_of(id, seed=seed, out=out, resume=True, **given)


def check_code(folder: Path, code: str) -> None:
    """Note the code with which a run is trained, in a file beside its folder, or refuse a run that was trained with other code.

    Args:
        folder: of the run, which takes no files of others before it begins.
        code: see `training_hash`.

    Raises:
        ArgumentError: a run is there, and was trained with other code or assets, or nobody noted with which.
    """
    note = folder.with_name(f"{folder.name}.code")
    if not (folder / "config.json").is_file():
        note.parent.mkdir(parents=True, exist_ok=True)
        note.write_text(f"{code}\n", encoding="utf-8")
    elif not note.is_file() or note.read_text(encoding="utf-8").strip() != code:
        raise ArgumentError(f"{folder} was trained with other code or assets than there are now; remove it, or choose another --runs.")


def measure_run(config: TrainConfig, console: Console | None = None) -> dict[str, Any]:
    """Train, and measure what the evaluations wrote; a run that has been measured by this code is only read.

    Args:
        config: with a folder.
        console: for messages and progress, by default stderr.

    Returns:
        seed; episodes; seconds of training; before, after and best, the measures of `reports.evaluation.summarise`
        of the evaluations and of the best of 16 before training, the first two with those of the stranger; errors,
        the standard error of the change of score, judge and stranger, paired by prompt; attainable, see `attainable`;
        scores before training; texts, see `choose_texts`; measured_by, `MEASURED_BY`.

    Raises:
        ArgumentError: the run was trained with other code, see `check_code`.
    """
    assert config.out is not None
    check_code(config.out, code_of(config.env))
    train(config, console, results=Console(quiet=True))  # which only reads a run that is finished
    file = config.out / MEASURED
    stored: dict[str, Any] = read_json(file) if file.is_file() else {}
    if stored.get("measured_by") == MEASURED_BY:
        return stored
    summary: dict[str, Any] = read_json(config.out / "summary.json")
    # Scores are what they are without a potential, which would be asked at every token.
    player = load_player(PlayerConfig(policy=str(config.out), env=config.env), config.num_envs, potential=None)
    frames = {when: pd.read_parquet(config.out / "evaluation" / f"{when}.parquet") for when in ("before", "after")}
    rows = {when: _finite(summary["table"][when]) for when in frames}
    for when, frame in frames.items():
        for name, values in ask_stranger(config.env, player, frame).items():
            frame[name] = values
            mean, error = mean_of_spoken(frame[name], frame["prompt_index"])
            rows[when] |= _finite({name: mean, f"{name}_se": error})
    before, after = frames.values()
    measures = [name for name in map(str, before) if name in ("score", "judge") or name.startswith("stranger")]
    errors = {name: mean_of_spoken(after[name] - before[name], before["prompt_index"])[1] for name in measures}
    measured = {
        "seed": config.seed,
        "episodes": summary["episodes"],
        "seconds": summary["train_seconds"],
        **rows,
        "best": _finite(summary["table"]["best of 16"]),
        "errors": _finite(errors),
        "attainable": attainable(player, before["prompt_index"].to_numpy(), config.algorithm.kl_coef),
        "scores": before["score"].tolist(),
        "texts": choose_texts(before, after),
        "measured_by": MEASURED_BY,
    }
    with replacing(file) as new:
        new.write_text(json.dumps(measured, allow_nan=False) + "\n", encoding="utf-8")
    return measured


def _finite(row: Mapping[str, float | None]) -> dict[str, float]:
    return {name: value for name, value in row.items() if value is not None and math.isfinite(value)}


def ask_stranger(id: str, player: Player, episodes: pd.DataFrame) -> dict[str, NDArray[np.float64]]:
    """Let the stranger score n episodes: (n,) as "stranger", and of each part of it as "stranger_NAME"; NaN where it does not speak."""
    stranger = stranger_of(id)
    if stranger is None:
        return {}
    rules = player.envs.unwrapped.rules
    index = episodes["prompt_index"].to_numpy()
    spoken = np.ones(len(index), dtype=np.bool_)
    if stranger.only is not None:
        column, value = stranger.only
        spoken = np.array([rules.prompts.columns[column][prompt] == value for prompt in index], dtype=np.bool_)
    scored = call_reward(stranger.score, *rules.asked(episodes["completion"][spoken].tolist(), index[spoken]))
    named = {"stranger": scored.scores, **{f"stranger_{name}": values for name, values in scored.parts.items()}}
    scores = {name: np.full(len(index), np.nan) for name in named}
    for name, values in named.items():
        scores[name][spoken] = values
    return scores


def mean_of_spoken(values: pd.Series, prompt_index: pd.Series) -> tuple[float, float]:
    """Return the mean of n values that are not NaN, and its standard error over their prompts; NaN where there are none."""
    spoken = values.notna().to_numpy()
    if not spoken.any():
        return math.nan, math.nan
    present = values.to_numpy(np.float64)[spoken]
    return float(present.mean()), standard_error(present, clusters(prompt_index.to_numpy()[spoken]))


def attainable(player: Player, evaluated: NDArray[np.int64], kl_coef: float) -> dict[str, float]:
    """Compute by how much E[score] - β KL can exceed its value under the reference: exactly in a toy, else estimated.

    Args:
        player: its reference is sampled.
        evaluated: prompts of the evaluation; each counts once, however often it was played.
        kl_coef: β; nothing is computed for 0, where the KL costs nothing.

    Returns:
        beta; prompts, how many; reference, the mean score; and optimum, J*. Where they are estimated, also samples per prompt,
        and half, J* as half of the samples estimate it: it is lower, and the difference shows how far both are from the limit.
    """
    if kl_coef <= 0:
        return {}
    prompts = pd.unique(evaluated)
    rules = player.envs.unwrapped.rules
    if rules.task.model is None:
        mdp = ExactMDP(rules, player.reference)
        # The states of the first level are the prompts.
        starts = mdp.values(mdp.reference, kl_coef)[0].numpy()[prompts]
        return _bounds(kl_coef, starts, mdp.solve(kl_coef).values[0].numpy()[prompts])
    scores = reference_scores(player, prompts)
    half = float(optimum(scores[:, : SAMPLES // 2], kl_coef).mean())
    return {**_bounds(kl_coef, scores.mean(1), optimum(scores, kl_coef)), "half": half, "samples": SAMPLES}


def _bounds(kl_coef: float, starts: NDArray[np.float64], optima: NDArray[np.float64]) -> dict[str, float]:
    """Reduce J_ref and J* of each prompt, both (prompts,)."""
    return {"beta": kl_coef, "reference": float(starts.mean()), "optimum": float(optima.mean()), "prompts": len(starts)}


def reference_scores(player: Player, prompts: NDArray[np.int64]) -> NDArray[np.float64]:
    """Let the reference answer each prompt `SAMPLES` times and return the scores: (prompts, samples)."""
    scores = []
    for start in range(0, len(prompts), AT_ONCE):
        index = np.repeat(prompts[start : start + AT_ONCE], SAMPLES)
        # A seed for each part, or all parts would share their draws.
        episodes = collect(player.reference, player.envs, len(index), seed=start, prompt_index=index)
        scores.append(episodes.scores.double().numpy().reshape(-1, SAMPLES))
    player.reference.cache.clear()
    return np.concatenate(scores)


def optimum(scores: NDArray[np.float64], kl_coef: float) -> NDArray[np.float64]:
    """Estimate J* = β log E[exp(score/β)], the greatest E[score] - β KL, of each prompt from samples of the reference: (prompts,).

    π*(y|x) ∝ π_ref(y|x) exp(score/β) attains it. The mean in place of the expectation makes the estimate low for few
    samples: it cannot exceed the best score that was drawn, nor can its KL exceed log k.

    >>> optimum(np.array([[0.0, 1.0]]), 0.1).round(4).tolist()
    [0.9307]

    Args:
        scores: (prompts, k).
        kl_coef: β > 0.
    """
    means: NDArray[np.float64] = kl_coef * (logsumexp(scores / kl_coef, axis=1) - math.log(scores.shape[1]))
    return means


def choose_texts(before: pd.DataFrame, after: pd.DataFrame) -> list[dict[str, Any]]:
    """Choose texts by lot, the same prompts before and after, so that nobody can pick what suits.

    Returns:
        For each: prompt, and before and after, each with completion, score, and judge and stranger where there are any.
    """
    rows = np.random.default_rng(0).permutation(len(before))[:TEXTS]
    texts = []
    for row in rows.tolist():
        sides = {"before": before.iloc[row], "after": after.iloc[row]}
        text: dict[str, Any] = {"prompt": before["prompt"].iloc[row]}
        for when, side in sides.items():
            scores = {name: float(side[name]) for name in ("score", "judge", "stranger") if name in side}
            text[when] = {"completion": side["completion"], **{name: round(value, 3) for name, value in _finite(scores).items()}}
        texts.append(text)
    return texts


# An environment


def measure_environment(id: str, seeds: int, runs: Path, episodes: int | None = None) -> Iterator[dict[str, Any]]:
    """Train with every seed, and yield after each what is known so far.

    Yields:
        device, threads and versions; runs, what `measure_run` returns but for scores, texts and measured_by; histogram, see
        `histogram`, of all scores before training; texts of the first seed.
    """
    done: list[dict[str, Any]] = []
    for seed in range(seeds):
        done.append(measure_run(run_config(id, seed, runs / f"{id.replace(':', '-')}-{seed}", episodes)))
        scores = [score for run in done for score in run["scores"]]
        rows = [{name: value for name, value in run.items() if name not in ("scores", "texts", "measured_by")} for run in done]
        yield {**machine(), "runs": rows, "histogram": histogram(scores), "texts": done[0]["texts"]}


def histogram(scores: Sequence[float]) -> dict[str, Any]:
    """Count scores in ten equal bins: from 0 to 1 where all lie there, else from the lowest to the highest, rounded outward.

    >>> histogram([0.05, 0.5, 0.55, 1.0])
    {'mean': 0.525, 'low': 0, 'high': 1, 'percent': [25, 0, 0, 0, 0, 50, 0, 0, 0, 25]}
    """
    low, high = min(scores), max(scores)
    inside = low >= 0 and high <= 1
    edges = (0, 1) if inside else (math.floor(10 * low) / 10, math.ceil(10 * high) / 10)
    counts, _ = np.histogram(scores, bins=BINS, range=edges)
    percent = [round(100 * count / len(scores)) for count in counts.tolist()]
    return {"mean": statistics.fmean(scores), "low": edges[0], "high": edges[1], "percent": percent}


def read_results(file: Path) -> dict[str, Record]:
    """Read records by id; none where there is no file."""
    results: dict[str, Record] = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    return results


def merge(file: Path, records: Mapping[str, Record]) -> dict[str, Record]:
    """Write records by id, and keep those of other ids that the file has."""
    merged = dict(sorted({**read_results(file), **records}.items()))
    file.parent.mkdir(parents=True, exist_ok=True)
    with replacing(file) as new:
        new.write_text(json.dumps(merged, indent=1, allow_nan=False, ensure_ascii=False) + "\n", encoding="utf-8")
    return merged


def show(results: Mapping[str, Record], table: bool, cards: bool, texts: str | None) -> None:
    """Write page and cards, and print texts, as the options of `main` say."""
    if table:
        write_page(results, PAGE)
    if cards:
        write_cards(results)
    if texts is not None:
        if "texts" not in results.get(texts, {}):
            raise ArgumentError(f"No texts of {texts} have been kept; measure it with --only {texts}.")
        print(texts_to_read(results[texts]))


def main(
    only: tuple[str, ...] = (),
    seeds: int = 3,
    episodes: int | None = None,
    table: bool = False,
    cards: bool = False,
    texts: str | None = None,
    out: Path = RESULTS,
    runs: Path = RUNS,
) -> None:
    """Measure environments one after the other and keep the results, or show what is kept.

    Args:
        only: ids to measure; the others keep their results.
        seeds: runs of each, of the seeds from 0 on.
        episodes: to learn from, in place of the environment's own number.
        table: write the tables of docs/environments.md, and measure nothing.
        cards: write the line of every card, and measure nothing.
        texts: print the thirty texts of this id, and measure nothing.
        out: file of the results.
        runs: folder of the runs; what is finished in it is not done again.
    """
    if table or cards or texts is not None:
        show(read_results(out), table, cards, texts)
        return
    if seeds < 1:
        raise ArgumentError(f"seeds must be at least 1, got {seeds}.")
    for id in only:
        find_id(id)
    for id in only or BUILT_IN:
        code_of(id)
    hide_loading_bars()
    measured, failed = dict[str, Record](), list[str]()
    for id in only or BUILT_IN:
        try:
            for record in measure_environment(id, seeds, runs, episodes):
                measured[id] = record
                merge(out, {id: record})
        except TextenvError as error:
            failed.append(f"{id}: {error}")
    print(tables(measured), *failed, *not_improved(measured), sep="\n")
    if failed or not_improved(measured):
        sys.exit(1)


if __name__ == "__main__":
    tyro.cli(main)
