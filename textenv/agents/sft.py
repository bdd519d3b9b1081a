"""Supervised fine-tuning: the mean of -log π over the tokens of responses, or of plain texts.

The first step of Ouyang et al., "Training language models to follow instructions with human feedback", section 3.5,
https://arxiv.org/abs/2203.02155. Examples are packed into rows of the context's length, and none sees another.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import torch

from textenv.agents.config import check_ranges
from textenv.agents.fitting import Fitted, FittingConfig, Sums, fit
from textenv.errors import ArgumentError
from textenv.models.packing import Packed, pack, packed_log_probs, packs
from textenv.models.policy import LanguagePolicy
from textenv.preferences.comparison import is_held_out
from textenv.rollouts.examples import Examples, load_examples

MOST_CONTEXT: Final = 1024
"""Tokens a row where nothing else is said: attention takes memory that grows with their square."""


@dataclass(frozen=True, kw_only=True)
class SFTConfig(FittingConfig):
    """How a policy is fine-tuned.

    Raises:
        ArgumentError: a number is out of its range, or two do not fit together.
    """

    batch_size: int = 16
    """Rows of `context` tokens an optimiser step, each with as many examples as fit."""
    learning_rate: float = 5e-5
    """Peak of AdamW's; it rises linearly and falls as a cosine to 0. Adapters want several times as much."""
    context: int | None = None
    """Tokens an example may have, prompt and response; None takes what the model reads, up to 1,024."""
    max_new_tokens: int | None = None
    """Responses of so many tokens or more end there, without an end-of-text token, as in an environment; None lets each end by itself."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_ranges(self, positive=("max_new_tokens",))


class FineTuned(NamedTuple):
    """What came of fine-tuning."""

    fitted: Fitted
    """See `textenv.agents.fitting`; the loss is in nats a token."""
    learnt: Examples
    """What it learnt from."""
    held_out: Examples
    """What it did not."""
    rows: int
    """Rows that the former are packed into."""


def context_of(policy: LanguagePolicy, context: int | None) -> int:
    """Tell how many tokens an example may have.

    Args:
        policy: which reads them.
        context: what is asked for; None takes what the model reads, up to `MOST_CONTEXT`.

    Raises:
        ArgumentError: it is below 2, or more than the model reads.
    """
    reads = getattr(policy.model.config.get_text_config(), "max_position_embeddings", None) or MOST_CONTEXT
    if context is not None and not 2 <= context <= reads:
        raise ArgumentError(f"context must be between 2 and the {reads} tokens that the model reads, got {context}.")
    return min(reads, MOST_CONTEXT) if context is None else context


def fine_tune(
    policy: LanguagePolicy, data: Any, config: SFTConfig | None = None, *, on_row: Callable[[dict[str, float]], None] | None = None
) -> FineTuned:
    """Fit a policy to responses or to plain texts.

    Args:
        policy: is changed in place.
        data: what `textenv.rollouts.examples.load_examples` takes.
        config: see `SFTConfig`.
        on_row: is called with each row of the history as it comes.

    Raises:
        ArgumentError: the data cannot be used, or are too few to hold some out.
        LoadError: a hub id cannot be reached.
        TrainingError: the gradient is not finite.
    """
    config = config or SFTConfig()
    context = context_of(policy, config.context)
    learnt, held_out = split(load_examples(data, policy.contract, context, config.max_new_tokens), config.held_out)
    rows = pack(learnt.examples, context, together=packs(policy))
    tokens = rows.predicted

    def loss(chosen: torch.Tensor) -> Sums:
        # Templates have special tokens, which a policy never writes while it plays.
        return {"loss": -packed_log_probs(policy, rows.select(chosen), banned=policy.absent)[0].sum()}

    evaluate = evaluation(policy, held_out, config.micro_batch_size or config.batch_size, context) if held_out.examples else None
    fitted = fit(policy, len(tokens), loss, config, size=lambda chosen: float(tokens[chosen].sum()), evaluate=evaluate, on_row=on_row)
    return FineTuned(fitted, learnt, held_out, len(tokens))


def split(examples: Examples, held_out: float) -> tuple[Examples, Examples]:
    """Split by a hash of the prompt or the plain text, so that none is on both sides.

    Args:
        examples: any number.
        held_out: share that is held out, in [0, 1).

    Raises:
        ArgumentError: there is none to learn from, or, with a share, none held out.
    """
    # A long text is the name of thousands of examples.
    texts = {name: is_held_out(name, held_out) for name in set(examples.names)}
    aside = [texts[name] for name in examples.names]
    if all(aside) or (held_out and not any(aside)):
        raise ArgumentError(
            f"{len(aside)} examples of {len(texts)} texts are too few to hold out {held_out:g} of them; give more, or set held_out to 0."
        )
    return _kept(examples, [not out for out in aside]), _kept(examples, aside)


def _kept(examples: Examples, keep: Sequence[bool]) -> Examples:
    rows = [index for index, kept in enumerate(keep) if kept]
    return examples._replace(
        examples=[examples.examples[row] for row in rows],
        names=[examples.names[row] for row in rows],
        sizes=[examples.sizes[row] for row in rows],
    )


def evaluation(policy: LanguagePolicy, examples: Examples, batch_size: int, context: int) -> Callable[[], dict[str, float]]:
    """Make the function that measures a policy on examples.

    Args:
        policy: as it is when it is measured.
        examples: at least one.
        batch_size: rows a forward pass.
        context: tokens a row.

    Returns:
        A function that gives `loss`, nats a token, and `bits_per_byte`: of all that is predicted, end-of-text tokens included, by the
        bytes of its texts in UTF-8; NaN if these are empty.
    """
    rows = pack(examples.examples, context, together=packs(policy))
    tokens, size = int(rows.predicted.sum()), sum(examples.sizes)

    @torch.no_grad()
    def evaluate() -> dict[str, float]:
        nats = 0.0
        for part in _parts(rows, batch_size):
            log_probs, _ = packed_log_probs(policy, part, banned=policy.absent)
            nats -= float(log_probs.sum(dtype=torch.float64))
        return {"loss": nats / tokens, "bits_per_byte": nats / math.log(2) / size if size else math.nan}

    return evaluate


def _parts(rows: Packed, batch_size: int) -> list[Packed]:
    return [rows.select(part) for part in torch.arange(len(rows.tokens)).split(batch_size)]
