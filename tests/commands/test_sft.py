"""`textenv sft`: its folder is a model's name, and what cannot be used is refused before anything is learnt."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from textenv.cli import main
from textenv.commands.fitting import StartConfig
from textenv.errors import ArgumentError
from textenv.models.policy import LanguagePolicy


@pytest.fixture
def data(tmp_path: Path) -> Path:
    file = tmp_path / "data.jsonl"
    rows = [{"prompt": f"{a}{b}>", "response": a + b} for a in "abc" for b in "abc"]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return file


def test_a_model_is_fine_tuned_and_plays(
    run: Path, data: Path, tmp_path: Path, call: Callable[..., str], capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "runs" / "sft"
    options = (
        "--epochs",
        "20",
        "--batch-size",
        "4",
        "--learning-rate",
        "0.01",
        "--held-out",
        "0.3",
        "--model",
        str(run),
        "--out",
        str(out),
    )
    capsys.readouterr()
    main(["sft", str(data), *options, "--json"])
    printed = capsys.readouterr()
    summary = json.loads(printed.out)
    assert printed.err.splitlines()[-1].startswith(f"Written to {out}; it is what --model {out} takes.")
    assert summary == json.loads((out / "summary.json").read_text())
    assert summary["examples"] + summary["held_out"] == 9
    assert summary["held_out_loss_after"] < summary["held_out_loss_before"]
    config = json.loads((out / "config.json").read_text())
    assert (config["model"], config["fitting"]["epochs"]) == (str(run), 20)
    assert (out / "metrics.csv").read_text().startswith("step,epoch,learning_rate,seconds,held_out_loss,held_out_bits_per_byte,loss\n")
    start, tuned = LanguagePolicy.from_pretrained(run), LanguagePolicy.from_pretrained(out)
    assert torch.equal(tuned.value_head.weight, start.value_head.weight)
    assert json.loads(call("eval", str(out), "TextCopy-v0", "--episodes", "72", "--json"))["kl_exact"] > 0  # to what it started from
    assert len(json.loads(call("sample", str(out), "TextCopy-v0", "--n", "3", "--json"))) == 3
    with pytest.raises(SystemExit):
        main(["sft", str(data), *options])
    assert capsys.readouterr().err == f"textenv: {out} exists already; choose another --out or remove it.\n"


def test_adapters_are_merged_and_cut_texts_told(
    run: Path, tmp_path: Path, call: Callable[..., str], capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "texts.txt"
    file.write_text("ab>ab\nbc>bc\ncb>cb\n")
    options = ("--epochs", "2", "--held-out", "0", "--model", str(run))
    shown = call("sft", str(file), *options, "--lora-rank", "2", "--out", str(tmp_path / "one"))
    assert "examples" in shown
    LanguagePolicy.from_pretrained(tmp_path / "one")
    (tmp_path / "rows.jsonl").write_text('{"prompt": "ab>", "response": "abcabc"}\n')
    main(["sft", str(tmp_path / "rows.jsonl"), *options, "--max-new-tokens", "4", "--out", str(tmp_path / "two")])
    assert "0 prompts lost their beginning, and 1 responses end without the end of text." in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere.jsonl"], "data: there is no file nowhere.jsonl."),
        (["DATA", "--model", "no-such-model"], '"no-such-model" is no embedded model'),
        (["DATA", "--lora-rank", "0"], "--lora-rank must be at least 1, got 0; leave it out to train all weights."),
        (["DATA", "--held-out", "0.001"], "9 examples of 9 texts are too few to hold out 0.001 of them"),
    ],
)
def test_what_cannot_be_used_is_refused(
    arguments: list[str], message: str, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    with pytest.raises(SystemExit) as caught:
        main(["sft", *(str(data) if word == "DATA" else word for word in arguments), "--out", str(out)])
    assert caught.value.code == 2
    assert message in capsys.readouterr().err.splitlines()[-1]
    assert not out.exists()


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_cuda_without_a_gpu_is_refused() -> None:
    with pytest.raises(ArgumentError, match="torch sees no GPU; use device=cpu"):
        StartConfig(device="cuda")
