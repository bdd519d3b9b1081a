"""Tokenizers and tiny models of the kinds that people bring, made without a network.

Each kind is that of a family on the Hugging Face hub in what textenv depends on: how a text begins, which
special tokens there are, what ends a turn, and how words after a prompt are encoded.
"""

import functools
import json
from pathlib import Path
from typing import Any, NamedTuple

import torch
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

TEXTS = [
    "The film was good. The cat sat on the mat, and it was the best film.",
    "I saw it. A user asks: is it good? An assistant answers: yes, it was.",
    "[INST] Was it good? [/INST] It was the worst film of the year!\nuser\nassistant\nmodel\n",
] * 5


class Kind(NamedTuple):
    """What a family's tokenizer and model are like."""

    style: str
    """Of the words: "prepend" and "first" put a space before a text, "bytes" and "plain" do not."""
    specials: list[str]
    """In the order of their ids, which come before all others, but with `late` after them."""
    begin: str | None
    """Put before every text."""
    eos: str
    ends: list[str] | None
    """Of `generation_config.eos_token_id`; None leaves what the model's class has by default."""
    answer_end: str
    """What the model writes after an answer."""
    template: str | None = None
    late: bool = False
    named: tuple[str, ...] = ()
    """Special tokens that the tokenizer lists by name beside those with a role."""


GEMMA = (
    "{{ bos_token }}{% for m in messages %}<start_of_turn>{{ 'model' if m['role'] == 'assistant' else 'user' }}\n"
    "{{ m['content'] }}<end_of_turn>\n{% endfor %}{% if add_generation_prompt %}<start_of_turn>model\n{% endif %}"
)
PHI = (
    "{% for m in messages %}<|{{ m['role'] }}|>\n{{ m['content'] }}<|end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>\n{% else %}{{ eos_token }}{% endif %}"
)
LLAMA_3 = (
    "{{ bos_token }}{% for m in messages %}<|start_header_id|>{{ m['role'] }}<|end_header_id|>\n\n{{ m['content'] }}"
    "<|eot_id|>{% endfor %}{% if add_generation_prompt %}<|start_header_id|>assistant<|end_header_id|>\n\n{% endif %}"
)
CHATML = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)

KINDS = {
    "gpt-2": Kind("bytes", ["<|endoftext|>"], None, "<|endoftext|>", None, "<|endoftext|>", late=True),
    "llama-2": Kind("prepend", ["<unk>", "<s>", "</s>"], "<s>", "</s>", ["</s>"], "</s>"),
    "mistral": Kind("first", ["<unk>", "<s>", "</s>"], "<s>", "</s>", ["</s>"], "</s>"),
    "gemma-it": Kind(
        "plain",
        ["<pad>", "<eos>", "<bos>", "<unk>", "<start_of_turn>", "<end_of_turn>"],
        "<bos>",
        "<eos>",
        ["<eos>", "<end_of_turn>"],
        "<end_of_turn>",
        GEMMA,
        named=("<start_of_turn>", "<end_of_turn>"),
    ),
    "phi-3": Kind(
        "prepend",
        ["<unk>", "<s>", "</s>", "<|endoftext|>", "<|assistant|>", "<|system|>", "<|end|>", "<|user|>"],
        None,
        "<|endoftext|>",
        ["<|endoftext|>", "<|assistant|>", "<|end|>"],
        "<|end|>",
        PHI,
    ),
    "llama-3": Kind(
        "bytes",
        [
            *("<|begin_of_text|>", "<|end_of_text|>", "<|reserved_special_token_0|>", "<|reserved_special_token_1|>"),
            *("<|start_header_id|>", "<|end_header_id|>", "<|eom_id|>", "<|eot_id|>"),
        ],
        "<|begin_of_text|>",
        "<|eot_id|>",
        ["<|end_of_text|>", "<|eom_id|>", "<|eot_id|>"],
        "<|eot_id|>",
        LLAMA_3,
        late=True,
    ),
    "qwen": Kind(
        "bytes",
        ["<|endoftext|>", "<|im_start|>", "<|im_end|>"],
        None,
        "<|im_end|>",
        ["<|im_end|>", "<|endoftext|>"],
        "<|im_end|>",
        CHATML,
        late=True,
    ),
}


@functools.cache
def _trained(name: str) -> str:
    kind = KINDS[name]
    first = [] if kind.late else kind.specials
    if kind.style == "bytes":
        made = Tokenizer(models.BPE())
        made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        made.decoder = decoders.ByteLevel()
        alphabet = pre_tokenizers.ByteLevel.alphabet()
    else:
        made = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True, byte_fallback=True))
        alphabet = []
        strip: list[Any] = [decoders.Strip(" ", 1, 0)]
        if kind.style == "prepend":
            made.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
        elif kind.style == "first":
            made.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first", split=False)
        else:
            made.normalizer = normalizers.Replace(" ", "▁")
            strip = []
        made.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), *strip])
        first = [*first, *(f"<0x{byte:02X}>" for byte in range(256))]
    trainer = trainers.BpeTrainer(vocab_size=460, special_tokens=first, initial_alphabet=alphabet, show_progress=False)
    if kind.style in ("prepend", "plain"):
        made.pre_tokenizer = pre_tokenizers.Split("▁", "merged_with_next")  # words end at spaces
    made.train_from_iterator(TEXTS, trainer)
    trained = json.loads(made.to_str())
    if kind.style in ("prepend", "plain"):
        trained["pre_tokenizer"] = None
    # The trainer calls the 256 bytes of the byte fallback special, which they are not.
    trained["added_tokens"] = [token for token in trained["added_tokens"] if not token["content"].startswith("<0x")]
    return json.dumps(trained)


def tokenizer_of(name: str) -> Any:
    """Make a tokenizer of a kind, a new one each time."""
    kind = KINDS[name]
    made = Tokenizer.from_str(_trained(name))
    stripped = name == "phi-3"
    made.add_special_tokens([AddedToken(token, special=True, normalized=False, rstrip=stripped) for token in kind.specials])
    if kind.begin is not None:
        made.post_processor = processors.TemplateProcessing(
            single=f"{kind.begin} $A", special_tokens=[(kind.begin, made.token_to_id(kind.begin))]
        )
    options: dict[str, Any] = {}
    if "<unk>" in kind.specials:
        options["unk_token"] = "<unk>"
    pads = [token for token in kind.specials if token == "<pad>"]
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=made,
        bos_token=kind.begin or ("<s>" if "<s>" in kind.specials else None),
        eos_token=kind.eos,
        pad_token=pads[0] if pads else kind.specials[0],
        additional_special_tokens=list(kind.named),
        clean_up_tokenization_spaces=False,
        **options,
    )
    tokenizer.chat_template = kind.template
    return tokenizer


def model_of(name: str, tokenizer: Any, rows: int | None = None) -> Any:
    """Make a tiny model for a tokenizer of a kind, with its ends in the generation configuration."""
    kind = KINDS[name]
    config = LlamaConfig(
        vocab_size=rows or len(tokenizer),
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=96,
        initializer_range=0.3,
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model: Any = LlamaForCausalLM(config)
    if kind.ends is not None:
        model.generation_config.eos_token_id = tokenizer.convert_tokens_to_ids(kind.ends)
    return model


def folder_of(name: str, folder: Path, rows: int | None = None) -> Path:
    """Write a model of a kind and its tokenizer as they are on the hub."""
    tokenizer = tokenizer_of(name)
    model_of(name, tokenizer, rows).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder
