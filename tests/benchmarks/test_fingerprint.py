"""The hashes of what made a result: they change with what it hangs on, and with nothing else."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.fingerprint import PACKAGE, code_hash, training_hash, training_modules

ENV = "TextBias-v1"
TRAINS = f"""
import json, sys, tempfile
from pathlib import Path
from rich.console import Console
from textenv.training import config_of, train
out = Path(tempfile.mkdtemp()) / "run"
train(config_of("{ENV}", out=out, episodes=8, num_envs=8, eval_prompts=2, algorithm={{"episodes_per_update": 8}}), Console(quiet=True))
print(json.dumps([module.__file__ for name, module in list(sys.modules.items()) if name.partition(".")[0] == "textenv"]))
"""


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of textenv's code, and of its smaller assets."""
    ignored = shutil.ignore_patterns("__pycache__", "*.safetensors", "*.gz")
    return Path(shutil.copytree(PACKAGE, tmp_path_factory.mktemp("copy") / "textenv", ignore=ignored))


@pytest.fixture(scope="module")
def before(package: Path) -> str:
    """The hash of the copy as it is."""
    return training_hash(ENV, package)


def changed(package: Path, before: str, file: str, old: str, new: str) -> bool:
    """Tell whether the hash changes with a text that is put into a file, in place of another or at its end, and put the file back."""
    text = (package / file).read_text(encoding="utf-8")
    other = text.replace(old, new) if old else text + new
    assert other != text
    (package / file).write_text(other, encoding="utf-8")
    after = training_hash(ENV, package)
    (package / file).write_text(text, encoding="utf-8")
    return after != before


def test_code_changes_with_what_runs_and_not_with_words(tmp_path: Path) -> None:
    file = tmp_path / "a.py"
    hashes = []
    for text in ('"""A."""\nx = 1\n"""Is one."""\n', "# B\nx = 1\n", 'x = 1\ndef f():\n    "C."\n    return x\n', "x = 2\n"):
        file.write_text(text, encoding="utf-8")
        hashes.append(code_hash(file))
    assert hashes[0] == hashes[1]
    assert len(set(hashes)) == 3


def test_what_a_training_imports_is_seen() -> None:
    environ = {**os.environ, "PYTHONPATH": str(PACKAGE.parent), "HF_HUB_OFFLINE": "1", "OMP_WAIT_POLICY": "passive"}
    done = subprocess.run([sys.executable, "-c", TRAINS], cwd=PACKAGE.parent, env=environ, text=True, capture_output=True, check=True)
    loaded = {Path(file) for file in json.loads(done.stdout.splitlines()[-1])}
    assert PACKAGE / "envs" / "bias_v1.py" in loaded
    assert loaded <= set(training_modules(ENV))


def test_modules_are_seen_however_they_are_imported(tmp_path: Path) -> None:
    for name, text in {"training": "import textenv.a", "a": "def f():\n    from textenv import b", "b": "", "c": ""}.items():
        (tmp_path / f"{name}.py").write_text(text, encoding="utf-8")
    assert [file.stem for file in training_modules("Own-v0", tmp_path)] == ["a", "b", "training"]


@pytest.mark.parametrize(
    ("file", "changes"),
    [
        ("rewards/picks.py", True),
        ("envs/bias_v1.py", True),
        ("agents/ppo.py", True),
        ("assets/prompts/bias-v1.jsonl", True),
        ("assets/tiny-assistant/config.json", True),
        ("envs/haiku_v1.py", False),
        ("agents/dqn.py", False),
        ("web/serving.py", False),
        ("assets/prompts/haiku.jsonl", False),
        ("assets/tiny-zh/config.json", False),
        ("assets/tiny-assistant/README.md", False),
    ],
)
def test_a_training_hangs_on_its_own_code_and_assets(package: Path, before: str, file: str, changes: bool) -> None:
    assert changed(package, before, file, "", "added = 1\n") == changes


def test_a_card_may_be_written_after_the_training(package: Path, before: str) -> None:
    assert not changed(package, before, "envs/bias_v1.py", "Before training: mean", "Before training: a mean of")


def test_what_somebody_else_registers_hangs_on_textenv_alone() -> None:
    assert training_hash("Own-v0") == training_hash("own:Other-v0") != training_hash(ENV)
