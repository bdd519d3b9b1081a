"""Training in one call, with Python's words."""

import json
import signal
from pathlib import Path
from typing import Any

import pytest

import textenv
from textenv.errors import ArgumentError
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
    assert places == ["runs/TextCopy-v0-ppo-0", "runs/TextCopy-v0-ppo-0-2", "runs/TextCopy-v0-ppo-0"]


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
    ],
)
def test_what_does_not_fit_is_said_in_pythons_words(env: str, options: dict[str, Any], sentence: str, tmp_path: Path) -> None:
    with pytest.raises(ArgumentError) as caught:
        textenv.train(env, out=tmp_path / "run", **options)
    assert sentence in str(caught.value)
    assert not (tmp_path / "run").exists()


def test_ctrl_c_is_ctrl_c(tmp_path: Path) -> None:
    def interrupted(completions: list[str]) -> list[float]:
        signal.raise_signal(signal.SIGINT)
        return [0.0] * len(completions)

    limits: dict[str, Any] = {"tokenizer": toy_tokenizer("abc>"), "max_prompt_tokens": 4, "max_new_tokens": 4, "model": None}
    textenv.register("Interrupted-v0", prompts=["a>", "b>"], reward=interrupted, **limits)
    with pytest.raises(KeyboardInterrupt, match="resume=True goes on"):
        textenv.train("Interrupted-v0", out=tmp_path / "run", **SMALL)
    assert json.loads((tmp_path / "run" / "config.json").read_text())["env"] == "Interrupted-v0"
