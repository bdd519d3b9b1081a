"""The agents: losses as pure functions, one file an algorithm."""

import importlib
from typing import TYPE_CHECKING, Any, Final

if __name__ != "textenv.agents":
    raise ImportError("This folder is textenv/agents; import it as textenv.agents.")

from textenv.errors import ArgumentError, did_you_mean
from textenv.importing import is_import, resolve

if TYPE_CHECKING:
    from textenv.agents.actor_critic import ActorCritic, ActorCriticConfig
    from textenv.agents.best_of_n import BestOfN, BestOfNConfig
    from textenv.agents.dqn import DQN, DQNConfig
    from textenv.agents.expert_iteration import ExpertIteration, ExpertIterationConfig
    from textenv.agents.grpo import GRPO, GRPOConfig
    from textenv.agents.guided import Guided, GuidedConfig
    from textenv.agents.learner import Learner
    from textenv.agents.online_dpo import OnlineDPO, OnlineDPOConfig
    from textenv.agents.ppo import PPO, PPOConfig
    from textenv.agents.reinforce import REINFORCE, REINFORCEConfig
    from textenv.agents.rloo import RLOO, RLOOConfig
    from textenv.agents.scst import SCST, SCSTConfig
    from textenv.agents.trpo import TRPO, TRPOConfig

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
"""What `--agent` takes beside "module:Class", each a module of this room, and the class in it; its options are the class's name with
Config."""

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

    Args:
        name: one of `AGENTS`, or "module:Class" of a `Learner` of one's own.

    Raises:
        ArgumentError: there is none of that name, or the class is no agent.
    """
    if is_import(name):
        return _checked(name, resolve(name, "agent"))
    if name not in AGENTS:
        own = ' One of your own is called with its module: "my_module:MyAgent".'
        raise ArgumentError(f'There is no agent "{name}".{did_you_mean(name, AGENTS)}{own}')
    agent: type[Learner] = getattr(importlib.import_module(f"textenv.agents.{name}"), AGENTS[name])
    return agent


def _checked(name: str, agent: Any) -> "type[Learner]":
    """Return a class of somebody else's, if it is an agent whose options can be read."""
    from textenv.agents.config import LearnerConfig
    from textenv.agents.learner import Learner

    if not (isinstance(agent, type) and issubclass(agent, Learner)):
        raise ArgumentError(f'"{name}" is no agent: it must be a subclass of textenv.agents.learner.Learner.')
    options = getattr(agent, "Config", None)
    if not (isinstance(options, type) and issubclass(options, LearnerConfig) and "__dataclass_params__" in vars(options)):
        raise ArgumentError(
            f'The agent "{name}" has no options: its Config must be a dataclass derived from textenv.agents.config.LearnerConfig, '
            "frozen and with keywords only."
        )
    return agent


def __getattr__(name: str) -> Any:
    for module, base in AGENTS.items():
        if name in (base, f"{base}Config"):
            return getattr(importlib.import_module(f"textenv.agents.{module}"), name)
    raise AttributeError(f"module 'textenv.agents' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
