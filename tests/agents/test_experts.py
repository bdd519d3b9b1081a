"""Experts by name, what they are asked and what they may answer."""

from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest

from textenv.agents.experts import ask, load_expert
from textenv.envs.rules import Rules
from textenv.errors import ArgumentError

A, B, C, MARK, EOS = range(5)  # the tokens of TextCopy-v0


def rules_of(name: str = "TextCopy-v0", **fields: Any) -> Rules:
    envs: Any = gymnasium.make_vec(name, num_envs=1, **fields)
    rules: Rules = envs.unwrapped.rules
    return rules


def asked(expert: Any, rules: Rules, *texts: list[int]) -> list[list[int]]:
    """Ask about the first prompts, each with these tokens after it."""
    rows = np.full((len(texts), rules.width), -1, dtype=np.int32)
    for row, (prompt, text) in enumerate(zip(rules.prompts.tokens, texts, strict=False)):
        rows[row, : rules.prompt_columns] = prompt
        rows[row, rules.prompt_columns : rules.prompt_columns + len(text)] = text
    return ask(expert, rules, rows, np.arange(len(texts)), np.arange(len(texts)) + 5)


def test_the_first_token_is_taken_the_end_of_text_or_nothing() -> None:
    def expert(prompts: list[str], completions: list[str], rows: list[int]) -> list[str | None]:
        assert (prompts, completions, rows) == (["aa>", "ab>", "ac>"], ["", "a", "ac"], [5, 6, 7])
        return ["aa", None, ""]

    assert asked(expert, rules_of(), [], [A], [A, C]) == [[A], [], [EOS]]


def test_columns_are_offered() -> None:
    rules = rules_of(prompts=[{"prompt": "a>", "answer": "cb"}, {"prompt": "b>", "answer": "ac"}])
    assert asked(lambda answer: answer, rules, [], [A]) == [[C], [A]]
    assert asked(lambda **columns: columns["answer"], rules, [], []) == [[C], [A]]


def test_an_expert_changes_no_prompt_set() -> None:
    def greedy(completions: list[str], seen: list[list[int]]) -> list[None]:
        for values in seen:
            values.append(1)
        return [None] * len(completions)

    rules = rules_of(prompts=[{"prompt": "ab>", "seen": [0]}])
    asked(greedy, rules, [])
    assert rules.prompts.columns["seen"] == [[0]]


def test_a_character_of_several_tokens_is_taken_whole() -> None:
    rules = rules_of("TextSentiment-v0", prompts=["It was"])
    snowman = rules.tokenizer("☃")["input_ids"]
    assert len(snowman) > 1
    assert asked(lambda prompts: ["☃!"], rules, []) == [snowman]
    assert asked(lambda prompts: [" good film"], rules, []) == [rules.tokenizer(" good")["input_ids"]]


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (["a"], r"The expert wrong must return a text or None for each of 2 texts, such as 'aa>' \+ '', got 1\."),
        ("ab", r"must return a text or None for each of 2 texts, .* got 'ab'\."),
        (None, r"must return a text or None for each of 2 texts, .* got None\."),
        (["a", 3], r"The expert wrong returned 3, which is neither text nor None, for 'ab>' \+ 'b'\."),
        (["xa", "a"], r"returned 'xa' for 'aa>' \+ '', but the tokenizer cannot write 'xa' after what stands before it\."),
        (ZeroDivisionError("no"), r"The expert wrong raised ZeroDivisionError: no \(2 texts, such as 'aa>' \+ ''\)\."),
    ],
)
def test_wrong_answers_are_named(answer: Any, message: str) -> None:
    def wrong(prompts: list[str]) -> Any:
        if isinstance(answer, Exception):
            raise answer
        return answer

    with pytest.raises(ArgumentError, match=message):
        asked(wrong, rules_of(), [], [B])


def test_an_expert_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "experts_of_mine.py").write_text("def copies(prompts):\n    return [p[:-1] for p in prompts]\nconstant = 3\n")
    (tmp_path / "broken_expert.py").write_text("1 / 0\n")
    monkeypatch.syspath_prepend(tmp_path)
    rules = rules_of()
    assert asked(load_expert("experts_of_mine:copies", rules), rules, []) == [[A]]
    for name, message in (
        ("nowhere_at_all:copies", r'The module "nowhere_at_all" cannot be imported: it is neither in this folder'),
        ("broken_expert:copies", r"it raises ZeroDivisionError: division by zero \(broken_expert\.py, line 1\)"),
        ("experts_of_mine:copie", r'has no function "copie"\. Did you mean "copies"\?'),
        ("experts_of_mine:constant", r'expert must be "module:function", "terminal" or a function, got 3\.'),
        ("experts_of_mine", r'expert must be "module:function" or "terminal", got "experts_of_mine"\.'),
    ):
        with pytest.raises(ArgumentError, match=message):
            load_expert(name, rules)


def test_a_column_that_is_missing_is_named_before_anything_is_played() -> None:
    def needs(prompts: list[str], answr: list[str]) -> list[str]:
        return answr

    message = r'The expert needs needs the column "answr", which the prompts lack; they have: prompt, answer\. Did you mean "answer"\?'
    with pytest.raises(ArgumentError, match=message):
        load_expert(needs, rules_of(prompts=[{"prompt": "a>", "answer": "a"}]))
    with pytest.raises(ArgumentError, match='needs the column "pieces"'):
        load_expert(lambda pieces: pieces, rules_of())


def test_the_terminal_needs_one() -> None:
    with pytest.raises(ArgumentError, match='expert is "terminal", but nobody can type: stdin is no terminal'):
        load_expert("terminal", rules_of())  # pytest gives no stdin
