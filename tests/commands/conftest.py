"""A run, and the command line in this process."""

from collections.abc import Callable
from pathlib import Path

import pytest

from textenv.agents.ppo import PPOConfig
from textenv.cli import main
from textenv.commands.output import messages
from textenv.training import TrainConfig, train


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Train a little in TextCopy-v0, at a temperature of its own."""
    folder = tmp_path_factory.mktemp("run") / "run"
    ppo = PPOConfig(episodes_per_update=64, minibatch_size=32, learning_rate=3e-3)
    train(TrainConfig(env="TextCopy-v0", episodes=512, num_envs=64, eval_prompts=2, temperature=0.8, out=folder, algorithm=ppo), messages())
    return folder


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Run a command and return what it prints on stdout."""

    def run(*arguments: str) -> str:
        capsys.readouterr()
        main(list(arguments))
        return capsys.readouterr().out

    return run
