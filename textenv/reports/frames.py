"""Episodes as data frames: a row an episode, what is known by token as lists without padding."""

import dataclasses
import math
from typing import TYPE_CHECKING

import pandas as pd

from textenv.models.pieces import token_pieces
from textenv.reports.evaluation import Measured
from textenv.types import Episodes

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


def episode_frame(episodes: Episodes, update: int, tokenizer: "PreTrainedTokenizerBase") -> pd.DataFrame:
    """Put episodes into rows.

    Args:
        episodes: B of them.
        update: after which the policy drew them, or which learnt from them; the same in all rows.
        tokenizer: of the tokens; it gives the column `pieces`.

    Returns:
        B rows: those of `Episodes.to_pandas`, with update first, and behind length the lists pieces (strings).
    """
    frame = episodes.to_pandas()
    frame.insert(0, "update", update)
    frame.insert(list(frame).index("length") + 1, "pieces", token_texts(episodes, tokenizer))
    return frame


def measured_frame(measured: Measured, update: int, tokenizer: "PreTrainedTokenizerBase") -> pd.DataFrame:
    """Put an evaluation into rows: those of `episode_frame` with judge (NaN without one) and, in nats a sequence, kl_k1 to kl_exact."""
    kl = measured.divergence
    frame = episode_frame(dataclasses.replace(measured.episodes, ref_log_probs=kl.ref_log_probs), update, tokenizer)
    frame["judge"] = math.nan if measured.judge is None else measured.judge
    for name in ("k1", "k2", "k3", "exact"):
        frame[f"kl_{name}"] = getattr(kl, name).numpy()
    return frame


def token_texts(episodes: Episodes, tokenizer: "PreTrainedTokenizerBase") -> list[list[str]]:
    """Give each response as the text that each token added, see `token_pieces`."""
    parts = [(row[: episodes.prompt_columns], row[episodes.prompt_columns :]) for row in episodes.tokens]
    return [token_pieces(tokenizer, *(part[part >= 0].tolist() for part in pair)) for pair in parts]
