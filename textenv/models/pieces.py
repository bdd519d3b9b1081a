"""Text of token ids, whole and token by token."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


def decode(tokenizer: "PreTrainedTokenizerBase", ids: Sequence[int]) -> str:
    """Decode without special tokens, past the checks of transformers that take longer than the decoding."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is not None:
        return str(backend.decode(list(ids), skip_special_tokens=True))
    return str(tokenizer.decode(list(ids), skip_special_tokens=True, clean_up_tokenization_spaces=False))


def decode_after(tokenizer: "PreTrainedTokenizerBase", prompt: Sequence[int], response: Sequence[int], before: str) -> str:
    """Decode a response as it reads after its prompt, whose text is `before`.

    Decoded alone, it would lose the space before its first word with some tokenizers.
    """
    whole = decode(tokenizer, [*prompt, *response])
    return whole[len(before) :] if whole.startswith(before) else decode(tokenizer, response)


def encode_after(tokenizer: "PreTrainedTokenizerBase", before: Sequence[int], text: str) -> list[int] | None:
    """Encode a text that goes on after some tokens, which stay as they are.

    It is encoded alone, or, with tokenizers that would begin it with a space then, together with what stands before.

    Args:
        tokenizer: of the ids.
        before: ids, at least one.
        text: what follows.

    Returns:
        The ids, or None where the tokenizer cannot write just that text there, special tokens and characters that it lacks included.
    """
    shown = decode(tokenizer, before)
    for whole, known in ((text, 0), (shown + text, len(before))):
        ids: list[int] = tokenizer(whole, add_special_tokens=False, verbose=False)["input_ids"]
        found = ids[known:]
        if ids[:known] == list(before)[:known] and decode_after(tokenizer, before, found, shown) == text:
            return found
    return None


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
    special = set(tokenizer.all_special_ids)
    last = max((t for t, id in enumerate(response) if id not in special), default=-1)
    shown, pieces = "", []
    for t in range(len(response)):
        text = decode_after(tokenizer, prompt, response[: t + 1], before)
        if t < last and text.endswith("\N{REPLACEMENT CHARACTER}"):  # stands for a character that is not whole yet
            text = shown
        pieces.append(text[len(shown) :])
        shown = text
    return pieces
