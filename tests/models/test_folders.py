"""Whatever is damaged in a folder, whoever loads it: one sentence, and nothing else is printed."""

import functools
import json
import logging
import pickle
import re
import shutil
import struct
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

import pytest
import torch
from huggingface_hub.utils import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file, save_file
from sentence_transformers import SentenceTransformer
from transformers import BertConfig, BertModel, GPT2Config, GPT2ForSequenceClassification
from transformers.utils import logging as transformers_logging

from textenv import cli
from textenv.errors import ArgumentError, LoadError
from textenv.models.contract import contract_of
from textenv.models.folders import loading, read_json
from textenv.models.hub import ASSETS
from textenv.models.loading import load_causal_lm, toy_causal_lm, toy_tokenizer
from textenv.models.policy import LanguagePolicy
from textenv.models.scalar_head import load_scalar_model
from textenv.rewards import Fluency, NgramClassifier, Similarity, load_reward
from textenv.rewards.ngram import NgramConfig

pytestmark = pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing")  # peft asks by its old name

TOKENIZER: Final = toy_tokenizer("abc>")
TEXTS: Final = {"prompts": ["ab", "c"], "completions": ["ba", "cc"]}


def policy_folder(folder: Path) -> None:
    policy = LanguagePolicy(toy_causal_lm(TOKENIZER, 8), TOKENIZER)
    policy.save_pretrained(folder)


def classifier_folder(folder: Path) -> None:
    config: Any = GPT2Config(vocab_size=5, n_positions=16, n_embd=8, n_layer=2, n_head=1, pad_token_id=4, num_labels=2)
    GPT2ForSequenceClassification(config).save_pretrained(folder)
    TOKENIZER.save_pretrained(folder)


def ngram_folder(folder: Path) -> None:
    NgramClassifier.fit(["ab", "c"], [1, 0], NgramConfig(features=16)).save_pretrained(folder)


def embedding_folder(folder: Path) -> None:
    sizes: dict[str, Any] = {"hidden_size": 8, "num_hidden_layers": 2, "num_attention_heads": 1, "intermediate_size": 8}
    BertModel(BertConfig(vocab_size=5, max_position_embeddings=16, **sizes)).save_pretrained(folder / "bert")
    TOKENIZER.save_pretrained(folder / "bert")
    SentenceTransformer(str(folder / "bert"), device="cpu").save_pretrained(str(folder / "all"))


def adapter_folder(folder: Path) -> None:
    policy_folder(folder / "base")
    adapted = get_peft_model(load_causal_lm(folder / "base"), LoraConfig(r=2, target_modules=["c_attn"], fan_in_fan_out=True))
    adapted.save_pretrained(str(folder / "adapters"))


class Loader(NamedTuple):
    """A kind of folder and who loads it."""

    make: Callable[[Path], None]
    load: Callable[[Path], Any]
    """Returns numbers or names that depend on all that is loaded."""
    place: str = "."
    """The folder that is damaged, within what is made."""


def policy_weights(folder: Path) -> Any:
    return [weights.tolist() for weights in LanguagePolicy.from_pretrained(folder).parameters()]


def scalar_weights(folder: Path) -> Any:
    return [weights.tolist() for weights in load_scalar_model(folder)[0].parameters()]


LOADERS: Final = {
    "policy": Loader(policy_folder, policy_weights),
    "contract": Loader(policy_folder, lambda folder: contract_of(folder).names),
    "fluency": Loader(policy_folder, lambda folder: Fluency(str(folder))(**TEXTS)),
    "scalar": Loader(policy_folder, scalar_weights),
    "classifier": Loader(classifier_folder, lambda folder: load_reward(folder)(**TEXTS)),
    "n-gram": Loader(ngram_folder, lambda folder: load_reward(folder)(**TEXTS)),
    "embedding": Loader(embedding_folder, lambda folder: Similarity(model=str(folder))(**TEXTS), "all"),
    "adapters": Loader(adapter_folder, policy_weights, "adapters"),
}

DEEP: Final = b'{"a":' * 10_000 + b"1" + b"}" * 10_000


def header(names: bytes, length: int | None = None) -> bytes:
    return struct.pack("<Q", len(names) if length is None else length) + names


def one(shape: str, offsets: str = "[0, 4]", dtype: str = "F32") -> bytes:
    names = f'{{"a": {{"dtype": "{dtype}", "shape": {shape}, "data_offsets": {offsets}}}}}'
    return header(names.encode()) + b"\0\0\0\0"


JSON: Final[dict[str, Callable[[bytes], bytes]]] = {
    "empty": lambda content: b"",
    "cut": lambda content: content[: len(content) // 2],
    "a byte short": lambda content: content.rstrip()[:-1],
    "a list": lambda content: b"[1]" if content.lstrip()[:1] == b"{" else b"{}",
    "a string": lambda content: b'"x"',
    "null": lambda content: b"null",
    "nested": lambda content: DEEP,
    "garbage": lambda content: b"\xff\x00\xfe" * 9,
    "zeros": lambda content: bytes(len(content)),
}
TENSORS: Final[dict[str, Callable[[bytes], bytes]]] = {
    "empty": lambda content: b"",
    "zeros": lambda content: bytes(len(content)),
    "garbage": lambda content: b"no tensors" * 9,
    "a few bytes": lambda content: content[:4],
    "cut in the header": lambda content: content[:50],
    "cut in half": lambda content: content[: len(content) // 2],
    "a byte short": lambda content: content[:-1],
    "a byte long": lambda content: content + b"\0",
    "a length of 2^63": lambda content: struct.pack("<Q", 2**63) + content[8:],
    "a length of 2^40": lambda content: struct.pack("<Q", 2**40) + content[8:],
    "a length of 99 MB": lambda content: struct.pack("<Q", 99_000_000) + content[8:],
    "names that are no JSON": lambda content: header(b"{" * 64),
    "names nested": lambda content: header(DEEP),
    "no tensor": lambda content: header(b"{}"),
    "another tensor": lambda content: one("[1]"),
    "a tensor of 2^80": lambda content: one(f"[{2**40}, {2**40}]"),
    "an unknown type": lambda content: one("[1]", dtype="F31"),
    "a pickle": lambda content: pickle.dumps({"a": 1}),
}


def damages() -> Iterator[tuple[str, str, str]]:
    """List loader, file and damage."""
    config = {"policy", "contract", "fluency", "scalar", "classifier", "n-gram", "embedding"}
    tokenizer = config - {"n-gram"}
    files = {
        "config.json": config,
        "generation_config.json": {"policy", "contract", "fluency", "scalar"},
        "tokenizer.json": tokenizer,
        "tokenizer_config.json": tokenizer,
        "adapter_config.json": {"adapters"},
        "modules.json": {"embedding"},
        "1_Pooling/config.json": {"embedding"},
        "sentence_bert_config.json": {"embedding"},
        "model.safetensors": config - {"contract"},
        "value_head.safetensors": {"policy", "fluency"},
        "adapter_model.safetensors": {"adapters"},
    }
    for file, loaders in files.items():
        kinds = TENSORS if file.endswith(".safetensors") else JSON
        for loader in sorted(loaders):
            yield from ((loader, file, damage) for damage in kinds)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Make the folder of a loader once."""

    @functools.cache
    def make(loader: str) -> Path:
        folder = tmp_path_factory.mktemp(loader)
        LOADERS[loader].make(folder)
        return folder / LOADERS[loader].place

    return make


def refused(load: Callable[[], Any], capfd: pytest.CaptureFixture[str]) -> str:
    """Give the one sentence by which a load is refused, with nothing printed."""
    capfd.readouterr()
    with pytest.raises(LoadError) as caught:
        load()
    said = capfd.readouterr()
    assert said.out + said.err == ""
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 1000
    return str(caught.value)


@pytest.mark.parametrize(("loader", "file", "damage"), list(damages()))
def test_a_damaged_file_is_named(
    loader: str, file: str, damage: str, made: Callable[[str], Path], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "folder"
    shutil.copytree(made(loader), folder)
    content = (folder / file).read_bytes()
    kinds = TENSORS if file.endswith(".safetensors") else JSON
    (folder / file).write_bytes(kinds[damage](content))
    sentence = refused(lambda: LOADERS[loader].load(folder), capfd)
    assert str(folder) in sentence
