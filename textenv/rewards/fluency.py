"""How natural a language model finds a text."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from textenv.models.contract import frame, once_before
from textenv.models.hub import cached_by_files, locate
from textenv.models.reading import positions_of, refuse_unembedded, warn_once
from textenv.rewards.protocol import refuse_half_characters
from textenv.rewards.repeats import once

if TYPE_CHECKING:
    import torch

    from textenv.models.policy import LanguagePolicy

BATCH = 64

_PIECE_LOGITS = 2**21  # so many are worked on at once: they stay in the processor's cache


@dataclass(frozen=True)
class Fluency:
    """How probable a language model finds a completion after its prompt, from 0 to 1 and higher for more probable.

    The score is σ(1.5 (s + 1)), where s, in nats, is the mean over the completion's tokens of log π(token) + H: the
    token's log-probability, compared with what the model expects of its own next token, which is minus the entropy H
    of its distribution. Samples of the model itself have s = 0 on average, whatever the model, and so score about .8;
    1 nat a token less probable is .5, and words in random order are near 0. As the sigmoid is nearly flat above, a text that
    is only easy to foresee, as a repetition may be, gains little. (That ordinary text carries as much information as is
    expected of it: Meister et al., "Locally Typical Sampling", https://arxiv.org/abs/2202.00666.)

    An empty completion scores 0. The prompt begins once with what the model's tokenizer puts before a text. Of texts beyond
    the model's context the prompt loses its beginning, down to half of the context, but not that, and what follows the
    context is not read; that it happens is said once.

    Args:
        model: an embedded name, a local folder or a hub id of a causal language model; its own tokenizer reads the texts.
        device: such as "cpu" or "cuda".

    Raises:
        LoadError: there is no such model.
    """

    model: str = "tiny-en"
    device: str = "cpu"

    def __post_init__(self) -> None:
        locate(self.model)

    def __call__(self, prompts: Sequence[str], completions: Sequence[str]) -> list[float]:
        """Score n texts."""
        policy = load_policy(self.model, self.device)
        refuse_half_characters("Fluency", prompts, completions)
        pairs = list(zip(prompts, completions, strict=True))
        return once(pairs, lambda different: expit(1.5 * (surplus(policy, different) + 1)))


@cached_by_files
def load_policy(model: str, device: str) -> "LanguagePolicy":
    """Load a language model; equal arguments give the same object, until a file of a local folder changes."""
    from textenv.models.policy import LanguagePolicy

    return LanguagePolicy.from_pretrained(model, device=device)


_PerToken: TypeAlias = Callable[["LanguagePolicy", "torch.Tensor", "torch.Tensor"], "torch.Tensor"]


class _Row(NamedTuple):
    prompt: list[int]
    """At least one id."""
    completion: list[int]
    lost: tuple[int, int] = (0, 0)
    """Ids that are missing: of the prompt's beginning, and of the completion's end."""


def _row(policy: "LanguagePolicy", prompt: str, completion: str) -> _Row:
    """Split the ids of a text, cut to the model's context."""
    tokenizer: Any = policy.tokenizer
    start = tokenizer.eos_token_id if tokenizer.bos_token_id is None else tokenizer.bos_token_id
    before, _ = frame(tokenizer)
    ids, own = _split(tokenizer, prompt, completion)
    head = once_before([*before, *ids], before) or [start]
    context = positions_of(policy.model)
    if context is None or len(head) + len(own) <= context:
        return _Row(head, own)
    kept = len(before)
    dropped = max(0, len(head) - max(context // 2, kept + 1))
    head = head[:kept] + head[kept + dropped :]
    rest = own[: context - len(head)]
    return _Row(head, rest, (dropped, len(own) - len(rest)))


def _split(tokenizer: Any, prompt: str, completion: str) -> tuple[list[int], list[int]]:
    """Return the ids of a text, without special tokens around it: the prompt's and the completion's.

    A token that joins both is the completion's.
    """
    options = {"add_special_tokens": False, "verbose": False}
    if tokenizer.is_fast:
        encoded = tokenizer(prompt + completion, return_offsets_mapping=True, **options)
        count = sum(end <= len(prompt) for _, end in encoded["offset_mapping"])
        ids = encoded["input_ids"]
    else:  # it does not say where its tokens stand: the prompt's are those that it has alone
        ids, alone = tokenizer(prompt + completion, **options)["input_ids"], tokenizer(prompt, **options)["input_ids"]
        count = 0
        while count < min(len(ids), len(alone)) and ids[count] == alone[count]:
            count += 1
    return ids[:count], ids[count:]


def surplus(policy: "LanguagePolicy", pairs: Sequence[tuple[str, str]]) -> NDArray[np.float64]:
    """Mean over a completion's tokens of log π(token) + H(π), in nats: (n,), -inf for an empty completion.

    Args:
        policy: whose distribution is asked.
        pairs: n prompts and completions.
    """
    rows = [_row(policy, prompt, completion) for prompt, completion in pairs]
    refuse_unembedded("Fluency", policy.model, policy.tokenizer, [row.prompt + row.completion for row in rows])
    prompts, completions = (sum(row.lost[side] > 0 for row in rows) for side in (0, 1))
    if prompts or completions:
        warn_once(
            policy,
            f"Fluency reads {positions_of(policy.model)} tokens: of {len(rows)} texts {prompts} lose the prompt's beginning and"
            f" {completions} the completion's end. This is said once.",
        )
    sums, counts = _sums(policy, rows, _token_surplus)
    mean: NDArray[np.float64] = np.divide(sums, counts, out=np.full(len(rows), -np.inf), where=counts > 0)
    return mean


def log_probabilities(policy: "LanguagePolicy", pairs: Sequence[tuple[str, str]]) -> NDArray[np.float64]:
    """Compute log π(completion | prompt) in nats, summed over the completion's tokens: (n,), 0 for an empty completion.

    Args:
        policy: whose distribution is asked.
        pairs: n prompts and completions.
    """
    return _sums(policy, [_row(policy, prompt, completion) for prompt, completion in pairs], _token_log_probability)[0]


def _sums(policy: "LanguagePolicy", rows: list[_Row], per_token: _PerToken) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Sum a number per token over the completion of each row, and count its tokens: (n,) each."""
    sums, counts = np.zeros(len(rows)), np.array([len(row.completion) for row in rows], dtype=np.int64)
    order = sorted((i for i, row in enumerate(rows) if row.completion), key=lambda i: len(rows[i].prompt) + len(rows[i].completion))
    for start in range(0, len(order), BATCH):
        batch = order[start : start + BATCH]  # texts of like length
        sums[batch] = _batch_sums(policy, [rows[i] for i in batch], per_token)
    return sums, counts


def _batch_sums(policy: "LanguagePolicy", rows: list[_Row], per_token: _PerToken) -> NDArray[np.float64]:
    import torch

    prompt_columns = max(len(row.prompt) for row in rows)
    width = prompt_columns + max(len(row.completion) for row in rows)
    tokens = torch.full((len(rows), width), -1)  # (B, W), the layout of observations
    for i, row in enumerate(rows):
        tokens[i, prompt_columns - len(row.prompt) : prompt_columns + len(row.completion)] = torch.tensor([*row.prompt, *row.completion])
    tokens = tokens.to(policy.device)
    response = tokens[:, prompt_columns:]
    mask = response >= 0  # (B, T)
    with torch.inference_mode(), policy.arithmetic():
        hidden = policy.response_hidden(tokens, prompt_columns)  # (M, D)
        size = max(1, _PIECE_LOGITS // len(policy.banned))
        pieces = [per_token(policy, *piece) for piece in zip(hidden.split(size), response[mask].split(size), strict=True)]
    sums = torch.zeros(mask.shape, dtype=torch.float64).masked_scatter(mask.cpu(), torch.cat(pieces).double().cpu()).sum(1)
    return np.asarray(sums.numpy(), dtype=np.float64)


def _token_surplus(policy: "LanguagePolicy", hidden: "torch.Tensor", tokens: "torch.Tensor") -> "torch.Tensor":
    """Log π(token) + H(π), which is z_token - Σ_v π(v) z_v of the logits z: (M, D), (M,) to (M,)."""
    import torch

    logits = policy.logits(hidden).float().masked_fill(policy.banned, -1e9)  # (M, V); finite, as it meets a probability of 0
    expected = torch.linalg.vecdot(torch.softmax(logits, -1), logits)
    found: torch.Tensor = logits.gather(-1, tokens[:, None])[:, 0] - expected
    return found


def _token_log_probability(policy: "LanguagePolicy", hidden: "torch.Tensor", tokens: "torch.Tensor") -> "torch.Tensor":
    """Log π(token): (M, D), (M,) to (M,)."""
    import torch

    logits = policy.logits(hidden).float().masked_fill(policy.banned, -1e9)  # (M, V)
    found: torch.Tensor = torch.log_softmax(logits, -1).gather(-1, tokens[:, None])[:, 0]
    return found
