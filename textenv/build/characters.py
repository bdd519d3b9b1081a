"""The vocabulary of single characters that `tiny-zh` reads and writes."""

from collections import Counter
from collections.abc import Iterable
from typing import Final

from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from textenv.build.corpora import HALF_WIDTH
from textenv.build.language_model import EOS, PAD

UNKNOWN: Final = "<|unknown|>"


def character_tokenizer(texts: Iterable[str], vocab_size: int, context: int) -> PreTrainedTokenizerFast:
    """Make a tokenizer of the most frequent characters; the newline is always among them.

    The end-of-text, padding and unknown tokens come first. All three are special, so that none is ever played.

    Args:
        texts: where characters are counted.
        vocab_size: characters and the three special tokens.
        context: longest text in tokens.
    """
    counts = Counter(character for text in texts for character in text.translate(HALF_WIDTH))
    counts["\n"] = max(counts.values(), default=1)
    # Equal counts are told apart by code point, so that the vocabulary does not hang on the order of the texts.
    ranked = sorted(counts, key=lambda character: (-counts[character], character))
    names = [EOS, PAD, UNKNOWN, *ranked[: vocab_size - 3]]
    tokenizer = Tokenizer(models.WordLevel({name: index for index, name in enumerate(names)}, unk_token=UNKNOWN))
    tokenizer.normalizer = normalizers.Sequence([normalizers.Replace(chr(wide), chr(half)) for wide, half in HALF_WIDTH.items()])
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(r"[\s\S]"), "isolated")
    tokenizer.decoder = decoders.Fuse()
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token=EOS,
        eos_token=EOS,
        unk_token=UNKNOWN,
        pad_token=PAD,
        padding_side="left",
        model_max_length=context,
        clean_up_tokenization_spaces=False,
    )
