"""Make `tiny-sentiment` and `tiny-sentiment-judge`: two sentiment classifiers that never saw the same review.

Both learn whole reviews and fragments of them, because a policy's completions are short, and both are
calibrated on fragments, because a probability is the score.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any, Final, cast

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import expit
from tokenizers import Tokenizer
from tokenizers.processors import TemplateProcessing
from torch.nn import functional as F
from tqdm import tqdm
from transformers import GPT2Config, GPT2ForSequenceClassification, GPT2LMHeadModel, PreTrainedTokenizerFast

from textenv.build.corpora import sentences
from textenv.build.language_model import load_checkpoint
from textenv.checkpoint import save_state
from textenv.rewards.ngram import NgramClassifier, NgramConfig

LABELS: Final = {0: "NEGATIVE", 1: "POSITIVE"}
CHECKPOINT_STEPS: Final = 250
MEASURED_WORDS: Final = 24

LogOdds = Callable[[list[str]], NDArray[np.float64]]


@dataclass(frozen=True, kw_only=True)
class FragmentRecipe:
    """How reviews become the texts that a classifier learns."""

    per_review: int = 3
    """Fragments of each review in each pass, beside the whole review."""
    least_words: int = 5
    most_words: int = 60
    calibration: int = 10
    """One review in so many is kept for the temperature."""


@dataclass(frozen=True, kw_only=True)
class SentimentRecipe:
    """What makes `tiny-sentiment`."""

    fragments: FragmentRecipe = field(default_factory=FragmentRecipe)
    layers: int = 2
    """The first ones of `tiny-en`."""
    inner: int = 512
    """Neurons kept in the MLP of each layer, those of the largest weights."""
    passes: int = 3
    tokens_per_step: int = 4096
    lr: float = 1e-3
    warmup: float = 0.1
    """Share of the training in which the rate rises; then it falls to zero."""
    dropout: float = 0.1
    weight_decay: float = 0.1
    seed: int = 0


@dataclass(frozen=True, kw_only=True)
class JudgeRecipe:
    """What makes `tiny-sentiment-judge`."""

    fragments: FragmentRecipe = field(default_factory=lambda: FragmentRecipe(per_review=8))
    ngrams: NgramConfig = field(default_factory=NgramConfig)
    inverse_penalty: float = 1.0
    seed: int = 0


def fragment(text: str, words: int, rng: Random) -> str:
    """Cut `words` words out of a text, from its start or, half of the time, from the start of one of its sentences."""
    split = text.split()
    starts, position = [0], 0
    for sentence in sentences(text):
        position += len(sentence.split())
        if position + words <= len(split):
            starts.append(position)
    start = rng.choice(starts) if rng.random() < 0.5 else 0
    return " ".join(split[start : start + words])


def reading(tokenizer: PreTrainedTokenizerFast) -> PreTrainedTokenizerFast:
    """Make the tokenizer of the classifier from that of `tiny-en`.

    It ends every text with the end-of-text token, whose state the classifier reads: the same query
    for every text, even one that breaks off within a word. A long text loses its beginning.
    """
    end = str(tokenizer.eos_token)
    own = Tokenizer.from_str(tokenizer.backend_tokenizer.to_str())
    own.post_processor = TemplateProcessing(single=f"$A {end}", special_tokens=[(end, cast(int, tokenizer.eos_token_id))])
    return PreTrainedTokenizerFast(
        tokenizer_object=own,
        bos_token=end,
        eos_token=end,
        unk_token=end,
        pad_token=str(tokenizer.pad_token),
        padding_side="right",
        truncation_side="left",
        model_max_length=tokenizer.model_max_length,
        clean_up_tokenization_spaces=False,
    )


def one_pass(texts: Sequence[str], labels: Sequence[int], recipe: FragmentRecipe, rng: Random) -> tuple[list[str], list[int]]:
    """Return every whole text and its fresh fragments, each with the label of its text."""
    shown: list[str] = []
    wanted: list[int] = []
    for text, label in zip(texts, labels, strict=True):
        lengths = [rng.randint(recipe.least_words, recipe.most_words) for _ in range(recipe.per_review)]
        shown += [text, *(fragment(text, words, rng) for words in lengths)]
        wanted += [label] * (1 + recipe.per_review)
    return shown, wanted


def calibration_error(probabilities: NDArray[np.float64], labels: NDArray[np.int64], bins: int = 15) -> float:
    """Return the expected calibration error of the predicted class (Guo et al. 2017), in bins of equal width.

    Sum over bins of n_bin / n * |accuracy - mean confidence|; the confidence max(p, 1 - p) lies in [0.5, 1].
    """
    confidence = np.maximum(probabilities, 1 - probabilities)
    correct = (probabilities > 0.5) == (labels == 1)
    index = np.minimum((confidence * bins).astype(int), bins - 1)
    gaps = [abs(float(np.sum(correct[index == b]) - np.sum(confidence[index == b]))) for b in range(bins)]
    return sum(gaps) / len(labels)


def temperature(log_odds: NDArray[np.float64], labels: NDArray[np.int64]) -> float:
    """Find the T > 0 that makes sigmoid(log_odds / T) most likely (Guo et al. 2017)."""
    sign = np.where(labels == 1, 1.0, -1.0)
    found = minimize_scalar(lambda log_t: np.logaddexp(0, -sign * log_odds / np.exp(log_t)).mean(), bounds=(-3, 3), method="bounded")
    return float(np.exp(found.x))


def measure(log_odds: LogOdds, texts: list[str], labels: list[int], seed: int) -> dict[str, float]:
    """Measure a classifier on whole held-out reviews and on four fragments of 24 words of each.

    Returns:
        accuracy_whole, accuracy_fragments, calibration_error_whole, calibration_error_fragments, reviews.
    """
    rng = Random(seed)
    pieces = [fragment(text, MEASURED_WORDS, rng) for text in texts for _ in range(4)]
    result: dict[str, float] = {}
    for name, shown, wanted in (("whole", texts, np.array(labels)), ("fragments", pieces, np.repeat(labels, 4))):
        odds = log_odds(shown)
        result[f"accuracy_{name}"] = float(np.mean((odds > 0) == (wanted == 1)))
        result[f"calibration_error_{name}"] = calibration_error(np.asarray(expit(odds)), wanted)
    return result | {"reviews": float(len(texts))}


def _calibration_split(texts: list[str], labels: list[int], every: int) -> tuple[list[int], list[int]]:
    """Return the positions to learn from and those kept for the temperature."""
    return [i for i in range(len(texts)) if i % every], list(range(0, len(texts), every))


def train_judge(texts: list[str], labels: list[int], recipe: JudgeRecipe) -> NgramClassifier:
    """Fit the judge on whole reviews and fragments, then calibrate it on fragments of other reviews."""
    rng = Random(recipe.seed)
    learnt, kept = _calibration_split(texts, labels, recipe.fragments.calibration)
    shown, wanted = one_pass([texts[i] for i in learnt], [labels[i] for i in learnt], recipe.fragments, rng)
    judge = NgramClassifier.fit(shown, wanted, recipe.ngrams, recipe.inverse_penalty)
    return judge.scaled(1 / _fitted_temperature(judge.log_odds, [texts[i] for i in kept], [labels[i] for i in kept], recipe.seed))


def _fitted_temperature(log_odds: LogOdds, texts: list[str], labels: list[int], seed: int) -> float:
    rng = Random(seed)
    pieces = [fragment(text, MEASURED_WORDS, rng) for text in texts for _ in range(4)]
    return temperature(log_odds(pieces), np.repeat(labels, 4))


def from_trunk(trunk: GPT2LMHeadModel, recipe: SentimentRecipe) -> GPT2ForSequenceClassification:
    """Make a classifier of the first layers of a language model, its MLPs pruned, with a new head."""
    torch.manual_seed(recipe.seed)
    settings: dict[str, Any] = trunk.config.to_dict() | {"n_layer": recipe.layers, "n_inner": recipe.inner, "id2label": LABELS}
    settings |= dict.fromkeys(("resid_pdrop", "embd_pdrop", "attn_pdrop"), recipe.dropout)
    settings["label2id"] = {label: index for index, label in LABELS.items()}
    model = GPT2ForSequenceClassification(GPT2Config(**settings))
    state = dict(trunk.transformer.state_dict())
    for layer in range(recipe.layers):
        mlp = f"h.{layer}.mlp."
        strength = state[f"{mlp}c_fc.weight"].norm(dim=0) * state[f"{mlp}c_proj.weight"].norm(dim=1)  # (4 * width,)
        kept = strength.topk(recipe.inner).indices.sort().values
        state[f"{mlp}c_fc.weight"] = state[f"{mlp}c_fc.weight"][:, kept]
        state[f"{mlp}c_fc.bias"] = state[f"{mlp}c_fc.bias"][kept]
        state[f"{mlp}c_proj.weight"] = state[f"{mlp}c_proj.weight"][kept]
    model.transformer.load_state_dict({name: state[name] for name in model.transformer.state_dict()})
    return model


def batches(lengths: list[int], tokens: int, rng: Random) -> list[list[int]]:
    """Group texts of like length into batches of at most `tokens` tokens with their padding, in a random order."""
    result: list[list[int]] = [[]]
    for index in sorted(range(len(lengths)), key=lambda i: (lengths[i], rng.random())):
        if result[-1] and (len(result[-1]) + 1) * lengths[index] > tokens:
            result.append([])
        result[-1].append(index)
    rng.shuffle(result)
    return result


def padded(rows: list[list[int]], pad: int, device: str) -> torch.Tensor:
    """Pad rows of token ids on the right: (rows, longest)."""
    width = max(map(len, rows))
    return torch.tensor([row + [pad] * (width - len(row)) for row in rows], device=device)


def log_odds_of(model: GPT2ForSequenceClassification, tokenizer: PreTrainedTokenizerFast, device: str) -> LogOdds:
    """Return a function from texts to the model's log-odds of the positive class."""

    @torch.inference_mode()
    def log_odds(texts: list[str]) -> NDArray[np.float64]:
        ids = tokenizer(texts, truncation=True, verbose=False)["input_ids"]
        result = np.empty(len(texts))
        for batch in batches([len(row) for row in ids], 16_384, Random(0)):
            logits = model(
                input_ids=padded([ids[i] for i in batch], cast(int, tokenizer.pad_token_id), device), use_cache=False
            ).logits  # (n, 2)
            result[batch] = (logits[:, 1] - logits[:, 0]).double().cpu().numpy()
        return result

    return log_odds


def train_sentiment(
    trunk: GPT2LMHeadModel,
    tokenizer: PreTrainedTokenizerFast,
    texts: list[str],
    labels: list[int],
    recipe: SentimentRecipe,
    work: Path,
    device: str,
) -> GPT2ForSequenceClassification:
    """Fine-tune the classifier on whole reviews and fragments, then calibrate it on fragments of other reviews.

    Args:
        trunk: the language model whose first layers it starts from.
        tokenizer: of the trunk, made for reading.
        texts: reviews.
        labels: 1 positive, 0 negative.
        recipe: sizes and rates.
        work: folder of the checkpoint; the training goes on from it when one is there.
        device: "cpu" or "cuda".
    """
    model = from_trunk(trunk, recipe)
    cast(torch.nn.Module, model).to(device)
    learnt, kept = _calibration_split(texts, labels, recipe.fragments.calibration)
    _fine_tune(model, tokenizer, [texts[i] for i in learnt], [labels[i] for i in learnt], recipe, work, device)
    found = _fitted_temperature(log_odds_of(model, tokenizer, device), [texts[i] for i in kept], [labels[i] for i in kept], recipe.seed)
    with torch.no_grad():
        model.score.weight /= found
    return model


def _fine_tune(
    model: GPT2ForSequenceClassification,
    tokenizer: PreTrainedTokenizerFast,
    texts: list[str],
    labels: list[int],
    recipe: SentimentRecipe,
    work: Path,
    device: str,
) -> None:
    optimiser = torch.optim.AdamW(model.parameters(), lr=recipe.lr, betas=(0.9, 0.98), weight_decay=recipe.weight_decay, fused=True)
    first, done, seconds = 0, 0, 0.0
    state = load_checkpoint(work / "checkpoint")
    if state is not None:
        model.load_state_dict(state["model"])
        optimiser.load_state_dict(state["optimiser"])
        first, done, seconds = state["pass"], state["step"], state["seconds"]
    model.train()
    for turn in range(first, recipe.passes):
        rng = Random(f"{recipe.seed} {turn}")
        shown, wanted = one_pass(texts, labels, recipe.fragments, rng)
        ids = tokenizer(shown, truncation=True, verbose=False)["input_ids"]
        order = batches([len(row) for row in ids], recipe.tokens_per_step, rng)
        name = f"tiny-sentiment {turn + 1}/{recipe.passes}"
        for step in tqdm(range(done, len(order)), initial=done, total=len(order), desc=name, unit="step", mininterval=5):
            started = time.perf_counter()
            share = (turn + step / len(order)) / recipe.passes
            optimiser.param_groups[0]["lr"] = recipe.lr * min(1.0, share / recipe.warmup) * (1 - share)
            # Dropout is seeded by the step, so that an interrupted training goes on as it would have.
            torch.manual_seed(recipe.seed + turn * 1_000_000 + step)
            rows = padded([ids[i] for i in order[step]], cast(int, tokenizer.pad_token_id), device)
            answers = torch.tensor([wanted[i] for i in order[step]], device=device)
            with torch.autocast(device, dtype=torch.bfloat16):
                logits = model(input_ids=rows, use_cache=False).logits  # (n, 2)
            loss = F.cross_entropy(logits.float(), answers)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimiser.step()
            optimiser.zero_grad(set_to_none=True)
            seconds += time.perf_counter() - started
            if (step + 1) % CHECKPOINT_STEPS == 0:
                _save(work, model, optimiser, turn, step + 1, seconds)
        done = 0
        _save(work, model, optimiser, turn + 1, 0, seconds)
    model.eval()


def _save(work: Path, model: GPT2ForSequenceClassification, optimiser: torch.optim.Optimizer, turn: int, step: int, seconds: float) -> None:
    state = {"model": model.state_dict(), "optimiser": optimiser.state_dict(), "pass": turn, "step": step, "seconds": seconds}
    save_state(work / "checkpoint", state)
