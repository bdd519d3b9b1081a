"""Prompt sets from every source, and what is refused."""

import contextlib
import json
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import datasets
import gymnasium
import numpy as np
import pandas as pd
import pytest
from huggingface_hub import constants
from hypothesis import given, settings
from hypothesis import strategies as st

from textenv.envs.prompts import PromptSet, load_prompts
from textenv.errors import ArgumentError, LoadError
from textenv.models.loading import toy_tokenizer

TOKENIZER = toy_tokenizer("ab.")
EOS = 3
ROWS = [{"prompt": "ab", "topic": "x", "year": 1999}, {"prompt": "b", "topic": "y", "year": 2024}]


def load(source: Any, most: int = 4, **options: Any) -> PromptSet:
    return load_prompts(source, TOKENIZER, most, **options)


# Sources


def test_a_list_of_texts() -> None:
    found = load(["ab", "", "b."])
    assert found.texts == ["ab", "", "b."]
    assert found.columns == {}
    assert found.tokens.tolist() == [[-1, -1, 0, 1], [-1, -1, -1, EOS], [-1, -1, 1, 2]]  # an empty prompt starts as the model does
    assert found.tokens.dtype == np.int32
    assert found.dropped.tolist() == [0, 0, 0]
    assert load(("ab", "", "b.")).texts == load(pd.Series(["ab", "", "b."])).texts == found.texts


@pytest.mark.parametrize("kind", ["rows", "frame", "data set", "stream", ".jsonl", ".csv", ".parquet", "path"])
def test_tables_keep_their_other_columns(kind: str, tmp_path: Path) -> None:
    frame = pd.DataFrame(ROWS)
    (tmp_path / "p.jsonl").write_text("\n".join(json.dumps(row) for row in ROWS) + "\n\n")
    frame.to_csv(tmp_path / "p.csv", index=False)
    frame.to_parquet(tmp_path / "p.parquet")
    sources: dict[str, Any] = {
        "rows": ROWS,
        "frame": frame,
        "data set": datasets.Dataset.from_list(ROWS),
        "stream": datasets.Dataset.from_list(ROWS).to_iterable_dataset(),
        ".jsonl": str(tmp_path / "p.jsonl"),
        ".csv": str(tmp_path / "p.csv"),
        ".parquet": str(tmp_path / "p.parquet"),
        "path": tmp_path / "p.parquet",
    }
    found = load(sources[kind])
    assert found.texts == ["ab", "b"]
    assert found.columns == {"topic": ["x", "y"], "year": [1999, 2024]}
    assert found.tokens.tolist() == [[-1, -1, 0, 1], [-1, -1, -1, 1]]


def test_a_text_file_has_a_prompt_a_line(tmp_path: Path) -> None:
    (tmp_path / "p.txt").write_text("ab\n\n  \nb. \n", encoding="utf-8")
    assert load(tmp_path / "p.txt").texts == ["ab", "b. "]


def test_texts_in_files_stay_texts(tmp_path: Path) -> None:
    """Numbers, dates and NA in quotes are text in JSON; in CSV the column "prompt" is."""
    rows = [{"prompt": "12", "date": "2024-01-01", "label": "007"}, {"prompt": "NA", "date": "1", "label": "1"}]
    (tmp_path / "p.jsonl").write_text("\n".join(json.dumps(row) for row in rows))
    (tmp_path / "u.jsonl").write_text(json.dumps({"prompt": "1\u20282"}, ensure_ascii=False))  # a line separator is no end of a row
    assert load_prompts(tmp_path / "u.jsonl", toy_tokenizer("12\u2028"), 4).texts == ["1\u20282"]
    (tmp_path / "p.csv").write_text("prompt,n\n12,1\nNA,2\n")
    found = load_prompts(tmp_path / "p.jsonl", toy_tokenizer("12NA"), 4)
    assert found.texts == ["12", "NA"]
    assert found.columns == {"date": ["2024-01-01", "1"], "label": ["007", "1"]}
    found = load_prompts(tmp_path / "p.csv", toy_tokenizer("12NA"), 4)
    assert (found.texts, found.columns) == (["12", "NA"], {"n": [1, 2]})


def test_the_source_is_left_as_it_was() -> None:
    source = ["ababab", "b"]
    load(source, 2, on_long="truncate")
    assert source == ["ababab", "b"]
    frame = pd.DataFrame(ROWS)
    load(frame, 1, on_long="truncate")
    assert frame.to_dict("records") == ROWS


def test_columns_reach_the_reward() -> None:
    def as_year(completions: list[str], year: list[int], topic: list[str]) -> list[float]:
        return [float(number + (letter == "y")) for number, letter in zip(year, topic, strict=True)]

    envs: Any = gymnasium.make_vec("TextCopy-v0", num_envs=3, prompts=pd.DataFrame(ROWS), reward=as_year)
    envs.reset(seed=0, options={"prompt_index": [1, 0, 1]})
    assert envs.step(np.array([4, 4, 4]))[1].tolist() == [2025.0, 1999.0, 2025.0]


# Tokens


@settings(deadline=None, derandomize=True, max_examples=60)
@given(texts=st.lists(st.text("ab.", max_size=8), min_size=1, max_size=5), most=st.integers(1, 6))
def test_prompts_are_left_padded_and_truncated_from_the_left(texts: list[str], most: int) -> None:
    found = load(texts, most, on_long="truncate")
    for text, kept, row, dropped in zip(texts, found.texts, found.tokens.tolist(), found.dropped.tolist(), strict=True):
        assert dropped == max(0, len(text) - most)
        assert kept == text[dropped:]
        ids = ["ab.".index(letter) for letter in kept] or [EOS]
        assert row == [-1] * (most - len(ids)) + ids
    if max(map(len, texts)) > most:
        with pytest.raises(ArgumentError, match=f"more than max_prompt_tokens={most}"):
            load(texts, most)
    else:
        assert load(texts, most).texts == texts


def test_on_long_prompt() -> None:
    env: Any = gymnasium.make("TextCopy-v0", prompts=["abcabc"], on_long_prompt="truncate")
    assert env.reset(seed=0)[1] == {"prompt": "cabc", "prompt_index": 0, "prompt_tokens_dropped": 2}
    with pytest.raises(ArgumentError, match=r"prompts: row 2 has 6 tokens, more than max_prompt_tokens=4; give max_prompt_tokens=6, or"):
        gymnasium.make("TextCopy-v0", prompts=["ab", "abcabc"])
    several = r"prompts: 2 of 3 prompts have more than max_prompt_tokens=4 tokens; the longest, row 3, has 7; give max_prompt_tokens=7"
    with pytest.raises(ArgumentError, match=several):
        gymnasium.make("TextCopy-v0", prompts=["ab", "abcab", "abcabca"])
    assert gymnasium.make("TextCopy-v0", prompts=["ab", "abcab", "abcabca"], max_prompt_tokens=7).reset(seed=0)[1]


def test_an_end_of_text_that_the_tokenizer_adds_is_taken_off() -> None:
    from tokenizers.processors import TemplateProcessing

    tokenizer: Any = toy_tokenizer("ab.")
    end = tokenizer.eos_token
    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(single=f"$A {end}", special_tokens=[(end, EOS)])
    assert tokenizer("ab")["input_ids"] == [0, 1, EOS]
    found = load_prompts(["ab", f"ab{end}", ""], tokenizer, 4)
    assert found.tokens.tolist() == [[-1, -1, 0, 1], [-1, 0, 1, EOS], [-1, -1, -1, EOS]]


def test_an_empty_prompt_needs_a_token_to_start_from() -> None:
    tokenizer: Any = toy_tokenizer("ab.")
    tokenizer.eos_token = tokenizer.bos_token = None
    with pytest.raises(ArgumentError, match="prompt 2 is empty"):
        load_prompts(["a", ""], tokenizer, 4)


# Refusals


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ([], "prompts is empty; give at least one"),
        (pd.DataFrame({"prompt": []}), "prompts is empty"),
        (pd.DataFrame({"text": ["a"], "label": [1]}), 'no column "prompt", only text, label; rename'),
        (pd.DataFrame(), "prompts is empty"),
        ([{"text": "a"}], 'no column "prompt", only text'),
        (datasets.Dataset.from_list([{"text": "a"}]), 'no column "prompt", only text'),
        (datasets.DatasetDict({"train": datasets.Dataset.from_list(ROWS)}), "choose one of its splits: train"),
        (["a", 3], 'prompts: row 2: "prompt" is 3, not text'),
        (["a", None], 'prompts: row 2: "prompt" is missing; give'),
        ([{"prompt": ["a"]}], r'row 1: "prompt" is \[.a.\], not text'),
        (pd.DataFrame({"prompt": ["a", None]}), 'row 2: "prompt" is missing'),
        ([{"prompt": "a", "x": 1}, {"prompt": "b"}], "row 2 has the columns prompt, but the first row has prompt, x; give every row"),
        ([{"prompt": "a"}, "b"], "row 2 is 'b', but the first is a row with columns; give either"),
        ([{"prompt": "a", "completions": "b"}], 'column "completions".*rename it'),
        ([{"prompt": "a", "pieces": "b"}], 'column "pieces".*rename it'),
        ({"prompt": "a"}, "the column \"prompt\" is 'a', not a list; put a single row into a list"),
        (3, "prompts must be a list, .* got int"),
        ("Once upon a time", "put single texts into a list"),
        ("folder/prompts.json", "there is no file folder/prompts.json"),
    ],
    ids=str,
)
def test_sets_that_cannot_be_used_are_refused(source: Any, message: str) -> None:
    with pytest.raises((ArgumentError, LoadError), match=message):
        load(source)


@pytest.mark.parametrize("suffix", [".txt", ".jsonl", ".csv", ".parquet"])
def test_files_that_are_not_there_or_cannot_be_read_are_refused(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"p{suffix}"
    with pytest.raises(ArgumentError, match=f"there is no file .*p{suffix}"):
        load(path)
    path.write_bytes(b"\xff\xfe\x00nonsense\n")
    with pytest.raises(ArgumentError, match=f"prompts: .*p{suffix} cannot be read"):
        load(str(path))


def test_a_file_without_prompts_is_refused(tmp_path: Path) -> None:
    (tmp_path / "p.txt").write_text("\n\n")
    with pytest.raises(ArgumentError, match="prompts is empty"):
        load(tmp_path / "p.txt")


# The hub


def refused_within(seconds: float, message: str) -> None:
    start = time.monotonic()
    with pytest.raises(LoadError, match=message):
        gymnasium.make("TextCopy-v0", prompts="nobody/no-such-set")
    assert time.monotonic() - start < seconds


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """Make textenv ask a local socket whether the hub is there; it is bound, but not yet listening."""
    monkeypatch.delenv("HF_HUB_OFFLINE")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        monkeypatch.setattr(constants, "ENDPOINT", f"http://127.0.0.1:{server.getsockname()[1]}")
        yield server


def test_offline_a_hub_is_not_even_asked(hub: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.listen(8)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    refused_within(1.9, '"nobody/no-such-set" is no embedded data set and no local path, and the Hugging Face hub cannot be reached')


def test_a_hub_that_refuses_is_unreachable(hub: socket.socket) -> None:
    refused_within(3.5, "cannot be reached")


def test_a_hub_that_never_answers_is_unreachable(hub: socket.socket) -> None:
    hub.listen(0)
    with contextlib.ExitStack() as clients:
        for _ in range(3):  # the queue of this hub is full
            client = clients.enter_context(socket.socket())
            client.setblocking(False)
            client.connect_ex(hub.getsockname())
        refused_within(3.5, "cannot be reached")


def test_a_host_without_an_address_is_unreachable(hub: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "ENDPOINT", "https://hub.invalid")
    refused_within(3.5, "cannot be reached")


def test_a_set_that_a_hub_does_not_have_is_a_load_error(hub: socket.socket) -> None:
    hub.listen(8)
    refused_within(3.5, 'The data set "nobody/no-such-set" cannot be loaded')
