"""The language model as the policy of sb3-contrib's MaskablePPO, which asks for a base class of its own."""

from sb3_contrib.common.maskable.policies import MaskableActorCriticPolicy

from textenv.agents.sb3.policy import LanguageModel


class MaskableLanguageModelPolicy(LanguageModel, MaskableActorCriticPolicy):  # type: ignore[misc]
    """A language model for MaskablePPO of sb3-contrib; arguments and errors are those of `LanguageModelPolicy`.

    What the environment's `action_masks()` forbid is neither drawn nor learned from: the distribution is renormalised over
    what is allowed, as `textenv.collect` and textenv's agents do.
    """
