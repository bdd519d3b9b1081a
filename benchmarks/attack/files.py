"""Prompt sets, demonstrations and comparisons that are damaged, odd or hostile."""

import csv
import gzip
import io
import json
import os
import random
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import gymnasium

from benchmarks.attack.arguments import named
from benchmarks.attack.models import tiny_language_model
from benchmarks.attack.outcomes import (
    Row,
    Try,
    fault_of,
    outcome_of_call,
    outcome_of_command,
    outcome_of_process,
    textenv,
)

TEXTS: Final = ["The film", "A cat, perhaps", "Käse 电影"]
ODD_TEXTS: Final = [
    *("NA", "null", "None", "nan", "1", "1e5", "007", "true", "-0", "1_000", "2020-01-01", "inf"),
    *(" leading", "trailing ", "a,b", 'a "quoted" word', "it's", "tab\tinside", "#comment", "=1+1", "\\n", "\u00a0"),
    *("e\u0301", "\ufb01", "😀", "\u200b", "a\u2028b", "x" * 300, "<|endoftext|", "{{ 7 * 7 }}", "%s", "$HOME"),
]
NESTED: Final = "[" * 100_000
ANYTHING: Final[Sequence[Sequence[str]]] = ()
"""May be read, as the damage cannot be seen."""


class File(NamedTuple):
    """One damaged or odd file."""

    name: str
    """Of the fault."""
    suffix: str
    content: bytes
    right: Sequence[Sequence[str]] | None = None
    """Lists of prompts that may be read; None: the file must be refused."""


def _json_lines(rows: Sequence[Any]) -> bytes:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()


def _csv(rows: Sequence[Sequence[str]], **options: Any) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n", **options).writerows(rows)
    return text.getvalue().encode()


def _parquet(columns: Any, *, names: Sequence[str] | None = None) -> bytes:
    import pyarrow
    import pyarrow.parquet

    table = pyarrow.table(columns) if names is None else pyarrow.Table.from_arrays(columns, names=names)
    buffer = io.BytesIO()
    pyarrow.parquet.write_table(table, buffer)
    return buffer.getvalue()


def _encodings(suffix: str, text: str, texts: Sequence[str]) -> Iterator[File]:
    """Yield a text in other encodings and line ends, which is read right or refused."""
    right = [list(texts)]
    yield File("byte order mark", suffix, b"\xef\xbb\xbf" + text.encode(), right)
    for encoding in ("utf-16", "utf-16-le", "utf-32", "gb18030"):
        yield File(encoding, suffix, text.encode(encoding), right)
    yield File("latin-1", suffix, text.replace("电影", "x").encode("latin-1"))
    yield File("a byte that is no UTF-8", suffix, text.encode().replace(b"film", b"f\xffilm"))
    yield File("half a character at the end", suffix, text.rstrip("\n").encode()[:-3] + b"\xe7\x94")
    yield File("lines end in CR LF", suffix, text.replace("\n", "\r\n").encode(), right)
    yield File("no line end at the end", suffix, text.rstrip("\n").encode(), right)
    yield File("empty lines at the end", suffix, text.encode() + b"\n\n\n", right)


def _text_files() -> Iterator[File]:
    whole = "".join(f"{text}\n" for text in TEXTS)
    yield File("whole", ".txt", whole.encode(), [TEXTS])
    yield from _encodings(".txt", whole, TEXTS)
    for name, content in (("empty", b""), ("spaces only", b"  \n\t\n"), ("line ends only", b"\n\n\n")):
        yield File(name, ".txt", content)
    for text in ODD_TEXTS:
        if text.strip():
            yield File(f"the text {text!r}", ".txt", f"{text}\nb\n".encode(), [[text, "b"]])
    yield File("a NUL", ".txt", b"a\0b\nc\n", [["a\0b", "c"]])
    yield File("an escape", ".txt", b"a\x1b[2J\nc\n", [["a\x1b[2J", "c"]])
    yield File("random bytes", ".txt", random.Random(0).randbytes(3000))
    yield File("zip", ".txt", b"PK\x03\x04" + random.Random(1).randbytes(500))
    yield File("gzip", ".txt", gzip.compress(whole.encode()))


def _json_files() -> Iterator[File]:
    rows = [{"prompt": text} for text in TEXTS]
    whole = _json_lines(rows)
    yield File("whole", ".jsonl", whole, [TEXTS])
    yield from _encodings(".jsonl", whole.decode(), TEXTS)
    for text in [*ODD_TEXTS, "a\nb", "a\rb", "a\0b"]:
        yield File(f"the text {text!r}", ".jsonl", _json_lines([{"prompt": text}]), [[text]])
    for cut in range(1, 18):
        yield File(f"cut by {cut} bytes", ".jsonl", whole.rstrip()[:-cut])
    kinds: dict[str, list[Any]] = {
        "number": [1, 1.5, 10**400, -0.0],
        "truth value": [True, False],
        "null": [None],
        "list": [[], ["a"], [1]],
        "object": [{}, {"text": "a"}],
    }
    for name, values in kinds.items():
        for value in values:
            broken = [rows[0], {"prompt": value}, rows[1]]
            yield File(f"a prompt that is a {name}, {value!r:.20}", ".jsonl", _json_lines(broken))
    for name, content in {
        "empty": b"",
        "spaces": b" \n \n",
        "no row is an object": b"1\n2\n",
        "an object, then a list": b'{"prompt": "a"}\n["b"]\n',
        "an object, then a text": b'{"prompt": "a"}\n"b"\n',
        "an object, then null": b'{"prompt": "a"}\nnull\n',
        "texts, then an object": b'"a"\n{"prompt": "b"}\n',
        "one array of objects": b'[{"prompt": "a"}, {"prompt": "b"}]\n',
        "two objects on a line": b'{"prompt": "a"} {"prompt": "b"}\n',
        "a comma at the end": b'{"prompt": "a",}\n',
        "single quotes": b"{'prompt': 'a'}\n",
        "another column": b'{"text": "a"}\n',
        "a column in capitals": b'{"Prompt": "a"}\n',
        "a column with a space": b'{"prompt ": "a"}\n',
        "a column comes in the second row": b'{"prompt": "a"}\n{"prompt": "b", "x": 1}\n',
        "a column ends with the first row": b'{"prompt": "a", "x": 1}\n{"prompt": "b"}\n',
        "a row without a prompt": b'{"prompt": "a"}\n{"x": "b"}\n',
        "a key twice": b'{"prompt": "a", "prompt": "b"}\n',
        "half a surrogate": b'{"prompt": "a\\ud800"}\n',
        "nested arrays": NESTED.encode(),
        "nested objects": b'{"prompt": ' * 100_000,
        "a nested column": b'{"prompt": "a", "x": ' + NESTED.encode() + b"]" * 100_000 + b"}\n",
        "a number of 10,000 digits": b'{"prompt": "a", "x": ' + b"9" * 10_000 + b"}\n",
        "a column that is reserved": b'{"prompt": "a", "completions": "b"}\n',
        "NULs": b"\0" * 4096,
        "random bytes": random.Random(2).randbytes(3000),
        "CSV": b"prompt\na\n",
        "gzip": gzip.compress(whole),
    }.items():
        yield File(name, ".jsonl", content)


def _csv_files() -> Iterator[File]:
    rows = [["prompt"], *([text] for text in TEXTS)]
    yield File("whole", ".csv", _csv(rows), [TEXTS])
    yield from _encodings(".csv", _csv(rows).decode(), TEXTS)
    for text in [*ODD_TEXTS, "a\nb", "a;b"]:
        yield File(f"the text {text!r}", ".csv", _csv([["prompt", "x"], [text, "b"]], quoting=csv.QUOTE_ALL), [[text]])
    for extra in range(1, 5):
        more = ",x" * extra
        yield File(f"{extra} fields too many in all rows", ".csv", f"prompt,kind\na,b{more}\nc,d{more}\n".encode())
        yield File(f"{extra} fields too many in the first row", ".csv", f"prompt,kind\na,b{more}\nc,d\n".encode())
        yield File(f"{extra} fields too many in the last row", ".csv", f"prompt,kind\na,b\nc,d{more}\n".encode())
        yield File(f"{extra} commas in a single column", ".csv", f"prompt\nThe film{more}\n".encode())
    for name, content in {
        "empty": b"",
        "line ends only": b"\n\n",
        "header only": b"prompt\n",
        "header without the column": b"text\na\n",
        "a column twice": b"prompt,prompt\na,b\n",
        "another column twice": b"prompt,x,x\na,b,c\n",
        "an empty prompt": b"prompt,x\na,b\n,d\n",
        "an open quote": b'prompt\n"a\nb\nc\n',
        "text after a quote": b'prompt\n"a"b\n',
        "semicolons": b"prompt;x\na;b\n",
        "tabs": b"prompt\tx\na\tb\n",
        "a NUL in the header": b"pro\0mpt\na\n",
        "NULs": b"\0" * 4096,
        "random bytes": random.Random(3).randbytes(3000),
        "JSON": b'{"prompt": "a"}\n',
        "gzip": gzip.compress(_csv(rows)),
        "parquet": _parquet({"prompt": TEXTS}),
    }.items():
        yield File(name, ".csv", content)
    yield File("a field too few", ".csv", b"prompt,x\na,b\nc\n", [["a", "c"]])
    yield File("spaces around names", ".csv", b"prompt , x\na,b\n", [["a"]])
    yield File("a NUL in a text", ".csv", b"prompt\na\0b\n", [["a\0b"]])


def _parquet_files() -> Iterator[File]:
    import pyarrow

    whole = _parquet({"prompt": TEXTS})
    yield File("whole", ".parquet", whole, [TEXTS])
    odd = [text for text in ODD_TEXTS if text.strip()]
    yield File("odd texts", ".parquet", _parquet({"prompt": odd}), [odd])
    for cut in (1, 4, 8, 100, len(whole) // 2, len(whole) - 4, len(whole)):
        yield File(f"cut by {cut} bytes", ".parquet", whole[:-cut])
    generator = random.Random(4)
    for start in sorted(generator.sample(range(len(whole) - 16), 12)):
        yield File(f"16 zeros at {start}", ".parquet", whole[:start] + bytes(16) + whole[start + 16 :], ANYTHING)
        noise = generator.randbytes(16)
        yield File(f"noise at {start}", ".parquet", whole[:start] + noise + whole[start + 16 :], ANYTHING)
    yield File("a footer of 2 GiB", ".parquet", whole[:-8] + b"\xff\xff\xff\x7f" + b"PAR1")
    yield File("zeros", ".parquet", bytes(4096))
    yield File("text", ".parquet", b"prompt\na\n")
    yield File("large strings", ".parquet", _parquet({"prompt": pyarrow.array(TEXTS, pyarrow.large_string())}), [TEXTS])
    dictionary = pyarrow.array(TEXTS).dictionary_encode()
    yield File("a dictionary", ".parquet", _parquet({"prompt": dictionary}), [TEXTS])
    broken = pyarrow.Array.from_buffers(pyarrow.string(), 1, [None, pyarrow.py_buffer(b"\0\0\0\0\2\0\0\0"), pyarrow.py_buffer(b"\xff\xfe")])
    for name, array in {
        "texts that are no UTF-8": broken,
        "bytes": pyarrow.array([b"a", b"\xff"]),
        "numbers": pyarrow.array([1, 2]),
        "floats": pyarrow.array([1.0, float("nan")]),
        "truth values": pyarrow.array([True]),
        "nulls": pyarrow.array([None, None]),
        "a text and a null": pyarrow.array(["a", None]),
        "lists": pyarrow.array([["a"], []]),
        "structs": pyarrow.array([{"a": "b"}]),
        "dates": pyarrow.array([0], pyarrow.timestamp("ns")),
        "decimals": pyarrow.array([1], pyarrow.decimal128(5)),
        "no rows": pyarrow.array([], pyarrow.string()),
        "maps": pyarrow.array([[("a", "b")]], pyarrow.map_(pyarrow.string(), pyarrow.string())),
    }.items():
        yield File(name, ".parquet", _parquet({"prompt": array}))
    twice = [pyarrow.array(["a"]), pyarrow.array(["b"])]
    yield File("a column twice", ".parquet", _parquet(twice, names=["prompt", "prompt"]))
    yield File("no column", ".parquet", _parquet({}))
    yield File("another column", ".parquet", _parquet({"text": ["a"]}))


def _ones(completions: Sequence[str]) -> list[float]:
    return [1.0] * len(completions)


def read_prompts(source: Any) -> list[str]:
    """Read a prompt set as an environment does."""
    envs = gymnasium.make_vec("TextSentiment-v0", num_envs=1, prompts=source, reward=_ones, on_long_prompt="widen")
    texts: list[str] = list(envs.unwrapped.prompts)  # type: ignore[attr-defined]
    envs.close()
    return texts


def _fault(file: File, path: Path) -> str:
    outcome = outcome_of_call(lambda: read_prompts(path), 20)
    if file.right is None:
        return fault_of(outcome, may=("refused",))
    right = [list(texts) for texts in file.right]
    if not right:
        return fault_of(outcome)
    return fault_of(outcome, right=lambda texts: texts in right)


def prompt_files(folder: Path, seed: int) -> Iterator[Try]:
    """Read each file as prompts."""
    for number, file in enumerate([*_text_files(), *_json_files(), *_csv_files(), *_parquet_files()]):
        path = folder / f"{number}{file.suffix}"
        path.write_bytes(file.content)
        yield Try(f"{file.suffix}: {file.name}", _fault(file, path))


def paths(folder: Path, seed: int) -> Iterator[Try]:
    """Read what is no file, or no file of a format."""
    (folder / "a").mkdir()
    for suffix in (".txt", ".jsonl", ".csv", ".parquet"):
        (folder / f"folder{suffix}").mkdir()
        os.mkfifo(folder / f"pipe{suffix}")
        (folder / f"zero{suffix}").symlink_to("/dev/zero")
        (folder / f"circle{suffix}").symlink_to(f"circle{suffix}")
        for name in ("missing", "folder", "pipe", "zero", "circle", "x" * 300, "a" + "/b" * 3000, "a\0b", "missing/x"):
            outcome = outcome_of_call(lambda path=str(folder / name) + suffix: read_prompts(path), 10)
            yield Try(f"{name[:20]!r}{suffix}", fault_of(outcome, may=("refused",)))
    for source in ("", ".", "..", "/", "a.docx", "https://example.com/a.csv", "~", "a//b", "\0", "\ud800", "a b"):
        yield Try(repr(source), fault_of(outcome_of_call(lambda source=source: read_prompts(source), 10), may=("refused",)))


def objects(folder: Path, seed: int) -> Iterator[Try]:
    """Give objects that are no prompt set."""
    import numpy as np
    import pandas as pd
    import polars as pl

    twice = pd.DataFrame([["a", "b"]], columns=["prompt", "prompt"])
    holding_itself: list[Any] = []
    holding_itself.append(holding_itself)
    bad: dict[str, Any] = {
        **named(None, 5, 1.5, True, b"a", (), [], {}, set(), [None], [1], [b"a"], [["a"]]),
        **named([{}], [{"prompt": 1}], [{1: "a"}], [{"x": "a"}], ["a", {"prompt": "b"}], ["a\ud800"]),
        "rows with keys str and int": [{"prompt": "a", 1: "b"}, {"prompt": "a", "x": 1}],
        "rows with other columns": [{"prompt": "a"}, {"prompt": "b", "x": 1}],
        "an iterator": iter(["a"]),
        "a generator": (text for text in ["a"]),
        "a function": read_prompts,
        "a class": dict,
        "a list that holds itself": holding_itself,
        "a frame with a column twice": twice,
        "an empty frame": pd.DataFrame(),
        "a frame without rows": pd.DataFrame({"prompt": []}),
        "a frame of numbers": pd.DataFrame({"prompt": [1, 2]}),
        "a frame with a missing text": pd.DataFrame({"prompt": ["a", None]}),
        "an array of numbers": np.arange(3),
        "a series of numbers": pd.Series([1, 2]),
        "half a surrogate": [{"prompt": "\udfff"}],
        "half a surrogate in a column": [{"prompt": "a", "\ud800": "b"}],
    }
    for name, source in bad.items():
        outcome = outcome_of_call(lambda source=source: read_prompts(source), 10)
        # A column that no reward reads may have any name.
        may = ("taken", "refused") if name == "half a surrogate in a column" else ("refused",)
        yield Try(name, fault_of(outcome, may=may))
    good: dict[str, Any] = {
        "a list": TEXTS,
        "a tuple": tuple(TEXTS),
        "rows": [{"prompt": text, "x": 1} for text in TEXTS],
        "a pandas frame": pd.DataFrame({"prompt": TEXTS}),
        "a pandas frame with an odd index": pd.DataFrame({"prompt": TEXTS}, index=[7, 7, 7]),
        "a pandas series": pd.Series(TEXTS),
        "a polars frame": pl.DataFrame({"prompt": TEXTS}),
        "an array of texts": np.array(TEXTS),
    }
    for name, source in good.items():
        outcome = outcome_of_call(lambda source=source: read_prompts(source), 10)
        # The README names lists and frames of pandas; what else holds texts may be refused.
        may = ("taken", "refused") if name in ("a polars frame", "an array of texts") else ("taken",)
        yield Try(name, fault_of(outcome, may=may, right=lambda texts: texts == TEXTS))


# Demonstrations


def _sft_files() -> Iterator[File]:
    pairs = [["The film", " was good."], ["A cat, perhaps", " sat."], ["So", ' I said "no".']]
    rows = [{"prompt": prompt, "response": response} for prompt, response in pairs]
    taken = [[response for _, response in pairs]]
    yield File("whole", ".csv", _csv([["prompt", "response"], *pairs]), taken)
    yield File("whole", ".jsonl", _json_lines(rows), taken)
    yield File("whole", ".parquet", _parquet({"prompt": [p for p, _ in pairs], "response": [r for _, r in pairs]}), taken)
    yield File("a field too many in all rows", ".csv", b"prompt,response\nWell, I think so,yes\nSure, me too,no\n")
    yield File("a field too many in one row", ".csv", b"prompt,response\na,yes\nSure, me too,no\n")
    yield File("three fields too many", ".csv", b"prompt,response\na,b,c,d,e\nf,g,h,i,j\n")
    yield File("a column twice", ".csv", b"prompt,response,response\na,b,c\n")
    yield File("a missing response", ".csv", b"prompt,response\na,\nb,c\n")
    yield File("a field too few", ".csv", b"prompt,response\na\nb,c\n")
    for name, value in {"number": 3, "null": None, "list": ["b"], "object": {"b": 1}, "truth value": True}.items():
        for column in ("prompt", "response", "completion", "text"):
            row = {"text": value} if column == "text" else {"prompt": "a", "response": "b", column: value}
            if column == "completion":
                del row["response"]
            yield File(f"{column} is a {name}", ".jsonl", _json_lines([row] * 3))
    for name, content in {
        "empty": b"",
        "nested": NESTED.encode(),
        "cut": _json_lines(rows)[:-9],
        "no response": b'{"prompt": "a"}\n',
        "no prompt": b'{"response": "a"}\n',
        "response and completion": b'{"prompt": "a", "response": "b", "completion": "c"}\n',
        "half a surrogate": b'{"prompt": "a", "response": "\\udc00"}\n',
        "a key twice": b'{"prompt": "a", "response": "b", "response": "c"}\n',
        "columns change": b'{"prompt": "a", "response": "b"}\n{"text": "c"}\n',
    }.items():
        yield File(name, ".jsonl", content)


def demonstrations(folder: Path, seed: int) -> Iterator[Try]:
    """Fine-tune on each file through the command line; a file that is refused leaves no folder."""
    model = tiny_language_model(folder / "model")
    for number, file in enumerate(_sft_files()):
        path, out = folder / f"{number}{file.suffix}", folder / f"out-{number}"
        path.write_bytes(file.content)
        command = ["sft", str(path), "--model", str(model), "--out", str(out), "--epochs", "1", "--context", "32"]
        outcome = outcome_of_command(command, 60)
        fault = fault_of(outcome, may=("taken",) if file.right else ("refused",), code=2)
        if not fault and outcome.kind == "refused" and out.exists() and any(out.iterdir()):
            fault = "refused, but its folder was made"
        yield Try(f"{file.suffix}: {file.name}", fault)


# Comparisons


def _comparison_files() -> Iterator[File]:
    good = {"prompt": "p", "responses": ["a", "b", "c"], "ranks": [1, 2, 3]}
    yield File("whole", ".jsonl", _json_lines([good]), [[]])
    yield File("whole", ".jsonl.gz", gzip.compress(_json_lines([good])), [[]])
    lists: list[Any] = [None, [], [1], [1, 2], [1, 2, 3, 4], [0, 1, 2], [1, 3, 4], [2, 3, 4], [1, 2, "3"], "123", 7, {}]
    lists += [[1, 2, None], [1, 2, 2.5], [1, 2, 10**400], [True, 2, 3], [[1], 2, 3], [-1, 1, 2], [1, 2, float("nan")]]
    for ranks in lists[1:]:
        yield File(f"ranks {ranks!r:.40}", ".jsonl", _json_lines([{**good, "ranks": ranks}]))
    for ratings in ([8, 1, 1], [0, 1, 2], [-1, 1, 1], ["x", 1, 1], [1, 2], 3, [1, 2, 10**400], [float("inf"), 1, 1], [True, 1, 1]):
        yield File(f"ratings {ratings!r:.40}", ".jsonl", _json_lines([{**good, "ratings": ratings}]))
    for responses in (None, [], ["a"], ["a", 1, "b"], "abc", ["a", None, "b"], [["a"], "b", "c"], 5, {"a": 1}, ["a", "b", "\ud800"]):
        yield File(f"responses {responses!r:.40}", ".jsonl", json.dumps({**good, "responses": responses}).encode())
    for prompt in list[Any]([None, 1, [], {}, True, "\ud800"]):
        yield File(f"prompt {prompt!r}", ".jsonl", json.dumps({**good, "prompt": prompt}).encode())
    for annotator in list[Any]([1, ["a"], {}, "\udc00"]):
        yield File(f"annotator {annotator!r}", ".jsonl", json.dumps({**good, "annotator": annotator}).encode())
    for name, row in {
        "a column is misspelt": {**good, "rank": [1, 2, 3]},
        "a column more": {**good, "x": 1},
        "sources do not fit": {**good, "sources": ["a"]},
        "a pair of equal texts": {"prompt": "p", "chosen": "a", "rejected": "a"},
        "no rejected": {"prompt": "p", "chosen": "a"},
        "rejected is null": {"prompt": "p", "chosen": "a", "rejected": None},
        "a message without a role": {"chosen": [{"content": "a"}], "rejected": [{"role": "user", "content": "b"}]},
        "a message of an unknown role": {"chosen": [{"role": "tool", "content": "a"}], "rejected": [{"role": "user", "content": "b"}]},
        "nothing in common": {"chosen": "abc", "rejected": "xyz"},
        "a list": [1, 2],
        "a number": 5,
    }.items():
        yield File(name, ".jsonl", _json_lines([good, row]))
    judged = {**good, "annotator": "anna"}
    yield File("two judgements of one annotator", ".jsonl", _json_lines([judged, {**judged, "ranks": [3, 2, 1]}]))
    whole = _json_lines([good, judged])
    for name, content in {
        "empty": b"",
        "nested": NESTED.encode(),
        "a nested column": b'{"prompt": "p", "responses": ' + NESTED.encode() + b"]" * 100_000 + b"}",
        "cut": whole[:-9],
        "no UTF-8": whole.replace(b"anna", b"\xff\xfe"),
        "NULs": bytes(3000),
        "a key twice": b'{"prompt": "p", "responses": ["a", "b"], "ranks": [1, 2], "ranks": [2, 1]}',
        "gzip": gzip.compress(whole),
    }.items():
        yield File(name, ".jsonl", content)
    packed = gzip.compress(whole, mtime=0)
    for name, content in {
        "cut": packed[:-9],
        "plain": whole,
        "noise": packed[:12] + b"xxxx" + packed[16:],
        "tail": packed + b"x" * 30,
    }.items():
        yield File(name, ".jsonl.gz", content)
    for name, content in {"cut": _parquet({"prompt": ["p"]})[:-9], "zeros": bytes(2000), "no columns": _parquet({})}.items():
        yield File(name, ".parquet", content)
    yield File("responses are one text", ".parquet", _parquet({"prompt": ["p"], "responses": ["abc"], "ranks": [[1, 2]]}))
    yield File("CSV", ".csv", b"prompt,chosen,rejected\np,a,b\n", [[]])


def _may(file: File) -> Sequence[str]:
    """Return what may come of a file of comparisons."""
    if file.suffix == ".csv" or file.name == "a pair of equal texts":
        return ("taken", "refused")  # a format more may be read, and a pair that says nothing may be left out
    return ("taken",) if file.right is not None else ("refused",)


def comparisons(folder: Path, seed: int) -> Iterator[Try]:
    """Add each file to a store through the command line: all or nothing, and a refused file makes no store."""
    from textenv.preferences.store import ComparisonStore

    for number, file in enumerate(_comparison_files()):
        path, store = folder / f"{number}{file.suffix}", folder / f"{number}.db"
        path.write_bytes(file.content)
        outcome = outcome_of_command(["comparisons", str(store), "--add", str(path)], 20)
        fault = fault_of(outcome, may=_may(file), code=2)
        if not fault and outcome.kind == "refused" and store.exists():
            with ComparisonStore(store) as opened:
                kept = len(opened.items())
            fault = f"refused, but {kept} items are in the store" if kept else ""
        yield Try(f"{file.suffix}: {file.name}", fault)


def in_processes(folder: Path, seed: int) -> Iterator[Try]:
    """Give a sample of the files to commands in processes of their own."""
    model = tiny_language_model(folder / "model")
    files = [*_sft_files()]
    must = [file for file in files if file.right is None]
    for number, file in enumerate(random.Random(seed).sample(must, 3)):
        path = folder / f"{number}{file.suffix}"
        path.write_bytes(file.content)
        outcome = outcome_of_process(textenv("sft", path, "--model", model, "--out", folder / "out"), 90)
        yield Try(f"sft {file.suffix}: {file.name}", fault_of(outcome, may=("refused",), code=2))
    bad = [file for file in _comparison_files() if _may(file) == ("refused",)]
    for number, file in enumerate(random.Random(seed).sample(bad, 2)):
        path = folder / f"c{number}{file.suffix}"
        path.write_bytes(file.content)
        outcome = outcome_of_process(textenv("comparisons", folder / "store.db", "--add", path), 60)
        yield Try(f"comparisons {file.suffix}: {file.name}", fault_of(outcome, may=("refused",), code=2))


ROWS: Final = (
    Row("prompt files", "read right, or refused in a sentence", prompt_files),
    Row("paths that are no prompt file", "refused in a sentence", paths),
    Row("objects as prompts", "read right, or refused in a sentence", objects),
    Row("demonstrations, by `textenv sft`", "exit 2, one sentence, no folder made", demonstrations),
    Row("comparisons, by `textenv comparisons --add`", "exit 2, one sentence, nothing half added", comparisons),
    Row("the same in processes", "exit 2, one sentence", in_processes),
)
