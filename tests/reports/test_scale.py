"""β's default is called into doubt where scores are not between 0 and 1, and nowhere else."""

import re
from pathlib import Path
from typing import Any

import gymnasium
import pytest
import torch

from textenv.agents import PPO, RLOO, BestOfN, ExpertIteration, OnlineDPO, PPOConfig
from textenv.cli import main
from textenv.models.policy import LanguagePolicy
from textenv.preferences.comparison import Comparison
from textenv.preferences.loading import write_comparisons
from textenv.reports.scale import TYPICAL_SD, scale_doubt

NORMAL = torch.tensor([-2.0, -1.0, 1.0, 2.0]) / 2.5**0.5  # mean 0, deviation 1


@pytest.fixture(scope="module")
def envs() -> Any:
    return gymnasium.make_vec("TextSentiment-v0", num_envs=8)


@pytest.fixture(scope="module")
def policy() -> LanguagePolicy:
    return LanguagePolicy.from_pretrained("tiny-en")


@pytest.mark.parametrize("agent_class", [PPO, RLOO])
def test_a_deviation_of_1_asks_for_another_beta(agent_class: Any, envs: Any, policy: LanguagePolicy) -> None:
    agent = agent_class(policy, envs)
    doubt = scale_doubt(agent, NORMAL)
    assert doubt is not None
    (suited,) = re.findall(r"--kl-coef (\S+) would suit their standard deviation of 1\.00", doubt)
    assert float(suited) == pytest.approx(agent.config.kl_coef / TYPICAL_SD, rel=0.05)
    assert re.findall(r"--kl-coef (\S+) ", scale_doubt(agent, 10 * NORMAL) or "") == ["1.5"]
    assert "--kl-coef" not in (scale_doubt(agent, torch.full((4,), 3.0)) or "--kl-coef")


@pytest.mark.parametrize("scores", [torch.tensor([0.0, 1.0]), torch.tensor([0.3, 0.3])])
def test_scores_between_0_and_1_raise_no_doubt(scores: torch.Tensor, envs: Any, policy: LanguagePolicy) -> None:
    assert scale_doubt(PPO(policy, envs), scores) is None


@pytest.mark.parametrize("scores", [torch.tensor([-0.5, 0.5]), torch.tensor([0.5, 1.5])])
def test_scores_beyond_either_end_raise_a_doubt(scores: torch.Tensor, envs: Any, policy: LanguagePolicy) -> None:
    assert "made for scores between 0 and 1" in (scale_doubt(PPO(policy, envs), scores) or "")


def test_a_beta_that_was_chosen_raises_no_doubt(envs: Any, policy: LanguagePolicy) -> None:
    for beta in (0.0, 0.2):
        assert scale_doubt(PPO(policy, envs, PPOConfig(kl_coef=beta)), NORMAL) is None


def test_toys_and_agents_that_learn_nothing_raise_no_doubt(envs: Any, policy: LanguagePolicy) -> None:
    toys: Any = gymnasium.make_vec("TextGridWorld-v0", num_envs=8)
    assert scale_doubt(PPO(LanguagePolicy.for_rules(toys.unwrapped.rules), toys), NORMAL) is None
    assert scale_doubt(BestOfN(policy, envs), NORMAL) is None
    assert scale_doubt(PPO(policy, envs), NORMAL) is not None


@pytest.mark.parametrize("beta", [[], ["--kl-coef", "0.2"]])
def test_training_on_a_fitted_reward_model_says_so(beta: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pairs = [Comparison(prompt=f"Film {i}:", responses=(" I loved it.", " so dull."), ranks=(1, 2)) for i in range(24)]
    write_comparisons(pairs, tmp_path / "pairs.jsonl")
    fit = ["--epochs", "1", "--held-out", "0", "--env", "TextSentiment-v0", "--episodes", "64"]
    main(["reward", str(tmp_path / "pairs.jsonl"), *fit, "--out", str(tmp_path / "rm")])
    size = ["--episodes", "16", "--episodes-per-update", "16", "--minibatch-size", "16", "--eval-prompts", "4"]
    main(["train", "TextSentiment-v0", "--reward", str(tmp_path / "rm"), *size, *beta, "--out", str(tmp_path / "run")])
    assert ("kl_coef is 0.035, made for scores between 0 and 1; --kl-coef" in capsys.readouterr().err) == (not beta)


def test_rounding_raises_no_doubt(envs: Any, policy: LanguagePolicy) -> None:
    agent = PPO(policy, envs)
    assert scale_doubt(agent, torch.tensor([-1e-7, 1 + 1e-7], dtype=torch.float64)) is None
    assert scale_doubt(agent, torch.tensor([-1e-3, 1.0])) is not None
    assert scale_doubt(agent, torch.tensor([0.0, 1.001])) is not None


@pytest.mark.parametrize("agent_class", [OnlineDPO, ExpertIteration])
def test_agents_of_another_objective_raise_no_doubt(agent_class: Any, envs: Any, policy: LanguagePolicy) -> None:
    assert scale_doubt(agent_class(policy, envs), NORMAL) is None
