"""`textenv compare`: different responses of one policy, a store that grows, and what is told."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import textenv
from textenv.cli import main
from textenv.commands.compare import CompareConfig, compare
from textenv.envs.registry import task_of
from textenv.preferences.annotator import SimulatedAnnotator
from textenv.preferences.store import ComparisonStore, Item

PROMPTS = [{"prompt": "cab>", "answer": "cab", "weight": 2}, {"prompt": "a>", "answer": "a", "weight": 3}]


def equals_answer(completions: list[str], answer: list[str]) -> list[float]:
    return [float(text == expected) for text, expected in zip(completions, answer, strict=True)]


def items(path: Path) -> list[Item]:
    with ComparisonStore(path) as store:
        return store.pending("anna")


def config(run: Path, out: Path, **options: Any) -> CompareConfig:
    return CompareConfig(policy=str(run), env="TextCopy-v0", out=out, **{"prompts": 5, "responses": 3, **options})


def test_different_responses_of_one_policy(run: Path, tmp_path: Path, call: Callable[..., str]) -> None:
    out = tmp_path / "new" / "store.db"
    printed = json.loads(call("compare", str(run), "TextCopy-v0", "--responses", "3", "--prompts", "5", "--out", str(out), "--json"))
    drawn = items(out)
    assert len(drawn) == len({item.prompt for item in drawn}) == printed["items"] == 5
    assert {item.prompt for item in drawn} <= set(task_of("TextCopy-v0").prompts)
    for item in drawn:
        assert 2 <= len(set(item.responses)) == len(item.responses) <= 3
        assert item.sources == (str(run),) * len(item.responses)
    assert printed["short"] == sum(len(item.responses) == 2 for item in drawn)
    assert (printed["known"], printed["skipped"]) == (0, 0)


def test_the_seed_decides_and_what_is_there_stays(run: Path, tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    compare(config(run, first))
    assert compare(config(run, second))[:2] == (5, 0)
    assert items(first) == items(second)
    assert compare(config(run, first))[:2] == (0, 5)
    assert compare(config(run, first, seed=1)).items > 0
    assert items(first)[:5] == items(second)


def test_a_policy_without_variety_is_told(run: Path, tmp_path: Path, call: Callable[..., str], capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "store"
    # At a temperature near 0 every draw is the same.
    assert compare(config(run, out, temperature=1e-4)) == (0, 0, 0, 5)
    assert items(out) == []
    # Of TextCopy's 3 letters and the end there are 4 + 27 * 4 responses at most: no prompt has 200.
    drawn = compare(config(run, out, prompts=1, responses=200))
    assert (drawn.items, drawn.short) == (1, 1)
    main(["compare", str(run), "TextCopy-v0", "--responses", "200", "--prompts", "1", "--out", str(out)])
    said = capsys.readouterr()
    assert said.out == f"0 new items in {out}; textenv label {out} asks which responses are better.\n"
    assert said.err.splitlines() == [
        "1 were there already.",
        "1 have fewer than 200 responses: the policy wrote no more different ones.",
    ]


def test_columns_reach_the_simulated_annotator(tmp_path: Path) -> None:
    textenv.register("Answer-v0", prompts=PROMPTS, reward=equals_answer, tokenizer="tiny-en", max_prompt_tokens=4, max_new_tokens=2)
    compare(CompareConfig(policy="tiny-en", env="Answer-v0", out=tmp_path / "store", prompts=9))
    drawn = items(tmp_path / "store")
    assert sorted((item.columns["answer"], item.columns["weight"]) for item in drawn) == [("a", 3), ("cab", 2)]
    assert [len(item.responses) for item in drawn] == [4, 4]
    SimulatedAnnotator(equals_answer).judge(drawn)


def test_refusals(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "text").write_text("no store, but a text that is long enough to be taken for one by SQLite's reading of its first page")
    cases: list[tuple[list[str], str]] = [
        (["--responses", "1", "--out", "store"], "--responses must be at least 2, got 1."),
        (["--prompts", "0", "--out", "store"], "--prompts must be at least 1, got 0."),
        (["--out", str(tmp_path / "text")], f"{tmp_path / 'text'} is no comparison store: file is not a database."),
        ([], "compare needs --out; see textenv compare --help."),
    ]
    for arguments, says in cases:
        with pytest.raises(SystemExit) as caught:
            main(["compare", str(run), "TextCopy-v0", *arguments])
        assert (caught.value.code, capsys.readouterr().err) == (2, f"textenv: {says}\n")
