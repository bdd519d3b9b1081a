"""Anything that acts can play: what it chooses and who chose it is kept with the episode."""

from typing import Any

import gymnasium
import numpy as np
import torch
from numpy.typing import NDArray

from textenv.models.acting import Act
from textenv.rollouts.collect import collect


class Scripted:
    """Writes "aba" and then ends, the second token by an expert."""

    device = torch.device("cpu")

    def __init__(self, rules: Any) -> None:
        self.rules = rules
        self.tokens = [*rules.tokenizer.encode("aba"), rules.contract.end]

    def eval(self) -> None:
        """Nothing to stop."""

    def check_fits(self, width: int) -> None:
        """Everything fits."""

    def act(self, observations: NDArray[np.int32], **_: Any) -> Act:
        """Write the next token of the script."""
        at = (observations[:, self.rules.prompt_columns :] >= 0).sum(1) % 4
        rows = torch.arange(len(observations))
        return Act(np.array(self.tokens)[at], -rows.float(), torch.from_numpy(at).float(), torch.from_numpy(at == 1))


def test_a_script_plays() -> None:
    envs: Any = gymnasium.make_vec("TextCopy-v0", num_envs=3)
    episodes = collect(Scripted(envs.unwrapped.rules), envs, 7, seed=0)
    assert episodes.completions == ["aba"] * 7
    assert episodes.taken_over is not None
    assert episodes.taken_over.tolist() == [[False, True, False, False]] * 7
    assert episodes.values.tolist() == [[0, 1, 2, 3]] * 7
    assert set(episodes.log_probs.flatten().tolist()) == {0.0, -1.0, -2.0}


def test_without_an_expert_nobody_took_over() -> None:
    assert Act(np.zeros(1, dtype=np.int64), torch.zeros(1), torch.zeros(1)).taken_over is None
