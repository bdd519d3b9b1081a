"""Training in one call, with Python's words."""

import json
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import textenv
from textenv.errors import ArgumentError, LoadError
from textenv.models.loading import toy_tokenizer
from textenv.models.policy import LanguagePolicy

SMALL: dict[str, Any] = {"episodes": 32, "episodes_per_update": 16, "group_size": 4, "num_envs": 16, "eval_prompts": 2}


def test_options_find_their_places_and_the_run_comes_back(tmp_path: Path) -> None:
    run = textenv.train("TextCopy-v0", agent="grpo", out=tmp_path / "run", **SMALL, learning_rate=1e-3, missing_eos_penalty=0.5, seed=3)
    assert run.folder == tmp_path / "run"
    assert (run.config["agent"], run.config["seed"], run.config["algorithm"]["learning_rate"]) == ("grpo", 3, 1e-3)
    assert run.config["task"] == {"missing_eos_penalty": 0.5}
    assert run.summary is not None
    assert (len(run.metrics), run.summary["episodes"]) == (2, 32)
    assert LanguagePolicy.from_pretrained(run.folder).contract.size == LanguagePolicy.from_pretrained(run.folder / "model").contract.size


def test_the_same_call_goes_on_and_says_nothing_of_a_command_line(tmp_path: Path) -> None:
    out = tmp_path / "run"
    first = textenv.train("TextCopy-v0", out=out, **SMALL)
    assert textenv.train("TextCopy-v0", out=out, resume=True, **SMALL).metrics.equals(first.metrics)
    with pytest.raises(ArgumentError) as caught:
        textenv.train("TextCopy-v0", out=out, **SMALL)
    assert "resume=True" in str(caught.value)
    assert "--" not in str(caught.value)


def test_without_a_folder_the_run_is_the_one_that_was_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    places = [textenv.train("TextCopy-v0", resume=resume, **SMALL).folder.as_posix() for resume in (False, False, True)]
    assert places == ["runs/TextCopy-v0-ppo-0", "runs/TextCopy-v0-ppo-0-2", "runs/TextCopy-v0-ppo-0-2"]


@pytest.mark.parametrize(
    ("env", "options", "sentence"),
    [
        ("TextCopy-v0", {"episods": 3}, 'train has no option "episods" for ppo in TextCopy-v0. Did you mean "episodes"?'),
        ("TextSentiment-v0", {"targt": "negative"}, 'no option "targt" for ppo in TextSentiment-v0. Did you mean "target"?'),
        ("TextCopy-v0", {"agent": "dqn", "clip_range": 0.1}, 'train has no option "clip_range" for dqn in TextCopy-v0.'),
        ("TextCopi-v0", {}, 'There is no environment "TextCopi-v0". Did you mean "TextCopy-v0"?'),
        ("TextCopy-v0", {"device": "cuda"}, "device is cuda, but torch sees no GPU; use device=cpu."),
        ("TextCopy-v0", {"eval_every": 1, "stop_on_overoptimisation": True}, "name one with judge."),
        ("TextCopy-v0", {"stop": len}, "stop must be plain data"),
        ("TextCopy-v0", {"stop": None}, "stop is None, which no option can say"),
        ("TextCopy-v0", {"episodes": "many"}, "episodes needs an integer, got 'many'."),
        ("TextCopy-v0", {"episodes": None}, "episodes needs an integer, got None."),
        ("TextCopy-v0", {"num_envs": 2.5}, "num_envs needs an integer, got 2.5."),
        ("TextCopy-v0", {"seed": np.float64(1.5)}, "seed needs an integer, got 1.5."),
        ("TextCopy-v0", {"learning_rate": "x"}, "learning_rate needs a number, got 'x'."),
        ("TextCopy-v0", {"linear_decay": 1}, "linear_decay needs true or false, got 1."),
        ("TextCopy-v0", {"device": "gpu"}, 'device needs "auto" or "cpu" or "cuda", got \'gpu\'.'),
        ("TextCopy-v0", {"precision": "fp8"}, 'precision needs "fp32" or "bf16", got \'fp8\'.'),
        ("TextCopy-v0", {"max_new_tokens": "x"}, "max_new_tokens needs an integer, got 'x'."),
        ("TextSentiment-v0", {"target": 3}, "target needs a text, got 3."),
        ("TextCopy-v0", {"reward": len}, 'register an environment with it, by textenv.register, or name it: reward="module:function".'),
        ("TextCopy-v0", {"potential": len}, "potential is <built-in function len>, which the run's folder cannot hold"),
        ("TextCopy-v0", {"agent": len}, "agent needs a name, got <built-in function len>."),
        (len, {}, "env needs a name, got <built-in function len>."),
        ("TextCopy-v0", {"model": "./no--such-dir"}, "There is no folder ./no--such-dir."),
    ],
)
def test_what_does_not_fit_is_said_in_pythons_words(env: Any, options: dict[str, Any], sentence: str, tmp_path: Path) -> None:
    with pytest.raises((ArgumentError, LoadError)) as caught:
        textenv.train(env, out=tmp_path / "run", **options)
    assert sentence in str(caught.value)
    assert not (tmp_path / "run").exists()


def test_without_a_folder_the_names_follow_each_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    runs = [textenv.train("TextCopy-v0", **SMALL, learning_rate=rate) for rate in (1e-3, 2e-3)]
    assert [run.folder for run in runs] == [Path("runs/TextCopy-v0-ppo-0"), Path("runs/TextCopy-v0-ppo-0-2")]
    assert [run.config["algorithm"]["learning_rate"] for run in runs] == [1e-3, 2e-3]
    again = textenv.train("TextCopy-v0", **SMALL, learning_rate=2e-3, resume=True)
    assert again.folder == runs[1].folder
    assert again.metrics.equals(runs[1].metrics)
    assert len(list(Path("runs").iterdir())) == 2


def test_numbers_of_numpy_and_paths_are_taken(tmp_path: Path) -> None:
    (tmp_path / "own.txt").write_text("ab>\nba>\n")
    small: dict[str, Any] = {name: np.int64(value) for name, value in SMALL.items()}
    options: dict[str, Any] = {"seed": np.int64(1), "learning_rate": np.float32(0.5), "max_new_tokens": np.int64(3), "stop": ("a", "b")}
    run = textenv.train("TextCopy-v0", out=str(tmp_path / "run"), prompts=tmp_path / "own.txt", **small, **options)
    assert (run.config["seed"], run.config["algorithm"]["learning_rate"]) == (1, 0.5)
    assert run.config["task"] == {"prompts": str(tmp_path / "own.txt"), "max_new_tokens": 3, "stop": ["a", "b"]}


def test_ctrl_c_is_ctrl_c(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(completions: list[str]) -> list[float]:
        signal.raise_signal(signal.SIGINT)
        return [0.0] * len(completions)

    limits: dict[str, Any] = {"tokenizer": toy_tokenizer("abc>"), "max_prompt_tokens": 4, "max_new_tokens": 4, "model": None}
    textenv.register("Interrupted-v0", prompts=["a>", "b>"], reward=interrupted, **limits)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(KeyboardInterrupt, match=r'out="runs/Interrupted-v0-ppo-0", resume=True goes on'):
        textenv.train("Interrupted-v0", **SMALL)
    assert json.loads(Path("runs/Interrupted-v0-ppo-0/config.json").read_text())["env"] == "Interrupted-v0"
