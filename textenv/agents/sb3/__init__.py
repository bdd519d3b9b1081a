"""Stable-Baselines3 and sb3-contrib over the native vector env, and a language model as their policy.

Nothing else of textenv imports these libraries' agents; sb3-contrib comes in with `MaskableLanguageModelPolicy` only.
"""

from typing import TYPE_CHECKING, Any

from textenv.agents.sb3.policy import LanguageModelPolicy
from textenv.agents.sb3.vec_env import as_vec_env

if TYPE_CHECKING:
    from textenv.agents.sb3.maskable import MaskableLanguageModelPolicy

__all__ = ["LanguageModelPolicy", "MaskableLanguageModelPolicy", "as_vec_env"]


def __getattr__(name: str) -> Any:
    if name != "MaskableLanguageModelPolicy":
        raise AttributeError(f"module 'textenv.agents.sb3' has no attribute {name!r}")
    from textenv.agents.sb3.maskable import MaskableLanguageModelPolicy

    return MaskableLanguageModelPolicy
