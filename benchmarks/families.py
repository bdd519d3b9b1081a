"""Decoder classes of transformers, tiny and random, each against itself: the table of docs/models.md.

Run: python -m benchmarks.families [--only gpt2 llama]

Per class: what `act` played from its cache and what the learner computes of it, both against
`model(ids)` of each text alone; a forward pass in training mode against one in evaluation mode;
examples packed into one row against each alone. All of it takes less than a minute.
"""

import json
import os
import sys
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # before torch: idle threads sleep

import numpy as np
import torch
import tyro
from transformers import AutoConfig, AutoModelForCausalLM
from transformers.utils import logging as transformers_logging

from benchmarks.harness import ROOT, write_between_markers
from textenv import LanguagePolicy
from textenv.errors import TextenvError
from textenv.files import replacing
from textenv.models.loading import toy_tokenizer
from textenv.models.packing import Example, example_log_probs, pack, packed_log_probs, packs
from textenv.reports.run import versions

RESULTS: Final = ROOT / "benchmarks" / "results" / "families.json"
PAGE: Final = ROOT / "docs" / "models.md"
MOST: Final = 1e-5
"""Nats by which any two of the log-probabilities may differ."""

SYMBOLS: Final = "abcdefghijklmnopqrstuvw"
END: Final = len(SYMBOLS)
PROMPT, RESPONSE = 8, 16
WINDOW: Final = 6
"""Tokens that a sliding layer sees: fewer than a text has."""
LENGTHS: Final = ((1, 16), (8, 16), (3, 5), (6, 11))
"""Tokens of each row's prompt and response."""
NOISE: Final = 0.1
"""Standard deviation of what is added to every weight: biases and norms of new models are 0 and 1."""

SIZES: Final = {
    "vocab_size": END + 1,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 64,
    "bos_token_id": END,
    "eos_token_id": END,
    "pad_token_id": None,
}
HEADS: Final = {"head_dim": 8}
ALIKE: Final = {"num_key_value_heads": 4}
GPT: Final = {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 64}
MIXED: Final = {"layer_types": ["sliding_attention", "full_attention"], "sliding_window": WINDOW}
SLIDING: Final = {"sliding_window": WINDOW}
EXPERTS: Final = {
    "num_experts": 4,
    "num_local_experts": 4,
    "n_routed_experts": 4,
    "num_experts_per_tok": 2,
    "moe_intermediate_size": 16,
    "n_group": 1,
    "topk_group": 1,
}
LATENT: Final = {
    **ALIKE,
    "kv_lora_rank": 16,
    "q_lora_rank": 16,
    "qk_rope_head_dim": 8,
    "qk_nope_head_dim": 8,
    "v_head_dim": 8,
}
LINEAR: Final = {
    "layer_types": ["linear_attention", "full_attention"],
    "linear_num_key_heads": 2,
    "linear_num_value_heads": 2,
    "linear_key_head_dim": 8,
    "linear_value_head_dim": 8,
}
STATES: Final = {"state_size": 8, "time_step_rank": 4, "expand": 2, "intermediate_size": 64}
MAMBA: Final = {
    "mamba_n_heads": 4,
    "mamba_d_head": 16,
    "mamba_expand": 2,
    "mamba_n_groups": 1,
    "mamba_d_state": 8,
    "mamba_chunk_size": 8,
}
DECODER: Final = {"is_decoder": True, "pad_token_id": END}
HALVES: Final = {
    "d_model": 32,
    "decoder_layers": 2,
    "decoder_attention_heads": 4,
    "decoder_ffn_dim": 48,
    "is_decoder": True,
    "is_encoder_decoder": False,
    "pad_token_id": END,
}
FAMILIES: Final[Mapping[str, Mapping[str, Any]]] = {
    "gpt2": GPT,
    "gpt_neo": {
        "num_layers": 2,
        "num_heads": 4,
        "attention_types": [[["global", "local"], 1]],
        "window_size": WINDOW,
    },
    "gpt_neox": ALIKE,
    "gpt_neox_japanese": ALIKE,
    "gptj": {**GPT, "rotary_dim": 4},
    "codegen": {**GPT, "rotary_dim": 4},
    "gpt_bigcode": GPT,
    "openai-gpt": GPT,
    "ctrl": {**GPT, "dff": 48},
    "opt": {"dropout": 0.1, "word_embed_proj_dim": 16, "ffn_dim": 48},
    "xglm": {"d_model": 32, "num_layers": 2, "attention_heads": 4, "ffn_dim": 48},
    "biogpt": {},
    "bloom": {"n_layer": 2, "n_head": 4, "hidden_dropout": 0.1, "attention_dropout": 0.1},
    "mpt": {"d_model": 32, "n_layers": 2, "n_heads": 4, "max_seq_len": 64},
    "falcon": {"hidden_dropout": 0.1, "attention_dropout": 0.1, "num_kv_heads": 4},
    "persimmon": {},
    "phi": {},
    "phi3": SLIDING,
    "phimoe": {**EXPERTS, **ALIKE},
    "stablelm": {},
    "starcoder2": {"residual_dropout": 0.1, "sliding_window": None},
    "llama": {},
    "llama4_text": {
        **HEADS,
        **EXPERTS,
        "intermediate_size_mlp": 48,
        "attention_chunk_size": 8,
    },
    "mistral": {**HEADS, **SLIDING},
    "ministral": {**HEADS, **SLIDING},
    "ministral3": HEADS,
    "mixtral": {**EXPERTS, "router_jitter_noise": 0.1},
    "qwen2": {},
    "qwen2_moe": {**EXPERTS, "shared_expert_intermediate_size": 16},
    "qwen3": HEADS,
    "qwen3_moe": {**HEADS, **EXPERTS},
    "qwen3_next": {**HEADS, **EXPERTS, **LINEAR, "shared_expert_intermediate_size": 16},
    "qwen3_5_text": {**HEADS, **LINEAR},
    "smollm3": {"no_rope_layers": [1, 0]},
    "olmo": {},
    "olmo2": {},
    "olmo3": MIXED,
    "olmoe": EXPERTS,
    "olmo_hybrid": {"layer_types": ["linear_attention", "full_attention"]},
    "flex_olmo": EXPERTS,
    "gemma": HEADS,
    "gemma2": {**HEADS, **MIXED, "final_logit_softcapping": 1.0, "query_pre_attn_scalar": 8},
    "gemma3_text": {**HEADS, **MIXED, "query_pre_attn_scalar": 8},
    "gemma3n_text": {
        **HEADS,
        **MIXED,
        "num_kv_shared_layers": 0,
        "vocab_size_per_layer_input": END + 1,
        "hidden_size_per_layer_input": 8,
        "laurel_rank": 4,
        "altup_num_inputs": 2,
        "activation_sparsity_pattern": [0.0, 0.0],
    },
    "vaultgemma": {**HEADS, **MIXED, "query_pre_attn_scalar": 8},
    "recurrent_gemma": {
        "attention_window_size": WINDOW,
        "lru_width": 32,
        "block_types": ["recurrent", "attention"],
        "logits_soft_cap": 1.0,
    },
    "cohere": {"logit_scale": 0.0625},
    "cohere2": {**MIXED, "logit_scale": 0.25},
    "granite": {"logits_scaling": 8.0, "embedding_multiplier": 2.0, "residual_multiplier": 0.5},
    "granitemoe": {**EXPERTS, "logits_scaling": 4.0},
    "granitemoeshared": {**EXPERTS, "logits_scaling": 4.0, "shared_intermediate_size": 16},
    "granitemoehybrid": {
        **EXPERTS,
        **MAMBA,
        "logits_scaling": 4.0,
        "layer_types": ["mamba", "attention"],
        "shared_intermediate_size": 16,
    },
    "hyperclovax": {"logits_scaling": 4.0},
    "minicpm3": {**LATENT, "dim_model_base": 8},
    "glm": HEADS,
    "glm4": HEADS,
    "glm4_moe": {**HEADS, **EXPERTS},
    "glm4_moe_lite": {**EXPERTS, **LATENT, "n_shared_experts": 1},
    "exaone4": {**HEADS, **MIXED},
    "exaone_moe": {**HEADS, **EXPERTS, **MIXED},
    "deepseek_v2": {**EXPERTS, **LATENT, "first_k_dense_replace": 1},
    "deepseek_v3": {**EXPERTS, **LATENT, "first_k_dense_replace": 1, "n_shared_experts": 1},
    "gpt_oss": {**HEADS, **EXPERTS, **MIXED},
    "nemotron": HEADS,
    "arcee": {},
    "apertus": {},
    "helium": HEADS,
    "ernie4_5": {},
    "ernie4_5_moe": EXPERTS,
    "seed_oss": HEADS,
    "hunyuan_v1_dense": HEADS,
    "hunyuan_v1_moe": {**HEADS, **EXPERTS, "moe_topk": 2},
    "dots1": {**HEADS, **EXPERTS, "n_shared_experts": 1},
    "nanochat": ALIKE,
    "bitnet": {},
    "diffllama": {},
    "doge": {},
    "jetmoe": {**EXPERTS, "kv_channels": 8},
    "jais2": {},
    "solar_open": {**HEADS, **EXPERTS},
    "minimax_m2": {**HEADS, **EXPERTS},
    "cwm": {**HEADS, **MIXED},
    "afmoe": {**HEADS, **EXPERTS, **MIXED},
    "aria_text": {
        **HEADS,
        **EXPERTS,
        "moe_num_experts": 4,
        "moe_topk": 2,
        "moe_num_shared_experts": 1,
    },
    "dbrx": {
        "d_model": 32,
        "n_heads": 4,
        "n_layers": 2,
        "max_seq_len": 64,
        "attn_config": {"kv_n_heads": 2, "clip_qkv": 8, "rope_theta": 1e4},
        "ffn_config": {
            "ffn_hidden_size": 16,
            "moe_num_experts": 4,
            "moe_top_k": 2,
            "hidden_size": 32,
        },
    },
    "lfm2": {"layer_types": ["conv", "full_attention"]},
    "lfm2_moe": {**EXPERTS, "layer_types": ["conv", "full_attention"], "num_dense_layers": 1},
    "mamba": STATES,
    "mamba2": {
        "state_size": 8,
        "num_heads": 8,
        "head_dim": 8,
        "expand": 2,
        "n_groups": 1,
        "chunk_size": 8,
    },
    "falcon_mamba": STATES,
    "falcon_h1": {**HEADS, **MAMBA, "mamba_d_ssm": 64, "lm_head_multiplier": 0.5},
    "bamba": {**MAMBA, "attn_layer_indices": [1]},
    "jamba": {
        **EXPERTS,
        "attn_layer_period": 2,
        "attn_layer_offset": 1,
        "expert_layer_period": 2,
        "expert_layer_offset": 1,
        "mamba_d_state": 8,
        "mamba_dt_rank": 4,
        "mamba_expand": 2,
        "use_mamba_kernels": False,
    },
    "zamba2": {
        **ALIKE,
        "layers_block_type": ["mamba", "hybrid"],
        "hybrid_layer_ids": [1],
        "mamba_d_state": 8,
        "n_mamba_heads": 4,
        "mamba_headdim": 16,
        "mamba_expand": 2,
        "mamba_ngroups": 1,
        "chunk_size": 8,
        "num_mem_blocks": 1,
        "attention_head_dim": 16,
    },
    "nemotron_h": {
        **HEADS,
        **EXPERTS,
        "layers_block_type": ["mamba", "attention"],
        "mamba_num_heads": 4,
        "mamba_head_dim": 16,
        "n_groups": 1,
        "ssm_state_size": 8,
        "chunk_size": 8,
        "expand": 2,
    },
    "minimax": {
        **HEADS,
        **EXPERTS,
        "layer_types": ["linear_attention", "full_attention"],
        "block_size": 8,
    },
    "rwkv": {"attention_hidden_size": 32, "context_length": 64},
    "xlstm": {
        "num_heads": 4,
        "num_blocks": 2,
        "embedding_dim": 32,
        "output_logit_soft_cap": 2.0,
        "chunk_size": 8,
    },
    "bart": HALVES,
    "trocr": HALVES,
    "blenderbot-small": HALVES,
    "bert-generation": {"is_decoder": True},
    "bert": DECODER,
    "roberta": DECODER,
    "electra": {**DECODER, "embedding_size": 16},
    "modernbert-decoder": {
        **DECODER,
        "local_attention": WINDOW,
        "layer_types": ["sliding_attention", "full_attention"],
        "cls_token_id": 0,
        "sep_token_id": 0,
    },
    "xlnet": {
        "d_model": 32,
        "n_layer": 2,
        "n_head": 4,
        "d_inner": 48,
        "max_position_embeddings": ...,
    },
    "xlm": {"emb_dim": 32, "n_layers": 2, "n_heads": 4, "pad_token_id": END},
    "cpmant": {"dim_head": 8, "dim_ff": 48},
    "reformer": {
        **DECODER,
        "attn_layers": ["local", "lsh"],
        "axial_pos_shape": [8, 8],
        "axial_pos_embds_dim": [16, 16],
        "num_buckets": 2,
        "local_attn_chunk_length": 8,
        "lsh_attn_chunk_length": 8,
        "attention_head_size": 8,
        "feed_forward_size": 48,
    },
}
"""Sizes of each family that differ; `...` leaves one out."""


def make_model(family: str) -> Any:
    """Make a tiny model of a class with seeded weights."""
    sizes = {name: value for name, value in {**SIZES, **FAMILIES[family]}.items() if value is not ...}
    config = AutoConfig.for_model(family, **sizes)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
        with torch.no_grad():
            for weights in model.parameters():
                weights.add_(NOISE * torch.randn_like(weights))
    return model


def measure(model: Any) -> dict[str, Any]:
    """Compare the log-probabilities of a model that are played, learnt and its own.

    Returns:
        `class`; `refused`, the sentence that refuses it, or the largest differences in nats per
        token by name, `packed` None where examples cannot share a row, and `slow`, why every token
        is computed from the whole prefix, None where it is not.
    """
    name = type(model).__name__
    try:
        policy = LanguagePolicy(model, toy_tokenizer(SYMBOLS))
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            tokens, played = play(policy)
    except TextenvError as error:
        return {"class": name, "refused": str(error)}
    mask = tokens[:, PROMPT:] >= 0  # (N, T)
    with torch.no_grad():
        evaluated = policy.eval().response_log_probs(tokens, PROMPT)[0]
    learnt = policy.train().response_log_probs(tokens, PROMPT)[0]
    learnt.sum().backward()  # type: ignore[no-untyped-call]
    gradients = [weights.grad for weights in policy.parameters() if weights.grad is not None]
    if not all(gradient.isfinite().all() for gradient in gradients):
        raise ArithmeticError(f"{name} has a gradient that is not finite.")
    own = torch.zeros_like(played).masked_scatter(mask, of_the_model(model, tokens))
    return {
        "class": name,
        "played": largest(played, own),
        "learnt": largest(learnt.detach(), own),
        "training": largest(learnt.detach(), evaluated),
        "packed": packed_difference(policy) if packs(policy) else None,
        "slow": why_slow([str(warning.message) for warning in caught]),
    }


def why_slow(said: Sequence[str]) -> str | None:
    """Take the reason out of the warning that every token is computed from the whole prefix.

    >>> why_slow(["RwkvModel keeps no keys; every token is computed from the whole prefix, slowly."])
    'keeps no keys'
    """
    for sentence in said:
        reason, warned, _ = sentence.partition("; every token is computed from the whole prefix")
        if warned:
            return reason.partition(" ")[2]
    return None


def play(policy: LanguagePolicy) -> tuple[torch.Tensor, torch.Tensor]:
    """Draw texts of unequal length, whose rows end one after another.

    Returns:
        Tokens (N, P+T) and log-probabilities (N, T).
    """
    draws, generator = np.random.default_rng(0), torch.Generator().manual_seed(0)
    observations = np.full((len(LENGTHS), PROMPT + RESPONSE), -1, dtype=np.int32)
    for row, (prompt, _) in enumerate(LENGTHS):
        observations[row, PROMPT - prompt : PROMPT] = draws.integers(0, END, prompt)
    finished, log_probs = observations.copy(), torch.zeros(len(LENGTHS), RESPONSE)
    for step in range(RESPONSE):
        act = policy.act(observations, generator=generator)
        for row, (_, response) in enumerate(LENGTHS):
            if step < response:
                observations[row, PROMPT + step] = act.actions[row]
                finished[row], log_probs[row, step] = observations[row], act.log_probs[row]
            else:
                observations[row] = -1
    return torch.from_numpy(finished).long(), log_probs


@torch.no_grad()
def of_the_model(model: Any, tokens: torch.Tensor) -> torch.Tensor:
    """Compute log-probabilities of the response tokens by the model itself, text by text: (M,)."""
    found = []
    for row in tokens:
        ids = row[row >= 0]
        prompt = int((row[:PROMPT] >= 0).sum())
        logits = model(input_ids=ids[None], attention_mask=torch.ones_like(ids[None]), use_cache=False).logits[0]  # (L, V)
        log_probs = torch.log_softmax(logits, -1)[:-1].gather(-1, ids[1:, None])[:, 0]
        found.append(log_probs[prompt - 1 :])
    return torch.cat(found)


@torch.no_grad()
def packed_difference(policy: LanguagePolicy) -> float:
    """Compare sums of log-probabilities of examples that share rows with those of each alone."""
    draws = np.random.default_rng(1)
    examples = [Example(*(draws.integers(0, END, n).tolist() for n in lengths)) for lengths in LENGTHS[:3]]
    packed = pack(examples, SIZES["max_position_embeddings"])
    assert len(packed.tokens) == 1
    log_probs, owner = packed_log_probs(policy, packed)
    together = torch.zeros(len(examples)).index_add(0, owner, log_probs)
    return float(largest(together, example_log_probs(policy, examples, together=False)) / RESPONSE)


def largest(one: torch.Tensor, other: torch.Tensor) -> float:
    """Largest difference, NaN if there is one."""
    return float((one - other).abs().max())


def missed(results: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Return the families of which log-probabilities differ by more than `MOST`, or by NaN."""
    return [
        family
        for family, row in results.items()
        if "refused" not in row and not all(row[name] is None or row[name] <= MOST for name in ("played", "learnt", "training", "packed"))
    ]


def markdown(results: Mapping[str, Mapping[str, Any]]) -> str:
    """Write the table: families that read a token per step, whole prefixes, and refused ones."""
    lines = [
        "| class | played | learnt | training | packed | to play a token, it reads |",
        "|---|---|---|---|---|---|",
    ]
    for row in sorted(results.values(), key=lambda row: ("refused" in row, bool(row.get("slow")))):
        if "refused" in row:
            cells = ["", "", "", "", f"refused: {row['refused']}"]
        else:
            reads = f"the whole text: {row['slow']}" if row["slow"] else "the token"
            cells = [
                *(difference(row[name]) for name in ("played", "learnt", "training", "packed")),
                reads,
            ]
        lines.append(f"| `{row['class']}` | {' | '.join(cells)} |")
    return "\n".join(lines)


def difference(nats: float | None) -> str:
    """Write a difference.

    >>> difference(4.8e-07), difference(0.0), difference(None)
    ('5e-07', '0', '')
    """
    return "" if nats is None else f"{nats:.0e}" if nats else "0"


def main(only: tuple[str, ...] = tuple(FAMILIES), out: Path = RESULTS, page: Path = PAGE) -> None:
    """Measure some families, and write results and page; the others keep what they have."""
    transformers_logging.set_verbosity_error()  # of configurations with options of other families
    results = json.loads(out.read_text(encoding="utf-8"))["families"] if out.is_file() else {}
    for family in only:
        results[family] = measure(make_model(family))
        print(family, results[family], flush=True)
    results = {family: results[family] for family in FAMILIES if family in results}
    with replacing(out) as file:
        file.write_text(
            json.dumps({"versions": versions(), "families": results}, indent=1) + "\n",
            encoding="utf-8",
        )
    write_between_markers(page, markdown(results))
    if wrong := missed(results):
        sys.exit(f"More than {MOST:g} nats apart: {', '.join(wrong)}.")


if __name__ == "__main__":
    tyro.cli(main)
