"""A person at a real pseudo-terminal."""

import io
import os
import select
import subprocess
import sys
import time
from pathlib import Path

import pytest

from textenv.agents.terminal_expert import TerminalExpert
from textenv.cli import main

ROOT = Path(__file__).resolve().parents[2]


def make(typed: str, monkeypatch: pytest.MonkeyPatch) -> TerminalExpert:
    monkeypatch.setattr(sys, "stdin", io.StringIO(typed))
    return TerminalExpert(lambda text: set(text) <= set("abc "))


def test_a_line_is_written_token_by_token_before_the_next_is_read(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    expert = make("ab\n\n/end\n", monkeypatch)
    assert expert(["x>", "y>"], ["", ""], [0, 1]) == ["ab", None]
    assert expert(["x>"], ["a"], [0]) == ["b"]
    assert capsys.readouterr().err.count("|") == 2
    assert expert(["x>"], ["ab"], [0]) == [""]
    assert expert(["x>"], [""], [0]) == [None]  # the input has ended
    shown = capsys.readouterr().err
    assert shown == "x>ab|x>|\nThe policy goes on alone.\n"
    assert expert(["x>"], ["c"], [0]) == [None]
    assert capsys.readouterr().err == ""


def test_another_text_than_what_was_typed_is_asked_about_again(monkeypatch: pytest.MonkeyPatch) -> None:
    expert = make("abc\nc\n", monkeypatch)
    assert expert(["x>"], ["a"], [0]) == ["abc"]
    assert expert(["x>"], ["aa"], [0]) == ["bc"]
    assert expert(["x>"], ["aac"], [0]) == ["c"]  # the policy has written something else, so a line is read


def test_what_cannot_be_written_is_asked_for_again(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert make("xyz\na/end\n ab\n", monkeypatch)(["x>"], [""], [0]) == [" ab"]
    shown = capsys.readouterr().err
    assert "The tokenizer cannot write 'xyz'." in shown
    assert "The tokenizer cannot write 'a/end'." in shown


COMMAND = ["train", "TextCopy-v0", "--agent", "guided", "--expert", "terminal", "--out", "run"]
COMMAND += "--episodes 8 --episodes-per-update 4 --num-envs 1 --intervention-rate 1 --eval-prompts 1".split()


class Terminal(io.StringIO):
    """What somebody types."""

    def isatty(self) -> bool:
        return True


def assert_answers_were_taken(shown: str, run: Path) -> None:
    assert "How would you go on? Enter leaves it to the policy, /end ends the text, ctrl-D leaves all to it." in shown
    assert ">c|" in shown
    assert ">cbb|" in shown
    assert shown.count("The policy goes on alone.") == 1
    metrics = (run / "metrics.csv").read_text().splitlines()
    names, first, second = (line.split(",") for line in metrics)
    taken = names.index("taken_over")
    assert 0 < float(first[taken]) < 1
    assert float(second[taken]) == 0


def test_training_with_what_is_typed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "stdin", Terminal("c\nbb\n/end\n"))
    monkeypatch.chdir(tmp_path)
    main(COMMAND)
    assert_answers_were_taken(capsys.readouterr().err, tmp_path / "run")


@pytest.mark.slow
def test_training_with_a_person_at_a_terminal(tmp_path: Path) -> None:
    """`textenv train --expert terminal` in a pseudo-terminal: two answers, the end of a text, and ctrl-D."""
    pty = pytest.importorskip("pty")
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "textenv", *COMMAND]
    environ = {**os.environ, "PYTHONPATH": str(ROOT), "TERM": "xterm"}
    process = subprocess.Popen(command, cwd=tmp_path, env=environ, stdin=theirs, stdout=theirs, stderr=theirs)
    os.close(theirs)
    seen, typed = b"", [b"c\n", b"bb\n", b"/end\n", b"\x04"]
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        if not select.select([ours], [], [], 1)[0]:
            continue
        try:
            new = os.read(ours, 4096)
        except OSError:  # the other side is closed
            break
        seen += new
        if typed and seen.endswith(b"|"):
            os.write(ours, typed.pop(0))
    os.close(ours)
    text = seen.decode()
    assert process.wait(60) == 0, text
    assert_answers_were_taken(text, tmp_path / "run")
