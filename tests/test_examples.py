"""Every example runs, as a user would run it."""

import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parent.parent / "examples"
ARGUMENTS = {"custom_reward.py": "512", "other_agents.py": "128", "own_reward.py": "32"}
SAYS = {"custom_reward.py": "asks a question:", "other_agents.py": "MaskablePPO: ", "own_reward.py": "(sentiment "}


def test_all_are_known_and_short() -> None:
    files = sorted(EXAMPLES.glob("*.py"))
    assert [file.name for file in files] == sorted(ARGUMENTS)
    assert all(len(file.read_text().splitlines()) <= 60 for file in files)


@pytest.mark.slow
@pytest.mark.parametrize("name", ARGUMENTS)
def test_runs(name: str, tmp_path: Path) -> None:
    command = [sys.executable, str(EXAMPLES / name), ARGUMENTS[name]]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert SAYS[name] in done.stdout
