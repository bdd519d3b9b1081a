"""What users write is imported, or one sentence says in which line it cannot be."""

import sys
from pathlib import Path

import pytest

from textenv.errors import ArgumentError
from textenv.importing import import_from_user, resolve


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Stand in a folder of modules, none of which is imported yet."""
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "own", raising=False)
    return tmp_path


def write(folder: Path, code: str) -> None:
    (folder / "own.py").write_text(code, encoding="utf-8")


def test_a_name_of_a_module_is_resolved(folder: Path) -> None:
    write(folder, "def brevity(completions): return [-len(text) for text in completions]\n")
    assert resolve("own:brevity", "reward")(completions=["abc"]) == [-3]
    assert import_from_user("own").brevity is resolve("own:brevity", "reward")


def test_a_name_that_a_module_makes_when_it_is_asked_for_is_resolved() -> None:
    from textenv.agents.ppo import PPO

    assert resolve("textenv.agents:PPO", "agent") is PPO


@pytest.mark.parametrize(
    ("code", "name", "sentence"),
    [
        ("def brevity(): ...", "own:brevit", 'The module "own" has no reward "brevit". Did you mean "brevity"?'),
        ("import nothing_of_that_name", "own:f", "cannot be imported: it raises ModuleNotFoundError"),
        ("a = 1\nb = a / 0\n", "own:b", "it raises ZeroDivisionError: division by zero (own.py, line 2)."),
        ("a = 1\nb = = 2\n", "own:b", "it raises SyntaxError: invalid syntax (own.py, line 2)."),
        ("import sys\n\nsys.exit('usage: own')\n", "own:b", "it raises SystemExit: usage: own (own.py, line 3)."),
        ("raise KeyboardInterrupt", "elsewhere:b", "it is neither in this folder nor among the installed packages."),
        ("", "own.py:b", "leave .py out."),
    ],
)
def test_what_cannot_be_resolved_is_said_in_one_sentence(code: str, name: str, sentence: str, folder: Path) -> None:
    write(folder, code)
    with pytest.raises(ArgumentError) as caught:
        resolve(name, "reward")
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)
