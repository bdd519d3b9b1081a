"""What is replaced is whole at every moment, and what goes wrong is one sentence."""

import contextlib
import errno
import json
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from textenv import files
from textenv.errors import ArgumentError, LoadError, SaveError
from textenv.files import (
    LARGEST_JSON,
    LOCK,
    FolderLock,
    check_unlocked,
    is_empty,
    own_folder,
    read_json,
    read_plain,
    replacing,
    saving,
    set_usual_permissions,
    sync,
)

Limit = Callable[[int], contextlib.AbstractContextManager[None]]


def test_a_file_is_the_old_one_until_the_new_one_is_whole(tmp_path: Path) -> None:
    file = tmp_path / "file.txt"
    (tmp_path / ".file.txt.textenv.new").write_text("left over")
    for text in ("first", "second"):
        with replacing(file) as new:
            assert not new.exists()
            new.write_text(text)
            assert file.exists() is (text == "second")
        assert file.read_text() == text
    assert list(tmp_path.iterdir()) == [file]


def test_a_folder_is_replaced_with_all_its_files(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    for name in (".folder.textenv.new", ".folder.textenv.old"):
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


@pytest.mark.skipif(os.name == "nt", reason="Windows has no modes")
def test_what_a_link_leads_to_keeps_its_permissions(tmp_path: Path) -> None:
    theirs, folder = tmp_path / "theirs", tmp_path / "folder"
    for place in (theirs, folder, folder / "deep.safetensors"):
        place.mkdir(0o700)
    (theirs / "a.safetensors").touch(0o600)
    (folder / "a.safetensors").symlink_to(theirs / "a.safetensors")
    (folder / "b.safetensors").symlink_to("nowhere")
    (folder / "c").symlink_to(theirs)
    for path in (folder, folder / "a.safetensors", folder / "b.safetensors"):
        set_usual_permissions(path)
    assert (theirs / "a.safetensors").stat().st_mode & 0o777 == 0o600
    assert (folder / "deep.safetensors").stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("end", ["new", "old", "backup"])
def test_what_somebody_else_put_beside_it_stays(end: str, tmp_path: Path) -> None:
    for name in ("file", "folder"):
        (tmp_path / f"{name}.{end}").mkdir()
        (tmp_path / f"{name}.{end}" / "mine").touch()
    for _ in range(2):
        with replacing(tmp_path / "file") as new:
            new.touch()
        with replacing(tmp_path / "folder") as new:
            new.mkdir()
    assert {path.name for path in tmp_path.iterdir()} == {"file", "folder", f"file.{end}", f"folder.{end}"}
    assert (tmp_path / f"folder.{end}" / "mine").exists()


def test_a_file_never_takes_the_place_of_a_folder(tmp_path: Path) -> None:
    (tmp_path / "folder" / "mine").mkdir(parents=True)
    with pytest.raises(SaveError, match="folder cannot be written: Is a directory"), replacing(tmp_path / "folder") as new:
        new.touch()
    assert (tmp_path / "folder" / "mine").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


@pytest.mark.parametrize("leads_to", ["folder", "file", "nothing"])
def test_a_link_is_replaced_and_what_it_leads_to_stays(leads_to: str, tmp_path: Path) -> None:
    theirs, place = tmp_path / "theirs", tmp_path / "mine"
    place.mkdir()
    if leads_to == "folder":
        (theirs / "deep").mkdir(parents=True)
    elif leads_to == "file":
        theirs.write_text("theirs")
    for path in ("made", ".made.textenv.new", ".made.textenv.old"):
        (place / path).symlink_to(theirs)
    for _ in range(2):
        with replacing(place / "made") as new:
            new.mkdir()
            (new / "inside").touch()
    (place / "file").symlink_to(theirs)
    with replacing(place / "file") as new:
        new.write_text("ours")
    assert {path.name for path in place.rglob("*")} == {"made", "inside", "file"}
    assert not any(path.is_symlink() for path in place.iterdir())
    assert {"folder": [theirs / "deep"], "file": [], "nothing": []}[leads_to] == list(theirs.rglob("*"))
    assert leads_to != "file" or theirs.read_text() == "theirs"


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
    place = ".folder.textenv.new"
    assert events == ["fsync file", f"fsync {place}", "rename folder", f"replace {place}", f"fsync {tmp_path.name}"]


def test_a_full_disk_leaves_what_was_there(tmp_path: Path, largest_file: Limit) -> None:
    file, folder = tmp_path / "file", tmp_path / "folder"
    file.write_text("old")
    folder.mkdir()

    def write_folder() -> None:
        with replacing(folder) as new:
            new.mkdir()
            save_file({"x": torch.zeros(1000)}, new / "x.safetensors")

    sentence = r"file cannot be written: File too large; once it can, try again\.$"
    with largest_file(1000):
        with pytest.raises(SaveError, match=sentence), replacing(file) as new:
            new.write_text("x" * 2000)
        with pytest.raises(SaveError, match=r"folder cannot be written: .*File too large"):
            write_folder()
    assert file.read_text() == "old"
    assert sorted(tmp_path.iterdir()) == [file, folder]
    assert not list(folder.iterdir())


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_folder_that_cannot_be_renamed_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "old").touch()

    def fails(*names: object) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr("os.replace", fails)  # a real disk fails seldom at this moment
    with pytest.raises(SaveError, match="folder cannot be written: Input/output error"), replacing(tmp_path / "folder") as new:
        new.mkdir()
    assert [path.name for path in tmp_path.rglob("*")] == ["folder", "old"]


def test_no_space_left_is_said(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("/dev/full")
    with pytest.raises(SaveError, match="link cannot be written: No space left on device"), saving(tmp_path / "link"):
        (tmp_path / "link").write_text("x")


def test_other_errors_pass(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), replacing(tmp_path / "file") as new:
        new.write_text(str(1 / 0))
    assert not list(tmp_path.iterdir())


def test_sync_needs_something_to_sync(tmp_path: Path) -> None:
    sync(tmp_path)
    with pytest.raises(FileNotFoundError):
        sync(tmp_path / "nothing")


def test_a_sentence_is_not_said_twice(tmp_path: Path) -> None:
    with pytest.raises(LoadError, match=r"^damaged$"), saving(tmp_path):
        raise LoadError("damaged")


def test_only_plain_json_is_read(tmp_path: Path) -> None:
    file = tmp_path / "file.json"
    contents: list[Any] = [{"a": [1, {"b": None}]}, [], "text", 1.5]
    for content in contents:
        file.write_text(json.dumps(content))
        assert read_json(file) == content
    for text in ("[" * 900 + "]" * 900, '{"a":' * 900 + "1" + "}" * 900, "[" * 100_000 + "]" * 100_000):
        file.write_text(text)
        with pytest.raises(ValueError, match="nested more than 100 deep"):
            read_json(file)
    file.write_bytes(b'"\xff"')
    with pytest.raises(ValueError, match="codec"):
        read_json(file)
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "link").symlink_to("/dev/zero")
    for name in ("fifo", "link", "."):
        with pytest.raises(OSError, match="is no plain file"):
            read_json(tmp_path / name)
    file.write_text("[1]")
    (tmp_path / "alias").symlink_to(file)
    assert read_json(tmp_path / "alias") == [1]


needs_locks = pytest.mark.skipif(os.name == "nt", reason="Windows has no flock")


@needs_locks
def test_a_folder_has_one_writer(tmp_path: Path) -> None:
    check_unlocked(tmp_path)
    assert not list(tmp_path.iterdir())
    lock = FolderLock(tmp_path)
    assert is_empty(tmp_path)
    for attempt in (FolderLock, check_unlocked):
        with pytest.raises(ArgumentError, match=f"^{tmp_path} is being written by this process; wait until it ends or stop it, or choose"):
            attempt(tmp_path)
    lock.check()
    lock.release()
    lock.release()
    assert not list(tmp_path.iterdir())
    check_unlocked(tmp_path)
    with FolderLock(tmp_path) as again:
        again.check()
    assert not list(tmp_path.iterdir())


@needs_locks
def test_what_a_killed_process_left_is_no_lock(tmp_path: Path) -> None:
    (tmp_path / LOCK).write_text("4711 elsewhere\n")
    check_unlocked(tmp_path)
    with FolderLock(tmp_path):
        assert (tmp_path / LOCK).read_text().split()[0] == str(os.getpid())


@needs_locks
def test_a_copy_of_a_locked_folder_is_free(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    with FolderLock(tmp_path / "one"):
        shutil.copytree(tmp_path / "one", tmp_path / "two")
        check_unlocked(tmp_path / "two")
        with FolderLock(tmp_path / "two") as copy:
            copy.check()


@needs_locks
@pytest.mark.parametrize("kind", ["link", "fifo", "folder"])
def test_a_lock_is_a_plain_file(kind: str, tmp_path: Path) -> None:
    (tmp_path / "theirs").write_text("theirs")
    if kind == "link":
        (tmp_path / LOCK).symlink_to(tmp_path / "theirs")
    elif kind == "fifo":
        os.mkfifo(tmp_path / LOCK)
    else:
        (tmp_path / LOCK).mkdir()
    check_unlocked(tmp_path)
    with pytest.raises(SaveError, match="cannot be written: "):
        FolderLock(tmp_path)
    assert (tmp_path / "theirs").read_text() == "theirs"


@needs_locks
@pytest.mark.parametrize("what", ["deleted", "moved", "replaced", "unlocked"])
def test_a_lock_notices_that_its_folder_is_gone(what: str, tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    lock = FolderLock(folder)
    if what == "unlocked":
        (folder / LOCK).unlink()
    elif what == "moved":
        folder.rename(tmp_path / "elsewhere")
    else:
        shutil.rmtree(folder)
    if what == "replaced":
        folder.mkdir()
    other = FolderLock(folder) if what == "replaced" else None
    with pytest.raises(SaveError, match="folder was moved or deleted while it was written"):
        lock.check()
    lock.release()
    if other is not None:
        other.check()  # the release of one has not touched the other
        other.release()


@needs_locks
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_forked_process_has_no_lock_of_its_parent(tmp_path: Path) -> None:
    lock = FolderLock(tmp_path)
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        code = 1
        try:
            os.close(writer)
            opened = os.open(os.devnull, os.O_RDONLY)  # gets the number that the lock had
            lock.release()  # not its own
            os.fstat(opened)
            os.read(reader, 1)  # until the parent is done
            code = 0
        finally:
            os._exit(code)
    os.close(reader)
    with pytest.raises(ArgumentError, match="this process"):
        check_unlocked(tmp_path)
    lock.release()
    check_unlocked(tmp_path)  # although the child lives
    os.close(writer)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


@needs_locks
def test_a_lock_whose_file_another_removes_meanwhile_is_taken_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = FolderLock(tmp_path)
    flock = pytest.importorskip("fcntl").flock

    def late(handle: int, kind: int) -> None:
        other.release()  # between the opening of its file and the lock
        flock(handle, kind)

    monkeypatch.setattr("fcntl.flock", late)
    with FolderLock(tmp_path) as lock:
        lock.check()
        with pytest.raises(ArgumentError, match="is being written by this process"):
            FolderLock(tmp_path)


@needs_locks
def test_whoever_only_looks_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fcntl = pytest.importorskip("fcntl")
    looks = os.open(tmp_path / LOCK, os.O_RDWR | os.O_CREAT)
    fcntl.flock(looks, fcntl.LOCK_SH)  # as `check_unlocked` of another process does for a moment
    monkeypatch.setattr("time.sleep", lambda seconds: os.close(looks))
    with FolderLock(tmp_path) as lock:
        lock.check()


@needs_locks
def test_without_locks_in_the_file_system_a_warning_is_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def flock(handle: int, kind: int) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("fcntl.flock", flock)
    with pytest.warns(UserWarning, match="cannot be locked: No locks available; start no second process that writes it"):
        lock = FolderLock(tmp_path)
    lock.release()


def test_a_folder_that_was_made_for_nothing_is_removed(tmp_path: Path) -> None:
    for leaves in (False, True):
        with own_folder(tmp_path / "a"):
            assert is_empty(tmp_path / "a")
            if leaves:
                (tmp_path / "a" / "file").touch()
        assert (tmp_path / "a").exists() is leaves
    (tmp_path / "b").mkdir()
    with own_folder(tmp_path / "b"):
        pass
    assert (tmp_path / "b").is_dir()


def test_a_file_without_end_or_too_large_is_not_read(tmp_path: Path) -> None:
    with (tmp_path / "large").open("wb") as file:
        file.truncate(LARGEST_JSON + 1)
    with pytest.raises(OSError, match=r"large has more than 67,108,864 bytes"):
        read_json(tmp_path / "large")
    assert len(read_plain(tmp_path / "large")) == LARGEST_JSON + 1
    assert len(read_plain(tmp_path / "large", LARGEST_JSON + 1)) == LARGEST_JSON + 1
    with pytest.raises(OSError, match="null is no plain file"):
        read_json(Path("/dev/null"))


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o666])
def test_what_was_private_stays_private(mode: int, tmp_path: Path) -> None:
    file, folder = tmp_path / "file", tmp_path / "folder"
    file.write_text("old")
    file.chmod(mode)
    folder.mkdir(0o700)
    for target in (file, tmp_path / "link"):
        if target != file:
            target.symlink_to(file)
        with replacing(target) as new:
            new.write_text("new")
        assert target.stat(follow_symlinks=False).st_mode & 0o777 == mode
    with replacing(folder) as new:
        new.mkdir()
    assert folder.stat().st_mode & 0o777 == 0o700


def test_a_lock_whose_file_is_never_the_same_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # As on a disk whose files have other numbers each time that they are looked at.
    monkeypatch.setattr(files, "_is_at", lambda handle, file: False)
    before = len(os.listdir("/proc/self/fd")) if Path("/proc/self/fd").exists() else 0
    with pytest.raises(SaveError, match=f"cannot be locked: its {re.escape(LOCK)} is another file each time"):
        FolderLock(tmp_path)
    assert before in (0, len(os.listdir("/proc/self/fd")))
