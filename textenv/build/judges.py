"""Make the judges: n-gram classifiers, which never saw a text that the reward of the same task learnt from."""

from dataclasses import dataclass, field
from random import Random

from textenv.build.calibration import fitted_temperature
from textenv.build.fragments import FragmentRecipe, calibration_split, one_pass
from textenv.rewards.ngram import NgramClassifier, NgramConfig


@dataclass(frozen=True, kw_only=True)
class JudgeRecipe:
    """What makes a judge."""

    fragments: FragmentRecipe = field(default_factory=lambda: FragmentRecipe(per_text=8))
    ngrams: NgramConfig = field(default_factory=NgramConfig)
    inverse_penalty: float = 1.0
    seed: int = 0


def train_judge(texts: list[str], labels: list[int], recipe: JudgeRecipe) -> NgramClassifier:
    """Fit a judge on whole texts and fragments, then calibrate it on fragments of other texts.

    Args:
        texts: to learn from.
        labels: 1 for the positive class, 0 for the other.
        recipe: fragments and n-grams.
    """
    learnt, kept = calibration_split(len(texts), recipe.fragments.calibration)
    shown, wanted = one_pass([texts[i] for i in learnt], [labels[i] for i in learnt], recipe.fragments, Random(recipe.seed))
    judge = NgramClassifier.fit(shown, wanted, recipe.ngrams, recipe.inverse_penalty)
    found = fitted_temperature(judge.log_odds, [texts[i] for i in kept], [labels[i] for i in kept], recipe.fragments, recipe.seed)
    return judge.scaled(1 / found)
