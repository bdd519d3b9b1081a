"""The folder of a model that was fitted to data: configuration, metrics, model and summary."""

import csv
import functools
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from textenv.errors import ArgumentError
from textenv.files import is_empty, own_folder, replacing, saving
from textenv.reports.run import plain_json, versions

Result = TypeVar("Result")


def into_new_folder(
    fit: Callable[[Any, Any], Result],
) -> Callable[[Any, Any], Result]:
    """Let a command have the folder `config.out` for itself, from before any work until its end.

    Args:
        fit: called with a config and a console; it writes the folder by `write_fitted`.

    Returns:
        The same, which raises an ArgumentError if something is there or another process is writing there.
    """

    @functools.wraps(fit)
    def fit_alone(config: Any, console: Any) -> Result:
        check_new(config.out)
        with own_folder(config.out):
            check_new(config.out)  # another process may have ended in between
            return fit(config, console)

    return fit_alone


def check_new(folder: Path) -> None:
    """Refuse a place where something is already, before any work is done.

    Raises:
        ArgumentError: there is.
    """
    is_taken = not is_empty(folder) if folder.is_dir() else folder.exists()
    if is_taken:
        raise ArgumentError(f"{folder} exists already; choose another --out or remove it.")


def write_fitted(
    folder: Path,
    *,
    config: Mapping[str, Any],
    history: Sequence[Mapping[str, float]],
    summary: Mapping[str, Any],
    save_model: Callable[[Path], None],
) -> None:
    """Write `config.json`, `metrics.csv`, `summary.json` and the folder `model/`, all of them or none.

    Args:
        folder: new or empty.
        config: plain data, as `dataclasses.asdict` gives it.
        history: rows of `textenv.agents.fitting.Fitted`.
        summary: plain data.
        save_model: writes the model and its tokenizer into the folder that it is given.

    Raises:
        SaveError: it cannot be written.
    """
    with saving(folder):
        folder = folder.resolve()  # where a link to an empty folder leads
        folder.parent.mkdir(parents=True, exist_ok=True)
    with replacing(folder) as new:
        new.mkdir(parents=True)
        (new / "config.json").write_text(plain_json({**config, "versions": versions()}), encoding="utf-8")
        (new / "summary.json").write_text(plain_json(dict(summary)), encoding="utf-8")
        columns = list(dict.fromkeys(name for row in history for name in row))
        with (new / "metrics.csv").open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, columns)
            writer.writeheader()
            writer.writerows(history)
        save_model(new / "model")
