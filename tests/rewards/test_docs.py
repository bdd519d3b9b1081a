"""The page about rewards: its examples run, its table is complete."""

import re
from pathlib import Path

import pytest

from textenv import rewards

PAGE = (Path(__file__).parents[2] / "docs" / "rewards.md").read_text()
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL)
SAYS = [r"score_fluency", r"became -?0\.00$", r"\[0\.25\].*'on_topic'"]
NO_REWARDS = {"NgramClassifier", "Scores", "calibrated", "call_reward"}


@pytest.mark.parametrize(("block", "says"), list(zip(BLOCKS, SAYS, strict=True)))
def test_the_examples_run(block: str, says: str, capsys: pytest.CaptureFixture[str]) -> None:
    exec(compile(block, "rewards.md", "exec"), {})
    assert re.search(says, capsys.readouterr().out.strip())


def test_the_table_lists_every_reward() -> None:
    listed = set(re.findall(r"^\| `(\w+)\(", PAGE, flags=re.MULTILINE))
    assert listed == set(rewards.__all__) - NO_REWARDS | {"pipeline"}


def test_public_names_are_sorted_and_resolve() -> None:
    assert rewards.__all__ == sorted(rewards.__all__)
    assert all(callable(getattr(rewards, name)) for name in rewards.__all__)
