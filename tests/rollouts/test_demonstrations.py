"""Demonstrations become the episodes that their environment would have seen."""

import json
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pandas as pd
import pytest
import torch
from numpy.typing import NDArray

from textenv.envs.rules import Rules
from textenv.errors import ArgumentError
from textenv.models.policy import LanguagePolicy
from textenv.rollouts.collect import collect
from textenv.rollouts.demonstrations import load_demonstrations

A, B, C, MARK, EOS = range(5)  # the tokens of TextCopy-v0
ROWS = [{"prompt": "ab>", "completion": "ab"}, {"prompt": "cba>", "completion": "cba"}, {"prompt": "aaaa>", "completion": "aaaab"}]


def rules_of(**fields: Any) -> Rules:
    envs: Any = gymnasium.make_vec("TextCopy-v0", num_envs=1, **fields)
    rules: Rules = envs.unwrapped.rules
    return rules


def test_rows_become_episodes() -> None:
    with pytest.warns(UserWarning, match="1 of 3 demonstrations have more than max_new_tokens=4 tokens; they are cut there"):
        found = load_demonstrations(ROWS, rules_of(on_long_prompt="truncate"))
    assert found.tokens.tolist() == [
        [-1, A, B, MARK, A, B, EOS, -1],
        [C, B, A, MARK, C, B, A, EOS],
        [A, A, A, MARK, A, A, A, A],  # a prompt that lost its first token, an answer its last one and the end
    ]
    assert found.finish_reasons == ["eos", "eos", "length"]
    assert found.completions == ["ab", "cba", "aaaa"]
    assert found.prompts == ["ab>", "cba>", "aaa>"]
    prompts = rules_of().prompts.texts
    assert found.prompt_index.tolist() == [prompts.index("ab>"), prompts.index("cba>"), prompts.index("aaa>")]
    assert load_demonstrations([{"prompt": "c>", "completion": ""}], rules_of()).prompt_index.tolist() == [-1]
    for values in (found.log_probs, found.values, found.rewards):
        assert values.shape == (3, 4)
        assert not values.any()
    assert found.allowed is None


@pytest.mark.parametrize("suffix", [".jsonl", ".csv", ".parquet"])
def test_files_give_the_same(suffix: str, tmp_path: Path) -> None:
    file, frame = tmp_path / f"demonstrations{suffix}", pd.DataFrame(ROWS[:2])
    if suffix == ".jsonl":
        file.write_text("\n".join(json.dumps(row) for row in ROWS[:2]))
    elif suffix == ".csv":
        frame.to_csv(file, index=False)
    else:
        frame.to_parquet(file)
    expected = load_demonstrations(frame, rules_of())
    assert torch.equal(load_demonstrations(file, rules_of()).tokens, expected.tokens)
    assert torch.equal(load_demonstrations(str(file), rules_of()).tokens, expected.tokens)


def test_a_played_episode_comes_back_from_its_texts() -> None:
    """On bytes, where answers begin with spaces and a character can take several tokens."""
    envs: Any = gymnasium.make_vec("TextSentiment-v0", num_envs=4, prompts=["The film", "It was a ☃"])
    policy = LanguagePolicy.for_rules(envs.unwrapped.rules)
    played = collect(policy, envs, 4, seed=1)
    rows = [{"prompt": p, "completion": c} for p, c in zip(played.prompts, played.completions, strict=True)]
    found = load_demonstrations(rows, envs.unwrapped.rules)
    assert found.prompt_index.tolist() == played.prompt_index.tolist()
    assert all(theirs.startswith(ours) for ours, theirs in zip(found.completions, played.completions, strict=True))
    columns = played.prompt_columns
    assert torch.equal(found.tokens[:, :columns], played.tokens[:, :columns])


def no_repeats(observation: NDArray[np.int32]) -> NDArray[np.bool_]:
    allowed = np.ones(5, dtype=np.bool_)
    allowed[observation[observation >= 0][-1]] = False
    return allowed


def test_what_the_task_allows_is_kept() -> None:
    found = load_demonstrations([{"prompt": "ab>", "completion": "ab"}], rules_of(action_mask=no_repeats, min_new_tokens=1))
    allowed = found.allowed_tokens(5)
    assert allowed is not None
    expected = [[1, 1, 1, 0, 0], [0, 1, 1, 1, 1], [1, 0, 1, 1, 1], [0, 0, 0, 0, 0]]  # no `>` after `>`, and not the end at once
    assert allowed[0].int().tolist() == expected


def test_the_stop_rule_ends_an_answer() -> None:
    found = load_demonstrations([{"prompt": "ab>", "completion": "a>b"}], rules_of(stop=">"))
    assert found.tokens.tolist() == [[-1, A, B, MARK, A, MARK, -1, -1]]
    assert found.finish_reasons == ["stop"]


@pytest.mark.parametrize(
    ("source", "fields", "message"),
    [
        ([], {}, r"^demonstrations is empty; give at least one"),
        ([{"prompt": "ab>"}], {}, r'demonstrations has no column "completion", only prompt;'),
        ([{"completion": "ab"}], {}, r'demonstrations has no column "prompt", only completion;'),
        ([{"prompt": "ab>", "completion": 3}], {}, r"demonstrations: row 1: \"completion\" is 3, not text\."),
        ([{"prompt": None, "completion": "a"}], {}, r"demonstrations: row 1: \"prompt\" is missing; give a text or leave the row out\."),
        (
            [{"prompt": "ab>", "completion": "xy"}],
            {},
            r"row 1: \"completion\": the tokenizer cannot write 'xy' after what stands before it\.",
        ),
        ([{"prompt": "ab>", "completion": "a<|endoftext|>"}], {}, r"row 1: \"completion\": .* holds the special token \"<\|endoftext\|>\""),
        (ROWS, {}, r"demonstrations: row 3 has 5 tokens, more than max_prompt_tokens=4"),
        (
            [*ROWS[:2], {"prompt": "a>", "completion": "aaab"}],
            {"action_mask": no_repeats},
            r"row 3: the completion has 'a' after 1 tokens, which the environment forbids there\.",
        ),
        (ROWS[:2], {"min_new_tokens": 3}, r"row 1: the completion has the end of text after 2 tokens, which the environment forbids"),
        ("nowhere.jsonl", {}, r"demonstrations: there is no file nowhere\.jsonl\."),
        (3, {}, r"demonstrations must be a list, a DataFrame"),
    ],
)
def test_what_cannot_be_used_is_refused(source: Any, fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        load_demonstrations(source, rules_of(**fields))
