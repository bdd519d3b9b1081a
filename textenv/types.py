"""The records that travel between the rooms.

Shapes, everywhere: B episodes, P prompt columns, T response columns, W = P+T, V vocabulary.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import torch

from textenv.errors import ArgumentError

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, kw_only=True)
class Episodes:
    """Finished episodes as padded tensors; nothing is padded by a token id."""

    tokens: torch.Tensor
    """(B, W) int64, the final observations, -1 where there is no token."""
    prompt_columns: int
    """P."""
    log_probs: torch.Tensor
    """(B, T) float32, of the response tokens under the policy that drew them; 0 where there is none."""
    values: torch.Tensor
    """(B, T) float32, of the states the tokens were drawn in; 0 where there is none."""
    rewards: torch.Tensor
    """(B, T) float64, what `step` paid: the score at the last token unless each token is paid."""
    scores: torch.Tensor
    """(B,) float64, what the reward says."""
    prompt_index: torch.Tensor
    """(B,) int64, index into the prompt set."""
    prompts: list[str]
    """B texts."""
    completions: list[str]
    """B texts."""
    finish_reasons: list[str]
    """B of "eos", "stop" or "length"."""
    score_parts: dict[str, torch.Tensor] = field(default_factory=dict)
    """(B,) float64 each, the parts that a composed reward reports, by name."""
    allowed: torch.Tensor | None = None
    """(B, T, ⌈V/8⌉) uint8, the allowed tokens of every state as packed bits, for tasks that restrict them."""
    taken_over: torch.Tensor | None = None
    """(B, T) booleans: tokens that an expert chose in the policy's place; None where nobody could."""
    played_log_probs: torch.Tensor | None = None
    """(B, T) float32, `log_probs` as the play computed them, where the learner has asked the policy again in parallel."""
    ref_log_probs: torch.Tensor | None = None
    """(B, T) float32, of the response tokens under the reference, once it has been asked."""
    advantages: torch.Tensor | None = None
    """(B, T) float32, as the learner weighs the response tokens, once it has estimated them."""
    returns: torch.Tensor | None = None
    """(B, T) float32, what the value of each state should have been, once the learner has estimated it."""

    def __len__(self) -> int:
        return len(self.tokens)

    @property
    def mask(self) -> torch.Tensor:
        """(B, T) booleans: where there is a response token."""
        return self.tokens[:, self.prompt_columns :] >= 0

    @property
    def lengths(self) -> torch.Tensor:
        """(B,) response tokens."""
        return self.mask.sum(1)

    def allowed_tokens(self, vocabulary: int) -> torch.Tensor | None:
        """Unpack `allowed` to (B, T, V) booleans."""
        if self.allowed is None:
            return None
        bits = torch.arange(7, -1, -1, device=self.allowed.device, dtype=torch.uint8)
        return ((self.allowed[..., None] >> bits) & 1).bool().flatten(2)[..., :vocabulary]

    def select(self, index: torch.Tensor | Sequence[int]) -> "Episodes":
        """Take some episodes: by index and in its order, or by a mask (B,)."""
        rows = torch.as_tensor(index)
        rows = rows.nonzero()[:, 0] if rows.dtype == torch.bool else rows.long()
        picked: dict[str, Any] = {}
        for name, value in vars(self).items():
            if isinstance(value, torch.Tensor):
                picked[name] = value[rows.to(value.device)]
            elif isinstance(value, list):
                picked[name] = [value[i] for i in rows.tolist()]
            elif isinstance(value, dict):
                picked[name] = {part: values[rows.to(values.device)] for part, values in value.items()}
        return replace(self, **picked)

    def join(self, others: "Episodes") -> "Episodes":
        """Put others of the same environment after these; what only some of them have is left out, the parts of the score too."""
        joined: dict[str, Any] = {"score_parts": {}}
        for name, value in vars(self).items():
            other = getattr(others, name)
            if isinstance(value, list):
                joined[name] = value + other
            elif isinstance(value, torch.Tensor) or isinstance(other, torch.Tensor):
                joined[name] = None if value is None or other is None else torch.cat([value, other])
        return replace(self, **joined)

    def to_pandas(self) -> "pd.DataFrame":
        """Return a table with a row an episode.

        Returns:
            B rows: prompt_index, prompt, completion, finish_reason, score, score_NAME for each part, length (tokens), and as
            lists of that length tokens (ids), log_probs, values, rewards, and ref_log_probs and advantages where they are known.
            They are the columns of `episodes/part-NNNNN.parquet` of a run, without those that need its tokenizer.

        Raises:
            ArgumentError: what should have a number for each response token has another shape.
        """
        import pandas as pd

        mask = self.mask
        table: dict[str, Any] = {
            "prompt_index": self.prompt_index.numpy(force=True),
            "prompt": self.prompts,
            "completion": self.completions,
            "finish_reason": self.finish_reasons,
            "score": self.scores.numpy(force=True),
            **{f"score_{name}": values.numpy(force=True) for name, values in self.score_parts.items()},
            "length": self.lengths.numpy(force=True),
        }
        by_token = {"tokens": self.tokens[:, self.prompt_columns :]}
        for name in ("log_probs", "values", "rewards", "ref_log_probs", "advantages"):
            if getattr(self, name) is not None:
                by_token[name] = getattr(self, name)
        for name, rows in by_token.items():
            if rows.shape != mask.shape:
                raise ArgumentError(
                    f"{name} of {len(self)} episodes must have the shape {tuple(mask.shape)}, a number for each response token, "
                    f"got {tuple(rows.shape)}."
                )
            table[name] = [row[keep].tolist() for row, keep in zip(rows, mask, strict=True)]
        return pd.DataFrame(table)

    def to(self, device: torch.device | str) -> "Episodes":
        """Move the tensors, but for the parts of the score, which are only reported."""
        moved: dict[str, Any] = {name: value.to(device) for name, value in vars(self).items() if isinstance(value, torch.Tensor)}
        return replace(self, **moved)
