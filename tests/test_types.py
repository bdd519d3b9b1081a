"""`Episodes`: masks, selections and packed bits."""

import dataclasses
import re
from typing import Any

import numpy as np
import pytest
import torch

from textenv.errors import ArgumentError
from textenv.types import Episodes


def make(allowed: torch.Tensor | None = None, ref_log_probs: torch.Tensor | None = None) -> Episodes:
    """Three episodes of P = 2 and T = 3, of 3, 1 and 2 response tokens; token 0 is a token like any other."""
    return Episodes(
        tokens=torch.tensor([[-1, 5, 0, 7, 8], [4, 5, 0, -1, -1], [3, 0, 0, 0, -1]]),
        prompt_columns=2,
        log_probs=torch.arange(9.0).reshape(3, 3),
        values=-torch.arange(9.0).reshape(3, 3),
        rewards=torch.ones(3, 3),
        scores=torch.tensor([0.1, 0.2, 0.3], dtype=torch.float64),
        prompt_index=torch.tensor([6, 7, 8]),
        prompts=["p", "q", "r"],
        completions=["x", "y", "z"],
        finish_reasons=["length", "eos", "stop"],
        allowed=allowed,
        ref_log_probs=ref_log_probs,
    )


def test_mask_and_lengths() -> None:
    episodes = make()
    assert len(episodes) == 3
    assert episodes.mask.tolist() == [[True, True, True], [True, False, False], [True, True, False]]
    assert episodes.lengths.tolist() == [3, 1, 2]


@pytest.mark.parametrize("vocabulary", [1, 5, 8, 9, 16, 50])
def test_allowed_tokens_are_what_was_packed(vocabulary: int) -> None:
    masks = np.random.default_rng(vocabulary).random((3, 3, vocabulary)) < 0.5
    episodes = make(torch.from_numpy(np.packbits(masks, axis=2)))
    unpacked = episodes.allowed_tokens(vocabulary)
    assert unpacked is not None
    assert unpacked.dtype == torch.bool
    assert np.array_equal(unpacked.numpy(), masks)
    selected = episodes.select([2, 0]).allowed_tokens(vocabulary)
    assert selected is not None
    assert np.array_equal(selected.numpy(), masks[[2, 0]])


def test_without_restrictions_there_is_nothing_to_unpack() -> None:
    assert make().allowed_tokens(9) is None


@pytest.mark.parametrize("index", [[2, 0, 2], torch.tensor([2, 0, 2])])
def test_select_takes_every_field_in_order(index: list[int] | torch.Tensor) -> None:
    whole = make(allowed=torch.arange(9, dtype=torch.uint8).reshape(3, 3, 1), ref_log_probs=torch.arange(9.0).reshape(3, 3) / 2)
    picked = whole.select(index)
    assert picked.prompt_columns == 2
    assert picked.prompts == ["r", "p", "r"]
    assert picked.completions == ["z", "x", "z"]
    assert picked.finish_reasons == ["stop", "length", "stop"]
    for field in dataclasses.fields(Episodes):
        value = getattr(whole, field.name)
        if isinstance(value, torch.Tensor):
            assert torch.equal(getattr(picked, field.name), value[torch.tensor([2, 0, 2])]), field.name
    assert whole.prompts == ["p", "q", "r"]


def test_select_takes_a_mask() -> None:
    picked = make().select(torch.tensor([True, False, True]))
    assert picked.prompts == ["p", "r"]
    assert picked.prompt_index.tolist() == [6, 8]
    assert make().select([True, False, True]).completions == ["x", "z"]


def test_select_takes_the_parts_of_the_score() -> None:
    whole = dataclasses.replace(make(), score_parts={"tone": torch.tensor([0.5, 0.6, 0.7])})
    assert whole.select([2, 0]).score_parts["tone"].tolist() == pytest.approx([0.7, 0.5])
    assert whole.select(torch.tensor([False, True, False])).score_parts["tone"].tolist() == pytest.approx([0.6])


def test_select_of_nothing() -> None:
    nothing = make().select(torch.zeros(0, dtype=torch.int64))
    assert len(nothing) == 0
    assert nothing.tokens.shape == (0, 5)
    assert nothing.prompts == []


def test_to_moves_every_tensor() -> None:
    moved = make(ref_log_probs=torch.zeros(3, 3)).to("meta")
    devices = {
        field.name: getattr(moved, field.name).device.type
        for field in dataclasses.fields(moved)
        if hasattr(getattr(moved, field.name), "device")
    }
    assert set(devices.values()) == {"meta"}
    assert set(devices) == {"tokens", "log_probs", "values", "rewards", "scores", "prompt_index", "ref_log_probs"}
    assert moved.prompts == ["p", "q", "r"]


def test_episodes_cannot_be_changed() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        make().prompts = []  # type: ignore[misc]


def test_select_by_a_mask_takes_lists_and_tensors_alike() -> None:
    picked = make().select(torch.tensor([False, True, True]))
    assert picked.completions == ["y", "z"]
    assert picked.scores.tolist() == [0.2, 0.3]


def test_join_puts_others_behind_and_leaves_out_what_only_some_have() -> None:
    both = make(ref_log_probs=torch.ones(3, 3)).join(make().select([2]))
    assert both.completions == ["x", "y", "z", "z"]
    assert both.tokens[3].tolist() == make().tokens[2].tolist()
    assert both.scores.tolist() == [*make().scores.tolist(), make().scores[2].item()]
    assert both.ref_log_probs is None
    assert both.prompt_columns == make().prompt_columns
    taken = make(ref_log_probs=torch.ones(3, 3)).join(make(ref_log_probs=torch.zeros(3, 3)))
    assert taken.ref_log_probs is not None
    assert taken.ref_log_probs.tolist() == [[1.0] * 3] * 3 + [[0.0] * 3] * 3


def test_a_table_has_a_row_an_episode() -> None:
    whole = dataclasses.replace(make(ref_log_probs=torch.ones(3, 3)), score_parts={"tone": torch.tensor([0.5, 0.6, 0.7])})
    frame = whole.to_pandas()
    columns = "prompt_index prompt completion finish_reason score score_tone length tokens log_probs values rewards ref_log_probs"
    assert list(frame) == columns.split()
    assert frame["prompt_index"].tolist() == [6, 7, 8]
    assert frame["completion"].tolist() == ["x", "y", "z"]
    assert frame["finish_reason"].tolist() == ["length", "eos", "stop"]
    assert frame["score"].tolist() == [0.1, 0.2, 0.3]
    assert frame["length"].tolist() == [3, 1, 2]
    assert frame["tokens"].tolist() == [[0, 7, 8], [0], [0, 0]]
    assert frame["log_probs"].tolist() == [[0.0, 1.0, 2.0], [3.0], [6.0, 7.0]]
    assert list(make().select([]).to_pandas()) == [name for name in columns.split() if name not in ("score_tone", "ref_log_probs")]


@pytest.mark.parametrize("name", ["advantages", "ref_log_probs", "values", "rewards"])
@pytest.mark.parametrize("shape", [(3,), (3, 2), (3, 3, 1), ()])
def test_a_number_an_episode_is_no_number_a_token(name: str, shape: tuple[int, ...]) -> None:
    changed: dict[str, Any] = {name: torch.ones(shape)}
    whole = dataclasses.replace(make(), **changed)
    with pytest.raises(ArgumentError, match=rf"^{name} of 3 episodes must have the shape \(3, 3\), .*, got {re.escape(str(shape))}\.$"):
        whole.to_pandas()
