"""Text of token ids, whole and token by token."""

import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


def special_ids(tokenizer: "PreTrainedTokenizerBase") -> frozenset[int]:
    """Return the ids that stand for no text, those that are only reserved included."""
    added = tokenizer.added_tokens_decoder
    return frozenset([*tokenizer.all_special_ids, *(id for id, token in added.items() if token.special)])


def half_character(text: str) -> str | None:
    """Return the first lone surrogate of a text, which cutting a character in two leaves; None where there is none."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        return text[error.start]
    return None


def decode(tokenizer: "PreTrainedTokenizerBase", ids: Sequence[int], *, special: bool = False) -> str:
    """Decode past the checks of transformers that take longer than the decoding, with or without special tokens."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is not None:
        return str(backend.decode(list(ids), skip_special_tokens=not special))
    return str(tokenizer.decode(list(ids), skip_special_tokens=not special, clean_up_tokenization_spaces=False))


def decode_after(
    tokenizer: "PreTrainedTokenizerBase",
    prompt: Sequence[int],
    response: Sequence[int],
    before: str,
    *,
    special: bool = False,
) -> str:
    """Decode a response as it reads after its prompt, whose text is `before`.

    Decoded alone, it would lose the space before its first word with some tokenizers.
    """
    whole = decode(tokenizer, [*prompt, *response], special=special)
    return whole[len(before) :] if whole.startswith(before) else decode(tokenizer, response, special=special)


def token_pieces(tokenizer: "PreTrainedTokenizerBase", prompt: Sequence[int], response: Sequence[int]) -> list[str]:
    """Give a response as the text that each of its tokens added, so that the pieces joined are the completion.

    A special token adds "". Where a character takes several tokens, the last of them adds it and the others ""; what is
    there of a character that stays incomplete is added by the last token that is not special.

    Args:
        tokenizer: of the ids.
        prompt: ids, at least one.
        response: T ids.

    Returns:
        T strings.
    """
    before = decode(tokenizer, prompt)
    special = special_ids(tokenizer)
    last = max((t for t, id in enumerate(response) if id not in special), default=-1)
    whole = decode_after(tokenizer, prompt, response, before)
    shown, pieces = "", []
    for t in range(len(response)):
        text = decode_after(tokenizer, prompt, response[: t + 1], before)
        if t < last and text.endswith("\N{REPLACEMENT CHARACTER}"):  # stands for a character that is not whole yet
            text = shown
        # Bytes that become no character may take back what stood for them.
        sure = itertools.takewhile(lambda both: both[0] == both[1], zip(text, whole, strict=False))
        text = whole if t == last else whole[: max(len(shown), sum(1 for _ in sure))]
        pieces.append(text[len(shown) :])
        shown = text
    return pieces
