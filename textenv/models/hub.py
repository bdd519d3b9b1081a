"""Names of models and data: embedded, local or on the Hugging Face hub."""

import contextlib
import errno
import functools
import itertools
import os
import socket
import stat
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, Concatenate, Final, ParamSpec, TypeVar
from urllib.parse import urlparse
from urllib.request import getproxies, proxy_bypass

from textenv.errors import LoadError, TextenvError, did_you_mean
from textenv.files import read_json

Options = ParamSpec("Options")
Loaded = TypeVar("Loaded")

ASSETS: Final = Path(__file__).parent.parent / "assets"
REACH_SECONDS: Final = 2.0
_LONGEST: Final = 200
"""Characters of a name that messages show."""


def embedded_names(what: str = "") -> list[str]:
    """List what comes with textenv: with "model" the language models, with "reward" the rewards, or else everything."""
    names = sorted(path.parent.name for name in ("config.json", "modules.json") for path in ASSETS.glob(f"*/{name}"))
    if what not in ("model", "reward"):
        return names
    writers = [name for name in names if "LMHead" in _config_text(name)]
    scorers = [name for name in names if "SequenceClassification" in _config_text(name) or '"ngram"' in _config_text(name)]
    return writers if what == "model" else scorers


def _config_text(name: str) -> str:
    config = ASSETS / name / "config.json"
    return config.read_text(encoding="utf-8") if config.is_file() else ""


def name_of(place: str | Path) -> str:
    """Return the embedded name of a folder that comes with textenv; any other place is its own name."""
    return Path(place).name if Path(place).parent == ASSETS else str(place)


def hub_is_reachable() -> bool:
    """Tell within two seconds whether the hub answers, without the retries of the hub's own client."""
    from huggingface_hub import constants

    if constants.is_offline_mode() or os.environ.get("HF_HUB_OFFLINE") == "1":
        return False
    url = urlparse(constants.ENDPOINT)
    proxy = getproxies().get(url.scheme)
    if proxy and not proxy_bypass(str(url.hostname)):
        url = urlparse(proxy if "://" in proxy else f"http://{proxy}")
    answer: list[bool] = []

    def connect() -> None:
        try:
            socket.create_connection((url.hostname, url.port or (80 if url.scheme == "http" else 443)), timeout=REACH_SECONDS).close()
            answer.append(True)
        except OSError:
            pass

    # In a thread, because a name look-up takes no timeout.
    thread = threading.Thread(target=connect, daemon=True)
    thread.start()
    thread.join(REACH_SECONDS)
    return bool(answer)


def require_hub(name: str, what: str, error: type[TextenvError] = LoadError) -> None:
    """Refuse a hub name at once when the hub cannot be reached.

    Raises:
        LoadError: or `error`, naming the embedded names that are near.
    """
    if not hub_is_reachable():
        raise error(
            f'"{name}" is no embedded {what} and no local path, and the Hugging Face hub cannot be reached.'
            + did_you_mean(name, embedded_names(what))
        )


def locate(name: str | Path, what: str = "model") -> str:
    """Find a model: the folder of an embedded name, a local folder or that of a run, or a hub id that is cached or reachable.

    Returns:
        A folder or a hub id, as `from_pretrained` takes it; of a run, the folder of its model.

    Raises:
        LoadError: none of them, or a run that has no model yet.
    """
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    embedded = ASSETS / Path(name).name
    if len(Path(name).parts) == 1 and any(os.path.isfile(embedded / file) for file in ("config.json", "modules.json")):
        return str(embedded)
    kind = _kind(name)
    if kind is not None and stat.S_ISDIR(kind):
        return _within_run(str(name))
    if kind is not None:
        raise LoadError(f"{_cut(name)} is a file; give the folder that it is in.")
    if isinstance(name, Path) or str(name).startswith((".", "/", "~")) or str(name).count("/") > 1:
        raise LoadError(f"There is no folder {_cut(name)}.")
    try:
        cached = try_to_load_from_cache(str(name), "config.json")
    except HFValidationError:
        near = did_you_mean(str(name), embedded_names(what))
        raise LoadError(f'"{_cut(name)}" is no embedded {what}, no local path and no hub id.{near}') from None
    if not isinstance(cached, str):
        require_hub(str(name), what)
    return str(name)


def _kind(path: str | Path) -> int | None:
    """Return what is at a path, as `stat` says it, None for nothing.

    Raises:
        LoadError: this user may not know.
    """
    try:
        return os.stat(path).st_mode
    except ValueError:  # it holds what no path holds
        return None
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG):
            return None
        raise LoadError(f"{_cut(path)} cannot be looked at: {error.strerror}.") from error


def _cut(name: str | Path) -> str:
    """Return a name as messages show it."""
    text = str(name)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}... ({len(text):,} characters)"


def _within_run(folder: str) -> str:
    """Go from the folder of a run, whose own `config.json` is no model's, to its model; any other folder is returned itself."""
    place = Path(folder)
    config = _json_object(place / "config.json")
    if "model_type" in config or os.path.isfile(place / "modules.json"):
        return folder
    if os.path.isfile(place / "model" / "config.json"):
        return str(place / "model")
    if "versions" in config:
        raise LoadError(f"The run {folder} has no model yet; finish its training first.")
    return folder


def _json_object(file: Path) -> dict[str, Any]:
    """Read a JSON file; one that is missing or damaged, of which whoever loads it will say so, is as good as empty."""
    try:
        content = read_json(file)
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def files_of(name: str) -> tuple[tuple[str, int, int, int], ...]:
    """Return path, times and size of each file of a local folder, and of the folder that its adapters belong to.

    The times are those of the content and of the file's entry, in nanoseconds: a copy may keep the first of what it was
    made of. The size is in bytes. Any other name has no files. Of folders within the folder, which may be a user's home,
    only those count that the folders of models have.
    """
    if not os.path.isdir(name):
        return ()
    folder = Path(locate(name))
    walked = [*itertools.islice(os.walk(folder), 1), *(step for part in _parts(folder) for step in os.walk(part))]
    files: tuple[tuple[str, int, int, int], ...] = ()
    for file in sorted(os.path.join(place, name) for place, _, names in walked for name in names):
        with contextlib.suppress(OSError):  # it has gone since, or leads nowhere
            status = os.stat(file)
            if stat.S_ISREG(status.st_mode):
                files += ((file, status.st_mtime_ns, status.st_ctime_ns, status.st_size),)
    base = _json_object(folder / "adapter_config.json").get("base_model_name_or_path")
    return files if not isinstance(base, str) or base == name else files + files_of(base)


def _parts(folder: Path) -> list[Path]:
    """Return the folders within that of a model: of the modules of an embedding model, and of chat templates."""
    try:
        modules = read_json(folder / "modules.json")
    except (OSError, ValueError):
        modules = []
    named = [module.get("path") for module in modules if isinstance(module, dict)] if isinstance(modules, list) else []
    names = [Path(name) for name in [*named, "additional_chat_templates"] if isinstance(name, str)]
    return [folder / name for name in names if name.parts and not name.is_absolute() and ".." not in name.parts]


def cached_by_files(load: Callable[Concatenate[str, Options], Loaded]) -> Callable[Concatenate[str, Options], Loaded]:
    """Return a loader that loads a name once, and a local folder again when its files have changed.

    Args:
        load: takes the name first; its other arguments can be hashed.
    """
    # One object per arguments, so that what a folder held before is dropped.
    cache: dict[Any, tuple[Any, Loaded]] = {}

    @functools.wraps(load)
    def cached(name: str, /, *args: Options.args, **options: Options.kwargs) -> Loaded:
        arguments, files = (name, args, tuple(sorted(options.items()))), files_of(name)
        if arguments not in cache or cache[arguments][0] != files:
            cache[arguments] = (files, load(name, *args, **options))
        return cache[arguments][1]

    return cached
