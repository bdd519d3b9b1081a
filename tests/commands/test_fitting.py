"""How a fit is told while it goes on, and afterwards."""

import io
import json
from pathlib import Path

import pytest
from rich.console import Console

from textenv.cli import main
from textenv.commands.fitting import UNFITTED, facts_table, tell
from textenv.preferences.comparison import Comparison
from textenv.preferences.loading import write_comparisons


def test_a_row_a_line() -> None:
    shown = io.StringIO()
    on_row = tell(Console(file=shown, width=200), "Fitting …")
    assert shown.getvalue() == ""
    on_row({"step": 0.0, "epoch": 0.0, "learning_rate": 0.0, "seconds": 1.0, "held_out_loss": 2.0})
    on_row({"step": 5.0, "epoch": 0.5, "learning_rate": 0.1, "seconds": 2.0, "loss": 1.25, "held_out_loss": 1.5})
    assert shown.getvalue().splitlines() == ["Fitting …", "epoch 0.00  held out loss 2.000", "epoch 0.50  loss 1.250  held out loss 1.500"]


def test_facts() -> None:
    shown = io.StringIO()
    Console(file=shown, width=60).print(facts_table({"examples": 1234, "held_out_loss": 0.5, "stopped_early": True}, "runs/one"))
    lines = [line.strip("│ ").split() for line in shown.getvalue().splitlines() if "│" in line]
    assert lines == [["examples", "│", "1,234"], ["held", "out", "loss", "│", "0.500"], ["stopped", "early", "│", "True"]]


@pytest.mark.parametrize("command", ["sft", "reward", "dpo"])
@pytest.mark.parametrize("learning_rate", ["1e-30", "1e-3"])
def test_a_model_that_no_step_made_better_is_said_to_be_unfitted(
    command: str, learning_rate: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if command == "sft":
        rows = [{"prompt": f"Film {i}:", "response": " a great film, I loved it."} for i in range(24)]
        (tmp_path / "data.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    else:
        pairs = [Comparison(prompt=f"Film {i}:", responses=(" I loved it.", " so dull."), ranks=(1, 2)) for i in range(24)]
        write_comparisons(pairs, tmp_path / "data.jsonl")
    rates = ["--learning-rate", learning_rate, "--epochs", "1", "--held-out", "0.4", "--batch-size", "4"]
    main([command, str(tmp_path / "data.jsonl"), *rates, "--out", str(tmp_path / "out")])
    best_step = json.loads((tmp_path / "out" / "summary.json").read_text())["best_step"]
    said = " ".join(capsys.readouterr().err.split())
    assert (best_step == 0) == (learning_rate == "1e-30")
    assert (UNFITTED in said) == (best_step == 0)
