"""What is measured: models of random weights, prompts of one length, and environments over them.

The end of the text has a fixed probability in every state, written into the weights, so that every library that runs
the model draws lengths from the same distribution, with no mask or logits processor: never (equal lengths) or geometric.
"""

import functools
import math
from dataclasses import dataclass
from typing import Any, Final, Literal, cast

import gymnasium
import torch
from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerBase

import textenv
from textenv.agents import PPO, PPOConfig
from textenv.models.hub import ASSETS
from textenv.models.loading import load_tokenizer

Precision = Literal["fp32", "bf16"]
Advantage = Literal["leave_one_out", "critic"]

KL_COEF: Final = 0.05
LEARNING_RATE: Final = 1e-6  # so small that the model of the last round is that of the first


@dataclass(frozen=True, kw_only=True)
class Workload:
    """Shape of a model and of the episodes it plays."""

    layers: int = 4
    width: int = 256
    heads: int = 4
    vocabulary: int = 4096
    """V; 4,096 takes the tokenizer of `tiny-en`, other numbers one of numbered words."""
    prompt: int = 16
    """Prompt tokens, the same in all prompts."""
    new: int = 48
    """Most new tokens."""
    episodes: int = 64
    """An iteration."""
    epochs: int = 4
    """Of the learner, one optimiser step each."""
    group: int = 8
    """Episodes of a prompt, where there are groups."""
    end: float = 0.0
    """Probability of the end of the text in every state."""


TINY: Final = Workload()
GPT2_SMALL: Final = Workload(layers=12, width=768, heads=12, vocabulary=50_257, new=16, episodes=128)
TOY: Final = Workload(layers=1, width=32, heads=2, new=6, episodes=8, epochs=2, group=4)


@functools.cache
def tokenizer(vocabulary: int) -> PreTrainedTokenizerBase:
    """The tokenizer of `tiny-en`, or one whose tokens are the words w0, w1, …, and the end of the text."""
    if vocabulary == 4096:
        return load_tokenizer("tiny-en")
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    end = "<|endoftext|>"
    words = {f"w{index}": index for index in range(vocabulary - 1)} | {end: vocabulary - 1}
    plain = Tokenizer(models.WordLevel(words, unk_token=end))
    plain.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    made = PreTrainedTokenizerFast(tokenizer_object=plain, eos_token=end, bos_token=end, pad_token=end, padding_side="left")
    return cast(PreTrainedTokenizerBase, made)


def prompts(work: Workload, n: int = 64) -> list[str]:
    """Texts of exactly `work.prompt` tokens."""
    encoder = tokenizer(work.vocabulary)
    openings = (ASSETS / "prompts" / "film-openings.txt").read_text(encoding="utf-8").split()
    source = openings if work.vocabulary == 4096 else [f"w{index}" for index in range(n * work.prompt)]
    found: list[str] = []
    for start in range(len(source)):
        for words in range(1, work.prompt + 1):
            text = " ".join(source[start : start + words])
            if len(encoder(text)["input_ids"]) == work.prompt:
                found.append(text)
                break
        if len(found) == n:
            return found
    raise ValueError(f"Only {len(found)} prompts of {work.prompt} tokens could be made, {n} are needed.")


def prompt_ids(work: Workload, n: int) -> torch.Tensor:
    """The prompts as tokens, repeated as often as needed: (n, prompt)."""
    texts = prompts(work)
    encoded = tokenizer(work.vocabulary)(texts)["input_ids"]
    return torch.tensor(encoded).repeat(math.ceil(n / len(texts)), 1)[:n]


def causal_lm(work: Workload, seed: int = 0) -> Any:
    """A GPT-2 of random weights that ends its texts with probability `work.end` in every state.

    The last layer norm puts a 1 into the first hidden unit whatever the input, and only the end of the text reads it.
    """
    end = cast(int, tokenizer(work.vocabulary).eos_token_id)
    config: Any = GPT2Config(
        vocab_size=work.vocabulary,
        n_positions=work.prompt + work.new,
        n_embd=work.width,
        n_layer=work.layers,
        n_head=work.heads,
        activation_function="gelu_pytorch_tanh",
        resid_pdrop=0.0,
        embd_pdrop=0.0,
        attn_pdrop=0.0,
        bos_token_id=end,
        eos_token_id=end,
        pad_token_id=tokenizer(work.vocabulary).pad_token_id,
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model: Any = GPT2LMHeadModel(config)
    spread = config.initializer_range**2 * (work.width - 1)  # variance of a logit of unit hidden states
    others = math.log(work.vocabulary - 1) + spread / 2  # log of the expected sum of the other tokens' exponentials
    with torch.no_grad():
        norm, embedding = model.transformer.ln_f, model.transformer.wte.weight
        norm.weight[0], norm.bias[0] = 0.0, 1.0
        embedding[:, 0], embedding[end] = 0.0, 0.0
        embedding[end, 0] = others + math.log(work.end / (1 - work.end)) if work.end else -100.0
    return model.eval()


def constant_reward(completions: list[str], **_: Any) -> list[float]:
    """The cheapest reward; takes what TRL passes too."""
    return [1.0] * len(completions)


def environments(work: Workload, rows: int, **fields: Any) -> Any:
    """textenv's vector env over the workload, with a constant reward."""
    textenv.register(
        "Benchmark-v0",
        prompts=prompts(work),
        reward=constant_reward,
        tokenizer=tokenizer(work.vocabulary),
        max_prompt_tokens=work.prompt,
        max_new_tokens=work.new,
        model=None,
    )
    return gymnasium.make_vec("Benchmark-v0", num_envs=rows, **fields)


def language_policy(work: Workload, precision: Precision = "fp32") -> textenv.LanguagePolicy:
    """textenv's policy over the workload's model."""
    return textenv.LanguagePolicy(causal_lm(work), tokenizer(work.vocabulary), precision=precision)


def ppo(work: Workload, advantage: Advantage, precision: Precision = "fp32", **fields: Any) -> PPO:
    """textenv's agent with the settings that its peers are given too; the fields are the environment's."""
    config = PPOConfig(
        episodes_per_update=work.episodes,
        advantage=advantage,
        group_size=work.group,
        epochs=work.epochs,
        minibatch_size=work.episodes,
        learning_rate=LEARNING_RATE,
        linear_decay=False,
        kl_coef=KL_COEF,
    )
    return PPO(language_policy(work, precision), environments(work, work.episodes, **fields), config)
