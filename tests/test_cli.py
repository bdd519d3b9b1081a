"""The command line, as a user starts it."""

import contextlib
import importlib
import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
import unicodedata
from pathlib import Path
from typing import Final

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


def test_a_second_call_in_one_process_finds_the_path_as_it_is(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "path", list(sys.path))
    before = len(sys.path)
    for _ in range(3):
        main(["train", "TextCopy-v0", "--print-config"])
    assert sys.path.count(str(folder)) == 1
    assert len(sys.path) == before + 1


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
def test_print_config_may_stand_before_the_id(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    names = ["tiny-en", "TextSentiment-v0"] if name in ("eval", "sample") else ["TextSentiment-v0"]
    main([name, "--json", "--print-config", *names, "--target", "negative"])
    assert 'target = "negative"' in capsys.readouterr().out


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


@pytest.mark.parametrize("locale", [{"PYTHONIOENCODING": "cp1252"}, {"PYTHONIOENCODING": "ascii"}, {"LC_ALL": "C", "PYTHONUTF8": "0"}])
def test_what_is_written_is_utf_8_whatever_the_locale_says(locale: dict[str, str], tmp_path: Path) -> None:
    code = "import textenv\ntextenv.register('Own-v0', prompts=['a'], reward=len, model='电影')\n"
    (tmp_path / "own.py").write_text(code, encoding="utf-8")
    environ = {**os.environ, "PYTHONCOERCECLOCALE": "0", **locale}
    for arguments, text in ((["list", "own"], "┃"), (["list", "own", "--json"], '"model": "电影"')):
        done = subprocess.run([sys.executable, "-m", "textenv", *arguments], cwd=tmp_path, env=environ, capture_output=True)
        assert (done.returncode, done.stderr) == (0, b"")
        assert text in done.stdout.decode("utf-8")


@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&-", "> /dev/full"])
def test_closed_and_full_streams(closed: str, tmp_path: Path) -> None:
    line = f'"{sys.executable}" -m textenv list {closed}; echo "rc $?" >> rc'
    done = subprocess.run(["bash", "-c", line], cwd=tmp_path, text=True, capture_output=True)
    assert (tmp_path / "rc").read_text() == ("rc 1\n" if "full" in closed else "rc 0\n")
    assert "Traceback" not in done.stderr
    assert ("what was asked for cannot be written: No space left on device." in done.stderr) == ("full" in closed)


def test_a_warning_of_a_library_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "warned.py").write_text("import warnings\nwarnings.warn('old \\x1b[31m\\nand grey', stacklevel=1)\n")
    done = textenv("list", "warned", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "textenv: warning: old \\u001b[31m and grey\n")


ORDER: Final = "\x1b]0;owned\x07\x1b[2J \x9b31m \r\x08 \u202e [bold]b[/bold] [/i] :heart: \x00"
"""What would rename the window, clear the screen, colour, overwrite, reverse, and be taken for markup."""

HOSTILE: Final = f"""
import textenv

ORDER = {ORDER!r}

def scored(completions):
    return [float(len(text)) for text in completions]

def broken(completions):
    raise RuntimeError(ORDER)

limits = dict(max_prompt_tokens=80, max_new_tokens=4, on_long_prompt="widen")
textenv.register("Hostile-v0", prompts=[ORDER, "b" + ORDER], reward=scored, judge=scored, **limits)
textenv.register("Raising-v0", prompts=["a", "b"], reward=broken, **limits)
"""


def assert_harmless(shown: str) -> None:
    orders = [character for character in shown if unicodedata.category(character) in ("Cc", "Zl", "Zp") or character in "\u202e\ufffe"]
    assert set(orders) <= {"\n"}, shown


@pytest.fixture
def hostile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Stand in a folder with hostile prompts, judgements, annotators and errors."""
    (tmp_path / "hostile.py").write_text(HOSTILE, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "hostile", raising=False)
    monkeypatch.setenv("COLUMNS", "400")
    rows = [
        {"prompt": f"{index}{ORDER}", "responses": [f"one {ORDER}", f"two {ORDER}"], "ranks": [1, 2], "annotator": "Ann [bold]"}
        for index in range(4)
    ]
    Path("judged.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    main(["comparisons", "judged.db", "--add", "judged.jsonl"])
    with contextlib.closing(sqlite3.connect("judged.db")) as database, database:
        for table in ("labels", "annotators"):
            database.execute(f"UPDATE {table} SET annotator = ?", (ORDER,))  # as older versions took it
    return tmp_path


SMALL_RUN: Final = "--episodes 16 --episodes-per-update 16 --group-size 4 --eval-prompts 2 --num-envs 8"


@pytest.mark.parametrize(
    "lines",
    [
        ["sample tiny-en hostile:Hostile-v0 --n 2", "sample tiny-en hostile:Hostile-v0 --n 2 --json"],
        ["eval tiny-en hostile:Hostile-v0 --episodes 4"],
        ["check hostile:Hostile-v0 --max-new-tokens 2"],
        ["list hostile", "list hostile --json"],
        [f"train hostile:Hostile-v0 {SMALL_RUN} --out run"],
        ["compare tiny-en hostile:Hostile-v0 --responses 2 --prompts 2 --out own.db", "comparisons own.db"],
        ["comparisons judged.db", "comparisons judged.db --json", "comparisons judged.db --export pairs.jsonl"],
    ],
)
def test_no_text_does_anything_at_the_terminal(lines: list[str], hostile: Path, capsys: pytest.CaptureFixture[str]) -> None:
    everything = ""
    for line in lines:
        main(line.split())
        shown = capsys.readouterr()
        assert_harmless(shown.out + shown.err)
        everything += shown.out
    if lines[0].startswith(("sample", "train", "comparisons")):
        assert "\\u001b[2J \\u009b31m \\u000d\\u0008 \\u202e [bold]b[/bold] [/i] :heart:" in everything


@pytest.mark.parametrize(
    "arguments",
    [
        ["sample", "tiny-en", "hostile:Raising-v0"],
        ["sample", ORDER.strip("\x00"), "hostile:Hostile-v0"],
        ["sample", "tiny-en", ORDER],
        ["train", "hostile:Hostile-v0", "--reward", ORDER.strip("\x00")],
        ["train", "hostile:Hostile-v0", "--agent", ORDER],
        ["train", "hostile:Hostile-v0", f"--{ORDER}", "3"],
        ["train", "hostile:Hostile-v0", "--episodes", ORDER],
        ["sft", f"{ORDER}.jsonl".replace("\x00", "")],
        ["comparisons", f"{ORDER}.db".replace("\x00", "")],
        ["report", ORDER.replace("\x00", "")],
        ["duel", ORDER.replace("\x00", ""), "tiny-en", "hostile:Hostile-v0"],
        ["list", ORDER.replace("\x00", "")],
        [ORDER],
    ],
)
def test_no_error_does_anything_at_the_terminal(arguments: list[str], hostile: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    shown = capsys.readouterr()
    assert caught.value.code in (1, 2)
    assert shown.err.startswith("textenv: ")
    assert shown.err.count("\n") == 1
    assert_harmless(shown.out + shown.err)


def test_a_traceback_does_nothing_at_the_terminal(
    hostile: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fails(*_: object, **__: object) -> None:
        raise RuntimeError(ORDER)

    monkeypatch.setattr("textenv.commands.list.run", fails)
    monkeypatch.setitem(fails.__annotations__, "config", importlib.import_module("textenv.commands.list").ListConfig)
    with pytest.raises(SystemExit) as caught:
        main(["list"])
    shown = capsys.readouterr().err
    assert caught.value.code == 1
    assert "Traceback" in shown
    assert_harmless(shown)
