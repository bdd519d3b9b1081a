"""How a classifier reads a text: which tokens it gets of it, and how many."""

from typing import TYPE_CHECKING, cast

from tokenizers import Tokenizer
from tokenizers.processors import TemplateProcessing
from transformers import PreTrainedTokenizerFast

from textenv.errors import LoadError

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

PAD = "<|pad|>"


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


def reads_at_most(model: "PreTrainedModel", tokenizer: "PreTrainedTokenizerBase") -> int:
    """Count the tokens that a model reads of a text; RoBERTa's kind keeps two positions for padding."""
    positions = getattr(model.config, "max_position_embeddings", None) or 512
    return min(tokenizer.model_max_length, positions - 2 if "roberta" in model.config.model_type else positions)


def as_read(texts: list[str], tokenizer: "PreTrainedTokenizerBase") -> list[str]:
    """Put an end into the place of each text that is empty, for a model reads one token at least."""
    end = str(tokenizer.eos_token or tokenizer.sep_token or ".")
    return [text or end for text in texts]
