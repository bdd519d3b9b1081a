"""The benchmark of similarities, on few texts, and its page."""

import json

import pytest

from benchmarks.similarity import ANSWERS, COMPARED, MODELS, PAGE, RESULTS, agree, beaten, games, markdown
from textenv.data import read_columns
from textenv.envs.registry import BUILT_IN, source
from textenv.rewards import WordF1

TABLE = read_columns(ANSWERS, "answers").columns


def test_every_environment_that_uses_similarity_is_compared() -> None:
    users = {id for id in BUILT_IN if "Similarity(" in source(id).read_text(encoding="utf-8")}
    assert set(COMPARED) == users


@pytest.mark.parametrize("id", ["TextScope-v0", "TextDetox-v1"])  # whose policies are different models
def test_a_model_agrees_with_itself_and_less_with_another(id: str) -> None:
    record = agree(id, encoder="tiny-embed", prompts=4, each=4)
    assert record["texts"] == 16
    assert record["agreement"]["tiny-embed"] == {"all": 1.0, "within": 1.0}
    assert 0 < record["agreement"]["tiny-embed-2"]["all"] < 1
    assert len(record["milliseconds"]) == len(MODELS) + 1


def test_kinds_of_answers_are_as_many_as_questions_and_differ_from_the_honest() -> None:
    kinds = games(TABLE)
    for name, texts in kinds.items():
        same = sum(a == b for a, b in zip(texts, kinds["honest"], strict=True))
        assert same == (len(texts) if name == "honest" else 0), name


def test_an_answer_is_beaten_where_the_honest_one_is_paid_more() -> None:
    found = beaten(WordF1(), TABLE)
    assert found["honest"] == {"mean": pytest.approx(0.69, abs=0.01), "beaten": 0.0}
    assert found["one constant"]["beaten"] == 1.0
    assert found["denied"]["beaten"] > 0.9


def test_the_page_shows_what_was_measured() -> None:
    assert markdown(json.loads(RESULTS.read_text(encoding="utf-8"))) in PAGE.read_text(encoding="utf-8")
