"""A transformers sequence-classification model, a classifier or a reward model, as a reward."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from transformers import AutoModelForSequenceClassification

from textenv.errors import ArgumentError, LoadError, did_you_mean
from textenv.models.kernels import FastKernels, fuse_gelu
from textenv.models.loading import load_tokenizer
from textenv.models.reading import as_read, reads_at_most
from textenv.rewards.repeats import once

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

BATCH = 64


class Classifier:
    """Scores texts by a label of a classifier, or by the one output of a reward model.

    Args:
        model: a sequence-classification model from transformers.
        tokenizer: its tokenizer.
        name: as messages show it.
        label: None takes the one named positive, or else the last.
        output: "probability", "logit", or None for the logit of a model of one output and the probability of any other.
        reads: "both" reads prompt + completion, "completion" only that.

    Raises:
        ArgumentError: the model has no such label.
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
        fuse_gelu(model)
        self.model, self.tokenizer, self.name, self.reads = model.eval(), tokenizer, name, reads
        self.output = output or ("logit" if len(labels) == 1 else "probability")
        self.bias = float(getattr(model.config, "reward_bias", 0.0))  # see textenv.models.scalar_head

    @classmethod
    def from_pretrained(cls, place: str, *, name: str, label: str | None, output: str | None, reads: str, device: str) -> "Classifier":
        """Load a classifier in float32 from a folder or hub id.

        Raises:
            LoadError: it cannot be loaded.
        """
        try:
            model, found = AutoModelForSequenceClassification.from_pretrained(place, dtype=torch.float32, output_loading_info=True)
        except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
            raise LoadError(f"The reward {name} cannot be loaded: {str(error).splitlines()[0]}") from error
        if found["missing_keys"]:
            raise LoadError(f"{name} is no sequence classifier: its file lacks {', '.join(sorted(found['missing_keys'])[:3])}.")
        tokenizer, known = load_tokenizer(place), model.config.get_text_config().vocab_size
        if len(tokenizer) > known:
            raise LoadError(f"{name} holds a tokenizer of another model: it has {len(tokenizer)} tokens, and the model reads {known}.")
        return cls(model.to(device), tokenizer, name=name, label=label, output=output, reads=reads)

    def __call__(self, prompts: Sequence[str], completions: Sequence[str]) -> list[float]:
        """Score n texts; one that occurs more than once is read once."""
        texts = completions if self.reads == "completion" else [prompt + text for prompt, text in zip(prompts, completions, strict=True)]
        return once(as_read(list(texts), self.tokenizer), self._score)

    @torch.inference_mode()
    def _score(self, texts: list[str]) -> NDArray[np.float64]:
        scores = np.zeros(len(texts))
        order = np.argsort([len(text) for text in texts], kind="stable")  # texts of like length share a batch
        limit = reads_at_most(self.model, self.tokenizer)
        # Right padding, because decoder-only classifiers count positions from the first column; without a padding token, one by one.
        size = 1 if None in (self.tokenizer.pad_token_id, self.model.config.pad_token_id) else BATCH
        options: dict[str, Any] = {"truncation": True, "max_length": limit, "return_tensors": "pt"}
        if size > 1:
            options |= {"padding": True, "padding_side": "right"}
        for start in range(0, len(texts), size):
            rows = order[start : start + size]
            inputs: Any = self.tokenizer([texts[i] for i in rows], **options)
            inputs = {key: value.to(self.model.device) for key, value in inputs.items()}
            with FastKernels():
                logits = cast(torch.Tensor, self.model(**inputs).logits).float()  # (rows, labels)
            scores[rows] = self._output(logits).cpu().numpy()
        return scores

    def _output(self, logits: torch.Tensor) -> torch.Tensor:
        if self.output == "logit":
            return logits[:, self.label_index] + self.bias
        independent = logits.shape[1] == 1 or self.model.config.problem_type == "multi_label_classification"
        probabilities = (logits + self.bias).sigmoid() if independent else logits.softmax(-1)
        return probabilities[:, self.label_index]
