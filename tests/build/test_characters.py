from pathlib import Path
from typing import cast

import pytest
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from textenv.build.characters import UNKNOWN, character_tokenizer
from textenv.build.language_model import EOS, PAD, save_tokenizer

TEXTS = ["质量好，ＯＫ！", "好 好\n“快”", "好1２质"]


@pytest.fixture(params=["made", "loaded"])
def tokenizer(request: pytest.FixtureRequest, tmp_path: Path) -> PreTrainedTokenizerFast:
    made = character_tokenizer(TEXTS, 100, 16)
    if request.param == "made":
        return made
    save_tokenizer(made, tmp_path)
    return cast(PreTrainedTokenizerFast, AutoTokenizer.from_pretrained(tmp_path))


def test_text_survives_the_round_trip(tokenizer: PreTrainedTokenizerFast) -> None:
    text = "好\n\n质，量 “OK”！ 12"
    ids = tokenizer(text)["input_ids"]
    assert len(ids) == len(text)
    assert tokenizer.decode(ids, skip_special_tokens=True) == text


def test_full_width_letters_and_digits_are_read_as_half_width(tokenizer: PreTrainedTokenizerFast) -> None:
    ids = tokenizer("ＯＫ\u3000１２，！")["input_ids"]
    assert ids == tokenizer("OK 12，！")["input_ids"]
    assert tokenizer.unk_token_id not in ids


def test_special_tokens_are_never_text(tokenizer: PreTrainedTokenizerFast) -> None:
    assert [tokenizer.eos_token, tokenizer.pad_token, tokenizer.unk_token] == [EOS, PAD, UNKNOWN]
    assert sorted(tokenizer.all_special_ids) == [0, 1, 2]
    assert tokenizer("好龘")["input_ids"][1] == 2
    assert (tokenizer.padding_side, tokenizer.model_max_length) == ("left", 16)


def test_the_most_frequent_characters_are_kept_and_always_the_newline() -> None:
    assert set(character_tokenizer(["好好质质  1"], 6, 16).get_vocab()) == {EOS, PAD, UNKNOWN, "\n", " ", "好"}


def test_the_vocabulary_does_not_hang_on_the_order_of_the_texts() -> None:
    vocabulary = character_tokenizer(["乙甲", "丙"], 6, 16).get_vocab()
    assert vocabulary == character_tokenizer(["丙", "甲乙"], 6, 16).get_vocab() == {EOS: 0, PAD: 1, UNKNOWN: 2, "\n": 3, "丙": 4, "乙": 5}
