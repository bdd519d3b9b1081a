"""Two finished runs that the readers of run folders share; who changes a run copies it first."""

import io
import json
import shutil
from pathlib import Path
from typing import Final, Literal

import pandas as pd
import pytest
from rich.console import Console

from textenv.agents.ppo import PPOConfig
from textenv.training import TrainConfig, train

MARKUP: Final = "<script>document.title = 'broken'</script><img src=x onerror=\"document.title='broken'\">"


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


@pytest.fixture
def hostile(runs: list[Path], tmp_path: Path) -> Path:
    """Copy a run whose prompts, completions, tokens and configuration hold markup."""
    run = Path(shutil.copytree(runs[1], tmp_path / "hostile & <b>bold</b>"))
    for file in [*run.glob("episodes/*.parquet"), *run.glob("evaluation/*.parquet")]:
        frame = pd.read_parquet(file)
        frame["prompt"], frame["completion"] = f"&amp; {MARKUP}", f"{MARKUP}\n</p><h1>{MARKUP}"
        frame["pieces"] = [[f'"{MARKUP}\n'] * length for length in frame["length"]]
        frame.to_parquet(file, index=False)
    config = json.loads((run / "config.json").read_text())
    (run / "config.json").write_text(json.dumps({**config, "env": MARKUP, MARKUP: MARKUP}))
    metrics = pd.read_csv(run / "metrics.csv").assign(alarm=f"distinct-2 fell {MARKUP}")
    metrics.to_csv(run / "metrics.csv", index=False)
    return run
