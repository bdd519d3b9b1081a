"""Tiny models with random weights, made in a moment."""

import shutil
from importlib.resources import files
from pathlib import Path

import torch


def _copy_tokenizer(folder: Path) -> None:
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copyfile(str(files("textenv.assets") / "tiny-en" / name), folder / name)


def tiny_language_model(folder: Path) -> Path:
    """Write a GPT-2 of 2 layers x 16 with the tokens of tiny-en."""
    from transformers import GPT2Config, GPT2LMHeadModel

    torch.manual_seed(0)
    config = GPT2Config(vocab_size=4096, n_positions=64, n_embd=16, n_layer=2, n_head=2, bos_token_id=0, eos_token_id=0)
    GPT2LMHeadModel(config).save_pretrained(folder)
    shutil.copyfile(str(files("textenv.assets") / "tiny-en" / "generation_config.json"), folder / "generation_config.json")
    _copy_tokenizer(folder)
    return folder


def tiny_classifier(folder: Path, labels: int = 1) -> Path:
    """Write a classifier of the same size."""
    from transformers import GPT2Config, GPT2ForSequenceClassification

    torch.manual_seed(0)
    config = GPT2Config(vocab_size=4096, n_positions=64, n_embd=16, n_layer=2, n_head=2, bos_token_id=0, eos_token_id=0, pad_token_id=0)
    config.num_labels = labels
    GPT2ForSequenceClassification(config).save_pretrained(folder)
    _copy_tokenizer(folder)
    return folder
