"""Packed examples: none sees another, in three architectures, and gradients and sums are those of examples alone."""

import inspect
from typing import Any

import pytest
import torch
from torch.nn import functional as F
from transformers import BloomConfig, BloomForCausalLM, LlamaConfig, LlamaForCausalLM, Qwen2Config, Qwen2ForCausalLM

from textenv.models.loading import toy_causal_lm, toy_tokenizer
from textenv.models.packing import Example, example_log_probs, pack, packed_log_probs, packs, share_rows
from textenv.models.policy import LanguagePolicy

TOKENIZER = toy_tokenizer("abcdefg>")  # 9 tokens, 8 the end of text
EXAMPLES = [Example([0, 7], [0, 8]), Example([1, 2, 7], [1, 2, 3, 8]), Example([8], [4, 8]), Example([3], [8]), Example([5, 6, 7], [5])]


def policy_of(architecture: str, **options: Any) -> LanguagePolicy:
    sizes: dict[str, Any] = {
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
    }
    torch.manual_seed(0)
    model: Any
    if architecture == "gpt2":
        model = toy_causal_lm(TOKENIZER, 16)
    elif architecture == "llama":
        model = LlamaForCausalLM(LlamaConfig(vocab_size=12, initializer_range=0.2, pad_token_id=8, **sizes))
    elif architecture == "qwen2":
        model = Qwen2ForCausalLM(Qwen2Config(vocab_size=9, initializer_range=0.2, **sizes))
    else:
        model = BloomForCausalLM(BloomConfig(vocab_size=9, hidden_size=32, n_layer=2, n_head=2, initializer_range=0.2))
    return LanguagePolicy(model, TOKENIZER, **options)


def by_hand(policy: LanguagePolicy, example: Example) -> torch.Tensor:
    """Sum of log π of an example, from the whole model's logits of it alone."""
    tokens = torch.tensor([[*example.given, *example.predicted]])
    logits = policy.model(input_ids=tokens, attention_mask=torch.ones_like(tokens)).logits[0, :, :9] / policy.temperature
    log_probs = F.log_softmax(logits, -1)
    start = len(example.given)
    return torch.stack([log_probs[start - 1 + i, token] for i, token in enumerate(example.predicted)]).sum()


@pytest.mark.parametrize("architecture", ["gpt2", "llama", "qwen2"])
def test_packed_is_alone(architecture: str) -> None:
    policy = policy_of(architecture, temperature=1.5)
    assert packs(policy)
    packed, alone = pack(EXAMPLES, 9), pack(EXAMPLES, 9, together=False)
    assert packed.tokens.shape == (3, 9)
    assert (alone.tokens.shape, alone.positions) == ((5, 7), None)
    expected = torch.stack([by_hand(policy, example) for example in EXAMPLES])
    parameters = [parameter for parameter in policy.model.parameters() if parameter.requires_grad]
    gradients = torch.autograd.grad(expected.sum(), parameters)
    for rows in (packed, alone):
        log_probs, owner = packed_log_probs(policy, rows)
        assert len(log_probs) == sum(len(example.predicted) for example in EXAMPLES)
        sums = torch.zeros(5).index_add(0, owner, log_probs)
        assert torch.allclose(sums, expected, atol=1e-5)
        for found, wanted in zip(torch.autograd.grad(log_probs.sum(), parameters), gradients, strict=True):
            assert torch.allclose(found, wanted, atol=1e-5 * (1 + float(wanted.abs().max())))
    for together in (True, False):
        assert torch.allclose(example_log_probs(policy, EXAMPLES, together=together), expected, atol=1e-5)


def test_a_model_that_mixes_them_is_found_out() -> None:
    policy = policy_of("bloom")  # it counts distances, not positions
    assert not packs(policy)
    expected = torch.stack([by_hand(policy, example) for example in EXAMPLES])
    assert torch.allclose(example_log_probs(policy, EXAMPLES, together=False), expected, atol=1e-5)


def test_a_model_that_ignores_where_positions_start_again_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    policy = policy_of("gpt2")
    forward = policy.trunk.forward

    def without(**arguments: Any) -> Any:
        return forward(**{name: value for name, value in arguments.items() if name != "position_ids"})

    without.__signature__ = inspect.signature(forward)  # type: ignore[attr-defined]
    monkeypatch.setattr(policy.trunk, "forward", without)
    assert not packs(policy)

    def lacking(inputs_embeds: torch.Tensor, use_cache: bool) -> Any:
        return forward(inputs_embeds=inputs_embeds, use_cache=use_cache)

    monkeypatch.setattr(policy.trunk, "forward", lacking)
    assert not packs(policy)


def test_rows_are_full_and_hold_every_example_once() -> None:
    lengths = [int(n) for n in torch.randint(1, 17, (200,), generator=torch.Generator().manual_seed(0))]
    rows = share_rows(lengths, 16)
    assert sorted(index for row in rows for index in row) == list(range(200))
    assert all(sum(lengths[index] for index in row) <= 16 for row in rows)
    assert len(rows) <= 1.02 * sum(lengths) / 16 + 1
    assert share_rows([], 4) == []


def test_some_rows_can_be_taken() -> None:
    policy = policy_of("gpt2")
    packed = pack(EXAMPLES, 9)
    whole, owner = packed_log_probs(policy, packed)
    parts = [packed_log_probs(policy, packed.select(torch.tensor(rows))) for rows in ([2], [0, 1])]
    assert torch.equal(torch.cat([parts[1][1], parts[0][1]]), owner)
    assert torch.allclose(torch.cat([parts[1][0], parts[0][0]]), whole, atol=1e-6)
    assert packed.predicted.tolist() == [int((packed.owner[row] >= 0).sum()) for row in range(3)]


def test_nothing_is_said_of_padding(caplog: pytest.LogCaptureFixture) -> None:
    """The end of text is the padding token too, and the first token of a row."""
    policy = policy_of("gpt2")
    packed_log_probs(policy, pack([Example([8], [8])], 2))
    assert not caplog.records


def test_rows_of_one_example_are_as_wide_as_the_fullest() -> None:
    examples = [Example([0], [1]), Example([1, 2, 3], [4] * 6), Example([2], [3, 4])]
    alone = pack(examples, 9, together=False)
    assert alone.select(torch.tensor([0, 2])).tokens.tolist() == [[0, 1, 0], [2, 3, 4]]
    assert alone.select(torch.tensor([0, 1])).tokens.shape == (2, 9)
    assert alone.select(torch.tensor([2])).owner.tolist() == [[-1, 2, 2]]
    assert alone.select(torch.zeros(0, dtype=torch.long)).tokens.shape == (0, 0)
    assert pack(examples, 12).select(torch.tensor([0])).tokens.shape[1] == pack(examples, 12).tokens.shape[1]
