"""Files of every format: what is wrong with one is told in one sentence, with the line or the row."""

import codecs
import csv
import gzip
import io
import json
from pathlib import Path
from typing import Final

import pyarrow
import pyarrow.parquet
import pytest

from textenv.data import read_columns
from textenv.errors import ArgumentError
from textenv.formats import FORMATS, Places

DEEP: Final = "[" * 5000 + "]" * 5000
COMMAS: Final = "put texts with commas in quotation marks"
ARRAY: Final = r"holds an array of rows, \[\{\"prompt\": \.\.\.\}, \.\.\.\], but this one begins with "


def parquet(table: pyarrow.Table) -> bytes:
    file = io.BytesIO()
    pyarrow.parquet.write_table(table, file)
    return file.getvalue()


def not_in_utf8() -> pyarrow.Table:
    raw = pyarrow.array([b"good", b"b\xe9d"], pyarrow.binary())
    return pyarrow.table({"prompt": pyarrow.Array.from_buffers(pyarrow.string(), 2, raw.buffers())})


FAULTS: Final[list[tuple[str, str | bytes, str]]] = [
    # Fields
    ("long.csv", "prompt,response\nWell, I think so,yes\nSure, me too,no\n", f"line 2 has 3 fields, but the header has 2; {COMMAS}"),
    ("long.csv", "prompt\nfine\nThe film, which\n", f"line 3 has 2 fields, but the header has 1; {COMMAS}"),
    ("long.csv", 'prompt,x\n"of two\nlines",1\n\na,b,c,d\n', "line 5 has 4 fields, but the header has 2"),
    ("short.csv", "prompt,x\na,1\nb\n", "line 3 has 1 field, but the header has 2"),
    ("long.tsv", "prompt\tx\na\tb\tc\n", "line 2 has 3 fields, but the header has 2; put texts with tabs in"),
    ("quote.csv", 'prompt,x\na,1\n"Well" he said,2\n', "line 3 cannot be read: .*; a text that begins with a quotation mark"),
    ("open.csv", 'prompt,x\na,1\n"b,2\nc,3\n', "line 3 cannot be read: unexpected end of data"),
    # Names
    ("same.csv", "prompt,x,prompt\na,1,b\n", 'line 1: two columns are named "prompt"; rename or drop one'),
    ("blank.csv", ",prompt\n0,a\n", "line 1: column 1 has no name; name it or leave it out"),
    ("blank.tsv", "prompt\t \na\tb\n", "line 1: column 2 has no name"),
    ("other.csv", "prompt;x\na;1\n", 'line 1 is a single column, "prompt;x"; a .csv file is divided by commas'),
    ("same.parquet", parquet(pyarrow.table([["a"], ["b"]], names=["x", "x"])), 'two columns are named "x"'),
    ("half.jsonl", '{"a\\ud83d": "b"}', r"line 1: the column name 'a\\ud83d' holds half of a character"),
    # Rows
    ("keys.jsonl", '{"prompt": "a", "x": 1}\n{"prompt": "b"}\n', "line 2 has the columns prompt, but the first row has prompt, x"),
    ("keys.json", '[{"prompt": "a"},\n\n{"text": "b"}]', "row 2 has the columns text, but the first row has prompt"),
    ("mixed.jsonl", '{"prompt": "a"}\n\n["b"]\n', r"line 3 is \['b'\], but the first is a row with columns"),
    ("mixed.json", '["a", {"prompt": "b"}]', "row 2 is a row with columns, but the first is 'a'"),
    ("twice.jsonl", '{"prompt": "a"}\n{"prompt": "a", "prompt": "b"}\n', "line 2 cannot be read: it holds the key 'prompt' twice"),
    ("twice.json", '[{"a": 1}, {"a": {"b": 1, "b": 2}}]', "row 2 cannot be read: it holds the key 'b' twice"),
    # JSON
    ("array.jsonl", '[\n  {"prompt": "a"}\n]', "line 1 begins an array, but a .jsonl file has a row per line; name the file .json"),
    ("array.jsonl", '[{"prompt": "a"}]', "line 1 begins an array"),
    ("object.json", '{"prompt": ["a"]}', f"cannot be read: a .json file {ARRAY}'{{'; if each of its lines is a row, name it .jsonl"),
    ("text.json", '"a"', ARRAY),
    ("cut.jsonl", '{"prompt": "a"}\n{"prompt": \n', "line 2 is no JSON: Expecting value at column 12"),
    ("cut.json", '[\n{"prompt": "a"},\n{"prompt": ', "row 2 is no JSON: Expecting value at line 3, column 12"),
    ("cut.json", '[\n{"prompt": "a"}\n', r"row 2 is no JSON: Expecting ',' or '\]' at line 3, column 1"),
    ("more.json", '["a",\n"b"] ["c"]', "line 2 cannot be read: something follows the end of the array"),
    ("deep.jsonl", f'{{"x": 1}}\n{{"x": {DEEP}}}', 'line 2(: "x")? is nested more than 100 levels deep; flatten it'),
    ("deep.json", f'[{{"x": 1}}, {{"x": {DEEP}}}]', 'row 2(: "x")? is nested more than 100 levels deep'),
    ("deep.jsonl", f'{{"x": 1}}\n{{"x": {"[" * 150 + "]" * 150}}}', 'line 2: "x" is nested more than 100 levels deep'),
    ("large.jsonl", '{"x": 1}\n{"x": 1e400}\n', "line 2 cannot be read: the number 1e400 is too large"),
    ("large.jsonl", '{"x": 1}\n{"x": ' + "9" * 5000 + "}\n", "line 2 cannot be read: Exceeds the limit"),
    ("infinite.json", '[{"x": -Infinity}]', "row 1 cannot be read: -Infinity is no JSON number"),
    # Characters
    ("half.jsonl", '{"prompt": "a"}\n{"prompt": "b\\ud83d"}\n', r"line 2: \"prompt\" holds '\\ud83d', half of a character"),
    ("half.json", '[{"x": [{"y": "\\ud83d"}]}]', r"row 1: \"x\" holds '\\ud83d', half of a character"),
    ("latin.txt", "a\r\nb\r\ncaf\xe9\r\n".encode("latin-1"), r"line 3 cannot be read: it is not in UTF-8 \(byte 0xe9\); save the file in"),
    ("latin.csv", "prompt\ncaf\xe9\n".encode("latin-1"), "line 2 cannot be read: it is not in UTF-8"),
    ("wide.csv", "prompt\na\n".encode("utf-16"), "cannot be read: it is in UTF-16; save it in UTF-8"),
    ("wide.jsonl", '{"prompt": "a"}'.encode("utf-16-le"), "line 1 cannot be read: it holds a NUL"),
    ("nul.tsv", b"prompt\na\nb\0\n", "line 3 cannot be read: it holds a NUL"),
    ("bytes.parquet", parquet(not_in_utf8()), 'row 2: "prompt" is not in UTF-8; decode it first'),
    # Files
    ("none.parquet", b"PAR1 and no more", "cannot be read: Parquet"),
    ("none.txt.gz", b"a\n", "cannot be read: it is not compressed; take .gz off its name"),
    ("cut.txt.gz", gzip.compress(b"a\n" * 999)[:-9], "cannot be read: its end is missing"),
    ("sum.txt.gz", gzip.compress(b"a\n" * 999)[:-8] + b"\0" * 8, "cannot be read: its compressed data are damaged; copy it again"),
    ("head.txt.gz", gzip.compress(b"a\n")[:5], "cannot be read: its end is missing; copy it again"),
    ("more.txt.gz", gzip.compress(b"a\n") + b"more", "cannot be read: its compressed data are damaged"),
    ("method.txt.gz", b"\x1f\x8b\x07" + gzip.compress(b"a\n")[3:], "cannot be read: its compressed data are damaged"),
    ("damaged.txt.gz", gzip.compress(b"a\n")[:10] + b"\xff" * 20, "cannot be read: its compressed data are damaged"),
]


@pytest.mark.parametrize(("name", "content", "message"), FAULTS, ids=[f"{name}-{number}" for number, (name, _, _) in enumerate(FAULTS)])
@pytest.mark.parametrize("is_compressed", [False, True])
def test_a_fault_is_one_sentence_with_its_place(name: str, content: str | bytes, message: str, is_compressed: bool, tmp_path: Path) -> None:
    data = content if isinstance(content, bytes) else content.encode()
    if is_compressed and not name.endswith(".gz"):
        name, data = f"{name}.gz", gzip.compress(data)
    path = tmp_path / name
    path.write_bytes(data)
    with pytest.raises(ArgumentError, match=message) as caught:
        read_columns(path, "prompts")
    sentence = str(caught.value)
    assert sentence.startswith(f"prompts: {path}")
    assert sentence.endswith(".")
    assert "\n" not in sentence
    assert len(sentence) < 400


@pytest.mark.parametrize("suffix", sorted(FORMATS))
def test_a_file_of_nothing_has_no_rows(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"nothing{suffix}"
    if suffix == ".parquet":
        path.write_bytes(parquet(pyarrow.table({})))
    for content in (b"", codecs.BOM_UTF8, b"\n \r\n") if suffix in (".txt", ".json", ".jsonl") else (b"", codecs.BOM_UTF8, b"\n\r\n"):
        if suffix != ".parquet":
            path.write_bytes(content)
        table = read_columns(path, "prompts")
        assert (table.columns, len(table.places)) == ({}, 0)


def test_a_header_alone_has_columns_without_rows(tmp_path: Path) -> None:
    (tmp_path / "header.csv").write_text("prompt,x\n")
    table = read_columns(tmp_path / "header.csv", "prompts")
    assert (table.columns, len(table.places)) == ({"prompt": [], "x": []}, 0)


def test_lines_are_those_of_an_editor(tmp_path: Path) -> None:
    for name, content, lines in (
        ("a.txt", "\ufeffa\r\n\r\nb\u2028c\r\nd", [1, 3, 4]),
        ("a.csv", '\ufeffprompt,x\n"a\n\nb",1\n\nc,2\n', [2, 6]),
        ("a.tsv", "prompt\tx\ra\t1\rb\t2\r", [2, 3]),
        ("a.jsonl", '\n{"prompt": "a"}\n\n{"prompt": "b"}', [2, 4]),
    ):
        path = tmp_path / name
        path.write_bytes(content.encode())
        assert read_columns(path, "prompts").places == Places(f"prompts: {path}, line ", lines)
    path = tmp_path / "a.json"
    path.write_text('[\n{"prompt": "a"},\n\n{"prompt": "b"}\n]')
    assert read_columns(path, "prompts").places[1] == f"prompts: {path}, row 2"


def test_a_long_cell_is_read_whole(tmp_path: Path) -> None:
    (tmp_path / "long.csv").write_text("text\n" + "a b " * 100_000 + "\n")
    limit = csv.field_size_limit()
    assert read_columns(tmp_path / "long.csv", "data").columns == {"text": ["a b " * 100_000]}
    (tmp_path / "damaged.csv").write_text('text\n"' + "a b " * 100_000)
    with pytest.raises(ArgumentError, match="line 2 cannot be read"):
        read_columns(tmp_path / "damaged.csv", "data")
    assert csv.field_size_limit() == limit  # that of the whole process


def test_numbers_are_those_of_the_file(tmp_path: Path) -> None:
    (tmp_path / "n.csv").write_text(f"whole,real,code,flag,large,none\n1,1,007,True,{'9' * 400},\n,2.5e1,12,false,-3,\n")
    assert read_columns(tmp_path / "n.csv", "prompts").columns == {
        "whole": [1, None],
        "real": [1.0, 25.0],
        "code": ["007", "12"],
        "flag": [True, False],
        "large": [10**400 - 1, -3],
        "none": [None, None],
    }
    (tmp_path / "n.jsonl").write_text(json.dumps({"x": 10**400 - 1, "y": float("nan")}))
    assert read_columns(tmp_path / "n.jsonl", "prompts").columns == {"x": [10**400 - 1], "y": [None]}
    (tmp_path / "n.csv").write_text(f"digits,large\n{'9' * 5000},1e400\n")  # more than Python converts
    assert read_columns(tmp_path / "n.csv", "prompts").columns == {"digits": ["9" * 5000], "large": ["1e400"]}


def test_integers_among_fractions_are_exact(tmp_path: Path) -> None:
    numbers = ["1.5", "9007199254740993", "-9007199254740993", "3", "9" * 400, "-0"]
    (tmp_path / "n.csv").write_text("x\n" + "\n".join(numbers) + "\n")
    column = read_columns(tmp_path / "n.csv", "prompts").columns["x"]
    assert column == [1.5, 2**53 + 1, -(2**53) - 1, 3, 10**400 - 1, 0]
    assert [type(number) for number in column] == [float, int, int, float, int, float]


def test_the_index_of_a_frame_is_no_column(tmp_path: Path) -> None:
    import pandas

    frame = pandas.DataFrame({"prompt": ["a", "b"]}, index=[7, 9])
    frame.to_parquet(tmp_path / "p.parquet")
    assert read_columns(tmp_path / "p.parquet", "prompts").columns == read_columns(frame, "prompts").columns == {"prompt": ["a", "b"]}
