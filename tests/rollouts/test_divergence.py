"""Estimates of the KL against its exact value in an enumerated environment."""

import math
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch

from textenv.envs.exact import ExactMDP
from textenv.models.loading import toy_causal_lm
from textenv.models.policy import LanguagePolicy, Precision
from textenv.rollouts.collect import collect
from textenv.rollouts.divergence import divergence


def make_policy(envs: Any, seed: int, temperature: float = 1.0) -> LanguagePolicy:
    rules = envs.unwrapped.rules
    return LanguagePolicy(toy_causal_lm(rules.tokenizer, rules.width, seed=seed), rules.tokenizer, temperature=temperature)


@pytest.mark.parametrize(("fields", "temperature"), [({}, 1.0), ({"min_new_tokens": 2}, 0.8)])
def test_means_are_the_exact_kl(fields: dict[str, Any], temperature: float) -> None:
    envs = gymnasium.make_vec("TextCopy-v0", num_envs=128, **fields)
    policy, reference = make_policy(envs, 1, temperature), make_policy(envs, 2, temperature)
    rules = envs.unwrapped.rules  # type: ignore[attr-defined]
    expected = ExactMDP(rules, reference).evaluate(policy, 0.0).kl
    episodes = collect(policy, envs, 36 * 40, seed=0, prompt_index=np.tile(np.arange(36), 40))
    found = divergence(policy, reference, episodes)
    assert expected > 0.2
    errors = {}
    for name in ("k1", "k3", "exact"):
        sample = getattr(found, name).double()
        errors[name] = sample.std().item() / math.sqrt(len(sample))
        assert abs(sample.mean().item() - expected) < 4 * errors[name], name
    assert errors["exact"] < 0.5 * errors["k1"]  # what it is there for
    assert (found.exact > 0).all()
    assert (found.k2 >= 0).all()
    assert (found.k3 >= 0).all()
    assert (found.k1 < 0).any()


def test_each_episode_by_hand() -> None:
    envs = gymnasium.make_vec("TextCopy-v0", num_envs=16)
    policy, reference = make_policy(envs, 1), make_policy(envs, 2)
    episodes = collect(policy, envs, 40, seed=3)  # more than one batch of rows
    found = divergence(policy, reference, episodes)
    for row in (0, 17, 39):
        length = int(episodes.lengths[row])
        prefixes = np.repeat(episodes.tokens[row : row + 1].int().numpy(), length, axis=0)
        for t in range(length):
            prefixes[t, 4 + t :] = -1
        both = [model.next_log_probs(prefixes, cached=False).detach() for model in (policy, reference)]
        chosen = [table.gather(1, episodes.tokens[row, 4 : 4 + length, None])[:, 0] for table in both]
        kl = (both[0].exp() * (both[0] - both[1])).sum()
        ratio = chosen[0] - chosen[1]
        hand = [ratio.sum(), 0.5 * ratio.square().sum(), (torch.exp(-ratio) - 1 + ratio).sum(), kl]
        assert [getattr(found, name)[row].item() for name in ("k1", "k2", "k3", "exact")] == pytest.approx(
            [x.item() for x in hand], abs=1e-5
        )
        assert found.ref_log_probs[row].tolist() == pytest.approx(chosen[1].tolist() + [0.0] * (4 - length), abs=1e-5)


@pytest.mark.parametrize(
    ("fields", "precision", "tolerance"), [({}, "fp32", 1e-5), ({"min_new_tokens": 3}, "fp32", 1e-5), ({}, "bf16", 0.1)]
)
def test_zero_for_the_reference_itself(fields: dict[str, Any], precision: Precision, tolerance: float) -> None:
    envs = gymnasium.make_vec("TextCopy-v0", num_envs=16, **fields)
    policy = make_policy(envs, 1)
    policy.precision = precision
    episodes = collect(policy, envs, 40, seed=4)
    found = divergence(policy, policy, episodes)
    with torch.no_grad():
        log_probs, _ = policy.response_log_probs(episodes.tokens, 4, episodes.allowed_tokens(5))
    assert torch.allclose(found.ref_log_probs, log_probs, atol=1e-5)
    assert found.exact.shape == (40,)
    assert (found.exact == 0).all()
    for estimate in (found.k1, found.k2, found.k3):
        assert estimate.abs().max() < tolerance
