"""The policy's log-probabilities agree with each other and with the model's own."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from transformers import (
    AutoModelForCausalLM,
    GPT2Config,
    GPT2LMHeadModel,
    OPTConfig,
    OPTForCausalLM,
    T5Config,
    T5ForConditionalGeneration,
)

from textenv.errors import ArgumentError
from textenv.models.loading import toy_causal_lm, toy_tokenizer
from textenv.models.policy import LanguagePolicy

TOKENIZER = toy_tokenizer("abcdef")  # and the end of text, 6
OBSERVATIONS = np.array([[-1, 0, 1, 2, 3, -1], [4, 5, 0, 1, 6, -1], [-1, -1, 2, 3, -1, -1]], dtype=np.int32)


def make_policy(temperature: float = 1.0) -> LanguagePolicy:
    return LanguagePolicy(toy_causal_lm(TOKENIZER, 16), TOKENIZER, temperature=temperature)


def test_equals_the_model_row_by_row() -> None:
    policy = make_policy(temperature=0.7)
    for row in OBSERVATIONS:
        logits = policy.model(input_ids=torch.tensor([row[row >= 0].tolist()])).logits[0, -1]
        expected = torch.log_softmax(logits / 0.7, -1)
        assert torch.allclose(policy.next_log_probs(row[None])[0], expected, atol=1e-5)


def test_what_has_not_changed_is_not_computed_again() -> None:
    policy = make_policy()
    head = torch.nn.Linear(policy.value_head.in_features, 7, bias=False)
    policy.model.set_output_embeddings(head)

    def check(observations: NDArray[np.int32]) -> torch.Tensor:
        found = policy.next_log_probs(observations)
        with torch.no_grad():
            torch.testing.assert_close(found, policy.next_log_probs(observations, cached=False), atol=1e-5, rtol=0)
        assert policy.next_log_probs(observations.copy()) is found
        return found

    first = check(OBSERVATIONS)
    with torch.no_grad():
        head.weight.mul_(-2)
    assert check(OBSERVATIONS) is not first
    policy.temperature = 0.5
    check(OBSERVATIONS)
    another = OBSERVATIONS.copy()
    another[1, -1] = 3
    check(another)
    policy.next_log_probs(np.full_like(OBSERVATIONS, -1))
    check(another)


def test_response_log_probs_equal_those_of_acting() -> None:
    policy = make_policy(temperature=1.3)
    torch.nn.init.normal_(policy.value_head.weight)
    tokens = torch.from_numpy(OBSERVATIONS).long()
    log_probs, values = policy.response_log_probs(tokens, 3)  # (3, 3) each
    for t in range(3):
        prefix = OBSERVATIONS.copy()
        prefix[:, 3 + t :] = -1
        act = policy.act(prefix)
        for row in range(3):
            token = OBSERVATIONS[row, 3 + t]
            if token >= 0:
                assert log_probs[row, t].item() == pytest.approx(policy.next_log_probs(prefix)[row, token].item(), abs=1e-5)
                assert values[row, t].item() == pytest.approx(act.values[row].item(), abs=1e-5)
            else:
                assert log_probs[row, t] == values[row, t] == 0


def test_allowed_tokens_renormalise_both_ways() -> None:
    policy = make_policy()
    allowed = np.zeros((3, 7), dtype=np.bool_)
    allowed[:, [1, 4]] = True
    prefix = OBSERVATIONS.copy()
    prefix[:, 4:] = -1
    act = policy.act(prefix, allowed=allowed, generator=torch.Generator().manual_seed(0))
    assert set(act.actions.tolist()) <= {1, 4}
    full = policy.next_log_probs(prefix)
    expected = full.gather(1, torch.from_numpy(act.actions)[:, None])[:, 0] - torch.logsumexp(full[:, [1, 4]], 1)
    assert torch.allclose(act.log_probs, expected, atol=1e-5)
    finished = torch.from_numpy(np.insert(prefix[:, :4], 4, act.actions, axis=1)).long()  # (3, 5)
    log_probs, _ = policy.response_log_probs(finished, 4, torch.from_numpy(allowed)[:, None])
    assert torch.allclose(log_probs[:, 0], act.log_probs, atol=1e-5)


def test_special_tokens_and_padded_vocabulary_are_banned() -> None:
    torch.manual_seed(0)
    tokenizer = toy_tokenizer("abc")
    tokenizer.add_special_tokens({"pad_token": "<pad>"})  # id 4
    config = GPT2Config(vocab_size=16, n_embd=8, n_layer=1, n_head=1, bos_token_id=3, eos_token_id=3)
    policy = LanguagePolicy(GPT2LMHeadModel(config), tokenizer)
    log_probs = policy.next_log_probs(np.array([[0, 1]], dtype=np.int32))
    assert log_probs.shape == (1, 5)
    assert log_probs[0, 4] == -torch.inf
    assert log_probs.exp().sum().item() == pytest.approx(1, abs=1e-6)
    draws = [policy.act(np.array([[0, 1]], dtype=np.int32)).actions[0] for _ in range(200)]
    assert set(draws) == {0, 1, 2, 3}


def test_draws_follow_the_distribution() -> None:
    policy = make_policy()
    observations = np.repeat(OBSERVATIONS[:1], 20_000, axis=0)
    act = policy.act(observations, generator=torch.Generator().manual_seed(0))
    shares = np.bincount(act.actions, minlength=7) / len(observations)
    expected = policy.next_log_probs(observations[:1])[0].exp().numpy()
    assert np.abs(shares - expected).max() < 4 * np.sqrt(expected * (1 - expected) / len(observations)).max()


def test_greedy_takes_the_most_probable() -> None:
    policy = make_policy()
    assert np.array_equal(policy.act(OBSERVATIONS, greedy=True).actions, policy.next_log_probs(OBSERVATIONS).argmax(-1).numpy())


def test_parked_rows_are_skipped() -> None:
    policy = make_policy()
    observations = np.concatenate([np.full((1, 6), -1, dtype=np.int32), OBSERVATIONS])
    act = policy.act(observations, greedy=True)
    assert act.actions[0] == act.log_probs[0].item() == 0
    assert np.array_equal(act.actions[1:], make_policy().act(OBSERVATIONS, greedy=True).actions)


def test_value_head_starts_at_zero_and_has_a_gradient() -> None:
    policy = make_policy()
    _, values = policy.response_log_probs(torch.from_numpy(OBSERVATIONS).long(), 3)
    assert (values == 0).all()
    (values - 1).square().sum().backward()
    gradient = policy.value_head.bias.grad
    assert gradient is not None
    assert gradient.item() < 0


def test_save_and_load(tmp_path: Path) -> None:
    policy = make_policy()
    torch.nn.init.normal_(policy.value_head.weight)
    policy.save_pretrained(tmp_path)
    again = LanguagePolicy.from_pretrained(tmp_path)
    assert torch.equal(again.next_log_probs(OBSERVATIONS), policy.next_log_probs(OBSERVATIONS))
    assert torch.equal(again.value_head.weight, policy.value_head.weight)
    plain = AutoModelForCausalLM.from_pretrained(tmp_path)
    assert all(torch.equal(a, b) for a, b in zip(plain.parameters(), policy.model.parameters(), strict=True))


def test_bf16_is_close() -> None:
    policy = make_policy()
    exact = policy.next_log_probs(OBSERVATIONS)
    half = LanguagePolicy(policy.model, TOKENIZER, precision="bf16")
    close = half.next_log_probs(OBSERVATIONS)
    assert close.dtype == torch.float32
    assert 0 < (close - exact).abs().max() < 0.1


def opt(dropout: float = 0.5) -> Any:
    sizes: dict[str, Any] = {"hidden_size": 16, "ffn_dim": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = OPTConfig(vocab_size=7, dropout=dropout, bos_token_id=6, eos_token_id=6, pad_token_id=None, **sizes)
    return OPTForCausalLM(config).train()


def test_training_mode_drops_nothing() -> None:
    policy = LanguagePolicy(opt(), TOKENIZER)
    tokens = torch.from_numpy(OBSERVATIONS).long()
    expected = policy.eval().response_log_probs(tokens, 3)[0]
    assert policy.train().training
    assert torch.equal(policy.response_log_probs(tokens, 3)[0], expected)
    around = torch.nn.ModuleDict({"policy": policy}).train()
    assert torch.equal(policy.response_log_probs(tokens, 3)[0], expected)
    assert around["policy"].training
    assert policy.value_head.training
    assert not any(module.training for module in policy.model.modules())


def test_making_one_draws_nothing_from_the_global_generator() -> None:
    model = make_policy().model
    before = torch.get_rng_state()
    policy = LanguagePolicy(model, TOKENIZER)
    assert torch.equal(torch.get_rng_state(), before)
    assert not any(weights.any() for weights in policy.value_head.parameters())


def test_options_of_sampling_do_not_keep_a_model_from_being_saved(tmp_path: Path) -> None:
    """Files such as Llama-2's have a temperature without `do_sample`, which transformers reads and does not write."""
    policy = make_policy()
    generation: Any = policy.model.generation_config
    generation.temperature = 0.9
    policy.save_pretrained(tmp_path)
    assert generation.do_sample is not True
    saved: Any = LanguagePolicy.from_pretrained(tmp_path).model.generation_config
    assert saved.temperature == 0.9


def test_weights_of_half_precision_are_not_called_fp32() -> None:
    model: Any = make_policy().model.to(torch.bfloat16)  # type: ignore[arg-type]
    sentence = 'GPT2LMHeadModel has weights of bfloat16, which is not precision="fp32"; load it with dtype=torch.float32'
    with pytest.raises(ArgumentError, match=sentence):
        LanguagePolicy(model, TOKENIZER)
    half = LanguagePolicy(model, TOKENIZER, precision="bf16")
    assert (half.next_log_probs(OBSERVATIONS) - make_policy().next_log_probs(OBSERVATIONS)).abs().max() < 0.1
    for precision in ("fp32", "bf16"):
        with pytest.raises(ArgumentError, match=f'has weights of float16, which is not precision="{precision}"'):
            LanguagePolicy(model.half(), TOKENIZER, precision=precision)


def test_refusals(tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match="temperature must be positive"):
        make_policy(temperature=0.0)
    T5ForConditionalGeneration(T5Config(vocab_size=16, d_model=8, d_kv=4, d_ff=8, num_layers=1, num_heads=1)).save_pretrained(tmp_path)
    TOKENIZER.save_pretrained(tmp_path)
    with pytest.raises(ArgumentError, match="encoder-decoder"):
        LanguagePolicy.from_pretrained(tmp_path)
