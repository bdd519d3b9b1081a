"""Experts: who goes on with a text in the policy's place.

An expert is any callable. It is called with the texts so far, once a step for all rows that it watches, by keyword and with
those of these arguments that its signature accepts:

- `prompts`, `completions`: n texts each, the completions as far as they are written;
- any other column of the prompt set, n values each;
- `rows`: n numbers that tell the episodes apart which are played side by side; a row whose completion is "" starts a new one.

For each it returns the text with which it would go on, "" to end the text there, or None to leave the policy alone. Of that text the
first token is written, or as many as its first character takes; then it is asked again.
"""

import sys
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from textenv.agents.terminal_expert import TerminalExpert
from textenv.envs.rules import Rules
from textenv.errors import ArgumentError, TextenvError
from textenv.importing import is_import, resolve
from textenv.models.contract import encode_after
from textenv.models.pieces import token_pieces
from textenv.rewards.protocol import accepted, require_columns, reward_name

Expert = Callable[..., Sequence[str | None]]
"""See the module."""


def load_expert(expert: str | Expert, rules: Rules) -> Expert:
    """Find an expert by name and check that it can be asked.

    Args:
        expert: "module:function"; "terminal", the person at it; or a callable.
        rules: of the environment whose texts it goes on with.

    Raises:
        ArgumentError: it cannot be imported, is no function, needs a column that the prompts lack, or nobody sits at the terminal.
    """
    if isinstance(expert, str):
        if expert != "terminal" and not is_import(expert):
            raise ArgumentError(f'expert must be "module:function" or "terminal", got "{expert}".')
        expert = _terminal(rules) if expert == "terminal" else resolve(expert, "function")
    if not callable(expert):
        raise ArgumentError(f'expert must be "module:function", "terminal" or a function, got {expert!r}.')
    require_columns(expert, rules.prompts.columns, what="expert", beside=("prompts", "completions", "rows"))
    return expert


def _terminal(rules: Rules) -> TerminalExpert:
    if sys.stdin is None or sys.stdin.closed or not sys.stdin.isatty():
        raise ArgumentError('expert is "terminal", but nobody can type: stdin is no terminal; start it in one, or give "module:function".')
    start = rules.prompts.tokens[0][rules.prompts.tokens[0] >= 0].tolist()

    def can_write(text: str) -> bool:
        try:
            encode_after(rules.tokenizer, start, text)
        except ArgumentError:
            return False
        return True

    return TerminalExpert(can_write)


def ask(
    expert: Expert,
    rules: Rules,
    observations: NDArray[np.int32],
    prompt_index: NDArray[np.int64],
    rows: NDArray[np.int64],
) -> list[list[int]]:
    """Ask an expert how it would go on with n texts.

    Args:
        expert: see the module.
        rules: of the environment.
        observations: (n, P+T), the texts so far.
        prompt_index: (n,) their prompts.
        rows: (n,) which of the episodes played side by side they are.

    Returns:
        For each the tokens of the first character, the end of text alone, or none.

    Raises:
        ArgumentError: the expert raised, or returned something else than n texts or None, or a text that the tokenizer cannot write.
    """
    name, lengths = reward_name(expert), (observations[:, rules.prompt_columns :] >= 0).sum(1)
    prompts, completions, columns = rules.asked(rules.completions(observations, lengths), prompt_index)
    at = f"such as {prompts[0]!r} + {completions[0]!r}"
    offered = {**columns, "prompts": prompts, "completions": completions, "rows": rows.tolist()}
    try:
        texts = expert(**accepted(expert, offered))
    except TextenvError:
        raise
    except Exception as error:
        raise ArgumentError(f"The expert {name} raised {type(error).__name__}: {error} ({len(rows)} texts, {at}).") from error
    if isinstance(texts, str) or not hasattr(texts, "__len__") or len(texts) != len(rows):
        got = f"{len(texts)}" if hasattr(texts, "__len__") and not isinstance(texts, str) else repr(texts)
        raise ArgumentError(f"The expert {name} must return a text or None for each of {len(rows)} texts, {at}, got {got}.")
    found = []
    for text, prompt, completion, observation in zip(texts, prompts, completions, observations, strict=True):
        if text is not None and not isinstance(text, str):
            raise ArgumentError(f"The expert {name} returned {text!r}, which is neither text nor None, for {prompt!r} + {completion!r}.")
        try:
            found.append(_first(text, observation[observation >= 0].tolist(), rules))
        except ArgumentError as error:
            raise ArgumentError(f"The expert {name} returned {text!r} for {prompt!r} + {completion!r}, but {error}") from error
    return found


def _first(text: str | None, before: list[int], rules: Rules) -> list[int]:
    """Return the tokens of the first character of a text that goes on after others."""
    if not text:
        return [] if text is None else [rules.contract.end]
    ids = encode_after(rules.tokenizer, before, text)
    pieces = token_pieces(rules.tokenizer, before, ids)
    return ids[: 1 + next(t for t, piece in enumerate(pieces) if piece)]
