import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sentence_transformers import SentenceTransformer
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification, AutoTokenizer

from textenv.build import language_model, sentiment
from textenv.build.__main__ import Options, Recipes, build, check_corpora, main
from textenv.build.embedding import EmbeddingRecipe
from textenv.build.language_model import LanguageModelRecipe
from textenv.build.sentiment import FragmentRecipe, JudgeRecipe, SentimentRecipe
from textenv.errors import ArgumentError
from textenv.rewards.ngram import NgramClassifier, NgramConfig

SMALL = Recipes(
    language_model=LanguageModelRecipe(vocab_size=320, layers=2, width=16, heads=2, context=32, rows_per_step=32, warmup_steps=3),
    sentiment=SentimentRecipe(layers=1, inner=32, passes=1, tokens_per_step=1024, fragments=FragmentRecipe(per_review=1)),
    judge=JudgeRecipe(ngrams=NgramConfig(features=2**10)),
    embedding=EmbeddingRecipe(dimensions=8, window=4),
)
NAMES = ["tiny-embed", "tiny-en", "tiny-sentiment", "tiny-sentiment-judge"]


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_build_end_to_end(small_corpora: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    straight = Options(corpora=small_corpora, out=tmp_path / "assets", work=tmp_path / "work", device="cpu")
    build(straight, SMALL)
    assert sorted(path.name for path in straight.out.iterdir()) == NAMES
    loadable(straight.out)

    # Interrupted in both trainings, in other folders: the same files.
    other = Options(corpora=small_corpora, out=tmp_path / "assets2", work=tmp_path / "work2", device="cpu")
    for module in (language_model, sentiment):
        with monkeypatch.context() as patch:
            interrupt_at_first_checkpoint(patch, module)
            with pytest.raises(KeyboardInterrupt):
                build(other, SMALL)
    build(other, SMALL)
    assert contents(other.out) == contents(straight.out)

    # What is in the work folder is not made again.
    with monkeypatch.context() as patch:
        makers = ((language_model, "train"), (language_model, "build_rows"), (sentiment, "train_sentiment"), (sentiment, "train_judge"))
        for module, name in makers:
            patch.setattr(module, name, None)
        build(other, SMALL)
    assert contents(other.out) == contents(straight.out)


def interrupt_at_first_checkpoint(patch: pytest.MonkeyPatch, module: Any) -> None:
    real = module.save_state

    def save_and_stop(folder: Path, state: dict[str, Any]) -> None:
        real(folder, state)
        raise KeyboardInterrupt

    patch.setattr(module, "CHECKPOINT_STEPS", 3)
    patch.setattr(module, "save_state", save_and_stop)


def loadable(out: Path) -> None:
    """Load each model as its users do."""
    model = AutoModelForCausalLM.from_pretrained(out / "tiny-en")
    assert model.dtype.itemsize == 2
    tokenizer = AutoTokenizer.from_pretrained(out / "tiny-en")
    assert tokenizer.padding_side == "left"
    classifier = AutoModelForSequenceClassification.from_pretrained(out / "tiny-sentiment")
    assert classifier.config.id2label == {0: "NEGATIVE", 1: "POSITIVE"}
    reader = AutoTokenizer.from_pretrained(out / "tiny-sentiment")
    assert (reader.padding_side, reader.truncation_side) == ("right", "left")
    judge = NgramClassifier.from_pretrained(out / "tiny-sentiment-judge")
    assert judge.probabilities(["The film was great."])[0] > 0.5
    vectors = SentenceTransformer(str(out / "tiny-embed"), device="cpu").encode(["a film", "a plot"], show_progress_bar=False)
    assert vectors.shape == (2, 8)
    assert np.isfinite(vectors).all()
    for name in NAMES:
        metrics = json.loads((out / name / "metrics.json").read_text())
        card = (out / name / "README.md").read_text()
        assert all(f"| {key} |" in card for key in metrics)
    assert "| haiku |" in (out / "tiny-en" / "README.md").read_text()


def test_seed_reaches_every_recipe() -> None:
    recipes = SMALL.seeded(7)
    assert {recipes.language_model.seed, recipes.sentiment.seed, recipes.judge.seed, recipes.embedding.seed} == {7}
    assert recipes.language_model.width == 16


def test_missing_corpora_are_named_before_any_work(small_corpora: Path, tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match=r"no folder of corpora at .*nowhere.*--corpora"):
        check_corpora(tmp_path / "nowhere", ("tiny-en",))
    (small_corpora / "haiku.parquet").unlink()
    check_corpora(small_corpora, ("tiny-sentiment-judge",))
    options = Options(corpora=small_corpora, out=tmp_path / "assets", work=tmp_path / "work", only=("tiny-sentiment",))
    with pytest.raises(ArgumentError, match=r"lacks haiku\.parquet, which tiny-sentiment is built from"):
        build(options, SMALL)
    assert not (tmp_path / "work").exists()


def test_command_line_ends_in_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["textenv.build", "--corpora", str(tmp_path / "nowhere"), "--only", "tiny-en", "tiny-embed"])
    with pytest.raises(SystemExit, match=r"^There is no folder of corpora at .*\.$"):
        main()
