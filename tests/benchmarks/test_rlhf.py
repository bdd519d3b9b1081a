"""The whole chain from judgements to trained models runs, and can be measured."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.rlhf import TRAINED, main

EXAMPLE = Path(__file__).parent.parent.parent / "examples" / "rlhf.py"


@pytest.mark.slow
def test_the_chain_and_its_table(tmp_path: Path) -> None:
    chain, out, page = tmp_path / "chain", tmp_path / "rlhf.json", tmp_path / "page.md"
    command = [sys.executable, str(EXAMPLE), str(chain), "quick"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stderr
    assert "TextSentiment-v0, by tiny-sentiment-judge" in done.stdout
    page.write_text("<!-- benchmarks: start --><!-- benchmarks: end -->")
    main(chain, episodes=32, out=out, page=page)
    policies = json.loads(out.read_text())["policies"]
    assert set(policies) == {"base", *TRAINED}
    assert policies["sft"]["wins"] == {}
    assert policies["sft"]["kl_exact"] == pytest.approx(0, abs=1e-5)
    assert min(policies[name]["kl_exact"] for name in ("ppo", "ppo-ptx")) > 0  # so little may teach the others nothing
    for name in ("base", "ppo", "ppo-ptx", "dpo"):
        assert len(policies[name]["wins"]) == 2
        assert all(0 <= wins["low"] <= wins["rate"] <= wins["high"] <= 1 for wins in policies[name]["wins"].values())
    assert all(1 < row["bits_per_byte"]["played"] < 3 for row in policies.values())
    rows = [line.split(" | ") for line in page.read_text().splitlines() if line.startswith("| ")]
    assert [row[0] for row in rows[1:6]] == [f"| {name}" for name in ("base", *TRAINED)]
    assert {row[0] for row in rows[7:]} == {"| 0.1", "| 0.2", "| 0.4"}
    assert rows[1][-1] == f"{policies['base']['bits_per_byte']['played']:.3f} |"
    assert (tmp_path / "page.svg").read_text().count("win rate over SFT") == 1
