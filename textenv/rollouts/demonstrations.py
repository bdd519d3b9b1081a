"""Demonstrations: texts that somebody else wrote, as the episodes in which an environment would have seen them written."""

import warnings
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from textenv.data import MOST_CHARACTERS, Table
from textenv.envs.prompts import OnLong, load_prompts
from textenv.envs.rules import Rules
from textenv.errors import ArgumentError
from textenv.formats import shown
from textenv.models.contract import encode_after
from textenv.types import Episodes


def load_demonstrations(source: Any, rules: Rules) -> Episodes:
    """Read demonstrations and write them token by token as an environment's episodes.

    A prompt that is too long loses its beginning, where the task says so. A completion ends with the end of text, or where
    the task's stop rule ends it, or is cut off after `max_new_tokens` and then has no end of text.

    Args:
        source: what `textenv.data.read_columns` takes, with the columns "prompt" and "completion".
        rules: of the environment, `env.unwrapped.rules`.

    Returns:
        An episode a row. Log-probabilities, values, rewards and scores are 0, for nobody has drawn or judged them;
        `prompt_index` is -1 where the environment has no such prompt.

    Raises:
        ArgumentError: there are none, they cannot be read, lack a column, hold what is not text or cannot be written with the
            environment's tokens, or one of their tokens is forbidden there; the message names the row.
        LoadError: a hub id cannot be reached.
    """
    on_long: OnLong = "truncate" if rules.task.on_long_prompt == "truncate" else "error"
    found = load_prompts(source, rules.tokenizer, rules.prompt_columns, on_long=on_long, what="demonstrations")
    if "completion" not in found.columns:
        there = ", ".join(["prompt", *found.columns])
        raise ArgumentError(f'demonstrations has no column "completion", only {there}; rename the one that holds the answer.')
    completions = Table(found.columns, found.places).texts("completion", MOST_CHARACTERS)
    rows = [write_completion(text, found.tokens[index], rules, found.places[index]) for index, text in enumerate(completions)]
    tokens = np.stack([row for row, _, _ in rows])  # (B, P+T)
    for index, ids in enumerate(tokens.tolist()):
        rules.contract.check_readable(ids, found.places[index])
    cut = sum(whole > rules.response_columns for _, _, whole in rows)
    if cut:
        warnings.warn(
            f"{cut} of {len(rows)} demonstrations have more than max_new_tokens={rules.response_columns} tokens; they are cut there.",
            stacklevel=2,
        )
    lengths = (tokens[:, rules.prompt_columns :] >= 0).sum(1)
    allowed = np.stack([allowed_tokens(row, rules, found.places[index]) for index, row in enumerate(tokens)]) if rules.restricted else None
    index_of = {row.tobytes(): index for index, row in reversed(list(enumerate(rules.prompts.tokens)))}
    nothing = torch.zeros(len(tokens), rules.response_columns)
    return Episodes(
        tokens=torch.from_numpy(tokens).long(),
        prompt_columns=rules.prompt_columns,
        log_probs=nothing,
        values=nothing,
        rewards=nothing.double(),
        scores=torch.zeros(len(tokens), dtype=torch.float64),
        prompt_index=torch.tensor([index_of.get(row.tobytes(), -1) for row in found.tokens]),
        prompts=found.texts,
        completions=rules.completions(tokens, lengths),
        finish_reasons=[reason for _, reason, _ in rows],
        allowed=None if allowed is None else torch.from_numpy(allowed),
    )


def write_completion(text: str, prompt: NDArray[np.int32], rules: Rules, place: str) -> tuple[NDArray[np.int32], str, int]:
    """Write a completion token by token after its prompt, as far as the environment lets it go on.

    Args:
        text: without an end of text, which is added by itself.
        prompt: (P,) tokens.
        rules: of the environment.
        place: of the text, as messages name it.

    Returns:
        The observation (P+T,); how it ends, "eos", "stop" or "length"; and how many tokens the whole text has.

    Raises:
        ArgumentError: it cannot be written with the environment's tokens, or holds an end of text.
    """
    try:
        ids = encode_after(rules.tokenizer, prompt[prompt >= 0].tolist(), text)
    except ArgumentError as error:
        raise ArgumentError(f'{place}: "completion": {error}') from error
    if rules.contract.is_end(ids).any():
        raise ArgumentError(
            f"{place}: the completion {shown(text)} holds {rules.contract.named(rules.contract.ends)}, with which the "
            "environment ends a text; leave it out, for the end is added by itself."
        )
    row = np.full(rules.width, -1, dtype=np.int32)
    row[: rules.prompt_columns] = prompt
    for length, token in enumerate([*ids, rules.contract.end], 1):
        row[rules.prompt_columns + length - 1] = token
        if length > len(ids):
            return row, "eos", len(ids)
        if rules.stop is not None and rules.stop(rules.completions(row[None], np.array([length]))[0]):
            return row, "stop", length
        if length == rules.response_columns:
            break
    return row, "length", len(ids)


def allowed_tokens(row: NDArray[np.int32], rules: Rules, place: str) -> NDArray[np.uint8]:
    """Ask the task which tokens it allows in every state of an episode, and check that the episode keeps to them.

    Args:
        row: (P+T,) the last observation.
        rules: of the environment.
        place: of the text, as messages name it.

    Returns:
        (T, ⌈V/8⌉) packed bits.

    Raises:
        ArgumentError: a token is forbidden where it stands.
    """
    response = row[rules.prompt_columns :]
    steps = np.arange((response >= 0).sum())
    before = np.where(np.arange(rules.width) < rules.prompt_columns + steps[:, None], row, -1).astype(np.int32)  # (L, P+T)
    masks = np.zeros((rules.response_columns, rules.vocabulary), dtype=np.bool_)
    masks[steps] = rules.action_masks(before, steps)
    forbidden = steps[~masks[steps, response[steps]]]
    if len(forbidden):
        forbidden_id = int(response[forbidden[0]])
        ends = forbidden_id in rules.contract.ends
        token = "the end of text" if ends else repr(rules.tokenizer.decode([forbidden_id]))
        raise ArgumentError(f"{place}: the completion has {token} after {forbidden[0]} tokens, which the environment forbids there.")
    return np.packbits(masks, axis=1)
