"""Every line of the GPU benchmark, at toy size on the CPU."""

import json
from pathlib import Path

import pytest

from benchmarks.gpu import flops_per_token, main
from benchmarks.workloads import Workload


def test_toy_runs_every_line(tmp_path: Path) -> None:
    main(device="cpu", toy=True, out=tmp_path / "gpu.json")
    rows = {(row["name"].split(",")[0], row["versus"]): row for row in json.loads((tmp_path / "gpu.json").read_text())["rows"]}
    assert {name for name, _ in rows} == {
        "log-probabilities in one forward pass",
        "log-probabilities while decoding",
        "decode",
        "learner",
        "one iteration",
    }
    equal = [row for (_, versus), row in rows.items() if versus == "the CPU"]
    assert all(row["met"] for row in rows.values() if row["unit"] == "nats"), equal
    assert rows["decode", "generate()"]["target"] == 5
    assert 0 < rows["learner", "the device's dense bf16 peak"]["figure"] < 0.35


def test_refuses_a_device_whose_peak_is_unknown(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match='peak of "cpu"'):
        main(device="cpu", out=tmp_path / "gpu.json")


def test_flops_of_a_token() -> None:
    work = Workload(layers=2, width=8, prompt=4, new=6)
    assert flops_per_token(work, parameters=100) == 600 + 12 * 2 * 8 * 5
