"""`textenv frontier`: it trains what is missing, and measures what is there."""

import csv
import json
import math
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import textenv
from textenv.agents.ppo import PPOConfig
from textenv.cli import main
from textenv.commands.frontier import FrontierConfig
from textenv.commands.players import PlayerConfig, load_player
from textenv.errors import ArgumentError
from textenv.options import for_env, read_options
from textenv.reports.evaluation import measure, summarise
from textenv.training import for_agent

SMALL = "--betas 0.02 0.5 --seeds 2 --episodes 128 --episodes-per-update 64 --minibatch-size 32 --learning-rate 0.01 --eval-prompts 2"
COMMAND = ["frontier", "TextCopy-v0", *SMALL.split(), "--num-envs", "64"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A frontier."""
    out = tmp_path_factory.mktemp("frontier") / "out"
    main([*COMMAND, "--out", str(out)])
    return out


def points(folder: Path) -> list[dict[str, Any]]:
    with (folder / "frontier.csv").open(newline="", encoding="utf-8") as handle:
        return list(csv.DictReader(handle))


def written(folder: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in folder.rglob("runs/*/*")}


def test_files(folder: Path) -> None:
    assert {path.name for path in folder.iterdir()} == {"runs", "frontier.csv", "frontier.png", "frontier.svg"}
    runs = {path.name: json.loads((path / "summary.json").read_text()) for path in (folder / "runs").iterdir()}
    assert set(runs) == {f"beta-{beta}-seed-{seed}" for beta in ("0.02", "0.5") for seed in (0, 1)}
    config = json.loads((folder / "runs" / "beta-0.5-seed-1" / "config.json").read_text())
    assert (config["seed"], config["algorithm"]["kl_coef"], config["algorithm"]["learning_rate"], config["episodes"]) == (1, 0.5, 0.01, 128)
    assert (folder / "frontier.png").read_bytes().startswith(b"\x89PNG")
    assert "<svg" in (folder / "frontier.svg").read_text(encoding="utf-8")


def test_points(folder: Path) -> None:
    found = points(folder)
    base, *trained = (point for point in found if point["kind"] in ("base", "trained"))
    assert [(point["beta"], point["seed"]) for point in trained] == [("0.02", "0"), ("0.02", "1"), ("0.5", "0"), ("0.5", "1")]
    assert (base["n"], trained[0]["n"], float(base["kl_exact"])) == ("256", "32", 0.0)  # of two prompts
    best = [point for point in found if point["kind"] == "best_of_n"]
    assert [int(point["best_of"]) for point in best] == list(range(1, 65))
    assert float(best[0]["score"]) == pytest.approx(float(base["score"]))
    assert float(best[63]["kl_exact"]) == pytest.approx(math.log(64) - 63 / 64)
    scores = [float(point["score"]) for point in best]
    assert scores == sorted(scores)
    weighted = [point for point in found if point["kind"] == "reweighted"]
    assert {0.02, 0.5} <= {float(point["beta"]) for point in weighted}


def test_a_point_is_a_measured_run(folder: Path) -> None:
    policy, reference, envs = load_player(PlayerConfig(policy=str(folder / "runs" / "beta-0.02-seed-1"), env="TextCopy-v0"), 64)
    (point,) = (point for point in points(folder) if (point["beta"], point["seed"]) == ("0.02", "1"))
    prompts = np.random.default_rng(0).permutation(len(envs.unwrapped.prompts))[:2]
    row = summarise(measure(policy, reference, envs, np.repeat(prompts, 16), seed=1))
    assert float(point["score"]) == row["score"]
    assert float(point["kl_exact"]) == pytest.approx(row["kl_exact"])
    assert row["kl_exact"] > 0.01


def test_what_is_finished_is_not_repeated(folder: Path, tmp_path: Path, call: Callable[..., str]) -> None:
    shutil.copytree(folder, tmp_path / "out")
    unfinished = tmp_path / "out" / "runs" / "beta-0.5-seed-0"
    (unfinished / "summary.json").unlink()
    before = written(tmp_path / "out")
    shown = json.loads(call(*COMMAND, "--out", str(tmp_path / "out"), "--json"))
    after = written(tmp_path / "out")
    assert {path.parent.name for path in after if before.get(path) != after[path]} == {"beta-0.5-seed-0"}
    assert points(tmp_path / "out") == points(folder)
    assert [point["kind"] for point in shown] == [point["kind"] for point in points(folder)]
    assert shown[1]["score"] == float(points(folder)[1]["score"])


def test_the_table_names_the_points(folder: Path, call: Callable[..., str]) -> None:
    shown = call(*COMMAND, "--out", str(folder))
    names = ["base", *(f"β {beta}, seed {seed}" for beta in ("0.02", "0.5") for seed in (0, 1))]
    names += ["best of 4", "best of 16", "best of 64", "exp(score/0.02)", "exp(score/0.5)"]
    assert [line for name in names for line in shown.splitlines() if line.startswith(f"{name} ")] == shown.splitlines()[1 : 1 + len(names)]


def test_runs_of_other_options_are_refused(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = written(folder)
    with pytest.raises(SystemExit) as caught:
        main([*COMMAND, "--out", str(folder), "--episodes", "64"])
    assert caught.value.code == 2
    assert (
        "beta-0.02-seed-0 was started with --episodes 128, not 64; go on with the former or choose another --out."
        in capsys.readouterr().err
    )
    assert written(folder) == before


def test_a_coefficient_beside_the_betas_is_refused() -> None:
    with pytest.raises(ArgumentError, match="kl_coef is what betas lists; give betas alone"):
        FrontierConfig(env="TextCopy-v0", algorithm=PPOConfig(kl_coef=0.5))


def test_a_frontier_trains_as_the_environment_says_but_for_the_betas() -> None:
    own = {"episodes": 48, "kl_coef": 0.01, "learning_rate": 1e-4}
    textenv.register("Suited-v0", prompts=["a"], reward="tiny-sentiment", training=own)
    words = ["Suited-v0"]
    made = for_env(for_agent(FrontierConfig, "ppo"), words)
    run = read_options("frontier", made, words)[0].run_of(0.02, 0)
    assert (run.episodes, run.algorithm.learning_rate, run.algorithm.kl_coef) == (48, 1e-4, 0.02)
