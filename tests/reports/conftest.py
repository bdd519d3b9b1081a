"""Two finished runs that the readers of run folders share; who changes a run copies it first."""

import io
from pathlib import Path
from typing import Literal

import pytest
from rich.console import Console

from textenv.agents.ppo import PPOConfig
from textenv.training import TrainConfig, train


@pytest.fixture(scope="session")
def runs(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Train twice in TextCopy-v0, three updates of 16 episodes: leave-one-out and critic."""
    folder = tmp_path_factory.mktemp("runs")
    advantages: tuple[Literal["leave_one_out", "critic"], ...] = ("leave_one_out", "critic")
    for advantage in advantages:
        ppo = PPOConfig(episodes_per_update=16, group_size=4, minibatch_size=8, learning_rate=3e-3, advantage=advantage)
        config = TrainConfig(env="TextCopy-v0", episodes=48, num_envs=16, eval_prompts=4, ppo=ppo, out=folder / advantage)
        train(config, Console(file=io.StringIO()))
    return [folder / advantage for advantage in advantages]
