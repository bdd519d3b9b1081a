"""What configs refuse, in one sentence."""

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import textenv
from textenv.agents import AGENTS, agent_class
from textenv.agents.config import minibatch, settled
from textenv.errors import ArgumentError
from textenv.training import TrainConfig, for_agent


@pytest.mark.parametrize("name", AGENTS)
@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"episodes_per_update": 0}, "episodes_per_update must be positive, got 0"),
        ({"learning_rate": float("nan")}, "learning_rate must be positive, got nan"),
        ({"kl_coef": -0.1}, "must be (at least )?0, got -0.1"),
        ({"kl_coef": float("inf")}, "must be (at least )?0, got inf"),
        ({"gamma": 1.5}, "gamma must be between 0 and 1, got 1.5"),
        ({"kl_target": 0.0}, "kl_target must be positive, got 0.0"),
        ({"max_grad_norm": -1.0}, "max_grad_norm must be positive, got -1.0"),
        ({"micro_batch_size": 5}, "micro_batch_size=5 must divide (minibatch_size|episodes_per_update)="),
    ],
)
def test_every_agent_refuses(name: str, fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        agent_class(name).Config(**fields)


@pytest.mark.parametrize(
    ("name", "fields", "message"),
    [
        ("reinforce", {"baseline": "magic"}, 'baseline must be "none" or "mean" or "value", got \'magic\''),
        ("reinforce", {"returns": "half"}, 'returns must be "reward_to_go" or "whole"'),
        ("reinforce", {"mean_decay": -0.1}, "mean_decay must be between 0 and 1"),
        ("actor_critic", {"critic": "r"}, 'critic must be "advantage" or "q"'),
        ("actor_critic", {"n_steps": 0}, "n_steps must be positive"),
        ("actor_critic", {"lam": 2.0}, "lam must be between 0 and 1"),
        ("actor_critic", {"entropy_coef": -1.0}, "entropy_coef must be at least 0"),
        ("actor_critic", {"critic": "q", "n_steps": 3}, "n_steps and separate_critic are of the advantage critic"),
        ("ppo", {"form": "soft"}, 'form must be "clip" or "penalty"'),
        ("ppo", {"clip_range": 0.0}, "clip_range must be positive"),
        ("ppo", {"penalty_target": 0.0}, "penalty_target must be positive"),
        ("ppo", {"penalty_coef": -1.0}, "penalty_coef must be positive"),
        ("ppo", {"group_size": 7}, "group_size=7 must be at least 2 and divide episodes_per_update=512"),
        ("trpo", {"max_kl": 0.0}, "max_kl must be positive"),
        ("trpo", {"layers": 0}, "layers must be positive"),
        ("trpo", {"damping": -0.1}, "damping must be at least 0"),
        ("trpo", {"group_size": 1}, "group_size=1 must be at least 2"),
        ("rloo", {"group_size": 3}, "group_size=3 must be at least 2 and divide episodes_per_update=128"),
        ("grpo", {"gamma": 0.9}, "so gamma must be 1, got 0.9"),
        ("grpo", {"kl_in": "advantage"}, 'kl_in must be "reward" or "loss", got \'advantage\''),
        ("reinforce", {"mean_decay": 1.0}, "mean_decay must be below 1"),
        ("grpo", {"group_size": 1}, "group_size=1 must be at least 2"),
        ("grpo", {"minibatch_size": 100}, "minibatch_size=100 must divide episodes_per_update=512"),
        ("dqn", {"epsilon": 1.5}, "epsilon must be between 0 and 1"),
        ("dqn", {"kl_coef": 0.1}, "DQN's policy is greedy, so it has no KL to pay for: kl_coef must be 0, got 0.1"),
        ("dqn", {"softness": 0.0}, "softness must be positive"),
        ("dqn", {"top_k": 0}, "top_k must be positive"),
        ("best_of_n", {"n": 7}, "n=7 must divide episodes_per_update=512"),
    ],
)
def test_one_refuses(name: str, fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        agent_class(name).Config(**fields)


@pytest.mark.parametrize("name", ["ppo", "grpo"])
@pytest.mark.parametrize(
    ("fields", "size"),
    [
        ({}, 128),
        ({"episodes_per_update": 64}, 64),
        ({"episodes_per_update": 192}, 96),
        ({"episodes_per_update": 1024}, 128),
        ({"episodes_per_update": 64, "minibatch_size": 16}, 16),
        ({"episodes_per_update": 192, "micro_batch_size": 64}, 192),
        ({"episodes_per_update": 512, "micro_batch_size": 256}, 256),
    ],
)
def test_the_minibatch_fits_the_episodes_of_an_update(name: str, fields: dict[str, Any], size: int) -> None:
    config: Any = agent_class(name).Config(**fields)
    assert minibatch(config) == size
    assert config.episodes_per_update % size == 0
    assert minibatch(replace(config, kl_coef=0.2)) == size
    with pytest.raises(ArgumentError, match="minibatch_size=100 must divide episodes_per_update="):
        replace(config, minibatch_size=100, micro_batch_size=None)


MODULE = """
from dataclasses import dataclass
from textenv.agents.ppo import PPO, PPOConfig

@dataclass(frozen=True, kw_only=True)
class OwnConfig(PPOConfig):
    \"\"\"Options of one's own.\"\"\"
    boldness: float = 0.3
    \"\"\"How bold it is.\"\"\"

class Own(PPO):
    \"\"\"An agent of one's own.\"\"\"
    Config = OwnConfig

class Bare(PPO):
    Config = dict

helper = 3
"""


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Write a module of agents."""
    (tmp_path / "own_agents.py").write_text(MODULE, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "own_agents", raising=False)
    return tmp_path


def test_an_agent_of_ones_own_is_called_with_its_module(own: Path) -> None:
    agent: Any = agent_class("own_agents:Own")
    assert (agent.__name__, agent.Config().boldness) == ("Own", 0.3)
    assert for_agent(TrainConfig, "own_agents:Own")(env="TextCopy-v0").algorithm.boldness == 0.3


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("own_agents:Ow", 'has no agent "Ow". Did you mean "Own"?'),
        ("own_agents:helper", '"own_agents:helper" is no agent: it must be a subclass of textenv.agents.learner.Learner.'),
        ("own_agents:OwnConfig", "is no agent"),
        ("own_agents:Bare", "has no options: its Config must be a dataclass derived from textenv.agents.config.LearnerConfig"),
        ("nowhere:Own", "it is neither in this folder nor among the installed packages"),
        ("cispo", 'One of your own is called with its module: "my_module:MyAgent".'),
    ],
)
def test_what_is_no_agent_is_refused(name: str, sentence: str, own: Path) -> None:
    with pytest.raises(ArgumentError) as caught:
        agent_class(name)
    assert sentence in str(caught.value)


def test_a_run_of_ones_own_agent_goes_on_and_is_read(own: Path) -> None:
    small: dict[str, Any] = {"episodes_per_update": 16, "group_size": 4, "episodes": 16, "num_envs": 16, "eval_prompts": 2, "boldness": 0.5}
    run = textenv.train("TextCopy-v0", agent="own_agents:Own", out=own / "run", **small)
    assert (run.config["agent"], run.config["algorithm"]["boldness"]) == ("own_agents:Own", 0.5)
    again = textenv.train("TextCopy-v0", agent="own_agents:Own", out=own / "run", resume=True, **small)
    assert textenv.load_run(own / "run").metrics.equals(again.metrics)
    assert "own_agents:Own" in (own / "run" / "report.html").read_text(encoding="utf-8")


def test_earlier_options_are_settled_by_those_of_the_run() -> None:
    run = {"episodes_per_update": 192, "micro_batch_size": 16, "minibatch_size": 48}
    assert settled({"minibatch_size": None, "gamma": 1.0}, run) == {"minibatch_size": 96, "gamma": 1.0}
    assert settled({"minibatch_size": 128}, run) == {"minibatch_size": 128}
    assert settled({"minibatch_size": None}, {"episodes_per_update": 192}) == {"minibatch_size": None}
    assert settled({"gamma": 1.0}, run) == {"gamma": 1.0}
