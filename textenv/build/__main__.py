"""Build the embedded models from the corpora: `python -m textenv.build --corpora DIR`.

Everything on the way lies in the work folder, one folder a model: what is there is not made again, and
an interrupted training goes on from its last checkpoint.
"""

import dataclasses
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any, Final, Literal, cast, get_args

import numpy as np
import torch
import tyro
from numpy.typing import NDArray
from sentence_transformers import SentenceTransformer
from transformers import AutoTokenizer, GPT2ForSequenceClassification, GPT2LMHeadModel, PreTrainedTokenizerFast

from textenv.build import embedding, language_model, sentiment
from textenv.build.card import card
from textenv.build.corpora import Split, load_reviews, mixture
from textenv.build.embedding import EmbeddingRecipe
from textenv.build.language_model import LanguageModelRecipe
from textenv.build.sentiment import JudgeRecipe, SentimentRecipe
from textenv.errors import ArgumentError, TextenvError
from textenv.rewards.ngram import NgramClassifier

Name = Literal["tiny-en", "tiny-sentiment", "tiny-sentiment-judge", "tiny-embed"]

REVIEWS: Final = ("imdb_reviews.parquet",)
MIXTURE: Final = (*REVIEWS, "haiku.parquet", "paradetox.parquet", "tldr.parquet", "tinystories.parquet", "instructions.parquet")
NEEDED: Final[dict[Name, tuple[str, ...]]] = {
    "tiny-en": MIXTURE,
    # The next two start from the trunk or the tokenizer of tiny-en.
    "tiny-sentiment": MIXTURE,
    "tiny-embed": MIXTURE,
    "tiny-sentiment-judge": REVIEWS,
}
ABOUT: Final[dict[Name, str]] = {
    "tiny-en": """A tiny English causal language model (GPT-2 classes) for trying out reinforcement learning without a download.
It writes film reviews and knows the prompt formats of `textenv.envs.templates`; it knows no facts.""",
    "tiny-sentiment": """A tiny sentiment classifier of film reviews and of fragments of them (GPT-2 classes), the default reward of
sentiment tasks. It starts from the first layers of `tiny-en`, has seen only the reward half of the reviews, and is calibrated on
fragments of 24 words.""",
    "tiny-sentiment-judge": """A linear sentiment classifier over hashed word n-grams: an independent judge of policies that are trained
against `tiny-sentiment`. It has seen only the judge half of the reviews, and is calibrated on fragments of 24 words.""",
    "tiny-embed": """Static token vectors with the tokenizer of `tiny-en`, for sentence-transformers: the mean over the tokens of a text
stands for the text.""",
}


@dataclass(frozen=True, kw_only=True)
class Options:
    """Build the embedded models of textenv from the corpora."""

    corpora: Path
    """Folder with the parquet files."""
    out: Path = Path(__file__).parent.parent / "assets"
    """Folder of the finished models."""
    work: Path = Path("build")
    """Folder of checkpoints and intermediate results; an interrupted build goes on from it."""
    only: tuple[Name, ...] = get_args(Name)
    """Models to build; what they start from is built too, but only into the work folder."""
    seed: int = 0
    device: Literal["auto", "cpu", "cuda"] = "auto"


@dataclass(frozen=True, kw_only=True)
class Recipes:
    """The recipes of all models."""

    language_model: LanguageModelRecipe = field(default_factory=LanguageModelRecipe)
    sentiment: SentimentRecipe = field(default_factory=SentimentRecipe)
    judge: JudgeRecipe = field(default_factory=JudgeRecipe)
    embedding: EmbeddingRecipe = field(default_factory=EmbeddingRecipe)

    def seeded(self, seed: int) -> "Recipes":
        """Return the recipes with another seed."""
        names = [each.name for each in dataclasses.fields(self)]
        return Recipes(**{name: dataclasses.replace(getattr(self, name), seed=seed) for name in names})


def check_corpora(corpora: Path, only: tuple[Name, ...]) -> None:
    """Refuse to start without the corpora.

    Raises:
        ArgumentError: the folder, or a file that one of the models needs, is not there.
    """
    if not corpora.is_dir():
        raise ArgumentError(f"There is no folder of corpora at {corpora}; pass the one with the parquet files as --corpora.")
    needed = dict.fromkeys(file for name in only for file in NEEDED[name])
    missing = [file for file in needed if not (corpora / file).is_file()]
    if missing:
        raise ArgumentError(
            f"{corpora} lacks {', '.join(missing)}, which {' and '.join(only)} {'is' if len(only) == 1 else 'are'} built from."
        )


def _reviews(corpora: Path, split: Split) -> tuple[list[str], list[int]]:
    """Read the labelled reviews of a split: texts and labels."""
    frame = load_reviews(corpora)
    frame = frame[(frame["split"] == split) & (frame["label"] >= 0)]
    return cast(list[str], frame["text"].tolist()), cast(list[int], frame["label"].tolist())


def _texts(corpora: Path, *splits: Split) -> list[str]:
    """Read the texts of all reviews of some splits, labelled or not."""
    frame = load_reviews(corpora)
    return cast(list[str], frame[frame["split"].isin(splits)]["text"].tolist())


class Build:
    """One run: where things lie, and a method for each thing; what is found in the work folder is not made again."""

    def __init__(self, options: Options, recipes: Recipes) -> None:
        self.corpora, self.work, self.out = options.corpora, options.work, options.out
        self.recipes = recipes.seeded(options.seed)
        self.device = ("cuda" if torch.cuda.is_available() else "cpu") if options.device == "auto" else options.device

    def tokenizer(self) -> PreTrainedTokenizerFast:
        """Return the tokenizer of tiny-en."""
        folder, recipe = self.work / "tiny-en" / "model", self.recipes.language_model
        if not (folder / "tokenizer.json").is_file():
            parts = mixture(self.corpora, recipe.seed)
            texts = (text for _, documents, _ in parts for text in documents)
            _put(folder, language_model.train_tokenizer(texts, recipe.vocab_size, recipe.context).save_pretrained)
        return cast(PreTrainedTokenizerFast, AutoTokenizer.from_pretrained(folder))

    def rows(self) -> tuple[NDArray[np.uint16], dict[str, int]]:
        """Return the packed training rows of tiny-en and the tokens of each part of its mixture."""
        folder, recipe = self.work / "tiny-en", self.recipes.language_model
        if not ((folder / "rows.npy").is_file() and (folder / "tokens.json").is_file()):
            rows, counts = language_model.build_rows(mixture(self.corpora, recipe.seed), self.tokenizer(), recipe)
            _put(folder, lambda new: np.save(new / "rows.npy", rows))
            _put(folder, lambda new: (new / "tokens.json").write_text(json.dumps(counts)))
        return np.load(folder / "rows.npy"), json.loads((folder / "tokens.json").read_text())

    def language_model(self) -> GPT2LMHeadModel:
        """Return tiny-en in single precision."""
        folder, tokenizer = self.work / "tiny-en", self.tokenizer()
        if not (folder / "model" / "model.safetensors").is_file():
            pad, eos = cast(int, tokenizer.pad_token_id), cast(int, tokenizer.eos_token_id)
            trained = language_model.train(self.rows()[0], pad, eos, self.recipes.language_model, folder, self.device)
            _put(folder / "model", trained.save_pretrained)
        return cast(GPT2LMHeadModel, GPT2LMHeadModel.from_pretrained(folder / "model", dtype=torch.float32).eval())

    def tiny_en(self) -> None:
        """Build the language model and measure its bits per byte."""
        tokenizer, model = self.tokenizer(), self.language_model().half()
        _put(self.out / "tiny-en", model.save_pretrained)
        _put(self.out / "tiny-en", lambda new: language_model.save_tokenizer(tokenizer, new))
        cast(torch.nn.Module, model).float().to(self.device)  # what ships, computed in single precision
        texts = _texts(self.corpora, "heldout")
        metrics = self._once("tiny-en/metrics.json", lambda: language_model.bits_per_byte(model, tokenizer, texts, self.device))
        self._finish("tiny-en", self.recipes.language_model, metrics, self.rows()[1])

    def tiny_sentiment(self) -> None:
        """Build the sentiment classifier from the trunk of tiny-en."""
        folder, recipe = self.work / "tiny-sentiment", self.recipes.sentiment
        tokenizer = sentiment.reading(self.tokenizer())
        if not (folder / "model" / "model.safetensors").is_file():
            texts, labels = _reviews(self.corpora, "reward")
            trained = sentiment.train_sentiment(self.language_model(), tokenizer, texts, labels, recipe, folder, self.device)
            _put(folder / "model", trained.save_pretrained)
        model = GPT2ForSequenceClassification.from_pretrained(folder / "model", dtype=torch.float16).eval()
        _put(self.out / "tiny-sentiment", model.save_pretrained)
        _put(self.out / "tiny-sentiment", lambda new: language_model.save_tokenizer(tokenizer, new))
        cast(torch.nn.Module, model).float().to(self.device)
        self._finish("tiny-sentiment", recipe, self._measured("tiny-sentiment", sentiment.log_odds_of(model, tokenizer, self.device)))

    def tiny_sentiment_judge(self) -> None:
        """Build the independent sentiment classifier."""
        folder, recipe = self.work / "tiny-sentiment-judge" / "model", self.recipes.judge
        if not (folder / "model.safetensors").is_file():
            _put(folder, sentiment.train_judge(*_reviews(self.corpora, "judge"), recipe).save_pretrained)
        judge = NgramClassifier.from_pretrained(folder)
        _put(self.out / "tiny-sentiment-judge", judge.save_pretrained)
        self._finish("tiny-sentiment-judge", recipe, self._measured("tiny-sentiment-judge", judge.log_odds))

    def tiny_embed(self) -> None:
        """Build the token vectors and measure how well halves of held-out reviews find each other."""
        folder, recipe = self.work / "tiny-embed" / "model", self.recipes.embedding
        if not (folder / "modules.json").is_file():
            texts = [text for _, documents, _ in mixture(self.corpora, recipe.seed) for text in documents]
            trained = embedding.train_embedding(texts, self.tokenizer(), recipe)
            _put(folder, lambda new: embedding.save_embedding(trained, new))
        model = SentenceTransformer(str(folder), device="cpu")
        _put(self.out / "tiny-embed", lambda new: embedding.save_embedding(model, new))
        texts = _texts(self.corpora, "heldout")
        Random(recipe.seed).shuffle(texts)
        self._finish("tiny-embed", recipe, self._once("tiny-embed/metrics.json", lambda: embedding.measure(model, texts)))

    def _measured(self, name: Name, log_odds: sentiment.LogOdds) -> dict[str, float]:
        texts, labels = _reviews(self.corpora, "heldout")
        return self._once(f"{name}/metrics.json", lambda: sentiment.measure(log_odds, texts, labels, seed=0))

    def _once(self, path: str, make: Callable[[], dict[str, float]]) -> dict[str, float]:
        """Read numbers from a file of the work folder, or make and write them."""
        if not (self.work / path).is_file():
            (self.work / path).parent.mkdir(parents=True, exist_ok=True)
            (self.work / path).write_text(json.dumps(make(), indent=2) + "\n")
        return cast(dict[str, float], json.loads((self.work / path).read_text()))

    def _finish(self, name: Name, recipe: Any, metrics: dict[str, float], tokens: dict[str, int] | None = None) -> None:
        """Write the card and the metrics beside a finished model."""
        (self.out / name / "metrics.json").write_text(json.dumps(metrics, indent=2) + "\n")
        text = card(name, ABOUT[name], files=NEEDED[name], recipe=recipe, metrics=metrics, tokens=tokens)
        (self.out / name / "README.md").write_text(text)
        print(f"{name}: {json.dumps(metrics)}")


def _put(folder: Path, save: Callable[[Path], Any]) -> None:
    """Save into a folder by way of another, so that each file that is there is whole."""
    folder.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=folder.parent) as new:
        save(Path(new))
        for path in Path(new).iterdir():
            path.chmod(0o644)  # safetensors writes for its owner only
            path.replace(folder / path.name)


def build(options: Options, recipes: Recipes | None = None) -> None:
    """Build the chosen models.

    Raises:
        ArgumentError: a corpus is missing.
    """
    check_corpora(options.corpora, options.only)
    run = Build(options, recipes or Recipes())
    make = {
        "tiny-en": run.tiny_en,
        "tiny-sentiment": run.tiny_sentiment,
        "tiny-sentiment-judge": run.tiny_sentiment_judge,
        "tiny-embed": run.tiny_embed,
    }
    for name in make:
        if name in options.only:
            make[name]()


def main() -> None:
    """Run the command line."""
    try:
        build(tyro.cli(Options, prog="python -m textenv.build"))
    except TextenvError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
