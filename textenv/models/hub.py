"""Names of models and data: embedded, local or on the Hugging Face hub."""

import functools
import json
import os
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, Concatenate, Final, ParamSpec, TypeVar
from urllib.parse import urlparse
from urllib.request import getproxies, proxy_bypass

from textenv.errors import LoadError, TextenvError, did_you_mean

Options = ParamSpec("Options")
Loaded = TypeVar("Loaded")

ASSETS: Final = Path(__file__).parent.parent / "assets"
REACH_SECONDS: Final = 2.0


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
    if len(Path(name).parts) == 1 and ((embedded / "config.json").is_file() or (embedded / "modules.json").is_file()):
        return str(embedded)
    if Path(name).is_dir():
        return _within_run(str(name))
    if Path(name).is_file():
        raise LoadError(f"{name} is a file; give the folder that it is in.")
    if isinstance(name, Path) or str(name).startswith((".", "/", "~")) or str(name).count("/") > 1:
        raise LoadError(f"There is no folder {name}.")
    try:
        cached = try_to_load_from_cache(str(name), "config.json")
    except HFValidationError:
        near = did_you_mean(str(name), embedded_names(what))
        raise LoadError(f'"{name}" is no embedded {what}, no local path and no hub id.{near}') from None
    if not isinstance(cached, str):
        require_hub(str(name), what)
    return str(name)


def _within_run(folder: str) -> str:
    """Go from the folder of a run, whose own `config.json` is no model's, to its model; any other folder is returned itself."""
    place = Path(folder)
    config = _json_object(place / "config.json")
    if "model_type" in config or (place / "modules.json").is_file():
        return folder
    if (place / "model" / "config.json").is_file():
        return str(place / "model")
    if "versions" in config:
        raise LoadError(f"The run {folder} has no model yet; finish its training first.")
    return folder


def _json_object(file: Path) -> dict[str, Any]:
    """Read a JSON file; one that is missing or damaged, of which whoever loads it will say so, is as good as empty."""
    try:
        content = json.loads(file.read_bytes()) if file.is_file() else {}  # a pipe might never end
    except (OSError, ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}


def files_of(name: str) -> tuple[tuple[str, int, int, int], ...]:
    """Return path, times and size of each file of a local folder, and of the folder that its adapters belong to.

    The times are those of the content and of the file's entry, in nanoseconds: a copy may keep the first of what it was
    made of. The size is in bytes. Any other name has no files.
    """
    if not Path(name).is_dir():
        return ()
    folder = Path(locate(name))
    stats = [(str(file), file.stat()) for file in sorted(folder.rglob("*")) if file.is_file()]
    files = tuple((file, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_size) for file, stat in stats)
    base = _json_object(folder / "adapter_config.json").get("base_model_name_or_path")
    return files if not isinstance(base, str) or base == name else files + files_of(base)


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
