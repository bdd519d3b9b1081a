"""Files and folders that are always whole: what they were, or what they were to become, whoever dies in between."""

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from safetensors import SafetensorError

from textenv.errors import SaveError


@contextlib.contextmanager
def saving(path: Path) -> Iterator[None]:
    """Turn what goes wrong while `path` is written into one sentence.

    Raises:
        SaveError: the disk is full, or the place cannot be written.
    """
    try:
        yield
    except (OSError, SafetensorError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise SaveError(f"{path} cannot be written: {reason}; once it can, go on from the last checkpoint.") from error


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a place to write a file or a folder to, which takes the place of `path` when the block ends.

    That place is beside `path` and has the suffix `.new`. It is synced before it is renamed, so that a death of the
    process or of the machine leaves either the old or the new. A folder cannot be replaced in one step: the old one has
    the suffix `.old` meanwhile, and where `path` is missing that one is whole.

    Raises:
        SaveError: it cannot be written; `path` is what it was.
    """
    new, old = path.with_name(path.name + ".new"), path.with_name(path.name + ".old")
    with saving(path):
        try:
            _remove(new)
            yield new
            set_usual_permissions(new)
            for written in [*new.rglob("*"), new]:
                sync(written)
        except (OSError, SafetensorError):
            _remove(new)  # on a full disk it is in the way
            raise
        if path.is_dir():
            _remove(old)
            path.rename(old)
        try:
            new.replace(path)
        except OSError:
            if old.exists() and not path.exists():
                old.rename(path)
            raise
        sync(path.parent)
        _remove(old)


def set_usual_permissions(path: Path) -> None:
    """Give tensors the permissions that the umask gives to new files, for safetensors writes them for their owner alone.

    Args:
        path: a file, or a folder whose files ending in `.safetensors` are meant, in its folders too.
    """
    umask = os.umask(0o077)  # it can be read only by setting it
    os.umask(umask)
    for file in path.rglob("*.safetensors") if path.is_dir() else [path]:
        file.chmod(0o666 & ~umask)


def sync(path: Path) -> None:
    """Wait until a file, or the names in a folder, are on the disk."""
    if path.is_dir() and os.name == "nt":
        return  # Windows opens no folders
    handle = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
