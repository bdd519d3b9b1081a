"""Fit a model to data: shuffled passes, a cosine schedule, a held-out part, and the best weights kept.

What supervised fine-tuning, reward models and direct preference optimisation share; a method's own file says what its loss is.
"""

import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import nn

from textenv.agents.config import check_divides, check_ranges
from textenv.errors import ArgumentError, TrainingError

Sums = dict[str, torch.Tensor]
"""What a loss says of some rows: sums over them by name; `loss` is minimised, the others are reported."""


@dataclass(frozen=True, kw_only=True)
class FittingConfig:
    """How a model is fitted to rows of data.

    Raises:
        ArgumentError: a number is out of its range, or two do not fit together.
    """

    epochs: int = 3
    """Passes over the data, at most."""
    batch_size: int = 32
    """Rows an optimiser step."""
    micro_batch_size: int | None = None
    """Rows a forward pass; gradients are accumulated over an optimiser step. None takes them at once."""
    learning_rate: float = 1e-4
    """Peak of AdamW's; it rises linearly and falls as a cosine to 0."""
    warmup: float = 0.1
    """Share of the steps in which the learning rate rises."""
    weight_decay: float = 0.0
    """Of AdamW, on weight matrices."""
    max_grad_norm: float = 1.0
    """Gradients are clipped to this Euclidean norm."""
    held_out: float = 0.1
    """Share of the data that is not learnt from; 0 keeps nothing, and then the last weights are kept."""
    evaluations: int = 2
    """Evaluations on the held-out part in each pass."""
    patience: int | None = 3
    """Stop after so many evaluations in a row without a lower held-out loss; None goes to the end. The best weights are kept."""
    seed: int = 0
    """Of the order of the rows."""

    def __post_init__(self) -> None:
        check_ranges(
            self,
            positive=("epochs", "batch_size", "learning_rate", "max_grad_norm", "evaluations", "patience"),
            least_zero=("weight_decay", "seed"),
            unit=("warmup",),
        )
        if not 0 <= self.held_out < 1:
            raise ArgumentError(f"held_out must be at least 0 and below 1, got {self.held_out!r}.")
        check_divides(self, "micro_batch_size", "batch_size")


class Fitted(NamedTuple):
    """What came of fitting."""

    history: list[dict[str, float]]
    """A row an evaluation: step, epoch, learning_rate, seconds, the training terms' means since the last row, `held_out_NAME`.

    With a held-out part the first row is of the start, without training terms."""
    steps: int
    """Optimiser steps taken."""
    best_step: int
    """Step whose weights were kept; 0 is the start."""
    stopped_early: bool
    """Whether `patience` ended it."""

    def outline(self) -> dict[str, float]:
        """Tell the steps, the seconds, and each measure of the held-out part before and after."""
        told: dict[str, float] = {"steps": self.steps, "best_step": self.best_step, "stopped_early": self.stopped_early}
        told["seconds"] = self.history[-1]["seconds"]
        first, best = self.history[0], next(row for row in self.history if row["step"] == self.best_step)
        for name in first:
            if name.startswith("held_out_"):
                told |= {f"{name}_before": first[name], f"{name}_after": best[name]}
        return told


def fit(
    module: nn.Module,
    rows: int,
    loss: Callable[[torch.Tensor], Sums],
    config: FittingConfig,
    *,
    size: Callable[[torch.Tensor], float] = len,
    evaluate: Callable[[], Mapping[str, float]] | None = None,
    on_row: Callable[[dict[str, float]], None] | None = None,
) -> Fitted:
    """Fit the parameters of a module that require a gradient.

    The module stays in evaluation mode, in which no class of model drops anything out.

    Args:
        module: is changed in place; it ends in evaluation mode with the best weights, those at the start among them.
        rows: how many there are to learn from.
        loss: maps indices of rows to sums of terms over them, `loss` with a gradient.
        config: see `FittingConfig`.
        size: maps indices of rows to what the sums are divided by, such as their number or that of their tokens.
        evaluate: tells measures of the held-out part, `loss` among them; None where there is none.
        on_row: is called with each row of the history as it comes.

    Raises:
        ArgumentError: there are no rows, or no weights that can be trained.
        TrainingError: the gradient is not finite.
    """
    if rows < 1:
        raise ArgumentError("No rows are left to learn from beside the held-out part; give more data or a smaller held_out.")
    parameters = check_trainable(module)
    optimiser = _optimiser(parameters, config)
    a_pass = math.ceil(rows / config.batch_size)
    total, every = a_pass * config.epochs, max(1, a_pass // config.evaluations)
    history = list[dict[str, float]]()
    started, sums, sizes = time.perf_counter(), dict[str, float](), 0.0

    def look(step: int, rate: float) -> float:
        """Write a row of the history and tell its held-out loss, or without a held-out part one lower than the last."""
        module.eval()
        with torch.no_grad():
            found = {f"held_out_{name}": float(value) for name, value in evaluate().items()} if evaluate else {}
        when = {"step": float(step), "epoch": step / a_pass, "learning_rate": rate, "seconds": round(time.perf_counter() - started, 3)}
        history.append({**when, **{name: value / sizes for name, value in sums.items()}, **found})
        if on_row is not None:
            on_row(history[-1])
        return _checked(found.get("held_out_loss", -step))

    best, best_step, best_loss, since = _copied(parameters), 0, look(0, 0.0) if evaluate else math.inf, 0
    step = 0
    for step, chosen in enumerate(_batches(rows, config), 1):
        rate = config.learning_rate * scheduled(step - 1, total, config.warmup)
        for group in optimiser.param_groups:
            group["lr"] = rate
        module.eval()
        told, divided = _take_step(parameters, optimiser, chosen, loss, size, config)
        sums, sizes = {name: sums.get(name, 0.0) + value for name, value in told.items()}, sizes + divided
        if step % every and step < total:
            continue
        since, held_out = since + 1, look(step, rate)
        sums, sizes = {}, 0.0
        if held_out < best_loss:
            best, best_step, best_loss, since = _copied(parameters), step, held_out, 0
        if config.patience is not None and since >= config.patience:
            break
    with torch.no_grad():
        for parameter, value in zip(parameters, best, strict=True):
            parameter.copy_(value)
    module.eval()
    return Fitted(history, step, best_step, step < total)


def check_trainable(module: nn.Module) -> list[nn.Parameter]:
    """Return the parameters that require a gradient.

    Args:
        module: a model, or a policy, whose value head does not count as a weight of the model.

    Raises:
        ArgumentError: there are none, or some are of less precision than float32. Half-precision weights round most small steps away.
    """
    trained = {name: parameter for name, parameter in module.named_parameters() if parameter.requires_grad}
    if all(name.startswith("value_head.") for name in trained):
        raise ArgumentError("No weight of the model requires a gradient, so nothing can be trained; set requires_grad on those to train.")
    for name, parameter in trained.items():
        if parameter.dtype.itemsize < 4:
            raise ArgumentError(
                f"The weight {name} is {parameter.dtype}, which rounds small steps of training away; load the model with "
                "dtype=torch.float32, or freeze such weights and train float32 adapters beside them."
            )
    return list(trained.values())


def _optimiser(parameters: list[nn.Parameter], config: FittingConfig) -> torch.optim.Optimizer:
    """AdamW, with weight decay on matrices."""
    decayed = [parameter for parameter in parameters if parameter.ndim >= 2]
    others = [parameter for parameter in parameters if parameter.ndim < 2]
    groups: list[dict[str, Any]] = [{"params": decayed, "weight_decay": config.weight_decay}, {"params": others, "weight_decay": 0.0}]
    return torch.optim.AdamW([group for group in groups if group["params"]], lr=config.learning_rate, betas=(0.9, 0.95), fused=True)


def _batches(rows: int, config: FittingConfig) -> Iterator[torch.Tensor]:
    """Indices of rows, all of them in a new order in each pass."""
    order = np.random.default_rng(config.seed)
    for _ in range(config.epochs):
        yield from torch.from_numpy(order.permutation(rows)).split(config.batch_size)


def _copied(parameters: list[nn.Parameter]) -> list[torch.Tensor]:
    return [parameter.detach().clone() for parameter in parameters]


def _checked(held_out: float) -> float:
    """Refuse a held-out loss that is no number, which would be lower than none and leave the weights as they were."""
    if math.isnan(held_out):
        raise TrainingError("The held-out loss is no number; lower learning_rate or max_grad_norm.")
    return held_out


def _take_step(
    parameters: list[nn.Parameter],
    optimiser: torch.optim.Optimizer,
    chosen: torch.Tensor,
    loss: Callable[[torch.Tensor], Sums],
    size: Callable[[torch.Tensor], float],
    config: FittingConfig,
) -> tuple[dict[str, float], float]:
    """Take one step of the optimiser; returns the sums of the terms and what they are to be divided by."""
    optimiser.zero_grad(set_to_none=True)
    whole, sums = float(size(chosen)), dict[str, torch.Tensor]()
    for part in chosen.split(config.micro_batch_size or len(chosen)):
        terms = loss(part)
        terms["loss"].div(max(whole, 1e-12)).backward()
        for name, value in terms.items():
            sums[name] = sums.get(name, 0.0) + value.detach().float()
    norm = torch.nn.utils.clip_grad_norm_(parameters, config.max_grad_norm)
    if not torch.isfinite(norm):
        raise TrainingError("The gradient is not finite; lower learning_rate or max_grad_norm.")
    optimiser.step()
    return dict(zip(sums, torch.stack(list(sums.values())).tolist(), strict=True)), whole


def scheduled(step: int, total: int, warmup: float) -> float:
    """Share of the peak learning rate at a step: a linear rise, then half a cosine down to 0.

    >>> [round(scheduled(step, 10, 0.2), 2) for step in range(10)]
    [0.5, 1.0, 1.0, 0.96, 0.85, 0.69, 0.5, 0.31, 0.15, 0.04]

    Args:
        step: from 0 to total - 1.
        total: steps.
        warmup: share of them in which it rises.
    """
    rising = math.ceil(warmup * total)
    if step < rising:
        return (step + 1) / rising
    return 0.5 * (1 + math.cos(math.pi * (step - rising) / max(1, total - rising)))
