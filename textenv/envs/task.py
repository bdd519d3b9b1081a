"""The task record: everything that makes one environment different from another."""

import dataclasses
import functools
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from textenv.envs.inputs import brief, is_integer
from textenv.errors import ArgumentError, did_you_mean

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

RewardLike: TypeAlias = str | Path | Callable[..., Any]
MOST_COLUMNS: Final = 2**20
"""Of prompt or response: more than any model reads, and so a slip rather than a wish."""
StopRule: TypeAlias = str | Sequence[str] | Callable[[str], bool]
TRAINING: Final = frozenset(
    "advantage baseline bc_coef bc_minibatch_size bc_steps clip_range conjugate_gradients critic"
    " critic_epochs damping demonstrations double dr_grpo entropy_coef episodes"
    " episodes_per_update epochs epsilon expert expert_decay exploration final_epsilon"
    " fisher_episodes form gamma group_size intervention_rate judge_temperature kl_coef"
    " kl_horizon kl_in kl_target lam layers learning_rate linear_decay max_grad_norm max_kl"
    " mean_decay micro_batch_size minibatch_size n n_steps penalty_coef penalty_target"
    " ptx_batch_size ptx_coef ptx_corpus replay_size returns rl separate_critic softness"
    " steps_per_update target_kl target_steps top_k value_clip_range value_coef"
    " warmup_episodes whiten_advantages win_score".split()
)
"""Options of training that a task may set: `episodes`, and those of any agent of textenv."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Task:
    """What an environment asks for; every field is also a keyword of `gymnasium.make`.

    Raises:
        ArgumentError: a number is out of its range.
    """

    prompts: Any
    """A list of texts or of rows, a DataFrame, a `datasets` object or hub id, or a path to
    .txt, .csv, .tsv, .json, .jsonl or .parquet (or .gz)."""
    reward: RewardLike
    """The score: an embedded name, a local path, a hub id, or any callable (see `textenv.rewards`)."""
    tokenizer: "str | Path | PreTrainedTokenizerBase" = "tiny-en"
    """An embedded name, a local path, a hub id or a tokenizer."""
    end_tokens: Sequence[str | int] | None = None
    """All tokens that end a text, by name or id; None takes the tokenizer's end of text and those that the model's
    `generation_config.json`, in the tokenizer's folder, names beside it."""
    max_prompt_tokens: int = 32
    """P: columns of the observation for the prompt."""
    max_new_tokens: int = 24
    """T: columns of the observation for the response; the episode ends with the last."""
    min_new_tokens: int = 0
    """Before so many tokens the end-of-text token is forbidden."""
    stop: StopRule | None = None
    """End the episode when the completion holds one of these strings, or when this function of it is true."""
    action_mask: Callable[[NDArray[np.int32]], NDArray[np.bool_]] | None = None
    """Maps an observation (P+T,) to the allowed tokens (V,)."""
    missing_eos_penalty: float = 0.0
    """Subtracted from the score of an episode that ends by its length."""
    on_long_prompt: Literal["error", "truncate", "widen"] = "error"
    """Of prompts of more than P tokens: refuse them; cut their beginnings, but for the token that every text of the model begins
    with; or let P be the tokens of the longest, for tokenizers of which nobody knows how many tokens they need."""
    potential: RewardLike | None = None
    """Φ of an unfinished text, called as a reward is. Then each token is paid what it adds to Φ, and the last what is missing of
    the score, so that payments still sum to the score: potential-based shaping, which tells early what a token is worth and
    at γ = 1 moves no optimum (Ng, Harada and Russell 1999, https://people.eecs.berkeley.edu/~russell/papers/icml99-shaping.pdf);
    below 1 it does, and the agents refuse it. With Φ the score itself, score differences are paid at every token."""
    judge: RewardLike | None = None
    """An independent scorer, used only in evaluation."""
    model: str | None = "tiny-en"
    """The policy that acts here by default; None is a small, randomly initialised model over the vocabulary."""
    training: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    """Options of training that suit the environment, such as {"episodes": 12288, "kl_coef": 0.008},
    by the names of `textenv train`. They stand in for the defaults, and what a user gives comes
    before them. They are meant for PPO; another agent takes those that it has, but keeps a default
    that differs from PPO's."""

    def __post_init__(self) -> None:
        for name, least in (("max_prompt_tokens", 1), ("max_new_tokens", 1), ("min_new_tokens", 0)):
            value = getattr(self, name)
            if not is_integer(value, least):
                raise ArgumentError(f"{name} must be an integer of at least {least}, got {brief(value)}.")
            if value > MOST_COLUMNS:
                raise ArgumentError(f"{name} must be at most {MOST_COLUMNS}, got {brief(value)}.")
        if self.min_new_tokens > self.max_new_tokens:
            raise ArgumentError(f"min_new_tokens={self.min_new_tokens} exceeds max_new_tokens={self.max_new_tokens}; lower it.")
        if not isinstance(self.on_long_prompt, str) or self.on_long_prompt not in ("error", "truncate", "widen"):
            raise ArgumentError(f'on_long_prompt must be "error", "truncate" or "widen", got {brief(self.on_long_prompt)}.')
        penalty = self.missing_eos_penalty
        if isinstance(penalty, bool) or not isinstance(penalty, int | float | np.number) or not 0 <= penalty < float("inf"):
            raise ArgumentError(f"missing_eos_penalty must be a number of at least 0, got {brief(self.missing_eos_penalty)}.")
        if not (isinstance(self.reward, str | Path) or callable(self.reward)):
            raise ArgumentError(f"reward must be a name, a path or a callable, got {brief(self.reward)}.")
        if not (self.action_mask is None or callable(self.action_mask)):
            raise ArgumentError(f"action_mask must be None or a function of an observation, got {brief(self.action_mask)}.")
        if not isinstance(self.model, str | Path | None):
            raise ArgumentError(f"model must be None, a name or a path, got {brief(self.model)}.")
        for name in ("judge", "potential"):
            value = getattr(self, name)
            if not (value is None or isinstance(value, str | Path) or callable(value)):
                raise ArgumentError(f"{name} must be None, a name, a path or a callable, got {brief(value)}.")
        _check_training(self.training)
        # A copy, so that whoever made the mapping can no longer change the task by it.
        object.__setattr__(self, "training", dict(self.training))

    def replace(self, **fields: Any) -> "Task":
        """Copy the task with other values in some fields.

        Raises:
            ArgumentError: no field has that name.
        """
        check_names(fields)
        return dataclasses.replace(self, **fields)


def _check_training(training: Any) -> None:
    """Refuse what is no mapping of options of training to plain data."""
    if not isinstance(training, Mapping):
        raise ArgumentError(f'training must map options of training to values, such as {{"kl_coef": 0.01}}, got {brief(training)}.')
    for name, value in training.items():
        if name not in TRAINING:
            raise ArgumentError(f"training has no option {brief(name)}.{did_you_mean(str(name), TRAINING)}")
        if not isinstance(value, bool | int | float | str):
            raise ArgumentError(f"{name} in training must be a number, a text, True or False, got {brief(value)}.")


def check_names(names: Iterable[str], own: Sequence[str] = ()) -> None:
    """Refuse names that are neither fields of a task nor the environment's `own` arguments.

    Raises:
        ArgumentError: with the nearest known name.
    """
    known = [*own, *(field.name for field in dataclasses.fields(Task))]
    for name in names:
        if name not in known:
            others = [*dict.fromkeys([*known, "autoreset_mode", "infos", "kl_coef", "reference", "render_mode"])]
            raise ArgumentError(f'There is no argument "{name}".{did_you_mean(name, others)}')


def stop_function(stop: StopRule | None) -> Callable[[str], bool] | None:
    """Make a predicate of a stop rule.

    >>> stop_function(["?", "!"])("Really")
    False
    >>> stop_function("!")("Yes!")
    True
    """
    if stop is None or (callable(stop) and not isinstance(stop, str)):
        return stop
    strings = (stop,) if isinstance(stop, str) else tuple(stop) if isinstance(stop, Sequence) else ()
    if not strings or not all(isinstance(string, str) and string for string in strings):
        raise ArgumentError(f"stop must be a string, several, or a function of the completion, got {brief(stop)}.")
    return functools.partial(_holds_any, strings)


def _holds_any(strings: tuple[str, ...], completion: str) -> bool:
    return any(string in completion for string in strings)
