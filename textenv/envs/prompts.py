"""Prompt sets: from whatever the user has to texts, columns and token rows."""

from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from textenv.data import MOST_CHARACTERS, read_columns
from textenv.errors import ArgumentError
from textenv.formats import Places
from textenv.models.contract import beginning, encode_prompts, shorten
from textenv.models.pieces import decode

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

OnLong: TypeAlias = Literal["error", "truncate", "widen"]

_RESERVED = ("prompts", "completions", "pieces")  # the names of what a reward is called with


class PromptSet(NamedTuple):
    """Prompts as text and as tokens.

    Shapes: n prompts, P prompt columns.
    """

    texts: list[str]
    """n prompts as the policy sees them."""
    columns: dict[str, list[Any]]
    """The other columns of the set, each of length n, passed to rewards that ask for them."""
    tokens: NDArray[np.int32]
    """(n, P) token ids, left-padded with -1."""
    dropped: NDArray[np.int64]
    """(n,) tokens that were cut off at the beginning."""
    places: Places
    """n places, with which messages about a prompt begin."""


def load_prompts(
    source: Any, tokenizer: "PreTrainedTokenizerBase", max_prompt_tokens: int, *, on_long: OnLong = "error", what: str = "prompts"
) -> PromptSet:
    """Read and tokenise a prompt set.

    Args:
        source: what `textenv.data.read_columns` takes; tables have a column "prompt".
        tokenizer: of the policy.
        max_prompt_tokens: P, the fewest columns.
        on_long: what becomes of prompts of more than P tokens, see `Task.on_long_prompt`.
        what: the argument that errors name.

    Raises:
        ArgumentError: the set is empty or cannot be read, has no column "prompt" or one that rewards call something else,
            holds what is not text, or a prompt is too long; the message names its row.
        LoadError: a hub id cannot be reached.
    """
    table = read_columns(source, what)
    columns = dict(table.columns)
    if not table.places:
        raise ArgumentError(f"{what} is empty; give at least one prompt.")
    if "prompt" not in columns:
        raise ArgumentError(f'{what} has no column "prompt", only {", ".join(columns) or "none"}; rename the one that holds the text.')
    for name in _RESERVED:
        if name in columns:
            raise ArgumentError(f'{what} has a column "{name}", which is what rewards call something else; rename it.')
    del columns["prompt"]
    texts = table.texts("prompt", MOST_CHARACTERS)
    rows = encode_prompts(texts, tokenizer, what)
    lengths = [len(ids) for ids in rows]
    longest = max(lengths)
    if longest > max_prompt_tokens and on_long == "error":
        raise ArgumentError(_too_long(lengths, max_prompt_tokens, what, table.places))
    width = max(max_prompt_tokens, longest) if on_long == "widen" else max_prompt_tokens
    tokens = np.full((len(texts), width), -1, dtype=np.int32)
    dropped = np.zeros(len(texts), dtype=np.int64)
    for index, ids in enumerate(rows):
        if len(ids) > width:
            dropped[index] = len(ids) - width
            ids = shorten(ids, width, tokenizer)
            texts[index] = _as_given(texts[index], ids, tokenizer)
        tokens[index, width - len(ids) :] = ids
    return PromptSet(texts, columns, tokens, dropped, table.places)


def _as_given(text: str, ids: list[int], tokenizer: "PreTrainedTokenizerBase") -> str:
    """Return what is left of a text whose ids were cut: with special tokens where it had them, as whole texts have."""
    first = beginning(ids, tokenizer)
    its_own = bool(first) and text.startswith(decode(tokenizer, first, special=True))
    return decode(tokenizer, ids if its_own else ids[len(first) :], special=True)


def _too_long(lengths: list[int], limit: int, what: str, places: Places) -> str:
    """Return the message for prompts that do not fit: how many, the longest, and what would fit."""
    many = sum(length > limit for length in lengths)
    longest = max(lengths)
    place = places[lengths.index(longest)]
    name = place.removeprefix(f"{what}: ")
    if many == 1:
        fault = f"{place} has {longest} tokens, more than max_prompt_tokens={limit}"
    else:
        fault = (
            f"{what}: {many} of {len(lengths)} prompts have more than max_prompt_tokens={limit} tokens; the longest, {name}, has {longest}"
        )
    return (
        f'{fault}; give max_prompt_tokens={longest}, or on_long_prompt="widen" to do so by itself, or "truncate" to cut the beginning of '
        "what is longer."
    )
