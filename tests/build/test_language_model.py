import math
from collections import Counter
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch
from transformers import GPT2LMHeadModel, PreTrainedTokenizerFast

from textenv import checkpoint
from textenv.build import language_model
from textenv.build.language_model import (
    EOS,
    PAD,
    LanguageModelRecipe,
    bits_per_byte,
    build_rows,
    load_checkpoint,
    loss_of,
    new_model,
    pack_rows,
    save_tokenizer,
    train,
    train_tokenizer,
)

SMALL = LanguageModelRecipe(vocab_size=300, layers=1, width=16, heads=2, context=16, rows_per_step=4, warmup_steps=3)
TEXTS = ["the sea is wide and the ship is small", "bread from the oven, warm and brown", "a wide oven in a small ship"] * 12


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerFast:
    return train_tokenizer(TEXTS, SMALL.vocab_size, SMALL.context)


def test_tokenizer_round_trips_any_text(tokenizer: PreTrainedTokenizerFast, tmp_path: Path) -> None:
    assert (tokenizer.eos_token, tokenizer.pad_token) == (EOS, PAD)
    assert tokenizer.eos_token_id != tokenizer.pad_token_id
    assert tokenizer.padding_side == "left"
    text = "The sea ,is wide!\n\tÜber 海 🚢  two spaces"
    assert tokenizer.decode(tokenizer(text)["input_ids"]) == text
    tokenizer([text, "short"], truncation=True, padding=True, max_length=4)  # must not stick to what is saved
    save_tokenizer(tokenizer, tmp_path)
    loaded = PreTrainedTokenizerFast.from_pretrained(tmp_path)
    assert loaded(text)["input_ids"] == tokenizer(text)["input_ids"]
    assert loaded.model_max_length == SMALL.context
    saved = (tmp_path / "tokenizer.json").read_text()
    assert saved.count("\n") == 0
    assert '"truncation":null,"padding":null' in saved


def test_pack_rows_by_hand() -> None:
    # 5 = a whole row of 4 and a rest of 1; the rests 3, 2, 2, 1 fill two rows to the brim.
    documents = [[1, 2, 3, 4, 5], [6, 7, 8], [9, 10], [11, 12]]
    rows = pack_rows(documents, length=4, pad=0, rng=np.random.default_rng(0))
    assert rows.dtype == np.uint16
    assert rows.shape == (3, 4)
    assert rows[0].tolist() == [1, 2, 3, 4]
    assert {tuple(row) for row in rows[1:].tolist()} <= {(5, 6, 7, 8), (6, 7, 8, 5), (9, 10, 11, 12), (11, 12, 9, 10)}


def test_pack_rows_fills_the_fullest_row_that_has_space() -> None:
    rows = pack_rows([[1] * 7, [2] * 6, [3] * 3], length=10, pad=0, rng=np.random.default_rng(0))
    assert sorted(sorted(row) for row in rows.tolist()) == [[0] * 4 + [2] * 6, [1] * 7 + [3] * 3]


def test_pack_rows_keeps_every_piece_whole() -> None:
    rng = np.random.default_rng(0)
    length, pad = 16, 0
    # Every token is unique, so that a piece can be found by its first one.
    sizes, start = rng.integers(0, 50, size=200), 1
    documents: list[list[int]] = []
    for size in sizes:
        documents.append(list(range(start, start + int(size)))[::-1])
        start += int(size)
    rows = pack_rows(documents, length, pad, np.random.default_rng(1))
    assert Counter(rows[rows != pad].tolist()) == Counter(range(1, start))
    flat = rows.ravel().tolist()
    place = {token: index for index, token in enumerate(flat) if token != pad}
    for document in documents:
        for begin in range(0, len(document), length):
            piece = document[begin : begin + length]
            at = place[piece[0]]
            assert flat[at : at + len(piece)] == piece
            assert at // length == (at + len(piece) - 1) // length
    # Padding only at the end of a row, and little of it.
    assert all((row != pad).all() or (row[(row == pad).argmax() :] == pad).all() for row in rows)
    assert (rows == pad).mean() < 0.05


def test_build_rows_counts_and_ends_documents(tokenizer: PreTrainedTokenizerFast) -> None:
    mixture = [("sea", TEXTS[:2], 3), ("bread", TEXTS[2:3], 1)]
    rows, counts = build_rows(mixture, tokenizer, SMALL)
    eos, pad = tokenizer.eos_token_id, tokenizer.pad_token_id
    assert int((rows == eos).sum()) == 2 * 3 + 1
    assert counts["sea"] % 3 == 0
    assert counts["sea"] + counts["bread"] == int((rows != pad).sum())
    again, _ = build_rows(mixture, tokenizer, SMALL)
    np.testing.assert_array_equal(rows, again)


def test_loss_of_a_blank_model_is_the_log_of_the_vocabulary() -> None:
    model = blank(new_model(SMALL, pad=1, eos=0))
    ids = torch.tensor([[5, 6, 7, 1], [8, 1, 1, 1]])
    assert loss_of(model, ids, ids != 1).item() == pytest.approx(math.log(300), abs=1e-5)


def test_loss_leaves_out_padding() -> None:
    model = new_model(SMALL, pad=1, eos=0).eval()
    one, padded = torch.tensor([[5, 6, 7]]), torch.tensor([[5, 6, 7, 1, 1], [9, 1, 1, 1, 1]])
    alone, beside = (loss_of(model, ids, ids != 1).item() for ids in (one, padded))
    assert beside == pytest.approx(alone, abs=1e-5)


def test_loss_is_of_the_wanted_tokens_only() -> None:
    model = new_model(SMALL, pad=1, eos=0).eval()
    ids = torch.tensor([[5, 6, 7, 8]])
    each = [loss_of(model, ids, torch.arange(4)[None] == column).item() for column in (1, 2, 3)]
    both = loss_of(model, ids, torch.tensor([[True, True, False, True]])).item()  # the first column cannot be predicted
    assert both == pytest.approx((each[0] + each[2]) / 2, abs=1e-5)


def blank(model: GPT2LMHeadModel) -> GPT2LMHeadModel:
    """Zero the token embedding, which is the output layer too: every token is equally likely."""
    torch.nn.init.zeros_(model.transformer.wte.weight)
    model.eval()
    return model


def test_bits_per_byte_of_a_blank_model(tokenizer: PreTrainedTokenizerFast) -> None:
    texts = ["the sea, the sea", "bröd"]
    tokens = sum(len(ids) for ids in tokenizer(texts)["input_ids"])
    measured = bits_per_byte(blank(new_model(SMALL, pad=1, eos=0)), tokenizer, texts, "cpu")
    assert measured["tokens"] == tokens
    assert measured["nats_per_token"] == pytest.approx(math.log(300), abs=1e-5)
    assert measured["bits_per_byte"] == pytest.approx(tokens * math.log2(300) / (16 + 5), rel=1e-5)
    assert measured["bytes_per_token"] == pytest.approx(21 / tokens)


def test_bits_per_byte_token_by_token(tokenizer: PreTrainedTokenizerFast) -> None:
    model = new_model(SMALL, pad=1, eos=0).eval()
    texts = [" ".join(TEXTS[:4]), "warm bread"]
    nats, context = 0.0, SMALL.context
    for ids in tokenizer(texts, verbose=False)["input_ids"]:
        tokens = [0, *ids]
        for position in range(1, len(tokens)):
            # The first window reaches from the start, each later one from half a window before its first new token.
            start = 0 if position < context else (position - context) // (context // 2) * (context // 2) + context // 2
            logits = model(torch.tensor([tokens[start:position]])).logits[0, -1]
            nats -= logits.log_softmax(-1)[tokens[position]].item()
    measured = bits_per_byte(model, tokenizer, texts, "cpu")
    assert measured["bits_per_byte"] == pytest.approx(nats / math.log(2) / sum(len(text) for text in texts), rel=1e-5)


def test_no_checkpoint_is_none(tmp_path: Path) -> None:
    assert load_checkpoint(tmp_path / "checkpoint") is None


def test_training_learns_and_resumes(tokenizer: PreTrainedTokenizerFast, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows, _ = build_rows([("all", TEXTS, 4)], tokenizer, SMALL)
    pad, eos = cast(int, tokenizer.pad_token_id), cast(int, tokenizer.eos_token_id)
    monkeypatch.setattr(language_model, "CHECKPOINT_STEPS", 5)

    def trained(work: str) -> GPT2LMHeadModel:
        return train(rows, rows != pad, new_model(SMALL, pad, eos), SMALL, tmp_path / work, "cpu")

    straight = trained("straight")
    before, after = (bits_per_byte(model, tokenizer, TEXTS[:3], "cpu")["bits_per_byte"] for model in (new_model(SMALL, pad, eos), straight))
    assert after < 0.7 * before

    real = checkpoint.save_state
    saved: list[int] = []

    def save_twice(folder: Path, state: dict[str, Any]) -> None:
        real(folder, state)
        saved.append(state["step"])
        if len(saved) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(language_model, "save_state", save_twice)
    with pytest.raises(KeyboardInterrupt):
        trained("resumed")
    resumed = trained("resumed")
    assert saved[:3] == [5, 10, 15]
    for name, weights in straight.state_dict().items():
        assert torch.equal(weights, resumed.state_dict()[name]), name
