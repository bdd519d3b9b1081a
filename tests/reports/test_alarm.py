"""Each sign of a collapse or of over-optimisation, and silence without one."""

import numpy as np
import pytest

from textenv.reports.alarm import collapse_signs, have_parted

FIRST = {"distinct2": 0.8, "entropy": 2.0, "kl_k1": 0.0}


@pytest.mark.parametrize(
    ("metrics", "signs"),
    [
        (FIRST, []),
        ({"distinct2": 0.41, "entropy": 0.41, "kl_k1": -0.09}, []),  # just within
        ({**FIRST, "kl_k1": 30.0}, []),  # far from the reference is no collapse
        ({**FIRST, "distinct2": 0.39}, ["distinct-2 fell from 0.80 to 0.39"]),
        ({**FIRST, "entropy": 0.39}, ["entropy fell from 2.00 to 0.39 nats a token"]),
        ({**FIRST, "kl_k1": -0.11}, ["k1 is -0.11"]),
        ({"distinct2": 0.1, "entropy": 0.1, "kl_k1": -2.0}, ["distinct-2", "entropy", "k1"]),
    ],
)
def test_signs(metrics: dict[str, float], signs: list[str]) -> None:
    found = collapse_signs(metrics, FIRST)
    assert len(found) == len(signs)
    assert all(sentence.startswith(sign) for sentence, sign in zip(found, signs, strict=True))


def test_texts_without_pairs_of_words_are_no_sign() -> None:
    for first in (0.0, 0.86):  # an untrained policy may have written more than one word
        assert collapse_signs({**FIRST, "distinct2": 0.0}, {**FIRST, "distinct2": first}) == []


@pytest.mark.parametrize(
    ("rise", "fall", "parted"),
    [(0.3, 0.3, True), (0.3, -0.3, False), (-0.3, 0.3, False), (0.3, 0.02, False), (0.02, 0.3, False), (0.3, 0.0, False)],
)
def test_score_and_judge_have_parted_when_one_clearly_rose_and_the_other_clearly_fell(rise: float, fall: float, parted: bool) -> None:
    noise = np.random.default_rng(0).normal(scale=0.1, size=(2, 64))  # standard errors of 0.0125
    noise -= noise.mean(1, keepdims=True)
    assert have_parted(rise + noise[0], noise[1] - fall) is parted


def test_changes_without_noise_are_clear() -> None:
    assert have_parted(np.full(4, 1e-6), np.full(4, -1e-6))
    assert not have_parted(np.zeros(4), np.full(4, -1.0))


def test_one_prompt_says_nothing() -> None:
    assert not have_parted(np.ones(1), -np.ones(1))
