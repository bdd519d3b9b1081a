"""Texts to learn from token by token: responses to prompts, or plain texts.

A response is what is predicted after its prompt, and the end that the model writes after an answer is its last token; of a plain
text everything is predicted, after the token that a text starts from. The tokens are those that an environment's policy reads and
writes.
"""

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from textenv.data import MOST_CHARACTERS, Table, read_columns
from textenv.errors import ArgumentError
from textenv.formats import shown
from textenv.models.contract import TokenContract, beginning, encode_after, encode_prompts, shorten, until_last_end
from textenv.models.packing import Example
from textenv.models.pieces import decode

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_PART: Final = 100_000  # characters; larger parts take longer by character
_SURROUNDINGS: Final = 200
"""Characters, or tokens, on each side of a division that are looked at."""
_TRIES: Final = 50
_BETWEEN_WORDS: Final = re.compile(r"(?<=\S)(?=\s)|(?<=[。！？])")


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
        source: what `textenv.data.read_columns` takes, with the columns "prompt" and "response" or "completion", or else "text";
            single texts are plain texts.
        contract: of the policy.
        context: tokens that an example may have. A longer prompt loses its beginning, a response that is longer alone its end and the
            end-of-text token; a longer plain text is several examples, each of which is given the last token of the one before.
        max_new_tokens: tokens after which an environment ends a response, without an end-of-text token. None: it does not.
        what: the argument that errors name.

    Raises:
        ArgumentError: there are none, they cannot be read, lack a column, hold what is not text or what the tokenizer cannot write;
            the message names the row.
        LoadError: a hub id cannot be reached.
    """
    table = read_columns(source, what, bare="text")
    columns, places = table.columns, table.places
    if not places:
        raise ArgumentError(f"{what} is empty; give at least one text.")
    answer = next((name for name in ("response", "completion") if name in columns), None)
    if "text" in columns and ("prompt" not in columns or answer is None):
        return _plain(table, contract, context, what)
    if "prompt" not in columns or answer is None:
        there = ", ".join(columns) or "none"
        raise ArgumentError(f'{what} needs the columns "prompt" and "response", or "text", but has {there}; rename what holds the texts.')
    prompts = table.texts("prompt", MOST_CHARACTERS)
    responses = table.texts(answer, MOST_CHARACTERS)
    special = bool(contract.tokenizer.chat_template)
    found, sizes, prompts_cut, ends_cut = list[Example](), list[int](), 0, 0
    for index, before in enumerate(encode_prompts(prompts, contract.tokenizer, what)):
        contract.check_readable(before, places[index])
        try:
            examples = encode_responses(before, [responses[index]], contract, context, max_new_tokens, special=special)
        except ArgumentError as error:
            raise ArgumentError(f'{places[index]}: "{answer}": {error}') from error
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
        contract.check_readable(ids, shown(response))
        ids = until_last_end(ids, contract) if special else ids
        ended = bool(ids) and bool(contract.is_end(ids[-1]))
        written.append(ids[:most] if ended else [*ids, contract.end][:most])
    given = shorten(prompt, context - max(map(len, written)), contract.tokenizer)
    return [Example(given, ids) for ids in written]


def _plain(table: Table, contract: TokenContract, context: int, what: str) -> Examples:
    start = encode_prompts([""], contract.tokenizer, what)[0]
    found, names, sizes = list[Example](), list[str](), list[int]()
    for index, text in enumerate(table.texts("text")):
        place = table.places[index]
        try:
            ids = encode_long(contract.tokenizer, start, text)
        except ArgumentError as error:
            raise ArgumentError(f'{place}: "text": {error}') from error
        contract.check_readable(ids, place)
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


def encode_long(tokenizer: "PreTrainedTokenizerBase", before: Sequence[int], text: str) -> list[int]:
    """Encode a text of any length that goes on after some tokens, special tokens as such where the tokenizer has a chat template.

    A tokenizer takes half a kilobyte of memory a character. So a text of more than `MOST_CHARACTERS` is encoded in parts. They begin
    where words part and the tokens around are the same with the division and without, so that the ids are those of the whole.

    Args:
        tokenizer: of the ids.
        before: ids, at least one.
        text: what follows.

    Returns:
        The ids.

    Raises:
        ArgumentError: the tokenizer cannot write the text there, or there is no place to divide it.
    """
    special = bool(tokenizer.chat_template)
    if len(text) <= MOST_CHARACTERS:
        return encode_after(tokenizer, before, text, special=special)
    ids: list[int] = []
    start = 0
    while start < len(text):
        end = _end_of_part(tokenizer, text, start, special)
        ids += encode_after(tokenizer, (ids or list(before))[-_SURROUNDINGS:], text[start:end], special=special)
        start = end
    return ids


def _end_of_part(tokenizer: "PreTrainedTokenizerBase", text: str, start: int, special: bool) -> int:
    """Return where the part of a long text that begins at `start` ends."""
    if len(text) - start <= _PART:
        return len(text)
    part = text[start : start + _PART]
    places = [start + match.start() for match in _BETWEEN_WORDS.finditer(part, 1)]
    for place in reversed(places[-_TRIES:]):
        left = text[max(start, place - _SURROUNDINGS) : place]
        right = text[place : place + _SURROUNDINGS]
        whole, alone = (list(tokenizer(t, add_special_tokens=False, verbose=False)["input_ids"]) for t in (left + right, left))
        after = encode_after(tokenizer, alone, right, special=special)
        # The last tokens of the surroundings may be parts of others.
        sure = (len(alone) + len(whole)) // 2
        if whole[:sure] == [*alone, *after][:sure]:
            return place
    raise ArgumentError(
        f"it has {len(text):,} characters, and tokens do not part at white space between characters {start + 1:,} and {start + _PART:,}, "
        f"so that it cannot be divided; give it as several texts of at most {MOST_CHARACTERS:,}."
    )
