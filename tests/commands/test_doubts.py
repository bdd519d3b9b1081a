"""What a command says that a user should not miss."""

import json
from pathlib import Path

import pytest

from textenv.cli import main
from textenv.commands.doubts import UNFITTED
from textenv.preferences.comparison import Comparison
from textenv.preferences.loading import write_comparisons


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
