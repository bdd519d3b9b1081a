"""The benchmark of strict haiku, on a handful of episodes, and its page."""

import dataclasses
import json

import pytest
from rich.console import Console

from benchmarks.haiku import PAGE, RESULTS, SETTINGS, markdown, run


@pytest.mark.slow
def test_a_run_tells_what_it_measured() -> None:
    found = run(0, 32, dataclasses.replace(SETTINGS, episodes_per_update=16, minibatch_size=8), Console(quiet=True))
    assert [len(found["curve"]), found["episodes"]] == [2, 32]
    assert 0 < found["curve"][0][0] < found["curve"][1][0] <= found["seconds"] + 0.1
    assert 0 <= found["strict_before"] < 0.05
    assert found["distinct"] > 0.9
    assert all(text.startswith("Haiku about ") for text in found["examples"])
    assert markdown([found]).count("| 32 | 0 |") == 1


def test_the_page_shows_what_was_measured() -> None:
    assert markdown(json.loads(RESULTS.read_text(encoding="utf-8"))["runs"]) in PAGE.read_text(encoding="utf-8")
