"""The language model under MaskablePPO: what is forbidden is neither drawn nor learned from, as in textenv's own policy."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from sb3_contrib import MaskablePPO

import textenv.agents.sb3
from textenv.agents.sb3.maskable import MaskableLanguageModelPolicy
from textenv.agents.sb3.vec_env import as_vec_env
from textenv.envs.wrappers import ActionMask, TopKActions
from textenv.errors import ArgumentError
from textenv.rollouts.collect import collect


def make(num_envs: int = 8) -> Any:
    return ActionMask(gymnasium.make_vec("TextCopy-v0", num_envs=num_envs, min_new_tokens=2), ban=["b"])


def agent_in(envs: Any, **options: Any) -> Any:
    return MaskablePPO(
        MaskableLanguageModelPolicy, as_vec_env(envs), n_steps=16, batch_size=64, n_epochs=2, seed=0, device="cpu", **options
    )


def test_forbidden_tokens_are_not_drawn() -> None:
    envs = make()
    (banned,) = envs.unwrapped.rules.tokenizer("b")["input_ids"]
    agent = agent_in(envs)
    agent.learn(256)
    assert (agent.rollout_buffer.actions == banned).sum() == 0
    assert (agent.rollout_buffer.action_masks[..., banned] == 0).all()
    masks = np.ones((1, agent.action_space.n), dtype=np.bool_)
    observation, _ = envs.reset(seed=0)
    best = int(agent.predict(observation[:1], deterministic=True, action_masks=masks)[0][0])
    masks[0, best] = False
    for deterministic in (True, False):
        drawn = [agent.predict(observation[0], deterministic=deterministic, action_masks=masks)[0] for _ in range(20)]
        assert best not in [int(token) for token in drawn]


def test_log_probs_and_entropy_are_renormalised_as_ours_are() -> None:
    envs = make(16)
    policy = agent_in(envs).policy
    episodes = collect(policy.language, envs, 32, generator=torch.Generator().manual_seed(0))
    allowed = episodes.allowed_tokens(policy.language.vocabulary)
    assert allowed is not None
    new, _ = policy.language.response_log_probs(episodes.tokens, episodes.prompt_columns, allowed)
    row, column = episodes.mask.nonzero(as_tuple=True)
    states = episodes.tokens[row].clone()
    states[torch.arange(states.shape[1]) >= (episodes.prompt_columns + column)[:, None]] = -1
    actions = episodes.tokens[row, episodes.prompt_columns + column]
    masks = allowed[row, column]
    _, log_probs, entropy = policy.evaluate_actions(states.float(), actions, masks.float())
    torch.testing.assert_close(log_probs, new[episodes.mask], rtol=0, atol=1e-5)
    plain = policy.language.next_log_probs(states.numpy().astype(np.int32), cached=False)
    probs = plain.masked_fill(~masks, -torch.inf).softmax(-1)
    torch.testing.assert_close(entropy, torch.special.entr(probs).sum(-1), rtol=0, atol=1e-5)
    policy.set_training_mode(False)
    with torch.no_grad():
        cached = policy(states, action_masks=masks.numpy())
    torch.testing.assert_close(cached[2], policy.evaluate_actions(states, cached[0], masks)[1].detach(), rtol=0, atol=1e-5)


def test_saving_and_loading(tmp_path: Path) -> None:
    agent = agent_in(make())
    agent.learn(128)
    agent.save(tmp_path / "agent")
    loaded = MaskablePPO.load(tmp_path / "agent", device="cpu")
    np.testing.assert_array_equal(loaded.policy.parameters_to_vector(), agent.policy.parameters_to_vector())


def test_slots_are_no_tokens() -> None:
    with pytest.raises(ArgumentError, match="reads token ids"):
        agent_in(TopKActions(make(), 2))


@pytest.mark.slow
def test_libraries_are_imported_when_they_are_used() -> None:
    code = (
        "import sys, textenv, textenv.agents\n"
        "print('stable_baselines3' in sys.modules)\n"
        "import textenv.agents.sb3\n"
        "print('sb3_contrib' in sys.modules, textenv.agents.sb3.MaskableLanguageModelPolicy.__name__)"
    )
    done = subprocess.run([sys.executable, "-c", code], text=True, capture_output=True)
    assert done.stdout.split() == ["False", "False", "MaskableLanguageModelPolicy"], done.stderr


def test_its_name_is_there_and_others_are_not() -> None:
    assert textenv.agents.sb3.MaskableLanguageModelPolicy is MaskableLanguageModelPolicy
    with pytest.raises(AttributeError, match="no attribute 'MaskedPolicy'"):
        textenv.agents.sb3.MaskedPolicy  # noqa: B018
