"""Whatever is damaged in a folder, whoever loads it: one sentence, and nothing else is printed."""

import contextlib
import dataclasses
import errno
import functools
import io
import json
import logging
import os
import pickle
import re
import shutil
import struct
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

import pytest
import torch
from huggingface_hub.utils.tqdm import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars
from peft import LoraConfig, get_peft_model
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from sentence_transformers import SentenceTransformer
from transformers import BertConfig, BertModel, GPT2Config, GPT2ForSequenceClassification
from transformers.utils import logging as transformers_logging

from textenv import cli
from textenv.agents.reward_model import RewardModel
from textenv.errors import ArgumentError, LoadError
from textenv.files import LARGEST_JSON
from textenv.models.contract import contract_of
from textenv.models.folders import loading, share_weights
from textenv.models.loading import load_causal_lm, load_tokenizer, toy_causal_lm, toy_tokenizer
from textenv.models.lora import add_lora
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
    special: dict[str, Any] = {"pad_token_id": 4, "num_labels": 2}
    config = GPT2Config(vocab_size=5, n_positions=16, n_embd=8, n_layer=2, n_head=1, **special)
    GPT2ForSequenceClassification(config).save_pretrained(folder)
    TOKENIZER.save_pretrained(folder)


def classifier_of_ours(folder: Path) -> None:
    model, tokenizer = load_scalar_model("tiny-en")
    fields: dict[str, Any] = {field.name: None for field in dataclasses.fields(RewardModel)}
    RewardModel(**fields | {"model": model, "tokenizer": tokenizer}).save(folder)


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


WRONG: Final = ["x", -1, 10**30, []]


def fields() -> Iterator[tuple[str, str]]:
    """List loader and file whose fields are spoilt."""
    for loader in ("policy", "fluency", "scalar", "classifier", "embedding", "n-gram"):
        yield loader, "config.json"
    for file in ("generation_config.json", "tokenizer_config.json", "tokenizer.json"):
        yield "policy", file
    yield "classifier", "tokenizer_config.json"
    yield "embedding", "modules.json"
    yield "embedding", "1_Pooling/config.json"
    yield "embedding", "sentence_bert_config.json"
    yield "embedding", "config_sentence_transformers.json"
    yield "adapters", "adapter_config.json"


def attempt(load: Callable[[], Any], case: str) -> str:
    """Give the sentence by which a load is refused, or nothing."""
    try:
        load()
    except (LoadError, ArgumentError) as error:
        return str(error)
    except BaseException as error:
        raise AssertionError(case) from error
    return ""


@pytest.mark.slow
@pytest.mark.parametrize(("loader", "file"), list(fields()))
def test_a_field_of_another_type_or_none_is_refused_or_harmless(
    loader: str, file: str, made: Callable[[str], Path], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "folder"
    shutil.copytree(made(loader), folder)
    whole = json.loads((folder / file).read_bytes())
    records = whole if isinstance(whole, list) else [whole]
    for record in records:
        for name, before in list(record.items()):
            for value in [*WRONG, "left out"]:
                record[name] = value
                if value == "left out":
                    del record[name]
                (folder / file).write_text(json.dumps(whole))
                capfd.readouterr()
                sentence = attempt(lambda: LOADERS[loader].load(folder), f"{name}: {value}")
                said = capfd.readouterr()
                assert "\n" not in sentence, (name, value)
                assert not sentence or said.out + said.err == "", (name, value)
                record[name] = before


def stranger(weights: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {f"_orig_mod.{name}": value for name, value in weights.items()}


def a_layer_less(weights: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name: value for name, value in weights.items() if ".1." not in name}


def a_layer_more(weights: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    more = {name.replace(".1.", ".2."): value.clone() for name, value in weights.items() if ".1." in name}
    return {**weights, **more}


def another_size(weights: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name: torch.cat([value, value]) if ".1." in name else value for name, value in weights.items()}


@pytest.mark.parametrize("change", [stranger, a_layer_less, a_layer_more, another_size])
@pytest.mark.parametrize("loader", ["policy", "fluency", "scalar", "classifier", "embedding"])
def test_weights_that_are_not_the_models_are_refused(
    loader: str,
    change: Callable[[dict[str, torch.Tensor]], dict[str, torch.Tensor]],
    made: Callable[[str], Path],
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    folder = tmp_path / "folder"
    shutil.copytree(made(loader), folder)
    weights = load_file(folder / "model.safetensors")
    save_file(change(weights), folder / "model.safetensors", metadata={"format": "pt"})
    if (loader, change) == ("embedding", a_layer_more):
        pytest.skip("sentence-transformers takes any part of a model; the report of transformers is printed")
    sentence = refused(lambda: LOADERS[loader].load(folder), capfd)
    assert str(folder) in sentence


@pytest.mark.parametrize("silence", [transformers_logging.set_verbosity_error, functools.partial(logging.disable, logging.CRITICAL)])
def test_weights_are_missed_where_libraries_are_silenced(
    silence: Callable[[], None], made: Callable[[str], Path], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "folder"
    shutil.copytree(made("embedding"), folder)
    save_file(a_layer_less(load_file(folder / "model.safetensors")), folder / "model.safetensors", metadata={"format": "pt"})
    verbosity, disabled = transformers_logging.get_verbosity(), logging.root.manager.disable
    silence()
    try:
        refused(lambda: LOADERS["embedding"].load(folder), capfd)
        assert transformers_logging.get_verbosity() in (verbosity, logging.ERROR)
    finally:
        transformers_logging.set_verbosity(verbosity)
        logging.disable(disabled)


def missing(file: Path) -> None:
    file.unlink()


def a_folder(file: Path) -> None:
    file.unlink()
    file.mkdir()


def a_link_to_nothing(file: Path) -> None:
    file.unlink()
    file.symlink_to(file.parent / "nowhere")


def a_pipe(file: Path) -> None:
    file.unlink()
    os.mkfifo(file)


def a_device(file: Path) -> None:
    file.unlink()
    file.symlink_to("/dev/null")


def a_link_to_itself(file: Path) -> None:
    file.unlink()
    file.symlink_to(file)


PLACES: Final = [
    (loader, file, change)
    for loader, file in [
        ("policy", "config.json"),
        ("policy", "model.safetensors"),
        ("policy", "tokenizer.json"),
        ("policy", "value_head.safetensors"),
        ("contract", "tokenizer.json"),
        ("scalar", "model.safetensors"),
        ("classifier", "config.json"),
        ("classifier", "model.safetensors"),
        ("classifier", "tokenizer.json"),
        ("n-gram", "model.safetensors"),
        ("embedding", "model.safetensors"),
        ("embedding", "modules.json"),
        ("adapters", "adapter_model.safetensors"),
    ]
    for change in (missing, a_folder, a_pipe, a_device, a_link_to_nothing, a_link_to_itself)
    # A policy has a value head or none, and sentence-transformers makes modules of a transformers folder.
    if not (change is missing and file in ("value_head.safetensors", "modules.json"))
]


@pytest.mark.parametrize(("loader", "file", "change"), PLACES)
def test_what_is_no_file_is_refused(
    loader: str,
    file: str,
    change: Callable[[Path], None],
    made: Callable[[str], Path],
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    folder = tmp_path / "folder"
    shutil.copytree(made(loader), folder)
    change(folder / file)
    sentence = refused(lambda: LOADERS[loader].load(folder), capfd)
    assert str(folder) in sentence


@pytest.mark.parametrize("loader", ["policy", "contract", "scalar", "classifier", "n-gram"])
def test_a_configuration_is_small(loader: str, made: Callable[[str], Path], tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    shutil.copytree(made(loader), tmp_path / "folder")
    os.truncate(tmp_path / "folder" / "config.json", LARGEST_JSON + 1)
    assert "config.json has more than 67,108,864 bytes" in refused(lambda: LOADERS[loader].load(tmp_path / "folder"), capfd)


@pytest.mark.parametrize("loader", ["policy", "contract", "scalar", "classifier", "n-gram"])
def test_a_file_is_no_folder(loader: str, made: Callable[[str], Path], capfd: pytest.CaptureFixture[str]) -> None:
    file = made(loader) / "config.json"
    assert refused(lambda: LOADERS[loader].load(file), capfd) == f"{file} is a file; give the folder that it is in."


def test_a_pickle_is_not_opened(made: Callable[[str], Path], tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    class Opened:
        def __reduce__(self) -> Any:
            return Path.touch, (tmp_path / "opened",)

    for loader in ("policy", "scalar", "classifier"):
        folder = tmp_path / loader
        shutil.copytree(made(loader), folder)
        (folder / "model.safetensors").unlink()
        (folder / "pytorch_model.bin").write_bytes(pickle.dumps(Opened()))
        refused(functools.partial(LOADERS[loader].load, folder), capfd)
    assert not (tmp_path / "opened").exists()


@pytest.mark.parametrize(
    ("loader", "command"),
    [
        ("policy", "sample {} TextCopy-v0 --n 1"),
        ("policy", "eval {} TextCopy-v0 --episodes 2"),
        ("policy", "train TextCopy-v0 --model {} --out {}/../out"),
        ("classifier", "sample tiny-en TextSentiment-v0 --n 1 --reward {}"),
        ("n-gram", "train TextSentiment-v0 --reward {} --out {}/../out"),
    ],
)
@pytest.mark.parametrize("file", ["config.json", "model.safetensors"])
def test_the_command_line_stops_with_two(
    loader: str, command: str, file: str, made: Callable[[str], Path], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "folder"
    shutil.copytree(made(loader), folder)
    (folder / file).write_bytes((folder / file).read_bytes()[:-20])
    with pytest.raises(SystemExit) as caught:
        cli.main(command.format(folder, folder).split())
    assert caught.value.code == 2
    said = capfd.readouterr()
    assert said.out == ""
    assert len(said.err.splitlines()) == 1, said.err
    assert str(folder / file) in said.err


def test_what_libraries_say_comes_out_if_all_is_well(tmp_path: Path) -> None:
    printed = io.StringIO()
    handler = logging.StreamHandler(printed)
    transformers_logging.add_handler(handler)
    verbosity = transformers_logging.get_verbosity()
    transformers_logging.set_verbosity_warning()
    logger = transformers_logging.get_logger("transformers.somewhere")

    def load(error: Exception | None) -> None:
        with loading("It", tmp_path) as logged:
            logger.warning("mind this")
            warnings.warn("look", UserWarning, stacklevel=1)
            assert logged == ["mind this"]
            assert printed.getvalue() == ""
            if error is not None:
                raise error

    try:
        with warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always")
            with pytest.raises(LoadError, match="broken"):
                load(OSError("broken"))
            assert printed.getvalue() == ""
            assert not warned
            load(None)
        assert printed.getvalue() == "mind this\n"
        assert [str(warning.message) for warning in warned] == ["look"]
        logger.warning("again")
        assert printed.getvalue() == "mind this\nagain\n"
    finally:
        transformers_logging.remove_handler(handler)
        transformers_logging.set_verbosity(verbosity)


def test_other_errors_are_one_line(tmp_path: Path) -> None:
    class PanicException(BaseException):
        """As those of libraries in Rust."""

    def load(error: BaseException) -> None:
        with loading("It", tmp_path):
            raise error

    others = [
        KeyError("x"),
        ValueError("a\nb"),
        PanicException("oh"),
        RecursionError(),
        Exception(),
        OSError(2, "no"),
        ValueError("x " * 999),
    ]
    for error in others:
        with pytest.raises(LoadError, match=r"^It cannot be loaded: .*; save the folder again, or copy it") as caught:
            load(error)
        assert "\n" not in str(caught.value)
    with pytest.raises(ArgumentError, match=r"^said already$"):
        load(ArgumentError("said already"))
    with pytest.raises(KeyboardInterrupt):
        load(KeyboardInterrupt())
    with pytest.raises(LoadError, match=r"install this\.$"):
        load(ImportError("install this"))
    with pytest.raises(LoadError, match=r"too many files\.$"):
        load(OSError(errno.EMFILE, "too many files"))
    with pytest.raises(LoadError, match=r"word \.\.\.; save the folder again"):
        load(ValueError("word " * 999))
    no_room = RuntimeError("[enforce fail at alloc_cpu.cpp:117] DefaultCPUAllocator: can't allocate memory: you tried to allocate 8 bytes.")
    for error in (MemoryError(), torch.OutOfMemoryError("CUDA out of memory"), no_room):
        with pytest.raises(LoadError, match=r"memory that is free; end other programs, or choose a smaller model\.$"):
            load(error)


def newer(config: dict[str, Any]) -> None:
    config["model_type"] = "gpt2000"


def of_its_own_code(config: dict[str, Any]) -> None:
    config["auto_map"] = {f"Auto{kind}": f"own.{kind}" for kind in ("Config", "ModelForCausalLM", "ModelForSequenceClassification")}
    config["model_type"] = "gpt2000"


def of_scores(config: dict[str, Any]) -> None:
    config["model_type"] = "ngram"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (newer, 'has the model_type "gpt2000", which the installed transformers does not know; install a newer one'),
        (of_its_own_code, r"names Python code of its own \(auto_map\), which textenv does not run"),
        (of_scores, "is an n-gram classifier, which only scores texts; it goes where a reward is asked for"),
    ],
)
@pytest.mark.parametrize("loader", ["policy", "scalar", "classifier"])
def test_what_is_whole_is_not_called_damaged_and_nobody_is_asked(
    loader: str,
    change: Callable[[dict[str, Any]], None],
    message: str,
    made: Callable[[str], Path],
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if (loader, change) == ("classifier", of_scores):
        return  # which it then is
    folder = tmp_path / "folder"
    shutil.copytree(made(loader), folder)
    config = json.loads((folder / "config.json").read_text())
    change(config)
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "own.py").write_text("raise SystemExit")
    monkeypatch.setattr("sys.stdin", io.StringIO("y\n"))
    sentence = refused(lambda: LOADERS[loader].load(folder), capfd)
    assert re.search(message, sentence), sentence
    assert "save the folder again" not in sentence
    assert sys.stdin.read() == "y\n"  # nothing was read of it


def test_the_code_of_a_tokenizer_is_not_run_and_nobody_is_asked(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    TOKENIZER.save_pretrained(tmp_path)
    settings = {"tokenizer_class": "OwnTokenizer", "auto_map": {"AutoTokenizer": ["own.OwnTokenizer", None]}}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(settings))
    (tmp_path / "own.py").write_text("raise SystemExit")
    monkeypatch.setattr("sys.stdin", io.StringIO("y\n"))
    assert "Python code of its own" in refused(lambda: load_tokenizer(tmp_path), capfd)
    assert sys.stdin.read() == "y\n"


@pytest.mark.parametrize("error", [None, OSError("broken")])
def test_what_other_threads_warn_of_is_not_withheld(error: Exception | None, tmp_path: Path) -> None:
    def warn() -> None:
        warnings.warn("mine", UserWarning, stacklevel=1)
        warnings.warn_explicit("its own", UserWarning, "/lib/transformers/loading.py", 1)

    def load() -> None:
        with loading("It", tmp_path):
            thread = threading.Thread(target=warn)
            thread.start()
            thread.join()
            assert [str(warning.message) for warning in warned] == ["mine"]  # at once
            if error is not None:
                raise error

    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        with contextlib.suppress(LoadError):
            load()
        assert [str(warning.message) for warning in warned] == ["mine"] + ["its own"] * (error is None)
        warnings.warn("later", UserWarning, stacklevel=1)
        assert str(warned[-1].message) == "later"


def test_bars_of_loading_are_hidden_and_come_back(made: Callable[[str], Path], capfd: pytest.CaptureFixture[str]) -> None:
    folders = {loader: made(loader) for loader in ("policy", "scalar", "classifier", "embedding", "adapters")}
    for downloads in (True, False):
        transformers_logging.enable_progress_bar()
        (enable_progress_bars if downloads else disable_progress_bars)()
        capfd.readouterr()
        for loader, folder in folders.items():
            LOADERS[loader].load(folder)
        assert "Loading weights" not in capfd.readouterr().err
        assert transformers_logging.is_progress_bar_enabled()
        assert are_progress_bars_disabled() is not downloads
    transformers_logging.disable_progress_bar()
    LOADERS["policy"].load(folders["policy"])
    assert not transformers_logging.is_progress_bar_enabled()
    transformers_logging.enable_progress_bar()


def scaled(folder: Path) -> None:
    """Write the weights of a folder again, in files of the same size and time, as a copy that keeps times does."""
    for file in folder.glob("*model.safetensors"):
        stat = file.stat()
        weights = {name: value * 1.5 + 0.01 for name, value in load_file(file).items()}
        with safe_open(file, "pt") as before:
            metadata = before.metadata()
        save_file(weights, file, metadata=metadata)
        os.utime(file, ns=(stat.st_atime_ns, stat.st_mtime_ns))
        assert file.stat().st_size == stat.st_size


@pytest.mark.parametrize("loader", ["policy", "fluency", "scalar", "classifier", "n-gram", "embedding", "adapters"])
def test_a_folder_that_is_written_again_is_loaded_again(loader: str, made: Callable[[str], Path], tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    shutil.copytree(made(loader), folder)
    first = LOADERS[loader].load(folder)
    assert LOADERS[loader].load(folder) == first
    scaled(folder)
    assert LOADERS[loader].load(folder) != first


def test_adapters_are_loaded_again_when_their_base_is_written_again(made: Callable[[str], Path], tmp_path: Path) -> None:
    base, folder = tmp_path / "base", tmp_path / "adapters"
    shutil.copytree(made("policy"), base)
    shutil.copytree(made("adapters"), folder)
    config = json.loads((folder / "adapter_config.json").read_text())
    (folder / "adapter_config.json").write_text(json.dumps({**config, "base_model_name_or_path": str(base)}))
    first = Fluency(str(folder))(**TEXTS)
    assert contract_of(folder).names == ["a", "b", "c", ">", "<|endoftext|>"]
    scaled(base)
    assert Fluency(str(folder))(**TEXTS) != first
    toy_tokenizer("abcd").save_pretrained(base)
    assert contract_of(folder).names == ["a", "b", "c", "d", "<|endoftext|>"]


@pytest.mark.skipif(os.name == "nt", reason="Windows has no umask")
@pytest.mark.parametrize("umask", [0o022, 0o077])
def test_saved_folders_have_the_permissions_of_the_umask(umask: int, tmp_path: Path) -> None:
    policy = LanguagePolicy(toy_causal_lm(TOKENIZER, 8), TOKENIZER)
    add_lora(policy, 2)
    before = os.umask(umask)
    try:
        policy.save_pretrained(tmp_path / "policy")
        ngram_folder(tmp_path / "n-gram")
    finally:
        os.umask(before)
    files = [file for file in tmp_path.rglob("*") if file.is_file()]
    assert {file.name for file in files} >= {"model.safetensors", "value_head.safetensors", "adapter_model.safetensors"}
    assert {file.stat().st_mode & 0o777 for file in files} == {0o666 & ~umask}


@pytest.mark.skipif(os.name == "nt", reason="Windows has no modes")
@pytest.mark.parametrize("make", [policy_folder, classifier_of_ours, ngram_folder], ids=["policy", "reward model", "n-gram"])
def test_the_permissions_of_other_files_stay(make: Callable[[Path], None], tmp_path: Path) -> None:
    folder, elsewhere = tmp_path / "folder", tmp_path / "elsewhere.safetensors"
    theirs = [elsewhere, folder / "mine.safetensors", folder / "model-of-mine.safetensors", folder / "deep" / "model.safetensors"]
    for file in theirs:
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(b"x")
        file.chmod(0o600)
    (folder / "a.safetensors").symlink_to(elsewhere)
    (folder / "b.safetensors").symlink_to("/nowhere/at/all")
    make(folder)
    assert [file.stat().st_mode & 0o777 for file in theirs] == [0o600] * 4
    assert (folder / "model.safetensors").stat().st_mode & 0o044


def test_shards_have_the_permissions_of_other_files(tmp_path: Path) -> None:
    for name in ("model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"):
        (tmp_path / name).touch(0o600)
    (tmp_path / "model.safetensors").mkdir(0o700)
    share_weights(tmp_path)
    assert all(file.stat().st_mode & 0o400 for file in tmp_path.iterdir())
    assert (tmp_path / "model.safetensors").stat().st_mode & 0o777 == 0o700
    assert {file.stat().st_mode & 0o044 for file in tmp_path.glob("model-*")} == {0o044}
