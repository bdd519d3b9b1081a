"""One reader: the same content in any format gives the same columns, for prompts, texts, demonstrations and comparisons."""

import codecs
import csv
import gzip
import io
import json
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import datasets
import gymnasium
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.dataset
import pyarrow.parquet
import pytest
import torch

from textenv.agents.pretraining import Pretraining
from textenv.data import MOST_CHARACTERS, read_columns, read_rows
from textenv.errors import ArgumentError, LoadError
from textenv.formats import FORMATS, MOST_LEVELS
from textenv.models.contract import contract_of
from textenv.models.loading import toy_tokenizer
from textenv.models.policy import LanguagePolicy
from textenv.preferences.loading import load_comparisons
from textenv.rollouts.demonstrations import load_demonstrations
from textenv.rollouts.examples import load_examples

Columns = dict[str, list[Any]]

CONTENTS: Final[dict[str, Columns]] = {
    "plain": {"prompt": ["ab>", "c>"], "topic": ["x", "y"], "year": [1999, 2024]},
    "one column": {"prompt": ["a", "b", "c"]},
    "separators": {"prompt": ["a, b", "a\tb", 'a "b"', '"a", b', "a;b"], "x": [",", "\t", '"', "'", ";"]},
    "lines": {"prompt": ["a\nb", "\n", "a\r\nb", "a\u2028b"], "x": [1, 2, 3, 4]},
    "languages": {"prompt": ["天空很蓝", "groß", "😀👩‍👩‍👧", "سماء", "e\u0301"], "x": ["é", "電", "😀", "א", "ñ"]},
    "like numbers": {"prompt": ["12", "1.0", "NA", "nan", "true", "-", "007"], "x": ["007", "x", "1", "NA", "null", "None", "2"]},
    "digits": {
        "prompt": ["12", "7"],
        "response": ["1.0", "2"],
        "completion": ["True", "False"],
        "text": ["1", "2"],
        "annotator": ["1", "2"],
    },
    "spaces": {"prompt": [" a", "b ", "  ", "\t"], "x": [" 1 ", "2", "3", "4 "]},
    "numbers": {"prompt": ["a", "b"], "whole": [-3, 2**60], "real": [0.5, -1e-7], "flag": [True, False]},
    "missing": {"prompt": ["a", "b", "c"], "whole": [1, None, 3], "text": ["x", None, "z"], "none": [None, None, None]},
}
BARE: Final = ["a, b", ' "c" ', "天空很蓝 😀", "12", "[", "a\u2028b"]


def rows_of(columns: Columns) -> list[dict[str, Any]]:
    return [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]


def separated(columns: Columns, delimiter: str) -> bytes:
    file = io.StringIO()
    writer = csv.writer(file, delimiter=delimiter, lineterminator="\n", quoting=csv.QUOTE_MINIMAL)
    writer.writerows([list(columns), *zip(*columns.values(), strict=True)])
    return file.getvalue().encode()


def in_parquet(columns: Columns) -> bytes:
    file = io.BytesIO()
    pyarrow.parquet.write_table(pa.table(columns), file)
    return file.getvalue()


FILES: Final[dict[str, Callable[[Columns], bytes]]] = {
    ".csv": lambda columns: separated(columns, ","),
    ".tsv": lambda columns: separated(columns, "\t"),
    ".json": lambda columns: json.dumps(rows_of(columns), indent=1).encode(),
    ".jsonl": lambda columns: "\n".join(json.dumps(row, ensure_ascii=False) for row in rows_of(columns)).encode(),
    ".parquet": in_parquet,
}
MEMORY: Final[dict[str, Callable[[Columns], Any]]] = {
    "rows": rows_of,
    "tuple": lambda columns: tuple(rows_of(columns)),
    "columns": dict,
    "pandas": lambda columns: pd.DataFrame(columns, index=range(7, 7 + len(next(iter(columns.values()))))),
    "pandas of objects": lambda columns: pd.DataFrame(columns, dtype=object),
    "pandas with Arrow": lambda columns: pa.table(columns).to_pandas(types_mapper=pd.ArrowDtype),
    "Polars": lambda columns: pl.DataFrame(columns),
    "Polars, lazy": lambda columns: pl.DataFrame(columns).lazy(),
    "Arrow": lambda columns: pa.table(columns),
    "Arrow batch": lambda columns: pa.RecordBatch.from_pydict(columns),
    "Arrow data set": lambda columns: pyarrow.dataset.dataset(pa.table(columns)),
    "data set": lambda columns: datasets.Dataset.from_dict(columns),
    "data set with a format": lambda columns: datasets.Dataset.from_dict(columns).with_format("numpy"),
    "stream": lambda columns: datasets.Dataset.from_dict(columns).to_iterable_dataset(),
    "stream of unknown columns": lambda columns: datasets.IterableDataset.from_generator(rows_of, gen_kwargs={"columns": columns}),
}


def read(source: Any, what: str = "prompts") -> Columns:
    return read_columns(source, what).columns


# The same content is the same columns


@pytest.mark.parametrize("content", CONTENTS)
@pytest.mark.parametrize("suffix", FILES)
def test_every_file_gives_the_same_columns(suffix: str, content: str, tmp_path: Path) -> None:
    columns = CONTENTS[content]
    data = FILES[suffix](columns)
    written = {f"a{suffix}": data, f"A{suffix.upper()}": data, f"a{suffix}.gz": gzip.compress(data), f"b{suffix}.GZ": gzip.compress(data)}
    if suffix != ".parquet":
        written[f"mark{suffix}"] = codecs.BOM_UTF8 + data
        if content != "lines":
            written[f"windows{suffix}"] = data.replace(b"\n", b"\r\n")
    for name, content_of_file in written.items():
        path = tmp_path / name
        path.write_bytes(content_of_file)
        assert read(path) == read(str(path)) == columns, name


@pytest.mark.parametrize("content", CONTENTS)
@pytest.mark.parametrize("kind", MEMORY)
def test_every_table_gives_the_same_columns(kind: str, content: str) -> None:
    columns = CONTENTS[content]
    table = read_columns(MEMORY[kind](columns), "prompts")
    assert table.columns == columns
    assert table.places[len(table.places) - 1] == f"prompts: row {len(columns['prompt'])}"
    rows, places = read_rows(MEMORY[kind](columns), "prompts")
    assert (rows, len(places)) == (rows_of(columns), len(rows))
    for values in table.columns.values():
        assert all(type(value) in (str, int, float, bool, type(None)) for value in values)


@pytest.mark.parametrize(
    "source",
    [
        BARE,
        tuple(BARE),
        pd.Series(BARE),
        pd.Series(BARE, dtype="category"),
        pd.Series(BARE, dtype="string"),
        pd.Index(BARE),
        pl.Series(BARE),
        pa.array(BARE),
        pa.chunked_array([BARE[:2], BARE[2:]]),
        np.array(BARE),
        datasets.Dataset.from_dict({"x": BARE})["x"],
    ],
    ids=lambda source: f"{type(source).__module__}.{type(source).__name__}",
)
def test_single_texts_are_one_column(source: Any) -> None:
    assert read(source) == {"prompt": BARE}
    assert read_columns(source, "data", bare="text").columns == {"text": BARE}
    assert all(type(text) is str for text in read(source)["prompt"])


def test_files_of_single_texts(tmp_path: Path) -> None:
    for name, content in (
        ("a.txt", "\n\n".join(BARE) + "\n"),
        ("b.txt", "\ufeff" + "\r\n \r\n".join(BARE)),
        ("a.json", json.dumps(BARE)),
        ("a.jsonl", "\n".join(map(json.dumps, BARE))),
    ):
        (tmp_path / name).write_bytes(content.encode())
        assert read(tmp_path / name) == {"prompt": BARE}


def test_lists_in_cells(tmp_path: Path) -> None:
    columns: Columns = {"prompt": ["a"], "likes": [["b", "c"]], "turns": [[{"role": "user", "content": "d"}]]}
    pd.DataFrame(columns).to_parquet(tmp_path / "a.parquet")
    for source in (columns, pd.DataFrame(columns), pd.read_parquet(tmp_path / "a.parquet"), tmp_path / "a.parquet", pa.table(columns)):
        assert read(source) == columns


# What is wrong


def with_two_columns_of_one_name() -> pd.DataFrame:
    return pd.DataFrame([["a", "b"]], columns=["prompt", "prompt"])


FAULTS: Final[list[tuple[Any, str]]] = [
    (with_two_columns_of_one_name(), '^prompts: two columns are named "prompt"; rename or drop one'),
    (pa.table([["a"], ["b"]], names=["x", "x"]), '^prompts: two columns are named "x"'),
    (pd.DataFrame([["a", "b"]], columns=pd.MultiIndex.from_tuples([("x", "y"), ("x", "z")])), "has columns of 2 levels"),
    ([{"prompt": "a", 1: 2, "1": 3}], 'row 1: two columns are named "1"'),
    ([{"prompt": "a"}, ["b"]], r"row 2 is \['b'\], but the first is a row with columns"),
    (["a", {"prompt": "b"}], "row 2 is a row with columns, but the first is 'a'"),
    ([{"prompt": "a", "x": 1}, {"prompt": "b", "y": 1}], "row 2 has the columns prompt, y, but the first row has prompt, x"),
    ({"prompt": ["a", "b"], "x": [1]}, 'the column "x" has 1 rows, but "prompt" has 2'),
    ({"prompt": "a", "x": 1}, "the column \"prompt\" is 'a', not a list; put a single row into a list"),
    (["a", "b\ud83d"], r"row 2: \"prompt\" holds '\\ud83d', half of a character"),
    (pd.DataFrame({"prompt": ["a", "\udc00"]}, dtype=object), r"row 2: \"prompt\" holds '\\udc00'"),
    ([{"prompt": "a", "x": [{"y": "\ud800"}]}], r"row 1: \"x\" holds '\\ud800'"),
    ([{"prompt": "a", "x\ud800": 1}], r"row 1: the column name 'x\\ud800' holds half"),
    ((text for text in "ab"), "prompts is a generator, which can be read only once; give a list of it"),
    (pa.table({"prompt": ["a"]}).to_reader(), "prompts is a RecordBatchReader, which can be read only once"),
    ({"a", "b"}, "must be a list, a DataFrame, .* got set"),
    (b"ab", "got bytes"),
    (None, "got NoneType"),
    (io.StringIO("a"), "prompts is an open file; give its path"),
    (datasets.DatasetDict({"train": datasets.Dataset.from_dict({"x": ["a"]})}), "choose one of its splits: train"),
    (datasets.IterableDatasetDict({"test": datasets.Dataset.from_dict({"x": ["a"]}).to_iterable_dataset()}), "splits: test"),
    ("a" * 5000, r"there is no file a+\.\.\.a+, and this is no hub id; put single texts into a list"),
    ("a" * 5000 + ".csv", r"there is no file a+\.\.\.a+\.csv"),
    ("a\0.csv", "there is no file a"),
    ("He saw it. And/or not", "put single texts into a list"),
    ("nowhere.xlsx", "there is no file nowhere.xlsx"),
]


@pytest.mark.parametrize(("source", "message"), FAULTS, ids=range(len(FAULTS)))
def test_a_fault_is_one_sentence(source: Any, message: str) -> None:
    with pytest.raises(ArgumentError, match=message) as caught:
        read(source)
    assert str(caught.value).startswith("prompts")
    assert len(str(caught.value)) < 400


def test_a_list_within_itself_is_refused() -> None:
    ring: list[Any] = []
    ring.append(ring)
    with pytest.raises(ArgumentError, match='row 1: "x" is nested more than 100 levels deep'):
        read([{"prompt": "a", "x": ring}])


def test_a_file_of_another_format_is_never_looked_for_on_a_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").mkdir()
    formats = r"\.txt, \.csv, \.tsv, \.json, \.jsonl or \.parquet, or one of them with \.gz"
    for name in ("data/films.xlsx", "films.db", "films", "data/films.csv.bz2"):
        (tmp_path / name).write_bytes(b"x")
        with pytest.raises(ArgumentError, match=f"prompts: {name} is in none of the formats that are read: {formats}"):
            read(name)
    with pytest.raises(ArgumentError, match="prompts: data is a folder; give one of its files"):
        read("data")
    for missing in ("data/film", "data/films.xls", "./films.csv", "other/films.CSV"):
        with pytest.raises(ArgumentError, match=f"there is no file {missing}"):
            read(missing)
    with pytest.raises(LoadError, match='"nobody/films" is no embedded data set and no local path'):
        read("nobody/films")


def test_a_file_that_may_not_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path) -> bytes:
        raise PermissionError(13, "Permission denied")

    (tmp_path / "a.txt").write_text("a")
    monkeypatch.setattr(Path, "read_bytes", refuse)
    with pytest.raises(ArgumentError, match=r"a\.txt cannot be read: Permission denied\."):
        read(tmp_path / "a.txt")


# All users


def policy() -> LanguagePolicy:
    envs: Any = gymnasium.make_vec("TextCopy-v0", num_envs=1)
    return LanguagePolicy.for_rules(envs.unwrapped.rules)


def prompts_of(source: Any) -> Any:
    env: Any = gymnasium.make("TextCopy-v0", prompts=source)
    return [*env.unwrapped.rules.prompts.texts]


def demonstrations_of(source: Any) -> Any:
    env: Any = gymnasium.make("TextCopy-v0")
    return load_demonstrations(source, env.unwrapped.rules).prompts


CONTRACT: Final = contract_of(toy_tokenizer("abc>"))
USERS: Final[dict[str, tuple[str, Callable[[Any], Any], Columns]]] = {
    "prompts": ("prompts", prompts_of, {"prompt": ["ab>", "c>"]}),
    "responses": ("data", lambda source: load_examples(source, CONTRACT, 8), {"prompt": ["ab>", "c>"], "response": ["ab", "c"]}),
    "texts": ("data", lambda source: load_examples(source, CONTRACT, 8), {"text": ["ab>", "c>"]}),
    "demonstrations": ("demonstrations", demonstrations_of, {"prompt": ["ab>", "c>"], "completion": ["ab", "c"]}),
    "pretraining": ("ptx_corpus", lambda source: Pretraining(policy(), source, 2).packed.tokens.tolist(), {"text": ["abc", "a"]}),
    "comparisons": ("comparisons", load_comparisons, {"prompt": ["ab>", "c>"], "chosen": ["ab", "c"], "rejected": ["a", "b"]}),
}


@pytest.mark.parametrize("user", USERS)
def test_all_users_read_all_formats_and_name_rows_alike(user: str, tmp_path: Path) -> None:
    what, load, columns = USERS[user]
    expected = load(columns)
    for kind in ("rows", "pandas", "Polars", "Arrow", "data set", "stream"):
        assert load(MEMORY[kind](columns)) == expected, kind
    for suffix, write in FILES.items():
        path = tmp_path / f"good{suffix}.gz"
        path.write_bytes(gzip.compress(write(columns)))
        assert load(str(path)) == expected, suffix
    name = list(columns)[-1]
    wrong = {**columns, name: [columns[name][0], None]}
    for suffix, place in ((".csv", "line 3"), (".tsv", "line 3"), (".json", "row 2"), (".jsonl", "line 2"), (".parquet", "row 2")):
        path = tmp_path / f"wrong{suffix}"
        path.write_bytes(FILES[suffix](wrong))
        with pytest.raises(ArgumentError) as caught:
            load(path)
        assert str(caught.value).startswith(f'{what}: {path}, {place}: "{name}" is missing'), suffix
    nothing: list[Any] = [[], pd.DataFrame(), {}]
    for source in nothing:
        with pytest.raises(ArgumentError, match=f"^{what} is empty; give at least one"):
            load(source)


@pytest.mark.parametrize("user", ["prompts", "responses", "demonstrations", "comparisons"])
def test_a_text_without_end_is_refused_before_it_is_tokenised(user: str) -> None:
    what, load, columns = USERS[user]
    for name in columns:
        start = time.monotonic()
        with pytest.raises(ArgumentError) as caught:
            load({**columns, name: [columns[name][0], "ab" * 10_000_000]})
        assert str(caught.value).startswith(f'{what}: row 2: "{name}" has 20,000,000 characters, more than the 1,000,000 that are read')
        assert time.monotonic() - start < 5


def test_texts_of_the_most_characters_are_read() -> None:
    table = read_columns(["a" * MOST_CHARACTERS, "a" * (MOST_CHARACTERS + 1)], "prompts")
    with pytest.raises(ArgumentError, match='row 2: "prompt" has 1,000,001 characters, more than the 1,000,000 that are read'):
        table.texts("prompt", MOST_CHARACTERS)
    assert len(table.texts("prompt")) == 2


def test_the_page_prints_what_it_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    page = (Path(__file__).parent.parent / "docs" / "files.md").read_text(encoding="utf-8")
    (block,), (printed,) = (re.findall(rf"```{kind}\n(.*?)```", page, flags=re.DOTALL) for kind in ("python", "text"))
    monkeypatch.chdir(tmp_path)
    exec(compile(block, "files.md", "exec"), {})
    assert capsys.readouterr().out == printed


def test_the_page_names_every_format() -> None:
    page = (Path(__file__).parent.parent / "docs" / "files.md").read_text(encoding="utf-8")
    table = page.split("\n\n")[2]
    assert set(re.findall(r"`(\.\w+)`", table)) == set(FORMATS)


@pytest.mark.parametrize("scalar", [np.array("a"), np.array(1), torch.tensor(1)], ids=["text", "number", "tensor"])
def test_an_array_of_no_dimension_is_no_column(scalar: Any) -> None:
    with pytest.raises(ArgumentError, match=r"prompts is an array of 0 dimensions; give a list of texts\."):
        read_columns(scalar, "prompts")
    with pytest.raises(ArgumentError, match=r'prompts: the column "x" is .*, not a list; put a single row into a list\.'):
        read_columns({"prompt": ["a"], "x": scalar}, "prompts")


@pytest.mark.parametrize("numbers", [[0.5] * 768, [1, None, True], []])
def test_half_a_character_among_numbers_is_named(numbers: list[Any]) -> None:
    assert read({"prompt": ["a"], "x": [[numbers, numbers]]})["x"] == [[numbers, numbers]]
    for value in ([*numbers, "\ud83d"], [numbers, ["\ud83d"]], [[*numbers, {"y": (1.5, "\ud83d")}]]):
        with pytest.raises(ArgumentError, match=r"row 1: \"x\" holds '\\ud83d', half of a character"):
            read({"prompt": ["a"], "x": [value]})


@pytest.mark.parametrize("inner", [1.5, "a", None])
def test_all_values_may_be_nested_equally_deep(inner: Any) -> None:
    value = inner
    for _ in range(MOST_LEVELS - 1):
        value = [value]
    assert read({"x": [value]}) == {"x": [value]}
    with pytest.raises(ArgumentError, match="more than 100 levels deep"):
        read({"x": [[value]]})


def test_numbers_are_checked_quickly() -> None:
    rows = [[0.5] * 768 for _ in range(500)]
    start = time.perf_counter()
    read({"x": rows})
    checked = time.perf_counter() - start
    start = time.perf_counter()
    for row in rows:
        for number in row:
            isinstance(number, str)
    assert checked < time.perf_counter() - start  # than to look at each of them in Python
