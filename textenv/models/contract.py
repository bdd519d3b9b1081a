"""Which tokens a model reads and writes: what environment, policy, fine-tuning and rewards agree on.

A tokenizer alone does not say how a model ends its texts: the ends of many chat models stand in their
`generation_config.json`. Nor does it say which ids exist: vocabularies have holes, and some tokenizers
have special tokens for which the model has no weights.
"""

import contextlib
import dataclasses
import itertools
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray
from transformers import AutoConfig, GenerationConfig
from transformers.utils import logging

from textenv.errors import ArgumentError, LoadError
from textenv.models.folders import loading
from textenv.models.hub import locate
from textenv.models.loading import adapter_base, load_tokenizer
from textenv.models.pieces import decode, decode_after, half_character, special_ids

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedModel, PreTrainedTokenizerBase

_ANCHORS = ("\n", ".", "a")
_SHOWN = 60  # characters of a text that messages show


@dataclasses.dataclass(frozen=True, eq=False)
class TokenContract:
    """The tokens of a model.

    Shapes: V, the number of actions: the highest id that has a token and a row in the model's head, and one.
    """

    tokenizer: "PreTrainedTokenizerBase" = dataclasses.field(repr=False)
    """Whose ids these are."""
    names: list[str | None] = dataclasses.field(repr=False)
    """V tokens by id, None where the vocabulary has a hole."""
    ends: tuple[int, ...]
    """Ids that end a text, each of them."""
    end: int
    """The one among them that the model itself writes after an answer: the chat template's, or else the tokenizer's."""
    allowed: NDArray[np.bool_] = dataclasses.field(repr=False)
    """(V,) whether the token may be written: it is there, and it is no special token or an end."""

    def __deepcopy__(self, memo: dict[int, Any]) -> "TokenContract":
        # It never changes, so copies of a policy share it.
        return self

    @property
    def size(self) -> int:
        """V."""
        return len(self.names)

    def is_end(self, ids: Any) -> NDArray[np.bool_]:
        """Return which of some ids end a text: booleans of the same shape."""
        return np.isin(ids, self.ends)

    def named(self, ids: Iterable[int]) -> str:
        """Return ids as their tokens, for messages."""
        shown = (self.names[id] if id < self.size else self.tokenizer.convert_ids_to_tokens(id) for id in ids)
        return ", ".join(f'"{name}"' for name in shown)

    def check_readable(self, ids: Iterable[int], where: str) -> None:
        """Raise if a model without weights for some tokens would have to read one.

        Args:
            ids: of a text.
            where: the text, as the message names it.

        Raises:
            ArgumentError: an id is V or more.
        """
        beyond = sorted({id for id in ids if id >= self.size})
        if beyond:
            raise ArgumentError(f"{where} holds {self.named(beyond)}, for which the model has no weights; take it out.")


def contract_of(tokenizer: "PreTrainedTokenizerBase | str | Path", end_tokens: Sequence[str | int] | None = None) -> TokenContract:
    """Read the contract of a tokenizer, and of the model that stands beside it in its folder.

    Args:
        tokenizer: an embedded name, a local folder, a hub id or a tokenizer, which may know the place that it was loaded from.
            The head's rows and the ends come from the model's files there.
        end_tokens: all tokens that end a text, in the place of those of tokenizer and model.

    Raises:
        ArgumentError: it is no tokenizer, has no end, or `end_tokens` names something else than tokens.
        LoadError: there is no such tokenizer.
    """
    named = isinstance(tokenizer, str | Path)
    if isinstance(tokenizer, str | Path):
        config, generation = _files(locate(adapter_base(tokenizer) or tokenizer), local_files_only=False)
        tokenizer = load_tokenizer(tokenizer)
    elif not hasattr(tokenizer, "eos_token_id"):
        raise ArgumentError(f"tokenizer must be a name, a path or a tokenizer of transformers, got {type(tokenizer).__name__}.")
    else:
        place = str(getattr(tokenizer, "name_or_path", "") or "")
        config, generation = _files(place, local_files_only=True) if place else (None, None)
    rows: int | None = None if config is None else getattr(config.get_text_config(), "vocab_size", None)
    contract = _contract(tokenizer, _written_ends(tokenizer, config, generation), end_tokens)
    if not named and rows is not None and contract.allowed[rows:].any():
        return contract  # tokens were added since it was loaded, and surely to the model too
    return contract if rows is None else _within(contract, rows)


def contract_of_model(
    model: "PreTrainedModel",
    tokenizer: "PreTrainedTokenizerBase",
    rows: int,
    end_tokens: Sequence[str | int] | None = None,
) -> TokenContract:
    """Read the contract of a model and its tokenizer.

    Args:
        model: its `generation_config` has the ends.
        tokenizer: of the model.
        rows: of the model's head.
        end_tokens: see `contract_of`.

    Raises:
        ArgumentError: see `contract_of`; or the tokenizer has plain tokens or ends beyond the model's rows.
    """
    generation = getattr(model, "generation_config", None)
    ends = _written_ends(tokenizer, model.config, generation)
    return _within(_contract(tokenizer, ends, end_tokens), rows)


def _files(place: str, *, local_files_only: bool) -> "tuple[PretrainedConfig | None, GenerationConfig | None]":
    """Load what a folder or hub id says of its model and of generation, None for what it does not."""
    config: Any = None
    generation: GenerationConfig | None = None
    before = logging.get_verbosity()
    logging.set_verbosity_error()
    try:
        with loading(f"The configuration of {place}", place):
            with contextlib.suppress(OSError, ValueError, KeyError):  # a tokenizer may stand alone
                config = AutoConfig.from_pretrained(place, local_files_only=local_files_only, trust_remote_code=False)
            try:
                generation = GenerationConfig.from_pretrained(place, local_files_only=local_files_only)
            except (OSError, ValueError):
                generation = None if config is None else GenerationConfig.from_model_config(config)
    finally:
        logging.set_verbosity(before)
    return config, generation


def _written_ends(
    tokenizer: "PreTrainedTokenizerBase",
    config: "PretrainedConfig | None",
    generation: GenerationConfig | None,
) -> list[int]:
    """List the ends that a model's generation configuration names.

    One that was only made from the defaults of a model's class counts as far as the tokenizer agrees:
    `LlamaConfig()` ends with id 2, whatever token that is.
    """
    if generation is None or generation.eos_token_id is None:
        return []
    ends = _as_list(generation.eos_token_id)
    derived = getattr(generation, "_from_model_config", False)
    if derived and config is not None and ends == _as_list(getattr(config.get_text_config(), "eos_token_id", None)):
        roles = (tokenizer.bos_token_id, tokenizer.pad_token_id, tokenizer.unk_token_id)
        special = special_ids(tokenizer)
        ends = [id for id in ends if id in special and id not in roles]
    return ends


def _as_list(ids: Any) -> list[int]:
    if ids is None:
        return []
    listed = ids if isinstance(ids, list | tuple) else [ids]
    for id in listed:
        if isinstance(id, bool) or not isinstance(id, int):
            raise LoadError(f"A model's eos_token_id must be token ids, got {ids!r}; correct its generation_config.json.")
    return list(listed)


def _contract(
    tokenizer: "PreTrainedTokenizerBase",
    written: list[int],
    end_tokens: Sequence[str | int] | None,
) -> TokenContract:
    """Put together what is known, for a model that has a row for every id."""
    vocabulary = tokenizer.get_vocab()
    highest = max(vocabulary.values(), default=-1) + 1
    names: list[str | None] = [None] * highest
    for name, id in vocabulary.items():
        names[id] = name
    if end_tokens is None:
        own = [] if tokenizer.eos_token_id is None else [int(cast(int, tokenizer.eos_token_id))]
        ends = list(dict.fromkeys([*own, *(id for id in written if 0 <= id < highest and names[id] is not None)]))
    else:
        ends = _given_ends(end_tokens, tokenizer, names)
    if not ends:
        raise ArgumentError("The tokenizer has no end-of-text token; set tokenizer.eos_token.")
    special = special_ids(tokenizer) - set(ends)
    allowed = np.array([name is not None for name in names], dtype=np.bool_)
    allowed[list(special)] = False
    return TokenContract(tokenizer, names, tuple(ends), _own_end(tokenizer, ends), allowed)


def _within(contract: TokenContract, rows: int) -> TokenContract:
    """Leave out the special tokens for which a model has no row."""
    if contract.allowed[rows:].any():
        raise ArgumentError(f"The tokenizer has {contract.size} tokens, but the model only {rows}; they do not belong together.")
    return dataclasses.replace(contract, names=contract.names[:rows], allowed=contract.allowed[:rows])


def _given_ends(end_tokens: Sequence[str | int], tokenizer: "PreTrainedTokenizerBase", names: list[str | None]) -> list[int]:
    """Look up the ends that a user names, by token or id."""
    if isinstance(end_tokens, str) or not isinstance(end_tokens, Sequence):
        raise ArgumentError(f"end_tokens must be a list of tokens or ids, got {end_tokens!r}.")
    vocabulary = tokenizer.get_vocab()
    ends = []
    for token in end_tokens:
        id = vocabulary.get(token, -1) if isinstance(token, str) else token
        whole = isinstance(id, int | np.integer) and not isinstance(id, bool)
        if not whole or not 0 <= id < len(names) or names[id] is None:
            raise ArgumentError(
                f"end_tokens: {token!r} is no token of the tokenizer {tokenizer.name_or_path or type(tokenizer).__name__} and no id of one."
            )
        ends.append(int(id))
    return list(dict.fromkeys(ends))


def _own_end(tokenizer: "PreTrainedTokenizerBase", ends: list[int]) -> int:
    """Find the end that follows an answer: of several, the first after what an assistant says in the chat template."""
    if len(ends) > 1 and tokenizer.chat_template:
        turns = [{"role": "user", "content": "textenv?"}, {"role": "assistant", "content": "textenv!"}]
        try:
            text = str(tokenizer.apply_chat_template(turns, tokenize=False))
        except Exception:  # a template runs code of its own, which may want other messages
            text = ""
        after = tokenizer(text.rpartition("textenv!")[2], add_special_tokens=False, verbose=False)
        for id in after["input_ids"]:
            if id in ends:
                return int(id)
    eos = tokenizer.eos_token_id
    return int(cast(int, eos)) if eos in ends else ends[0]


def require_same(ours: TokenContract, environments: TokenContract, what: str = "policy") -> None:
    """Raise unless a model writes the tokens of an environment: the same under the same ids, with the same ends.

    Special tokens that only one of them has beyond the other's last id do not matter, for nobody writes them.

    Args:
        ours: of the model.
        environments: of the environment.
        what: the model, as the message names it.

    Raises:
        ArgumentError: they differ.
    """
    if ours is environments:
        return
    common = min(ours.size, environments.size)
    if ours.allowed[common:].any() or environments.allowed[common:].any():
        raise ArgumentError(
            f"The {what} has {ours.size} tokens, the environment {environments.size}; use one tokenizer, by tokenizer= of the environment."
        )
    pairs = enumerate(zip(ours.names[:common], environments.names[:common], strict=True))
    for id, (mine, theirs) in pairs if ours.names[:common] != environments.names[:common] else ():
        if mine != theirs:
            raise ArgumentError(
                f"The {what} has other ids than the environment, such as {id}, which is {mine!r} there and "
                f"{theirs!r} in the environment; make the environment with the {what}'s tokenizer, tokenizer=..."
            )
    if set(ours.ends) != set(environments.ends):
        raise ArgumentError(
            f"The {what} ends its texts with {ours.named(ours.ends)}, but the environment with "
            f"{environments.named(environments.ends)}; make the environment with end_tokens={list(ours.ends)}, or by "
            f"the name of the {what}'s folder, tokenizer=..."
        )
    different = np.flatnonzero(ours.allowed[:common] != environments.allowed[:common])
    if len(different):
        raise ArgumentError(
            f"{ours.named(different[:3])} may be written by only one of {what} and environment, since it is a special "
            "token in one tokenizer alone; use one tokenizer."
        )


def frame(tokenizer: "PreTrainedTokenizerBase") -> tuple[list[int], list[int]]:
    """Return the ids that a tokenizer itself puts before and after a text."""
    bare = tokenizer("a", add_special_tokens=False, verbose=False)["input_ids"]
    whole = tokenizer("a", verbose=False)["input_ids"]
    for start in range(len(whole) - len(bare) + 1 if bare else 0):
        if whole[start : start + len(bare)] == bare:
            return list(whole[:start]), list(whole[start + len(bare) :])
    return [], []


def once_before(ids: list[int], before: list[int]) -> list[int]:
    """Drop all but one of repeated beginnings: a chat template and the tokenizer both write one.

    >>> once_before([1, 1, 5, 6], [1])
    [1, 5, 6]
    """
    size = len(before)
    start = 0
    while size and ids[start : start + size] == before == ids[start + size : start + 2 * size]:
        start += size
    return ids[start:]


def encode_prompts(texts: Sequence[str], tokenizer: "PreTrainedTokenizerBase", what: str) -> list[list[int]]:
    """Encode prompts as the model expects them: what its tokenizer puts before a text once, and nothing after it.

    A text that a chat template rendered may hold its beginning already.

    Args:
        texts: n prompts.
        tokenizer: of the model.
        what: the texts, as messages name them.

    Returns:
        n rows of ids, at least one each: an empty text is the token that a text starts from.

    Raises:
        ArgumentError: a prompt is empty, and the tokenizer has no token to start from; or holds half of a character.
    """
    for index, text in enumerate(texts):
        check_characters(text, f"{what}: prompt {index + 1}")
    before, after = frame(tokenizer)
    rows: list[list[int]] = []
    for index, row in enumerate(tokenizer(list(texts), verbose=False)["input_ids"] if texts else []):
        ids = list(row)
        if after and ids[-len(after) :] == after:
            ids = ids[: -len(after)]
        ids = once_before(ids, before)
        start = tokenizer.bos_token_id if tokenizer.bos_token_id is not None else tokenizer.eos_token_id
        if not ids and start is None:
            raise ArgumentError(f"{what}: prompt {index + 1} is empty and the tokenizer has no token to start from.")
        rows.append(ids or [cast(int, start)])
    return rows


def beginning(ids: Sequence[int], tokenizer: "PreTrainedTokenizerBase") -> list[int]:
    """Return the first ids of a prompt that every text of the model begins with."""
    before, _ = frame(tokenizer)
    first = [*before, tokenizer.bos_token_id]
    return list(itertools.takewhile(first.__contains__, ids[: max(1, len(before))]))


def shorten(ids: Sequence[int], room: int, tokenizer: "PreTrainedTokenizerBase") -> list[int]:
    """Cut the beginning of a prompt, but not the tokens that every text of the model begins with.

    Models that were trained with a first token of that kind are far off without it.

    Args:
        ids: of the prompt.
        room: ids that may be left.
        tokenizer: of the prompt.

    Returns:
        At most `room` ids.

    Raises:
        ArgumentError: there is no room for these first tokens and one more.
    """
    if len(ids) <= room:
        return list(ids)
    kept = beginning(ids, tokenizer)
    if room <= len(kept):
        raise ArgumentError(
            f"There is room for {room} tokens of a prompt, which begins with {len(kept)} of its tokenizer's own; give it more."
        )
    return [*kept, *ids[len(ids) - (room - len(kept)) :]]


def until_last_end(ids: list[int], contract: TokenContract) -> list[int]:
    """Drop the white space that a chat template puts after the last end, before a turn that does not come."""
    places = [place for place, id in enumerate(ids) if id in contract.ends]
    if places and not decode(contract.tokenizer, ids[places[-1] + 1 :]).strip():
        return ids[: places[-1] + 1]
    return ids


def encode_after(tokenizer: "PreTrainedTokenizerBase", before: Sequence[int], text: str, *, special: bool = False) -> list[int]:
    """Encode a text that goes on after some tokens, which stay as they are.

    Tokenizers that put a space before the first word cannot do it alone: then the text is encoded together
    with what stands before, or, where the last word before would be divided otherwise then, with a
    character before it whose tokens are taken away.

    Args:
        tokenizer: of the ids.
        before: ids, at least one.
        text: what follows.
        special: whether special tokens in the text are meant as such; white space beside them is the tokenizer's
            to keep or drop.

    Returns:
        The ids.

    Raises:
        ArgumentError: the tokenizer cannot write just that text there: it lacks a character, or the text holds a
            special token and none is meant.
    """
    shown = repr(text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…")
    check_characters(text, shown)
    alone = _encode(tokenizer, text)
    specials = special_ids(tokenizer)
    there = [id for id in alone if id in specials and str(tokenizer.convert_ids_to_tokens(id)) in text]
    if there and not special:
        names = ", ".join(f'"{name}"' for name in tokenizer.convert_ids_to_tokens(there))
        raise ArgumentError(
            f"{shown} holds the special token {names}, which nobody writes as text; leave it out, for the end is added by itself."
        )
    wanted = _squeezed(tokenizer, text, there)
    known = decode(tokenizer, before, special=special)
    for ids in _ways(tokenizer, before, text, alone, specials):
        written = decode_after(tokenizer, before, ids, known, special=special)
        if _squeezed(tokenizer, written, there) == wanted:
            return ids
    raise ArgumentError(f"the tokenizer cannot write {shown} after what stands before it.")


def _encode(tokenizer: "PreTrainedTokenizerBase", text: str) -> list[int]:
    return list(tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"])


def _ways(
    tokenizer: "PreTrainedTokenizerBase",
    before: Sequence[int],
    text: str,
    alone: list[int],
    specials: frozenset[int],
) -> Iterable[list[int]]:
    """Yield ways to encode a text that follows others, the most natural first."""
    yield alone
    last_special = max((place for place, id in enumerate(before) if id in specials), default=-1)
    tail = list(before[last_special + 1 :])
    starts = [(decode(tokenizer, tail), tail), *((anchor, _encode(tokenizer, anchor)) for anchor in _ANCHORS)]
    for gap in ("", " "):  # after the first token of all, some decoders drop a space
        for start, known in starts:
            together = _encode(tokenizer, start + gap + text)
            if known and together[: len(known)] == known:
                yield together[len(known) :]


def _squeezed(tokenizer: "PreTrainedTokenizerBase", text: str, specials: list[int]) -> str:
    """Drop the white space beside special tokens, which some tokenizers do not keep."""
    if not specials:
        return text
    names = "|".join(re.escape(name) for name in tokenizer.convert_ids_to_tokens(sorted(set(specials))))
    return re.sub(rf"\s*({names})\s*", r"\1", text)


def check_characters(text: str, where: str) -> None:
    """Raise for a text with half of a character, as scraped texts have where an emoji was cut in two.

    Args:
        text: any.
        where: the text, as the message names it.

    Raises:
        ArgumentError: it cannot be written in UTF-8.
    """
    half = half_character(text)
    if half is not None:
        raise ArgumentError(f"{where} holds {half!r}, half of a character, which no tokenizer reads; take it out.")
