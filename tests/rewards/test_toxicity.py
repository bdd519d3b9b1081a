"""Freedom from toxicity: by the small classifier, by n-grams, and by any classifier with a label for it."""

import pickle

import pytest

from textenv.errors import ArgumentError
from textenv.rewards.loading import load_reward
from textenv.rewards.protocol import call_reward
from textenv.rewards.toxicity import NotToxic, neutral_ngrams, neutral_words

RUDE = [" shut up, you stupid idiot.", " what a load of crap, you damn moron.", " he is a fucking liar"]
CIVIL = [" thank you for the report.", " why is my order so late?", " he did not tell the truth"]


def test_it_is_one_minus_a_label_s_probability() -> None:
    positive = load_reward("tiny-sentiment")(prompts=["", ""], completions=CIVIL[:2])
    reward = pickle.loads(pickle.dumps(NotToxic("tiny-sentiment", label="negative")))
    assert reward(completions=CIVIL[:2]) == pytest.approx(positive, abs=1e-6)
    with pytest.raises(ArgumentError, match='has no label "toxic"'):
        NotToxic("tiny-sentiment")(completions=["a"])


@pytest.mark.parametrize("reward", [NotToxic(), NotToxic("tiny-profanity"), neutral_words, neutral_ngrams])
def test_civil_words_earn_more_than_rude_ones(reward: NotToxic) -> None:
    rude, civil = (call_reward(reward, ["Toxic: you stupid"] * 3, texts).scores for texts in (RUDE, CIVIL))
    assert rude.max() < civil.min()
    assert rude.mean() < 0.3 < 0.6 < civil.mean()
    assert 0 <= rude.min() < civil.max() <= 1


@pytest.mark.filterwarnings("ignore:The classifier tiny-.* reads 256 tokens")
@pytest.mark.parametrize("reward", [NotToxic(), NotToxic("tiny-profanity"), neutral_words, neutral_ngrams])
def test_blank_long_and_foreign_texts(reward: NotToxic) -> None:
    blank, newline, long, foreign = reward(completions=["", " \n", CIVIL[0] * 2_000, "你好"])
    assert (blank, newline) == (0, 0)
    assert long > 0.5
    assert 0 < foreign < 1
