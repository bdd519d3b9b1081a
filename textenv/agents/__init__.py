"""The agents: losses as pure functions, one file an algorithm."""

if __name__ != "textenv.agents":
    raise ImportError("This folder is textenv/agents; import it as textenv.agents.")

from textenv.agents.ppo import PPO, PPOConfig

__all__ = ["PPO", "PPOConfig"]
