"""Prompt sets: from whatever the user has to texts, columns and token rows."""

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from textenv.errors import ArgumentError, LoadError
from textenv.models.contract import beginning, encode_prompts, shorten
from textenv.models.hub import require_hub
from textenv.models.pieces import decode

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

OnLong: TypeAlias = Literal["error", "truncate", "widen"]

_SUFFIXES = (".txt", ".jsonl", ".csv", ".parquet")
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


def _read_file(path: Path, what: str) -> Any:
    import pandas as pd

    if not path.is_file():
        raise ArgumentError(f"{what}: there is no file {path}.")
    try:
        if path.suffix == ".parquet":
            return pd.read_parquet(path)
        if path.suffix == ".csv":  # "12" and "NA" are texts; only an empty cell is missing
            texts = dict.fromkeys(("prompt", "completion", "response", "text"), str)
            return pd.read_csv(path, dtype=texts, keep_default_na=False, na_values=[""])
        lines = [line for line in path.read_text(encoding="utf-8").split("\n") if line.strip()]
        return lines if path.suffix == ".txt" else pd.DataFrame([json.loads(line) for line in lines])
    except ValueError as error:  # those of json, pandas and pyarrow derive from it
        raise ArgumentError(f"{what}: the file {path} cannot be read: {error}") from error


def _read_hub(name: str, what: str) -> Any:
    if not re.fullmatch(r"[\w.-]+(/[\w.-]+)?", name):
        raise ArgumentError(f"{what}={name!r} is neither a .txt, .jsonl, .csv or .parquet file nor a hub id; put single texts into a list.")
    try:
        import datasets
    except ImportError as error:
        raise ArgumentError(f'{what}="{name}" is a hub id, which needs the extra: pip install "textenv[datasets]".') from error
    require_hub(name, "data set")
    try:
        return datasets.load_dataset(name, split="train")
    except (OSError, ValueError) as error:
        raise LoadError(f'The data set "{name}" cannot be loaded: {str(error).splitlines()[0]}') from error


def columns_of(source: Any, what: str, bare: str = "prompt") -> dict[str, list[Any]]:
    """Turn any accepted source into columns.

    Args:
        source: see `load_prompts`.
        what: the argument that errors name.
        bare: the column that single texts make up.

    Raises:
        ArgumentError: it is none of them, or cannot be read.
        LoadError: a hub id cannot be reached.
    """
    if isinstance(source, str | Path):
        source = _read_file(Path(source), what) if Path(source).suffix in _SUFFIXES else _read_hub(str(source), what)
    if hasattr(source, "iloc") and not hasattr(source, "columns"):  # a pandas series
        source = source.tolist()
    if hasattr(source, "iloc"):  # a pandas frame
        return {str(name): source[name].tolist() for name in source.columns}
    if hasattr(source, "column_names"):  # a `datasets` object
        if isinstance(source, Mapping):
            raise ArgumentError(f"{what} is a dict of data sets; choose one of its splits: {', '.join(source)}.")
        return {str(name): list(source[name]) for name in source.column_names}
    if not isinstance(source, Sequence):
        raise ArgumentError(f"{what} must be a list, a DataFrame, a data set, a hub id or a path, got {type(source).__name__}.")
    if source and all(isinstance(row, Mapping) for row in source):
        names = list(source[0])
        for index, row in enumerate(source):
            if set(row) != set(names):
                raise ArgumentError(f"{what}: row {index} has the columns {sorted(row)}, but row 0 has {sorted(names)}.")
        return {str(name): [row[name] for row in source] for name in names}
    return {bare: list(source)}


def load_prompts(
    source: Any, tokenizer: "PreTrainedTokenizerBase", max_prompt_tokens: int, *, on_long: OnLong = "error", what: str = "prompts"
) -> PromptSet:
    """Read and tokenise a prompt set.

    Args:
        source: a list of texts or of rows, a DataFrame, a `datasets` object or hub id, or a path to
            .txt (a prompt a line), .jsonl, .csv or .parquet; tables have a column "prompt".
        tokenizer: of the policy.
        max_prompt_tokens: P, the fewest columns.
        on_long: what becomes of prompts of more than P tokens, see `Task.on_long_prompt`.
        what: the argument that errors name.

    Raises:
        ArgumentError: the set is empty or cannot be read, has no column "prompt" or one that rewards call something else,
            holds what is not text, or a prompt is too long.
        LoadError: a hub id cannot be reached.
    """
    columns = columns_of(source, what)
    if "prompt" not in columns:
        raise ArgumentError(f'{what} has no column "prompt", only {", ".join(columns) or "none"}; rename the one that holds the text.')
    for name in _RESERVED:
        if name in columns:
            raise ArgumentError(f'{what} has a column "{name}", which is what rewards call something else; rename it.')
    texts = columns.pop("prompt")
    if not texts:
        raise ArgumentError(f"{what} is empty; give at least one prompt.")
    for index, text in enumerate(texts):
        if not isinstance(text, str):
            raise ArgumentError(f"{what}: prompt {index} is {text!r}, not text.")
    rows = encode_prompts(texts, tokenizer, what)
    lengths = [len(ids) for ids in rows]
    longest = max(lengths)
    if longest > max_prompt_tokens and on_long == "error":
        raise ArgumentError(_too_long(lengths, max_prompt_tokens, what))
    width = max(max_prompt_tokens, longest) if on_long == "widen" else max_prompt_tokens
    tokens = np.full((len(texts), width), -1, dtype=np.int32)
    dropped = np.zeros(len(texts), dtype=np.int64)
    for index, ids in enumerate(rows):
        if len(ids) > width:
            dropped[index] = len(ids) - width
            ids = shorten(ids, width, tokenizer)
            texts[index] = _as_given(texts[index], ids, tokenizer)
        tokens[index, width - len(ids) :] = ids
    return PromptSet(texts, columns, tokens, dropped)


def _as_given(text: str, ids: list[int], tokenizer: "PreTrainedTokenizerBase") -> str:
    """Return what is left of a text whose ids were cut: with special tokens where it had them, as whole texts have."""
    first = beginning(ids, tokenizer)
    its_own = bool(first) and text.startswith(decode(tokenizer, first, special=True))
    return decode(tokenizer, ids if its_own else ids[len(first) :], special=True)


def _too_long(lengths: list[int], limit: int, what: str) -> str:
    """Return the message for prompts that do not fit: how many, the longest, and what would fit."""
    many = sum(length > limit for length in lengths)
    longest = max(lengths)
    these = f"prompt {lengths.index(longest)} has" if many == 1 else f"{many} of {len(lengths)} prompts have"
    more = f"{longest} tokens" if many == 1 else f"more tokens, the longest, prompt {lengths.index(longest)}, {longest}"
    return (
        f"{what}: {these} {more}, more than max_prompt_tokens={limit}; give max_prompt_tokens={longest}, or "
        'on_long_prompt="widen" to do so by itself, or "truncate" to cut the beginning of what is longer.'
    )
