"""The folder of a fitted model: whole, readable, and never over something else."""

import csv
import json
from pathlib import Path

import pytest

from textenv.errors import ArgumentError, SaveError
from textenv.reports.fitted import check_new, write_fitted

HISTORY = [{"step": 0.0, "held_out_loss": 2.0}, {"step": 1.0, "loss": 1.5, "held_out_loss": float("nan")}]


def save_model(folder: Path) -> None:
    folder.mkdir()
    (folder / "config.json").write_text("{}")


def test_what_stands_in_it(tmp_path: Path) -> None:
    out = tmp_path / "runs" / "one"
    check_new(out)
    config = {"model": "tiny-en", "algorithm": {"epochs": 3}, "out": out}
    write_fitted(out, config=config, history=HISTORY, summary={"loss": float("inf"), "rows": 7}, save_model=save_model)
    assert {path.name for path in out.iterdir()} == {"config.json", "metrics.csv", "summary.json", "model"}
    assert {path.name for path in out.parent.iterdir()} == {"one"}
    written = json.loads((out / "config.json").read_text())
    assert (written["model"], written["algorithm"], written["out"]) == ("tiny-en", {"epochs": 3}, str(out))
    assert "torch" in written["versions"]
    assert json.loads((out / "summary.json").read_text()) == {"loss": None, "rows": 7}
    with (out / "metrics.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert rows == [{"step": "0.0", "held_out_loss": "2.0", "loss": ""}, {"step": "1.0", "held_out_loss": "nan", "loss": "1.5"}]


def test_something_is_there_already(tmp_path: Path) -> None:
    check_new(tmp_path)  # empty
    (tmp_path / "file").write_text("")
    for place in (tmp_path, tmp_path / "file"):
        with pytest.raises(ArgumentError, match=f"{place} exists already; choose another --out or remove it"):
            check_new(place)


def test_a_model_that_cannot_be_saved_leaves_nothing(tmp_path: Path) -> None:
    def fails(folder: Path) -> None:
        folder.mkdir()
        raise OSError(28, "No space left on device")

    with pytest.raises(SaveError, match="one cannot be written: No space left on device"):
        write_fitted(tmp_path / "one", config={}, history=HISTORY, summary={}, save_model=fails)
    assert not any(tmp_path.iterdir())
    (tmp_path / "file").write_text("")
    with pytest.raises(SaveError, match="one cannot be written: File exists"):
        write_fitted(tmp_path / "file" / "one", config={}, history=HISTORY, summary={}, save_model=save_model)
