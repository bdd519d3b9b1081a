"""`textenv eval`: its numbers against those of the episodes themselves."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from textenv.commands.eval import EvalConfig, evaluate
from textenv.commands.players import PlayerConfig, load_player
from textenv.envs.exact import ExactMDP

MEASURES = "score kl_k1 kl_k2 kl_k3 kl_exact length distinct2 perplexity".split()


def test_a_run_is_measured_against_its_start(run: Path, call: Callable[..., str]) -> None:
    row = json.loads(call("eval", str(run), "TextCopy-v0", "--episodes", "2160", "--json"))
    assert (row["policy"], row["env"], row["seed"], row["n"]) == (str(run), "TextCopy-v0", 0, 2160)
    assert set(row) == {"policy", "env", "seed", "n", *MEASURES, *(f"{name}_se" for name in MEASURES)}  # without a judge
    policy, reference, envs = load_player(PlayerConfig(policy=str(run), env="TextCopy-v0"), 1)
    truth = ExactMDP(envs.unwrapped.rules, reference).evaluate(policy, 0.0)
    assert row["score"] == pytest.approx(truth.score, abs=4 * row["score_se"])
    for name in ("kl_k1", "kl_k3", "kl_exact"):
        assert row[name] == pytest.approx(truth.kl, abs=4 * row[f"{name}_se"])
    assert truth.kl > 0.05
    assert all(row[f"{name}_se"] > 0 for name in ("score", "kl_k1", "kl_exact", "length", "perplexity"))


def test_an_evaluation_repeats_itself(run: Path) -> None:
    one, two, other = (evaluate(EvalConfig(policy=str(run), env="TextCopy-v0", episodes=50, seed=seed)) for seed in (1, 1, 2))
    assert one == two
    assert one["score"] != other["score"]


def test_against_itself_the_kl_is_zero(run: Path) -> None:
    model = str(run / "model")
    for config in (EvalConfig(policy=model, env="TextCopy-v0"), EvalConfig(policy=str(run), env="TextCopy-v0", reference=model)):
        row = evaluate(config)
        assert [row[name] for name in ("n", "kl_exact")] == [512, 0.0]
        assert row["kl_k1"] == pytest.approx(0, abs=1e-5)


def test_prompts_are_played_evenly(run: Path) -> None:
    errors = [evaluate(EvalConfig(policy=str(run), env="TextCopy-v0", episodes=36 * times, num_envs=16))["score_se"] for times in (1, 4)]
    assert np.isfinite(errors).all()
    assert errors[1] < errors[0]


def test_a_row_a_measure_with_its_error(run: Path, call: Callable[..., str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    shown = call("eval", str(run), "TextCopy-v0", "--episodes", "72")
    row = evaluate(EvalConfig(policy=str(run), env="TextCopy-v0", episodes=72))
    (line,) = (line for line in shown.splitlines() if "exact by state" in line)
    assert [float(cell) for cell in line.strip("│").split("│")[1:]] == pytest.approx([row["kl_exact"], row["kl_exact_se"]], abs=5e-4)
    assert "cluster-robust" in shown
    assert "n = 72 episodes" in shown


def test_the_judge_is_asked() -> None:
    row = evaluate(EvalConfig(policy="tiny-en", env="TextSentiment-v0", episodes=16))
    assert 0 < row["judge"] < 1
    assert row["positive"] in [n / 16 for n in range(17)]
    assert row["perplexity"] > 5
