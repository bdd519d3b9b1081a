"""The command line, as a user starts it."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from textenv.cli import COMMANDS, main
from textenv.models.loading import toy_causal_lm, toy_tokenizer

ENVS = """
import pathlib, time, textenv

def slow(completions):
    pathlib.Path("playing").touch()
    time.sleep(240)

def broken(completions):
    raise RuntimeError("out of order")

for name, reward in (("Slow-v0", slow), ("Broken-v0", broken)):
    textenv.register(name, prompts=["ab>"], reward=reward, tokenizer="model", max_prompt_tokens=4, max_new_tokens=4)
"""


def textenv(*arguments: str, cwd: Path, **environ: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "textenv", *arguments]
    return subprocess.run(command, cwd=cwd, env={**os.environ, **environ}, text=True, capture_output=True)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Stand in a folder beside a model without a tokenizer."""
    toy_causal_lm(toy_tokenizer("abc>"), 8).save_pretrained(tmp_path / "model")
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path / "here"


@pytest.fixture
def strange_envs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Stand in a folder with a model and a module that registers a slow environment and a broken one."""
    tokenizer = toy_tokenizer("abc>")
    toy_causal_lm(tokenizer, 8).save_pretrained(tmp_path / "model")
    tokenizer.save_pretrained(tmp_path / "model")
    (tmp_path / "strange_envs.py").write_text(ENVS)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


def test_help_names_every_command(tmp_path: Path) -> None:
    done = textenv("--help", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    for name, command in COMMANDS.items():
        assert any(line.split() == [name, *command.does.split()] for line in done.stdout.splitlines())
    assert "Example: textenv train" in done.stdout


@pytest.mark.parametrize("name", COMMANDS)
def test_help_of_every_command_has_an_example(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main([name, "--help"])
    shown = capsys.readouterr()
    assert (not caught.value.code, shown.err) == (True, "")
    example = shown.out.partition("Example: textenv ")[2].partition("\n\n")[0]
    assert " ".join(example.split()) == COMMANDS[name].example
    assert all((f"--{option.replace('_', '-')} " in shown.out) == (option in COMMANDS[name].common) for option in ("print_config", "json"))


@pytest.mark.parametrize("argument", ["--help", "list"])
def test_what_is_quick_does_not_wait_for_torch(argument: str, tmp_path: Path) -> None:
    slow = "{'torch', 'transformers', 'pandas', 'matplotlib'}" if argument == "list" else "{'torch', 'tyro', 'rich'}"
    code = f"import sys; from textenv.cli import main; main(['{argument}']); print(sorted({slow} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, text=True, capture_output=True)
    assert done.stdout.splitlines()[-1] == "[]", done.stderr


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ("", f"Which command? {', '.join(COMMANDS)}; see textenv --help."),
        ("lst", 'There is no command "lst". Did you mean "list"?'),
        ("--hlp", f'There is no command "--hlp". Known: {", ".join(sorted(COMMANDS))}.'),
        ("train TextCopy-v0 --episods 3", 'train has no option "--episods". Did you mean "--episodes"?'),
        ("train TextCopy-v0 --episodes three", '--episodes needs an integer, got "three".'),
        ("train TextCopy-v0 --num-envs 0", "--num-envs must be at least 1, got 0."),
        ("train TextCopy-v0 --minibatch-size 100", "--minibatch-size 100 must divide --episodes-per-update 512."),
        ("train", "train needs ENV; see textenv train --help."),
        ("eval tiny-en", "eval needs ENV; see textenv eval --help."),
        ("eval tiny-en TextSentiment-v0 --episodes 0", "--episodes must be at least 1, got 0."),
        ("eval tiny-en TextSentiment-v0 --temperature 0", "--temperature must be positive, got 0.0."),
        ("sample tiny-en TextSentiment-v0 --n 0", "--n must be at least 1, got 0."),
        ("sample tiny-en TextSentiment-v0 --seed -1", "--seed must be at least 0, got -1."),
        ("frontier TextCopy-v0 --betas 0.1 -1", "--betas must be positive and different, got 0.1 -1."),
        ("frontier TextCopy-v0 --seeds 0", "--seeds must be at least 1, got 0."),
        ("frontier TextCopy-v0 --episodes 0", "--episodes must be at least 1, got 0."),
        ("frontier TextCopi-v0", 'There is no environment "TextCopi-v0". Did you mean "TextCopy-v0"?'),
        ("train TextCopi-v0", 'There is no environment "TextCopi-v0". Did you mean "TextCopy-v0"?'),
        ("check TextCopi-v0", 'There is no environment "TextCopi-v0". Did you mean "TextCopy-v0"?'),
        ("eval tiny-en TextCopi-v0", 'There is no environment "TextCopi-v0". Did you mean "TextCopy-v0"?'),
        ("train CartPole-v1", 'There is no environment "CartPole-v1".'),
        ("train TextCopy-v0 --model ../model", "../model holds no tokenizer; save one there with tokenizer.save_pretrained('../model')."),
        ("train TextCopy-v0 --model ../nowhere", "There is no folder ../nowhere."),
        ("sample ../nowhere TextCopy-v0", "There is no folder ../nowhere."),
        ("train TextCopy-v0 --model nobody/nothing", "and no local path, and the Hugging Face hub cannot be reached."),
        (
            "train TextCopy-v0 --reward nobody/nothing",
            "is no embedded reward and no local path, and the Hugging Face hub cannot be reached.",
        ),
        ("duel tiny-en TextSentiment-v0", "duel needs two players or more and then the id of the environment"),
        (
            "train TextCopy-v0 --stop-on-overoptimisation",
            "--stop-on-overoptimisation needs evaluations during training; give --eval-every too",
        ),
        ("report", "report needs the folder of a run."),
    ],
)
def test_bad_input_ends_with_one_sentence(arguments: str, sentence: str, folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    capfd.readouterr()
    with pytest.raises(SystemExit) as caught:
        main(arguments.split())
    shown = capfd.readouterr()
    assert caught.value.code == 2
    assert shown.out == ""
    assert shown.err.startswith("textenv: ")
    assert shown.err.count("\n") == 1
    assert sentence in shown.err
    assert not list(folder.iterdir())


@pytest.mark.slow
def test_a_misspelt_option_in_a_process_of_its_own(tmp_path: Path) -> None:
    done = textenv("train", "TextCopy-v0", "--episods", "3", cwd=tmp_path)
    sentence = 'textenv: train has no option "--episods". Did you mean "--episodes"?\n'
    assert (done.returncode, done.stdout, done.stderr) == (2, "", sentence)


def test_other_failures_have_another_code(strange_envs: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["sample", "model", "strange_envs:Broken-v0"])
    shown = capfd.readouterr()
    assert (caught.value.code, shown.out) == (1, "")
    assert shown.err.startswith("textenv: The reward broken ")
    assert "out of order" in shown.err
    assert shown.err.count("\n") == 1


def test_a_training_that_fails_ends_with_one_sentence(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    small = "--episodes 32 --episodes-per-update 16 --group-size 4 --minibatch-size 8 --eval-prompts 2 --num-envs 16 --seed 5".split()
    with pytest.raises(SystemExit) as caught:
        main(["train", "TextCopy-v0", *small, "--learning-rate", "1e30"])
    assert caught.value.code == 1
    assert capfd.readouterr().err.splitlines()[-1].startswith("textenv: The gradient is not finite after")
    assert (folder / "runs" / "TextCopy-v0-ppo-5" / "failed-batch").is_dir()


def test_ctrl_c_ends_with_130_and_one_sentence(strange_envs: Path) -> None:
    command = [sys.executable, "-m", "textenv", "sample", "model", "strange_envs:Slow-v0"]
    process = subprocess.Popen(command, cwd=strange_envs, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    until = time.monotonic() + 180
    while not (strange_envs / "playing").exists() and process.poll() is None and time.monotonic() < until:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    assert process.communicate(timeout=120) == ("", "textenv: interrupted.\n")
    assert process.returncode == 130


@pytest.mark.parametrize("argument", ["--help", "list"])
def test_a_reader_who_leaves_is_told_nothing(argument: str, tmp_path: Path) -> None:
    line = f'"{sys.executable}" -m textenv {argument} | true; exit "${{PIPESTATUS[0]}}"'
    environ = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    done = subprocess.run(["bash", "-c", line], cwd=tmp_path, env=environ, text=True, capture_output=True)
    assert (done.returncode, done.stderr) == (1, "")


@pytest.mark.parametrize("arguments", ["list", pytest.param("train --help", marks=pytest.mark.slow)])
def test_what_is_piped_has_no_colour(arguments: str, tmp_path: Path) -> None:
    done = textenv(*arguments.split(), cwd=tmp_path, TERM="xterm-256color")
    assert done.returncode == 0
    assert "\x1b" not in done.stdout + done.stderr


@pytest.mark.parametrize("name", ["train", "eval", "sample", "frontier"])
def test_print_config_does_no_work(name: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names = ["tiny-en", "TextCopy-v0"] if name in ("eval", "sample") else ["TextCopy-v0"]
    main([name, *names, "--device", "cpu", "--print-config"])
    first = capsys.readouterr().out
    assert 'env = "TextCopy-v0"' in first
    (folder / "config.toml").write_text(first)
    main([name, "--config", "config.toml", "--print-config"])
    assert capsys.readouterr().out == first
    assert [path.name for path in folder.iterdir()] == ["config.toml"]
