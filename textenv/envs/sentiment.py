"""TextSentiment-v0: continue the opening of a film review so that it reads as positive, negative or neutral.

Description:
    The classic of RLHF: a language model trained on film reviews of both kinds learns to write those of one, while
    the KL to its reference keeps the text a text.

Prompts:
    211 openings of film reviews, written for this environment and neutral in tone.

Observation Space:
    `Box(-1, 4095, (40,), int32)`: 16 prompt and 24 response columns.

Action Space:
    `Discrete(4096)`: the tokens of `tiny-en`.

Rewards:
    At the end of the text, by `tiny-sentiment` of opening and continuation, as `target` says: "positive", P(positive), 0 to
    1; "negative", P(negative), 0 to 1; "neutral", 4 - 2|logit| of the log-odds of positive, -23.6 to 4: the surer of either,
    the lower. The judge scores in the same way by `tiny-sentiment-judge`. A classifier from the hub takes the place of
    P(positive) with `reward="lvwerra/distilbert-imdb"`; a reward of your own is taken as it is, without a `target`.
    Before training: mean 0.53; ten bins from 0 to 1 in percent: 5 7 9 12 12 13 14 13 10 6.

Episode End:
    The end-of-text token or the 24th token.

Arguments:
    `target`, the fields of `Task`, `kl_coef`, `reference`, `autoreset_mode`, `render_mode`. Another model takes the place of
    `tiny-en` with `tokenizer="openai-community/gpt2"` and a policy of the same name.

References:
    Ziegler et al., "Fine-Tuning Language Models from Human Preferences", section 3.1, https://arxiv.org/abs/1909.08593.
    Ramamurthy et al., "Is Reinforcement Learning (Not) for Natural Language Processing", section 4,
    https://arxiv.org/abs/2210.01241. The neutral target is TRL's in gpt2-sentiment-control.

Version History:
    v0: first.
"""

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from textenv.envs.task import RewardLike, Task
from textenv.errors import ArgumentError, RewardError, did_you_mean
from textenv.importing import is_import
from textenv.models.hub import ASSETS
from textenv.rewards.loading import load_reward
from textenv.rewards.protocol import call_reward, reward_name


def neutrality(probabilities: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return 4 - 2|log p / (1 - p)|, p between 1e-6 and 1 - 1e-6."""
    kept = np.clip(probabilities, 1e-6, 1 - 1e-6)
    return np.asarray(4 - 2 * np.abs(np.log(kept) - np.log1p(-kept)))


TARGETS: Final[dict[str, Callable[[NDArray[np.float64]], NDArray[np.float64]]]] = {
    "positive": lambda probabilities: probabilities,
    "negative": lambda probabilities: 1 - probabilities,
    "neutral": neutrality,
}
"""From P(positive) to the score."""


@dataclass(frozen=True)
class Tone:
    """Scores how well texts match a target, by a classifier's P(positive)."""

    classifier: RewardLike
    target: str
    device: str = "cpu"

    def __call__(self, prompts: Sequence[str], completions: Sequence[str]) -> list[float]:
        """Score n texts.

        Raises:
            RewardError: the classifier's scores are no probabilities.
        """
        classifier = load_reward(self.classifier, device=self.device)
        positive = call_reward(classifier, prompts, completions).scores
        if len(positive) and not (positive.min() >= 0 and positive.max() <= 1):
            name = reward_name(classifier)
            raise RewardError(
                f'target="{self.target}" reads P(positive), from 0 to 1, but {name} scores from {positive.min():g} to'
                f" {positive.max():g}; leave target out, so that the scores are taken as they are."
            )
        return [float(score) for score in TARGETS[self.target](positive)]


def task(*, target: str = "positive", reward: RewardLike = "tiny-sentiment") -> Task:
    """Make the task of a target, scored by `reward`'s P(positive).

    Raises:
        ArgumentError: there is no such target, or one other than "positive" is given with a function, whose score is no P(positive).
    """
    if target not in list(TARGETS):
        raise ArgumentError(f'There is no target "{target}" of sentiment.{did_you_mean(str(target), TARGETS)}')
    is_function = inspect.isroutine(reward) or (isinstance(reward, str) and is_import(reward))
    if target != "positive" and is_function:
        raise ArgumentError(
            f'target="{target}" turns the P(positive) of a classifier round, but the reward is a function of your own;'
            " leave target out, so that its scores are taken as they are."
        )

    def scorer(classifier: RewardLike) -> RewardLike:
        return classifier if target == "positive" else Tone(classifier, target)

    return Task(
        prompts=str(ASSETS / "prompts" / "film-openings.txt"),
        reward=scorer(reward),
        judge=scorer("tiny-sentiment-judge"),
        tokenizer="tiny-en",
        max_prompt_tokens=16,
        max_new_tokens=24,
    )
