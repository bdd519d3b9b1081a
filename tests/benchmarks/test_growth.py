"""Fitted exponents and the figure."""

import json
from pathlib import Path

import pytest

from benchmarks.growth import draw, exponent, main


def test_exponent_of_a_power_law() -> None:
    assert exponent([1, 10, 100], [5, 50, 500]) == pytest.approx(1)
    assert exponent([1, 2, 4, 8], [7, 7, 7, 7]) == pytest.approx(0, abs=1e-9)


@pytest.mark.slow
def test_measures_and_draws(tmp_path: Path) -> None:
    main(only=("rows",), rounds=1, reduced=True, out=tmp_path / "growth.json", figure=tmp_path / "growth.svg")
    found = json.loads((tmp_path / "growth.json").read_text())["axes"]["rows"]
    assert found["sizes"] == [8, 32]
    assert all(seconds > 0 for seconds in found["seconds"])
    first = (tmp_path / "growth.svg").read_text()
    assert "<svg" in first
    draw({"rows": found}, tmp_path / "growth.svg")
    assert (tmp_path / "growth.svg").read_text() == first
