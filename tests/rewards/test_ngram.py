import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from textenv.errors import LoadError
from textenv.rewards.ngram import NgramClassifier, NgramConfig

SMALL = NgramConfig(features=2**10)
TEXTS = ["a great film", "great cast, great fun", "not bad at all", "a bad film", "dull and bad", "bad, bad, bad"]
LABELS = [1, 1, 1, 0, 0, 0]


@pytest.fixture(scope="module")
def classifier() -> NgramClassifier:
    return NgramClassifier.fit(TEXTS, LABELS, SMALL, inverse_penalty=100.0)


def test_fit_separates_what_it_saw(classifier: NgramClassifier) -> None:
    probabilities = classifier.probabilities(TEXTS)
    assert probabilities.dtype == np.float64
    assert ((probabilities > 0.5) == (np.array(LABELS) == 1)).all()
    assert classifier.probabilities(["great"])[0] > 0.5 > classifier.probabilities(["dull"])[0]


def test_bigrams_count(classifier: NgramClassifier) -> None:
    alone = NgramClassifier.fit(TEXTS, LABELS, NgramConfig(features=2**10, longest=1), inverse_penalty=100.0)
    order = ["not bad", "bad not"]
    assert classifier.log_odds(order)[0] > classifier.log_odds(order)[1]
    assert alone.log_odds(order)[0] == pytest.approx(alone.log_odds(order)[1], abs=1e-12)


def test_log_odds_by_hand() -> None:
    # One bucket: every word falls into it, and a text's only feature is 1 after scaling to length 1.
    classifier = NgramClassifier(np.array([2.0]), np.array([3.0]), -0.5, NgramConfig(features=1))
    np.testing.assert_allclose(classifier.log_odds(["any words", "...", ""]), [1.5, -0.5, -0.5], atol=1e-12)
    np.testing.assert_allclose(classifier.probabilities(["word"]), [1 / (1 + math.exp(-1.5))], atol=1e-12)
    np.testing.assert_allclose(classifier.scaled(0.5).log_odds(["word", ""]), [0.75, -0.25], atol=1e-12)


def test_each_text_is_scored_alone(classifier: NgramClassifier) -> None:
    together = classifier.probabilities(TEXTS)
    np.testing.assert_allclose([classifier.probabilities([text])[0] for text in TEXTS], together, atol=1e-12)
    assert classifier.probabilities([]).shape == (0,)


def test_disk_keeps_the_scores(classifier: NgramClassifier, tmp_path: Path) -> None:
    classifier.save_pretrained(tmp_path / "judge")
    loaded = NgramClassifier.from_pretrained(tmp_path / "judge")
    assert loaded.config == SMALL
    np.testing.assert_allclose(loaded.log_odds(TEXTS), classifier.log_odds(TEXTS), atol=0.02)  # half precision
    loaded.save_pretrained(tmp_path / "again")
    again = NgramClassifier.from_pretrained(tmp_path / "again")
    np.testing.assert_array_equal(again.log_odds(TEXTS), loaded.log_odds(TEXTS))
    assert json.loads((tmp_path / "judge" / "config.json").read_text())["model_type"] == "ngram"
    assert (tmp_path / "judge" / "model.safetensors").stat().st_size < 2 * 2 * 2**10 + 500


def test_single_characters_can_be_words() -> None:
    config = NgramConfig(features=2**10, token_pattern=r"(?u)\w")
    classifier = NgramClassifier.fit(["很好", "真好", "不好", "太差"], [1, 1, 0, 0], config, inverse_penalty=100.0)
    assert classifier.probabilities(["真的好"])[0] > 0.5 > classifier.probabilities(["差"])[0]


def test_missing_files_are_named(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(LoadError, match=r"holds no n-gram classifier: model\.safetensors missing"):
        NgramClassifier.from_pretrained(tmp_path)


@pytest.mark.parametrize(
    ("field", "values"),
    [
        ("features", [None, "1024", -1, 0, [], {}, 1024.0, True, 10**400, 2**31]),
        ("longest", [None, "2", -1, 0, [], {}, 1.5, True, 10**400]),
        ("token_pattern", [None, 5, [], "(", "(a)(b)", "a{99999999999}"]),
        ("bias", [None, "0", [], True, 10**400, math.nan, math.inf]),
    ],
)
def test_settings_of_another_type_or_range_are_named(field: str, values: list[Any], classifier: NgramClassifier, tmp_path: Path) -> None:
    classifier.save_pretrained(tmp_path)
    settings = json.loads((tmp_path / "config.json").read_text())
    for value in values:
        (tmp_path / "config.json").write_text(json.dumps({**settings, field: value}))
        with pytest.raises(LoadError, match=f"cannot be loaded: {field} ") as caught:
            NgramClassifier.from_pretrained(tmp_path)
        assert len(str(caught.value)) < 400
