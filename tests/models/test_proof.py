"""What a model is asked when a policy is made of it: what follows its head, that it is causal, that it is whole."""

from typing import Any, cast

import pytest
import torch
from transformers import (
    BertConfig,
    BertLMHeadModel,
    Cohere2Config,
    Cohere2ForCausalLM,
    CohereConfig,
    CohereForCausalLM,
    Gemma2Config,
    Gemma2ForCausalLM,
    GraniteConfig,
    GraniteForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    LlamaModel,
    MiniCPM3Config,
    MiniCPM3ForCausalLM,
    ReformerConfig,
    ReformerModelWithLMHead,
    T5Config,
    T5ForConditionalGeneration,
    XLNetConfig,
    XLNetLMHeadModel,
)

from textenv.errors import LoadError
from textenv.models.loading import toy_causal_lm, toy_tokenizer
from textenv.models.policy import LanguagePolicy
from textenv.models.proof import AfterHead, mostly_close, ordinary_ids, prove

TOKENIZER = toy_tokenizer("abcdefghijklmnopqrstuvw")  # 23 the end of text
SIZES: dict[str, Any] = {
    "vocab_size": 24,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 1,
    "num_attention_heads": 4,
    "num_key_value_heads": 4,
    "bos_token_id": 23,
    "eos_token_id": 23,
    "pad_token_id": None,
}
LATENT: dict[str, Any] = {
    "q_lora_rank": 8,
    "kv_lora_rank": 8,
    "qk_rope_head_dim": 8,
    "qk_nope_head_dim": 8,
    "v_head_dim": 8,
}


class Both(LlamaForCausalLM):
    """A class that scales and caps, and says so nowhere."""

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Cap what the head gives."""
        output: Any = super().forward(*args, **kwargs)
        output.logits = torch.tanh(output.logits * 0.4 / 3) * 3
        return output


class Shifted(LlamaForCausalLM):
    """A class that does what is no factor and no cap."""

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Add to what the head gives."""
        output: Any = super().forward(*args, **kwargs)
        output.logits = output.logits + torch.linspace(0, 1, output.logits.shape[-1])
        return output


class Backwards(LlamaModel):
    """A trunk that reads its text from its end, too."""

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Add the mean of all states."""
        output: Any = super().forward(*args, **kwargs)
        output.last_hidden_state = output.last_hidden_state + 0.01 * output.last_hidden_state.mean(1, keepdim=True)
        return output


def made(kind: Any, config: Any) -> Any:
    """Make a model in evaluation mode whose every weight matters."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = kind(config)
        with torch.no_grad():
            for weights in model.parameters():
                weights.add_(0.1 * torch.randn_like(weights))
    return model.eval()


SCALED: dict[str, tuple[Any, AfterHead]] = {
    "llama": (lambda: made(LlamaForCausalLM, LlamaConfig(**SIZES)), AfterHead()),
    "gpt2": (lambda: toy_causal_lm(TOKENIZER, 16).eval(), AfterHead()),
    "cohere": (
        lambda: made(CohereForCausalLM, CohereConfig(**SIZES, logit_scale=0.0625)),
        AfterHead(0.0625),
    ),
    "cohere2": (
        lambda: made(Cohere2ForCausalLM, Cohere2Config(**SIZES, logit_scale=3.0)),
        AfterHead(3.0),
    ),
    "granite": (
        lambda: made(GraniteForCausalLM, GraniteConfig(**SIZES, logits_scaling=8.0)),
        AfterHead(1 / 8),
    ),
    "minicpm3": (
        lambda: made(MiniCPM3ForCausalLM, MiniCPM3Config(**SIZES, **LATENT, dim_model_base=8)),
        AfterHead(8 / 32),
    ),
    "gemma2": (
        lambda: made(Gemma2ForCausalLM, Gemma2Config(**SIZES, head_dim=8, final_logit_softcapping=2.0)),
        AfterHead(1.0, 2.0),
    ),
    "both": (lambda: made(Both, LlamaConfig(**SIZES)), AfterHead(0.4, 3.0)),
}


@pytest.mark.parametrize("name", SCALED)
@pytest.mark.filterwarnings("ignore:.*every token is computed from the whole prefix")
def test_what_follows_the_head_is_learnt_from_the_model(name: str) -> None:
    make, expected = SCALED[name]
    model = make()
    after = prove(model)
    assert after.factor == pytest.approx(expected.factor, rel=2e-6)
    assert after.softcap == expected.softcap
    assert after.does_something == (expected != AfterHead())
    policy = LanguagePolicy(model, TOKENIZER)
    with torch.no_grad():
        head: Any = policy.model.get_output_embeddings()
        head.weight.mul_(30)  # what training may come to
        ids = torch.randint(0, 23, (2, 9), generator=torch.Generator().manual_seed(0))
        own = torch.log_softmax(model(input_ids=ids).logits, -1)
        assert float((own.max(-1).values - own.min(-1).values).max()) > 1
        assert torch.allclose(policy.next_log_probs(ids.int().numpy(), cached=False), own[:, -1], atol=1e-5)
        assert torch.allclose(policy.next_log_probs(ids.int().numpy()), own[:, -1], atol=1e-5)
        act = policy.act(ids.int().numpy(), greedy=True)
        assert torch.allclose(act.log_probs, own[:, -1].max(-1).values, atol=1e-5)


def test_what_follows_the_head_has_second_derivatives() -> None:
    after = AfterHead(0.7, 2.0)
    z = torch.randn(3, 4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradgradcheck(after.__call__, (z,))


def encoder_decoder() -> Any:
    return T5ForConditionalGeneration(T5Config(vocab_size=8, d_model=8, d_kv=4, d_ff=8, num_layers=1, num_heads=2)).eval()


def bert() -> Any:
    return made(BertLMHeadModel, BertConfig(**{**SIZES, "pad_token_id": 23}, is_decoder=True))


def backwards() -> Any:
    model = made(LlamaForCausalLM, LlamaConfig(**SIZES))
    model.model.__class__ = Backwards
    return model


def damaged() -> Any:
    model = made(LlamaForCausalLM, LlamaConfig(**SIZES))
    with torch.no_grad():
        model.model.norm.weight[3] = torch.nan
    return model


def reformer() -> Any:
    sizes: dict[str, Any] = {
        "axial_pos_shape": [4, 4],
        "axial_pos_embds_dim": [16, 16],
        "attention_head_size": 8,
    }
    sizes |= {
        "local_attn_chunk_length": 4,
        "feed_forward_size": 16,
        "attn_layers": ["local"],
        "is_decoder": True,
    }
    return made(
        ReformerModelWithLMHead,
        ReformerConfig(vocab_size=24, hidden_size=32, num_attention_heads=4, pad_token_id=23, **sizes),
    )


REFUSED: dict[str, tuple[Any, str]] = {
    "encoder-decoder": (
        encoder_decoder,
        "^T5ForConditionalGeneration is an encoder-decoder; textenv acts with decoder-only models",
    ),
    "transformed": (
        bert,
        "^BertLMHeadModel does more than apply a head to its trunk's hidden states",
    ),
    "shifted": (
        lambda: made(Shifted, LlamaConfig(**SIZES)),
        "^Shifted does more than apply a head",
    ),
    "two-way": (
        lambda: made(
            XLNetLMHeadModel,
            XLNetConfig(vocab_size=24, d_model=32, n_layer=1, n_head=4, d_inner=48),
        ),
        "^XLNetLMHeadModel is not causal: a later token changes",
    ),
    "slightly two-way": (backwards, "^LlamaForCausalLM is not causal"),
    "headless": (
        lambda: made(LlamaModel, LlamaConfig(**SIZES)),
        "^LlamaModel has no head that makes logits",
    ),
    "damaged": (
        damaged,
        "^LlamaForCausalLM computes numbers that are not finite; its weights are damaged",
    ),
    "without gradients": (
        reformer,
        "^ReformerModelWithLMHead does not give hidden states, logits and gradients from token ids alone.*train",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_causal_model_with_a_head_is_refused_by_a_sentence(name: str) -> None:
    make, sentence = REFUSED[name]
    with pytest.raises(LoadError, match=sentence) as caught:
        LanguagePolicy(make(), TOKENIZER)
    assert "\n" not in str(caught.value)


def test_proving_draws_nothing_and_leaves_the_model_as_it_was() -> None:
    model = made(LlamaForCausalLM, LlamaConfig(**SIZES))
    before = {name: value.clone() for name, value in model.state_dict().items()}
    generator = torch.get_rng_state()
    prove(model)
    assert torch.equal(torch.get_rng_state(), generator)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert all(weights.grad is None for weights in model.parameters())
    hooks = [module for module in model.modules() if module._forward_hooks or module._forward_pre_hooks]
    assert not hooks


def test_frozen_weights_and_inference_are_proved_too() -> None:
    model = made(LlamaForCausalLM, LlamaConfig(**SIZES)).requires_grad_(False)
    assert prove(model) == AfterHead()
    with torch.inference_mode():
        assert prove(model) == AfterHead()


def test_ids_that_mean_something_are_passed_by() -> None:
    config = LlamaConfig(**{**SIZES, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": [2, 4], "vocab_size": 8})
    model = cast(Any, LlamaForCausalLM(config))
    assert ordinary_ids(model, 6).tolist() == [3, 5, 6, 7, 3, 5]
    assert ordinary_ids(
        LlamaForCausalLM(LlamaConfig(**{**SIZES, "vocab_size": 1, "bos_token_id": 0, "eos_token_id": 0})),
        2,
    ).tolist() == [
        0,
        0,
    ]


def test_a_token_in_ten_may_go_elsewhere() -> None:
    states = torch.randn(10, 4, generator=torch.Generator().manual_seed(0))
    other = states.clone()
    other[3] += 1
    assert mostly_close(other, states)
    assert not mostly_close(states + 0.01, states)
