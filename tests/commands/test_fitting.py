"""How a fit is told while it goes on, and afterwards."""

import io

from rich.console import Console

from textenv.commands.fitting import facts_table, tell


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
