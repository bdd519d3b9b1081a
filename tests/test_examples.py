"""Every example runs, as a user would run it."""

import importlib
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from textenv.cli import main

EXAMPLES = Path(__file__).parent.parent / "examples"
ARGUMENTS = {"other_agents.py": "128", "own_environment.py": "256", "own_reward.py": "32"}
SAYS = {"other_agents.py": "MaskablePPO: ", "own_environment.py": "after: asks in ", "own_reward.py": "(sentiment "}
MODULES = {"haiku": "MyHaiku-v0", "toxicity": "Kind-v0"}
"""Examples that are imported for the environment they register."""
LINES = {"own_environment.py": 40, "haiku.py": 40, "toxicity.py": 40}


def test_all_are_known_and_short() -> None:
    files = sorted(EXAMPLES.glob("*.py"))
    assert [file.name for file in files] == sorted([*ARGUMENTS, *(f"{name}.py" for name in MODULES)])
    assert not [file.name for file in files if len(file.read_text().splitlines()) > LINES.get(file.name, 60)]


@pytest.mark.slow
@pytest.mark.parametrize("name", ARGUMENTS)
def test_runs(name: str, tmp_path: Path) -> None:
    command = [sys.executable, str(EXAMPLES / name), ARGUMENTS[name]]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert SAYS[name] in done.stdout


@pytest.mark.parametrize("name", MODULES)
def test_environments_keep_the_contract_without_a_warning(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.syspath_prepend(EXAMPLES)
    monkeypatch.delitem(sys.modules, name, raising=False)
    main(["check", f"{name}:{MODULES[name]}"])
    assert capsys.readouterr().out == f"{name}:{MODULES[name]} keeps the contract.\n"


def example(name: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(EXAMPLES)
    return importlib.import_module(name)


def test_what_the_haiku_earn(monkeypatch: pytest.MonkeyPatch) -> None:
    haiku = example("haiku", monkeypatch)
    pond = "an old silent pond\nthe frog jumps in and is not\nwater and water"
    assert haiku.syllables(pond) == [5, 7, 5]
    texts = [pond, pond.removesuffix(" water"), "", "an old silent pond", pond + "\nwater"]
    assert haiku.form(texts) == pytest.approx([1, (1 + 1 + 1 / 3) / 3, 1 / 6 / 3, 1 / 3, 3 / 4])
    assert haiku.strict(texts) == [1, 0, 0, 0, 0]
    assert [haiku.three_lines(text) for text in (pond, pond + "\n")] == [False, True]


def test_what_kind_and_harsh_words_earn(monkeypatch: pytest.MonkeyPatch) -> None:
    toxicity = example("toxicity", monkeypatch)
    texts = ["", "a good friend", "an idiot", "a kind idiot", "a passing STUPID fool"]
    assert toxicity.kindness(texts) == pytest.approx([1 / 2, 3 / 4, 1 / 4, 2 / 5, 1 / 6])
    assert len(set(toxicity.PROMPTS)) == 100
