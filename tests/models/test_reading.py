"""Tokenizers of classifiers: where a text ends, what it is padded with, and what a long one loses."""

from typing import Any

import pytest
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import BertConfig, BertForSequenceClassification, PreTrainedTokenizerFast, RobertaConfig

from textenv.errors import LoadError
from textenv.models.loading import load_tokenizer, toy_tokenizer
from textenv.models.reading import PAD, as_read, reading, reads_at_most, reads_whole_texts


def words(template: str, **special: str) -> PreTrainedTokenizerFast:
    """A tokenizer of words that puts special tokens around a text."""
    names = ["<s>", "</s>", "<pad>", "a", "b", "c"]
    own = Tokenizer(models.WordLevel({name: index for index, name in enumerate(names)}, unk_token="b"))
    own.pre_tokenizer = pre_tokenizers.Whitespace()
    own.post_processor = processors.TemplateProcessing(single=template, special_tokens=[("<s>", 0), ("</s>", 1)])
    return PreTrainedTokenizerFast(tokenizer_object=own, **special)


def ids(tokenizer: Any, text: str, **options: Any) -> list[int]:
    found: list[int] = tokenizer(text, **options)["input_ids"]
    return found


def test_a_text_ends_with_the_end_of_text() -> None:
    own = load_tokenizer("tiny-en")
    made = reading(own)
    assert ids(made, "The film") == [*ids(own, "The film"), own.eos_token_id]
    assert ids(made, "") == [own.eos_token_id]
    assert (made.pad_token_id, made.model_max_length) == (own.pad_token_id, own.model_max_length)
    assert ids(own, "The film") == ids(load_tokenizer("tiny-en"), "The film")  # the one that others share is as it was


def test_padding_is_no_end_of_text() -> None:
    own = toy_tokenizer("ab")
    assert own.pad_token_id == own.eos_token_id
    made = reading(own)
    assert (made.pad_token, made.pad_token_id) == (PAD, len(own))
    assert len(made) == len(own) + 1
    assert made(["a", "ab"], padding=True)["input_ids"] == [[0, 2, 3], [0, 1, 2]]


def test_a_beginning_stays_at_the_beginning() -> None:
    own = words("<s> $A", bos_token="<s>", eos_token="</s>", pad_token="<pad>")
    assert not reads_whole_texts(own)
    made = reading(own)
    assert ids(made, "a c") == [0, 3, 5, 1]
    assert ids(made, "a b c", truncation=True, max_length=4) == [0, 4, 5, 1]  # a long text loses its beginning
    assert reads_whole_texts(made)


def test_encoders_read_whole_texts_themselves() -> None:
    assert reads_whole_texts(words("<s> $A </s>", cls_token="<s>", sep_token="</s>", pad_token="<pad>"))
    assert not reads_whole_texts(words("<s> $A </s>", eos_token="</s>", pad_token="</s>"))  # its padding would be read as an end
    assert not reads_whole_texts(words("<s> $A </s>", eos_token="</s>"))
    assert not reads_whole_texts(load_tokenizer("tiny-en"))


def test_without_an_end_of_text_there_is_nothing_to_read() -> None:
    with pytest.raises(LoadError, match="cannot be made to read whole texts: it has no end-of-text token; choose another model"):
        reading(words("<s> $A", pad_token="<pad>"))


def test_how_much_is_read() -> None:
    tokenizer = words("<s> $A </s>", sep_token="</s>", pad_token="<pad>")
    sizes: dict[str, Any] = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1, "intermediate_size": 8, "vocab_size": 6}
    model: Any = BertForSequenceClassification(BertConfig(max_position_embeddings=24, **sizes))
    assert reads_at_most(model, tokenizer) == 24
    tokenizer.model_max_length = 10
    assert reads_at_most(model, tokenizer) == 10
    model.config = RobertaConfig(max_position_embeddings=11, **sizes)
    assert reads_at_most(model, tokenizer) == 9


def test_an_empty_text_is_an_end() -> None:
    assert as_read(["a", ""], load_tokenizer("tiny-en")) == ["a", "<|endoftext|>"]
    assert as_read([""], words("<s> $A </s>", sep_token="</s>")) == ["</s>"]
