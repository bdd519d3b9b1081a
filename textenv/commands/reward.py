"""`textenv reward`."""

import dataclasses
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from tyro.conf import Positional

from textenv.agents.reward_model import RewardModel, RewardModelConfig, fit_reward_model
from textenv.commands.doubts import UNFITTED, warn
from textenv.commands.output import hide_loading_bars, messages, print_json, results
from textenv.commands.players import PlayerConfig, load_player
from textenv.errors import ArgumentError, did_you_mean
from textenv.models.policy import Precision
from textenv.preferences.accuracy import human_agreement, judged
from textenv.preferences.calibration import ENOUGH_GROUPS
from textenv.preferences.comparison import Comparison
from textenv.preferences.loading import load_comparisons
from textenv.preferences.tables import group_names, part_of
from textenv.reports.fitted import into_new_folder, write_fitted
from textenv.rollouts.collect import collect

SHARES: Final = (0.125, 0.25, 0.5)
"""Of the comparisons, that the learning curve is drawn with, beside all."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class RewardConfig:
    """What to make a reward model of."""

    comparisons: Positional[str]
    """A comparison store, or a .csv, .tsv, .json, .jsonl or .parquet file (or .gz) in textenv's, TRL's or HH-RLHF's format."""
    model: str = "tiny-en"
    """What it starts from, a causal language model or an encoder: an embedded name, a local folder, that of a run, or a hub id."""
    out: Path = Path("runs/reward")
    """Folder, new or empty; afterwards what `reward=` and `--reward` take."""
    env: str | None = None
    """Environment in which the reference policy plays for the mean 0 and the deviation 1; by default the responses are taken for its."""
    policy: str | None = None
    """Reference policy in `env`; by default the model."""
    episodes: int = 256
    """Episodes that it plays."""
    hold_out_annotators: tuple[str, ...] = ()
    """Annotators whose judgements are not learnt from: whether the model predicts people who gave it no training data."""
    curve: bool = False
    """Fit to 1/8, 1/4 and 1/2 of the comparisons as well: accuracy against their number, for twice the time."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where the model is."""
    precision: Precision = "fp32"
    """Of forward passes of training: fp32, or bf16 by autocast."""
    fitting: RewardModelConfig = dataclasses.field(default_factory=RewardModelConfig)
    """How it is fitted."""

    def __post_init__(self) -> None:
        if self.episodes < 2:
            raise ArgumentError(f"episodes must be at least 2, got {self.episodes}.")
        if self.policy is not None and self.env is None:
            raise ArgumentError("policy plays in an environment; give its id as env, or leave policy out.")
        if self.curve and not self.fitting.held_out:
            raise ArgumentError("The curve is of held-out accuracies, but held_out is 0.")
        if self.device == "cuda" and not torch.cuda.is_available():
            raise ArgumentError("device is cuda, but torch sees no GPU; use --device cpu.")


@into_new_folder
def make_reward_model(config: RewardConfig, console: Console) -> dict[str, Any]:
    """Fit, measure, bring to mean 0 and standard deviation 1, and write `out`.

    Args:
        config: what to make it of.
        console: for messages.

    Returns:
        What stands in `summary.json`: `comparisons` given, those `learnt` from, `loss`, `steps`, `best_step`, `seconds`, `nu`, `gain` and
        `bias`; of what was held out all of `textenv.preferences.accuracy.judged`, and `scale_error`; `others`, the same of the annotators
        that were held out, None without them; `people_agree` with its interval where annotators overlap; the rows of the
        `curve`; and `doubts`, sentences that say why not to trust it.

    Raises:
        ArgumentError: the folder is taken, there are no comparisons that say something, an annotator who is to be held out
            is not among them or is alone, or environment and policy do not fit.
        LoadError: the store or a model cannot be loaded.
        SaveError: the folder cannot be written.
    """
    comparisons, others = parted(load_comparisons(config.comparisons), config.hold_out_annotators)
    seen = _texts(config, comparisons)
    rows = _curve(config, comparisons, console) if config.curve else []
    console.print(f"Fitting {config.model} to {len(comparisons)} comparisons …", soft_wrap=True, markup=False)
    made = _fitted(config, comparisons, console)
    measured = _measured(made, made.unseen)
    doubts = _doubts(made, measured, config.fitting.held_out)
    for doubt in doubts:
        warn(console, doubt)
    made.set_mean_and_sd(np.asarray(made.reward(*seen)))
    agree = human_agreement([*comparisons, *others])
    summary = {
        "comparisons": len(comparisons),
        "learnt": made.learnt,
        "loss": config.fitting.loss,
        "steps": made.fitted.steps,
        "best_step": made.fitted.best_step,
        "seconds": made.fitted.history[-1]["seconds"],
        "nu": made.nu,
        "gain": made.gain,
        "bias": made.bias,
        "scale_error": made.scale_error,
        **measured,
        "others": _measured(made, unlearnt(others, comparisons, made.unseen)) if others else None,
        "people_agree": None if agree is None else agree._asdict(),
        "curve": [*rows, _point(made, measured)] if rows else [],
        "doubts": doubts,
    }
    history = made.fitted.history
    write_fitted(config.out, config=dataclasses.asdict(config), history=history, summary=summary, save_model=made.save)
    console.print(f"Written to {config.out}; it is what --reward {config.out} takes.", soft_wrap=True, markup=False)
    return summary


def parted(comparisons: Sequence[Comparison], held_out: Sequence[str]) -> tuple[list[Comparison], list[Comparison]]:
    """Part comparisons into those to learn from and those of annotators who are held out.

    Raises:
        ArgumentError: an annotator has judged nothing, or nobody else has.
    """
    annotators = {comparison.annotator for comparison in comparisons}
    for name in held_out:
        if name not in annotators:
            raise ArgumentError(f'No comparison is by the annotator "{name}".{did_you_mean(name, sorted(annotators))}')
    if held_out and annotators <= set(held_out):
        raise ArgumentError("All annotators are held out, so there is nobody to learn from; name fewer.")
    others = [comparison for comparison in comparisons if comparison.annotator in held_out]
    return [comparison for comparison in comparisons if comparison.annotator not in held_out], others


def unlearnt(others: Sequence[Comparison], own: Sequence[Comparison], unseen: Sequence[Comparison]) -> list[Comparison]:
    """Keep those of others' comparisons whose group, see `group_names`, a model has not learnt from.

    Nobody judged it for training, or it was held out.
    """
    names, kept = group_names([*own, *others]), set(unseen)
    learnt = {name for name, comparison in zip(names, own, strict=False) if comparison not in kept}
    return [comparison for name, comparison in zip(names[len(own) :], others, strict=True) if name not in learnt]


def _doubts(made: RewardModel, measured: dict[str, Any], held_out: float) -> list[str]:
    """Say in sentences why a reward model is not to be trusted, if it is not."""
    if not held_out:
        return ["Nothing was held out, so it cannot be said whether it is better than chance; leave --held-out at 0.2 to see."]
    # Of two halves of the held-out part one sets the scale and the other is reported on.
    enough = math.ceil(2 * ENOUGH_GROUPS / held_out)
    doubts = list[str]()
    if made.fitted.best_step == 0:
        doubts.append(f"{UNFITTED} Its head is random; do not train on it.")
    if not measured:
        doubts.append("The half that is reported on holds no pair in which one response is better. Do not train on it.")
    elif measured["accuracy_low"] <= 0.5:
        doubts.append(
            f"It puts {measured['accuracy']:.3f} of {measured['pairs']} held-out pairs into their order, and the 95 % interval,"
            f" {measured['accuracy_low']:.3f} to {measured['accuracy_high']:.3f}, reaches down to chance, which is 0.5."
            f" Do not train on it; give more judgements, of about {enough} prompts."
        )
    if math.isnan(made.scale_error):
        doubts.append(
            f"Its scale is as the fit left it, since fewer than {ENOUGH_GROUPS} held-out prompts are there to set it by, or they"
            f" are ordered no better than by chance: do not read its differences as log-odds. About {enough} prompts are enough."
        )
    return doubts


def _texts(config: RewardConfig, comparisons: Sequence[Comparison]) -> tuple[list[str], list[str]]:
    """Prompts and responses whose scores get the mean 0 and the deviation 1."""
    if config.env is None:
        different = dict.fromkeys((comparison.prompt, text) for comparison in comparisons for text in comparison.responses)
        return [prompt for prompt, _ in different], [text for _, text in different]
    player = PlayerConfig(policy=config.policy or config.model, env=config.env, device=config.device, seed=config.fitting.seed)
    policy, _, envs = load_player(player, config.episodes)
    episodes = collect(policy, envs, config.episodes, seed=config.fitting.seed)
    if len(set(zip(episodes.prompts, episodes.completions, strict=True))) < 2:
        raise ArgumentError(f"The reference policy writes one text only in {config.env}, whose scores have no deviation; leave env out.")
    return episodes.prompts, episodes.completions


def _fitted(config: RewardConfig, comparisons: Sequence[Comparison], console: Console) -> RewardModel:
    device = ("cuda" if torch.cuda.is_available() else "cpu") if config.device == "auto" else config.device

    def tell(row: dict[str, float]) -> None:
        told = [f"epoch {row['epoch']:.1f}", *(f"{name} {row[key]:.3f}" for key, name in _TOLD.items() if key in row)]
        console.print("  ".join(told), highlight=False)

    return fit_reward_model(comparisons, config.model, config.fitting, device=device, precision=config.precision, on_row=tell)


_TOLD: Final = {"loss": "loss", "held_out_loss": "held-out loss", "held_out_accuracy": "held-out accuracy"}


def _measured(made: RewardModel, comparisons: Sequence[Comparison]) -> dict[str, Any]:
    pairs = made.pairs(comparisons)
    return judged(pairs) if len(pairs.differences) else {}


def _curve(config: RewardConfig, comparisons: Sequence[Comparison], console: Console) -> list[dict[str, Any]]:
    rows = []
    for share in SHARES:
        console.print(f"Fitting {config.model} to {share:g} of the comparisons …", soft_wrap=True, markup=False)
        made = _fitted(config, part_of(comparisons, config.fitting.held_out, share), console)
        rows.append(_point(made, _measured(made, made.unseen)))
    return rows


def _point(made: RewardModel, measured: dict[str, Any]) -> dict[str, Any]:
    return {"comparisons": made.learnt, **{name: measured.get(name) for name in ("accuracy", "accuracy_low", "accuracy_high")}}


def _tables(summary: dict[str, Any], name: str) -> list[Table]:
    """Show what is in a summary."""

    def interval(found: dict[str, Any], low: str, high: str) -> str:
        return "" if found[low] is None else f"{found[low]:.3f} to {found[high]:.3f}"

    def share(value: float | None) -> str:
        return "" if value is None else f"{value:.3f}"

    held_out = f"{summary.get('pairs', 0)} pairs of {summary.get('groups', 0)} prompts that it has not seen"
    first = Table(
        "measure", "value", "95 % interval", title=name, caption=f"Learnt from {summary['learnt']} comparisons; held out: {held_out}."
    )
    tables = [first]
    if "accuracy" in summary:
        first.add_row("held-out accuracy, share of pairs", share(summary["accuracy"]), interval(summary, "accuracy_low", "accuracy_high"))
        first.add_row("held-out log loss, nats a pair", f"{summary['log_loss']:.3f}", "")
        first.add_row("expected calibration error", f"{summary['calibration_error']:.3f}", "")
        slope = summary["calibration_slope"]
        first.add_row("calibration slope, 1 is right", f"{slope:.2f}", _factor(slope, summary["calibration_slope_se"]))
        second = Table("pairs", "how sure it is", "how often it is right", title="reliability")
        for found in summary["reliability"]:
            second.add_row(str(found["n"]), f"{found['expected']:.3f}", f"{found['right']:.3f}")
        tables.append(second)
    if summary["others"]:
        others = summary["others"]
        first.add_row(
            f"the same of held-out annotators, {others['pairs']} pairs",
            share(others["accuracy"]),
            interval(others, "accuracy_low", "accuracy_high"),
        )
    if summary["people_agree"] is not None:
        first.add_row(
            "two annotators agree, share of pairs",
            f"{summary['people_agree']['rate']:.3f}",
            interval(summary["people_agree"], "low", "high"),
        )
    if summary["curve"]:
        third = Table("comparisons", "held-out accuracy", "95 % interval", title="learning curve")
        for point in summary["curve"]:
            third.add_row(str(point["comparisons"]), share(point["accuracy"]), interval(point, "accuracy_low", "accuracy_high"))
        tables.append(third)
    return tables


def _factor(value: float, error: float) -> str:
    """Show the 95 % interval of a factor, which is symmetric in its logarithm; nothing where the error is not known.

    >>> _factor(1.0, 0.25), _factor(1.0, math.nan)
    ('0.61 to 1.63', '')
    """
    if math.isnan(error):
        return ""
    times = math.exp(1.96 * error / value)
    return f"{value / times:.2f} to {value * times:.2f}"


def run(config: RewardConfig, *, json: bool) -> None:
    """Make a reward model, and print how well it predicts what was held out."""
    hide_loading_bars()
    summary = make_reward_model(config, messages())
    if json:
        print_json(summary)
        return
    for table in _tables(summary, f"{config.out}: {config.fitting.loss} on {config.model}"):
        results().print(table)
