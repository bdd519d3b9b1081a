"""Each sign of a collapse, and silence without one."""

import pytest

from textenv.reports.alarm import collapse_signs

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
    assert collapse_signs({**FIRST, "distinct2": 0.0}, {**FIRST, "distinct2": 0.0}) == []
