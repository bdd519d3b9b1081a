"""`textenv duel`: who won, by a scorer and by people."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import gymnasium
import numpy as np
import pytest

import textenv
from textenv.cli import main
from textenv.commands.duel import DuelConfig
from textenv.commands.players import PlayerConfig, load_player
from textenv.errors import ArgumentError
from textenv.models.loading import toy_causal_lm, toy_tokenizer
from textenv.models.policy import LanguagePolicy
from textenv.preferences.store import ComparisonStore
from textenv.rollouts.collect import collect

ENV: Final = "TextCopy-v0"
LIMITS: Final[dict[str, Any]] = {"tokenizer": toy_tokenizer("abc>"), "max_prompt_tokens": 4, "max_new_tokens": 4, "model": None}


def shortest(completions: list[str]) -> list[float]:
    return [-len(text) for text in completions]


@pytest.fixture
def start(tmp_path: Path) -> str:
    """The model that the run started from."""
    LanguagePolicy.for_rules(gymnasium.make_vec(ENV, num_envs=1).unwrapped.rules).save_pretrained(tmp_path / "start")  # type: ignore[attr-defined]
    return str(tmp_path / "start")


def test_a_trained_policy_beats_its_start(run: Path, start: str, call: Callable[..., str]) -> None:
    told = json.loads(call("duel", str(run), start, ENV, "--episodes", "1800", "--json"))
    (pair,) = told["pairs"]
    assert (told["env"], told["by"], told["players"]) == (ENV, "reward", [str(run), start])
    assert (pair["first"], pair["second"], pair["wins"] + pair["ties"] + pair["losses"]) == (str(run), start, 1800)
    assert pair["win_rate"] == (pair["wins"] + pair["ties"] / 2) / 1800
    assert 0.5 < pair["low"] < pair["win_rate"] < pair["high"] < 1
    assert "strengths" not in told
    # An estimate of its own: each text against every other to the same prompt.
    scores, prompts = [], np.repeat(np.arange(36), 100)
    for policy in (str(run), start):
        player = load_player(PlayerConfig(policy=policy, env=ENV), 256)
        scores.append(collect(player.policy, player.envs, 3600, seed=77, prompt_index=prompts).scores.numpy().reshape(36, 100))
    better = np.sign(scores[0][:, :, None] - scores[1][:, None, :])
    assert pair["low"] < (1 + better.mean()) / 2 < pair["high"]


def test_turned_round_it_is_the_other_way_round(run: Path, start: str, call: Callable[..., str]) -> None:
    one, other = (json.loads(call("duel", *players, ENV, "--json"))["pairs"][0] for players in ((str(run), start), (start, str(run))))
    assert one["low"] < 1 - other["win_rate"] < one["high"]


def test_equals_are_equal_and_draw_each_for_itself(start: str, call: Callable[..., str]) -> None:
    for name in ("b", "c"):
        shutil.copytree(start, f"{start}-{name}")
    told = json.loads(call("duel", start, f"{start}-b", f"{start}-c", ENV, "--episodes", "720", "--json"))
    assert [(pair["first"], pair["second"]) for pair in told["pairs"]] == [
        (start, f"{start}-b"),
        (start, f"{start}-c"),
        (f"{start}-b", f"{start}-c"),
    ]
    for pair in told["pairs"]:
        assert pair["low"] < 0.5 < pair["high"]
        assert min(pair["wins"], pair["losses"]) > 0
    assert [row["player"] for row in told["strengths"]] == told["players"]
    assert told["strengths"][0] == {"player": start, "log_odds": 0.0, "low": 0.0, "high": 0.0}
    assert all(row["low"] < 0 < row["high"] for row in told["strengths"][1:])


def test_a_table_of_strengths_agrees_with_the_pairs(run: Path, start: str, call: Callable[..., str]) -> None:
    told = json.loads(call("duel", start, str(run), str(run / "model"), ENV, "--episodes", "720", "--json"))
    first, second = (row["log_odds"] for row in told["strengths"][1:])
    assert min(first, second) > 0.5
    rates = [pair["win_rate"] for pair in told["pairs"]]
    assert [1 / (1 + np.exp(first)), 1 / (1 + np.exp(second)), 1 / (1 + np.exp(second - first))] == pytest.approx(rates, abs=0.03)
    shown = call("duel", start, str(run), str(run / "model"), ENV, "--episodes", "36")
    assert "Bradley-Terry: log-odds of beating" in " ".join(shown.split())


def test_another_scorer_may_say_who_won(run: Path, start: str, call: Callable[..., str]) -> None:
    own, sentiment = (json.loads(call("duel", str(run), start, ENV, *by, "--json"))["pairs"][0] for by in ((), ("--by", "tiny-sentiment")))
    assert own["wins"] != sentiment["wins"]
    textenv.register("Judged-v0", prompts=["abc>"], reward=lambda completions: [0.0] * len(completions), judge=shortest, **LIMITS)
    told = json.loads(call("duel", str(run), start, "Judged-v0", "--by", "judge", "--episodes", "64", "--json"))
    assert told["pairs"][0]["wins"] + told["pairs"][0]["losses"] > 0
    told = json.loads(call("duel", str(run), start, "Judged-v0", "--episodes", "64", "--json"))  # the environment's own reward
    assert (told["pairs"][0]["ties"], told["pairs"][0]["low"] < 0.5 < told["pairs"][0]["high"]) == (64, True)


def test_the_judge_is_the_environments_not_a_runs(run: Path, capfd: pytest.CaptureFixture[str]) -> None:
    config = json.loads((run / "config.json").read_text())
    judged = [run.with_name(f"judged-{index}") for index in range(2)]
    for folder in judged:
        shutil.copytree(run, folder)
        (folder / "config.json").write_text(json.dumps({**config, "judge": "tiny-sentiment-judge"}))
    with pytest.raises(SystemExit):
        main(["duel", *map(str, judged), ENV, "--by", "judge"])
    assert "TextCopy-v0 has no judge; name a reward with --by." in capfd.readouterr().err


def test_the_table(run: Path, start: str, call: Callable[..., str]) -> None:
    told = json.loads(call("duel", str(run), start, ENV, "--episodes", "72", "--json"))["pairs"][0]
    shown = " ".join(call("duel", str(run), start, ENV, "--episodes", "72").split())
    assert f"{told['win_rate']:.3f}" in shown
    assert "wins and half of the ties" in shown


def test_people_say_who_won(run: Path, start: str, tmp_path: Path, call: Callable[..., str], capsys: pytest.CaptureFixture[str]) -> None:
    prompts = [f"{a}{b}{c}>" for a in "abc" for b in "abc" for c in "abc>"]
    textenv.register(
        "Letter-v0", prompts=prompts, reward=shortest, **{**LIMITS, "max_new_tokens": 1}
    )  # so short that texts are often equal
    store = tmp_path / "duel.db"
    command = ("duel", str(run), start, "Letter-v0", "--people", str(store), "--episodes", "36")
    main(list(command))
    shown = capsys.readouterr()
    assert shown.out == ""
    assert f"Judge with: textenv label {store}; then repeat this command." in shown.err
    told = json.loads(call(*command, "--json"))
    same = told["judged"]  # equal texts, which nobody need look at
    assert 0 < same < 18
    assert (told["items"], told["pairs"]) == (36, [])
    with ComparisonStore(store) as opened:
        items = opened.pending("anna")
        assert len(items) == 36 - same
        assert all(item.sources == (str(run), start) and len(set(item.responses)) == 2 for item in items)
        for number, item in enumerate(items[:10]):
            lease = opened.lease("anna")
            assert lease is not None
            ranks = (
                None if number == 9 else (1, 1) if number == 8 else tuple(1 if text == item.responses[0] else 2 for text in lease.responses)
            )
            opened.submit(lease.token, ranks)
    told = json.loads(call(*command, "--json"))
    (pair,) = told["pairs"]
    assert (told["items"], told["judged"], told["cannot_tell"]) == (36, same + 10, 1)
    assert (pair["wins"], pair["ties"], pair["losses"]) == (8, 1 + same, 0)
    turned = json.loads(call("duel", start, str(run), *command[3:], "--json"))["pairs"][0]
    assert (turned["wins"], turned["ties"], turned["losses"]) == (0, 1 + same, 8)
    with pytest.raises(SystemExit):
        main(["duel", start, "tiny-en", ENV, "--people", str(store)])
    assert f"{store} holds no texts of {start} and tiny-en to the same prompt; name a new store" in capsys.readouterr().err


def test_people_rank_three_at_once(run: Path, start: str, tmp_path: Path, call: Callable[..., str]) -> None:
    players = (start, str(run), str(run / "model"))
    command = ("duel", *players, ENV, "--people", str(tmp_path / "duel.db"), "--episodes", "24", "--json")
    call(*command)
    with ComparisonStore(tmp_path / "duel.db") as store:
        for item in store.pending("ben"):
            lease = store.lease("ben")
            assert lease is not None
            assert item.sources == players
            ranks = {text: 3 - place for place, text in enumerate(item.responses)}  # the last player's is the best
            store.submit(lease.token, [ranks[text] for text in lease.responses])
    told = json.loads(call(*command))
    assert [len(told["pairs"]), len(told["strengths"])] == [3, 3]
    assert told["pairs"][0]["losses"] > told["pairs"][0]["wins"]
    assert told["strengths"][2]["log_odds"] > told["strengths"][1]["log_odds"] > 0


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ("tiny-en TextCopy-v0", "duel needs two players or more and then the id of the environment"),
        ("tiny-en ./tiny-en TextCopy-v0", "tiny-en is named twice; a player does not play against itself."),
        ("tiny-en tiny-zh TextCopy-v0 --by judge --people a.db", "Either --by a scorer or --people say who won; leave one out."),
        ("tiny-en tiny-zh TextCopy-v0 --episodes 0", "--episodes must be at least 1, got 0."),
        ("tiny-en tiny-zh TextCopy-v0 --seed -1", "--seed must be at least 0, got -1."),
        ("tiny-en tiny-zh TextCopi-v0", 'There is no environment "TextCopi-v0". Did you mean "TextCopy-v0"?'),
        ("nowhere/at/all tiny-zh TextCopy-v0", "There is no folder nowhere/at/all."),
        ("tiny-en tiny-zh TextSentiment-v0 --by nobody/nothing", "is no embedded reward"),
        ("tiny-en tiny-zh TextCopy-v0 --people nowhere/a.db", "There is no folder nowhere for the store a.db; make it first."),
        ("tiny-en tiny-zh TextCopy-v0 --by judge", "TextCopy-v0 has no judge; name a reward with --by."),
        (
            "model tiny-en TextCopy-v0",
            "model cannot play in TextCopy-v0: The environment's texts have up to 8 tokens, but the model",
        ),
        ("tiny-en tiny-zh TextCopy-v0 --people no-store", "no-store is no comparison store"),
    ],
)
def test_what_cannot_duel_is_refused(
    arguments: str, sentence: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    tokenizer = toy_tokenizer("abc>")
    toy_causal_lm(tokenizer, 6).save_pretrained("model")
    tokenizer.save_pretrained("model")
    Path("no-store").write_text("mine")
    capfd.readouterr()
    with pytest.raises(SystemExit) as caught:
        main(["duel", *arguments.split()])
    shown = capfd.readouterr()
    assert (caught.value.code, shown.out, shown.err.count("\n")) == (2, "", 1)
    assert sentence in shown.err
    assert not Path("a.db").exists()


def test_runs_play_with_the_options_they_share(
    run: Path, tmp_path: Path, call: Callable[..., str], capsys: pytest.CaptureFixture[str]
) -> None:
    config = json.loads((run / "config.json").read_text())
    for name, penalty in (("a", 0.5), ("b", 0.5), ("c", 0.25)):
        shutil.copytree(run, tmp_path / name)
        (tmp_path / name / "config.json").write_text(json.dumps({**config, "task": {"missing_eos_penalty": penalty}}))
    for names, says in ((("a", "b"), "As in the runs: --missing-eos-penalty 0.5.\n"), (("a", "c"), "none are taken over; give those")):
        main(["duel", *(str(tmp_path / name) for name in names), ENV, "--episodes", "4"])
        assert says in capsys.readouterr().err


def test_a_misspelt_judge_is_meant_as_one() -> None:
    with pytest.raises(ArgumentError, match=r'There is no scorer "jugde"\. Did you mean "judge"\?'):
        DuelConfig(names=("a", "b", ENV), by="jugde")
