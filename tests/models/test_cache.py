"""The cache gives what a full forward pass gives, whatever is reset when."""

import copy
import pickle
import warnings
from collections.abc import Callable
from typing import Any, cast

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from transformers import (
    AutoModelForCausalLM,
    Gemma3TextConfig,
    GPT2Config,
    GPTNeoConfig,
    LlamaConfig,
    MistralConfig,
    OPTConfig,
    Phi3Config,
    PreTrainedModel,
    Qwen2Config,
    RwkvConfig,
)

from textenv.errors import LoadError
from textenv.models.loading import toy_tokenizer
from textenv.models.policy import LanguagePolicy

SYMBOLS = "abcdefghijklmnopqrstuvw"
PROMPT, RESPONSE = 6, 10
SMALL: dict[str, Any] = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 64,
    "bos_token_id": 0,
    "eos_token_id": 23,
    "pad_token_id": None,
}
CONFIGS = {
    "gpt2": GPT2Config(n_embd=32, n_layer=2, n_head=4, n_positions=64, vocab_size=26, bos_token_id=0, eos_token_id=23),
    "llama": LlamaConfig(vocab_size=26, **SMALL),
    "qwen2": Qwen2Config(vocab_size=26, **SMALL),
    # A window narrower than the text, so that a splice into it would be wrong.
    "mistral": MistralConfig(vocab_size=26, sliding_window=4, **SMALL),
    "gemma3": Gemma3TextConfig(vocab_size=26, sliding_window=4, head_dim=8, layer_types=["sliding_attention", "full_attention"], **SMALL),
}
SPLICED = ("gpt2", "llama", "qwen2")


def make_policy(name: str) -> LanguagePolicy:
    torch.manual_seed(0)
    model: PreTrainedModel = AutoModelForCausalLM.from_config(CONFIGS[name])
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return LanguagePolicy(model, toy_tokenizer(SYMBOLS))


class Rows:
    """Rows of observations that grow by a token, start again or go, at random."""

    def __init__(self, n: int, seed: int) -> None:
        self.generator = np.random.default_rng(seed)
        self.observations = np.full((n, PROMPT + RESPONSE), -1, dtype=np.int32)
        self.length = np.zeros(n, dtype=np.int64)
        for row in range(n):
            self.start(row)

    def start(self, row: int) -> None:
        self.observations[row] = -1
        size = self.generator.integers(1, PROMPT + 1)
        self.observations[row, PROMPT - size : PROMPT] = self.generator.integers(0, 23, size)
        self.length[row] = 0

    def move(self, tokens: np.ndarray[Any, Any]) -> None:
        for row in range(len(self.length)):
            choice = self.generator.random()
            if choice < 0.1:
                self.observations[row] = -1  # parked
            elif choice < 0.25 or self.length[row] == RESPONSE or (self.observations[row] < 0).all():
                self.start(row)
            elif choice < 0.9:  # else it stands still
                self.observations[row, PROMPT + self.length[row]] = tokens[row]
                self.length[row] += 1


@pytest.mark.parametrize("name", CONFIGS)
def test_equals_full_forward_under_random_resets(name: str) -> None:
    policy, rows = make_policy(name), Rows(7, seed=1)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for _ in range(60):
            live = (rows.observations >= 0).any(1)
            if live.any():
                cached = policy.next_log_probs(rows.observations)[torch.from_numpy(live)]
                with torch.no_grad():
                    full = policy.next_log_probs(rows.observations[live], cached=False)
                assert torch.allclose(cached.exp(), full.exp(), rtol=0, atol=2e-6)
            rows.move(policy.act(rows.observations).actions if live.any() else np.zeros(7, dtype=np.int64))
    told = [warning for warning in caught if "cannot be spliced" in str(warning.message)]
    assert len(told) == (0 if name in SPLICED else 1)


@pytest.mark.parametrize("name", SPLICED)
def test_forwards_one_token_and_stays_narrow(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = [(5, 1)] if name != "gpt2" else []  # GPT-2's steps pass its class by
    policy, rows = make_policy(name), Rows(5, seed=2)
    sizes: list[tuple[int, ...]] = []
    forward = policy.trunk.forward

    def spy(*args: Any, **kwargs: Any) -> Any:
        sizes.append(tuple(kwargs["input_ids"].shape))
        return forward(*args, **kwargs)

    monkeypatch.setattr(policy.trunk, "forward", spy)
    for step in range(RESPONSE):
        policy.next_log_probs(rows.observations)
        if step:
            assert sizes == whole
        sizes.clear()
        rows.observations[:, PROMPT + step] = 3
    rows.start(2)
    policy.next_log_probs(rows.observations)
    assert [size[0] for size in sizes] == ([4, 1] if whole else [1])  # only the new row is read from its start
    for _ in range(100):
        rows.move(np.full(5, 4))
        if (rows.observations >= 0).any():
            policy.next_log_probs(rows.observations)
        assert policy.cache.columns <= PROMPT + RESPONSE


def test_same_observations_are_not_forwarded_again(monkeypatch: pytest.MonkeyPatch) -> None:
    policy, rows = make_policy("gpt2"), Rows(4, seed=3)
    first = policy.next_log_probs(rows.observations)
    monkeypatch.setattr(policy.trunk, "forward", lambda **_: pytest.fail("the trunk ran again"))
    assert torch.equal(policy.next_log_probs(rows.observations), first)


@pytest.mark.parametrize("kind", ["optimiser", "fused optimiser", "load", "in place"])
def test_training_between_two_acts_of_one_episode(kind: str) -> None:
    policy, rows = make_policy("gpt2"), Rows(4, seed=4)
    other = {name: value + 0.05 for name, value in make_policy("gpt2").model.state_dict().items()}
    policy.next_log_probs(rows.observations)
    if kind == "load":
        policy.model.load_state_dict(other)
    elif kind == "in place":
        with torch.no_grad():
            policy.model.get_parameter("lm_head.weight").mul_(0.5)
            policy.model.get_parameter("transformer.h.0.mlp.c_fc.weight").add_(0.1)
    else:
        optimiser = torch.optim.AdamW(policy.parameters(), lr=0.05, fused=kind.startswith("fused"))
        policy.next_log_probs(rows.observations, cached=False)[:, 0].sum().backward()
        optimiser.step()
    rows.observations[:, PROMPT] = 7
    cached = policy.next_log_probs(rows.observations)
    with torch.no_grad():
        full = policy.next_log_probs(rows.observations, cached=False)
    assert torch.allclose(cached, full, rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", ["gpt2", "llama"])
def test_another_last_token_is_read_in_its_place(name: str) -> None:
    policy, rows = make_policy(name), Rows(4, seed=6)
    policy.next_log_probs(rows.observations)
    rows.observations[:, PROMPT] = 7
    policy.next_log_probs(rows.observations)
    rows.observations[:2, PROMPT] = 8
    with torch.no_grad():
        full = policy.next_log_probs(rows.observations, cached=False)
    assert torch.allclose(policy.next_log_probs(rows.observations), full, rtol=0, atol=1e-5)


def test_training_mode_forgets() -> None:
    policy, rows = make_policy("gpt2"), Rows(4, seed=5)
    policy.next_log_probs(rows.observations)
    with torch.no_grad():
        for parameter in policy.model.parameters():  # by hand, so that no optimiser tells of it
            parameter.mul_(1.1)
    policy.train()
    policy.eval()
    with torch.no_grad():
        full = policy.next_log_probs(rows.observations, cached=False)
    assert torch.allclose(policy.next_log_probs(rows.observations), full, rtol=0, atol=1e-5)


@pytest.mark.parametrize("fused", [False, True])
def test_only_the_training_of_its_own_weights_forgets(fused: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    policy, other, rows = make_policy("gpt2"), torch.nn.Linear(2, 1), Rows(4, seed=0)
    read: list[int] = []
    whole = policy.cache._read_whole

    def counted(observations: NDArray[np.int32], fresh: NDArray[np.int64]) -> None:
        read.append(len(fresh))
        whole(observations, fresh)

    monkeypatch.setattr(policy.cache, "_read_whole", counted)

    def train(*weights: torch.Tensor) -> list[int]:
        for weight in weights:
            weight.grad = torch.ones_like(weight)
        torch.optim.AdamW(weights, lr=0.1, fused=fused).step()
        read.clear()
        found = policy.next_log_probs(rows.observations)
        with torch.no_grad():
            torch.testing.assert_close(found, policy.next_log_probs(rows.observations, cached=False), atol=1e-5, rtol=0)
        return read

    assert train(other.weight) == [4]
    assert train(other.weight) == []
    assert train(other.weight, next(policy.trunk.parameters())) == [4]
    head = torch.nn.Linear(policy.value_head.in_features, len(policy.banned), bias=False)
    policy.model.set_output_embeddings(head)
    assert train(head.weight) == []


def test_nothing_to_read_needs_no_forward() -> None:
    policy = make_policy("gpt2")
    act = policy.act(np.full((3, 16), -1, dtype=np.int32))
    assert act.actions.tolist() == [0, 0, 0]


@pytest.mark.parametrize("again", [copy.deepcopy, lambda policy: pickle.loads(pickle.dumps(policy))], ids=["copied", "pickled"])
@pytest.mark.parametrize("name", SPLICED)
def test_a_copy_reads_its_texts_anew(name: str, again: Callable[[LanguagePolicy], LanguagePolicy]) -> None:
    policy, rows = make_policy(name), Rows(4, seed=0)
    policy.act(rows.observations)
    twin = again(policy)
    assert twin.cache.trunk is twin.trunk
    assert twin.cache.columns == 0
    with torch.no_grad():
        expected = policy.next_log_probs(rows.observations, cached=False)
        torch.testing.assert_close(twin.next_log_probs(rows.observations), expected, atol=1e-5, rtol=0)
        cast(torch.nn.Linear, twin.model.get_output_embeddings()).weight.zero_()
    torch.testing.assert_close(policy.next_log_probs(rows.observations), expected, atol=1e-5, rtol=0)


ENDS: dict[str, Any] = {"vocab_size": 26, "bos_token_id": 0, "eos_token_id": 23}
GPT_NEO: dict[str, Any] = {"hidden_size": 32, "num_layers": 2, "num_heads": 4, "attention_types": [[["global", "local"], 1]]}
RWKV: dict[str, Any] = {"hidden_size": 32, "attention_hidden_size": 32, "num_hidden_layers": 2, "context_length": 64}


def policy_of(config: Any) -> LanguagePolicy:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model: PreTrainedModel = AutoModelForCausalLM.from_config(config)
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(0.1 * torch.randn_like(parameter))
    return LanguagePolicy(model, toy_tokenizer(SYMBOLS))


def play(policy: LanguagePolicy, width: int, lengths: tuple[int, ...]) -> tuple[int, list[str]]:
    """Let texts grow to some lengths in observations of a width, each step held against whole texts.

    Returns:
        Tokens that the trunk read, and warnings.
    """
    tokens = np.random.default_rng(0).integers(0, 23, (len(lengths), width)).astype(np.int32)
    read = 0

    def count(module: Any, args: Any, kwargs: dict[str, Any]) -> None:
        nonlocal read
        read += kwargs["input_ids"].numel()
        assert kwargs["use_cache"] == (kwargs.get("past_key_values") is not None)

    policy.trunk.register_forward_pre_hook(count, with_kwargs=True)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        policy.cache.last_hidden(tokens[:, :width] * 0)  # what is asked once
        read = 0
        policy.cache.clear()
        for step in range(3):
            observations = tokens.copy()
            for row, length in enumerate(lengths):
                observations[row, length - 2 + step :] = -1
            cached = policy.next_log_probs(observations)
            counted = read
            with torch.no_grad():
                assert torch.allclose(cached, policy.next_log_probs(observations, cached=False), atol=1e-5)
            read = counted
    return read, [str(warning.message) for warning in caught]


@pytest.mark.parametrize(("window", "slow"), [(6, True), (16, False)])
def test_a_window_counted_from_the_last_column_takes_the_slow_path(window: int, slow: bool) -> None:
    policy = policy_of(GPTNeoConfig(**ENDS, **GPT_NEO, max_position_embeddings=64, window_size=window))
    read, said = play(policy, 16, (16, 9, 4))
    assert read == (3 * (14 + 15 + 16) if slow else 3 * (14 + 1 + 1))
    assert len(said) == slow
    assert all("GPTNeoModel reads a token after texts of different lengths, up to 16 tokens, otherwise" in sentence for sentence in said)


def test_a_width_is_tried_once_and_for_copies_too() -> None:
    policy = policy_of(GPTNeoConfig(**ENDS, **GPT_NEO, max_position_embeddings=64, window_size=6))
    assert play(policy, 6, (6, 4, 3))[1] == []  # no text is longer than the window
    assert len(play(policy, 12, (12, 4, 3))[1]) == 1
    twin = copy.deepcopy(policy)
    assert play(twin, 12, (12, 4, 3))[1] == []  # said once


@pytest.mark.parametrize("width", [16, 3, 2])
def test_a_model_without_keys_and_values_reads_whole_texts(width: int) -> None:
    policy = policy_of(RwkvConfig(**ENDS, **RWKV))
    lengths = (width, max(3, width // 2))
    said = play(policy, width, lengths)[1] if width > 2 else []
    assert len(said) == (width > 2)
    assert all("RwkvModel leaves the cache of keys and values empty" in sentence for sentence in said)
    act = policy.act(np.array([[1, -1], [2, -1]], dtype=np.int32))
    assert act.log_probs.isfinite().all()


@pytest.mark.parametrize("switch", [12, 9, 8, 5, 4])
def test_what_changes_with_the_longest_text_is_refused(switch: int) -> None:
    rope = {"rope_type": "longrope", "rope_theta": 1e4, "short_factor": [1.0] * 4, "long_factor": [3.0] * 4}
    sizes = {**SMALL, "vocab_size": 26, "sliding_window": None}
    places: dict[str, Any] = {"original_max_position_embeddings": switch}
    config = Phi3Config(**sizes, rope_parameters={**rope, **places}, **places)
    policy = policy_of(config)
    assert play(policy, switch, (switch, 4, 3))[1] == []
    with pytest.raises(LoadError, match="Phi3Model reads a text of 4 tokens otherwise beside one of 16, so that what it plays cannot"):
        policy.act(np.ones((2, 16), dtype=np.int32))


def test_weights_of_bfloat16_are_played_by_steps(recwarn: pytest.WarningsRecorder) -> None:
    plain = make_policy("llama")
    model: Any = plain.model
    policy = LanguagePolicy(model.to(torch.bfloat16), plain.tokenizer, precision="bf16")
    policy.act(np.array([[-1, 1, 2, -1], [1, 2, 3, -1]], dtype=np.int32))
    assert policy.cache.columns == 0  # the texts were read whole
    policy.act(np.array([[-1, 1, 2, 4], [1, 2, 3, 4]], dtype=np.int32))
    assert policy.cache.columns > 0
    assert not [warning for warning in recwarn if "whole prefix" in str(warning.message)]


def test_states_may_be_narrower_than_the_model() -> None:
    sizes: dict[str, Any] = {"hidden_size": 32, "word_embed_proj_dim": 16, "ffn_dim": 48, "num_hidden_layers": 2, "num_attention_heads": 4}
    policy = policy_of(OPTConfig(**ENDS, **sizes, pad_token_id=None))
    assert policy.value_head.in_features == 16
    assert policy.act(np.full((3, 16), -1, dtype=np.int32)).values.tolist() == [0, 0, 0]
    assert play(policy, 16, (16, 9, 4))[1] == []


def test_what_is_tried_draws_nothing() -> None:
    policy, generator = make_policy("llama"), torch.get_rng_state()
    policy.act(Rows(4, seed=0).observations, greedy=True)
    assert torch.equal(torch.get_rng_state(), generator)
