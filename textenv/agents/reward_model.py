"""Reward models: a language model's trunk, or an encoder, learns from judgements which of the responses to a prompt is better.

Stiennon et al., https://arxiv.org/abs/2009.01325, and Ouyang et al., section 3.5, https://arxiv.org/abs/2203.02155: all responses of a
comparison stand in one element of a batch, since each occurs in K - 1 pairs and a model that meets them in several steps overfits.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, cast

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import nn

from textenv.agents.config import check_choice, check_ranges
from textenv.agents.fitting import Fitted, FittingConfig, Sums, fit
from textenv.errors import ArgumentError
from textenv.models.card import write_card
from textenv.models.folders import share_weights, without_bars
from textenv.models.kernels import FastKernels
from textenv.models.policy import Precision
from textenv.models.reading import as_read, read_texts, reads_at_most, warn_once
from textenv.models.scalar_head import load_scalar_model, rescale
from textenv.preferences.calibration import trusted_slope
from textenv.preferences.comparison import Comparison
from textenv.preferences.losses import davidson, is_better, k_wise, plackett_luce, regression
from textenv.preferences.tables import Judgements, Pairs, judgements, pairs_of, split
from textenv.rewards.classifier import Classifier
from textenv.rewards.composition import calibrated

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

LossName = Literal["k_wise", "plackett_luce", "davidson", "regression"]
LOSSES: Final[tuple[LossName, ...]] = ("k_wise", "plackett_luce", "davidson", "regression")
MOST_RANKED: Final = 12
"""Responses that Plackett-Luce takes: it goes through 2^K sets."""
NU_STEP: Final = 100.0
"""log ν learns so many times as fast as a weight: it is one number and moves by about 1."""
LIKE: Final = 1.5
"""How many times as long as its shortest text the longest of a forward pass is, about: padding costs what text costs."""
FORWARD_TOKENS: Final = 2**14
"""Of a forward pass, padding included."""


@dataclass(frozen=True, kw_only=True)
class RewardModelConfig(FittingConfig):
    """How a reward model is fitted.

    Raises:
        ArgumentError: a number is out of its range, or two do not fit together.
    """

    loss: LossName = "k_wise"
    """Of `textenv.preferences.losses`: Bradley-Terry over all pairs of a prompt, Plackett-Luce, Davidson, or regression on ratings."""
    margin_coef: float = 0.0
    """Margin of k_wise, in units of reward a point of rating by which the better response is rated higher."""
    nu: float | None = None
    """ν of davidson, how likely ties are; None learns it."""
    max_tokens: int | None = None
    """Tokens read of prompt and response, which lose their beginning; None reads what the model can."""
    held_out: float = 0.2
    """Share of the prompts that is not learnt from: one half chooses the weights, the other is reported on."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_choice(self, "loss", LOSSES)
        check_ranges(self, positive=("nu", "max_tokens"), least_zero=("margin_coef",))
        for name, loss in (("margin_coef", "k_wise"), ("nu", "davidson")):
            if getattr(self, name) and self.loss != loss:
                raise ArgumentError(f'{name} is of the loss "{loss}"; leave it out for "{self.loss}".')


@dataclass(kw_only=True)
class RewardModel:
    """A reward model and how it came about."""

    model: "PreTrainedModel"
    """For sequence classification, of one output."""
    tokenizer: "PreTrainedTokenizerBase"
    fitted: Fitted
    """See `textenv.agents.fitting`."""
    learnt: int
    """Comparisons that it learnt from."""
    unseen: list[Comparison] = field(repr=False)
    """What it is to be reported on: nothing was chosen by them."""
    nu: float | None
    """ν of davidson."""
    scale_error: float = math.nan
    """Relative standard error of the scale of its differences; NaN where it was kept at 1, as the fit left
    it, for want of held-out prompts that tell it (`textenv.preferences.calibration.trusted_slope`)."""
    gain: float = 1.0
    """Of `set_mean_and_sd`: differences of rewards divided by it are log-odds."""
    bias: float = 0.0
    """Of `set_mean_and_sd`."""

    @property
    def reward(self) -> Classifier:
        """The reward that `load_reward` makes of its folder."""
        return Classifier(self.model, self.tokenizer, name="reward model")

    def scores(self, comparisons: Sequence[Comparison]) -> list[NDArray[np.float64]]:
        """Score the responses of some comparisons: an array (K,) each."""
        flat = [(comparison.prompt, text) for comparison in comparisons for text in comparison.responses]
        scores = iter(self.reward([prompt for prompt, _ in flat], [text for _, text in flat]))
        return [np.array([next(scores) for _ in comparison.responses]) for comparison in comparisons]

    def pairs(self, comparisons: Sequence[Comparison]) -> Pairs:
        """Tell how far apart the model sees the pairs of some comparisons, in log-odds."""
        pairs = pairs_of(comparisons, self.scores(comparisons))
        return pairs._replace(differences=pairs.differences / self.gain)

    def set_mean_and_sd(self, scores: ArrayLike) -> None:
        """Rescale the model so that some of its scores, as those of the reference policy's episodes, have the mean 0 and the deviation 1.

        Args:
            scores: (n,) of this model; see `textenv.rewards.composition.calibrated`.

        Raises:
            ArgumentError: there are fewer than two finite scores, or they are all the same.
        """
        to = calibrated(self.reward, scores)
        rescale(self.model, to.gain, to.bias)
        self.gain, self.bias = self.gain * to.gain, self.bias * to.gain + to.bias

    def save(self, folder: Path) -> None:
        """Write model and tokenizer, as `reward=` and `AutoModelForSequenceClassification.from_pretrained` take them."""
        with without_bars():
            self.model.save_pretrained(folder)
        share_weights(folder)
        self.tokenizer.save_pretrained(folder)
        write_card(folder, self.model)


def fit_reward_model(
    comparisons: Sequence[Comparison],
    model: str | Path = "tiny-en",
    config: RewardModelConfig | None = None,
    *,
    device: str = "cpu",
    precision: Precision = "fp32",
    on_row: Callable[[dict[str, float]], None] | None = None,
) -> RewardModel:
    """Make a reward model of a language model or an encoder.

    Comparisons that say nothing to the loss are left out; contradictory ones are learnt from as they are.

    Args:
        comparisons: any number from any annotators; none of a prompt that is held out is learnt from.
        model: an embedded name, a local folder or a hub id; its head is replaced.
        config: see `RewardModelConfig`.
        device: such as "cpu" or "cuda".
        precision: of the forward passes of training: fp32, or bf16 by autocast.
        on_row: is called with each row of the history as it comes.

    Raises:
        ArgumentError: the comparisons say nothing or are too few to hold some out, or have too many responses for the loss.
        LoadError: the model cannot be loaded.
        TrainingError: the gradient is not finite.
    """
    config = config or RewardModelConfig()
    parts = split(telling(comparisons, config.loss), config.held_out)
    network, tokenizer = load_scalar_model(model, seed=config.seed, device=device)
    tokenizer.model_max_length = min(reads_at_most(network, tokenizer), config.max_tokens or tokenizer.model_max_length)
    learner = _Learner(network, tokenizer, config, precision, parts.learnt)
    evaluate = learner.evaluation(parts.chosen) if parts.chosen else None
    fitted = fit(learner, len(parts.learnt), learner.loss_of(parts.learnt), config, evaluate=evaluate, on_row=on_row)
    nu = float(learner.log_nu.detach().exp()) if config.loss == "davidson" else None
    made = RewardModel(model=network, tokenizer=tokenizer, fitted=fitted, learnt=len(parts.learnt), unseen=parts.unseen, nu=nu)
    slope = trusted_slope(*made.pairs(parts.chosen))
    rescale(network, slope.value, 0.0)
    made.scale_error = slope.error / slope.value
    return made


def telling(comparisons: Sequence[Comparison], loss: LossName) -> list[Comparison]:
    """Keep the comparisons that say something to a loss.

    Raises:
        ArgumentError: none does, or one has too many responses.
    """
    table = judgements(comparisons)
    if loss == "regression":
        says, needed = table.rated.any(1), "a rating of a response"
    elif loss == "davidson":
        says, needed = table.ranked.any(1), "a ranking"
    else:
        says, needed = is_better(table.ranks, table.ranked).any(2).any(1), "one response that is better than another"
    kept = [comparison for comparison, says_it in zip(comparisons, says.tolist(), strict=True) if says_it]
    if not kept:
        raise ArgumentError(f'The loss "{loss}" needs comparisons with {needed}; none of the {len(comparisons)} given has that.')
    most = max(len(comparison.responses) for comparison in kept)
    if loss == "plackett_luce" and most > MOST_RANKED:
        raise ArgumentError(f'The loss "plackett_luce" takes at most {MOST_RANKED} responses a prompt, got {most}; use "k_wise".')
    return kept


class _Learner(nn.Module):
    """The model and what the loss learns beside it."""

    def __init__(
        self,
        model: "PreTrainedModel",
        tokenizer: "PreTrainedTokenizerBase",
        config: RewardModelConfig,
        precision: Precision,
        learnt: Sequence[Comparison],
    ) -> None:
        super().__init__()
        self.model: Any = model
        self.tokenizer, self.config, self.precision = tokenizer, config, precision
        device, table = model.device, judgements(learnt)
        first = math.log(config.nu) if config.nu else 0.0
        self.scaled_log_nu = nn.Parameter(torch.tensor(first / NU_STEP, device=device), config.loss == "davidson" and config.nu is None)
        ratings = table.ratings[table.rated].double()
        self.centre = float(ratings.mean()) if config.loss == "regression" else 0.0
        self.spread = max(float(ratings.std(correction=0)), 1e-3) if config.loss == "regression" else 1.0

    @property
    def log_nu(self) -> torch.Tensor:
        return self.scaled_log_nu * NU_STEP

    def loss_of(self, comparisons: Sequence[Comparison]) -> Callable[[torch.Tensor], Sums]:
        """Make the function from indices of comparisons to sums of their losses."""
        ids, table = self._token_ids(comparisons), judgements(comparisons)

        def loss(indices: torch.Tensor) -> Sums:
            rewards = self._rewards([ids[i] for i in indices.tolist()])
            rows = self._rows(table, indices, rewards.shape[1])
            return {"loss": self._losses(rewards, rows).sum()}

        return loss

    def evaluation(self, comparisons: Sequence[Comparison]) -> Callable[[], Mapping[str, float]]:
        """Make the function that tells the loss a comparison, and the share of pairs in their order."""
        ids, table = self._token_ids(comparisons), judgements(comparisons)
        parts = torch.arange(len(comparisons)).split(self.config.micro_batch_size or self.config.batch_size)

        def evaluate() -> Mapping[str, float]:
            loss = right = pairs = 0.0
            for indices in parts:
                rewards = self._rewards([ids[i] for i in indices.tolist()])
                rows = self._rows(table, indices, rewards.shape[1])
                better = is_better(rows.ranks, rows.ranked)
                ahead = (rewards[:, :, None] - rewards[:, None, :]).sign()  # (B, K, K)
                loss += float(self._losses(rewards, rows).sum())
                right += float(((1 + ahead) / 2)[better].sum())
                pairs += float(better.sum())
            return {"loss": loss / len(comparisons), "accuracy": right / pairs if pairs else math.nan}

        return evaluate

    def _token_ids(self, comparisons: Sequence[Comparison]) -> list[list[list[int]]]:
        """Tokens of prompt + response, a list of K rows a comparison."""
        texts = [comparison.prompt + text for comparison in comparisons for text in comparison.responses]
        limit = int(self.tokenizer.model_max_length)
        read = read_texts(self.tokenizer, as_read(texts, self.tokenizer), limit)
        if read.cut:
            warn_once(
                self.model,
                f"The reward model reads {limit} tokens: {read.cut} of {len(texts)} texts are longer and lose their beginning,"
                " the prompt's before the response's. This is said once.",
            )
        rows = iter(read.ids)
        return [[next(rows) for _ in comparison.responses] for comparison in comparisons]

    def _rows(self, table: Judgements, indices: torch.Tensor, width: int) -> Judgements:
        return Judgements(*(part[indices, :width].to(self.model.device) for part in table))

    def _rewards(self, ids: list[list[list[int]]]) -> torch.Tensor:
        """Read the responses of B comparisons, in passes of texts of like length: (B, K), 0 where there is no response."""
        flat = [row for rows in ids for row in rows]
        passes = _passes([len(row) for row in flat])
        read = torch.cat([self._read([flat[i] for i in rows]) for rows in passes])  # (n,) in their order
        back = torch.tensor([i for rows in passes for i in rows]).argsort()
        counts = torch.tensor([len(rows) for rows in ids], device=read.device)
        there = torch.arange(int(counts.max()), device=read.device) < counts[:, None]  # (B, K)
        return torch.zeros(there.shape, device=read.device).masked_scatter(there, read[back.to(read.device)])

    def _read(self, rows: list[list[int]]) -> torch.Tensor:
        """Rewards of texts, padded on the right: (n,)."""
        width, pad, device = max(map(len, rows)), cast(int, self.tokenizer.pad_token_id), self.model.device
        tokens = torch.tensor([row + [pad] * (width - len(row)) for row in rows], device=device)  # (n, width)
        held = torch.tensor([[1] * len(row) + [0] * (width - len(row)) for row in rows], device=device)
        with FastKernels(), torch.autocast(device.type, dtype=torch.bfloat16, enabled=self.precision == "bf16"):
            logits = self.model(input_ids=tokens, attention_mask=held).logits  # (n, 1)
        return cast(torch.Tensor, logits)[:, 0].float()

    def _losses(self, rewards: torch.Tensor, said: Judgements) -> torch.Tensor:
        """Losses of B comparisons: (B, K) to (B,)."""
        if self.config.loss == "regression":
            return regression(rewards, (said.ratings - self.centre) / self.spread, said.rated)
        if self.config.loss == "plackett_luce":
            return plackett_luce(rewards, said.ranks, said.ranked)
        if self.config.loss == "davidson":
            return davidson(rewards, said.ranks, said.ranked, self.log_nu)
        both = said.rated[:, :, None] & said.rated[:, None, :]
        higher = (said.ratings[:, :, None] - said.ratings[:, None, :]).clamp(min=0).where(both, 0.0)
        return k_wise(rewards, said.ranks, said.ranked, self.config.margin_coef * higher)


def _passes(lengths: Sequence[int]) -> list[list[int]]:
    """Group texts of like length.

    >>> _passes([9, 30, 8, 31])
    [[2, 0], [1, 3]]
    """
    passes: list[list[int]] = []
    for i in sorted(range(len(lengths)), key=lambda i: lengths[i]):
        if not passes or lengths[i] > LIKE * lengths[passes[-1][0]] + 4 or (len(passes[-1]) + 1) * lengths[i] > FORWARD_TOKENS:
            passes.append([])
        passes[-1].append(i)
    return passes
