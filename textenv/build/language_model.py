"""Train `tiny-en`: tokenizer, packed rows, one pass with Muon and AdamW, bits per byte."""

import math
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, cast

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import ByteLevelBPETokenizer, Tokenizer
from torch.nn import functional as F
from tqdm import tqdm
from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast

from textenv.checkpoint import load_state, save_state
from textenv.models.kernels import FastKernels

EOS: Final = "<|endoftext|>"
PAD: Final = "<|pad|>"
CHECKPOINT_STEPS: Final = 250


@dataclass(frozen=True, kw_only=True)
class LanguageModelRecipe:
    """What makes `tiny-en`."""

    vocab_size: int = 4096
    """Byte-level BPE tokens, the end-of-text and padding tokens among them."""
    layers: int = 4
    width: int = 256
    heads: int = 4
    context: int = 256
    """Tokens a row; also the longest text the model reads."""
    rows_per_step: int = 16
    muon_lr: float = 0.02
    """Of the hidden matrices."""
    adamw_lr: float = 6e-3
    """Of embeddings, norms and biases."""
    warmup_steps: int = 100
    passes: int = 1
    """Passes over the whole mixture, on top of the mixture's own."""
    seed: int = 0


def train_tokenizer(texts: Iterable[str], vocab_size: int, context: int) -> PreTrainedTokenizerFast:
    """Train a byte-level BPE tokenizer with an end-of-text and a separate padding token."""
    bpe = ByteLevelBPETokenizer()
    bpe.train_from_iterator(texts, vocab_size=vocab_size, special_tokens=[EOS, PAD], show_progress=False)
    return PreTrainedTokenizerFast(
        tokenizer_object=bpe._tokenizer,
        bos_token=EOS,
        eos_token=EOS,
        unk_token=EOS,
        pad_token=PAD,
        padding_side="left",
        model_max_length=context,
        clean_up_tokenization_spaces=False,
    )


def save_tokenizer(tokenizer: PreTrainedTokenizerFast, folder: Path) -> None:
    """Write the files of a tokenizer, tokenizer.json without white space and without the limits of its last call."""
    tokenizer.backend_tokenizer.no_truncation()
    tokenizer.backend_tokenizer.no_padding()
    tokenizer.save_pretrained(folder)
    compact(folder / "tokenizer.json")


def compact(path: Path) -> None:
    """Take the white space out of a tokenizer.json, more than half of its bytes."""
    Tokenizer.from_file(str(path)).save(str(path), pretty=False)


def pack_rows(documents: list[list[int]], length: int, pad: int, rng: np.random.Generator) -> NDArray[np.uint16]:
    """Pack token lists into rows of `length`.

    A long document fills whole rows from its start; its rest and the short documents are packed by
    best fit, each whole, in a random order within a row.

    Returns:
        (rows, length) token ids, `pad` where nothing fitted.
    """
    full: list[list[int]] = []
    rest: list[list[int]] = []
    for tokens in documents:
        whole = len(tokens) // length * length
        full += [tokens[start : start + length] for start in range(0, whole, length)]
        if len(tokens) > whole:
            rest.append(tokens[whole:])
    bins: list[list[list[int]]] = [[] for _ in range(length + 1)]  # by free space: open rows, each a list of pieces
    rows: list[list[list[int]]] = []
    for piece in sorted(rest, key=len, reverse=True):
        free = next((space for space in range(len(piece), length) if bins[space]), None)
        row: list[Any] = bins[free].pop() if free is not None else []
        if free is None:
            rows.append(row)
        row.append(piece)
        bins[(length if free is None else free) - len(piece)].append(row)
    packed = np.full((len(full) + len(rows), length), pad, dtype=np.uint16)
    for index, tokens in enumerate(full):
        packed[index] = tokens
    for index, pieces in enumerate(rows, start=len(full)):
        joined = [token for piece in rng.permutation(len(pieces)) for token in pieces[piece]]
        packed[index, : len(joined)] = joined
    return packed


def build_rows(
    mixture: list[tuple[str, list[str], int]], tokenizer: PreTrainedTokenizerFast, recipe: LanguageModelRecipe
) -> tuple[NDArray[np.uint16], dict[str, int]]:
    """Tokenise and pack the mixture; also return the tokens of each of its parts."""
    rng = np.random.default_rng(recipe.seed)
    eos, pad = cast(int, tokenizer.eos_token_id), cast(int, tokenizer.pad_token_id)
    documents: list[list[int]] = []
    counts: dict[str, int] = {}
    for name, texts, passes in mixture:
        ids = [[*tokens, eos] for tokens in tokenizer(texts, verbose=False)["input_ids"]]
        counts[name] = passes * sum(map(len, ids))
        documents += ids * passes
    rows = pack_rows(documents, recipe.context, pad, rng)
    return np.concatenate([rows[rng.permutation(len(rows))] for _ in range(recipe.passes)]), counts


def _optimisers(model: GPT2LMHeadModel, recipe: LanguageModelRecipe) -> list[torch.optim.Optimizer]:
    hidden = [p for name, p in model.named_parameters() if p.ndim == 2 and ".h." in name]
    other = [p for name, p in model.named_parameters() if not (p.ndim == 2 and ".h." in name)]
    return [
        torch.optim.Muon(hidden, lr=recipe.muon_lr, weight_decay=0.01),
        torch.optim.AdamW(other, lr=recipe.adamw_lr, betas=(0.9, 0.98), weight_decay=0.0, fused=True),
    ]


def new_model(recipe: LanguageModelRecipe, pad: int, eos: int) -> GPT2LMHeadModel:
    """Initialise the model from the recipe's seed."""
    torch.manual_seed(recipe.seed)
    config = GPT2Config(
        vocab_size=recipe.vocab_size,
        n_positions=recipe.context,
        n_embd=recipe.width,
        n_layer=recipe.layers,
        n_head=recipe.heads,
        # The same function as "gelu_new", as one fused kernel.
        activation_function="gelu_pytorch_tanh",
        resid_pdrop=0.0,
        embd_pdrop=0.0,
        attn_pdrop=0.0,
        bos_token_id=eos,
        eos_token_id=eos,
        pad_token_id=pad,
    )
    return GPT2LMHeadModel(config)


def loss_of(model: GPT2LMHeadModel, ids: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
    """Return the mean nats of the `wanted` tokens (rows, context) of `ids` (rows, context), each row's first left out."""
    hidden = model.transformer(input_ids=ids, use_cache=False).last_hidden_state[:, :-1]  # (rows, context - 1, width)
    wanted = wanted[:, 1:]
    logits = model.lm_head(hidden[wanted])  # (tokens, V)
    return F.cross_entropy(logits, ids[:, 1:][wanted])


def load_checkpoint(folder: Path) -> dict[str, Any] | None:
    """Read a training state, or None when there is none yet."""
    try:
        return load_state(folder)
    except FileNotFoundError:
        return None


def _learn(model: GPT2LMHeadModel, optimisers: list[torch.optim.Optimizer], ids: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
    with FastKernels(), torch.autocast(ids.device.type, dtype=torch.bfloat16):
        loss = loss_of(model, ids, wanted)
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    for optimiser in optimisers:
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)
    return loss.detach()


def train(
    rows: NDArray[np.uint16],
    wanted: NDArray[np.bool_],
    model: GPT2LMHeadModel,
    recipe: LanguageModelRecipe,
    work: Path,
    device: str,
) -> GPT2LMHeadModel:
    """Train a model on packed rows, one step after another, saving a checkpoint now and then.

    Args:
        rows: (rows, context) token ids, in the order in which they are learnt.
        wanted: (rows, context) which of them are to be predicted.
        model: where the training starts; it is changed.
        recipe: sizes and rates.
        work: folder of the checkpoint; the training goes on from it when one is there.
        device: "cpu" or "cuda".
    """
    cast(torch.nn.Module, model).to(device).train()
    optimisers = _optimisers(model, recipe)
    steps, step, seconds = len(rows) // recipe.rows_per_step, 0, 0.0
    state = load_checkpoint(work / "checkpoint")
    if state is not None:
        model.load_state_dict(state["model"])
        for optimiser, saved in zip(optimisers, state["optimisers"], strict=True):
            optimiser.load_state_dict(saved)
        step, seconds = state["step"], state["seconds"]
    base = [optimiser.param_groups[0].get("initial_lr", optimiser.param_groups[0]["lr"]) for optimiser in optimisers]
    progress = tqdm(total=steps, initial=step, desc=work.name, unit="step", mininterval=5)
    while step < steps:
        started = time.perf_counter()
        scale = min(1.0, (step + 1) / recipe.warmup_steps) * (1 - step / steps)
        for optimiser, lr in zip(optimisers, base, strict=True):
            optimiser.param_groups[0].update(lr=lr * scale, initial_lr=lr)
        batch = slice(step * recipe.rows_per_step, (step + 1) * recipe.rows_per_step)
        ids = torch.from_numpy(rows[batch].astype(np.int64)).to(device)
        loss = _learn(model, optimisers, ids, torch.from_numpy(wanted[batch]).to(device))
        step += 1
        seconds += time.perf_counter() - started
        progress.update()
        if step % 20 == 0:
            progress.set_postfix(nats=f"{loss.item():.3f}", refresh=False)
        if step % CHECKPOINT_STEPS == 0 or step == steps:
            state = {"model": model.state_dict(), "optimisers": [o.state_dict() for o in optimisers], "step": step, "seconds": seconds}
            save_state(work / "checkpoint", state)
    progress.close()
    model.eval()
    return model


@torch.inference_mode()
def bits_per_byte(model: GPT2LMHeadModel, tokenizer: PreTrainedTokenizerFast, texts: list[str], device: str) -> dict[str, float]:
    """Measure a model on texts.

    Every token of a text is predicted from the end-of-text token before the text, or from at least
    half a context of its own text, in windows that overlap by half.

    Returns:
        bits_per_byte, nats_per_token, bytes_per_token, tokens.
    """
    eos, context = cast(int, tokenizer.eos_token_id), int(model.config.n_positions)
    windows: list[tuple[list[int], int]] = []  # tokens and how many of the leading ones are context only
    for ids in tokenizer(texts, verbose=False)["input_ids"]:
        tokens, scored = [eos, *ids], 1
        while scored < len(tokens):
            start = 0 if scored == 1 else scored - context // 2
            windows.append((tokens[start : start + context], scored - start))
            scored = min(len(tokens), start + context)
    windows.sort(key=lambda window: len(window[0]))
    nats, count = 0.0, 0
    for begin in range(0, len(windows), 32):
        chunk = windows[begin : begin + 32]
        width = len(chunk[-1][0])
        ids = torch.tensor([tokens + [eos] * (width - len(tokens)) for tokens, _ in chunk], device=device)
        mask = torch.tensor([[skip <= t < len(tokens) for t in range(1, width)] for tokens, skip in chunk], device=device)
        hidden = model.transformer(input_ids=ids, use_cache=False).last_hidden_state[:, :-1]
        nats += F.cross_entropy(model.lm_head(hidden[mask]), ids[:, 1:][mask], reduction="sum").item()
        count += int(mask.sum())
    total_bytes = sum(len(text.encode()) for text in texts)
    return {
        "bits_per_byte": nats / math.log(2) / total_bytes,
        "nats_per_token": nats / count,
        "bytes_per_token": total_bytes / count,
        "tokens": float(count),
    }
