"""`textenv comparisons`: what goes in comes out, and an import is all or nothing."""

import json
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from textenv.cli import main
from textenv.preferences.comparison import Comparison
from textenv.preferences.loading import load_comparisons, write_comparisons
from textenv.preferences.store import ComparisonStore, Item

JUDGED = [
    Comparison(prompt="p", responses=("a", "b", "c"), ranks=(1, 2, 2), annotator="anna", sources=("x", "y", "z")),
    Comparison(prompt="p", responses=("a", "b", "c"), ranks=(1, 2, 3), ratings=(7.0, None, 1.0), annotator="ben", sources=("x", "y", "z")),
    Comparison(prompt="q", responses=("a", "b"), annotator="anna"),
]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    write_comparisons(JUDGED, tmp_path / "file.jsonl")
    return tmp_path / "file.jsonl"


def test_a_store_is_made_of_a_file_and_written_back(file: Path, tmp_path: Path, call: Callable[..., str]) -> None:
    store, out = str(tmp_path / "store.db"), tmp_path / "out.parquet"
    found = json.loads(call("comparisons", store, "--add", str(file), "--export", str(out), "--json"))
    assert load_comparisons(out) == load_comparisons(store) == JUDGED
    numbers = {name: found.pop(name) for name in ("agreement", "agreement_low", "agreement_high", "alpha")}
    assert found == {"store": store, "items": 2, "judged": 2, "judgements": 3, "annotators": {"anna": 2, "ben": 1}, "pairs": 3}
    assert numbers["agreement"] == pytest.approx(2 / 3)
    assert numbers["agreement_low"] < 2 / 3 < numbers["agreement_high"]
    assert numbers["alpha"] == pytest.approx(1 - 11 * 4 / 240)  # 12 values: 5 of 1 and of -1, 2 of 0; 2 units of 6 are 1 apart


def test_what_is_printed(file: Path, tmp_path: Path, call: Callable[..., str], capsys: pytest.CaptureFixture[str]) -> None:
    store, out = tmp_path / "store.db", tmp_path / "pairs.jsonl"
    main(["comparisons", str(store), "--add", str(file), "--export", str(out), "--format", "trl"])
    said = capsys.readouterr()
    assert said.err.splitlines() == [
        f"2 items and 3 judgements of {file} are new.",
        f"5 rows are in {out}. Its format cannot hold 1 ties, 1 judgements without ranks, 2 ratings.",
    ]
    lines = said.out.splitlines()
    assert lines[:3] == [f"{store}: 2 items, 2 of them judged, 3 judgements.", "  anna: 2", "  ben: 1"]
    assert lines[3].startswith("Annotators agree on 66.7 % (")
    assert {tuple(json.loads(line)) for line in out.read_text().splitlines()} == {("prompt", "chosen", "rejected")}
    main(["comparisons", str(store), "--add", str(file)])
    assert capsys.readouterr().err == f"0 items and 0 judgements of {file} are new.\n"


def test_a_store_is_added_to_another(file: Path, tmp_path: Path, call: Callable[..., str]) -> None:
    first, second = str(tmp_path / "first.db"), str(tmp_path / "second.db")
    call("comparisons", first, "--add", str(file))
    call("comparisons", second, "--add", first)
    assert load_comparisons(second) == JUDGED


def test_a_store_is_added_with_what_nobody_has_judged(file: Path, tmp_path: Path, call: Callable[..., str]) -> None:
    first, second = str(tmp_path / "first.db"), str(tmp_path / "second.db")
    waiting = Item(prompt="r", responses=("a", "b"), sources=("x", "y"), columns={"topic": "rain"})
    with ComparisonStore(tmp_path / "first.db", create=True) as store:
        store.add([waiting, Item(prompt="q", responses=("a", "b"), columns={"topic": "sun"})])
    call("comparisons", first, "--add", str(file))
    found = json.loads(call("comparisons", second, "--add", first, "--json"))
    assert (found["items"], found["judged"]) == (3, 2)
    with ComparisonStore(tmp_path / "first.db") as store, ComparisonStore(tmp_path / "second.db") as other:
        assert other.items() == store.items()
        assert other.items()[0] == waiting


def test_a_store_with_names_as_they_were_typed_is_added(file: Path, tmp_path: Path, call: Callable[..., str]) -> None:
    call("comparisons", str(tmp_path / "first.db"), "--add", str(file))
    with sqlite3.connect(tmp_path / "first.db") as connection:  # as an older textenv kept them
        connection.execute("UPDATE labels SET annotator = 'be\u200bn ' WHERE annotator = 'ben'")
    connection.close()
    found = json.loads(call("comparisons", str(tmp_path / "second.db"), "--add", str(tmp_path / "first.db"), "--json"))
    assert found["annotators"] == {"anna": 2, "ben": 1}


def test_an_import_is_all_or_nothing(file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = tmp_path / "store.db"
    other = Comparison(prompt="new", responses=("a", "b"), ranks=(1, 2), annotator="anna")
    contradiction = Comparison(prompt="p", responses=("a", "b", "c"), ranks=(3, 2, 1), annotator="anna")
    write_comparisons([other, contradiction], tmp_path / "contradiction.jsonl")
    (tmp_path / "broken.jsonl").write_text(file.read_text() + '{"prompt": "p", "responses": ["a"], "ranks": [1]}\n')
    cases = (
        ([str(store)], f"There is no comparison store {store};"),
        (
            [str(store), "--add", str(tmp_path / "broken.jsonl")],
            f"comparisons: {tmp_path / 'broken.jsonl'}, line 4: A comparison needs two or more",
        ),
        ([str(store), "--add", str(tmp_path / "missing.jsonl")], f"{tmp_path / 'missing.jsonl'} cannot be read: No such file"),
    )
    for arguments, says in cases:
        with pytest.raises(SystemExit) as caught:
            main(["comparisons", *arguments])
        assert caught.value.code == 2
        assert capsys.readouterr().err.startswith(f"textenv: {says}")
        assert not store.exists()
    main(["comparisons", str(store), "--add", str(file)])
    capsys.readouterr()
    with pytest.raises(SystemExit):
        main(["comparisons", str(store), "--add", str(tmp_path / "contradiction.jsonl")])
    assert capsys.readouterr().err.startswith("textenv: anna judges the same responses in two ways, to the prompt 'p';")
    assert load_comparisons(store) == JUDGED


def test_a_store_without_judgements_is_shown(tmp_path: Path, call: Callable[..., str], capsys: pytest.CaptureFixture[str]) -> None:
    ComparisonStore(tmp_path / "store.db", create=True).close()
    assert json.loads(call("comparisons", str(tmp_path / "store.db"), "--json"))["agreement"] is None
    assert call("comparisons", str(tmp_path / "store.db")) == f"{tmp_path / 'store.db'}: 0 items, 0 of them judged, 0 judgements.\n"
    with pytest.raises(SystemExit):
        main(["comparisons", str(tmp_path / "store.db"), "--export", str(tmp_path / "out.jsonl")])
    assert capsys.readouterr().err == f"textenv: There is nothing to write to {tmp_path / 'out.jsonl'}: no comparison.\n"
