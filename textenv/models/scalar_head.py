"""Models that give a text one number: the trunk of a language model or an encoder, and a linear head."""

import contextlib
import copy
import math
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import nn
from transformers import AutoConfig, AutoModelForSequenceClassification
from transformers.utils import logging

from textenv.errors import ArgumentError, LoadError
from textenv.models.folders import loading
from textenv.models.hub import locate
from textenv.models.loading import adapter_base, load_tokenizer, refuse_layers
from textenv.models.reading import reading, reads_whole_texts

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


def load_scalar_model(name: str | Path, *, seed: int = 0, device: str = "cpu") -> "tuple[PreTrainedModel, PreTrainedTokenizerBase]":
    """Load a model in float32 and put a new head of one output on it; in evaluation mode nothing of it is random.

    The head's weights are drawn from N(0, 1/√(d+1)), the standard deviation, d being their number: Stiennon et al., "Learning to
    summarize from human feedback", appendix B.1, https://arxiv.org/abs/2009.01325. Whatever head was there is gone: the
    unembedding of a language model, or the labels of a classifier.

    Args:
        name: a causal language model or an encoder: an embedded name, a local folder or a hub id.
        seed: of the head; the global generator of torch is left as it was.
        device: such as "cpu" or "cuda".

    Returns:
        A model for sequence classification and a tokenizer that reads whole texts, see `textenv.models.reading`.

    Raises:
        LoadError: it is not there, cannot be read, or holds no weights of such a model.
        ArgumentError: it is an encoder-decoder.
    """
    place = locate(name)
    if (base := adapter_base(name)) is not None:
        raise LoadError(
            f'{name} holds adapters of the model "{base}" and no model of its own; save it merged, by merge_and_unload of peft.'
        )
    if os.path.isdir(place) and not os.path.lexists(Path(place) / "config.json"):
        raise LoadError(f"{name} holds no model: it has no config.json.")
    options: dict[str, Any] = {"num_labels": 1, "id2label": {0: "REWARD"}, "label2id": {"REWARD": 0}, "problem_type": "regression"}
    with loading(f"The model {name}", place):
        config: Any = AutoConfig.from_pretrained(place, trust_remote_code=False, **options)
        if config.is_encoder_decoder:
            raise ArgumentError(f"{name} is an encoder-decoder; a reward model is made of a causal language model or an encoder.")
        vars(config).pop("reward_bias", None)  # of the head that goes
        with torch.random.fork_rng(), _silent():
            torch.manual_seed(seed)  # of what the file lacks beside the head, such as a pooler
            model, found = AutoModelForSequenceClassification.from_pretrained(
                place,
                config=config,
                dtype=torch.float32,
                ignore_mismatched_sizes=True,
                output_loading_info=True,
                trust_remote_code=False,
            )
        _check_trunk(name, model, found)
    tokenizer = _tokenizer_of(name)
    if len(tokenizer) > config.vocab_size:
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            model.resize_token_embeddings(len(tokenizer), mean_resizing=False)
    model.config.pad_token_id = tokenizer.pad_token_id
    _draw(head_of(model), seed)
    return model.to(device).eval(), tokenizer


def _check_trunk(name: str | Path, model: "PreTrainedModel", loaded: dict[str, Any]) -> None:
    """Refuse a model whose trunk is not wholly its file's."""
    trunk = f"{model.base_model_prefix}."
    lacks = sorted(key for key in loaded["missing_keys"] if key.startswith(trunk) and ".pooler." not in key)
    if lacks:
        kind = cast(Any, model.config).model_type
        raise LoadError(f"{name} holds no {kind} model: its file lacks {', '.join(lacks[:3])}.")
    for key, stored, wanted in sorted(loaded["mismatched_keys"]):
        if key.startswith(trunk):
            raise LoadError(
                f"The file of {name} holds {key} of the shape {tuple(stored)}, where its config.json asks for "
                f"{tuple(wanted)}; correct the sizes there, or save the folder again."
            )
    refuse_layers(name, model, loaded["unexpected_keys"])


@contextlib.contextmanager
def _silent() -> Iterator[None]:
    """Keep transformers from warning that the head is new."""
    before = logging.get_verbosity()
    logging.set_verbosity_error()
    try:
        yield
    finally:
        logging.set_verbosity(before)


def _tokenizer_of(name: str | Path) -> "PreTrainedTokenizerBase":
    tokenizer = load_tokenizer(name)
    if not reads_whole_texts(tokenizer):
        return reading(tokenizer)
    own = copy.deepcopy(tokenizer)  # equal names share one
    own.padding_side, own.truncation_side = "right", "left"
    return own


def head_of(model: "PreTrainedModel") -> nn.Linear:
    """Find the linear layer whose one output is the model's."""
    return [module for module in model.modules() if isinstance(module, nn.Linear) and module.out_features == 1][-1]


@torch.no_grad()
def _draw(head: nn.Linear, seed: int) -> None:
    weights = torch.randn(head.weight.shape, generator=torch.Generator().manual_seed(seed))
    head.weight.copy_(weights / math.sqrt(head.in_features + 1))
    if head.bias is not None:
        head.bias.zero_()


@torch.no_grad()
def rescale(model: "PreTrainedModel", gain: float, bias: float) -> None:
    """Make the output of a model gain x output + bias, in its weights.

    The bias goes into the head's, or else into that of the norm before it: w·(x + b w/|w|²) = w·x + b. Where there is neither, as in
    Llama, it goes into the configuration as `reward_bias`, which `textenv.rewards.Classifier` adds; without it only the zero differs.

    Args:
        model: of one output, changed in place.
        gain: in units of the new output a unit of the old.
        bias: in units of the new output.
    """
    head = head_of(model)
    head.weight.mul_(gain)
    norms = [module for module in model.base_model.children() if isinstance(module, nn.LayerNorm) and module.bias is not None]
    if head.bias is not None:
        head.bias.mul_(gain).add_(bias)
    elif norms:
        norms[-1].bias.add_(head.weight[0], alpha=bias / float(head.weight.square().sum()))
    else:
        config = cast(Any, model.config)
        config.reward_bias = gain * getattr(config, "reward_bias", 0.0) + bias
