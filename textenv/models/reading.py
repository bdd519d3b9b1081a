"""How a classifier reads a text: which tokens it gets of it, and how many."""

import sys
import warnings
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final, NamedTuple, cast
from weakref import WeakSet

from tokenizers import Tokenizer
from tokenizers.processors import TemplateProcessing
from transformers import PreTrainedTokenizerFast

from textenv.errors import LoadError, RewardError
from textenv.models.contract import frame, once_before

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

PAD = "<|pad|>"
POSITIONS: Final = (
    "max_position_embeddings",
    "n_positions",
    "max_seq_len",
    "seq_length",
    "context_length",
    "max_encoder_position_embeddings",
)
"""Names under which configurations say how many tokens a model reads."""


def reading(tokenizer: "PreTrainedTokenizerBase") -> PreTrainedTokenizerFast:
    """Make the tokenizer of a classifier from that of a language model.

    It ends every text with the end-of-text token, whose state the classifier reads: the same query
    for every text, even one that breaks off within a word. A long text loses its beginning. Its padding is a token of its own,
    new where the language model pads with the end of text, for what a classifier reads is the last token that is no padding.

    Raises:
        LoadError: the tokenizer has no end-of-text token, or is written in Python.
    """
    if tokenizer.eos_token is None or not isinstance(tokenizer, PreTrainedTokenizerFast):
        lacks = "has no end-of-text token" if tokenizer.eos_token is None else "is not one of the tokenizers library"
        raise LoadError(f"The tokenizer of {tokenizer.name_or_path} cannot be made to read whole texts: it {lacks}; choose another model.")
    end, begin = str(tokenizer.eos_token), str(tokenizer.bos_token or tokenizer.eos_token)
    starts = _ids(tokenizer)[:1] == [tokenizer.bos_token_id]  # as Llama's does
    own = Tokenizer.from_str(tokenizer.backend_tokenizer.to_str())
    ids = cast(list[int], tokenizer.convert_tokens_to_ids([begin, end]))
    specials = dict(zip((begin, end), ids, strict=True))
    own.post_processor = TemplateProcessing(single=f"{begin} $A {end}" if starts else f"$A {end}", special_tokens=list(specials.items()))
    return PreTrainedTokenizerFast(
        tokenizer_object=own,
        bos_token=begin,
        eos_token=end,
        unk_token=tokenizer.unk_token,
        pad_token=PAD if tokenizer.pad_token_id in (None, tokenizer.eos_token_id) else tokenizer.pad_token,
        padding_side="right",
        truncation_side="left",
        model_max_length=tokenizer.model_max_length,
        clean_up_tokenization_spaces=False,
    )


def reads_whole_texts(tokenizer: "PreTrainedTokenizerBase") -> bool:
    """Tell whether a tokenizer ends its texts itself, as those of encoders do, and pads with something else."""
    last = _ids(tokenizer)[-1:]
    return last in ([tokenizer.sep_token_id], [tokenizer.eos_token_id]) and tokenizer.pad_token_id not in (None, *last)


def _ids(tokenizer: "PreTrainedTokenizerBase") -> list[int]:
    return cast(list[int], tokenizer("a")["input_ids"])


def positions_of(model: "PreTrainedModel") -> int | None:
    """Count the positions of a model: its configuration's, less those kept for padding.

    RoBERTa's kind (XLM-R, CamemBERT, Longformer, MPNet ...) counts from the row after the padding's.

    Returns:
        None for a model without a limit of its own, such as one with ALiBi or relative positions.
    """
    config = model.config.get_text_config()
    values = [getattr(config, name, None) for name in POSITIONS]
    limits = [value for value in values if isinstance(value, int) and value > 0][:1]
    for name, module in model.named_modules():
        padding: Any = getattr(module, "padding_idx", None)
        if name.endswith(".position_embeddings") and padding is not None:
            limits.append(len(cast(Any, module).weight) - padding - 1)
    return min(limits, default=None)


def reads_at_most(model: "PreTrainedModel", tokenizer: "PreTrainedTokenizerBase") -> int:
    """Count the tokens that a model reads of a text, special ones included.

    They are the fewer of its positions and its tokenizer's `model_max_length`.
    """
    limit, own = positions_of(model), int(tokenizer.model_max_length)
    return own if limit is None else min(own, limit)


class Read(NamedTuple):
    """The tokens of n texts."""

    ids: list[list[int]]
    """n rows, each of at least one id where the tokenizer writes any."""
    types: list[list[int]] | None
    """The rows' token types, where the tokenizer gives them."""
    cut: int
    """Texts that were too long."""


def read_texts(tokenizer: "PreTrainedTokenizerBase", texts: list[str], limit: int) -> Read:
    """Encode texts as a model reads them, whatever the tokenizer's truncation side.

    A text that begins with what the tokenizer puts before it has that once. One of more than `limit` tokens
    loses its beginning, which is the prompt's before the completion's; what the tokenizer puts before and
    after a text stays.

    Args:
        tokenizer: of the model.
        texts: n texts.
        limit: most tokens of a row.
    """
    encoded: Any = tokenizer(texts, add_special_tokens=True, verbose=False) if texts else {"input_ids": []}
    before, _ = frame(tokenizer)
    kept = len(before)
    # Blank texts may have no tokens.
    nothing = cast(list[int], tokenizer(as_read([""], tokenizer)[0])["input_ids"])
    rows, types, cut = [], [], 0
    for i, whole in enumerate(encoded["input_ids"]):
        whole = whole or nothing
        ids = once_before(whole, before)
        dropped = max(0, len(ids) - max(limit, kept + 1))
        cut += dropped > 0
        rows.append(ids[:kept] + ids[kept + dropped :])
        if "token_type_ids" in encoded:
            own = (encoded["token_type_ids"][i] or [0] * len(whole))[len(whole) - len(ids) :]
            types.append(own[:kept] + own[kept + dropped :])
    return Read(rows, types if "token_type_ids" in encoded else None, cut)


def embedding_rows(model: "PreTrainedModel") -> int:
    """Count the ids that a model embeds; one that hashes them, such as CANINE, takes any."""
    try:
        weight = getattr(model.get_input_embeddings(), "weight", None)
    except NotImplementedError:
        weight = None
    if weight is not None:
        return len(weight)
    return int(getattr(model.config.get_text_config(), "vocab_size", sys.maxsize))


def misfit(model: "PreTrainedModel", tokenizer: "PreTrainedTokenizerBase") -> str | None:
    """Return what is wrong where plain text can have ids beyond a model's embeddings.

    Special tokens that only a text itself can hold, such as Gemma's <image_soft_token>, may lie beyond.

    Returns:
        The end of a sentence, or None where nothing is wrong.
    """
    rows = embedding_rows(model)
    if len(tokenizer) <= rows:
        return None
    special = {id for id, token in tokenizer.added_tokens_decoder.items() if token.special}
    names = ("bos", "eos", "cls", "sep", "unk")  # which stand around and in plain text too
    written = {getattr(tokenizer, f"{name}_token_id") for name in names}
    if max(id for id in tokenizer.get_vocab().values() if id not in special or id in written) < rows:
        return None
    return f"holds a tokenizer of another model: it has {len(tokenizer)} tokens, and the model reads {rows}."


def refuse_unembedded(name: str, model: "PreTrainedModel", tokenizer: "PreTrainedTokenizerBase", rows: Iterable[list[int]]) -> None:
    """Refuse ids that a model has no embedding of.

    Args:
        name: of the reward.
        model: reads the rows.
        tokenizer: wrote them.
        rows: ids.

    Raises:
        RewardError: naming the token.
    """
    known = embedding_rows(model)
    for row in rows:
        if row and max(row) >= known:
            token = tokenizer.convert_ids_to_tokens(max(row))
            raise RewardError(f"The reward {name} cannot read the token {token!r}, of which its model has no embedding; take it out.")


_warned: WeakSet[Any] = WeakSet()


def warn_once(owner: object, message: str) -> None:
    """Warn, but of each owner only once in its life."""
    if owner not in _warned:
        _warned.add(owner)
        warnings.warn(message, stacklevel=2)


def as_read(texts: list[str], tokenizer: "PreTrainedTokenizerBase") -> list[str]:
    """Put an end into the place of each text that is empty, for a model reads one token at least."""
    end = str(tokenizer.eos_token or tokenizer.sep_token or ".")
    return [text or end for text in texts]
