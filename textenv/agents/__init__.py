"""The agents: losses as pure functions, one file an algorithm."""

import importlib
from typing import TYPE_CHECKING, Any, Final

if __name__ != "textenv.agents":
    raise ImportError("This folder is textenv/agents; import it as textenv.agents.")

from textenv.errors import ArgumentError, did_you_mean

if TYPE_CHECKING:
    from textenv.agents.learner import Learner

AGENTS: Final = {
    "reinforce": "REINFORCE",
    "actor_critic": "ActorCritic",
    "ppo": "PPO",
    "trpo": "TRPO",
    "rloo": "RLOO",
    "scst": "SCST",
    "grpo": "GRPO",
    "online_dpo": "OnlineDPO",
    "dqn": "DQN",
    "expert_iteration": "ExpertIteration",
    "guided": "Guided",
    "best_of_n": "BestOfN",
}
"""What `--agent` takes, each a module of this room, and the class in it; its options are the class's name with Config."""

__all__ = [
    "AGENTS",
    "DQN",
    "GRPO",
    "PPO",
    "REINFORCE",
    "RLOO",
    "SCST",
    "TRPO",
    "ActorCritic",
    "ActorCriticConfig",
    "BestOfN",
    "BestOfNConfig",
    "DQNConfig",
    "ExpertIteration",
    "ExpertIterationConfig",
    "GRPOConfig",
    "Guided",
    "GuidedConfig",
    "OnlineDPO",
    "OnlineDPOConfig",
    "PPOConfig",
    "REINFORCEConfig",
    "RLOOConfig",
    "SCSTConfig",
    "TRPOConfig",
    "agent_class",
]


def agent_class(name: str) -> "type[Learner]":
    """Find an agent by what `--agent` calls it; `.Config` holds its options.

    Raises:
        ArgumentError: there is none of that name.
    """
    if name not in AGENTS:
        raise ArgumentError(f'There is no agent "{name}".{did_you_mean(name, AGENTS)}')
    found: type[Learner] = getattr(importlib.import_module(f"textenv.agents.{name}"), AGENTS[name])
    return found


def __getattr__(name: str) -> Any:
    for module, base in AGENTS.items():
        if name in (base, f"{base}Config"):
            return getattr(importlib.import_module(f"textenv.agents.{module}"), name)
    raise AttributeError(f"module 'textenv.agents' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
