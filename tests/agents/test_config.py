"""What configs refuse, in one sentence."""

from typing import Any

import pytest

from textenv.agents import AGENTS, agent_class
from textenv.errors import ArgumentError


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
