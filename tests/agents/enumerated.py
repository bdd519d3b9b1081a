"""Toys that are small enough for every batch that can happen to be written down."""

import itertools
from typing import Any

import numpy as np
import torch

from textenv.envs.rules import Rules
from textenv.envs.task import Task
from textenv.envs.vector import TextVectorEnv
from textenv.models.loading import toy_causal_lm, toy_tokenizer
from textenv.models.policy import LanguagePolicy
from textenv.types import Episodes


def agreement(prompts: list[str], completions: list[str]) -> list[float]:
    """The share of letters that are the prompt's, and a little for each letter."""
    return [text.count(prompt) / 2 + 0.1 * len(text) for prompt, text in zip(prompts, completions, strict=True)]


TINY = Task(
    prompts=["a", "b"], reward=agreement, tokenizer=toy_tokenizer("ab"), max_prompt_tokens=1, max_new_tokens=2, min_new_tokens=0, model=None
)
"""Two prompts, three tokens, at most two of them written: seven texts a prompt."""


def tiny_envs(num_envs: int = 4, **fields: Any) -> Any:
    """Make environments of the tiny task."""
    return TextVectorEnv(TINY, num_envs, **fields)


def tiny_policy(rules: Rules, seed: int = 9) -> LanguagePolicy:
    """A policy away from the reference (seed 0), so that the KL has a gradient, with values that are not 0."""
    policy = LanguagePolicy(toy_causal_lm(rules.tokenizer, rules.width, seed=seed), rules.tokenizer)
    with torch.no_grad():
        for parameter in policy.model.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(seed)))
        policy.value_head.weight.normal_(std=0.5, generator=torch.Generator().manual_seed(seed))
    return policy


def every_text(rules: Rules, policy: LanguagePolicy) -> tuple[Episodes, torch.Tensor]:
    """Every episode that can happen, prompt after prompt, and its probability."""
    rows: list[Any] = []
    for prompt in rules.prompts.tokens:
        for length in range(1, rules.response_columns + 1):
            for text in itertools.product(range(rules.vocabulary), repeat=length):
                if rules.contract.end in text[:-1] or (length < rules.response_columns and text[-1] != rules.contract.end):
                    continue
                rows.append(np.concatenate([prompt, text, np.full(rules.response_columns - length, -1)]))
    observations = np.stack(rows).astype(np.int32)
    lengths = (observations[:, rules.prompt_columns :] >= 0).sum(1)
    prompt_index = np.repeat(np.arange(len(rules.prompts.texts)), len(rows) // len(rules.prompts.texts))
    outcome = rules.outcome(observations, lengths, prompt_index)
    tokens = torch.from_numpy(observations).long()
    with torch.no_grad():
        log_probs, values = policy.response_log_probs(tokens, rules.prompt_columns)
    rewards = torch.zeros_like(log_probs)
    rewards[torch.arange(len(rewards)), torch.from_numpy(lengths) - 1] = torch.from_numpy(outcome.scores).float()
    episodes = Episodes(
        tokens=tokens,
        prompt_columns=rules.prompt_columns,
        log_probs=log_probs,
        values=values,
        rewards=rewards,
        scores=torch.from_numpy(outcome.scores),
        prompt_index=torch.from_numpy(prompt_index),
        prompts=[info["prompt"] for info in outcome.infos],
        completions=[info["completion"] for info in outcome.infos],
        finish_reasons=[info["finish_reason"] for info in outcome.infos],
    )
    return episodes, log_probs.sum(1).exp() / len(rules.prompts.texts)


def every_group(rules: Rules, policy: LanguagePolicy, size: int) -> tuple[Episodes, torch.Tensor]:
    """Every group of `size` episodes of a prompt that can be drawn, and for each episode its share of the group's probability."""
    episodes, probability = every_text(rules, policy)
    prompts = len(rules.prompts.texts)
    texts = len(episodes) // prompts
    rows = torch.tensor(
        [prompt * texts + index for prompt in range(prompts) for group in itertools.product(range(texts), repeat=size) for index in group]
    )
    of_text = probability[rows].reshape(-1, size) * prompts
    weights = (of_text.prod(1, keepdim=True) / prompts / size).expand(-1, size)
    return episodes.select(rows), weights.reshape(-1)


def cosine(left: dict[str, torch.Tensor], right: dict[str, torch.Tensor]) -> tuple[float, float]:
    """Cosine of two gradients, and the ratio of their norms."""
    a, b = (torch.cat([side[name].flatten() for name in left]).double() for side in (left, right))
    return float(a @ b / (a.norm() * b.norm())), float(a.norm() / b.norm())
