"""Load rewards by name: an embedded one, a local folder, a hub id, or a function of somebody else's module."""

import dataclasses
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

from textenv.errors import ArgumentError, LoadError
from textenv.importing import is_import, resolve
from textenv.models.folders import loading, read_json
from textenv.models.hub import cached_by_files, locate
from textenv.rewards.protocol import refuse_half_characters

if TYPE_CHECKING:
    from textenv.rewards.ngram import NgramClassifier


def load_reward(
    reward: str | Path | Callable[..., Any],
    *,
    label: str | None = None,
    output: Literal["probability", "logit"] | None = None,
    reads: Literal["both", "completion"] = "both",
    device: str = "cpu",
) -> Callable[..., Any]:
    """Load a reward; equal arguments give the same object, until a file of a local folder changes.

    A callable is returned as it is, but for two kinds: transformers' `pipeline("text-classification")` becomes a
    `Classifier` of its model, and a record with a field `device` that says "cpu", such as the rewards of
    `textenv.rewards` that hold models, is copied with the device that is asked for.

    Args:
        reward: an embedded name such as "tiny-sentiment", a local folder or hub id of a sequence-classification model, the folder
            of a run that made one, "module:name" of a callable in a module, or a callable, a pipeline among them.
        label: of the classifier; by default the one named positive (in any case), or else the last.
        output: the label's probability in [0, 1], or its logit; by default the probability, but of a model of one output, which is a
            reward model, that output as it is.
        reads: whether the classifier reads prompt + completion or the completion only.
        device: such as "cpu" or "cuda"; a `Classifier`, a pipeline or a function stays where it is.

    Raises:
        LoadError: the model cannot be loaded.
        ArgumentError: it has no such label, is a transformers model without tokenizer, or a pipeline of another task; or what
            "module:name" stands for cannot be imported or called.
    """
    if isinstance(reward, str) and is_import(reward):
        reward = _imported(reward)
    if isinstance(reward, str | Path):
        return _load(str(reward), label, output, reads, device)
    if hasattr(getattr(reward, "config", None), "id2label"):
        raise ArgumentError(f"{type(reward).__name__} reads no text; give the reward Classifier(model, tokenizer).")
    if hasattr(reward, "tokenizer") and hasattr(reward, "task"):
        return _from_pipeline(reward, label, output, reads)
    record: Any = reward
    if device != "cpu" and dataclasses.is_dataclass(record) and not isinstance(record, type) and getattr(record, "device", None) == "cpu":
        moved: Any = dataclasses.replace(record, device=device)
        return cast(Callable[..., Any], moved)
    return reward


def _imported(name: str) -> Callable[..., Any]:
    reward = resolve(name, "reward")
    if isinstance(reward, type):
        raise ArgumentError(f'The reward "{name}" is a class; name an instance of it, such as one that the module makes.')
    if not callable(reward):
        raise ArgumentError(f'The reward "{name}" is no function but {type(reward).__name__}; name a function of prompts and completions.')
    called: Callable[..., Any] = reward
    return called


def _from_pipeline(pipeline: Any, label: str | None, output: str | None, reads: str) -> Callable[..., Any]:
    from textenv.rewards.classifier import Classifier

    if pipeline.task != "text-classification":
        raise ArgumentError(f'A pipeline as a reward must be one of "text-classification", not of "{pipeline.task}".')
    if pipeline.tokenizer is None:
        raise ArgumentError("A pipeline as a reward needs its tokenizer; make it with pipeline(..., tokenizer=...).")
    _check_options(output, reads)
    return Classifier(pipeline.model, pipeline.tokenizer, name=pipeline.model.name_or_path, label=label, output=output, reads=reads)


def _check_options(output: str | None, reads: str) -> None:
    for field, value, known in (("output", output, ("probability", "logit")), ("reads", reads, ("both", "completion"))):
        if value is not None and value not in known:
            raise ArgumentError(f"{field} must be one of {', '.join(known)}, got {value!r}.")


class NgramReward:
    """Scores texts by an `NgramClassifier`; the arguments are those of `load_reward`."""

    def __init__(self, classifier: "NgramClassifier", name: str, output: str, reads: str) -> None:
        self.classifier, self.name, self.output, self.reads = classifier, name, output, reads

    def __call__(self, prompts: Sequence[str], completions: Sequence[str]) -> list[float]:
        """Score n texts."""
        refuse_half_characters(self.name, prompts, completions)
        texts = list(completions) if self.reads == "completion" else [p + c for p, c in zip(prompts, completions, strict=True)]
        scores = self.classifier.probabilities(texts) if self.output == "probability" else self.classifier.log_odds(texts)
        return [float(score) for score in scores]


def _model_type(name: str, config: Path) -> Any:
    """Return what a folder's `config.json` says it is, None for a hub id."""
    if not os.path.lexists(config):
        return None
    with loading(f"The reward {name}", config.parent):
        return read_json(config).get("model_type")


@cached_by_files
def _load(name: str, label: str | None, output: str | None, reads: str, device: str) -> Callable[..., Any]:
    from textenv.rewards.classifier import Classifier
    from textenv.rewards.ngram import NgramClassifier

    _check_options(output, reads)
    place = locate(name, "reward")
    config = Path(place) / "config.json"
    if os.path.isfile(Path(place) / "adapter_config.json"):
        raise LoadError(f"{name} holds an adapter alone; save model.merge_and_unload() of the PeftModel with its tokenizer instead.")
    if os.path.isdir(place) and not os.path.lexists(config):
        raise LoadError(f"{name} holds no reward: it has no config.json.")
    if _model_type(name, config) == "ngram":
        if output is None:
            return _load(name, label, "probability", reads, device)
        if label is not None:
            raise ArgumentError(f"{name} is an n-gram classifier of one class; leave label out.")
        return NgramReward(NgramClassifier.from_pretrained(place), name, output, reads)
    return Classifier.from_pretrained(place, name=name, label=label, output=output, reads=reads, device=device)
