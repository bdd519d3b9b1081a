"""Checkpoints come back to the bit, and there is always a whole one."""

import ast
import json
import os
import pickle
import random
import re
import shutil
import signal
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

import textenv
from textenv.checkpoint import FORMAT, check_global_generators, global_generators, load_state, save_state, set_global_generators
from textenv.errors import LoadError, SaveError
from textenv.files import predecessor


def train(
    model: torch.nn.Module, optimiser: torch.optim.Optimizer, generator: torch.Generator, order: np.random.Generator, steps: int
) -> None:
    for _ in range(steps):
        batch = torch.randn(8, 3, generator=generator)[torch.from_numpy(order.permutation(8))]
        optimiser.zero_grad()
        model(batch).square().sum().backward()
        optimiser.step()


def fresh() -> tuple[torch.nn.Module, torch.optim.Optimizer, torch.Generator, np.random.Generator]:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = torch.nn.Linear(3, 2)
    return model, torch.optim.Adam(model.parameters(), lr=0.01), torch.Generator().manual_seed(1), np.random.default_rng(2)


def test_training_goes_on_to_the_bit(tmp_path: Path) -> None:
    model, optimiser, generator, order = fresh()
    train(model, optimiser, generator, order, 3)
    state = {
        "model": model.state_dict(),
        "optimiser": optimiser.state_dict(),
        "generator": generator.get_state(),
        "order": order.bit_generator.state,
    }
    save_state(tmp_path / "checkpoint", state)
    train(model, optimiser, generator, order, 3)

    other_model, other_optimiser, other_generator, other_order = fresh()
    loaded = load_state(tmp_path / "checkpoint")
    assert loaded["order"] == state["order"]  # numbers of 128 bits
    other_model.load_state_dict(loaded["model"])
    other_optimiser.load_state_dict(loaded["optimiser"])
    other_generator.set_state(loaded["generator"])
    other_order.bit_generator.state = loaded["order"]
    train(other_model, other_optimiser, other_generator, other_order, 3)
    for one, two in zip(model.parameters(), other_model.parameters(), strict=True):
        assert torch.equal(one, two)
    assert order.bit_generator.state == other_order.bit_generator.state


def test_every_kind_of_leaf(tmp_path: Path) -> None:
    shared = torch.arange(6.0).reshape(2, 3)
    state: dict[str, Any] = {
        "tensors": [
            torch.tensor(7),
            torch.tensor([True, False]),
            torch.zeros(0, 2),
            shared.t(),
            shared[0],
            torch.ones(2, dtype=torch.bfloat16),
        ],
        "nested": {0: {"a.b": torch.ones(1), "a": {"b": torch.zeros(1)}}, 1: []},
        "values": [None, True, 3, 0.1, float("inf"), "text", 2**127 + 1],
        "pair": (torch.ones(1), 2),
        "parameter": torch.nn.Parameter(torch.ones(2)),
    }
    save_state(tmp_path / "checkpoint", state)
    loaded = load_state(tmp_path / "checkpoint")
    for one, two in zip(loaded["tensors"], state["tensors"], strict=True):
        assert one.dtype == two.dtype
        assert torch.equal(one, two)
    assert set(loaded["nested"]) == {0, 1}  # integer keys, as in an optimiser's state
    assert loaded["nested"][0]["a"]["b"].item() == 0
    assert loaded["nested"][1] == []
    assert loaded["values"] == state["values"]
    assert torch.equal(loaded["pair"][0], torch.ones(1))
    assert not loaded["parameter"].requires_grad


def test_only_safetensors_and_json_are_written(tmp_path: Path) -> None:
    model, optimiser, generator, order = fresh()
    train(model, optimiser, generator, order, 1)
    save_state(tmp_path / "checkpoint", {"optimiser": optimiser.state_dict()})
    files = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()}
    assert files == {"checkpoint/state.json", "checkpoint/state.safetensors"}
    json.loads((tmp_path / "checkpoint" / "state.json").read_text())
    assert (tmp_path / "checkpoint" / "state.safetensors").read_bytes()[:2] not in (b"PK", b"\x80\x02")  # what torch.save writes


def numbered(step: int) -> dict[str, Any]:
    return {"step": step, "tensor": torch.full((64,), step)}


def test_a_later_checkpoint_takes_the_place(tmp_path: Path) -> None:
    for step in range(3):
        save_state(tmp_path / "checkpoint", numbered(step))
        assert load_state(tmp_path / "checkpoint")["step"] == step
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint"]


def test_the_predecessor_stands_in_for_a_missing_checkpoint(tmp_path: Path) -> None:
    # A kill between the two renamings leaves this.
    folder = tmp_path / "checkpoint"
    save_state(folder, numbered(1))
    folder.rename(predecessor(folder))
    shutil.copytree(predecessor(folder), tmp_path / ".checkpoint.textenv.new")
    assert load_state(folder)["step"] == 1
    save_state(folder, numbered(2))
    assert load_state(folder)["step"] == 2
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint"]


def test_the_predecessor_of_an_earlier_version_counts(tmp_path: Path) -> None:
    folder = tmp_path / "checkpoint"
    save_state(folder, numbered(1))
    folder.rename(tmp_path / "checkpoint.old")
    assert load_state(folder)["step"] == 1
    save_state(folder, numbered(2))
    assert load_state(folder)["step"] == 2


def test_half_written_files_do_not_matter(tmp_path: Path) -> None:
    folder = tmp_path / "checkpoint"
    save_state(folder, numbered(1))
    (tmp_path / ".checkpoint.textenv.new").mkdir()
    (tmp_path / ".checkpoint.textenv.new" / "state.json").write_text('{"st')
    assert load_state(folder)["step"] == 1
    save_state(folder, numbered(2))
    assert load_state(folder)["step"] == 2


def test_without_a_checkpoint_nothing_is_loaded(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"There is no checkpoint .*checkpoint"):
        load_state(tmp_path / "checkpoint")


def test_a_full_disk_keeps_the_last_checkpoint(tmp_path: Path, largest_file: Any) -> None:
    save_state(tmp_path / "checkpoint", numbered(1))
    with largest_file(100), pytest.raises(SaveError, match=r"checkpoint cannot be written: .*File too large"):
        save_state(tmp_path / "checkpoint", numbered(2))
    assert load_state(tmp_path / "checkpoint")["step"] == 1
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint"]


def damaged_json(state: dict[str, Any]) -> str:
    return json.dumps({"format": FORMAT, "state": state})


@pytest.mark.parametrize(
    ("file", "content", "sentence"),
    [
        ("state.json", None, "state.json is missing or no checkpoint's"),
        ("state.json", '{"format": 1, "sta', "state.json is missing or no checkpoint's"),
        ("state.json", "[1]", "state.json is missing or no checkpoint's"),
        ("state.json", '{"__items__": []}', "state.json is missing or no checkpoint's"),
        ("state.json", b"\xff\xfe", "state.json is missing or no checkpoint's"),
        ("state.json", json.dumps({"format": 2, "state": {}}), "state.json has the format 2, but this version of textenv reads 1"),
        ("state.json", damaged_json({"a": 1}), "state.safetensors is missing or damaged: '__items__'"),
        ("state.json", damaged_json({"__tensor__": "state.other"}), "state.safetensors is missing or damaged: 'state.other'"),
        ("state.safetensors", None, "state.safetensors is missing or damaged: .*No such file"),
        ("state.safetensors", b"", "state.safetensors is missing or damaged: .*header"),
        ("state.safetensors", -7, "state.safetensors is missing or damaged: .*incomplete"),
    ],
)
def test_a_damaged_checkpoint_is_refused_by_name(tmp_path: Path, file: str, content: Any, sentence: str) -> None:
    folder = tmp_path / "checkpoint"
    save_state(folder, numbered(1))
    whole = (folder / file).read_bytes()
    (folder / file).unlink()
    if content is not None:
        (folder / file).write_bytes(
            whole[:content] if isinstance(content, int) else content if isinstance(content, bytes) else content.encode()
        )
    with pytest.raises(LoadError, match=f"^{re.escape(str(folder))}/{sentence}") as caught:
        load_state(folder)
    assert re.search("(start anew in another|go on with the one that wrote it)\\.$", str(caught.value))


def test_tensors_of_another_checkpoint_are_refused(tmp_path: Path) -> None:
    save_state(tmp_path / "checkpoint", numbered(1))
    save_file({"theirs": torch.zeros(1)}, tmp_path / "checkpoint" / "state.safetensors")
    with pytest.raises(LoadError, match=r"state\.safetensors is missing or damaged: 'state\.tensor'"):
        load_state(tmp_path / "checkpoint")


@pytest.mark.parametrize("place", [-1, 2**20, 200])
def test_a_bit_that_has_turned_anywhere_is_noticed(place: int, tmp_path: Path) -> None:
    save_state(tmp_path / "checkpoint", {"weights": torch.ones(2**20)})  # 4 MB, of which 1 is read at once
    file = tmp_path / "checkpoint" / "state.safetensors"
    content = bytearray(file.read_bytes())
    content[place] ^= 1
    file.write_bytes(content)
    with pytest.raises(LoadError, match=r"state\.safetensors is missing or damaged: its checksum is not the one in state\.json"):
        load_state(tmp_path / "checkpoint")


class Malice:
    """Unpickled, it makes a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.folder),)


def test_a_pickle_in_place_of_a_file_is_never_run(tmp_path: Path) -> None:
    trap = tmp_path / "trap"
    malice = pickle.dumps(Malice(trap))
    for file in ("state.json", "state.safetensors"):
        save_state(tmp_path / "checkpoint", numbered(1))
        (tmp_path / "checkpoint" / file).write_bytes(malice)
        with pytest.raises(LoadError, match=file):
            load_state(tmp_path / "checkpoint")
    save_state(tmp_path / "checkpoint", numbered(1))
    for file in ("state.pt", "state.pkl", "optimizer.pt", "data.pkl", "state.npy"):
        (tmp_path / "checkpoint" / file).write_bytes(malice)
    assert load_state(tmp_path / "checkpoint")["step"] == 1
    assert not trap.exists()
    pickle.loads(malice)
    assert trap.exists()  # it would have worked


def pickles_loaded(source: str) -> list[str]:
    """List what runs whatever a file says; a copy made of an object at hand by dumps within loads is none of it."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call):
            name = ast.unparse(node.func)
            copied = name == "pickle.loads" and ast.unparse(node.args[0]).startswith("pickle.dumps(")
            loads = re.search(r"^torch\.load$|pickle\.loads?$|Unpickler$|read_pickle$", name) and not copied
            if loads or any(option.arg == "allow_pickle" for option in node.keywords):
                found.append(f"line {node.lineno}: {name}")
        elif isinstance(node, ast.Import | ast.ImportFrom):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module or ""]
            found += [f"line {node.lineno}: {name}" for name in names if re.match("joblib|dill|cloudpickle|shelve|marshal", name)]
    return found


def test_the_package_loads_no_pickle() -> None:
    for line in ("torch.load(f)", "pickle.loads(f.read())", "pd.read_pickle(f)", "np.load(f, allow_pickle=True)", "import joblib"):
        assert pickles_loaded(line)
    found = {file.name: pickles_loaded(file.read_text()) for file in Path(textenv.__file__).parent.rglob("*.py")}
    assert not {file: lines for file, lines in found.items() if lines}


def test_global_generators_go_on(tmp_path: Path) -> None:
    save_state(tmp_path / "checkpoint", global_generators())

    def draw() -> list[float]:
        return [random.random(), random.gauss(), float(np.random.normal()), torch.rand(1).item()]

    ours = global_generators()
    first, second = draw(), draw()
    set_global_generators(load_state(tmp_path / "checkpoint"))
    again = draw()
    set_global_generators(ours)
    assert draw() == again == first != second


def test_generators_that_are_checked_do_not_move() -> None:
    saved = global_generators()
    random.random()
    np.random.rand()
    torch.rand(1)
    present = global_generators()
    check_global_generators(saved)
    for damaged in ({**saved, "torch": saved["torch"][:7]}, {**saved, "numpy": ["other", [], 0]}, {"python": saved["python"]}):
        with pytest.raises(LoadError, match="its global_generators are no such states: "):
            check_global_generators(damaged)
    after = global_generators()
    assert after["python"] == present["python"] != saved["python"]
    assert after["numpy"] == present["numpy"] != saved["numpy"]
    assert torch.equal(after["torch"], present["torch"])
    assert not torch.equal(after["torch"], saved["torch"])


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_kill_at_any_moment_leaves_a_whole_checkpoint(tmp_path: Path) -> None:
    folder = tmp_path / "checkpoint"
    save_state(folder, numbered(0))
    for trial in range(12):
        child = os.fork()
        if child == 0:
            try:
                for step in range(1, 100_000):
                    save_state(folder, numbered(step))
            finally:
                os._exit(1)
        time.sleep(0.02 + 0.003 * trial)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        state = load_state(folder)
        assert torch.equal(state["tensor"], numbered(state["step"])["tensor"])
    assert load_state(folder)["step"] > 0


def test_what_an_earlier_version_left_is_removed_by_a_save(tmp_path: Path) -> None:
    folder = tmp_path / "checkpoint"
    for end in ("old", "new"):
        save_state(folder, numbered(1))
        folder.rename(tmp_path / f"checkpoint.{end}")
    save_state(folder, numbered(2))
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint"]


@pytest.mark.parametrize("end", ["old", "new"])
def test_what_may_be_anything_else_is_not_removed(end: str, tmp_path: Path) -> None:
    folder, beside = tmp_path / "checkpoint", tmp_path / f"checkpoint.{end}"
    save_state(tmp_path / "mine", numbered(1))
    save_state(folder, numbered(1))
    beside.symlink_to(tmp_path / "mine")
    save_state(folder, numbered(2))
    assert beside.is_symlink()
    assert load_state(tmp_path / "mine")["step"] == 1
    beside.unlink()
    beside.mkdir()
    (beside / "notes.txt").write_text("mine")
    save_state(folder, numbered(3))
    assert (beside / "notes.txt").read_text() == "mine"
    shutil.rmtree(beside)
    beside.write_text("mine")
    save_state(folder, numbered(4))
    assert beside.read_text() == "mine"


@pytest.mark.parametrize("newest", ["checkpoint.old", ".checkpoint.textenv.old"])
def test_of_two_predecessors_the_newer_counts(newest: str, tmp_path: Path) -> None:
    folder, names = tmp_path / "checkpoint", ["checkpoint.old", ".checkpoint.textenv.old"]
    for step, name in enumerate(sorted(names, key=lambda name: name == newest)):
        save_state(tmp_path / f"made-{step}", numbered(step))
        (tmp_path / f"made-{step}").rename(tmp_path / name)
        os.utime(tmp_path / name, (step, step))
    assert load_state(folder)["step"] == 1
