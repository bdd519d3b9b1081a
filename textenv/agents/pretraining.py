"""Texts of pretraining, to be learnt from beside rewards so that what a policy knew of the language is kept."""

from pathlib import Path
from typing import Any, Final

import numpy as np
import torch

from textenv.agents.sft import context_of
from textenv.models.packing import pack, packed_log_probs, packs
from textenv.models.policy import LanguagePolicy
from textenv.rollouts.examples import load_examples

_FORWARD_ROWS: Final = 16


class Pretraining:
    """Texts, packed into rows.

    Args:
        policy: which learns from them.
        corpus: what `textenv.rollouts.examples.load_examples` takes.
        batch_size: rows a step; all of them where they are fewer.
        max_new_tokens: of the environment, which ended responses that have so many without an end-of-text token.

    Raises:
        ArgumentError: the corpus is empty, cannot be read, lacks a column or holds what the tokenizer cannot write.
    """

    def __init__(self, policy: LanguagePolicy, corpus: Path | Any, batch_size: int, max_new_tokens: int | None = None) -> None:
        context = context_of(policy, None)
        texts = load_examples(corpus, policy.contract, context, max_new_tokens, what="ptx_corpus")
        self.policy = policy
        self.packed = pack(texts.examples, context, together=packs(policy))
        self.batch_size = min(batch_size, len(self.packed.tokens))

    def rows(self, seed: int, batch: int) -> torch.Tensor:
        """Tell the rows of a step: all of them, but for what is too little for a step, come before any comes again.

        Args:
            seed: of the order.
            batch: number of the step, from 0.
        """
        a_pass = len(self.packed.tokens) // self.batch_size
        order = np.random.default_rng([seed, batch // a_pass]).permutation(len(self.packed.tokens))
        start = batch % a_pass * self.batch_size
        return torch.from_numpy(order[start : start + self.batch_size])

    def add_gradient(self, rows: torch.Tensor, coefficient: float) -> float:
        """Add the gradient of γ times the mean of -log π over the tokens of some rows; returns that mean, nats a token."""
        tokens, nats = int(self.packed.predicted[rows].sum()), 0.0
        for part in rows.split(_FORWARD_ROWS):
            loss = -packed_log_probs(self.policy, self.packed.select(part), banned=self.policy.absent)[0].sum() / tokens
            (coefficient * loss).backward()
            nats += float(loss.detach())
        return nats
