"""Stable-Baselines3 with a language model: its rollouts with the cache against the same policy without, its learning against ours.

`Plain` is the policy as one writes it for Stable-Baselines3 without more: a forward pass over each row's whole text, when acting
and when learning. Rollouts are SB3's own `collect_rollouts` in TextSentiment-v0. Learning is tokens a second of SB3's `train()`
and of `textenv.agents.PPO.update()`: equally many texts, epochs and optimiser steps of the same model.

Run: python -m benchmarks.sb3
"""

import os
from pathlib import Path
from typing import Final

os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # before torch: idle threads sleep

import gymnasium
import numpy as np
import torch
import tyro
from stable_baselines3 import PPO
from stable_baselines3.common.vec_env import DummyVecEnv, VecEnv

import textenv
from benchmarks.harness import ROOT, Row, alternate, conclude, markdown, timed, write_between_markers, write_json
from textenv import agents
from textenv.agents.sb3 import LanguageModelPolicy, as_vec_env
from textenv.agents.sb3.policy import as_ids
from textenv.models.layout import align_left
from textenv.types import Episodes

LEARNING_RATE: Final = 1e-6  # so small that the model of the last round is that of the first


class Plain(LanguageModelPolicy):
    """The same policy without the cache and without sharing what rows have in common."""

    acting = False

    def hidden(self, obs: torch.Tensor) -> torch.Tensor:
        """Compute the hidden state (n, D) at each row's last token from the whole of each row's text."""
        ids = torch.from_numpy(as_ids(obs)).long()
        tokens, _ = align_left(ids)  # (n, L)
        with self.language.arithmetic():
            states = self.language.trunk(input_ids=tokens, attention_mask=torch.ones_like(tokens), use_cache=False).last_hidden_state
        found: torch.Tensor = states[torch.arange(len(ids)), (ids >= 0).sum(1) - 1]
        return found


class Rollouts:
    """SB3's PPO at one place of its loop: rollouts are collected again and again, and the last of them learned from.

    Args:
        policy: class of the policy.
        rows: environments.
        new: most new tokens of a text, and steps of a rollout.
        minibatches: optimiser steps a pass over the rollout.
    """

    def __init__(self, policy: type[LanguageModelPolicy], rows: int, new: int, minibatches: int) -> None:
        self.envs = as_vec_env(gymnasium.make_vec("TextSentiment-v0", num_envs=rows, max_new_tokens=new))
        self.agent = PPO(
            policy,
            self.envs,
            policy_kwargs={"model": "tiny-en"},
            n_steps=new,
            batch_size=rows * new // minibatches,
            n_epochs=1,
            learning_rate=LEARNING_RATE,
            seed=0,
            device="cpu",
        )
        _, self.callback = self.agent._setup_learn(rows * new)

    def collect(self) -> None:
        """Collect one rollout, in training's manner: whatever the policy had in its cache is gone."""
        self.agent.policy.set_training_mode(True)
        self.agent.collect_rollouts(self.envs, self.callback, self.agent.rollout_buffer, self.agent.n_steps)


def ours(rows: int, new: int, minibatches: int) -> tuple[agents.PPO, Episodes]:
    """textenv's PPO with a critic, and as many episodes as it takes for an update."""
    config = agents.PPOConfig(
        episodes_per_update=rows,
        advantage="critic",
        minibatch_size=rows // minibatches,
        epochs=1,
        learning_rate=LEARNING_RATE,
        linear_decay=False,
    )
    envs = gymnasium.make_vec("TextSentiment-v0", num_envs=rows, max_new_tokens=new)
    agent = agents.PPO(textenv.LanguagePolicy.from_pretrained("tiny-en"), envs, config)
    return agent, agent.collect()


def measure_rollouts(rows: int, new: int, minibatches: int, rounds: int) -> list[Row]:
    """Seconds of a rollout, with the cache and without."""
    with_cache, without = (Rollouts(policy, rows, new, minibatches) for policy in (LanguageModelPolicy, Plain))
    seconds = alternate({"with": timed(with_cache.collect), "without": timed(without.collect)}, rounds)
    name, versus = f"SB3's collect_rollouts with the cache, {rows} rows, {new} new tokens", "the same policy without"
    return [Row(name=name, versus=versus, kind="speed-up", ours=seconds["with"], theirs=seconds["without"], target=6)]


def measure_stepping(rows: int, new: int, rounds: int) -> list[Row]:
    """Seconds of whole episodes of random tokens, their scoring by the reward model included."""
    id = "TextSentiment-v0"
    native = as_vec_env(gymnasium.make_vec(id, num_envs=rows, max_new_tokens=new))
    singles = DummyVecEnv([lambda: gymnasium.make(id, max_new_tokens=new) for _ in range(rows)])
    actions = np.random.default_rng(0).integers(0, 4000, (new, rows))

    def play(envs: VecEnv) -> None:
        envs.reset()
        for step in actions:
            envs.step(step)

    seconds = alternate({"native": timed(lambda: play(native)), "singles": timed(lambda: play(singles))}, rounds)
    name = f"as_vec_env, {rows} rows, {new} steps"
    return [Row(name=name, versus="DummyVecEnv", kind="speed-up", ours=seconds["native"], theirs=seconds["singles"])]


def measure_learning(rows: int, new: int, minibatches: int, rounds: int) -> list[Row]:
    """Milliseconds a token of one epoch, of textenv's PPO and of SB3's with either policy."""
    agent, episodes = ours(rows, new, minibatches)
    shared, plain = (Rollouts(policy, rows, new, minibatches) for policy in (LanguageModelPolicy, Plain))
    for side in (shared, plain):
        side.collect()
    tokens = {"ours": int(episodes.lengths.sum()), "shared": rows * new, "plain": rows * new}
    sides = {"ours": timed(lambda: agent.update(episodes)), "shared": timed(shared.agent.train), "plain": timed(plain.agent.train)}
    found = {name: [1000 * x / tokens[name] for x in values] for name, values in alternate(sides, rounds).items()}
    of = f"{rows} texts of up to {new} tokens, {minibatches} optimiser steps"
    pairs = (
        (f"textenv's PPO.update(), {of}", "SB3's train()", "ours", "shared"),
        (f"textenv's PPO.update(), {of}", "SB3's train(), every row by itself", "ours", "plain"),
        (f"SB3's train(), {of}", "every row by itself", "shared", "plain"),
    )
    return [
        Row(name=name, versus=versus, kind="speed-up", ours=found[mine], theirs=found[theirs], unit="ms/token")
        for name, versus, mine, theirs in pairs
    ]


def main(
    rounds: int = 5,
    reduced: bool = False,
    out: Path = ROOT / "benchmarks" / "results" / "sb3.json",
    page: Path = ROOT / "docs" / "other_agents.md",
) -> None:
    """Measure, print, write the JSON file and the table of the page on other agents; exit with 1 when the target is missed.

    Args:
        rounds: of every side, after one warm-up.
        reduced: a few tokens, to see that every line runs.
        out: JSON file.
        page: Markdown file.
    """
    rows = measure_rollouts(2, 4, 2, 1) if reduced else measure_rollouts(32, 48, 4, rounds)
    rows += measure_stepping(2, 4, 1) if reduced else measure_stepping(128, 24, rounds)
    rows += measure_learning(4, 4, 2, 1) if reduced else measure_learning(16, 48, 4, rounds)
    table = markdown(write_json(out, rows))
    print(table)
    write_between_markers(page, table)
    if not reduced:
        conclude(rows)


if __name__ == "__main__":
    tyro.cli(main)
