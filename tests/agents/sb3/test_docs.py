"""What the page on Stable-Baselines3 shows runs."""

import re
from pathlib import Path

import pytest

PAGE = (Path(__file__).parents[3] / "docs" / "other_agents.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE.partition("## Stable-Baselines3")[2], flags=re.DOTALL)


@pytest.mark.parametrize("block", BLOCKS)
def test_python(block: str) -> None:
    names: dict[str, object] = {}
    exec(compile(block, "other_agents.md", "exec"), names)
    assert "agent" in names
