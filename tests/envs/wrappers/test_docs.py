"""What docs/wrappers.md shows runs, and its table is the benchmark's."""

import json
import re
from pathlib import Path

import pytest

from benchmarks.harness import END, START
from benchmarks.kl_shaping import table
from textenv.envs import wrappers

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "wrappers.md").read_text(encoding="utf-8")
SECTIONS = dict(re.findall(r"^## (\w+)\n(.*?)(?=^## |\Z)", PAGE, flags=re.DOTALL | re.MULTILINE))
BLOCKS = [(name, block) for name, text in SECTIONS.items() for block in re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)]


def test_every_wrapper_has_its_section() -> None:
    assert sorted(SECTIONS) == sorted(wrappers.__all__) == sorted({name for name, _ in BLOCKS})


@pytest.mark.parametrize("block", [block for _, block in BLOCKS], ids=[name for name, _ in BLOCKS])
def test_the_examples_are_short_and_run(block: str) -> None:
    assert len([line for line in block.splitlines() if line and "import" not in line]) <= 5
    exec(compile(block, "wrappers.md", "exec"), {})


def test_the_table_is_that_of_the_results() -> None:
    results = json.loads((ROOT / "benchmarks" / "results" / "kl_shaping.json").read_text())
    between = PAGE.partition(START)[2].partition(END)[0]
    assert between.strip() == table(results["toys"])
