"""What the commands share that fit a policy to data: the model that they start from, and how they tell how it goes."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, Literal

import torch
from rich.console import Console
from rich.table import Table

from textenv.errors import ArgumentError
from textenv.models.lora import add_lora
from textenv.models.policy import LanguagePolicy, Precision
from textenv.terminal import plain, say


@dataclasses.dataclass(frozen=True, kw_only=True)
class StartConfig:
    """Which policy is fitted, and where."""

    model: str = "tiny-en"
    """What it starts from: an embedded name, a local folder, that of a run among them, or a hub id."""
    lora_rank: int | None = None
    """Rank of LoRA adapters, through peft; None trains all weights."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where the model is."""
    precision: Precision = "fp32"
    """Of forward passes: fp32, or bf16 by autocast."""

    def __post_init__(self) -> None:
        if self.lora_rank is not None and self.lora_rank < 1:
            raise ArgumentError(f"lora_rank must be at least 1, got {self.lora_rank}; leave it out to train all weights.")
        if self.device == "cuda" and not torch.cuda.is_available():
            raise ArgumentError("device is cuda, but torch sees no GPU; use device=cpu.")

    def load(self, seed: int) -> LanguagePolicy:
        """Load the policy, with adapters drawn from a seed.

        Raises:
            LoadError: it cannot be loaded.
            ArgumentError: it is no decoder-only language model, or peft is not installed.
        """
        device = ("cuda" if torch.cuda.is_available() else "cpu") if self.device == "auto" else self.device
        policy = LanguagePolicy.from_pretrained(self.model, precision=self.precision, device=device)
        if self.lora_rank is not None:
            add_lora(policy, self.lora_rank, seed=seed)
        return policy


def tell(console: Console, heading: str) -> Callable[[dict[str, float]], None]:
    """Make the function that prints a row of the history of `textenv.agents.fitting`.

    Args:
        console: where to.
        heading: is printed before the first row, when the data have been accepted.
    """
    headings = [heading]

    def on_row(row: dict[str, float]) -> None:
        while headings:
            say(console, headings.pop())
        measures = [f"{name.replace('_', ' ')} {value:.3f}" for name, value in row.items() if name not in _WHEN]
        say(console, "  ".join([f"epoch {row['epoch']:.2f}", *measures]))

    return on_row


_WHEN = ("step", "epoch", "learning_rate", "seconds")


def facts_table(summary: Mapping[str, Any], title: str) -> Table:
    """Put what a summary says under each other."""
    table = Table("measure", "value", title=title)
    for name, value in summary.items():
        written = f"{value:,.3f}" if isinstance(value, float) else f"{value:,}" if type(value) is int else str(value)
        table.add_row(name.replace("_", " "), plain(written))
    return table
