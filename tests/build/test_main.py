import dataclasses
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sentence_transformers import SentenceTransformer
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification, AutoTokenizer

from textenv.build import builder, classifiers, distillation, judges, language_model, toxicity
from textenv.build.__main__ import Options, build, check_corpora, main
from textenv.build.assistant import AssistantRecipe, BaseRecipe
from textenv.build.catalogue import Name, Recipes
from textenv.build.classifiers import ClassifierRecipe, SmallClassifierRecipe
from textenv.build.distillation import DistilRecipe
from textenv.build.embedding import EmbeddingRecipe
from textenv.build.fragments import FragmentRecipe
from textenv.build.judges import JudgeRecipe
from textenv.build.language_model import LanguageModelRecipe
from textenv.errors import ArgumentError
from textenv.models.hub import ASSETS
from textenv.rewards.ngram import NgramClassifier, NgramConfig

WORDS = FragmentRecipe(per_text=1)
CHARACTERS = FragmentRecipe(unit="characters", per_text=1, most=20, measured=8)
LANGUAGE = LanguageModelRecipe(vocab_size=320, layers=2, width=16, heads=2, context=32, rows_per_step=32, warmup_steps=3)
SMALL_CLASSIFIER = SmallClassifierRecipe(layers=1, inner=32, width=8, heads=2, passes=1, tokens_per_step=256, lr=1e-2, fragments=WORDS)
SMALL_SIZES: dict[str, Any] = {**dataclasses.asdict(LANGUAGE), "vocab_size": 400, "context": 512, "documents": 400, "rows_per_step": 4}
SMALL = Recipes(
    tiny_en=LANGUAGE,
    tiny_sentiment=ClassifierRecipe(layers=1, inner=32, passes=1, tokens_per_step=1024, fragments=WORDS),
    tiny_sentiment_judge=JudgeRecipe(ngrams=NgramConfig(features=2**10)),
    tiny_embed=EmbeddingRecipe(dimensions=8, window=4),
    tiny_embed_2=DistilRecipe(dimensions=8, texts=60, batch=16, passes=2),
    tiny_profanity=SMALL_CLASSIFIER,
    tiny_profanity_judge=JudgeRecipe(ngrams=NgramConfig(features=2**10), fragments=WORDS),
    tiny_toxicity=replace(SMALL_CLASSIFIER, tokens_per_step=1024),
    tiny_toxicity_judge=JudgeRecipe(ngrams=NgramConfig(features=2**10), fragments=WORDS),
    tiny_base=BaseRecipe(**SMALL_SIZES),
    tiny_assistant=AssistantRecipe(**SMALL_SIZES, demonstrations=400, measured=2),
    # Few characters stand in the small corpus, and the embedding has a row for each.
    tiny_zh=replace(LANGUAGE, vocab_size=18, rows_per_step=8),
    tiny_sentiment_zh=replace(SMALL_CLASSIFIER, fragments=CHARACTERS),
    tiny_sentiment_zh_judge=JudgeRecipe(ngrams=NgramConfig(features=2**10, token_pattern=r"(?u)\w"), fragments=CHARACTERS),
)
TEACHER = ASSETS / "tiny-embed"
NAMES = [
    "tiny-assistant",
    "tiny-base",
    "tiny-embed",
    "tiny-embed-2",
    "tiny-en",
    "tiny-profanity",
    "tiny-profanity-judge",
    "tiny-sentiment",
    "tiny-sentiment-judge",
    "tiny-sentiment-zh",
    "tiny-sentiment-zh-judge",
    "tiny-toxicity",
    "tiny-toxicity-judge",
    "tiny-zh",
]
TRAININGS: list[tuple[Name, Any]] = [
    ("tiny-en", language_model),
    ("tiny-sentiment", classifiers),
    ("tiny-profanity", classifiers),
    ("tiny-toxicity", classifiers),
    ("tiny-zh", language_model),
    ("tiny-sentiment-zh", classifiers),
    ("tiny-base", language_model),
    ("tiny-assistant", language_model),
]


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_build_end_to_end(small_corpora: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    straight = Options(corpora=small_corpora, out=tmp_path / "assets", work=tmp_path / "work", device="cpu", teacher=TEACHER)
    monkeypatch.setattr(toxicity, "PER_KIND", {"reward": 60, "judge": 60})
    build(straight, SMALL)
    assert sorted(path.name for path in straight.out.iterdir()) == NAMES
    loadable(straight.out)

    # Interrupted in every training, in other folders: the same files.
    other = replace(straight, out=tmp_path / "assets2", work=tmp_path / "work2")
    for training, module in TRAININGS:
        with monkeypatch.context() as patch:
            interrupt_at_first_checkpoint(patch, module)
            with pytest.raises(KeyboardInterrupt):
                build(replace(other, only=(training,)), SMALL)
    build(other, SMALL)
    assert contents(other.out) == contents(straight.out)

    # What is in the work folder is not made again.
    with monkeypatch.context() as patch:
        makers = (
            (language_model, "train"),
            (language_model, "build_rows"),
            (classifiers, "train_classifier"),
            (judges, "train_judge"),
            (distillation, "distil"),
            (distillation, "taught"),
            (builder, "measure"),
        )
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
    for name, labels in (
        ("sentiment", ("NEGATIVE", "POSITIVE")),
        ("profanity", ("NEUTRAL", "TOXIC")),
        ("toxicity", ("NEUTRAL", "TOXIC")),
        ("sentiment-zh", ("NEGATIVE", "POSITIVE")),
    ):
        classifier = AutoModelForSequenceClassification.from_pretrained(out / f"tiny-{name}")
        assert classifier.config.id2label == dict(enumerate(labels))
        reader = AutoTokenizer.from_pretrained(out / f"tiny-{name}")
        assert (reader.padding_side, reader.truncation_side) == ("right", "left")
    texts = {
        "sentiment": ("The film was great.", "The film was awful."),
        "profanity": ("You kind film", "you stupid film"),
        "toxicity": ("so kind of user", "so stupid of user"),
        "sentiment-zh": ("包装很好", "包装很差"),
    }
    for name, (better, worse) in texts.items():
        judge = NgramClassifier.from_pretrained(out / f"tiny-{name}-judge")
        assert judge.probabilities([worse])[0] < 0.5 < judge.probabilities([better])[0]
    chat = AutoTokenizer.from_pretrained(out / "tiny-assistant").apply_chat_template(
        [{"role": "user", "content": "Hello!"}], tokenize=False, add_generation_prompt=True
    )
    assert chat == "<|user|> Hello!<|end|><|assistant|>"
    chinese = AutoTokenizer.from_pretrained(out / "tiny-zh")
    assert chinese.decode(chinese("质量很好")["input_ids"]) == "质量很好"
    for name in ("tiny-embed", "tiny-embed-2"):
        vectors = SentenceTransformer(str(out / name), device="cpu").encode(["a film", "a plot"], show_progress_bar=False)
        assert vectors.shape == (2, 8)
        assert np.isfinite(vectors).all()
    for name in NAMES:
        metrics = json.loads((out / name / "metrics.json").read_text())
        card = (out / name / "README.md").read_text()
        assert all(f"| {key} |" in card for key in metrics)
        assert f"language: {'zh' if 'zh' in name else 'en'}" in card
    assert "| haiku |" in (out / "tiny-en" / "README.md").read_text()
    assert "## Measured on held-out sentences" in (out / "tiny-profanity" / "README.md").read_text()
    for name in ("tiny-toxicity", "tiny-toxicity-judge"):
        card = (out / name / "README.md").read_text()
        assert "## Measured on held-out texts" in card
        assert all(f"| {measure} |" in card for measure in ("auc_posts", "contrast_threats", "film_false_alarms"))


def test_missing_corpora_are_named_before_any_work(small_corpora: Path, tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match=r"no folder of corpora at .*nowhere.*--corpora"):
        check_corpora(tmp_path / "nowhere", ("tiny-en",))
    (small_corpora / "haiku.parquet").unlink()
    check_corpora(small_corpora, ("tiny-zh", "tiny-profanity-judge", "tiny-toxicity"))
    check_corpora(small_corpora, ("tiny-sentiment-judge",))
    options = Options(corpora=small_corpora, out=tmp_path / "assets", work=tmp_path / "work", only=("tiny-sentiment",))
    with pytest.raises(ArgumentError, match=r"lacks haiku\.parquet, which tiny-sentiment is built from"):
        build(options, SMALL)
    assert not (tmp_path / "work").exists()


def test_a_missing_teacher_is_named_before_any_work(small_corpora: Path, tmp_path: Path) -> None:
    options = Options(corpora=small_corpora, out=tmp_path / "assets", work=tmp_path / "work", only=("tiny-zh", "tiny-embed-2"))
    with pytest.raises(ArgumentError, match="pass as --teacher"):
        build(options, SMALL)
    assert not (tmp_path / "work").exists()


def test_command_line_ends_in_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["textenv.build", "--corpora", str(tmp_path / "nowhere"), "--only", "tiny-en", "tiny-embed"])
    with pytest.raises(SystemExit, match=r"^There is no folder of corpora at .*\.$"):
        main()
