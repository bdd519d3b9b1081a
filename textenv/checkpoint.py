"""Training states on disk: tensors as safetensors, everything else as JSON, written atomically.

A state is a tree of dicts and lists whose leaves are tensors or JSON values, such as an optimiser's
`state_dict()`. No pickle is written or read.
"""

import json
import random
import shutil
import zlib
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from textenv.errors import LoadError
from textenv.files import open_plain, predecessor, read_json, replacing, saving

FORMAT: Final = 1
"""Of `state.json`; a later one that this version cannot read has a higher number."""

_TENSOR = "__tensor__"
_CHUNK: Final = 2**20  # bytes that are read at once


def _split(node: Any, path: str, tensors: dict[str, torch.Tensor]) -> Any:
    if isinstance(node, torch.Tensor):
        tensors[path] = node.detach().cpu().contiguous().clone()
        return {_TENSOR: path}
    if isinstance(node, dict):
        # JSON keys are strings; optimiser states have integer keys, so keys travel as values.
        return {"__items__": [[key, _split(value, f"{path}.{key}", tensors)] for key, value in node.items()]}
    if isinstance(node, list | tuple):
        return [_split(value, f"{path}.{index}", tensors) for index, value in enumerate(node)]
    return node


def _join(node: Any, tensors: dict[str, torch.Tensor]) -> Any:
    if isinstance(node, dict):
        if _TENSOR in node:
            return tensors[node[_TENSOR]]
        return {key: _join(value, tensors) for key, value in node["__items__"]}
    if isinstance(node, list):
        return [_join(value, tensors) for value in node]
    return node


def save_state(folder: Path, state: dict[str, Any]) -> None:
    """Replace `folder` by a checkpoint of `state`, as `textenv.files.replacing` does.

    `state.json` holds a checksum of the tensors' file, which is compared when it is read.

    Raises:
        SaveError: it cannot be written; the checkpoint that was there is kept.
    """
    tensors: dict[str, torch.Tensor] = {}
    tree = _split(state, "state", tensors)
    with replacing(folder) as new:
        new.mkdir(parents=True)
        file = new / "state.safetensors"
        save_file(tensors, file)
        content = {"format": FORMAT, "crc32": _checksum(file), "state": tree}
        (new / "state.json").write_text(json.dumps(content))
    with saving(folder):
        _remove_earlier(folder)


def _remove_earlier(folder: Path) -> None:
    """Remove the checkpoints that a death of an earlier version left beside this one, and nothing that can be anything else."""
    for place in (_earlier(folder), folder.with_name(folder.name + ".new")):
        if place.is_dir() and not place.is_symlink() and (place / "state.json").is_file():
            shutil.rmtree(place)


def _earlier(folder: Path) -> Path:
    """Return where earlier versions kept a checkpoint while another took its place."""
    return folder.with_name(folder.name + ".old")


def load_state(folder: Path) -> dict[str, Any]:
    """Read what `save_state` wrote.

    Raises:
        FileNotFoundError: neither the checkpoint nor its predecessor is there.
        LoadError: a file of it is missing, damaged, or written by a later version.
    """
    place = _place(folder)
    content = _read_content(place / "state.json")
    file = place / "state.safetensors"
    try:
        checksum = _checksum(file)
        state = _join(content["state"], load_file(file))
        if content.get("crc32", checksum) != checksum:  # earlier versions wrote none
            raise ValueError("its checksum is not the one in state.json")
        if not isinstance(state, dict):
            raise TypeError(f"the state is {type(state).__name__}")
    except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
        raise LoadError(f"{file} is missing or damaged: {error}; restore the folder from a copy, or start anew in another.") from error
    return state


def read_values(folder: Path) -> dict[str, Any]:
    """Read the JSON values of a checkpoint, such as its counters, and none of its tensors.

    Raises:
        FileNotFoundError: neither the checkpoint nor its predecessor is there.
        LoadError: the JSON file of it is missing, damaged, or written by a later version.
    """
    file = _place(folder) / "state.json"
    try:
        items = _read_content(file)["state"]["__items__"]
        return {name: value for name, value in items if not isinstance(value, dict | list)}
    except (TypeError, KeyError, ValueError) as error:
        raise LoadError(f"{file} is no checkpoint's: {error}; restore the folder from a copy, or start anew in another.") from error


def _place(folder: Path) -> Path:
    """Return where a checkpoint is, or where its predecessor is while it is replaced."""
    if folder.is_symlink() or folder.exists():
        return folder
    places = (predecessor(folder), _earlier(folder))
    present = [place for place in places if place.is_symlink() or place.exists()]
    if not present:
        raise FileNotFoundError(f"There is no checkpoint {folder}.")
    return max(present, key=lambda place: place.lstat().st_mtime_ns)  # the versions may have taken turns


def _read_content(file: Path) -> dict[str, Any]:
    try:
        content = read_json(file)
        version, _ = content["format"], content["state"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise LoadError(f"{file} is missing or no checkpoint's; restore the folder from a copy, or start anew in another.") from error
    if version != FORMAT:
        raise LoadError(f"{file} has the format {version!r}, but this version of textenv reads {FORMAT}; go on with the one that wrote it.")
    return dict(content)


def _checksum(file: Path) -> int:
    """Compute the CRC-32 of a file, which finds damage but no forgery: 10 ms for 25 MB."""
    checksum = 0
    with open_plain(file) as handle:
        while chunk := handle.read(_CHUNK):
            checksum = zlib.crc32(chunk, checksum)
    return checksum


def global_generators() -> dict[str, Any]:
    """Return the states of the global generators of Python, NumPy and torch's CPU, from which a reward may draw."""
    name, keys, *rest = np.random.get_state()
    return {"python": random.getstate(), "numpy": [name, np.asarray(keys).tolist(), *rest], "torch": torch.get_rng_state()}


def set_global_generators(states: dict[str, Any]) -> None:
    """Go on from what `global_generators` returned, which may have been saved as a state."""
    version, internal, gauss = states["python"]
    random.setstate((version, tuple(internal), gauss))
    np.random.set_state(tuple(states["numpy"]))
    torch.set_rng_state(states["torch"])


def check_global_generators(states: dict[str, Any]) -> None:
    """Make sure that `set_global_generators` takes these states, and leave the generators alone.

    Raises:
        LoadError: it does not.
    """
    present = global_generators()
    try:
        set_global_generators(states)
    except (KeyError, TypeError, ValueError, RuntimeError, AttributeError, OverflowError) as error:
        raise LoadError(f"its global_generators are no such states: {error}") from error
    finally:
        set_global_generators(present)
