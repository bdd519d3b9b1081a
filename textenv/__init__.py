"""Gymnasium environments in which language models are trained by reinforcement learning."""

import importlib
from typing import TYPE_CHECKING, Any

from textenv.envs.registry import register, register_built_in

if TYPE_CHECKING:
    from textenv import agents, rewards
    from textenv.envs import exact, wrappers
    from textenv.envs.checker import check
    from textenv.envs.single import TextEnv
    from textenv.envs.task import Task
    from textenv.envs.vector import TextVectorEnv
    from textenv.models.policy import LanguagePolicy
    from textenv.quick import train
    from textenv.reports.loading import load_run
    from textenv.rewards.loading import load_reward
    from textenv.rollouts.collect import collect
    from textenv.types import Episodes

__version__ = "0.1.0"

# Public name to where it comes from; what needs torch is imported when it is first used.
_LAZY = {
    "Episodes": "textenv.types:Episodes",
    "LanguagePolicy": "textenv.models.policy:LanguagePolicy",
    "Task": "textenv.envs.task:Task",
    "TextEnv": "textenv.envs.single:TextEnv",
    "TextVectorEnv": "textenv.envs.vector:TextVectorEnv",
    "agents": "textenv.agents",
    "check": "textenv.envs.checker:check",
    "collect": "textenv.rollouts.collect:collect",
    "exact": "textenv.envs.exact",
    "load_reward": "textenv.rewards.loading:load_reward",
    "load_run": "textenv.reports.loading:load_run",
    "rewards": "textenv.rewards",
    "train": "textenv.quick:train",
    "wrappers": "textenv.envs.wrappers",
}

__all__ = [
    "Episodes",
    "LanguagePolicy",
    "Task",
    "TextEnv",
    "TextVectorEnv",
    "agents",
    "check",
    "collect",
    "exact",
    "load_reward",
    "load_run",
    "register",
    "rewards",
    "train",
    "wrappers",
]


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module 'textenv' has no attribute {name!r}")
    module, _, attribute = _LAZY[name].partition(":")
    found = importlib.import_module(module)
    return getattr(found, attribute) if attribute else found


def __dir__() -> list[str]:
    return __all__


register_built_in()
