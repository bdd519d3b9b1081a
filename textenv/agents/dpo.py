"""Direct preference optimisation: a policy that is its own reward model, β log(π/π_ref), fitted to judgements of responses.

Rafailov et al., "Direct Preference Optimization", https://arxiv.org/abs/2305.18290. Where judgements are Bradley-Terry's of a reward r,
P(i better than j) = σ(r_i - r_j), the optimum is π* ∝ π_ref exp(r/β), that of E[r] - β KL(π‖π_ref).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple

import torch
from torch.nn import functional as F

from textenv.agents.config import check_choice, check_ranges
from textenv.agents.fitting import Fitted, FittingConfig, Sums, fit
from textenv.agents.sft import context_of
from textenv.errors import ArgumentError
from textenv.models.contract import encode_prompts
from textenv.models.packing import Example, example_log_probs, packs
from textenv.models.policy import LanguagePolicy
from textenv.preferences.comparison import Comparison
from textenv.preferences.losses import is_better, plackett_luce
from textenv.preferences.tables import Judgements, judgements, split
from textenv.rollouts.examples import encode_responses

LossName = Literal["sigmoid", "ipo", "plackett_luce"]
LOSSES: Final[tuple[LossName, ...]] = ("sigmoid", "ipo", "plackett_luce")
MOST_RANKED: Final = 12
"""Responses that Plackett-Luce takes: it goes through 2^K sets."""


@dataclass(frozen=True, kw_only=True)
class DPOConfig(FittingConfig):
    """How a policy is fitted to judgements.

    Raises:
        ArgumentError: a number is out of its range, or two do not fit together.
    """

    loss: LossName = "sigmoid"
    """Over all pairs of a prompt, sigmoid (Bradley-Terry) or ipo; or of the whole ranking, plackett_luce."""
    beta: float = 0.1
    """β: how much reward a nat of log(π/π_ref) is."""
    label_smoothing: float = 0.0
    """Share of the judgements that sigmoid takes to be wrong (conservative DPO), at least 0 and below 1/2."""
    held_out: float = 0.2
    """Share of the prompts that is not learnt from: one half chooses the weights, the other is reported on."""
    context: int | None = None
    """Tokens that prompt and response may have; None takes what the model reads, up to 1,024."""
    max_new_tokens: int | None = None
    """Responses of so many tokens or more end there, without an end-of-text token, as in an environment; None lets each end by itself."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_choice(self, "loss", LOSSES)
        check_ranges(self, positive=("beta", "max_new_tokens"))
        if not 0 <= self.label_smoothing < 0.5:
            raise ArgumentError(f"label_smoothing must be at least 0 and below 0.5, got {self.label_smoothing!r}.")
        if self.label_smoothing and self.loss != "sigmoid":
            raise ArgumentError(f'label_smoothing is of the loss "sigmoid"; leave it out for "{self.loss}".')


def sigmoid_loss(margins: torch.Tensor, beta: float, label_smoothing: float | torch.Tensor = 0.0) -> torch.Tensor:
    """-(1-ε) log σ(β h) - ε log σ(-β h) with h = log π(y_w)/π_ref(y_w) - log π(y_l)/π_ref(y_l), elementwise.

    Rafailov et al., equation 7, https://arxiv.org/abs/2305.18290; ε: Mitchell, "A note on DPO with noisy preferences", equation 3,
    https://ericmitchell.ai/cdpo.pdf.

    >>> sigmoid_loss(torch.tensor([0.0, 10.0]), beta=0.1)
    tensor([0.6931, 0.3133])

    Args:
        margins: h, in nats.
        beta: β > 0.
        label_smoothing: ε, the probability that a judgement is the wrong way round; a number or a tensor of the margins' shape.
    """
    return -(1 - label_smoothing) * F.logsigmoid(beta * margins) - label_smoothing * F.logsigmoid(-beta * margins)


def ipo_loss(margins: torch.Tensor, beta: float) -> torch.Tensor:
    """(h - 1/(2β))², elementwise, with h as in `sigmoid_loss`.

    Azar et al., "A General Theoretical Paradigm to Understand Learning from Human Preferences", equation 17,
    https://arxiv.org/abs/2310.12036, where β is called τ. log π of a response is the sum over its tokens, as there: a mean would be
    another loss.

    >>> ipo_loss(torch.tensor([0.0, 5.0]), beta=0.1)
    tensor([25.,  0.])

    Args:
        margins: h, in nats.
        beta: β > 0.
    """
    return (margins - 1 / (2 * beta)).square()


class Preferred(NamedTuple):
    """What came of fitting a policy to judgements."""

    fitted: Fitted
    """See `textenv.agents.fitting`."""
    learnt: int
    """Comparisons that it learnt from."""
    unsaid: int
    """Comparisons that are left out, since they say of no response that it is better."""
    prompts_cut: int
    """Comparisons whose prompt lost its beginning, for lack of room."""
    ends_cut: int
    """Responses that end without an end-of-text token, for lack of room or as longer than an environment lets them be."""
    equal_cut: int
    """Comparisons of which two responses are equal once cut, so that nothing is learnt of these two."""
    unseen: dict[str, float]
    """Measures of comparisons by which nothing was chosen; none where nothing was held out."""


def prefer(
    policy: LanguagePolicy,
    comparisons: Sequence[Comparison],
    config: DPOConfig | None = None,
    *,
    on_row: Callable[[dict[str, float]], None] | None = None,
) -> Preferred:
    """Fit a policy to judgements; what it is at the start is the reference.

    Args:
        policy: is changed in place.
        comparisons: at least one that says which response is better.
        config: see `DPOConfig`.
        on_row: is called with each row of the history as it comes. Terms are means a comparison: `loss`; over its pairs the implicit
            rewards `reward_better` and `reward_worse`, β log(π/π_ref), their difference `margin`, and `accuracy`, the share in which it
            is positive.

    Raises:
        ArgumentError: the comparisons say nothing, are too few to hold some out, have too many responses for the loss, or cannot be
            written by the tokenizer.
        TrainingError: the gradient is not finite.
    """
    config = config or DPOConfig()
    context = context_of(policy, config.context)
    kept = _telling(comparisons, config.loss)
    learnt, *held_out = (Judged(policy, part, config, context) for part in split(kept, config.held_out) if part)
    chosen, unseen = held_out or (None, None)
    evaluate = None if chosen is None else chosen.measure
    fitted = fit(policy, len(learnt), learnt.loss, config, evaluate=evaluate, on_row=on_row)
    measured = {} if unseen is None else unseen.measure()
    prompts_cut, ends_cut, equal_cut = (sum(counts) for counts in zip(*(part.cut for part in (learnt, *held_out)), strict=True))
    left_out = len(comparisons) - len(kept)
    return Preferred(fitted, len(learnt), left_out, prompts_cut, ends_cut, equal_cut, measured)


def _telling(comparisons: Sequence[Comparison], loss: LossName) -> list[Comparison]:
    """Keep the comparisons in which one response is better than another."""
    table = judgements(comparisons)
    says = is_better(table.ranks, table.ranked).any(2).any(1)
    kept = [comparison for comparison, says_it in zip(comparisons, says.tolist(), strict=True) if says_it]
    if not kept:
        raise ArgumentError(f"None of the {len(comparisons)} comparisons says that one response is better than another.")
    most = max(len(comparison.responses) for comparison in kept)
    if loss == "plackett_luce" and most > MOST_RANKED:
        raise ArgumentError(f'The loss "plackett_luce" takes at most {MOST_RANKED} responses a prompt, got {most}; use "sigmoid".')
    return kept


class Judged:
    """Comparisons as tokens, with the log-probabilities of the policy as it is now as the reference's.

    Shapes: b comparisons of a batch, K the most responses that one of them has.

    Args:
        policy: which learns.
        comparisons: each with a response that is better than another.
        config: see `DPOConfig`.
        context: tokens that prompt and response may have.

    Raises:
        ArgumentError: the tokenizer cannot write a response.
    """

    def __init__(self, policy: LanguagePolicy, comparisons: Sequence[Comparison], config: DPOConfig, context: int) -> None:
        self.policy, self.config, self.together = policy, config, packs(policy)
        self.table = judgements(comparisons)
        self.examples = list[list[Example]]()
        self.prompts_cut = self.ends_cut = self.equal_cut = 0
        prompts = encode_prompts([comparison.prompt for comparison in comparisons], policy.tokenizer, "comparisons")
        for prompt, comparison in zip(prompts, comparisons, strict=True):
            policy.contract.check_readable(prompt, f"The prompt {comparison.prompt!r}")
            try:
                examples = encode_responses(prompt, comparison.responses, policy.contract, context, config.max_new_tokens)
            except ArgumentError as error:
                raise ArgumentError(f"A response to the prompt {comparison.prompt!r}: {error}") from error
            self.examples.append(examples)
            self.prompts_cut += len(examples[0].given) < len(prompt)
            self.ends_cut += sum(not policy.contract.is_end(example.predicted[-1]) for example in examples)
            different = {tuple(example.predicted) for example in examples}
            self.equal_cut += len(different) < len(set(comparison.responses))
        self.batches = torch.arange(len(comparisons)).split(config.micro_batch_size or config.batch_size)
        self.reference = torch.zeros(self.table.ranks.shape)  # (B, K)
        with torch.no_grad():
            for rows in self.batches:
                found = self._log_probs(rows)
                self.reference[rows, : found.shape[1]] = found.cpu()

    def __len__(self) -> int:
        return len(self.examples)

    @property
    def cut(self) -> tuple[int, int, int]:
        """Return how many prompts and ends were cut, and comparisons that have equal responses since."""
        return self.prompts_cut, self.ends_cut, self.equal_cut

    def loss(self, rows: torch.Tensor) -> Sums:
        """Sum the loss and what is told of some comparisons."""
        beta, log_probs = self.config.beta, self._log_probs(rows)  # (b, K)
        said = Judgements(*(part[rows, : log_probs.shape[1]].to(log_probs.device) for part in self.table))
        ratios = log_probs - self.reference[rows, : log_probs.shape[1]].to(log_probs.device)
        margins, pairs = ratios[:, :, None] - ratios[:, None, :], is_better(said.ranks, said.ranked)  # (b, K, K) of i over j

        def mean(values: torch.Tensor) -> torch.Tensor:
            """Over the pairs of each comparison, so that each of its (K choose 2) weighs 1/(K choose 2): (b, K, K) to a sum over b."""
            return (values.where(pairs, 0.0).sum((1, 2)) / pairs.sum((1, 2)).clamp(min=1)).sum()

        if self.config.loss == "plackett_luce":
            loss = plackett_luce(beta * ratios, said.ranks, said.ranked).sum()
        elif self.config.loss == "ipo":
            loss = mean(ipo_loss(margins, beta))
        else:
            loss = mean(sigmoid_loss(margins, beta, self.config.label_smoothing))
        rewards = beta * ratios.detach()
        return {
            "loss": loss,
            "reward_better": mean(rewards[:, :, None].expand_as(margins)),
            "reward_worse": mean(rewards[:, None, :].expand_as(margins)),
            "margin": mean(beta * margins.detach()),
            "accuracy": mean((margins.detach().sign() + 1) / 2),
        }

    @torch.no_grad()
    def measure(self) -> dict[str, float]:
        """Tell the means a comparison."""
        sums: dict[str, float] = {}
        for rows in self.batches:
            for name, value in self.loss(rows).items():
                sums[name] = sums.get(name, 0.0) + float(value)
        return {name: value / len(self) for name, value in sums.items()}

    def _log_probs(self, rows: torch.Tensor) -> torch.Tensor:
        """Log π of the responses of some comparisons, all in one forward pass: (b, K), 0 where there is none."""
        chosen = [self.examples[row] for row in rows.tolist()]
        found = example_log_probs(self.policy, [example for examples in chosen for example in examples], together=self.together)
        counts = torch.tensor([len(examples) for examples in chosen], device=found.device)
        there = torch.arange(int(counts.max()), device=found.device) < counts[:, None]  # (b, K)
        return found.new_zeros(there.shape).masked_scatter(there, found)
