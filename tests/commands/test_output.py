"""Where commands write."""

import json
import os
import sys

import pytest

from textenv.commands.output import hide_loading_bars, messages, print_json, results


def test_json_is_strict(capsys: pytest.CaptureFixture[str]) -> None:
    print_json({"score": 0.5, "judge": float("nan"), "rows": [float("inf"), "é", None]})
    shown = capsys.readouterr().out
    assert json.loads(shown, parse_constant=lambda name: pytest.fail(f"{name} is not JSON")) == {
        "score": 0.5,
        "judge": None,
        "rows": [None, "é", None],
    }
    assert "é" in shown


def test_results_and_messages_go_apart(capsys: pytest.CaptureFixture[str]) -> None:
    results().print("a result of [red] \x1b[2J")
    messages().print("a message of :heart: \x1b[2J")
    assert capsys.readouterr() == ("a result of [red] \\u001b[2J\n", "a message of :heart: \\u001b[2J\n")


def test_messages_are_plain_when_results_are_piped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: False)
    assert not messages().is_terminal
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    assert messages().is_terminal


def test_bars_of_loading_are_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    from transformers.utils import logging

    monkeypatch.setenv("HF_HUB_DISABLE_PROGRESS_BARS", "0")
    logging.enable_progress_bar()
    hide_loading_bars()
    assert not logging.is_progress_bar_enabled()
    assert os.environ["HF_HUB_DISABLE_PROGRESS_BARS"] == "1"
