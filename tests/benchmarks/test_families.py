"""Families of models: the telling ones now, all of them with the slow tests, and the page shows what was measured."""

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks.families import FAMILIES, PAGE, RESULTS, main, make_model, markdown, measure, missed

MEASURED = json.loads(RESULTS.read_text(encoding="utf-8"))["families"]

TELLING = {
    "opt": "the token",  # dropout of its own, and hidden states narrower than hidden_size
    "starcoder2": "the token",  # dropout of its own
    "falcon": "the token",
    "mixtral": "the token",  # jitter
    "cohere": "the token",  # a factor
    "granite": "the token",
    "gpt_neo": "reads a token after texts of different lengths",  # a window counted from the last column
    "gemma2": "DynamicSlidingWindowLayer",  # a soft cap
    "gemma3_text": "DynamicSlidingWindowLayer",
    "rwkv": "nothing can be spliced",  # no keys
    "minimax": "takes no cache of keys and values",  # a cache of its own
    "xlnet": "XLNetLMHeadModel is not causal",
}


@pytest.mark.parametrize("family", TELLING)
def test_played_is_learnt_or_refused(family: str) -> None:
    row = measure(make_model(family))
    assert missed({family: row}) == []
    assert TELLING[family] in markdown({family: row}).splitlines()[-1]
    assert ("refused" in row) == (family == "xlnet")


@pytest.mark.slow
@pytest.mark.parametrize("family", sorted(set(FAMILIES) - set(TELLING)))
def test_every_family_is_played_as_it_is_learnt_or_refused(family: str) -> None:
    row = measure(make_model(family))
    assert missed({family: row}) == []
    assert {"refused", "played"} & set(row)
    assert ("refused" in row) == ("refused" in MEASURED[family])


def test_more_than_rounding_is_missed() -> None:
    row: dict[str, Any] = {
        "class": "A",
        "played": 1e-7,
        "learnt": 0.0,
        "training": 0.0,
        "packed": None,
        "slow": None,
    }
    assert missed({"right": row, "refused": {"class": "B", "refused": "B is not causal."}}) == []
    wrong = {name: {**row, name: 2e-5} for name in ("played", "learnt", "training", "packed")}
    assert missed({**wrong, "nan": {**row, "played": float("nan")}}) == [*wrong, "nan"]


def test_one_family_is_measured_and_the_others_are_kept(tmp_path: Path) -> None:
    out, page = tmp_path / "families.json", tmp_path / "models.md"
    page.write_text("<!-- benchmarks: start --><!-- benchmarks: end -->")
    kept = {"class": "X", "refused": "X is not causal."}
    out.write_text(json.dumps({"families": {"xlnet": kept}}))
    main(only=("gpt2",), out=out, page=page)
    results = json.loads(out.read_text())
    assert results["versions"]["transformers"]
    assert list(results["families"]) == ["gpt2", "xlnet"]
    assert results["families"]["xlnet"] == kept
    assert results["families"]["gpt2"]["slow"] is None
    assert page.read_text().splitlines()[-3].endswith("| refused: X is not causal. |")
    row = {**results["families"]["gpt2"], "played": 1.0}
    out.write_text(json.dumps({"families": {"llama": row}}))
    with pytest.raises(SystemExit, match="More than 1e-05 nats apart: llama"):
        main(only=("gpt2",), out=out, page=page)


def test_the_page_shows_what_was_measured() -> None:
    assert list(MEASURED) == list(FAMILIES)
    assert len([row for row in MEASURED.values() if "refused" not in row]) >= 40
    assert missed(MEASURED) == []
    assert markdown(MEASURED) in PAGE.read_text(encoding="utf-8")
