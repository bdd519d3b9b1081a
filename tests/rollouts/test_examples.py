"""Texts as tokens to learn from: where they begin and end, what is cut, and what is refused."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tests.kinds import KINDS, tokenizer_of
from textenv.errors import ArgumentError
from textenv.models.contract import contract_of, encode_after, encode_prompts
from textenv.models.loading import load_tokenizer, toy_tokenizer
from textenv.rollouts import examples
from textenv.rollouts.examples import encode_long, encode_responses, load_examples

CONTRACT = contract_of(toy_tokenizer("abc>"))  # 0 1 2 3, and 4 the end of text
ROWS = [{"prompt": "ab>", "response": "ab"}, {"prompt": "c>", "response": ""}]


def test_a_response_is_predicted_after_its_prompt_to_its_end() -> None:
    found = load_examples(ROWS, CONTRACT, 8)
    assert found.examples == [([0, 1, 3], [0, 1, 4]), ([2, 3], [4])]
    assert (found.names, found.sizes, found.prompts_cut, found.ends_cut) == (["ab>", "c>"], [2, 0], 0, 0)
    renamed = [{"prompt": row["prompt"], "completion": row["response"], "label": 1} for row in ROWS]
    assert load_examples(renamed, CONTRACT, 8) == found


def test_a_prompt_loses_its_beginning_before_a_response_its_end() -> None:
    row = [{"prompt": "abc>", "response": "abc"}]
    shorter = load_examples(row, CONTRACT, 6)
    assert shorter.examples == [([2, 3], [0, 1, 2, 4])]
    assert (shorter.prompts_cut, shorter.ends_cut, shorter.sizes) == (1, 0, [3])
    shortest = load_examples(row, CONTRACT, 3)
    assert shortest.examples == [([3], [0, 1])]
    assert (shortest.prompts_cut, shortest.ends_cut, shortest.sizes) == (1, 1, [2])


def test_a_response_as_long_as_an_environment_allows_has_no_end() -> None:
    rows = [{"prompt": "a>", "response": text} for text in ("a", "ab", "abc")]
    found = load_examples(rows, CONTRACT, 8, max_new_tokens=2)
    assert [example.predicted for example in found.examples] == [[0, 4], [0, 1], [0, 1]]
    assert (found.ends_cut, found.sizes) == (2, [1, 2, 2])


def test_all_responses_are_given_the_same_part_of_the_prompt() -> None:
    found = encode_responses([0, 1, 2, 3], ["", "abc"], CONTRACT, 6)
    assert found == [([2, 3], [4]), ([2, 3], [0, 1, 2, 4])]
    with pytest.raises(ArgumentError, match=r"the tokenizer cannot write 'x'"):
        encode_responses([0], ["a", "x"], CONTRACT, 6)


def test_every_token_of_a_plain_text_is_predicted_once() -> None:
    found = load_examples(["abcab", "c"], CONTRACT, 4)
    assert found.examples == [([4], [0, 1, 2]), ([2], [0, 1, 4]), ([4], [2, 4])]
    assert (found.names, found.sizes) == (["abcab", "abcab", "c"], [5, 0, 1])
    longer = load_examples(["abcabcabc"], CONTRACT, 4).examples
    assert longer == [([4], [0, 1, 2]), ([2], [0, 1, 2]), ([2], [0, 1, 2]), ([2], [4])]


def test_files(tmp_path: Path) -> None:
    (tmp_path / "texts.txt").write_text("abcab\n\nc\n")
    assert load_examples(tmp_path / "texts.txt", CONTRACT, 4) == load_examples(["abcab", "c"], CONTRACT, 4)
    frame = pd.DataFrame(ROWS[:1])
    frame.to_csv(tmp_path / "rows.csv", index=False)
    frame.to_parquet(tmp_path / "rows.parquet")
    frame.to_json(tmp_path / "rows.jsonl", orient="records", lines=True)
    for suffix in ("csv", "parquet", "jsonl"):
        assert load_examples(str(tmp_path / f"rows.{suffix}"), CONTRACT, 8) == load_examples(ROWS[:1], CONTRACT, 8)
    digits = toy_tokenizer("1,0")
    (tmp_path / "digits.csv").write_text("text\n01\n")  # a text, not the number 1
    assert load_examples(tmp_path / "digits.csv", contract_of(digits), 4).names == ["01"]


def test_the_embedded_tokenizer() -> None:
    tokenizer = load_tokenizer("tiny-en")
    found = load_examples([{"prompt": "The film", "response": " was good 电影."}], contract_of("tiny-en"), 64)
    (given, predicted), size = found.examples[0], found.sizes[0]
    assert tokenizer.decode(given) == "The film"
    assert tokenizer.decode(predicted) == " was good 电影.<|endoftext|>"
    assert size == len(" was good 电影.".encode())


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (
            [{"prompt": "a", "answer": "b"}],
            r'data needs the columns "prompt" and "response", or "text", but has prompt, answer; rename what holds',
        ),
        ([{"response": "a"}], r'data needs the columns "prompt" and "response", or "text", but has response'),
        ([{"prompt": "a", "response": None}], r"data: row 1: \"response\" is missing; give a text or leave the row out\."),
        ([{"prompt": 3, "response": "a"}], r"data: row 1: \"prompt\" is 3, not text\."),
        (
            [{"prompt": "a", "response": "xyz"}],
            r"data: row 1: \"response\": the tokenizer cannot write 'xyz' after what stands before it\.",
        ),
        (
            ["ab", "a<|endoftext|>b"],
            r"data: row 2: \"text\": 'a<\|endoftext\|>b' holds the special token \"<\|endoftext\|>\", which",
        ),
        ([], r"data is empty; give at least one text\."),
        ("nowhere.jsonl", r"data: there is no file nowhere\.jsonl\."),
    ],
)
def test_what_cannot_be_used_is_refused(data: Any, message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        load_examples(data, CONTRACT, 8)


def test_texts_are_taken_where_no_response_stands_beside_the_prompt() -> None:
    plain = load_examples(["ab"], CONTRACT, 8)
    assert load_examples([{"prompt": "a", "text": "ab"}], CONTRACT, 8) == plain
    both = [{"prompt": "a", "response": "b", "text": "ab"}]
    assert load_examples(both, CONTRACT, 8) == load_examples([{"prompt": "a", "response": "b"}], CONTRACT, 8)


@pytest.mark.parametrize(
    "data",
    [
        [],
        [{"prompt": "a"}],
        [{"prompt": "a", "response": None}],
        [{"prompt": "a", "response": "x"}],
        ["x"],
    ],
)
def test_an_error_names_the_argument(data: Any) -> None:
    with pytest.raises(ArgumentError, match=r"^corpus") as caught:
        load_examples(data, CONTRACT, 8, what="corpus")
    assert "data" not in str(caught.value)


# Long texts

WORDS = ["the", "film", "was", "good,", "and", "I", "saw", "it.", "\n\n", "", "12", "I'm", "user", "<|x|>", "天空", "☃", "asks:", "story!"]


def long_text(seed: int, words: int) -> str:
    return " ".join(np.random.default_rng(seed).choice(WORDS, words))


@pytest.mark.parametrize("kind", [*KINDS, "tiny-en"])
def test_a_text_in_parts_has_the_ids_of_the_whole(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    tokenizer: Any = load_tokenizer(kind) if kind == "tiny-en" else tokenizer_of(kind)
    special = KINDS[kind].specials[-1] if tokenizer.chat_template else ""
    text = f" {special} and".join(long_text(seed, 300) for seed in range(8))
    (start,) = encode_prompts([""], tokenizer, "texts")
    whole = encode_after(tokenizer, start, text, special=bool(special))
    monkeypatch.setattr(examples, "MOST_CHARACTERS", 1000)
    monkeypatch.setattr(examples, "_PART", 300)
    lengths: list[int] = []

    def noted(tokenizer: Any, before: Any, part: str, **options: Any) -> list[int]:
        lengths.append(len(part))
        return encode_after(tokenizer, before, part, **options)

    monkeypatch.setattr(examples, "encode_after", noted)
    assert encode_long(tokenizer, start, text) == whole
    assert max(lengths) <= 300
    assert sum(length > 200 for length in lengths) > len(text) / 400


def test_a_text_that_cannot_be_divided_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(examples, "MOST_CHARACTERS", 1000)
    monkeypatch.setattr(examples, "_PART", 300)
    message = (
        r"^data: row 2: \"text\": it has 3,000 characters, and tokens do not part at white space between characters 1 and 300, so that it "
        r"cannot be divided; give it as several texts of at most 1,000\.$"
    )
    with pytest.raises(ArgumentError, match=message):
        load_examples(["a", "a" * 3000], CONTRACT, 8)
    assert len(load_examples(["a" * 1000], CONTRACT, 2000).examples[0].predicted) == 1001
