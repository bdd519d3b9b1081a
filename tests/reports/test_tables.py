"""Rows go under the names in the head, whatever version wrote it, and what is damaged is said."""

import csv
import io
import re
from pathlib import Path

import pandas as pd
import pytest

from textenv.errors import ArgumentError, LoadError
from textenv.reports.tables import Table, check_metrics, read_table


def test_rows_go_under_their_names(tmp_path: Path) -> None:
    file = tmp_path / "metrics.csv"
    file.write_text('update,old,score,alarm\r\n1,7,0.5,"a, ""b"""\r\n', newline="")
    table = Table(file)
    table.append({"update": 2, "score": 0.25, "alarm": "", "new": 3})
    table.append({"update": 3, "alarm": "x\ny"})
    table.append({"update": 4, "newer": 1, "new": 2})
    rows = list(csv.DictReader(io.StringIO(file.read_text())))
    assert list(rows[0]) == ["update", "old", "score", "alarm", "new", "newer"]
    assert [list(row.values()) for row in rows] == [
        ["1", "7", "0.5", 'a, "b"', "", ""],
        ["2", "", "0.25", "", "3", ""],
        ["3", "", "", "x\ny", "", ""],
        ["4", "", "", "", "2", "1"],
    ]
    assert pd.read_csv(file)["new"].isna().tolist() == [True, False, True, False]
    assert [path.name for path in tmp_path.iterdir()] == ["metrics.csv"]


@pytest.mark.parametrize("content", [None, ""])
def test_an_empty_file_gets_a_head(content: str | None, tmp_path: Path) -> None:
    file = tmp_path / "metrics.csv"
    if content is not None:
        file.write_text(content)
    Table(file).append({"update": 1, "score": 0.5})
    assert read_table(file) == (["update", "score"], [{"update": "1", "score": "0.5"}])


def test_rows_that_are_kept_are_the_same_bytes(tmp_path: Path) -> None:
    file = tmp_path / "metrics.csv"
    table = Table(file)
    for update in (1, 2):
        table.append({"update": update, "score": 1 / 3, "alarm": 'k1, "odd"'})
    two = file.read_bytes()
    table.append({"update": 3, "score": float("nan"), "alarm": "a\nb"})
    for torn in ("", '4,0.3,"torn', "4,0.3", '4,"a\n'):
        with file.open("a") as handle:
            handle.write(torn)
        again = Table(file)
        rows = again.until(2, complete=True)
        assert rows is not None
        again.keep(rows)
        assert file.read_bytes() == two
        again.append({"update": 3, "score": 1, "alarm": ""})


@pytest.mark.parametrize("torn", ["2,0.2", "2,", "2", '2,"0.2'])
def test_a_row_that_is_torn_is_not_read(torn: str, tmp_path: Path) -> None:
    file = tmp_path / "metrics.csv"
    file.write_text(f"update,score\n1,0.5\n{torn}")
    assert read_table(file) == (["update", "score"], [{"update": "1", "score": "0.5"}])


def test_a_link_is_replaced_and_not_followed(tmp_path: Path) -> None:
    theirs, file = tmp_path / "theirs.csv", tmp_path / "metrics.csv"
    theirs.write_text("update\n1\n2\n")
    file.symlink_to(theirs)
    table = Table(file)
    table.keep(table.until(1, complete=True) or [])
    table.append({"update": 2})
    assert theirs.read_text() == "update\n1\n2\n"
    assert not file.is_symlink()


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "it holds 0 of the 2 updates that the checkpoint counts"),
        (b"update,score\n1,2\n", "it holds 1 of the 2 updates"),
        (b"upd", "its head is not one of different names"),
        (b"update,a,a\n", "its head is not one of different names"),
        (b"score,update\n1,2\n", "its head is not one of different names"),
        (b"update,a\n1,2,3\n2,1\n", "row 2 has 3 fields, the head 2"),
        (b"update,a\n1\n2,1\n", "row 2 has 1 fields, the head 2"),
        (b"update,a\none,1\n2,1\n", "row 2 has the update 'one', which is no number"),
        (b"update,a\n1,1\n2.5,1\n", "row 3 has the update '2.5', which is no number"),
        (b"update,a\n" + b"9" * 5000 + b",1\n", "row 2 has the update '9+', which is no number"),
        (b"update,a\n1,1\n1,1\n", "update 1 comes twice, as two processes have written it; keep one row of each"),
        (b"update,a\n1,1\n2,1\n1,1\n", "update 1 comes twice"),
        (b"update,a\n2,1\n1,1\n", "update 1 comes after update 2; put the rows into their order"),
        (b"update,a\n0,1\n2,1\n", "it holds update 0, but updates count from 1"),
        (b"update,a\n0,1\n1,1\n2,1\n", "it holds update 0, but updates count from 1"),
        (b"update,a\n2,1\n3,1\n", "it lacks update 1"),
        (b"update,a\n\xff\xfe,1\n", "'utf-8' codec can't decode"),
        (b"\x00" * 100, "its head is not one|line contains NUL"),
        (b"update,a\n1," + b"x" * 200_000 + b"\n", "field larger than field limit"),
    ],
)
def test_what_is_damaged_is_said(content: bytes, sentence: str, tmp_path: Path) -> None:
    file = tmp_path / "metrics.csv"
    file.write_bytes(content)
    with pytest.raises(LoadError, match=f"^{re.escape(str(file))} is damaged: .*({sentence}).*; restore it from a copy, or choose another"):
        Table(file).until(2, complete=True)
    assert file.read_bytes() == content


def test_what_is_no_file_is_said(tmp_path: Path) -> None:
    assert Table(tmp_path / "nothing.csv").until(3, complete=False) is None
    with pytest.raises(LoadError, match=r"nothing.csv is damaged: it is missing or no plain file"):
        Table(tmp_path / "nothing.csv").until(3, complete=True)
    (tmp_path / "folder.csv").mkdir()
    (tmp_path / "dangling.csv").symlink_to(tmp_path / "gone")
    for name in ("folder.csv", "dangling.csv"):
        with pytest.raises(LoadError, match=f"{name} is damaged: it is missing or no plain file"):
            Table(tmp_path / name).until(3, complete=False)


@pytest.mark.parametrize("name", ["update", "distinct2", "seconds", "tokens_per_second", "alarm", "score", "entropy", "kl_k1"])
def test_metrics_fit_the_columns_of_a_run(name: str) -> None:
    metrics = {"score": 0.5, "entropy": 1.0, "kl_k1": 0.0, "own": 2.0}
    check_metrics("mine", metrics)
    if name in metrics:
        with pytest.raises(ArgumentError, match=f'"mine" does not report the metric "{name}"'):
            check_metrics("mine", {other: value for other, value in metrics.items() if other != name})
    else:
        with pytest.raises(ArgumentError, match=f'"mine" reports the metric "{name}", a column that each run writes itself'):
            check_metrics("mine", {**metrics, name: 1.0})
