from random import Random

import pytest

from textenv.build.calibration import measure
from textenv.build.fragments import FragmentRecipe
from textenv.build.judges import JudgeRecipe, train_judge
from textenv.rewards.ngram import NgramConfig

CHARACTERS = JudgeRecipe(
    fragments=FragmentRecipe(unit="characters", most=20, measured=12), ngrams=NgramConfig(features=2**10, token_pattern=r"(?u)\w")
)
WORDS = JudgeRecipe(ngrams=NgramConfig(features=2**10))


@pytest.mark.parametrize(
    ("recipe", "bad", "good", "joint"), [(WORDS, "bad dull cold", "good warm fine", " "), (CHARACTERS, "差 破 慢", "好 新 快", "")]
)
def test_judge_learns_and_is_calibrated(recipe: JudgeRecipe, bad: str, good: str, joint: str) -> None:
    rng = Random(0)
    labels = [rng.randint(0, 1) for _ in range(120)]
    neutral = "的 了 是 我".split()
    texts = [joint.join(rng.choice([*neutral, *(bad, good)[label].split() * 2]) for _ in range(40)) for label in labels]
    judge = train_judge(texts, labels, recipe)
    measured = measure(judge.log_odds, texts, labels, recipe.fragments, seed=1)
    assert measured["accuracy_fragments"] > 0.95
    assert measured["calibration_error_fragments"] < 0.05
