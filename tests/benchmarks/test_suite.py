"""The suite: what is measured, how it is shown, and that page and cards show what was measured."""

import contextlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import textenv
from benchmarks.harness import END, START
from benchmarks.suite import PAGE, RESULTS, card_line, histogram, main, markdown, mean_and_error, merge, not_improved
from benchmarks.suite import with_card_line as replaced
from textenv.envs.registry import BUILT_IN, card
from textenv.errors import ArgumentError

MEASURED = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.is_file() else {}
needs_results = pytest.mark.skipif(not MEASURED, reason="nothing is measured yet")


def row(score: float, judge: float | None = None) -> dict[str, float]:
    own = {} if judge is None else {"judge": judge, "judge_se": 0.004}
    return {"score": score, "score_se": 0.01, "distinct2": 0.5, "distinct2_se": 0.02, "kl_k1": 3.0, "kl_k1_se": 0.1, "kl_exact": 2.0, **own}


def record(*afters: float, judge: float | None = None) -> dict[str, Any]:
    runs = [
        {"seed": seed, "seconds": 10.0 + seed, "before": row(0.5, judge), "after": row(after, judge)} for seed, after in enumerate(afters)
    ]
    bins = {"mean": 0.4567, "low": 0, "high": 1, "percent": [1, 2, 3, 4, 5, 6, 7, 8, 9, 55]}
    return {"device": "a machine", "threads": 2, "versions": {}, "episodes": 12_288, "runs": runs, "histogram": bins}


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the command writes of two short runs."""
    out = tmp_path_factory.mktemp("suite") / "suite.json"
    with contextlib.suppress(SystemExit):  # so short a training need not have improved anything
        main(only=("TextCopy-v0",), seeds=2, episodes=512, out=out)
    results: dict[str, dict[str, Any]] = json.loads(out.read_text(encoding="utf-8"))
    assert list(results) == ["TextCopy-v0"]
    return results["TextCopy-v0"]


def test_an_environment_is_measured_before_and_after(measured: dict[str, Any]) -> None:
    assert {"device", "threads", "versions"} <= set(measured)
    assert measured["versions"]["textenv"]
    assert measured["episodes"] == 512
    assert [run["seed"] for run in measured["runs"]] == [0, 1]
    for run in measured["runs"]:
        assert run["seconds"] > 0
        assert (run["before"]["n"], run["before"]["kl_exact"]) == (576, 0.0)
        assert run["after"]["kl_exact"] > 0
        assert {"score_se", "distinct2", "kl_k1"} <= set(run["after"])
    bins = measured["histogram"]
    means = [run["before"]["score"] for run in measured["runs"]]
    assert bins["mean"] == pytest.approx(np.mean(means))
    assert (bins["low"], bins["high"], len(bins["percent"])) == (0, 1, 10)


def test_bins_are_those_of_the_scores() -> None:
    unit = histogram([0.0, 0.09, 0.11, 0.95, 1.0])
    assert (unit["low"], unit["high"], unit["percent"]) == (0, 1, [40, 20, 0, 0, 0, 0, 0, 0, 0, 40])
    assert histogram([0.22, 0.48])["percent"] == [0, 0, 50, 0, 50, 0, 0, 0, 0, 0]
    wide = histogram([-2.04, 0.5, 4.01])
    assert (wide["low"], wide["high"]) == (-2.1, 4.1)
    assert sum(wide["percent"]) == 99  # three thirds, rounded
    assert wide["percent"][0] == wide["percent"][9] == 33


def test_results_of_other_ids_are_kept(tmp_path: Path) -> None:
    file = tmp_path / "new" / "suite.json"
    merge(file, {"B-v0": record(0.6), "A-v0": record(0.7)})
    assert list(merge(file, {"B-v0": record(0.9)})) == ["A-v0", "B-v0"]
    assert json.loads(file.read_text()) == {"A-v0": record(0.7), "B-v0": record(0.9)}


def test_errors_are_over_prompts_with_one_seed_and_over_seeds_with_several() -> None:
    assert mean_and_error(record(0.8), "after", "score") == (0.8, 0.01)
    mean, error = mean_and_error(record(0.7, 0.8, 0.9), "after", "score")
    assert [mean, error] == pytest.approx([0.8, 0.1 / 3**0.5])
    for without in (record(0.8), record(0.8, 0.9)):
        assert np.isnan(mean_and_error(without, "after", "judge")).all()


def test_table() -> None:
    lines = markdown({"A-v0": record(0.8), "B-v0": record(0.7, 0.9, judge=0.25)}).splitlines()
    assert lines[2] == "| `A-v0` | 0.500 ±0.010 | 0.800 ±0.010 |  |  | 3.00 ±0.10 | 2.00 | 0.50 ±0.02 | 0.50 ±0.02 | 12,288 | 10 |"
    assert lines[3].startswith("| `B-v0` | 0.500 ±0.000 | 0.800 ±0.100 | 0.250 ±0.000 | 0.250 ±0.000 | 3.00 ±0.00 |")
    assert lines[-1] == "| `B-v0` | 1 2 3 4 5 6 7 8 9 55 | 0 | 1 | a machine, 2 threads | 2 |"
    assert len({line.count("|") for line in lines[:4]}) == 1


def test_what_did_not_rise_is_told() -> None:
    results = {"A-v0": record(0.8), "B-v0": record(0.4), "C-v0": record(0.6, judge=0.25)}
    assert not_improved(results) == ["B-v0: score 0.500 before, 0.400 after.", "C-v0: judge 0.250 before, 0.250 after."]


def test_a_card_gets_its_line_once() -> None:
    line = card_line(record(0.8))
    assert line == "Before training: mean 0.46; ten bins from 0 to 1 in percent: 1 2 3 4 5 6 7 8 9 55."
    module = '"""A-v0: x.\n\nRewards:\n    Some,\n    in two lines.\n\nEpisode End:\n    Now.\n"""\nx = 1\n'
    written = replaced(module, "Before training: old.")
    assert written == module.replace("two lines.\n", "two lines.\n    Before training: old.\n")
    assert replaced(written, line) == module.replace("two lines.\n", f"two lines.\n    {line}\n")
    with pytest.raises(ValueError, match="no section"):
        replaced("x = 1", line)


def test_failures_are_told_at_the_end(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ArgumentError, match="Did you mean"):
        main(only=("TextCopie-v0",), out=tmp_path / "suite.json")
    textenv.register("Fails-v0", prompts=["a"], reward=lambda completions: [None])
    with pytest.raises(SystemExit) as stopped:
        main(only=("Fails-v0",), episodes=8, out=tmp_path / "suite.json")
    assert stopped.value.code == 1
    assert capsys.readouterr().out.splitlines()[-1].startswith("Fails-v0: The reward <lambda> returned")
    assert not (tmp_path / "suite.json").exists()


# What is measured and what is shown of it


@needs_results
def test_every_environment_is_measured() -> None:
    assert set(MEASURED) == set(BUILT_IN)


@needs_results
def test_the_page_shows_what_was_measured() -> None:
    shown = PAGE.read_text(encoding="utf-8").partition(START)[2].partition(END)[0]
    assert shown.strip() == markdown(MEASURED)


@pytest.mark.parametrize("id", sorted(MEASURED))
def test_cards_tell_the_scores_before_training(id: str) -> None:
    assert f"\n    {card_line(MEASURED[id])}\n\nEpisode End:" in card(id)
