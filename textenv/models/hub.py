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


def embedded_names() -> list[str]:
    """List the models that come with textenv."""
    return sorted(path.parent.name for name in ("config.json", "modules.json") for path in ASSETS.glob(f"*/{name}"))


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
            + did_you_mean(name, embedded_names())
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
    if isinstance(name, Path) or str(name).startswith((".", "/", "~")) or str(name).count("/") > 1:
        raise LoadError(f"There is no folder {name}.")
    try:
        cached = try_to_load_from_cache(str(name), "config.json")
    except HFValidationError:
        near = did_you_mean(str(name), embedded_names())
        raise LoadError(f'"{name}" is no embedded {what}, no local path and no hub id.{near}') from None
    if not isinstance(cached, str):
        require_hub(str(name), what)
    return str(name)


def _within_run(folder: str) -> str:
    """Go from the folder of a run, whose own `config.json` is no model's, to its model; any other folder is returned itself."""
    place = Path(folder)
    try:
        config = json.loads((place / "config.json").read_bytes())
    except (OSError, ValueError):
        config = None
    config = config if isinstance(config, dict) else {}
    if "model_type" in config or (place / "modules.json").is_file():
        return folder
    if (place / "model" / "config.json").is_file():
        return str(place / "model")
    if "versions" in config:
        raise LoadError(f"The run {folder} has no model yet; finish its training first.")
    return folder


def files_of(name: str) -> tuple[tuple[str, int, int], ...]:
    """Return path, time of change and size of each file of a local folder, in nanoseconds and bytes.

    Any other name has no files.
    """
    if not Path(name).is_dir():
        return ()
    stats = [(str(file), file.stat()) for file in sorted(Path(locate(name)).rglob("*")) if file.is_file()]
    return tuple((file, stat.st_mtime_ns, stat.st_size) for file, stat in stats)


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
