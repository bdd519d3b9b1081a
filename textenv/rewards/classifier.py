"""A transformers sequence-classification model, a classifier or a reward model, as a reward."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, cast

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import AutoModelForSequenceClassification

from textenv.errors import ArgumentError, LoadError, did_you_mean
from textenv.models.folders import loading
from textenv.models.kernels import FastKernels, fuse_gelu
from textenv.models.loading import load_tokenizer, refuse_layers
from textenv.models.reading import as_read, embedding_rows, misfit, read_texts, reads_at_most, refuse_unembedded, warn_once
from textenv.rewards.protocol import refuse_half_characters
from textenv.rewards.repeats import once

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

BATCH = 64
PROBES: Final = ["a b c d", "a b c d e f g h i j k l"]
"""Texts of different lengths, which must score together as they do alone."""


class Classifier:
    """Scores texts by a label of a classifier, or by the one output of a reward model.

    Of a text that is longer than the model reads, the end is read, so that the completion stays and the
    prompt loses its beginning, whatever the tokenizer's truncation side; that it happens is said once.
    The tokens that the tokenizer puts around a text stay, and stand there once.

    Args:
        model: a sequence-classification model from transformers.
        tokenizer: its tokenizer.
        name: as messages show it.
        label: None takes the one named positive, or else the last.
        output: "probability", "logit", or None for the logit of a model of one output and the probability of any other.
        reads: "both" reads prompt + completion, "completion" only that.

    Raises:
        ArgumentError: the model has no such label, is no sequence classifier, or the tokenizer is another model's.
    """

    def __init__(
        self,
        model: "PreTrainedModel",
        tokenizer: "PreTrainedTokenizerBase",
        *,
        name: str = "classifier",
        label: str | None = None,
        output: str | None = None,
        reads: str = "both",
    ) -> None:
        names = cast(dict[int, str], model.config.id2label)
        labels = [str(names[i]) for i in sorted(names)]
        lower = [text.lower() for text in labels]
        if label is not None and label.lower() not in lower:
            raise ArgumentError(f'The classifier {name} has no label "{label}".{did_you_mean(label, labels)}')
        wanted = label.lower() if label is not None else "positive" if "positive" in lower else lower[-1]
        self.label_index = lower.index(wanted)
        problem = misfit(model, tokenizer)
        if problem is not None:
            raise ArgumentError(f"{name} {problem}")
        fuse_gelu(model)
        self.model, self.tokenizer, self.name, self.reads = model.eval(), tokenizer, name, reads
        self._labels = len(labels)
        self.output = output or ("logit" if len(labels) == 1 else "probability")
        self.bias = float(getattr(model.config, "reward_bias", 0.0))  # see textenv.models.scalar_head
        self._batch = BATCH if self._scores_together() else 1

    @classmethod
    def from_pretrained(cls, place: str, *, name: str, label: str | None, output: str | None, reads: str, device: str) -> "Classifier":
        """Load a classifier in float32 from a folder or hub id.

        Raises:
            LoadError: it cannot be loaded.
        """
        with loading(f"The reward {name}", place):
            model, found = AutoModelForSequenceClassification.from_pretrained(
                place, dtype=torch.float32, output_loading_info=True, trust_remote_code=False
            )
            if found["missing_keys"]:
                lacks = ", ".join(sorted(found["missing_keys"])[:3])
                raise LoadError(f"{name} is no sequence classifier: its file lacks {lacks}.")
            refuse_layers(name, model, found["unexpected_keys"])
        tokenizer = load_tokenizer(place)
        problem = misfit(model, tokenizer)
        if problem is not None:
            raise LoadError(f"{name} {problem}")
        model = model.to(device)
        with loading(f"The reward {name}", place):  # it is tried with two texts
            return cls(model, tokenizer, name=name, label=label, output=output, reads=reads)

    def __call__(self, prompts: Sequence[str], completions: Sequence[str]) -> list[float]:
        """Score n texts; one that occurs more than once is read once."""
        texts = completions if self.reads == "completion" else [prompt + text for prompt, text in zip(prompts, completions, strict=True)]
        refuse_half_characters(self.name, texts)
        return once(as_read(list(texts), self.tokenizer), self._score)

    def _score(self, texts: list[str]) -> NDArray[np.float64]:
        limit = reads_at_most(self.model, self.tokenizer)
        ids, types, cut = read_texts(self.tokenizer, texts, limit)
        refuse_unembedded(self.name, self.model, self.tokenizer, ids)
        if cut:
            warn_once(
                self.model,
                f"The classifier {self.name} reads {limit} tokens: {cut} of {len(texts)} texts are longer and lose"
                " their beginning, the prompt's before the completion's. This is said once.",
            )
        scores = np.zeros(len(texts))
        order = np.argsort([len(row) for row in ids], kind="stable")  # texts of like length share a batch
        for start in range(0, len(texts), self._batch):
            rows = order[start : start + self._batch]
            logits = self._logits([ids[i] for i in rows], types and [types[i] for i in rows])
            scores[rows] = self._output(logits).cpu().numpy()
        return scores

    @torch.inference_mode()
    def _logits(self, ids: list[list[int]], types: list[list[int]] | None) -> torch.Tensor:
        """Ask the model: (rows, labels).

        Padding stands on the right, because decoder-only classifiers count positions from the first column, and
        is what the model's own configuration calls so: a decoder reads the last token that is something else.
        """
        pad = self.model.config.get_text_config().pad_token_id or 0
        inputs = {"input_ids": _padded(ids, pad), "attention_mask": _padded([[1] * len(row) for row in ids], 0)}
        if types is not None:
            inputs["token_type_ids"] = _padded(types, self.tokenizer.pad_token_type_id)
        if self.model.training:  # it was trained in between
            self.model.eval()
        with FastKernels():
            output = self.model(**{key: value.to(self.model.device) for key, value in inputs.items()})
        logits = getattr(output, "logits", None)
        if logits is None or logits.shape != (len(ids), self._labels):
            kind = type(self.model).__name__
            raise ArgumentError(f"{self.name} is no sequence classifier: {kind} does not answer with one number per label.")
        return cast(torch.Tensor, logits).float()

    def _scores_together(self) -> bool:
        """Tell whether texts of different lengths score together as alone; else each is read alone."""
        ids, types, _ = read_texts(self.tokenizer, PROBES, reads_at_most(self.model, self.tokenizer))
        alone = torch.cat([self._logits(ids[i : i + 1], types and types[i : i + 1]) for i in range(len(ids))])
        pad = self.model.config.get_text_config().pad_token_id
        if pad is None or not 0 <= pad < embedding_rows(self.model):
            return False
        together = self._logits(ids, types)  # (2, labels)
        if self.model.dtype != torch.float32:
            return torch.allclose(together, alone, rtol=0.05, atol=0.05)  # two roundings of one number
        # A last token that is taken wrongly moves a score as much as another text does.
        return float((together - alone).abs().max()) <= 0.01 * float((alone[0] - alone[1]).abs().max()) + 1e-6

    def _output(self, logits: torch.Tensor) -> torch.Tensor:
        if self.output == "logit":
            return logits[:, self.label_index] + self.bias
        independent = logits.shape[1] == 1 or self.model.config.problem_type == "multi_label_classification"
        probabilities = (logits + self.bias).sigmoid() if independent else logits.softmax(-1)
        return probabilities[:, self.label_index]


def _padded(rows: list[list[int]], value: int) -> torch.Tensor:
    """Fill rows up on the right: (n, width)."""
    width = max(map(len, rows))
    return torch.tensor([row + [value] * (width - len(row)) for row in rows])
