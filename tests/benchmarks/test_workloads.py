"""Prompts of one length, and texts that end as they should."""

from dataclasses import replace

import pytest
import torch

import textenv
from benchmarks.workloads import TOY, causal_lm, environments, language_policy, ppo, prompt_ids, prompts, tokenizer


@pytest.mark.parametrize("vocabulary", [4096, 500])
def test_prompts_have_one_length(vocabulary: int) -> None:
    work = replace(TOY, vocabulary=vocabulary)
    texts = prompts(work)
    assert len(set(texts)) == 64
    assert prompt_ids(work, 100).shape == (100, work.prompt)
    assert tokenizer(vocabulary).batch_decode(prompt_ids(work, 64)) == texts


@pytest.mark.parametrize("end", [0.0, 0.25])
def test_every_state_ends_with_the_same_probability(end: float) -> None:
    work = replace(TOY, end=end)
    logits = causal_lm(work)(torch.randint(2, 4096, (4, 20))).logits
    found = logits.softmax(-1)[..., tokenizer(4096).eos_token_id]
    assert torch.allclose(found, torch.full_like(found, end), atol=0.01)


def test_episodes_have_equal_lengths_unless_they_may_end() -> None:
    for end, lengths in ((0.0, {6}), (0.25, {1, 2, 3, 4, 5, 6})):
        work = replace(TOY, end=end)
        episodes = textenv.collect(language_policy(work), environments(work, 64), 128, seed=0)
        assert set(episodes.lengths.tolist()) == lengths
        assert (episodes.scores == 1).all()


def test_agent_takes_one_optimiser_step_an_epoch() -> None:
    agent = ppo(TOY, "leave_one_out")
    episodes = agent.collect()
    assert len(episodes) == TOY.episodes
    assert agent.update(episodes)["optimiser_steps"] == TOY.epochs
