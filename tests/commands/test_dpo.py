"""`textenv dpo`: its folder is a model's name, and what cannot be used is refused before anything is learnt."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from textenv.cli import main
from textenv.preferences.comparison import Comparison
from textenv.preferences.loading import write_comparisons


@pytest.fixture
def comparisons(tmp_path: Path) -> Path:
    """Copies are better."""
    words = [f"{a}{b}" for a in "abc" for b in "abc"]
    judged = [Comparison(prompt=f"{word}>", responses=(word, "cab", word[::-1] + "a"), ranks=(1, 2, 3)) for word in words]
    silent = Comparison(prompt="ab>", responses=("a", "b"))
    write_comparisons([*judged, silent], tmp_path / "comparisons.jsonl")
    return tmp_path / "comparisons.jsonl"


def test_a_model_is_fitted_and_plays(
    run: Path, comparisons: Path, tmp_path: Path, call: Callable[..., str], capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "runs" / "dpo"
    options = ("--epochs", "20", "--batch-size", "4", "--learning-rate", "0.003", "--held-out", "0.5", "--max-new-tokens", "4")
    capsys.readouterr()
    main(["dpo", str(comparisons), *options, "--beta", "0.2", "--model", str(run), "--out", str(out), "--json"])
    printed = capsys.readouterr()
    summary = json.loads(printed.out)
    assert summary == json.loads((out / "summary.json").read_text())
    assert (summary["comparisons"], summary["unsaid"], summary["loss"], summary["beta"]) == (10, 1, "sigmoid", 0.2)
    assert summary["held_out_loss_before"] == pytest.approx(0.6931472)
    assert summary["unseen_accuracy"] > 0.5
    assert summary["unseen_reward_better"] > summary["unseen_reward_worse"]
    assert "held out accuracy" in printed.err
    assert (out / "metrics.csv").read_text().startswith("step,epoch,learning_rate,seconds,held_out_loss,held_out_reward_better,")
    assert json.loads((out / "config.json").read_text())["fitting"]["beta"] == 0.2
    measured = json.loads(call("eval", str(out), "TextCopy-v0", "--episodes", "72", "--json"))
    assert measured["kl_exact"] > 0  # to what it started from
    shown = call(
        "dpo",
        str(comparisons),
        "--loss",
        "ipo",
        "--epochs",
        "1",
        "--held-out",
        "0",
        "--lora-rank",
        "2",
        "--model",
        str(run),
        "--out",
        str(tmp_path / "ipo"),
    )
    assert "unseen" not in shown


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere.jsonl"], "comparisons: there is no file nowhere.jsonl."),
        (["DATA", "--loss", "ipo", "--label-smoothing", "0.1"], '--label-smoothing is of the loss "sigmoid"; leave it out for "ipo".'),
        (["DATA", "--held-out", "0.001"], "are too few to hold out 0.001 of them"),
        (["DATA", "--model", "tiny-sentiment"], "tiny-sentiment is a GPT2ForSequenceClassification, a reward and no language model"),
    ],
)
def test_what_cannot_be_used_is_refused(
    arguments: list[str], message: str, comparisons: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    with pytest.raises(SystemExit) as caught:
        main(["dpo", *(str(comparisons) if word == "DATA" else word for word in arguments), "--out", str(out)])
    assert caught.value.code == 2
    assert message in capsys.readouterr().err.splitlines()[-1]
    assert not out.exists()
