"""Tokenizers of classifiers: where a text ends, what it is padded with, and what a long one loses."""

from typing import Any

import pytest
import torch
import transformers
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

from textenv.errors import LoadError, RewardError
from textenv.models.contract import frame
from textenv.models.loading import load_tokenizer, toy_tokenizer
from textenv.models.reading import (
    PAD,
    as_read,
    misfit,
    positions_of,
    read_texts,
    reading,
    reads_at_most,
    reads_whole_texts,
    refuse_unembedded,
    warn_once,
)


def words(template: str, **special: Any) -> PreTrainedTokenizerFast:
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


SIZES: dict[str, Any] = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1, "intermediate_size": 8, "vocab_size": 6}
ENCODER = {**SIZES, "max_position_embeddings": 24}
OFFSET = {**SIZES, "max_position_embeddings": 26, "pad_token_id": 1}
DECODER = {"vocab_size": 6, "n_layer": 1, "n_head": 1, "pad_token_id": 2}
DEBERTA = {**ENCODER, "relative_attention": True, "position_biased_input": False, "pos_att_type": ["c2p", "p2c"]}


@pytest.mark.parametrize(
    ("kind", "fields", "limit"),
    [
        ("Bert", ENCODER, 24),
        ("DebertaV2", DEBERTA, 24),
        ("Roberta", OFFSET, 24),
        ("XLMRoberta", OFFSET, 24),
        ("Camembert", OFFSET, 24),
        ("Longformer", {**OFFSET, "attention_window": 4}, 24),
        ("MPNet", OFFSET, 24),
        ("Roberta", {**OFFSET, "pad_token_id": 0}, 25),
        ("GPT2", {**DECODER, "n_embd": 8, "n_positions": 24}, 24),
        ("Mpt", {"vocab_size": 6, "d_model": 8, "n_heads": 1, "n_layers": 1, "max_seq_len": 24, "pad_token_id": 2}, 24),
        ("Bloom", {**DECODER, "hidden_size": 8}, None),
        ("XLNet", {"vocab_size": 6, "d_model": 8, "n_layer": 1, "n_head": 1, "d_inner": 8}, None),
    ],
)
def test_as_much_is_read_as_a_model_has_positions_for(kind: str, fields: dict[str, Any], limit: int | None) -> None:
    config = getattr(transformers, f"{kind}Config")(**fields)
    model = getattr(transformers, f"{kind}ForSequenceClassification")(config).eval()
    tokenizer = words("<s> $A </s>", sep_token="</s>", pad_token="<pad>")
    assert positions_of(model) == limit
    assert reads_at_most(model, tokenizer) == (limit or tokenizer.model_max_length)
    tokenizer.model_max_length = 10
    assert reads_at_most(model, tokenizer) == 10
    with torch.no_grad():
        assert model(input_ids=torch.full((1, limit or 30), 3)).logits.isfinite().all()
        if kind in ("Bert", "Roberta", "GPT2", "MPNet"):  # they have a table, which ends there
            with pytest.raises((IndexError, RuntimeError)):
                model(input_ids=torch.full((1, (limit or 0) + 1), 3))


@pytest.mark.parametrize(
    ("template", "framed"),
    [
        ("<s> $A </s>", [0, 5, 3, 1]),
        ("<s> $A", [0, 4, 5, 3]),
        ("$A </s>", [4, 5, 3, 1]),
        ("$A", [3, 4, 5, 3]),
        ("<s> <s> $A </s>", [0, 0, 3, 1]),
    ],
)
@pytest.mark.parametrize("side", ["left", "right"])
def test_a_long_text_keeps_its_end_and_what_stands_around_it(template: str, framed: list[int], side: str) -> None:
    tokenizer = words(template, truncation_side=side)
    short, long = ids(tokenizer, "a"), "a b c a b c a"
    found = read_texts(tokenizer, [long, "a", "b a b c a"], 4)
    assert found.ids[:2] == [framed, short]
    assert found.cut == 2
    assert read_texts(tokenizer, [long], 1).ids == [[*frame(tokenizer)[0], *framed[-1:]]]


def test_a_beginning_that_the_text_holds_already_stands_there_once() -> None:
    names = ["input_ids", "token_type_ids", "attention_mask"]
    tokenizer = words("<s> $A </s>", bos_token="<s>", eos_token="</s>", model_input_names=names)
    found = read_texts(tokenizer, ["<s> a", "<s><s> a b c a", "a <s>", ""], 5)
    assert found.ids == [[0, 3, 1], [0, 4, 5, 3, 1], [0, 3, 0, 1], [0, 1]]
    assert [len(row) for row in found.types or []] == [len(row) for row in found.ids]
    alone = words("$A", bos_token="<s>", eos_token="</s>")
    assert read_texts(alone, ["<s> a", "\n", ""], 5).ids == [[0, 3], [1], [1]]
    assert read_texts(alone, [], 5).ids == []


def test_only_tokens_that_plain_text_has_need_an_embedding() -> None:
    model: Any = transformers.BertForSequenceClassification(transformers.BertConfig(**ENCODER))
    tokenizer = words("<s> $A </s>", cls_token="<s>", sep_token="</s>", pad_token="<pad>")
    assert misfit(model, tokenizer) is None
    tokenizer.add_special_tokens({"additional_special_tokens": ["<image>"]})
    assert misfit(model, tokenizer) is None
    refuse_unembedded("judge", model, tokenizer, [[0, 3, 1], []])
    with pytest.raises(RewardError, match=r"^The reward judge cannot read the token '<image>', of which its model has no embedding"):
        refuse_unembedded("judge", model, tokenizer, [[0, 1], ids(tokenizer, "a <image>")])
    tokenizer.add_tokens(["d"])
    assert misfit(model, tokenizer) == "holds a tokenizer of another model: it has 8 tokens, and the model reads 6."


def test_an_owner_warns_once() -> None:
    class Owner:
        pass

    one, other = Owner(), Owner()
    with pytest.warns(UserWarning, match="cut") as caught:
        _ = [warn_once(owner, "cut") for owner in (one, other, one)]  # type: ignore[func-returns-value]
    assert len(caught) == 2


def test_an_empty_text_is_an_end() -> None:
    assert as_read(["a", ""], load_tokenizer("tiny-en")) == ["a", "<|endoftext|>"]
    assert as_read([""], words("<s> $A </s>", sep_token="</s>")) == ["</s>"]
