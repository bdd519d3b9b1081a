"""Texts to learn from token by token: responses to prompts, or plain texts.

A response is what is predicted after its prompt, and the end that the model writes after an answer is its last token; of a plain
text everything is predicted, after the token that a text starts from. The tokens are those that an environment's policy reads and
writes.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

from textenv.envs.prompts import columns_of
from textenv.errors import ArgumentError
from textenv.models.contract import TokenContract, beginning, encode_after, encode_prompts, shorten, until_last_end
from textenv.models.packing import Example
from textenv.models.pieces import decode


class Examples(NamedTuple):
    """What can be learnt from, n examples."""

    examples: list[Example]
    """n."""
    names: list[str]
    """n texts, the prompts or the plain texts that they come from, by which some are held out."""
    sizes: list[int]
    """n numbers of bytes in UTF-8 of what is predicted; those of a plain text in several examples all stand at the first."""
    prompts_cut: int
    """Prompts that lost their beginning, for lack of room."""
    ends_cut: int
    """Responses that end without an end-of-text token, for lack of room or as longer than an environment lets them be."""


def load_examples(source: Any, contract: TokenContract, context: int, max_new_tokens: int | None = None, *, what: str = "data") -> Examples:
    """Read responses to prompts or plain texts; where the tokenizer has a chat template, special tokens in them are meant as such.

    Args:
        source: rows with the columns "prompt" and "response" or "completion", or else "text": a list of dicts, a DataFrame, a `datasets`
            object or hub id, or a path to .jsonl, .csv or .parquet. Also plain texts: a list, or a path to .txt, with one a line.
        contract: of the policy.
        context: tokens that an example may have. A longer prompt loses its beginning, a response that is longer alone its end and the
            end-of-text token; a longer plain text is several examples, each of which is given the last token of the one before.
        max_new_tokens: tokens after which an environment ends a response, without an end-of-text token. None: it does not.
        what: the argument that errors name.

    Raises:
        ArgumentError: there are none, they cannot be read, lack a column, hold what is not text or what the tokenizer cannot write.
        LoadError: a hub id cannot be reached.
    """
    columns = columns_of(source, what, bare="text")
    if not columns:
        raise ArgumentError(f"{what} is empty; give at least one text.")
    answer = next((name for name in ("response", "completion") if name in columns), None)
    if "text" in columns and ("prompt" not in columns or answer is None):
        return _plain(columns["text"], contract, context, what)
    if "prompt" not in columns or answer is None:
        there = ", ".join(columns) or "none"
        raise ArgumentError(f'{what} needs the columns "prompt" and "response", or "text", but has {there}; rename what holds the texts.')
    prompts, responses = (_texts(columns[name], f"{what}: {name}") for name in ("prompt", answer))
    special = bool(contract.tokenizer.chat_template)
    found, sizes, prompts_cut, ends_cut = list[Example](), list[int](), 0, 0
    for index, before in enumerate(encode_prompts(prompts, contract.tokenizer, what)):
        contract.check_readable(before, f"{what}: prompt {index}")
        try:
            examples = encode_responses(before, [responses[index]], contract, context, max_new_tokens, special=special)
        except ArgumentError as error:
            raise ArgumentError(f"{what}: {answer} {index}: {error}") from error
        found += examples
        ended = bool(contract.is_end(examples[0].predicted[-1]))
        sizes.append(len((responses[index] if ended else decode(contract.tokenizer, examples[0].predicted)).encode()))
        prompts_cut += len(examples[0].given) < len(before)
        ends_cut += not ended
    return Examples(found, prompts, sizes, prompts_cut, ends_cut)


def encode_responses(
    prompt: Sequence[int],
    responses: Sequence[str],
    contract: TokenContract,
    context: int,
    max_new_tokens: int | None = None,
    *,
    special: bool = False,
) -> list[Example]:
    """Write responses after their prompt, of which all are given the same part.

    Args:
        prompt: ids, at least one.
        responses: texts.
        contract: of the ids.
        context: tokens that an example may have, at least two; see `load_examples`.
        max_new_tokens: see `load_examples`.
        special: whether special tokens in the responses are meant as such; then one that ends with an end, and white space that a
            template puts after it, is not ended again.

    Returns:
        An example a response.

    Raises:
        ArgumentError: the tokenizer cannot write one of them, or there is no room for the prompt's first token.
    """
    # What every text begins with stays, and one token of the prompt after it.
    least = min(len(prompt), len(beginning(prompt, contract.tokenizer)) + 1)
    if context <= least:
        raise ArgumentError(f"context must be at least {least + 1}, for a prompt keeps {least} tokens, got {context}.")
    most = min(context - least, max_new_tokens or context)
    written = list[list[int]]()
    for response in responses:
        ids = encode_after(contract.tokenizer, prompt, response, special=special)
        contract.check_readable(ids, repr(response))
        ids = until_last_end(ids, contract) if special else ids
        ended = bool(ids) and bool(contract.is_end(ids[-1]))
        written.append(ids[:most] if ended else [*ids, contract.end][:most])
    given = shorten(prompt, context - max(map(len, written)), contract.tokenizer)
    return [Example(given, ids) for ids in written]


def _plain(texts: Sequence[Any], contract: TokenContract, context: int, what: str) -> Examples:
    start = encode_prompts([""], contract.tokenizer, what)[0]
    found, names, sizes = list[Example](), list[str](), list[int]()
    for index, text in enumerate(_texts(texts, f"{what}: text")):
        try:
            ids = encode_after(contract.tokenizer, start, text, special=bool(contract.tokenizer.chat_template))
        except ArgumentError as error:
            raise ArgumentError(f"{what}: text {index}: {error}") from error
        contract.check_readable(ids, f"{what}: text {index}")
        if ids[: len(start)] == start and len(ids) > len(start):
            ids = ids[len(start) :]  # what a chat template rendered has its beginning already
        ids = until_last_end(ids, contract)
        if not ids or not contract.is_end(ids[-1]):
            ids.append(contract.end)
        room = context - len(start)
        parts = [Example(start, ids[:room])]
        parts += [Example([ids[at - 1]], ids[at : at + context - 1]) for at in range(room, len(ids), context - 1)]
        found += parts
        names += [text] * len(parts)
        sizes += [len(text.encode())] + [0] * (len(parts) - 1)
    return Examples(found, names, sizes, 0, 0)


def _texts(values: Sequence[Any], what: str) -> list[str]:
    """Refuse what is not text, and no texts at all."""
    for index, value in enumerate(values):
        if not isinstance(value, str):
            raise ArgumentError(f"{what} {index} is {value!r}, not text.")
    if not values:
        raise ArgumentError(f"{what.partition(':')[0]} is empty; give at least one text.")
    return list(values)
