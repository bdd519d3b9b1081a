"""`textenv reward`: what it writes, what it says, and what it refuses."""

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tests.agents.test_reward_model import simulated
from tests.models.test_scalar_head import KINDS
from textenv.agents.reward_model import RewardModelConfig
from textenv.cli import main
from textenv.commands.output import messages
from textenv.commands.players import PlayerConfig, load_player
from textenv.commands.reward import RewardConfig, make_reward_model, parted, unlearnt
from textenv.errors import ArgumentError
from textenv.preferences.comparison import Comparison
from textenv.preferences.loading import load_comparisons, write_comparisons
from textenv.preferences.store import ComparisonStore
from textenv.rewards.loading import load_reward
from textenv.rewards.ngram import NgramClassifier, NgramConfig
from textenv.rollouts.collect import collect

QUICK = ("--epochs", "1", "--batch-size", "16", "--learning-rate", "1e-3")


@pytest.fixture(scope="module")
def backbone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("backbone")
    KINDS["gpt2"](folder)
    return folder


@pytest.fixture(scope="module")
def comparisons(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of two annotators, who say the same of half of the prompts."""
    path = tmp_path_factory.mktemp("comparisons") / "comparisons.jsonl"
    one = [dataclasses.replace(said, annotator="one") for said in simulated(120, 3, 0.5, 0)]
    other = [dataclasses.replace(said, annotator="two", ranks=said.ranks if i % 2 else (1, 2, 3)) for i, said in enumerate(one)]
    write_comparisons([*one, *other], path)
    return path


def texts_of(path: Path) -> tuple[list[str], list[str]]:
    different = {(one.prompt, text) for one in load_comparisons(path) for text in one.responses}
    return [prompt for prompt, _ in different], [text for _, text in different]


def test_the_folder_is_a_reward_of_mean_0_and_deviation_1(
    comparisons: Path, backbone: Path, tmp_path: Path, call: Callable[..., str]
) -> None:
    out = tmp_path / "rm"
    said = json.loads(call("reward", str(comparisons), "--model", str(backbone), "--out", str(out), *QUICK, "--json"))
    assert said == json.loads((out / "summary.json").read_text())
    assert sorted(path.name for path in out.iterdir()) == ["config.json", "metrics.csv", "model", "summary.json"]
    assert said["accuracy_low"] <= said["accuracy"] <= said["accuracy_high"]
    assert said["accuracy"] > 0.6
    assert said["pairs"] == sum(found["n"] for found in said["reliability"]) > 20
    assert 0.5 < said["people_agree"]["rate"] < 0.9
    assert (said["comparisons"], said["loss"], said["curve"]) == (240, "k_wise", [])
    scores = np.array(load_reward(str(out))(*texts_of(comparisons)))
    assert (scores.mean(), scores.std()) == (pytest.approx(0, abs=1e-4), pytest.approx(1, abs=1e-4))
    assert json.loads((out / "config.json").read_text())["fitting"]["epochs"] == 1
    assert pd.read_csv(out / "metrics.csv")["held_out_accuracy"].iloc[-1] > 0.6


def test_annotators_who_are_held_out_are_predicted_and_not_learnt_from(
    comparisons: Path, backbone: Path, tmp_path: Path, call: Callable[..., str]
) -> None:
    model = ("--model", str(backbone), *QUICK)
    both, one = (
        json.loads(call("reward", str(comparisons), *model, "--out", str(tmp_path / name), *more, "--json"))
        for name, more in (("both", ()), ("one", ("--hold-out-annotators", "two")))
    )
    assert both["others"] is None
    assert one["comparisons"] == 120
    assert one["learnt"] == both["learnt"] / 2
    # The second annotator agrees with the first about half of the prompts and else always says the same.
    assert one["others"]["accuracy"] < one["accuracy"]
    assert one["others"]["pairs"] >= one["pairs"] - 10
    assert one["people_agree"] == both["people_agree"]
    with pytest.raises(ArgumentError, match='No comparison is by the annotator "tow"'):
        parted(load_comparisons(str(comparisons)), ["tow"])
    with pytest.raises(ArgumentError, match="All annotators are held out"):
        parted(load_comparisons(str(comparisons)), ["one", "two"])


def test_held_out_annotators_are_asked_about_prompts_that_were_not_learnt_from() -> None:
    own, unseen, other = (
        [Comparison(prompt=prompt, responses=("a", "b"), ranks=(1, 2), annotator=name) for prompt in prompts]
        for name, prompts in (("one", "xyz"), ("one", "z"), ("two", "xzw"))
    )
    assert [comparison.prompt for comparison in unlearnt(other, own, unseen)] == ["z", "w"]


def test_with_one_prompt_held_out_annotators_are_asked_about_responses_that_were_not_learnt_from() -> None:
    own, unseen, other = (
        [Comparison(prompt="", responses=(f"{text}1", f"{text}2"), ranks=(1, 2), annotator=name) for text in texts]
        for name, texts in (("one", "xyz"), ("one", "z"), ("two", "xzw"))
    )
    assert [comparison.responses[0] for comparison in unlearnt(other, own, unseen)] == ["z1", "w1"]


def test_tables_and_the_learning_curve(
    comparisons: Path, backbone: Path, tmp_path: Path, call: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    out = tmp_path / "rm"
    shown = call("reward", str(comparisons), "--model", str(backbone), "--out", str(out), *QUICK, "--held-out", "0.4", "--curve")
    summary = json.loads((out / "summary.json").read_text())
    sizes = [point["comparisons"] for point in summary["curve"]]
    assert sizes == sorted(sizes)
    assert sizes[0] < sizes[1] / 1.5 < sizes[2] / 2
    assert summary["curve"][-1]["comparisons"] == summary["learnt"]
    assert summary["curve"][-1]["accuracy"] == summary["accuracy"]
    for text in ("held-out accuracy", "expected calibration error", "two annotators agree", "reliability", "learning curve"):
        assert text in shown
    assert f"{summary['accuracy']:.3f}" in shown
    slope = summary["calibration_slope"]
    times = np.exp(1.96 * summary["calibration_slope_se"] / slope)
    assert f"{slope / times:.2f} to {slope * times:.2f}" in shown


@pytest.mark.filterwarnings("ignore:The .* reads 24 tokens")
def test_episodes_of_a_policy_set_mean_and_deviation(comparisons: Path, tmp_path: Path) -> None:
    fitting = RewardModelConfig(epochs=1, batch_size=16, max_tokens=24)
    config = RewardConfig(comparisons=str(comparisons), out=tmp_path / "rm", env="TextSentiment-v0", episodes=16, fitting=fitting)
    summary = make_reward_model(config, messages())
    reward = load_reward(str(tmp_path / "rm"))
    policy, _, envs = load_player(PlayerConfig(policy="tiny-en", env="TextSentiment-v0"), 16, reward=reward)
    scores = collect(policy, envs, 16, seed=0).scores.numpy()
    assert (scores.mean(), scores.std()) == (pytest.approx(0, abs=1e-3), pytest.approx(1, abs=1e-3))
    assert summary["gain"] > 0


def test_a_store_is_read_and_its_unsure_are_left_out(backbone: Path, tmp_path: Path) -> None:
    with ComparisonStore(tmp_path / "comparisons.db", create=True) as store:
        store.add_comparisons([*simulated(60, 2, 0.5, 1), Comparison(prompt="?", responses=("a", "b"), annotator="x")])
    fitting = RewardModelConfig(epochs=1, held_out=0.0)
    config = RewardConfig(comparisons=str(tmp_path / "comparisons.db"), model=str(backbone), out=tmp_path / "rm", fitting=fitting)
    summary = make_reward_model(config, messages())
    assert (summary["comparisons"], summary["learnt"]) == (61, 60)
    assert "accuracy" not in summary  # nothing was held out


@pytest.mark.parametrize("judgements", [15, 30, 60])
def test_too_few_judgements_are_not_to_be_trained_on(
    judgements: int, backbone: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    guesses = simulated(judgements, 2, 1000.0, 6)
    write_comparisons(guesses, tmp_path / "few.jsonl")
    main(["reward", str(tmp_path / "few.jsonl"), "--model", str(backbone), "--out", str(tmp_path / "rm"), *QUICK, "--held-out", "0.4"])
    said = " ".join(capsys.readouterr().err.split())
    summary = json.loads((tmp_path / "rm" / "summary.json").read_text())
    assert summary["accuracy_low"] <= 0.5
    assert f"It puts {summary['accuracy']:.3f} of {summary['pairs']} held-out pairs into their order" in said
    assert "Do not train on it; give more judgements, of about 100 prompts." in said
    assert "do not read its differences as log-odds" in said  # fewer than 20 prompts in the half that sets the scale
    assert all(doubt in said for doubt in summary["doubts"])


def test_enough_judgements_raise_no_doubt(backbone: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_comparisons(simulated(200, 4, 0.5, 7), tmp_path / "many.jsonl")
    main(["reward", str(tmp_path / "many.jsonl"), "--model", str(backbone), "--out", str(tmp_path / "rm"), *QUICK, "--held-out", "0.4"])
    assert "warning" not in capsys.readouterr().err
    summary = json.loads((tmp_path / "rm" / "summary.json").read_text())
    assert summary["doubts"] == []
    assert summary["scale_error"] > 0


def test_what_nothing_was_held_out_for_is_in_doubt(backbone: Path, tmp_path: Path) -> None:
    write_comparisons(simulated(30, 2, 0.5, 8), tmp_path / "all.jsonl")
    fitting = RewardModelConfig(epochs=1, held_out=0.0)
    config = RewardConfig(comparisons=str(tmp_path / "all.jsonl"), model=str(backbone), out=tmp_path / "rm", fitting=fitting)
    (doubt,) = make_reward_model(config, messages())["doubts"]
    assert doubt.startswith("Nothing was held out")


@pytest.fixture
def ngram(tmp_path: Path) -> Path:
    texts, labels = ["a great film", "great fun", "a bad film", "bad, dull"], [1, 1, 0, 0]
    NgramClassifier.fit(texts, labels, NgramConfig(features=2**8), inverse_penalty=100.0).save_pretrained(tmp_path / "ngram")
    return tmp_path / "ngram"


def test_bad_input_is_one_sentence_and_nothing_is_written(
    comparisons: Path, backbone: Path, ngram: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tied = tmp_path / "tied.jsonl"
    write_comparisons([Comparison(prompt="p", responses=("a", "b"), ranks=(1, 1))], tied)
    (tmp_path / "text.db").write_text("no store")
    given = ["--model", str(backbone), "--out", str(tmp_path / "rm")]
    for arguments, message in (
        ([str(tmp_path / "nowhere.db"), *given], "nowhere.db"),
        ([str(tmp_path / "text.db"), *given], "text.db"),
        ([str(tied), *given], 'The loss "k_wise" needs comparisons with one response that is better than another'),
        ([str(comparisons), *given, "--env", "TextNowhere-v0"], "TextNowhere-v0"),
        ([str(comparisons), *given, "--model", "./nowhere"], "There is no folder ./nowhere"),
        ([str(comparisons), *given, "--model", str(ngram)], f"The model {ngram} cannot be loaded: "),
        ([str(comparisons), *given, "--max-tokens", "0"], "--max-tokens must be positive, got 0"),
    ):
        with pytest.raises(SystemExit) as stopped:
            main(["reward", *arguments])
        whole = capsys.readouterr().err
        said = whole.strip().splitlines()[-1]
        assert (stopped.value.code, said[:9]) == (2, "textenv: "), (arguments, whole)
        assert message in said
        assert not (tmp_path / "rm").exists()


def test_a_folder_that_is_taken_is_left_alone(comparisons: Path, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(ArgumentError, match="exists already; choose another --out or remove it"):
        make_reward_model(RewardConfig(comparisons=str(comparisons), out=tmp_path), messages())
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"episodes": 1}, "episodes must be at least 2, got 1"),
        ({"policy": "tiny-en"}, "policy plays in an environment; give its id as env, or leave policy out"),
        ({"curve": True, "fitting": RewardModelConfig(held_out=0.0)}, "The curve is of held-out accuracies, but held_out is 0"),
    ],
)
def test_options_are_checked(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        RewardConfig(comparisons="x", **fields)
