"""What every agent that learns is told, and checks of such numbers."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, Final

from textenv.errors import ArgumentError

MINIBATCH: Final = 128
"""Episodes an optimiser step, where they divide those of an update."""


@dataclass(frozen=True, kw_only=True)
class LearnerConfig:
    """What every agent that learns is told.

    Raises:
        ArgumentError: a number is out of its range, or two do not fit together.
    """

    episodes_per_update: int = 512
    """Episodes collected before each update."""
    micro_batch_size: int | None = None
    """Episodes a forward pass; gradients are accumulated over an optimiser step. None takes them at once."""
    learning_rate: float = 3e-4
    """Of Adam, with ε 1e-5 and no weight decay."""
    linear_decay: bool = True
    """Lower the learning rate linearly to 0 over the episodes that `learn` is asked for."""
    warmup_episodes: int = 0
    """Raise the learning rate linearly over the first episodes (Ouyang et al., appendix C.4, https://arxiv.org/abs/2203.02155)."""
    kl_coef: float = 0.035
    """β, in units of score a nat: the objective is E[score] - β KL(π‖π_ref)."""
    kl_target: float | None = None
    """Nats a sequence to steer β to (Ziegler's controller); None keeps β fixed."""
    kl_horizon: int = 10_000
    """Episodes in which β can change by a fifth."""
    gamma: float = 1.0
    """γ."""
    max_grad_norm: float = 1.0
    """Gradients are clipped to this Euclidean norm."""

    def __post_init__(self) -> None:
        positive = ("episodes_per_update", "learning_rate", "kl_target", "kl_horizon", "max_grad_norm")
        check_ranges(self, positive=positive, least_zero=("kl_coef", "warmup_episodes"), unit=("gamma",))
        if getattr(self, "minibatch_size", None) is None:
            check_divides(self, "micro_batch_size", "episodes_per_update")
        else:
            check_divides(self, "micro_batch_size", "minibatch_size")


def minibatch(config: Any) -> int:
    """Return the episodes of an optimiser step.

    >>> from types import SimpleNamespace
    >>> [minibatch(SimpleNamespace(minibatch_size=None, micro_batch_size=None, episodes_per_update=n)) for n in (512, 64, 192, 509)]
    [128, 64, 96, 509]

    Args:
        config: with `episodes_per_update`, `micro_batch_size` and `minibatch_size`. Where the last is None, it is the divisor of the
            first nearest to 128, by their ratio, into which whole micro-batches fit.
    """
    if config.minibatch_size is not None:
        return int(config.minibatch_size)
    total, part = config.episodes_per_update, config.micro_batch_size or 1
    sizes = [size for size in range(part, total + 1, part) if total % size == 0]
    return min(sizes, key=lambda size: abs(math.log(size / MINIBATCH)))


def settled(options: Mapping[str, Any], run: Mapping[str, Any]) -> dict[str, Any]:
    """Return an agent's options with the number that `minibatch_size` stands for where it is None.

    >>> sizes = {"episodes_per_update": 192, "micro_batch_size": None, "minibatch_size": None}
    >>> settled({"minibatch_size": None}, sizes), settled({"minibatch_size": 48}, sizes)
    ({'minibatch_size': 96}, {'minibatch_size': 48})

    Args:
        options: by name, as `config.json` holds them, of this version or an earlier one.
        run: options of the same agent that have been checked, on whose sizes the number depends.
    """
    if "minibatch_size" not in run or options.get("minibatch_size", 0) is not None:
        return dict(options)
    sizes = SimpleNamespace(**{**run, "minibatch_size": None})
    return {**options, "minibatch_size": minibatch(sizes)}


def check_ranges(config: object, *, positive: Sequence[str] = (), least_zero: Sequence[str] = (), unit: Sequence[str] = ()) -> None:
    """Refuse fields that are not positive, below 0, or not between 0 and 1.

    Raises:
        ArgumentError: one is not; a field that is None is not asked.
    """
    for name in positive:
        value = getattr(config, name)
        if value is not None and not 0 < value < math.inf:
            raise ArgumentError(f"{name} must be positive, got {value!r}.")
    for name in least_zero:
        if not 0 <= getattr(config, name) < math.inf:
            raise ArgumentError(f"{name} must be at least 0, got {getattr(config, name)!r}.")
    for name in unit:
        if not 0 <= getattr(config, name) <= 1:
            raise ArgumentError(f"{name} must be between 0 and 1, got {getattr(config, name)!r}.")


def check_choice(config: object, name: str, known: Sequence[str]) -> None:
    """Refuse a word that is none of those known.

    Raises:
        ArgumentError: it is none.
    """
    if getattr(config, name) not in known:
        words = " or ".join(f'"{word}"' for word in known)
        raise ArgumentError(f"{name} must be {words}, got {getattr(config, name)!r}.")


def check_divides(config: object, name: str, whole: str, least: int = 1) -> None:
    """Refuse a number that does not divide another one.

    Raises:
        ArgumentError: it does not, or is below `least`; None is not asked.
    """
    part, total = getattr(config, name), getattr(config, whole)
    if part is not None and (part < least or total % part):
        bound = f"be at least {least} and " if least > 1 else ""
        raise ArgumentError(f"{name}={part} must {bound}divide {whole}={total}.")
