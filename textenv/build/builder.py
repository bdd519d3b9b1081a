"""One run of the build: where things lie, and a method for each thing."""

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any, Final, Literal, cast

import numpy as np
import torch
from numpy.typing import NDArray
from sentence_transformers import SentenceTransformer
from transformers import AutoTokenizer, GPT2ForSequenceClassification, GPT2LMHeadModel, PreTrainedTokenizerFast

from textenv.build import assistant, classifiers, distillation, embedding, judges, labelled, language_model, toxicity
from textenv.build.calibration import LogOdds, measure
from textenv.build.card import card
from textenv.build.catalogue import ABOUT, CHINESE, HELDOUT, NEEDED, Name, Recipes
from textenv.build.characters import character_tokenizer
from textenv.build.classifiers import ClassifierRecipe
from textenv.build.corpora import Mixture, Split, chinese_mixture, load_reviews, load_shop_reviews, mixture
from textenv.build.fragments import FragmentRecipe
from textenv.build.judges import JudgeRecipe
from textenv.build.labelled import Labelled
from textenv.build.language_model import LanguageModelRecipe
from textenv.build.lessons import HELD_OUT_DOCUMENTS, demonstrations, documents
from textenv.models.hub import ASSETS
from textenv.models.policy import LanguagePolicy
from textenv.models.reading import reading
from textenv.rewards.ngram import NgramClassifier


@dataclass(frozen=True)
class Language:
    """What a language model is built from."""

    name: Name
    recipe: LanguageModelRecipe
    mixture: Callable[[Path, int], Mixture]
    heldout: Callable[[Path], list[str]]
    train_tokenizer: Callable[[Iterable[str], int, int], PreTrainedTokenizerFast]


READERS: Final[dict[str, Callable[[Path, Split], Labelled]]] = {
    "tiny-sentiment": labelled.film_sentiment,
    "tiny-sentiment-judge": labelled.film_sentiment,
    "tiny-profanity": labelled.toxicity,
    "tiny-profanity-judge": labelled.neutrality,
    "tiny-toxicity": toxicity.toxic_texts,
    "tiny-toxicity-judge": toxicity.neutral_texts,
    "tiny-sentiment-zh": labelled.shop_sentiment,
    "tiny-sentiment-zh-judge": labelled.shop_sentiment,
}


TOXIC_SIGN: Final[dict[str, Callable[[LogOdds], LogOdds]]] = {
    "tiny-toxicity": lambda log_odds: log_odds,
    "tiny-toxicity-judge": toxicity.negated,
}
"""From the log-odds of a reader of toxicity to those of toxic."""


def heldout_films(corpora: Path) -> list[str]:
    """Read the film reviews that are held out, labelled or not."""
    frame = load_reviews(corpora)
    return cast(list[str], frame[frame["split"] == "heldout"]["text"].tolist())


def heldout_shop(corpora: Path) -> list[str]:
    """Read the Chinese product reviews that are held out."""
    frame = load_shop_reviews(corpora)
    return cast(list[str], frame[frame["split"] == "heldout"]["text"].tolist())


def put(folder: Path, save: Callable[[Path], Any]) -> None:
    """Save into a folder by way of another, so that each file that is there is whole."""
    folder.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=folder.parent) as new:
        save(Path(new))
        for path in Path(new).iterdir():
            path.chmod(0o644)  # safetensors writes for its owner only
            path.replace(folder / path.name)


class Build:
    """One run; what is found in the work folder is not made again.

    Args:
        corpora: folder with the parquet files.
        work: folder of checkpoints and intermediate results, one folder a model.
        out: folder of the finished models.
        recipes: of all models.
        device: "cpu" or "cuda".
        teacher: folder of the sentence encoder that tiny-embed-2 learns from.
    """

    def __init__(
        self, corpora: Path, work: Path, out: Path, recipes: Recipes, device: Literal["cpu", "cuda"], teacher: Path | None = None
    ) -> None:
        self.corpora, self.work, self.out, self.recipes, self.device, self.teacher = corpora, work, out, recipes, device, teacher
        self.english = Language("tiny-en", recipes.tiny_en, mixture, heldout_films, language_model.train_tokenizer)
        self.chinese = Language("tiny-zh", recipes.tiny_zh, chinese_mixture, heldout_shop, character_tokenizer)
        self.world = Language("tiny-base", recipes.tiny_base, self.world_mixture, self.world_heldout, assistant.train_tokenizer)
        self.makers: dict[Name, Callable[[], None]] = {
            "tiny-en": lambda: self.finish_language_model(self.english),
            "tiny-sentiment": self.tiny_sentiment,
            "tiny-sentiment-judge": lambda: self.judge("tiny-sentiment-judge", recipes.tiny_sentiment_judge),
            "tiny-embed": self.tiny_embed,
            "tiny-embed-2": self.tiny_embed_2,
            "tiny-profanity": self.tiny_profanity,
            "tiny-profanity-judge": lambda: self.judge("tiny-profanity-judge", recipes.tiny_profanity_judge),
            "tiny-toxicity": self.tiny_toxicity,
            "tiny-toxicity-judge": lambda: self.judge("tiny-toxicity-judge", recipes.tiny_toxicity_judge),
            "tiny-zh": lambda: self.finish_language_model(self.chinese),
            "tiny-base": lambda: self.finish_language_model(self.world),
            "tiny-assistant": self.tiny_assistant,
            "tiny-sentiment-zh": self.tiny_sentiment_zh,
            "tiny-sentiment-zh-judge": lambda: self.judge("tiny-sentiment-zh-judge", recipes.tiny_sentiment_zh_judge),
        }

    def tokenizer(self, language: Language) -> PreTrainedTokenizerFast:
        """Return the tokenizer of a language model."""
        folder, recipe = self.work / language.name / "model", language.recipe
        if not (folder / "tokenizer.json").is_file():
            texts = (text for _, documents, _ in language.mixture(self.corpora, recipe.seed) for text in documents)
            put(folder, language.train_tokenizer(texts, recipe.vocab_size, recipe.context).save_pretrained)
        return cast(PreTrainedTokenizerFast, AutoTokenizer.from_pretrained(folder))

    def rows(self, language: Language) -> tuple[NDArray[np.uint16], dict[str, int]]:
        """Return the packed training rows of a language model and the tokens of each part of its mixture."""
        folder, recipe = self.work / language.name, language.recipe
        if not ((folder / "rows.npy").is_file() and (folder / "tokens.json").is_file()):
            rows, counts = language_model.build_rows(language.mixture(self.corpora, recipe.seed), self.tokenizer(language), recipe)
            put(folder, lambda new: np.save(new / "rows.npy", rows))
            put(folder, lambda new: (new / "tokens.json").write_text(json.dumps(counts)))
        return np.load(folder / "rows.npy"), json.loads((folder / "tokens.json").read_text())

    def language_model(self, language: Language) -> GPT2LMHeadModel:
        """Return a language model in single precision."""
        folder, tokenizer = self.work / language.name, self.tokenizer(language)
        if not (folder / "model" / "model.safetensors").is_file():
            pad, eos = cast(int, tokenizer.pad_token_id), cast(int, tokenizer.eos_token_id)
            rows = self.rows(language)[0]
            start = language_model.new_model(language.recipe, pad, eos)
            trained = language_model.train(rows, rows != pad, start, language.recipe, folder, self.device)
            put(folder / "model", trained.save_pretrained)
        return cast(GPT2LMHeadModel, GPT2LMHeadModel.from_pretrained(folder / "model", dtype=torch.float32).eval())

    def finish_language_model(self, language: Language) -> None:
        """Build a language model and measure its bits per byte."""
        name, tokenizer, model = language.name, self.tokenizer(language), self.language_model(language).half()
        put(self.out / name, model.save_pretrained)
        put(self.out / name, lambda new: language_model.save_tokenizer(tokenizer, new))
        cast(torch.nn.Module, model).float().to(self.device)  # what ships, computed in single precision
        texts = language.heldout(self.corpora)
        metrics = self.once(f"{name}/metrics.json", lambda: language_model.bits_per_byte(model, tokenizer, texts, self.device))
        self.finish(name, language.recipe, metrics, self.rows(language)[1])

    def world_mixture(self, corpora: Path, seed: int) -> Mixture:
        """Write the documents of `tiny-base`; no corpus is read."""
        return [("documents", documents(self.recipes.tiny_base.documents, seed), 1)]

    def world_heldout(self, corpora: Path) -> list[str]:
        """Write documents that `tiny-base` has not read."""
        return documents(HELD_OUT_DOCUMENTS, self.recipes.tiny_base.seed + 1)

    def tiny_assistant(self) -> None:
        """Build the assistant of tiny-base and measure which share of held-out exercises it answers rightly."""
        name: Name = "tiny-assistant"
        recipe, tokenizer, folder = self.recipes.tiny_assistant, self.tokenizer(self.world), self.work / name
        turns = demonstrations(recipe.demonstrations, recipe.seed)
        rows, answers = assistant.chat_rows(turns, tokenizer, recipe)
        if not (folder / "model" / "model.safetensors").is_file():
            trained = language_model.train(rows, answers, self.language_model(self.world), recipe, folder, self.device)
            put(folder / "model", trained.save_pretrained)
        model = GPT2LMHeadModel.from_pretrained(folder / "model", dtype=torch.float16)
        put(self.out / name, model.save_pretrained)
        put(self.out / name, lambda new: language_model.save_tokenizer(tokenizer, new))
        policy = LanguagePolicy.from_pretrained(self.out / name, device=self.device)
        metrics = self.once(f"{name}/metrics.json", lambda: assistant.accuracies(policy, recipe.measured, recipe.seed))
        tokens = {"conversations": int((rows != tokenizer.pad_token_id).sum()), "of them answers": int(answers.sum())}
        self.finish(name, recipe, metrics, tokens)

    def tiny_sentiment(self) -> None:
        """Build the sentiment classifier from the trunk of tiny-en."""
        recipe, tokenizer = self.recipes.tiny_sentiment, reading(self.tokenizer(self.english))

        def start() -> GPT2ForSequenceClassification:
            return classifiers.from_trunk(self.language_model(self.english), recipe, classifiers.SENTIMENT)

        self.classifier("tiny-sentiment", recipe, tokenizer, start)

    def tiny_profanity(self) -> None:
        """Build the classifier of swear words from the token vectors of tiny-en."""
        recipe, tokenizer = self.recipes.tiny_profanity, classifiers.reading_words(self.tokenizer(self.english))

        def start() -> GPT2ForSequenceClassification:
            return classifiers.from_token_vectors(self.language_model(self.english), recipe, classifiers.TOXICITY)

        self.classifier("tiny-profanity", recipe, tokenizer, start)

    def tiny_toxicity(self) -> None:
        """Build the toxicity classifier from the token vectors of the tiny-en that comes with textenv."""
        recipe = self.recipes.tiny_toxicity
        tokenizer = classifiers.reading_through(cast(PreTrainedTokenizerFast, AutoTokenizer.from_pretrained(ASSETS / "tiny-en")))

        def start() -> GPT2ForSequenceClassification:
            trunk = GPT2LMHeadModel.from_pretrained(ASSETS / "tiny-en", dtype=torch.float32)
            return classifiers.from_token_vectors(trunk, recipe, classifiers.TOXICITY)

        self.classifier("tiny-toxicity", recipe, tokenizer, start)

    def tiny_sentiment_zh(self) -> None:
        """Build the Chinese sentiment classifier from the token vectors of tiny-zh."""
        recipe, tokenizer = self.recipes.tiny_sentiment_zh, reading(self.tokenizer(self.chinese))

        def start() -> GPT2ForSequenceClassification:
            return classifiers.from_token_vectors(self.language_model(self.chinese), recipe, classifiers.SENTIMENT)

        self.classifier("tiny-sentiment-zh", recipe, tokenizer, start)

    def classifier(
        self,
        name: Name,
        recipe: ClassifierRecipe,
        tokenizer: PreTrainedTokenizerFast,
        start: Callable[[], GPT2ForSequenceClassification],
    ) -> None:
        """Train a classifier on the reward half of its texts and measure it."""
        folder = self.work / name
        if not (folder / "model" / "model.safetensors").is_file():
            texts, labels = READERS[name](self.corpora, "reward")
            trained = classifiers.train_classifier(start(), tokenizer, texts, labels, recipe, folder, self.device)
            put(folder / "model", trained.save_pretrained)
        model = GPT2ForSequenceClassification.from_pretrained(folder / "model", dtype=torch.float16).eval()
        put(self.out / name, model.save_pretrained)
        put(self.out / name, lambda new: language_model.save_tokenizer(tokenizer, new))
        cast(torch.nn.Module, model).float().to(self.device)
        self.finish(name, recipe, self.measured(name, classifiers.log_odds_of(model, tokenizer, self.device), recipe.fragments))

    def judge(self, name: Name, recipe: JudgeRecipe) -> None:
        """Fit an n-gram classifier to the judge half of its texts and measure it."""
        folder = self.work / name / "model"
        if not (folder / "model.safetensors").is_file():
            put(folder, judges.train_judge(*READERS[name](self.corpora, "judge"), recipe).save_pretrained)
        judge = NgramClassifier.from_pretrained(folder)
        put(self.out / name, judge.save_pretrained)
        self.finish(name, recipe, self.measured(name, judge.log_odds, recipe.fragments))

    def tiny_embed(self) -> None:
        """Build the token vectors and measure how well halves of held-out reviews find each other."""
        folder, recipe = self.work / "tiny-embed" / "model", self.recipes.tiny_embed
        if not (folder / "modules.json").is_file():
            texts = [text for _, documents, _ in mixture(self.corpora, recipe.seed) for text in documents]
            trained = embedding.train_embedding(texts, self.tokenizer(self.english), recipe)
            put(folder, lambda new: embedding.save_embedding(trained, new))
        model = SentenceTransformer(str(folder), device="cpu")
        put(self.out / "tiny-embed", lambda new: embedding.save_embedding(model, new))
        texts = heldout_films(self.corpora)
        Random(recipe.seed).shuffle(texts)
        self.finish("tiny-embed", recipe, self.once("tiny-embed/metrics.json", lambda: embedding.measure(model, texts)))

    def tiny_embed_2(self) -> None:
        """Build the token vectors that are learnt from the teacher, and measure how far they agree with it."""
        folder, recipe = self.work / "tiny-embed-2", self.recipes.tiny_embed_2
        texts = distillation.texts_to_learn(mixture(self.corpora, recipe.seed), recipe)
        if not (folder / "taught.npy").is_file():
            taught = distillation.taught(distillation.load_teacher(self.teacher), texts)
            put(folder, lambda new: np.save(new / "taught.npy", taught))
        if not (folder / "model" / "modules.json").is_file():
            vectors = np.load(folder / "taught.npy")
            trained = distillation.distil(texts, vectors, self.tokenizer(self.english), recipe)
            put(folder / "model", lambda new: embedding.save_embedding(trained, new))
        model = SentenceTransformer(str(folder / "model"), device="cpu")
        put(self.out / "tiny-embed-2", lambda new: embedding.save_embedding(model, new))
        reviews = heldout_films(self.corpora)
        metrics = self.once(
            "tiny-embed-2/metrics.json",
            lambda: distillation.agreement(model, distillation.load_teacher(self.teacher), reviews),
        )
        self.finish("tiny-embed-2", recipe, metrics)

    def measured(self, name: Name, log_odds: LogOdds, fragments: FragmentRecipe) -> dict[str, float]:
        """Measure a classifier or a judge on its held-out texts, and a reader of toxicity on those of every corpus."""

        def make() -> dict[str, float]:
            texts, labels = READERS[name](self.corpora, "heldout")
            metrics = measure(log_odds, texts, labels, fragments, seed=0)
            if name in TOXIC_SIGN:
                metrics |= toxicity.measure_toxicity(TOXIC_SIGN[name](log_odds), self.corpora)
            return metrics

        return self.once(f"{name}/metrics.json", make)

    def once(self, path: str, make: Callable[[], dict[str, float]]) -> dict[str, float]:
        """Read numbers from a file of the work folder, or make and write them."""
        if not (self.work / path).is_file():
            (self.work / path).parent.mkdir(parents=True, exist_ok=True)
            (self.work / path).write_text(json.dumps(make(), indent=2) + "\n")
        return cast(dict[str, float], json.loads((self.work / path).read_text()))

    def finish(self, name: Name, recipe: Any, metrics: dict[str, float], tokens: dict[str, int] | None = None) -> None:
        """Write the card and the metrics beside a finished model."""
        (self.out / name / "metrics.json").write_text(json.dumps(metrics, indent=2) + "\n")
        language, heldout = "zh" if name in CHINESE else "en", HELDOUT.get(name, "reviews")
        text = card(
            name,
            ABOUT[name],
            files=NEEDED[name],
            recipe=recipe,
            metrics=metrics,
            tokens=tokens,
            language=language,
            heldout=heldout,
            halves=name not in TOXIC_SIGN,
        )
        (self.out / name / "README.md").write_text(text)
        print(f"{name}: {json.dumps(metrics)}")
