"""How close two texts are in meaning, by sentence embeddings."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.preprocessing import normalize

from textenv.errors import LoadError
from textenv.models.folders import loading
from textenv.models.hub import cached_by_files, locate
from textenv.models.reading import warn_once
from textenv.rewards.metrics import texts_of
from textenv.rewards.protocol import refuse_half_characters

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer


@dataclass(frozen=True)
class Similarity:
    """The cosine of the embeddings of the completion and another text, from 0 to 1 and higher for closer.

    A negative cosine counts 0, and so does an empty text. Of long texts the model reads the
    beginning, which is said once.

    Args:
        to: "prompts", or a column of the prompt set that holds texts.
        model: an embedded name, a local folder or a hub id of a sentence-transformers model.
        device: such as "cpu" or "cuda".

    Raises:
        LoadError: there is no such model.
    """

    to: str = "prompts"
    model: str = "tiny-embed"
    device: str = "cpu"

    def __post_init__(self) -> None:
        locate(self.model, "embedding model")

    @property
    def columns(self) -> tuple[str, ...]:
        """The column that is compared."""
        return (self.to,)

    def __call__(self, prompts: Sequence[str], completions: Sequence[str], **columns: Any) -> list[float]:
        """Score n texts."""
        others = prompts if self.to == "prompts" else texts_of(columns[self.to], self.to)
        texts = list(dict.fromkeys([*others, *completions]))
        if not texts:
            return []
        refuse_half_characters("Similarity", texts)
        model = load_embedding(self.model, self.device)
        _say_what_is_cut(model, self.model, texts)
        raw = model.encode(texts, show_progress_bar=False)
        # Normalised here, because half precision is too coarse for it.
        vectors: Any = normalize(np.asarray(raw, dtype=np.float64))  # (N, D)
        of = dict(zip(texts, vectors, strict=True))
        cosines = [of[a] @ of[b] if a.strip() and b.strip() else 0.0 for a, b in zip(others, completions, strict=True)]
        return [float(cosine) for cosine in np.clip(cosines, 0, 1)]


def _say_what_is_cut(model: "SentenceTransformer", name: str, texts: Sequence[str]) -> None:
    """Warn once of texts that are longer than the model reads."""
    limit = model.get_max_seq_length()
    if limit is None or not math.isfinite(limit):
        return
    # Few tokenizers write more tokens than bytes, so short texts need not be counted.
    long = [text for text in texts if len(text.encode()) + 2 > limit]
    counts = [len(ids) for ids in model.tokenizer(long, truncation=False, verbose=False)["input_ids"]] if long else []
    cut = sum(count > limit for count in counts)
    if cut:
        warn_once(
            model,
            f"Similarity reads {limit} tokens with {name}: {cut} of {len(texts)} texts are longer and lose their end. This is said once.",
        )


@cached_by_files
def load_embedding(model: str, device: str) -> "SentenceTransformer":
    """Load a model of sentence-transformers; equal arguments give the same object, until a file of a local folder changes.

    Args:
        model: an embedded name, a local folder or a hub id.
        device: such as "cpu" or "cuda".

    Raises:
        LoadError: it cannot be loaded.
    """
    from sentence_transformers import SentenceTransformer

    place = locate(model, "embedding model")
    with loading(f"The embedding model {model}", place) as logged:
        embedding = SentenceTransformer(place, device=device, trust_remote_code=False)
        # The one place where sentence-transformers lets it be seen that weights were drawn at random.
        if any("LOAD REPORT" in line and "MISSING" in line for line in logged):
            raise LoadError(f"The embedding model {model} cannot be loaded: its file lacks some of its weights.")
        embedding.encode(["a"], show_progress_bar=False)
    return embedding
