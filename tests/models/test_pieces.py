"""Pieces of text: each token's own, on characters of one token, of several and of too few."""

from typing import Any

import numpy as np
import pytest

from tests.kinds import KINDS, tokenizer_of
from textenv.envs.rules import Rules
from textenv.envs.task import Task
from textenv.models.loading import load_tokenizer
from textenv.models.pieces import decode, decode_after, token_pieces

TOKENIZER = load_tokenizer("tiny-en")
EOS: Any = TOKENIZER.eos_token_id
LONE = "\N{REPLACEMENT CHARACTER}"


def ids(text: str) -> list[int]:
    found: list[int] = TOKENIZER(text)["input_ids"]
    return found


def test_special_tokens_have_no_text() -> None:
    assert decode(TOKENIZER, [*ids("The film"), EOS]) == "The film"


def test_a_response_reads_on_from_its_prompt() -> None:
    assert decode_after(TOKENIZER, ids("The film"), ids(" ends."), "The film") == " ends."
    # A prompt that ends within a character is completed by the response, whose own text is then all there is to show.
    cut = ids("☃")[:1]
    assert decode_after(TOKENIZER, cut, ids("☃")[1:], decode(TOKENIZER, cut)) == decode(TOKENIZER, ids("☃")[1:])


@pytest.mark.parametrize("ended", [False, True])
@pytest.mark.parametrize("text", [" was good. 5 < 6", " a ☃!", "\n电影好", ""])
def test_the_pieces_joined_are_the_completion(text: str, ended: bool) -> None:
    response = ids(text) + [EOS] * ended
    pieces = token_pieces(TOKENIZER, ids("It"), response)
    assert len(pieces) == len(response)
    assert "".join(pieces) == text
    assert LONE not in "".join(pieces)
    assert not ended or pieces[-1] == ""


def test_a_character_is_added_by_its_last_token() -> None:
    response = ids(" a ☃!")
    assert len(response) > 4
    assert [piece for piece in token_pieces(TOKENIZER, ids("It"), response) if piece] == [" a", " ", "☃", "!"]


@pytest.mark.parametrize("bytes_there", [1, 2])
def test_what_stays_incomplete_is_the_last_tokens_whether_the_text_ends_or_not(bytes_there: int) -> None:
    snowman = ids("☃")
    assert len(snowman) == 3
    open_end = token_pieces(TOKENIZER, ids("It"), [*ids(" a"), *snowman[:bytes_there]])
    assert open_end == [" a", *[""] * (bytes_there - 1), LONE]
    ended = token_pieces(TOKENIZER, ids("It"), [*ids(" a"), *snowman[:bytes_there], EOS])
    assert ended == [*open_end, ""]


@pytest.mark.parametrize("kind", KINDS)
def test_the_pieces_of_any_tokens_are_the_completion(kind: str) -> None:
    """Bytes that become no character take back what stood for them."""
    tokenizer, generator = tokenizer_of(kind), np.random.default_rng(0)
    prompt = tokenizer.encode("Was it good?")
    for _ in range(40):
        response = generator.integers(len(tokenizer), size=12).tolist()
        pieces = token_pieces(tokenizer, prompt, response)
        assert len(pieces) == 12
        assert "".join(pieces) == decode_after(tokenizer, prompt, response, decode(tokenizer, prompt))


def test_the_environment_cuts_the_same_pieces() -> None:
    rules = Rules(Task(prompts=["It"], reward="tiny-sentiment", tokenizer="tiny-en", max_prompt_tokens=3, max_new_tokens=6))
    observation = np.full(9, -1, dtype=np.int32)
    observation[3 - len(ids("It")) : 3] = ids("It")
    response = [*ids("☃")[:2], rules.contract.end]
    observation[3:6] = response
    assert rules.pieces(observation) == token_pieces(TOKENIZER, ids("It"), response) == ["", LONE, ""]
