"""Comparisons as files: what is written is read back, what others write is understood, and what is wrong is named."""

import gzip
import json
from pathlib import Path
from typing import Any

import datasets
import pandas as pd
import pyarrow.parquet
import pytest

from textenv.errors import ArgumentError, LoadError, SaveError
from textenv.preferences.comparison import Comparison
from textenv.preferences.loading import Format, load_comparisons, write_comparisons
from textenv.preferences.store import ComparisonStore, Item

JUDGED = [
    Comparison(prompt="The film", responses=(" was good.", " war groß.\n\u2028", ""), ranks=(1, 2, 2), annotator="anna"),
    Comparison(prompt="天空", responses=("蓝", "黑"), ratings=(7.0, None), annotator="ben", sources=("runs/a", "runs/b")),
    Comparison(prompt="", responses=("a", "b"), annotator="cleo"),
    Comparison(prompt="The film", responses=(" x", " y"), ranks=(2, 1)),
]
USER, ASSISTANT = "user", "assistant"


def message(role: str, content: str) -> dict[str, str]:
    return {"role": role, "content": content}


def pair(prompt: str, chosen: str, rejected: str) -> list[Comparison]:
    return [Comparison(prompt=prompt, responses=(chosen, rejected), ranks=(1, 2))]


# textenv's own format


@pytest.mark.parametrize("suffix", ["jsonl", "parquet"])
def test_all_fields_are_read_back(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"comparisons.{suffix}"
    assert write_comparisons(JUDGED, path) == 4
    assert load_comparisons(path) == load_comparisons(str(path)) == JUDGED
    assert load_comparisons(JUDGED) == JUDGED
    frame = pd.read_parquet(path) if suffix == "parquet" else pd.DataFrame(rows_of(path))
    assert load_comparisons(frame) == JUDGED
    assert load_comparisons(datasets.Dataset.from_list(rows_of(path))) == JUDGED


def rows_of(path: Path) -> list[dict[str, Any]]:
    if path.suffix == ".parquet":
        return list(pyarrow.parquet.read_table(path).to_pylist())
    return [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line]


def test_a_column_of_nothing_has_its_type(tmp_path: Path) -> None:
    path = tmp_path / "comparisons.parquet"
    write_comparisons(JUDGED[2:3], path)
    assert [str(pyarrow.parquet.read_schema(path).field(name).type) for name in ("ranks", "ratings")] == [
        "list<element: int64>",
        "list<element: double>",
    ]


def test_a_store_is_read(tmp_path: Path) -> None:
    with ComparisonStore(tmp_path / "store", create=True) as store:
        store.add([Item(prompt="p", responses=("a", "b"))])
        with pytest.raises(ArgumentError, match=r"holds no judgements yet; textenv label .*store asks for them\.$"):
            load_comparisons(tmp_path / "store")
        store.add_comparisons(JUDGED)
    assert load_comparisons(tmp_path / "store") == JUDGED


# The formats of the Hugging Face libraries


@pytest.mark.parametrize("suffix", ["jsonl", "parquet"])
@pytest.mark.parametrize("format", ["trl", "hh"])
def test_pairs_are_read_back(format: Format, suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"pairs.{suffix}"
    ranked = [
        Comparison(prompt="\n\nHuman: hi\n\nAssistant:", responses=(" a", " b", " ab"), ranks=(2, 1, 2)),
        Comparison(prompt="\n\nHuman: hi\n\nAssistant:", responses=(" a", " b")),
    ]
    assert write_comparisons(ranked, path, format=format) == 2
    prompt = ranked[0].prompt
    assert load_comparisons(path) == [*pair(prompt, " b", " a"), *pair(prompt, " b", " ab")]
    assert list(rows_of(path)[0]) == (["prompt", "chosen", "rejected"] if format == "trl" else ["chosen", "rejected"])


def test_compressed_lines_are_read(tmp_path: Path) -> None:
    with gzip.open(tmp_path / "train.jsonl.gz", "wt") as file:
        file.write('{"chosen": "A b", "rejected": "A c"}\n\n')
    assert load_comparisons(tmp_path / "train.jsonl.gz") == pair("A", " b", " c")


HI = message(USER, "Hi")
TURNS = "\n\nHuman: Hi\n\nAssistant: Hello\n\nHuman: Bye\n\nAssistant:"


@pytest.mark.parametrize(
    ("chosen", "rejected", "expected"),
    [
        (TURNS + " Yes", TURNS + " Yes.", (TURNS, " Yes", " Yes.")),
        (TURNS, TURNS + " Yes.", (TURNS, "", " Yes.")),
        (TURNS + " A\n\nHuman: x\n\nAssistant: y", TURNS + " B", (TURNS, " A\n\nHuman: x\n\nAssistant: y", " B")),
        ("The sky is blue.", "The sky is black.", ("The sky is", " blue.", " black.")),
        ("The sky", "The sky is blue.", ("The sky", "", " is blue.")),
        ("The  sky", "The  sea", ("The", "  sky", "  sea")),
        ("небо синее", "небо серое", ("небо", " синее", " серое")),
        ("天空是蓝", "天空是黑", ("天空是", "蓝", "黑")),
    ],
)
def test_whole_texts_part_where_they_should(chosen: str, rejected: str, expected: tuple[str, str, str]) -> None:
    assert load_comparisons([{"chosen": chosen, "rejected": rejected}]) == pair(*expected)


@pytest.mark.parametrize(
    "row",
    [
        {"prompt": [HI], "chosen": [message(ASSISTANT, "A")], "rejected": [message(ASSISTANT, "B")]},
        {"prompt": "Hi", "chosen": [message(ASSISTANT, "A")], "rejected": [message(ASSISTANT, "B")]},
        {"chosen": [message(USER, "Hi"), message(ASSISTANT, "A")], "rejected": [message(USER, "Hi"), message(ASSISTANT, "B")]},
        {
            "prompt": "Hi",
            "chosen": [message(USER, "Hi"), message(ASSISTANT, "A")],
            "rejected": [message(USER, "Hi"), message(ASSISTANT, "B")],
        },
        {"chosen": "\n\nHuman: Hi\n\nAssistant: A", "rejected": "\n\nHuman: Hi\n\nAssistant: B", "score": 3},
    ],
)
def test_conversations_become_the_text_of_dialogues(row: dict[str, Any]) -> None:
    expected = pair("\n\nHuman: Hi\n\nAssistant:", " A", " B")
    assert load_comparisons([row]) == expected
    assert load_comparisons(datasets.Dataset.from_list([row])) == expected
    assert load_comparisons(pd.DataFrame([row])) == expected


def test_further_turns_belong_to_the_prompt() -> None:
    turns = [message("system", "Be kind."), message(USER, "Hi"), message(ASSISTANT, "Hello"), message(USER, "Bye")]
    row = {"prompt": turns, "chosen": [message(ASSISTANT, "A")], "rejected": [message(ASSISTANT, "B")]}
    assert load_comparisons([row]) == pair("\n\nSystem: Be kind." + TURNS, " A", " B")


# What is wrong


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ({"prompt": "p", "responses": ["a"]}, "two or more responses, got 1"),
        ({"prompt": "p", "responses": "ab"}, "\"responses\" must be a list, got 'ab'"),
        ({"prompt": "p", "responses": ["a", 3]}, '"responses" is 3, not text'),
        ({"responses": ["a", "b"]}, '"prompt" is missing'),
        ({"prompt": "p", "responses": ["a", "b"], "ranks": []}, "2 integers from 1"),
        ({"prompt": "p", "responses": ["a", "b"], "ranks": [2, 2]}, "2 integers from 1"),
        ({"prompt": "p", "responses": ["a", "b"], "ranks": "12"}, '"ranks" must be a list'),
        ({"prompt": "p", "responses": ["a", "b"], "ratings": ["1", 2]}, "\"ratings\" must be numbers, got '1'"),
        ({"prompt": "p", "responses": ["a", "b"], "ratings": [9, 2]}, "between 1 and 7, got 9"),
        ({"prompt": "p", "responses": ["a", "b"], "rank": [1, 2]}, 'no column "rank". Did you mean "ranks"?'),
        ({"prompt": "p", "responses": ["a", "b"], "annotator": 3}, '"annotator" is 3, not text'),
        ({"prompt": "p", "responses": ["a", "\ud800"]}, "\"responses\" holds '\\ud800', half of a character"),
        ({"prompt": "p", "chosen": "a"}, 'The column "rejected" is missing'),
        (
            {"text": "p"},
            '"chosen" is missing; comparisons have the columns prompt and responses, or chosen and rejected, got text.',
        ),
        ({"prompt": "p", "chosen": "a", "rejected": None}, '"rejected" is missing'),
        ({"prompt": 3, "chosen": "a", "rejected": "b"}, '"prompt" is 3, not text'),
        ({"chosen": "blue", "rejected": "black"}, "no common beginning"),
        ({"chosen": [{"role": "judge", "content": "a"}], "rejected": []}, "a role, system, user, assistant, got"),
        (["p"], "is ['p'], not a row with columns"),
    ],
)
def test_a_wrong_row_is_named(row: Any, says: str, tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text(f'{{"chosen": "A b", "rejected": "A c"}}\n{json.dumps(row)}\n')
    with pytest.raises(ArgumentError) as caught:
        load_comparisons(path)
    assert str(caught.value).startswith(f"comparisons: {path}, line 2")
    assert says in str(caught.value)


def test_wrong_sources(tmp_path: Path) -> None:
    for name, content, says in (
        ("missing.jsonl", None, "there is no file"),
        ("text.txt", b"a", "line 1 is 'a', not a row with columns"),
        ("text.dat", b"a", "is in none of the formats that are read: .txt, .csv, .tsv, .json, .jsonl or .parquet, or one of them with .gz"),
        ("empty.jsonl", b"\n", "comparisons is empty; give at least one"),
        ("broken.jsonl", b'{"prompt": \n', "line 1 is no JSON"),
        ("latin.jsonl", b'"\xe9"\n', "line 1 cannot be read: it is not in UTF-8 (byte 0xe9)"),
        ("text.parquet", b"a", "cannot be read: Parquet"),
        ("text.jsonl.gz", b"a", "cannot be read: it is not compressed; take .gz off its name"),
        ("damaged.jsonl.gz", gzip.compress(b"{}")[:10] + b"\xff" * 20, "cannot be read"),
    ):
        if content is not None:
            (tmp_path / name).write_bytes(content)
        with pytest.raises(ArgumentError) as caught:
            load_comparisons(tmp_path / name)
        assert says in str(caught.value), name
        assert "\n" not in str(caught.value)
    (tmp_path / "store").write_bytes(b"SQLite format 3\0" + b"broken" * 100)
    with pytest.raises(LoadError, match="is no comparison store"):
        load_comparisons(tmp_path / "store")
    for source, says in (
        ([], "comparisons is empty; give at least one"),
        (3, "comparisons must be a list, a DataFrame, a data set, a hub id or a path, got int"),
        (datasets.DatasetDict({"train": datasets.Dataset.from_list([{"chosen": "A b"}])}), "choose one of its splits: train"),
    ):
        with pytest.raises(ArgumentError, match=says):
            load_comparisons(source)


def test_what_cannot_be_written(tmp_path: Path) -> None:
    tie = [Comparison(prompt="p", responses=("a", "b"), ranks=(1, 1))]
    cases: list[tuple[list[Comparison], str, Format, str]] = [
        (JUDGED, "file.csv", "textenv", r"are written to \.jsonl or \.parquet files, got .*file\.csv"),
        ([], "file.jsonl", "textenv", "nothing to write to .*: no comparison"),
        (tie, "file.jsonl", "trl", "no comparison has a better response"),
    ]
    for judged, name, format, says in cases:
        with pytest.raises(ArgumentError, match=says):
            write_comparisons(judged, tmp_path / name, format=format)
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(SaveError, match="cannot be written"):
        write_comparisons(JUDGED, tmp_path / "missing" / "file.jsonl")


def test_pairs_of_equal_texts_are_left_out_with_a_word() -> None:
    """Published sets have a few of them, of which nothing can be learnt."""
    equal = {"prompt": "p", "chosen": "a", "rejected": "a"}
    rows = [{"prompt": "p", "chosen": "a", "rejected": "b"}, equal, equal]
    message = (
        r"^comparisons: row 2: chosen and rejected are the same, so that neither is better; 2 of 3 comparisons are left out for that\.$"
    )
    with pytest.warns(UserWarning, match=message):
        assert load_comparisons(rows) == pair("p", "a", "b")
    with pytest.raises(ArgumentError, match=r"row 1: chosen and rejected are the same, .* there is no other comparison"):
        load_comparisons([equal])


def test_whole_numbers_of_pandas_are_ranks() -> None:
    rows: list[dict[str, Any]] = [
        {"prompt": "p", "responses": ["a", "b"], "ranks": [2.0, 1.0]},
        {"prompt": "p", "responses": ["a", "b"], "ranks": [1.5, 1.0]},
    ]
    (read,) = load_comparisons(rows[:1])
    assert read.ranks == (2, 1)
    assert all(type(rank) is int for rank in read.ranks or ())
    with pytest.raises(ArgumentError, match=r"row 2: The ranks of 2 responses are 2 integers .*, got \[1\.5, 1\]"):
        load_comparisons(rows)
