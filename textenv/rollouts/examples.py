"""Texts to learn from token by token: responses to prompts, or plain texts.

A response is what is predicted after its prompt, and the end-of-text token is its last token; of a plain text everything is
predicted, after the token that a text starts from. The tokens are those that an environment's policy reads and writes.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from textenv.envs.prompts import columns_of, encode_prompts
from textenv.errors import ArgumentError
from textenv.models.packing import Example
from textenv.models.pieces import decode, encode_after

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


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
    """Responses that end without the end-of-text token, for lack of room or as longer than an environment lets them be."""


def load_examples(
    source: Any, tokenizer: "PreTrainedTokenizerBase", context: int, max_new_tokens: int | None = None, *, what: str = "data"
) -> Examples:
    """Read responses to prompts or plain texts.

    Args:
        source: rows with the columns "prompt" and "response" or "completion", or else "text": a list of dicts, a DataFrame, a `datasets`
            object or hub id, or a path to .jsonl, .csv or .parquet. Also plain texts: a list, or a path to .txt, with one a line.
        tokenizer: of the policy.
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
        return _plain(columns["text"], tokenizer, context, what)
    if "prompt" not in columns or answer is None:
        there = ", ".join(columns) or "none"
        raise ArgumentError(f'{what} needs the columns "prompt" and "response", or "text", but has {there}; rename what holds the texts.')
    prompts, responses = (_texts(columns[name], f"{what}: {name}") for name in ("prompt", answer))
    found, sizes, prompts_cut, ends_cut = list[Example](), list[int](), 0, 0
    for index, before in enumerate(encode_prompts(prompts, tokenizer, what)):
        examples = encode_responses(before, [responses[index]], tokenizer, context, max_new_tokens)
        if examples is None:
            raise ArgumentError(f"{what}: the tokenizer cannot write {answer} {index}, {responses[index]!r}, after its prompt.")
        found += examples
        ended = examples[0].predicted[-1] == tokenizer.eos_token_id
        sizes.append(len((responses[index] if ended else decode(tokenizer, examples[0].predicted)).encode()))
        prompts_cut += len(examples[0].given) < len(before)
        ends_cut += not ended
    return Examples(found, prompts, sizes, prompts_cut, ends_cut)


def encode_responses(
    prompt: Sequence[int], responses: Sequence[str], tokenizer: "PreTrainedTokenizerBase", context: int, max_new_tokens: int | None = None
) -> list[Example] | None:
    """Write responses after their prompt, of which all are given the same part.

    Args:
        prompt: ids, at least one.
        responses: texts.
        tokenizer: of the ids.
        context: tokens that an example may have, at least two; see `load_examples`.
        max_new_tokens: see `load_examples`.

    Returns:
        An example a response, or None where the tokenizer cannot write one of them.
    """
    most = min(context - 1, max_new_tokens or context - 1)
    written = list[list[int]]()
    for response in responses:
        ids = encode_after(tokenizer, prompt, response)
        if ids is None:
            return None
        written.append([*ids, cast(int, tokenizer.eos_token_id)][:most])
    given = list(prompt)[-(context - max(map(len, written))) :]
    return [Example(given, ids) for ids in written]


def _plain(texts: Sequence[Any], tokenizer: "PreTrainedTokenizerBase", context: int, what: str) -> Examples:
    start = encode_prompts([""], tokenizer, what)[0]
    found, names, sizes = list[Example](), list[str](), list[int]()
    for index, text in enumerate(_texts(texts, f"{what}: text")):
        ids = encode_after(tokenizer, start, text)
        if ids is None:
            raise ArgumentError(f"{what}: the tokenizer cannot write text {index}, {text[:60]!r}.")
        ids.append(cast(int, tokenizer.eos_token_id))
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
