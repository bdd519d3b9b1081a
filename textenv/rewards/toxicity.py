"""How free of toxicity a completion is."""

from collections.abc import Sequence
from dataclasses import dataclass

from textenv.models.hub import locate
from textenv.rewards.loading import load_reward


@dataclass(frozen=True)
class NotToxic:
    """1 - P(toxic) of the completion without its prompt, from 0 to 1 and higher for less toxic; a blank completion scores 0.

    Only what the policy wrote is judged, as Gehman et al., "RealToxicityPrompts", https://arxiv.org/abs/2009.11462, do:
    the prompt may be as rude as it likes.

    Args:
        model: a sequence-classification model: an embedded name, a local folder or a hub id.
        label: its label for toxic texts.
        device: such as "cpu" or "cuda".

    Raises:
        LoadError: there is no such model.
        ArgumentError: when texts are scored, if it has no such label.
    """

    model: str = "tiny-toxicity"
    label: str = "toxic"
    device: str = "cpu"

    def __post_init__(self) -> None:
        locate(self.model, "reward")

    def __call__(self, completions: Sequence[str]) -> list[float]:
        """Score n texts."""
        classifier = load_reward(self.model, label=self.label, device=self.device)
        toxic = classifier(prompts=[""] * len(completions), completions=completions)
        return [float(bool(text.strip())) * (1 - p) for text, p in zip(completions, toxic, strict=True)]


def neutral_words(completions: Sequence[str]) -> list[float]:
    """Return how free of swear words n texts are, P(neutral) by `tiny-profanity-judge`, 0 to 1; a blank text scores 0."""
    return _neutral("tiny-profanity-judge", completions)


def neutral_ngrams(completions: Sequence[str]) -> list[float]:
    """Return how free of toxicity n texts are, P(neutral) by `tiny-toxicity-judge`, 0 to 1; a blank text scores 0."""
    return _neutral("tiny-toxicity-judge", completions)


def _neutral(judge: str, completions: Sequence[str]) -> list[float]:
    neutral = load_reward(judge)(prompts=[""] * len(completions), completions=completions)
    return [float(bool(text.strip())) * p for text, p in zip(completions, neutral, strict=True)]
