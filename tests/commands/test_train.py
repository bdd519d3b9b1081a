"""`textenv train`, as a user starts it, and the run it leaves."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from transformers import AutoModelForCausalLM

from textenv.checkpoint import load_state
from textenv.cli import main
from textenv.models.loading import toy_causal_lm, toy_tokenizer
from textenv.models.policy import LanguagePolicy
from textenv.reports.loading import load_run

SMALL = "--episodes 32 --episodes-per-update 16 --group-size 4 --minibatch-size 8 --eval-prompts 2 --num-envs 16 --seed 5".split()


def textenv(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    environ = {**os.environ, "COLUMNS": "160"}  # so that no table is folded
    return subprocess.run([sys.executable, "-m", "textenv", *arguments], cwd=cwd, env=environ, text=True, capture_output=True)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run trained by the command line."""
    folder = tmp_path_factory.mktemp("cli")
    done = textenv("train", "TextCopy-v0", *SMALL, "--learning-rate", "0.003", cwd=folder)
    assert done.returncode == 0, done.stderr
    # Messages, without a progress bar, and apart from them the results.
    messages = done.stderr.splitlines()
    assert messages.pop(0) == "Writing to runs/TextCopy-v0-ppo-5/."
    assert messages[0] == "TextCopy-v0: measuring the policy before training (32 episodes) …"
    assert messages[-1].endswith("Written to runs/TextCopy-v0-ppo-5/.")
    assert all(line.startswith("collapse alarm: ") or re.match(r"\d+/32 episodes  score -?\d", line) for line in messages[1:-1])
    assert any(line.startswith("32/32 episodes  score ") for line in messages)
    assert "best of 16" in done.stdout
    assert "\x1b" not in done.stdout + done.stderr
    return folder / "runs" / "TextCopy-v0-ppo-5"


def test_the_summary_is_printed_as_json(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "train.toml").write_text("seed = 5\nepisodes = 32\neval_prompts = 2\nnum_envs = 16\n[algorithm]\nlearning_rate = 0.003\n")
    main(["train", "TextCopy-v0", "--config", "train.toml", *SMALL[2:8], "--out", "again", "--json"])
    printed = json.loads(capsys.readouterr().out)
    written = json.loads((tmp_path / "again" / "summary.json").read_text())
    assert printed == {name: value for name, value in written.items() if name != "versions"}
    first = json.loads((run / "summary.json").read_text())
    # The same options, half of them from a file; other threads may sum in another order.
    assert printed["table"]["after"]["kl_exact"] == pytest.approx(first["table"]["after"]["kl_exact"], rel=1e-4)
    assert (printed["seed"], printed["episodes"], printed["tokens"]) == (5, 32, first["tokens"])


def test_files_of_a_run(run: Path) -> None:
    expected = "checkpoint config.json episodes evaluation metrics.csv model report.html summary.json"
    assert {path.name for path in run.iterdir()} == set(expected.split())
    assert [path.name for path in sorted((run / "episodes").iterdir())] == ["part-00001.parquet", "part-00002.parquet"]
    assert {path.suffix for path in run.rglob("*") if path.is_file()} == {".csv", ".html", ".json", ".md", ".parquet", ".safetensors"}
    config = json.loads((run / "config.json").read_text())
    assert (config["env"], config["seed"], config["episodes"], config["num_envs"]) == ("TextCopy-v0", 5, 32, 16)
    assert (config["algorithm"]["group_size"], config["algorithm"]["learning_rate"]) == (4, 0.003)
    assert load_state(run / "checkpoint")["updates"] == 2


def test_metrics_of_a_run(run: Path) -> None:
    metrics = pd.read_csv(run / "metrics.csv")
    columns = "update episodes score reward kl_k1 kl_k2 kl_k3 kl_coef entropy length learning_rate explained_variance optimiser_steps"
    columns += " policy_loss value_loss approx_kl clip_fraction grad_norm distinct2 seconds tokens_per_second alarm"
    assert list(metrics) == columns.split()
    assert metrics["episodes"].tolist() == [16, 32]
    assert metrics["optimiser_steps"].tolist() == [2, 2]
    assert metrics["score"].between(0, 1).all()
    assert (metrics["seconds"] > 0).all()


def test_summary_of_a_run(run: Path) -> None:
    def refuse(constant: str) -> Any:
        raise ValueError(f"{constant} is not JSON")

    summary = json.loads((run / "summary.json").read_text(), parse_constant=refuse)
    promised = "env agent model reward seed episodes tokens train_seconds score_before score_after judge_before judge_after"
    promised += " kl_k1 kl_exact distinct2_before distinct2_after versions"
    assert set(promised.split()) <= set(summary)
    assert (summary["env"], summary["agent"], summary["seed"], summary["episodes"]) == ("TextCopy-v0", "ppo", 5, 32)
    assert 32 <= summary["tokens"] <= 4 * 32
    assert summary["kl_exact"] > 0
    assert set(summary["versions"]) >= {"python", "textenv", "torch", "transformers", "gymnasium"}


def test_the_model_of_a_run_loads_both_ways(run: Path) -> None:
    policy = LanguagePolicy.from_pretrained(run / "model")
    model = AutoModelForCausalLM.from_pretrained(run / "model").eval()
    tokens = torch.tensor([[-1, 0, 1, 3, 1, 0, 4, -1], [2, 1, 0, 3, 2, 2, 2, 2]])
    with torch.no_grad():
        log_probs, _ = policy.response_log_probs(tokens, 4)
        for row, found in zip(tokens, log_probs, strict=True):
            ids = row[row >= 0]
            table = torch.log_softmax(model(input_ids=ids[None]).logits[0], -1)
            start = int((row[:4] >= 0).sum())
            expected = [table[t - 1, ids[t]].item() for t in range(start, len(ids))]
            assert found[: len(expected)].tolist() == pytest.approx(expected, abs=1e-5)
    start_weights = toy_causal_lm(toy_tokenizer("abc>"), 8).state_dict()
    assert any(not torch.equal(value, start_weights[name]) for name, value in model.state_dict().items())
    state = load_state(run / "checkpoint")["policy"]
    assert torch.equal(state["model.transformer.wte.weight"], model.state_dict()["transformer.wte.weight"])


def test_an_existing_run_is_refused(run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    before = {path: path.stat().st_mtime_ns for path in run.rglob("*")}
    monkeypatch.chdir(run.parent.parent)
    with pytest.raises(SystemExit) as caught:
        main(["train", "TextCopy-v0", *SMALL, "--out", "runs/TextCopy-v0-ppo-5"])
    assert caught.value.code == 2
    shown = capsys.readouterr().err
    assert shown == "textenv: runs/TextCopy-v0-ppo-5 exists already; go on with --resume, choose another --out or remove it.\n"
    main(["train", "TextCopy-v0", *SMALL])
    assert capsys.readouterr().err.startswith("Writing to runs/TextCopy-v0-ppo-5-2/.\n")
    assert len(load_run(run.with_name("TextCopy-v0-ppo-5-2")).metrics) == 2
    assert {path: path.stat().st_mtime_ns for path in run.rglob("*")} == before
