"""The benchmark of reward models, on a handful of comparisons, and its page."""

import dataclasses
import json
import re
from pathlib import Path

import pandas as pd
import pytest

from benchmarks.reward_models import ONCE, PAGE, RESULTS, draw, hh_harmless, markdown, measure, paradetox, words_alone
from tests.agents.test_reward_model import simulated


def test_what_is_no_word_is_taken_away() -> None:
    assert words_alone("That 's BAD , dude !") == words_alone("that’s bad dude") == "that's bad dude"


def test_corpora_are_read(tmp_path: Path) -> None:
    rows = [("you are bad !", "You are wrong!", None, None), ("same .", "Same", "other", "other")]
    pd.DataFrame(rows, columns=["toxic", "neutral1", "neutral2", "neutral3"]).to_parquet(tmp_path / "paradetox.parquet")
    first, second = paradetox(tmp_path)
    assert (first.responses, first.ranks) == (("You are wrong!", "you are bad !"), (1, 2))
    assert (second.responses, second.ranks) == (("Same", "other", "same ."), (1, 1, 2))
    assert paradetox(tmp_path, words_alone)[1].responses == ("other", "same")  # one rewriting changes no word
    pair = {"chosen": "\n\nHuman: Hi\n\nAssistant: Good.", "rejected": "\n\nHuman: Hi\n\nAssistant: Bad."}
    pd.DataFrame([pair]).to_parquet(tmp_path / "hh_harmless_pairs.parquet")
    (found,) = hh_harmless(tmp_path)
    assert (found.prompt, found.responses) == ("\n\nHuman: Hi\n\nAssistant:", (" Good.", " Bad."))


@pytest.mark.slow
def test_a_curve_is_measured_and_drawn(tmp_path: Path) -> None:
    rows = measure(simulated(60, 2, 0.5, 0), dataclasses.replace(ONCE, held_out=0.4), (0.5, 1.0))
    assert rows[0]["learnt"] < rows[1]["learnt"]
    assert rows[0]["pairs"] == rows[1]["pairs"] > 0
    assert f"| toy | {rows[1]['learnt']} | {rows[1]['pairs']} | {rows[1]['accuracy']:.3f} |" in markdown({"toy": rows})
    draw({"toy": rows}, tmp_path / "toy.svg")
    assert "<svg" in (tmp_path / "toy.svg").read_text(encoding="utf-8")


def test_the_page_shows_what_was_measured() -> None:
    assert markdown(json.loads(RESULTS.read_text(encoding="utf-8"))["results"]) in PAGE.read_text(encoding="utf-8")


@pytest.mark.slow
def test_the_example_of_the_page(capsys: pytest.CaptureFixture[str]) -> None:
    (block,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL)
    exec(compile(block, "reward_models.md", "exec"), {})
    assert float(capsys.readouterr().out) > 0.9
