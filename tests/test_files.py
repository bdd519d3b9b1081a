"""What is replaced is whole at every moment, and what goes wrong is one sentence."""

import contextlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from textenv.errors import SaveError
from textenv.files import replacing, saving, set_usual_permissions, sync

Limit = Callable[[int], contextlib.AbstractContextManager[None]]


def test_a_file_is_the_old_one_until_the_new_one_is_whole(tmp_path: Path) -> None:
    file = tmp_path / "file.txt"
    (tmp_path / "file.txt.new").write_text("left over")
    for text in ("first", "second"):
        with replacing(file) as new:
            assert not new.exists()
            new.write_text(text)
            assert file.exists() is (text == "second")
        assert file.read_text() == text
    assert list(tmp_path.iterdir()) == [file]


def test_a_folder_is_replaced_with_all_its_files(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    for name in ("folder.new", "folder.old"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "left over").touch()
    for text in ("first", "second"):
        with replacing(folder) as new:
            (new / "deep").mkdir(parents=True)
            (new / "deep" / text).write_text(text)
        assert [path.name for path in folder.rglob("*")] == ["deep", text]
    assert list(tmp_path.iterdir()) == [folder]


@pytest.mark.skipif(os.name == "nt", reason="Windows has no umask")
@pytest.mark.parametrize("umask", [0o022, 0o077, 0o002])
def test_tensors_have_the_permissions_of_other_files(umask: int, tmp_path: Path) -> None:
    def write(folder: Path) -> None:
        (folder / "deep").mkdir(parents=True)
        (folder / "text").touch()
        save_file({"a": torch.ones(1)}, folder / "deep" / "a.safetensors")

    before = os.umask(umask)
    try:
        with replacing(tmp_path / "folder") as new:
            write(new)
        with replacing(tmp_path / "b.safetensors") as new:
            save_file({"a": torch.ones(1)}, new)
        write(tmp_path / "other")
        set_usual_permissions(tmp_path / "other")
        assert os.umask(umask) == umask  # read, and left
    finally:
        os.umask(before)
    modes = {file.stat().st_mode & 0o777 for file in tmp_path.rglob("*") if file.is_file()}
    assert modes == {0o666 & ~umask}


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs /proc to name what is synced")
def test_all_is_on_the_disk_before_it_is_renamed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    events: list[str] = []

    def note(name: str, real: Callable[..., Any], *args: Any, **options: Any) -> Any:
        target = Path(f"/proc/self/fd/{args[0]}").resolve() if name == "fsync" else Path(args[0])
        if target.is_relative_to(tmp_path):
            events.append(f"{name} {target.name}")
        return real(*args, **options)

    for name in ("fsync", "rename", "replace"):
        real = getattr(os, name)
        monkeypatch.setattr(os, name, lambda *args, _name=name, _real=real, **options: note(_name, _real, *args, **options))
    with replacing(folder) as new:
        new.mkdir()
        (new / "file").touch()
    assert events == ["fsync file", "fsync folder.new", "rename folder", "replace folder.new", f"fsync {tmp_path.name}"]


def test_a_full_disk_leaves_what_was_there(tmp_path: Path, largest_file: Limit) -> None:
    file, folder = tmp_path / "file", tmp_path / "folder"
    file.write_text("old")
    folder.mkdir()

    def write_folder() -> None:
        with replacing(folder) as new:
            new.mkdir()
            save_file({"x": torch.zeros(1000)}, new / "x.safetensors")

    sentence = r"file cannot be written: File too large; once it can, go on from the last checkpoint\.$"
    with largest_file(1000):
        with pytest.raises(SaveError, match=sentence), replacing(file) as new:
            new.write_text("x" * 2000)
        with pytest.raises(SaveError, match=r"folder cannot be written: .*File too large"):
            write_folder()
    assert file.read_text() == "old"
    assert sorted(tmp_path.iterdir()) == [file, folder]
    assert not list(folder.iterdir())


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_no_space_left_is_said(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("/dev/full")
    with pytest.raises(SaveError, match="link cannot be written: No space left on device"), saving(tmp_path / "link"):
        (tmp_path / "link").write_text("x")


def test_other_errors_pass(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), replacing(tmp_path / "file") as new:
        new.write_text(str(1 / 0))
    assert not (tmp_path / "file").exists()


def test_sync_needs_something_to_sync(tmp_path: Path) -> None:
    sync(tmp_path)
    with pytest.raises(FileNotFoundError):
        sync(tmp_path / "nothing")
