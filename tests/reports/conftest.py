"""Two finished runs that the readers of run folders share, who changes one copies it first; and measured texts."""

import io
import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
import pandas as pd
import pytest
import torch
from rich.console import Console

from textenv.agents.ppo import PPOConfig
from textenv.reports.evaluation import Measured
from textenv.rollouts.divergence import Divergence
from textenv.training import TrainConfig, train
from textenv.types import Episodes

MARKUP: Final = "<script>document.title = 'broken'</script><img src=x onerror=\"document.title='broken'\">"


@pytest.fixture(scope="session")
def runs(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Train twice in TextCopy-v0, three updates of 16 episodes: leave-one-out and critic."""
    folder = tmp_path_factory.mktemp("runs")
    advantages: tuple[Literal["leave_one_out", "critic"], ...] = ("leave_one_out", "critic")
    for advantage in advantages:
        ppo = PPOConfig(episodes_per_update=16, group_size=4, minibatch_size=8, learning_rate=3e-3, advantage=advantage)
        config = TrainConfig(env="TextCopy-v0", episodes=48, num_envs=16, eval_prompts=4, algorithm=ppo, out=folder / advantage)
        train(config, Console(file=io.StringIO()))
    return [folder / advantage for advantage in advantages]


@pytest.fixture(scope="session")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Train three updates of 16 episodes in TextCopy-v0 with a judge, evaluated after every one."""
    folder = tmp_path_factory.mktemp("watched") / "run"
    ppo = PPOConfig(episodes_per_update=16, group_size=4, minibatch_size=8, learning_rate=0.01)
    fields: dict[str, Any] = {"episodes": 48, "num_envs": 16, "eval_prompts": 4, "eval_every": 1, "algorithm": ppo, "out": folder}
    train(TrainConfig(env="TextCopy-v0", judge="tiny-sentiment-judge", **fields), Console(file=io.StringIO()))
    return folder


@pytest.fixture
def make_measured() -> Callable[..., Measured]:
    """Make what evaluations measure of some texts, with every KL 0."""

    def make(
        completions: Sequence[str],
        scores: Sequence[float],
        judge: Sequence[float] | None,
        prompts: Sequence[str] | None = None,
        prompt_index: Sequence[int] | None = None,
    ) -> Measured:
        n = len(completions)
        zeros = torch.zeros(n, 1)
        episodes = Episodes(
            tokens=torch.zeros(n, 2, dtype=torch.int64),
            prompt_columns=1,
            log_probs=zeros,
            values=zeros,
            rewards=zeros,
            scores=torch.tensor(scores, dtype=torch.float64),
            prompt_index=torch.tensor(prompt_index or range(n)),
            prompts=list(prompts or ["p"] * n),
            completions=list(completions),
            finish_reasons=["eos"] * n,
        )
        nothing = zeros[:, 0]  # (n,)
        divergence = Divergence(nothing, nothing, nothing, nothing, zeros)
        return Measured(episodes, None if judge is None else np.array(judge), divergence)

    return make


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
