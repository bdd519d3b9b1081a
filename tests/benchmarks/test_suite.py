"""The suite: what is measured, how it is shown, and that page and cards show what was measured."""

import contextlib
import json
import math
import re
import shutil
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pandas as pd
import pytest

import textenv
from benchmarks import suite
from benchmarks.harness import END, START
from benchmarks.suite import PAGE, RESULTS, histogram, main, measure_run, merge, optimum, run_config
from benchmarks.suite_page import (
    QUOTED,
    card_line,
    change,
    mean_and_error,
    not_improved,
    page_part,
    quotes,
    returns,
    rises,
    tables,
    texts_to_read,
    write_page,
)
from benchmarks.suite_page import with_card_line as replaced
from textenv.commands.players import Player, PlayerConfig, load_player
from textenv.envs.exact import ExactMDP
from textenv.envs.registry import BUILT_IN, card
from textenv.errors import ArgumentError
from textenv.models.policy import LanguagePolicy
from textenv.reports.evaluation import measure, reweighted, standard_error
from textenv.rollouts.collect import collect

MEASURED = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.is_file() else {}
needs_results = pytest.mark.skipif(not MEASURED, reason="nothing is measured yet")


def row(score: float, judge: float | None = None, stranger: float | None = None) -> dict[str, float]:
    own = {"score": score, "score_se": 0.01, "distinct2": 0.5, "distinct2_se": 0.02, "kl_k1": 3.0, "kl_k1_se": 0.1, "kl_exact": 2.0}
    others = {"judge": judge, "stranger": stranger}
    taken = {name: value for name, value in others.items() if value is not None}
    return {**own, **taken, **{f"{name}_se": 0.01 for name in taken}}


def record(*afters: float, judge: tuple[float, float] | None = None, stranger: tuple[float, float] | None = None) -> dict[str, Any]:
    """Results with a run per score after training; judge and stranger are those before and after."""
    sides = [(judge or (None, None))[side] for side in (0, 1)], [(stranger or (None, None))[side] for side in (0, 1)]
    runs = [
        {
            "seed": seed,
            "episodes": 12_288,
            "seconds": 10.0 + seed,
            "before": row(0.5, sides[0][0], sides[1][0]),
            "after": row(after, sides[0][1], sides[1][1]),
            "best": row(0.9, sides[0][1]),
            "errors": {"score": 0.02, "judge": 0.03, "stranger": 0.04},
            "attainable": {"beta": 0.05, "reference": 0.5, "optimum": 0.9, "half": 0.8, "prompts": 64, "samples": 64},
        }
        for seed, after in enumerate(afters)
    ]
    bins = {"mean": 0.4567, "low": 0, "high": 1, "percent": [1, 2, 3, 4, 5, 6, 7, 8, 9, 55]}
    sides_of_text = {"before": {"completion": " a *b*", "score": 0.25}, "after": {"completion": " c\nd", "score": 0.5}}
    texts = [{"prompt": f"p{i}", **sides_of_text} for i in range(9)]
    return {"device": "a machine", "threads": 2, "versions": {}, "runs": runs, "histogram": bins, "texts": texts}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the command writes of two short runs."""
    folder = tmp_path_factory.mktemp("suite")
    with contextlib.suppress(SystemExit):  # so short a training need not have improved anything
        main(only=("TextCopy-v0",), seeds=2, episodes=512, out=folder / "suite.json", runs=folder / "runs")
    return folder


@pytest.fixture
def measured(folder: Path) -> dict[str, Any]:
    results: dict[str, dict[str, Any]] = json.loads((folder / "suite.json").read_text(encoding="utf-8"))
    assert list(results) == ["TextCopy-v0"]
    return results["TextCopy-v0"]


# What is measured


def test_an_environment_is_measured_before_and_after(measured: dict[str, Any]) -> None:
    assert {"device", "threads", "versions"} <= set(measured)
    assert measured["versions"]["textenv"]
    assert [run["seed"] for run in measured["runs"]] == [0, 1]
    for run in measured["runs"]:
        assert run["episodes"] == 512
        assert run["seconds"] > 0
        assert (run["before"]["n"], run["before"]["kl_exact"]) == (576, 0.0)
        assert run["after"]["kl_exact"] > 0
        assert run["best"]["score"] > run["before"]["score"]
        assert {"score_se", "distinct2", "kl_k1"} <= set(run["after"])
        assert list(run["errors"]) == ["score"]
    bins = measured["histogram"]
    means = [run["before"]["score"] for run in measured["runs"]]
    assert bins["mean"] == pytest.approx(np.mean(means))
    assert (bins["low"], bins["high"], len(bins["percent"])) == (0, 1, 10)


def test_the_error_of_a_change_is_paired_by_prompt(folder: Path, measured: dict[str, Any]) -> None:
    run = textenv.load_run(folder / "runs" / "TextCopy-v0-0").episodes
    means = run.groupby(["phase", "prompt"])["score"].mean()
    changes = means["after"] - means["before"]
    assert len(changes) == 36
    assert measured["runs"][0]["errors"]["score"] == pytest.approx(changes.std() / len(changes) ** 0.5)


def test_a_suite_goes_on_where_it_stopped(folder: Path, measured: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    """A finished run is not done again, one that lacks its measures is only measured, and others are trained."""
    runs = folder / "runs"
    (runs / "TextCopy-v0-1" / suite.MEASURED).unlink()
    with contextlib.suppress(SystemExit):
        main(only=("TextCopy-v0",), seeds=3, episodes=512, out=folder / "suite.json", runs=runs)
    said = " ".join(capsys.readouterr().err.split())
    assert said.count("is finished already") == 2
    assert said.count("Trained on 512 episodes") == 1
    again = json.loads((folder / "suite.json").read_text(encoding="utf-8"))["TextCopy-v0"]
    assert [run["seed"] for run in again["runs"]] == [0, 1, 2]
    assert again["runs"][:2] == measured["runs"]
    with pytest.raises(ArgumentError, match="started with episodes=512, not 256"):
        measure_run(run_config("TextCopy-v0", 0, runs / "TextCopy-v0-0", 256))


def test_a_run_is_measured_anew_where_the_measures_have_changed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = run_config("TextCopy-v0", 0, folder / "runs" / "TextCopy-v0-0", 512)
    file = folder / "runs" / "TextCopy-v0-0" / suite.MEASURED
    stored = file.read_text(encoding="utf-8")
    marked = {**json.loads(stored), "episodes": -1}
    file.write_text(json.dumps(marked), encoding="utf-8")
    assert measure_run(config) == marked  # which is only read
    monkeypatch.setattr(suite, "MEASURED_BY", "other")
    again = measure_run(config)
    assert again == json.loads(file.read_text(encoding="utf-8")) == {**json.loads(stored), "measured_by": again["measured_by"]}
    assert again["measured_by"] != marked["measured_by"]
    file.write_text(stored, encoding="utf-8")


def test_a_run_of_other_code_is_refused(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runs = folder / "runs"
    config = run_config("TextCopy-v0", 0, runs / "TextCopy-v0-0", 512)
    with monkeypatch.context() as changed:
        changed.setattr(suite, "code_of", lambda id: "other")
        with pytest.raises(ArgumentError, match=r"TextCopy-v0-0 was trained with other code or assets than there are now; remove it"):
            measure_run(config)
    assert measure_run(config)["episodes"] == 512
    shutil.copytree(runs / "TextCopy-v0-0", tmp_path / "alone")
    with pytest.raises(ArgumentError, match="alone was trained with other code"):  # of which nobody knows
        measure_run(run_config("TextCopy-v0", 0, tmp_path / "alone", 512))
    suite.check_code(tmp_path / "new", "some")
    suite.check_code(tmp_path / "new", "later")  # nothing was trained in between
    assert (tmp_path / "new.code").read_text(encoding="utf-8") == "later\n"


def test_results_are_kept_after_every_seed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = {**record(0.7)["runs"][0], "scores": [0.0, 1.0], "texts": []}

    def stopped(config: Any) -> Any:
        if config.seed == 1:
            raise KeyboardInterrupt
        return run

    monkeypatch.setattr(suite, "measure_run", stopped)
    with pytest.raises(KeyboardInterrupt):
        main(only=("TextCopy-v0",), out=tmp_path / "suite.json", runs=tmp_path)
    assert len(json.loads((tmp_path / "suite.json").read_text(encoding="utf-8"))["TextCopy-v0"]["runs"]) == 1


def test_the_attainable_of_a_toy_is_exact(measured: dict[str, Any]) -> None:
    envs: Any = gymnasium.make_vec("TextCopy-v0", num_envs=1)
    rules = envs.unwrapped.rules
    mdp = ExactMDP(rules, LanguagePolicy.for_rules(rules))
    attainable = measured["runs"][0]["attainable"]
    assert attainable["beta"] == 0.035
    assert attainable["reference"] == pytest.approx(mdp.evaluate(mdp.reference, 0).score)
    assert attainable["optimum"] == pytest.approx(mdp.solve(0.035).evaluation.objective)
    assert attainable["prompts"] == 36


def test_the_attainable_of_a_toy_is_that_of_the_evaluated_prompts() -> None:
    envs: Any = gymnasium.make_vec("TextCopy-v0", num_envs=1)
    policy = LanguagePolicy.for_rules(envs.unwrapped.rules)
    player = Player(policy, policy, envs)
    mdp = ExactMDP(envs.unwrapped.rules, policy)
    few = suite.attainable(player, np.array([5, 5, 2]), 0.035)
    assert few["optimum"] == pytest.approx(mdp.solve(0.035).values[0][[5, 2]].mean().item())


def test_the_estimated_optimum_nears_the_exact_one_from_below() -> None:
    envs: Any = gymnasium.make_vec("TextReverse-v0", num_envs=256)
    rules = envs.unwrapped.rules
    policy = LanguagePolicy.for_rules(rules)
    exact = ExactMDP(rules, policy).solve(0.2).evaluation.objective
    prompts, samples = len(rules.prompts.texts), 64
    base = measure(policy, policy, envs, np.repeat(np.arange(prompts), samples), seed=0)
    scores = base.episodes.scores.double().numpy().reshape(prompts, samples)
    low, high = optimum(scores[:, :2], 0.2).mean(), optimum(scores, 0.2).mean()
    assert low < exact - 0.02
    assert high == pytest.approx(exact, abs=0.02)
    weighted = reweighted(base, samples, 0.2)
    assert high == pytest.approx(weighted["score"] - 0.2 * weighted["kl_exact"])


def test_the_attainable_of_a_language_model_is_estimated_on_all_prompts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(suite, "SAMPLES", 4)
    monkeypatch.setattr(suite, "AT_ONCE", 8)
    player = load_player(PlayerConfig(policy="tiny-en", env="TextSentiment-v0"), 32)
    bounds = suite.attainable(player, np.repeat(np.arange(20), 16), 0.035)
    assert (bounds["beta"], bounds["prompts"], bounds["samples"]) == (0.035, 20, 4)
    assert bounds["reference"] < bounds["half"] < bounds["optimum"] < 1
    scores = suite.reference_scores(player, np.arange(20))
    assert scores.shape == (20, 4)
    assert len(np.unique(scores)) == 80  # texts of different parts share no draws
    again = collect(player.reference, player.envs, 32, seed=8, prompt_index=np.repeat(np.arange(8, 16), 4))
    assert scores[8:16].ravel() == pytest.approx(again.scores.numpy())
    rooms = optimum(scores, 0.035) - scores.mean(1)
    assert bounds["optimum"] - bounds["reference"] == pytest.approx(rooms.mean())
    assert suite.attainable(player, np.arange(20), 0.0) == {}


def test_the_stranger_reads_what_was_written() -> None:
    player = load_player(PlayerConfig(policy="tiny-en", env="TextDetox-v0"), 1)
    frame = pd.DataFrame({"prompt_index": [0, 0, 1], "completion": [" Have a good day.", " damn shit", ""]})
    scores = suite.ask_stranger("TextDetox-v0", player, frame)
    assert list(scores) == ["stranger", "stranger_polite", "stranger_close"]
    assert scores["stranger_polite"][0] > 0.9 > 0.1 > scores["stranger_polite"][1]
    assert scores["stranger"] == pytest.approx(scores["stranger_polite"] * scores["stranger_close"])
    assert suite.ask_stranger("TextCopy-v0", player, frame) == {}


def test_a_stranger_speaks_only_where_its_question_makes_sense() -> None:
    player = load_player(PlayerConfig(policy="tiny-assistant", env="TextBias-v1"), 1)
    better = player.envs.unwrapped.rules.prompts.columns["better"]
    silent = better.index(next(filter(None, better)))
    first, second = (index for index, name in enumerate(better) if not name and index < 2)
    texts = [" I cannot tell.", " Ruth.", " Ruth.", " Both.", " Nora."]
    frame = pd.DataFrame({"prompt_index": [first, first, silent, second, silent], "completion": texts})
    scores = suite.ask_stranger("TextBias-v1", player, frame)["stranger"]
    assert scores == pytest.approx([1, 0, np.nan, 1, np.nan], nan_ok=True)
    mean, error = suite.mean_of_spoken(pd.Series(scores), frame["prompt_index"])
    assert mean == pytest.approx(2 / 3)
    assert error == pytest.approx(standard_error(np.array([1.0, 0, 1]), np.array([0, 0, 1])))
    unspoken = suite.ask_stranger("TextBias-v1", player, frame.loc[[2, 4]].reset_index(drop=True))["stranger"]
    assert np.isnan(unspoken).all()
    assert np.isnan(suite.mean_of_spoken(pd.Series(unspoken), frame["prompt_index"][:2])).all()


def test_texts_are_chosen_by_lot_and_stand_side_by_side() -> None:
    frames = [
        pd.DataFrame({"prompt": [f"p{i}" for i in range(64)], "completion": when, "score": np.arange(64) / 64, "judge": judge})
        for when, judge in (("before", np.nan), ("after", np.nan))
    ]
    texts = suite.choose_texts(*frames)
    assert texts == suite.choose_texts(*frames)
    prompts = [text["prompt"] for text in texts]
    assert len(set(prompts)) == len(prompts) == suite.TEXTS
    assert prompts != sorted(prompts, key=lambda name: int(name[1:]))
    for text in texts:
        score = round(int(text["prompt"][1:]) / 64, 3)
        assert text["before"] == {"completion": "before", "score": score}
        assert text["after"] == {"completion": "after", "score": score}


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
    assert json.loads(file.read_text(encoding="utf-8")) == {"A-v0": record(0.7), "B-v0": record(0.9)}


def test_failures_are_told_at_the_end(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ArgumentError, match="Did you mean"):
        main(only=("TextCopie-v0",), out=tmp_path / "suite.json", runs=tmp_path)
    with pytest.raises(ArgumentError, match="seeds must be at least 1"):
        main(only=("TextCopy-v0",), seeds=0, out=tmp_path / "suite.json", runs=tmp_path)
    textenv.register("Fails-v0", prompts=["a"], reward=lambda completions: [None])
    with pytest.raises(SystemExit) as stopped:
        main(only=("Fails-v0",), episodes=8, out=tmp_path / "suite.json", runs=tmp_path)
    assert stopped.value.code == 1
    assert capsys.readouterr().out.splitlines()[-1].startswith("Fails-v0: The reward <lambda> returned")
    assert not (tmp_path / "suite.json").exists()


# How it is shown


def test_errors_are_over_prompts_with_one_seed_and_over_seeds_with_several() -> None:
    assert mean_and_error(record(0.8), "after", "score") == (0.8, 0.01)
    mean, error = mean_and_error(record(0.7, 0.8, 0.9), "after", "score")
    assert [mean, error] == pytest.approx([0.8, 0.1 / 3**0.5])
    for without in (record(0.8), record(0.8, 0.9)):
        assert np.isnan(mean_and_error(without, "after", "judge")).all()


def test_a_change_has_two_errors() -> None:
    assert change(record(0.7, 0.8, 0.9), "score") == pytest.approx((0.3, 0.1 / 3**0.5, 0.02))
    assert change(record(0.8), "score") == pytest.approx((0.3, math.nan, 0.02), nan_ok=True)
    assert np.isnan(change(record(0.8), "judge")[0])


@pytest.mark.parametrize(
    ("afters", "verdict"),
    [
        ((0.545,), True),
        ((0.535,), False),  # less than two errors over the prompts
        ((0.53, 0.6, 0.67), True),
        ((0.5, 0.6, 0.75), False),  # less than two errors over the seeds
        ((0.45, 0.45, 0.45), False),
    ],
)
def test_a_measure_rises_by_more_than_two_errors_of_either_kind(afters: tuple[float, ...], verdict: bool) -> None:
    assert rises(record(*afters), "score") == verdict


def test_the_share_of_the_attainable() -> None:
    # J - J_ref = 0.7 - 0.05 x 2 - 0.5 and 0.9 - 0.05 x 2 - 0.5, of 0.9 - 0.5 that can be gained.
    assert returns(record(0.7, 0.9)) == pytest.approx((0.05, 0.5, 0.7, 0.9, 0.8, 0.5, 0.25, False))
    assert returns(record(0.8)).share == pytest.approx(0.5)
    assert np.isnan(returns(record(0.8)).share_error)
    exact = record(0.7, 0.9)
    for run in exact["runs"]:
        del run["attainable"]["half"], run["attainable"]["samples"]
        run["after"]["kl_exact"] = 6.0
    assert np.isnan(returns(exact).half)
    assert returns(exact).share == pytest.approx(0.0, abs=1e-9)
    assert not returns(exact).at_most
    exact["runs"][1]["attainable"] = {}
    assert np.isnan([returns(exact).share, returns(exact).share_error]).all()
    nothing_to_gain = record(0.7)
    nothing_to_gain["runs"][0]["attainable"] |= {"optimum": 0.5}
    assert np.isnan([returns(nothing_to_gain).share, returns(nothing_to_gain).share_error]).all()


def test_the_error_of_a_share_is_the_spread_of_shares() -> None:
    """Of runs whose gain and room depend on the same luck, as both hold J_ref."""
    rng = np.random.default_rng(0)
    shares, errors = [], []
    for _ in range(400):
        lucks = rng.normal(0, 0.05, 8)
        one = record(*(0.8 + 0.5 * lucks + rng.normal(0, 0.01, 8)))
        for run, luck in zip(one["runs"], lucks, strict=True):
            run["attainable"]["optimum"] = 0.9 + luck
        shares.append(returns(one).share)
        errors.append(returns(one).share_error)
    assert np.sqrt(np.mean(np.square(errors))) == pytest.approx(np.std(shares), rel=0.1)


def test_a_share_is_at_most_that_where_the_samples_do_not_reach_so_far() -> None:
    far = record(0.8)
    far["runs"][0]["after"]["kl_exact"] = 4.2  # nats, of which 64 samples show log 64 = 4.16
    assert "| 0.800 | ≤ 0.23 |" in tables({"TextCopy-v0": far})
    far["runs"][0]["after"]["kl_exact"] = 4.1
    assert "| 0.800 | 0.24 |" in tables({"TextCopy-v0": far})
    far["runs"][0]["after"] |= {"kl_exact": 4.2, "score": 0.49}
    assert "| 0.800 | -0.55 |" in tables({"TextCopy-v0": far})  # of which more room would make less


def test_tables() -> None:
    results = {"TextCopy-v0": record(0.8), "TextToxicity-v0": record(0.7, 0.9, judge=(0.25, 0.3), stranger=(0.2, 0.4))}
    changes, room, strangers, bins = (part.splitlines() for part in tables(results).split("\n\n")[1::2])
    assert changes[2] == "| `TextCopy-v0` | 0.500 | 0.800 | +0.300 (-, 0.020) |  |  |  | one seed | 12,288 | 10 |"
    assert changes[3].startswith(
        "| `TextToxicity-v0` | 0.500 | 0.800 | +0.300 (0.100, 0.020) | 0.250 | 0.300 | +0.050 (0.000, 0.030) | **no: judge** |"
    )
    assert room[2].startswith("| `TextCopy-v0` | 0.900 |  | 0.05 | 0.500 | 0.700 | 0.900 | 0.800 | 0.50 | 3.00 ±0.10 | 2.00 |")
    assert room[3].startswith("| `TextToxicity-v0` | 0.900 | 0.300 | 0.05 | 0.500 | 0.700 | 0.900 | 0.800 | 0.50 ±0.25 |")
    assert strangers[2:] == ["| `TextToxicity-v0` | 1 - P(profane) (alt-profanity-check) | 0.200 | 0.400 | +0.200 (0.000, 0.040) | yes |"]
    assert bins[3] == "| `TextToxicity-v0` | 1 2 3 4 5 6 7 8 9 55 | 0 | 1 | a machine, 2 threads | 2 |"
    for table in (changes, room, strangers, bins):
        assert len({line.count("|") for line in table}) == 1


def test_the_parts_of_a_stranger_have_rows_of_their_own() -> None:
    results = {"TextDetox-v0": record(0.8, stranger=(0.2, 0.25))}
    for when, value in (("before", 0.9), ("after", 0.8)):
        results["TextDetox-v0"]["runs"][0][when]["stranger_polite"] = value
    rows = tables(results).split("\n\n")[5].splitlines()[2:]
    assert rows[0].endswith("| 0.200 | 0.250 | +0.050 (-, 0.040) | one seed |")
    assert rows[1] == "|  | of it: polite | 0.900 | 0.800 | -0.100 |  |"


def test_there_is_no_verdict_of_one_seed() -> None:
    stranger = {"stranger": (0.2, 0.25)}
    for seeds, verdicts in (((0.8,), ["one seed", "one seed"]), ((0.8, 0.8), ["yes", "**no**"])):
        changes, strangers = (tables({"TextDetox-v0": record(*seeds, **stranger)}).split("\n\n")[part] for part in (1, 5))
        assert [changes.split(" | ")[-3], strangers.split(" | ")[-1].removesuffix(" |")] == verdicts


def test_what_did_not_rise_is_told() -> None:
    results = {"A-v0": record(0.8), "B-v0": record(0.53), "C-v0": record(0.6, judge=(0.25, 0.25)), "D-v0": record(0.6, stranger=(0.2, 0.1))}
    assert not_improved(results) == ["B-v0: score +0.030 (-, 0.020).", "C-v0: judge +0.000 (-, 0.030)."]


def test_texts_are_quoted_as_they_are() -> None:
    quoted = quotes({"A-v0": record(0.8)})
    assert quoted.startswith("### A-v0\n")
    assert quoted.splitlines()[4] == r"| p0 | a \*b\* [score 0.25] | c / d [score 0.50] |"
    assert len(quoted.splitlines()) == 4 + QUOTED
    assert texts_to_read(record(0.8)).splitlines()[:3] == ["1. p0", "   before [score 0.25]:  a *b*", "   after [score 0.50]:  c"]


def test_texts_can_be_printed(folder: Path, measured: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    assert len(measured["texts"]) == suite.TEXTS
    main(texts="TextCopy-v0", out=folder / "suite.json")
    assert capsys.readouterr().out == texts_to_read(measured) + "\n"
    with pytest.raises(ArgumentError, match="No texts of TextLength-v0"):
        main(texts="TextLength-v0", out=folder / "suite.json")


def test_sentences_written_by_hand_stay(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"| `A-v0` | Learnt much. |\n\n{START}\nold\n{END}\n\nThe end.\n", encoding="utf-8")
    write_page({"A-v0": record(0.8)}, page)
    written = page.read_text(encoding="utf-8")
    assert written == f"| `A-v0` | Learnt much. |\n\n{START}\n\n{page_part({'A-v0': record(0.8)})}\n\n{END}\n\nThe end.\n"
    assert "## Texts before and after" in written


def test_a_card_gets_its_line_once() -> None:
    line = card_line(record(0.8))
    assert line == "Before training: mean 0.46; ten bins from 0 to 1 in percent: 1 2 3 4 5 6 7 8 9 55."
    module = '"""A-v0: x.\n\nRewards:\n    Some,\n    in two lines.\n\nEpisode End:\n    Now.\n"""\nx = 1\n'
    written = replaced(module, "Before training: old.")
    assert written == module.replace("two lines.\n", "two lines.\n    Before training: old.\n")
    assert replaced(written, line) == module.replace("two lines.\n", f"two lines.\n    {line}\n")
    with pytest.raises(ValueError, match="no section"):
        replaced("x = 1", line)


# What is measured and what is shown of it


@needs_results
def test_every_environment_is_measured() -> None:
    assert set(MEASURED) == set(BUILT_IN)


@needs_results
def test_the_page_shows_what_was_measured() -> None:
    shown = PAGE.read_text(encoding="utf-8").partition(START)[2].partition(END)[0]
    assert shown.strip() == page_part(MEASURED)


@needs_results
def test_somebody_wrote_what_every_environment_teaches() -> None:
    written = PAGE.read_text(encoding="utf-8").partition(START)[0]
    rows = re.findall(r"^\| `(\S+)` \| (.+) \|$", written, re.MULTILINE)
    assert sorted(id for id, _ in rows) == sorted(MEASURED)
    assert all(len(sentence) > 20 for _, sentence in rows)


@pytest.mark.parametrize("id", sorted(MEASURED))
def test_cards_tell_the_scores_before_training(id: str) -> None:
    assert f"\n    {card_line(MEASURED[id])}\n\nEpisode End:" in card(id)
