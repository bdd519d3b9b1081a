"""The page about labelling: what it shows runs, and prints what it says."""

import os
import re
from pathlib import Path

import pytest

from textenv.cli import main
from textenv.preferences.loading import load_comparisons

PAGE = (Path(__file__).parent.parent.parent / "docs" / "labelling.md").read_text(encoding="utf-8")


@pytest.mark.slow
def test_what_the_page_shows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    lines = [line.split()[1:] for block in re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL) for line in block.splitlines()]
    draw, *pages, simulate = lines
    export = pages.pop(1)
    assert [page[:2] for page in (*pages, simulate)] == [["label", "comparisons.db"]] * 4  # the page is served in other tests
    for line in (draw, simulate, export):
        main(line)
    assert len(load_comparisons("judged.jsonl")) == 16
    assert {len(comparison.responses) for comparison in load_comparisons("judged.jsonl")} == {4}
    assert sorted(os.listdir()) == ["comparisons.db", "judged.jsonl"]
    capsys.readouterr()
    blocks = re.findall(r"```python\n(.*?)```\n\n```text\n(.*?)```", PAGE, re.DOTALL)
    assert len(blocks) == PAGE.count("```python") == 2
    for code, printed in blocks:
        exec(compile(code, "labelling.md", "exec"), {})
        assert capsys.readouterr().out == printed
