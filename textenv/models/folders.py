"""Folders of models: what is damaged in one is refused in one sentence, and what libraries print about it is not.

Every loader of a model, a tokenizer or a reward loads within `loading`.
"""

import contextlib
import errno
import logging
import os
import re
import stat
import threading
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

from huggingface_hub.utils.tqdm import are_progress_bars_disabled, disable_progress_bars
from safetensors import safe_open
from transformers.utils import logging as transformers_logging

from textenv.errors import LoadError, TextenvError
from textenv.files import read_json as any_json
from textenv.files import set_usual_permissions

_CURE: Final = "save the folder again, or copy it again from where it is whole"
_LONGEST_REASON: Final = 300
"""Characters of another library's message."""
_LOGGERS: Final = ("transformers", "huggingface_hub", "sentence_transformers", "peft")
_LIBRARIES: Final = frozenset({*_LOGGERS, "torch", "safetensors"})
"""Folders of modules whose warnings are about the loading, in whatever thread."""


@contextlib.contextmanager
def loading(what: str, place: str | Path) -> Iterator[list[str]]:
    """Turn whatever goes wrong while a folder is loaded into one sentence.

    The files whose damage libraries report badly, or not at all, are checked first. What libraries log and warn
    meanwhile is withheld until the block ends and comes out only if it ends well. Bars of loading are hidden, but for
    a hub id, of which there may be something to download.

    Args:
        what: is loaded, as the sentence begins: "The model tiny-en".
        place: a folder or a hub id.

    Yields:
        What libraries have logged so far.

    Raises:
        LoadError: naming the file where that is known.
    """
    try:
        check_files(place)
        # A hub id may have to be downloaded, which should be seen.
        bars = without_bars() if os.path.isdir(place) else contextlib.nullcontext()
        with _withheld() as logged, bars:
            yield logged
    except _Damage as damage:
        raise LoadError(f"{what} cannot be loaded: {damage}; {_CURE}.") from damage
    except TextenvError:
        raise
    except BaseException as error:
        # What breaks in a library that is written in Rust is no Exception.
        if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
            raise
        raise LoadError(f"{what} cannot be loaded: {_reason(error, Path(place))}") from error


class _Damage(Exception):
    """A file that is not what its name says."""


def check_files(place: str | Path) -> None:
    """Raise an exception that names the first damaged file of a folder: its small JSON files and the headers of its weights.

    A hub id has no files to be checked. Call it within `loading`.
    """
    folder = Path(place)
    for name, kind in _KINDS.items():
        if os.path.lexists(folder / name):  # a link to nothing too
            content = read_json(folder / name, kind)
            if name == "config.json":
                _check_layers(folder / name, content)
    if os.path.lexists(folder / "tokenizer.json"):  # as large as to be read once only
        _try(folder / "tokenizer.json", lambda file: None)
    for file in sorted(folder.glob("*.safetensors")):
        _try(file, _read_header)


def _check_layers(file: Path, config: dict[str, Any]) -> None:
    """Refuse so many layers that to make them, before any is compared with the weights, would not end."""
    for name, value in config.items():
        if "layer" in name and type(value) is int and value > _MOST_LAYERS:
            raise _Damage(f"{file} asks for {str(value)[:20]} layers ({name})")


_MOST_LAYERS: Final = 10_000
_KINDS: Final[dict[str, type]] = {
    "config.json": dict,
    "generation_config.json": dict,
    "tokenizer_config.json": dict,
    "special_tokens_map.json": dict,
    "added_tokens.json": dict,
    "adapter_config.json": dict,
    "model.safetensors.index.json": dict,
    "pytorch_model.bin.index.json": dict,
    "config_sentence_transformers.json": dict,
    "sentence_bert_config.json": dict,
    "modules.json": list,
}
"""Small files of a folder, and what their JSON is."""


def read_json(file: Path, kind: type = dict) -> Any:
    """Read a JSON file that holds an object, or a list. Call it within `loading`, which turns what it raises into a sentence."""
    content = _try(file, any_json)
    if not isinstance(content, kind):
        raise _Damage(f"{file} holds {_JSON[type(content)]} where there should be {_JSON[kind]}")
    return content


_JSON: Final[dict[type, str]] = {
    dict: "an object {...}",
    list: "a list",
    str: "a string",
    int: "a number",
    float: "a number",
    bool: "true or false",
    type(None): "null",
}


def _try(file: Path, read: Callable[[Path], Any]) -> Any:
    """Read a file, and say what is wrong with it."""
    try:
        status = file.stat()
        if not stat.S_ISREG(status.st_mode):  # a pipe or a device might never end
            raise _Damage(f"{file} is no plain file")
        if not status.st_size:
            raise _Damage(f"{file} is empty")
        return read(file)
    except OSError as error:
        raise _Damage(f"{file} cannot be read ({error.strerror or error})") from error
    except ValueError as error:
        raise _Damage(f"{file} is cut or damaged, for it is no JSON ({error})") from error


def _read_header(file: Path) -> None:
    """Read the names and sizes of tensors, which must fit the size of their file."""
    try:
        safe_open(file, "numpy").keys()
    except OSError:
        raise
    except Exception as error:  # of more kinds than the library documents, by what is damaged
        raise _Damage(f"{file} is cut or damaged, for it holds no tensors ({_one_line(error)})") from error


def _reason(error: BaseException, folder: Path) -> str:
    """Say what went wrong; where the largest JSON file is damaged, whose content is checked only now, that is it."""
    for pattern, reason in _NO_DAMAGE.items():
        if match := re.search(pattern, f"{type(error).__name__}: {error}"):
            return f"{reason.format(*match.groups())}."
    if os.path.exists(folder / "tokenizer.json"):
        try:
            read_json(folder / "tokenizer.json")
        except _Damage as damage:
            return f"{damage}; {_CURE}."
    of_the_machine = isinstance(error, OSError) and error.errno not in (None, errno.ENOENT)
    if isinstance(error, ImportError) or of_the_machine or not os.path.isdir(folder):
        return f"{_one_line(error)}."
    return f"{_one_line(error)}; {_CURE}."


_NO_DAMAGE: Final = {
    "trust_remote_code": "its configuration names Python code of its own (auto_map), which textenv does not run; "
    "choose a model that transformers itself has",
    "model type `ngram` but": "it is an n-gram classifier, which only scores texts; it goes where a reward is asked for",
    "model type `([^`]*)` but": 'its config.json has the model_type "{}", which the installed transformers does not know; '
    "install a newer one, pip install --upgrade transformers",
    "MemoryError|can't allocate memory|not enough memory|Cannot allocate memory": "it does not fit into the memory that is free; "
    "end other programs, or choose a smaller model",
}
"""What the exceptions of libraries say about folders that are whole, and what is said instead."""


def _one_line(error: BaseException) -> str:
    text = " ".join(str(error).split()).rstrip(".")
    name = type(error).__name__
    # A KeyError or a TypeError says little without its name, an error of textenv or of a library of models all.
    if type(error).__module__ == "builtins" and not isinstance(error, OSError | ValueError | RuntimeError | ImportError | Warning):
        text = f"{name}: {text}"
    if len(text) <= _LONGEST_REASON:
        return text or name
    cut = text[:_LONGEST_REASON]
    return f"{cut.rpartition(' ')[0] or cut} ..."


@contextlib.contextmanager
def _withheld() -> Iterator[list[str]]:
    """Keep back what libraries log and warn; after a block that ends well it comes out."""
    logged: list[str] = []
    held: list[tuple[logging.Handler, logging.LogRecord]] = []
    loggers = [logging.getLogger(name) for name in ("", *_LOGGERS)]
    handlers = {handler for logger in loggers for handler in logger.handlers}
    if logging.lastResort is not None:
        handlers.add(logging.lastResort)
    with _one_at_a_time, contextlib.ExitStack() as stack:
        for handler in handlers:
            keep = _keeper(handler, logged, held)
            handler.addFilter(keep)
            stack.callback(handler.removeFilter, keep)
        for logger in loggers[1:]:  # what tells of missing weights must come here even where it is not to be shown
            stack.callback(logger.setLevel, logger.level)
            logger.setLevel(min(logger.getEffectiveLevel(), logging.WARNING))
        stack.callback(logging.disable, logging.root.manager.disable)
        logging.disable(logging.NOTSET)
        show, own, warned = warnings.showwarning, threading.get_ident(), list[tuple[Any, ...]]()
        stack.enter_context(warnings.catch_warnings())  # which puts back what shows warnings

        def keep_warning(message: Any, category: Any, filename: str, lineno: int, file: Any = None, line: Any = None) -> None:
            # Libraries load in threads of their own too; what else other threads warn of is no part of the loading.
            if threading.get_ident() == own or not _LIBRARIES.isdisjoint(Path(filename).parts):
                warned.append((message, category, filename, lineno, file, line))
            else:
                show(message, category, filename, lineno, file, line)

        warnings.showwarning = keep_warning
        yield logged
    for handler, record in held:
        if logging.getLogger(record.name).isEnabledFor(record.levelno):
            handler.handle(record)
    for warning in warned:
        warnings.showwarning(*warning)


_one_at_a_time: Final = threading.RLock()
"""Warnings are kept back for the whole process, and two threads would each put back what the other had put there."""


def _keeper(
    handler: logging.Handler, logged: list[str], held: list[tuple[logging.Handler, logging.LogRecord]]
) -> Callable[[logging.LogRecord], bool]:
    """Make a filter of a handler that lets nothing of the libraries through and keeps it."""

    def keep(record: logging.LogRecord) -> bool:
        if record.name.split(".")[0] not in _LOGGERS:
            return True
        if not any(record is other for _, other in held):  # another handler has seen it
            logged.append(record.getMessage())
        held.append((handler, record))
        return False

    return keep


def share_weights(folder: Path) -> None:
    """Give the weights that `save_pretrained` has just written into a folder the permissions of other files.

    The folder may hold files of others, whose permissions stay.
    """
    for file in folder.iterdir():
        if _WEIGHTS.fullmatch(file.name):
            set_usual_permissions(file)


_WEIGHTS: Final = re.compile(r"model(-\d{5}-of-\d{5})?\.safetensors")
"""Names of transformers, which removes the shards that an earlier model left."""


@contextlib.contextmanager
def without_bars() -> Iterator[None]:
    """Hide the bars that transformers draws while it loads or saves weights."""
    if not transformers_logging.is_progress_bar_enabled():
        yield
        return
    without_downloads = are_progress_bars_disabled()
    transformers_logging.disable_progress_bar()
    try:
        yield
    finally:
        transformers_logging.enable_progress_bar()
        if without_downloads:  # which transformers has enabled too
            disable_progress_bars()
