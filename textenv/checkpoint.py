"""Training states on disk: tensors as safetensors, everything else as JSON, written atomically.

A state is a tree of dicts and lists whose leaves are tensors or JSON values, such as an optimiser's
`state_dict()`. No pickle is written or read.
"""

import json
import os
import shutil
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

_TENSOR = "__tensor__"


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
    """Replace `folder` by a checkpoint of `state`.

    The new checkpoint is written beside the old one and synced before it takes its place, so that at
    every moment either `folder` or `folder` with the suffix `.old` is whole.
    """
    new, old = folder.with_name(folder.name + ".new"), folder.with_name(folder.name + ".old")
    shutil.rmtree(new, ignore_errors=True)
    new.mkdir(parents=True)
    tensors: dict[str, torch.Tensor] = {}
    tree = _split(state, "state", tensors)
    save_file(tensors, new / "state.safetensors")
    (new / "state.json").write_text(json.dumps(tree))
    for file in new.iterdir():
        with file.open("r+b") as handle:
            os.fsync(handle.fileno())
    if folder.exists():
        shutil.rmtree(old, ignore_errors=True)
        folder.rename(old)
    new.rename(folder)
    shutil.rmtree(old, ignore_errors=True)


def load_state(folder: Path) -> dict[str, Any]:
    """Read what `save_state` wrote.

    Raises:
        FileNotFoundError: neither the checkpoint nor its predecessor is there.
    """
    old = folder.with_name(folder.name + ".old")
    folder = folder if folder.exists() else old
    tensors = load_file(folder / "state.safetensors")
    state: dict[str, Any] = _join(json.loads((folder / "state.json").read_text()), tensors)
    return state
