"""`textenv check`: what keeps the contract, what is doubtful, and all of textenv's own."""

import re
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import textenv
from textenv.cli import main
from textenv.commands.check import doubts
from textenv.envs.registry import BUILT_IN, register_built_in
from textenv.envs.task import Task
from textenv.models.loading import toy_tokenizer
from textenv.reports.probe import gaming

OPENINGS = ["The film was", "A plot that", "I think"]
TOY: dict[str, Any] = {"tokenizer": toy_tokenizer("ab."), "max_prompt_tokens": 2, "max_new_tokens": 2, "model": None}


def letters(completions: Sequence[str]) -> list[float]:
    return [len(text) / 1000 for text in completions]


def high(completions: Sequence[str]) -> list[float]:
    return [0.91 + len(text) / 1000 for text in completions]


def points(completions: Sequence[str]) -> list[float]:
    return [5.0 + len(text) for text in completions]


def nothing(completions: Sequence[str]) -> list[float]:
    return [0.25 for _ in completions]


def test_an_id_may_name_its_module(call: Callable[..., str]) -> None:
    assert call("check", "textenv:TextCopy-v0").startswith("textenv:TextCopy-v0 keeps the contract.\n")


def test_what_games_earn_is_shown(call: Callable[..., str]) -> None:
    """By one line and a table, whose numbers are those of the function."""
    lines = call("check", "TextCopy-v0").splitlines()
    probed = gaming("TextCopy-v0")
    assert lines[1] == probed.summary()
    assert lines[2].split() == ["answer", "earns", "±", "prompts"]
    rows = [re.split(r"\s{2,}", line.strip()) for line in lines[3:-1]]
    assert [row[0] for row in rows] == list(probed.means())
    assert [row[1] for row in rows] == [f"{mean:.3f}" for mean, _, _ in probed.means().values()]
    assert [int(row[3]) for row in rows] == [prompts for _, _, prompts in probed.means().values()]


def test_options_of_the_environment_are_probed(call: Callable[..., str]) -> None:
    assert call("check", "TextCopy-v0", "--max-new-tokens", "2").splitlines()[1] == gaming("TextCopy-v0", max_new_tokens=2).summary()


STUFFED = """
import textenv
from textenv.rewards.metrics import WordOverlap

PROMPTS = [f"How does a person clean the old {thing}?" for thing in "cactus piano bicycle garden".split()]
textenv.register("Stuffed-v0", prompts=PROMPTS, reward=WordOverlap(), max_new_tokens=12)
"""


def test_a_process_warns_of_a_reward_that_can_be_gamed(tmp_path: Path) -> None:
    (tmp_path / "stuffed.py").write_text(STUFFED)
    command = [sys.executable, "-m", "textenv", "check", "stuffed:Stuffed-v0"]
    done = subprocess.run(command, cwd=tmp_path, text=True, encoding="utf-8", capture_output=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert re.search(r"^the keywords of the prompt +1\.000 +0\.000 +4 *$", done.stdout, re.MULTILINE)
    assert "\nWarning: The reward pays 1.00 on average for the keywords of the prompt, more than the 0." in done.stdout


def test_a_toy_without_judge_and_many_prompts_is_no_doubt() -> None:
    textenv.register("Doubtful-v0", prompts=["a", "b"], reward=letters, **TOY)
    assert doubts("Doubtful-v0") == []


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"prompts": ["a", "bab", "abba"], "on_long_prompt": "truncate"}, "2 of 3 prompts lose their beginning; set max_prompt_tokens=4"),
        ({"reward": high}, r"The default policy scores 0\.91 of 1 before training"),
        ({"reward": nothing}, r"All 64 texts of the default policy score 0\.25, so there is nothing to learn from"),
        ({"stop": "ab."}, "The stop rule ends none of 64 texts"),
    ],
    ids=["cut off", "high", "all alike", "stop"],
)
def test_doubts(fields: dict[str, Any], message: str) -> None:
    textenv.register("Doubtful-v0", **{"prompts": ["a"], "reward": letters, **TOY, **fields})
    (sentence,) = doubts("Doubtful-v0")
    assert re.match(message, sentence)


@pytest.mark.parametrize("fields", [{"reward": points}, {"stop": "a"}], ids=["points", "stop"])
def test_no_doubts(fields: dict[str, Any]) -> None:
    textenv.register("Doubtful-v0", **{"prompts": ["a"], "reward": letters, **TOY, **fields})
    assert doubts("Doubtful-v0") == []


def test_a_language_environment_needs_prompts_and_a_judge(call: Callable[..., str]) -> None:
    textenv.register("Doubtful-v0", prompts=OPENINGS, reward=letters, max_new_tokens=4)
    lines = call("check", "Doubtful-v0").splitlines()
    assert lines[0] == "Doubtful-v0 keeps the contract."
    assert lines[1].startswith("The model's own answers earn ")
    assert [line.partition(";")[0] for line in lines if line.startswith("Warning") and "reward pays" not in line] == [
        "Warning: Of 3 prompts a policy learns each by heart",
        "Warning: There is no judge to tell whether a better score is a better text",
    ]


def test_all_are_checked_a_line_each(call: Callable[..., str], monkeypatch: pytest.MonkeyPatch) -> None:
    for id in set(BUILT_IN) - {"TextCopy-v0"}:
        monkeypatch.delitem(BUILT_IN, id)
    line, end = call("check", "--all").splitlines()
    assert line.startswith(f"TextCopy-v0: keeps the contract. {gaming('TextCopy-v0').summary()} (")
    assert re.search(r" \(\d+\.\d s\)$", line)
    assert end == "1 environments, 0 failures, 0 warnings"


def test_failures_and_warnings_are_counted(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    for id in list(BUILT_IN):
        monkeypatch.delitem(BUILT_IN, id)
    for id, reward in (("Fails-v0", lambda completions: [0.0]), ("Warns-v0", nothing)):
        module = ModuleType(id)
        monkeypatch.setattr(module, "TASK", Task(prompts=["a"], reward=reward, **TOY), raising=False)
        monkeypatch.setitem(sys.modules, id, module)
        monkeypatch.setitem(BUILT_IN, id, id)
    register_built_in()
    with pytest.raises(SystemExit) as stopped:
        main(["check", "--all"])
    assert stopped.value.code == 1
    fails, warns, end = capsys.readouterr().out.splitlines()
    assert fails.startswith("Fails-v0: failure: The reward <lambda> returned 1 values for 4 completions")
    assert warns.startswith(
        "Warns-v0: keeps the contract. The model's own answers earn 0.25 on average, the best of 16 of them 0.25. Warning: All"
    )
    assert end == "2 environments, 1 failures, 1 warnings"


@pytest.mark.parametrize("arguments", [[], ["TextCopy-v0", "--all"]])
def test_one_or_all(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["check", *arguments])
    assert stopped.value.code == 2
    assert capsys.readouterr().err == "textenv: check needs either the id of an environment or --all.\n"


@pytest.mark.parametrize(
    ("own", "sentence"),
    [
        ({"kl_coef": -1}, "The training of Bad-v0: kl_coef must be at least 0"),
        ({"epochs": "two"}, 'The training of Bad-v0: epochs needs an integer, got "two"'),
    ],
)
def test_a_training_that_no_agent_can_take_is_refused(own: dict[str, Any], sentence: str, capsys: pytest.CaptureFixture[str]) -> None:
    textenv.register("Bad-v0", prompts=["a"], reward=letters, training=own, **TOY)
    with pytest.raises(SystemExit) as caught:
        main(["check", "Bad-v0"])
    assert caught.value.code == 2
    assert sentence in capsys.readouterr().err
