"""Make the classifiers that are rewards: small transformers that read whole texts and fragments, calibrated on fragments."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any, Final, cast

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Regex
from tokenizers.normalizers import Lowercase, Prepend, Replace, Sequence, Strip
from torch.nn import functional as F
from tqdm import tqdm
from transformers import GPT2Config, GPT2ForSequenceClassification, GPT2LMHeadModel, PreTrainedTokenizerFast

from textenv.build.calibration import LogOdds, fitted_temperature
from textenv.build.fragments import FragmentRecipe, calibration_split, one_pass
from textenv.build.language_model import load_checkpoint
from textenv.checkpoint import save_state
from textenv.models.kernels import FastKernels
from textenv.models.reading import reading

SENTIMENT: Final = {0: "NEGATIVE", 1: "POSITIVE"}
TOXICITY: Final = {0: "NEUTRAL", 1: "TOXIC"}
CHECKPOINT_STEPS: Final = 250


@dataclass(frozen=True, kw_only=True)
class ClassifierRecipe:
    """What makes a classifier."""

    fragments: FragmentRecipe = field(default_factory=FragmentRecipe)
    layers: int = 2
    inner: int = 512
    """Neurons of the MLP of each layer; from a trunk, those of the largest weights are kept."""
    passes: int = 3
    tokens_per_step: int = 4096
    lr: float = 1e-3
    warmup: float = 0.1
    """Share of the training in which the rate rises; then it falls to zero."""
    dropout: float = 0.1
    weight_decay: float = 0.1
    seed: int = 0


@dataclass(frozen=True, kw_only=True)
class SmallClassifierRecipe(ClassifierRecipe):
    """What makes a classifier that starts from nothing but the token vectors of a language model."""

    inner: int = 256
    width: int = 96
    """Directions kept of the language model's token vectors."""
    heads: int = 4


def reading_words(tokenizer: PreTrainedTokenizerFast) -> PreTrainedTokenizerFast:
    """Make a tokenizer of a classifier that sees words alone, neither case nor punctuation but ! and ?.

    The toxic half of its corpus is written in lower case with spaces before the marks, the neutral half is not; what
    the classifier cannot see it cannot learn.
    """
    made = reading(tokenizer)
    marks = [Replace("’", "'"), Replace(" '", "'"), Replace(Regex(r"[^\w'!?*@#$]+"), " ")]
    made.backend_tokenizer.normalizer = Sequence([Lowercase(), *marks, Strip(), Prepend(" ")])
    return made


def reading_through(tokenizer: PreTrainedTokenizerFast) -> PreTrainedTokenizerFast:
    """Make a tokenizer like that of `reading_words` which reads words in their common disguises as the words.

    Signs that look like letters are read as those between letters, letters that stand apart are joined, and of a letter that
    is repeated two are kept.
    """
    made = reading_words(tokenizer)
    lookalikes = [
        (r"(?<=[a-z])@(?=[a-z])", "a"),
        (r"(?<=[a-z])[1!](?=[a-z])|\b1(?=[a-z]{3})", "i"),
        (r"(?<=[a-z])0+(?=[a-z])", "o"),
        (r"(?<=[a-z])3(?=[a-z])", "e"),
        (r"(?<=[a-z$])\$|\$(?=[a-z]{2})", "s"),
        (r"([a-z])(?=\1\1)", ""),
        (r"(?<=\b[a-z])[ .\-*](?=[a-z]\b)", ""),
    ]
    steps = [Replace(Regex(pattern), letter) for pattern, letter in lookalikes]
    made.backend_tokenizer.normalizer = Sequence([Lowercase(), *steps, made.backend_tokenizer.normalizer])
    return made


def _settings(recipe: ClassifierRecipe, labels: Mapping[int, str]) -> dict[str, Any]:
    names = {"id2label": dict(labels), "label2id": {label: index for index, label in labels.items()}}
    dropout = dict.fromkeys(("resid_pdrop", "embd_pdrop", "attn_pdrop"), recipe.dropout)
    return {"n_layer": recipe.layers, "n_inner": recipe.inner, **names, **dropout}


def from_trunk(trunk: GPT2LMHeadModel, recipe: ClassifierRecipe, labels: Mapping[int, str]) -> GPT2ForSequenceClassification:
    """Make a classifier of the first layers of a language model, its MLPs pruned, with a new head."""
    torch.manual_seed(recipe.seed)
    model = GPT2ForSequenceClassification(GPT2Config(**(trunk.config.to_dict() | _settings(recipe, labels))))
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


def from_token_vectors(trunk: GPT2LMHeadModel, recipe: SmallClassifierRecipe, labels: Mapping[int, str]) -> GPT2ForSequenceClassification:
    """Make a small classifier whose token vectors are those of a language model in their leading directions; the rest is new.

    The vectors are scaled to the standard deviation that new ones have.
    """
    torch.manual_seed(recipe.seed)
    settings: dict[str, Any] = trunk.config.to_dict() | _settings(recipe, labels) | {"n_embd": recipe.width, "n_head": recipe.heads}
    model = GPT2ForSequenceClassification(GPT2Config(**settings))
    with torch.no_grad():
        vectors = trunk.transformer.wte.weight.float()  # (V, trunk's width)
        left, strength, _ = torch.linalg.svd(vectors - vectors.mean(dim=0), full_matrices=False)
        leading = left[:, : recipe.width] * strength[: recipe.width]  # (V, width)
        model.transformer.wte.weight.copy_(leading * (model.config.initializer_range / leading.std()))
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


def train_classifier(
    model: GPT2ForSequenceClassification,
    tokenizer: PreTrainedTokenizerFast,
    texts: list[str],
    labels: list[int],
    recipe: ClassifierRecipe,
    work: Path,
    device: str,
) -> GPT2ForSequenceClassification:
    """Train a classifier on whole texts and fragments, then calibrate it on fragments of other texts.

    Args:
        model: to start from; it is changed in place.
        tokenizer: of the model, made for reading.
        texts: to learn from.
        labels: 1 for the positive class, 0 for the other.
        recipe: sizes and rates.
        work: folder of the checkpoint; the training goes on from it when one is there.
        device: "cpu" or "cuda".
    """
    cast(torch.nn.Module, model).to(device)
    learnt, kept = calibration_split(len(texts), recipe.fragments.calibration)
    _train(model, tokenizer, [texts[i] for i in learnt], [labels[i] for i in learnt], recipe, work, device)
    log_odds = log_odds_of(model, tokenizer, device)
    found = fitted_temperature(log_odds, [texts[i] for i in kept], [labels[i] for i in kept], recipe.fragments, recipe.seed)
    with torch.no_grad():
        model.score.weight /= found
    return model


def _train(
    model: GPT2ForSequenceClassification,
    tokenizer: PreTrainedTokenizerFast,
    texts: list[str],
    labels: list[int],
    recipe: ClassifierRecipe,
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
        name = f"{work.name} {turn + 1}/{recipe.passes}"
        for step in tqdm(range(done, len(order)), initial=done, total=len(order), desc=name, unit="step", mininterval=5):
            started = time.perf_counter()
            share = (turn + step / len(order)) / recipe.passes
            optimiser.param_groups[0]["lr"] = recipe.lr * min(1.0, share / recipe.warmup) * (1 - share)
            # Dropout is seeded by the step, so that an interrupted training goes on as it would have.
            torch.manual_seed(recipe.seed + turn * 1_000_000 + step)
            rows = padded([ids[i] for i in order[step]], cast(int, tokenizer.pad_token_id), device)
            answers = torch.tensor([wanted[i] for i in order[step]], device=device)
            with FastKernels(), torch.autocast(device, dtype=torch.bfloat16):
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
