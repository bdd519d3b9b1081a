"""Files and folders that are always whole, and that one process at a time writes.

A reader sees what they were or what they were to become, whoever dies in between.
"""

import contextlib
import json
import os
import shutil
import socket
import stat
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, Final, cast

from safetensors import SafetensorError

from textenv.errors import ArgumentError, SaveError, TextenvError

try:
    import fcntl
except ImportError:  # Windows, where folders are not locked
    fcntl = cast(Any, None)

LOCK: Final = ".textenv.lock"
"""File in a folder that is being written; it holds the id and the machine of the process."""

TRY_AGAIN: Final = "; once it can, try again."
"""End of the sentence about what cannot be written; who knows better what to do puts that in its place."""

MAX_DEPTH: Final = 100
"""Levels of nesting that a JSON file of ours never reaches, and that recursion can bear."""

LARGEST_JSON: Final = 2**26
"""Bytes of a JSON file: the tokenizers of the largest vocabularies take half of that."""

TRIES: Final = 100
"""Times that a lock is taken whose file is another one by then, as the process that had it removes the file."""

_held: Final = set[int]()
"""File descriptors of the locks of this process."""


@contextlib.contextmanager
def saving(path: Path) -> Iterator[None]:
    """Turn what goes wrong while `path` is written into one sentence.

    Raises:
        SaveError: the disk is full, or the place cannot be written.
    """
    try:
        yield
    except TextenvError:
        raise  # a sentence already
    except (OSError, SafetensorError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise SaveError(f"{path} cannot be written: {reason}{TRY_AGAIN}") from error


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a place to write a file or a folder to, which takes the place of `path` at the end.

    That place is beside `path`. It is synced before it is renamed, so that a death of the process
    or of the machine leaves either the old or the new. A folder cannot be replaced in one step:
    the old one is at `predecessor(path)` meanwhile, and where `path` is missing that one is whole.

    A link at `path` is replaced itself, and what it leads to stays as it is. A file never takes the
    place of a folder. What is replaced hands on its own permissions, a folder not those of its files.

    Raises:
        SaveError: it cannot be written; `path` is what it was.
    """
    new, old = path.with_name(f".{path.name}.textenv.new"), predecessor(path)
    with saving(path):
        try:
            _remove(new)
            yield new
            set_usual_permissions(new)
            for written in [*new.rglob("*"), new]:
                sync(written)
            if path.exists() and path.is_dir() == new.is_dir():
                new.chmod(stat.S_IMODE(path.stat().st_mode))  # what was private stays private
        except BaseException:
            _remove(new)  # on a full disk it is in the way
            raise
        if new.is_dir() and (path.is_dir() or path.is_symlink()):
            _remove(old)
            path.rename(old)
        try:
            new.replace(path)
        except OSError:
            if _exists(old) and not _exists(path):
                old.rename(path)
            _remove(new)
            raise
        sync(path.parent)
        _remove(old)


def set_usual_permissions(path: Path) -> None:
    """Give tensors the permissions that the umask gives to new files, for safetensors writes them for their owner alone.

    What a link leads to is not touched, nor what is no plain file.

    Args:
        path: a file, or a folder that holds nothing of anybody else's, whose files ending in
            `.safetensors` are meant, in its folders too.
    """
    umask = os.umask(0o077)  # it can be read only by setting it
    os.umask(umask)
    for file in path.rglob("*.safetensors") if path.is_dir() else [path]:
        if stat.S_ISREG(file.lstat().st_mode):
            file.chmod(0o666 & ~umask)


def predecessor(path: Path) -> Path:
    """Return where a folder is while another takes its place.

    Nobody else gives a file such a name, so what is there may be removed.
    """
    return path.with_name(f".{path.name}.textenv.old")


def sync(path: Path) -> None:
    """Wait until a file, or the names in a folder, are on the disk."""
    if path.is_dir() and os.name == "nt":
        return  # Windows opens no folders
    handle = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _exists(path: Path) -> bool:
    return path.is_symlink() or path.exists()


def _remove(path: Path) -> None:
    """Remove a file, a folder with all it holds, or a link but not what it leads to."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def open_plain(file: Path) -> BinaryIO:
    """Open a plain file to be read, or one that a link leads to.

    Raises:
        OSError: it cannot be opened, or is a device or a pipe, which may have no end.
    """
    # Without O_NONBLOCK, opening a pipe would wait for whoever writes to it.
    handle = os.open(file, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise OSError(f"{file.name} is no plain file")
    return os.fdopen(handle, "rb")


def read_plain(file: Path, most: int | None = None) -> bytes:
    """Return the bytes of a plain file.

    Args:
        file: its path.
        most: bytes that it may have; None: any number.

    Raises:
        OSError: it is larger, or see `open_plain`.
    """
    with open_plain(file) as handle:
        if most is None:
            return handle.read()
        content = handle.read(most + 1)
    if len(content) > most:
        raise OSError(f"{file.name} has more than {most:,} bytes")
    return content


def read_json(file: Path) -> Any:
    """Return what a JSON file holds.

    Raises:
        OSError: it cannot be read, is no plain file, or has more than `LARGEST_JSON` bytes.
        ValueError: it is no JSON, or nested more than `MAX_DEPTH` deep.
    """
    try:
        content = json.loads(read_plain(file, LARGEST_JSON))
    except RecursionError:
        raise ValueError(f"it is nested more than {MAX_DEPTH} deep") from None
    level = [content]
    for _ in range(MAX_DEPTH):
        containers = [node for node in level if isinstance(node, dict | list)]
        level = [inner for node in containers for inner in (node.values() if isinstance(node, dict) else node)]
        if not level:
            return content
    raise ValueError(f"it is nested more than {MAX_DEPTH} deep")


class FolderLock:
    """Keeps a folder for this process until `release`, or until the process ends, however it does.

    The kernel holds the lock (`flock`) on the file `LOCK` in the folder: a process that is stopped
    keeps it, and one that is killed loses it. Processes forked from this one do not have it. On NFS
    it also holds between machines, if the mount does not have the option `nolock`. Where the file
    system has no locks a warning is given, and on Windows there is no lock: there, start no
    second process on the same folder.

    Args:
        folder: which is there.

    Raises:
        ArgumentError: another process has it.
        SaveError: the file cannot be written, as in a folder that is read-only, or is never the same.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._file = folder / LOCK
        self._process = os.getpid()
        self._handle: int | None = None
        if fcntl is None:
            return
        with saving(folder):
            for _ in range(TRIES):
                handle = _open_lock(self._file)
                try:
                    _lock(handle, folder)
                    # The one who had it may have removed the file since it was opened.
                    if _is_at(handle, self._file):
                        os.ftruncate(handle, 0)
                        os.write(handle, f"{os.getpid()} {socket.gethostname()}\n".encode())
                        self._handle = handle
                        _held.add(handle)
                        return
                finally:
                    if self._handle is None:
                        os.close(handle)
            raise SaveError(
                f"{folder} cannot be locked: its {LOCK} is another file each time that it is looked at; choose a folder on another disk."
            )

    def check(self) -> None:
        """Make sure that what is written now goes to the folder that was locked.

        Raises:
            SaveError: it has been moved or deleted, and perhaps another is in its place.
        """
        here = self.folder.is_dir() if self._handle is None else _is_at(self._handle, self._file)
        if not here:
            raise SaveError(
                f"{self.folder} was moved or deleted while it was written, or its {LOCK} was; "
                "nothing more is written there. If it was moved, go on with --resume where it is."
            )

    def release(self) -> None:
        """Let others write the folder; a second call does nothing."""
        if self._handle is None or self._process != os.getpid():
            return  # a forked process has closed it already
        with contextlib.suppress(OSError):
            if _is_at(self._handle, self._file):
                self._file.unlink()
        _held.discard(self._handle)
        os.close(self._handle)
        self._handle = None

    def __enter__(self) -> "FolderLock":
        return self

    def __exit__(self, *error: object) -> None:
        self.release()

    def __del__(self) -> None:
        self.release()


def check_unlocked(folder: Path) -> None:
    """Refuse a folder that another process is writing, and leave no trace there.

    Raises:
        ArgumentError: one is.
    """
    if fcntl is None:
        return
    try:
        handle = os.open(folder / LOCK, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return  # nobody has ever locked it, or whoever writes there will say what is wrong
    try:
        _lock(handle, folder, shared=True)
    finally:
        os.close(handle)


@contextlib.contextmanager
def own_folder(folder: Path) -> Iterator[None]:
    """Lock a folder for a block, and make it if it is not there.

    A folder that was made is removed again where the block leaves it empty.

    Raises:
        ArgumentError: another process is writing it.
        SaveError: it cannot be written.
    """
    made = not folder.exists()
    with saving(folder):
        folder.mkdir(parents=True, exist_ok=True)
    try:
        with FolderLock(folder):
            yield
    finally:
        if made:
            with contextlib.suppress(OSError):  # it holds something
                folder.rmdir()


def is_empty(folder: Path) -> bool:
    """Return whether a folder holds nothing, or only the lock of a process that was killed."""
    return all(path.name == LOCK for path in folder.iterdir())


def _open_lock(file: Path) -> int:
    """Open or make the file of a lock, and follow no link."""
    handle = os.open(file, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK, 0o644)
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise OSError(f"{LOCK} is no plain file")
    return handle


def _lock(handle: int, folder: Path, *, shared: bool = False) -> None:
    """Take the lock of an open file.

    Raises:
        ArgumentError: another process has it.
    """
    kind = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_NB | kind)
        except BlockingIOError:
            time.sleep(0.05)  # `check_unlocked` of another process has it for a moment
            fcntl.flock(handle, fcntl.LOCK_NB | kind)
    except BlockingIOError:
        raise ArgumentError(
            f"{folder} is being written by {_holder(handle)}; wait until it ends or stop it, or choose another --out."
        ) from None
    except OSError as error:
        warnings.warn(
            f"{folder} cannot be locked: {error.strerror}; start no second process that writes it.",
            stacklevel=2,
        )


def _holder(handle: int) -> str:
    """Name the process that wrote into the file of a lock."""
    process, _, machine = os.pread(handle, 300, 0).decode(errors="replace").strip().partition(" ")
    if not process.isdecimal():
        return "another process"
    if process == str(os.getpid()):
        return "this process"
    elsewhere = f" on {machine}" if machine != socket.gethostname() else ""
    return f"process {process}{elsewhere}"


def _is_at(handle: int, file: Path) -> bool:
    """Return whether an open file is still the one of that name."""
    try:
        return os.path.samestat(os.fstat(handle), file.stat(follow_symlinks=False))
    except OSError:
        return False


def _forget_locks() -> None:
    """Close the locks that a forked process has from its parent, which keeps them."""
    for handle in _held:
        os.close(handle)
    _held.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_locks)
