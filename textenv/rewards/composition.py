"""Rewards made of rewards.

A part is whatever `load_reward` takes: a callable, an embedded name, a folder or a hub id. Each is called with what its own
signature accepts, and parts of parts are reported as `outer_inner`.
"""

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from textenv.errors import ArgumentError, RewardError
from textenv.models.hub import locate
from textenv.rewards.loading import load_reward
from textenv.rewards.protocol import Scored, Scores, call_reward, needed, reward_name, takes_pieces

RewardLike: TypeAlias = str | Path | Callable[..., Any]


def _number(owner: str, name: str, value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float | np.number) or not math.isfinite(value):
        raise ArgumentError(f"{owner} needs a finite number as {name}, got {value!r}.")


def _check(owner: str, reward: RewardLike) -> None:
    """Refuse what cannot be a part, before anything is scored."""
    if isinstance(reward, str | Path):
        locate(reward, "reward")
    elif not callable(reward):
        raise ArgumentError(f"{owner} is made of rewards: names, paths or callables; {reward!r} is none.")
    elif takes_pieces(load_reward(reward)):
        raise ArgumentError(f"{owner} takes rewards with one value a text; {reward_name(reward)} returns one a piece.")


def _check_names(owner: str, parts: Mapping[str, Any]) -> None:
    if not isinstance(parts, Mapping) or not parts:
        raise ArgumentError(f"{owner} needs a dictionary of named parts, got {parts!r}.")
    for name in parts:
        if not isinstance(name, str) or not name.isidentifier() or name == "se":
            raise ArgumentError(f'{owner} cannot call a part {name!r}; use a name such as "fluency".')


def _columns(rewards: Iterable[RewardLike]) -> tuple[str, ...]:
    """Join the columns that some rewards need."""
    names = [name for reward in rewards if callable(reward) for name in needed(load_reward(reward))]
    return tuple(name for name in dict.fromkeys(names) if name not in ("prompts", "completions"))


def _score_all(
    parts: Mapping[str, RewardLike], device: str, prompts: Sequence[str], completions: Sequence[str], columns: Mapping[str, Any]
) -> dict[str, Scored]:
    return {name: call_reward(load_reward(part, device=device), prompts, completions, columns) for name, part in parts.items()}


def _parts(scored: Mapping[str, Scored]) -> dict[str, NDArray[np.float64]]:
    """Name the parts and the parts of the parts, n values each."""
    found = {}
    for name, part in scored.items():
        found[name] = part.scores
        found.update({f"{name}_{inner}": values for inner, values in part.parts.items()})
    return found


@dataclass(frozen=True)
class WeightedSum:
    """Σ weight x score over some rewards; the parts are reported unweighted.

    Its range follows from theirs: with scores in [0, 1] and weights that sum to 1, it is [0, 1].

    Args:
        parts: name to weight and reward; a negative weight makes a penalty.
        device: of rewards that hold models.

    Raises:
        ArgumentError: there is no part, a name is no identifier, a weight no finite number, or a part no reward by text.
        LoadError: there is no reward of that name.
    """

    parts: Mapping[str, tuple[float, RewardLike]]
    device: str = "cpu"

    def __post_init__(self) -> None:
        _check_names("WeightedSum", self.parts)
        for name, pair in self.parts.items():
            if not isinstance(pair, Sequence) or isinstance(pair, str) or len(pair) != 2:
                raise ArgumentError(f"WeightedSum needs a pair of weight and reward as {name}, got {pair!r}.")
            _number("WeightedSum", f"the weight of {name}", pair[0])
            _check("WeightedSum", pair[1])

    @property
    def columns(self) -> tuple[str, ...]:
        """What the parts need beside prompts and completions."""
        return _columns(reward for _, reward in self.parts.values())

    def __call__(self, prompts: Sequence[str], completions: Sequence[str], **columns: Any) -> Scores:
        """Score n texts."""
        rewards = {name: reward for name, (_, reward) in self.parts.items()}
        scored = _score_all(rewards, self.device, prompts, completions, columns)
        weighted = [weight * scored[name].scores for name, (weight, _) in self.parts.items()]  # (n,) each
        return Scores(np.sum(weighted, axis=0), parts=_parts(scored))


@dataclass(frozen=True)
class Product:
    """The product of some rewards, so that all must be high; in [0, 1] when each is.

    Args:
        parts: name to reward.
        device: of rewards that hold models.

    Raises:
        ArgumentError: there is no part, a name is no identifier, or a part no reward by text.
        LoadError: there is no reward of that name.
    """

    parts: Mapping[str, RewardLike]
    device: str = "cpu"

    def __post_init__(self) -> None:
        _check_names("Product", self.parts)
        for reward in self.parts.values():
            _check("Product", reward)

    @property
    def columns(self) -> tuple[str, ...]:
        """What the parts need beside prompts and completions."""
        return _columns(self.parts.values())

    def __call__(self, prompts: Sequence[str], completions: Sequence[str], **columns: Any) -> Scores:
        """Score n texts."""
        scored = _score_all(self.parts, self.device, prompts, completions, columns)
        return Scores(np.prod([part.scores for part in scored.values()], axis=0), parts=_parts(scored))


@dataclass(frozen=True)
class ByColumn:
    """Another reward for each value of a column, as for each kind of task in a mixed prompt set.

    Args:
        column: of the prompt set.
        rewards: value of the column to reward.
        device: of rewards that hold models.

    Raises:
        ArgumentError: there is no reward, or one is none by text.
        LoadError: there is no reward of that name.
        RewardError: when called, the column holds a value without a reward.
    """

    column: str
    rewards: Mapping[str, RewardLike]
    device: str = "cpu"

    def __post_init__(self) -> None:
        if not isinstance(self.rewards, Mapping) or not self.rewards:
            raise ArgumentError(f"ByColumn needs a dictionary of values and rewards, got {self.rewards!r}.")
        for reward in self.rewards.values():
            _check("ByColumn", reward)

    @property
    def columns(self) -> tuple[str, ...]:
        """The column, and what the rewards need beside prompts and completions."""
        return tuple(dict.fromkeys((self.column, *_columns(self.rewards.values()))))

    def __call__(self, prompts: Sequence[str], completions: Sequence[str], **columns: Any) -> list[float]:
        """Score n texts."""
        scores = np.empty(len(completions))
        rows_of = defaultdict[str, list[int]](list)
        for row, value in enumerate(columns[self.column]):
            rows_of[value].append(row)
        for value, rows in rows_of.items():
            if value not in self.rewards:
                raise RewardError(
                    f'The column "{self.column}" holds {value!r}, for which there is no reward, only for {", ".join(self.rewards)}.'
                )
            own = [[values[row] for row in rows] for values in (prompts, completions, *columns.values())]
            reward = load_reward(self.rewards[value], device=self.device)
            scores[rows] = call_reward(reward, own[0], own[1], dict(zip(columns, own[2:], strict=True))).scores
        return [float(score) for score in scores]


@dataclass(frozen=True)
class BestReference:
    """The highest score of a reward over several references, for prompts with more than one right answer.

    So a right answer is not paid less because the one reference says it in other words, as in Lin, "ROUGE: A Package for
    Automatic Evaluation of Summaries", section 2.1, https://aclanthology.org/W04-1013.

    Args:
        reward: that compares with the column "reference"; its parts are reported for the best reference.
        column: of the prompt set, with a list of references each, which stand in for "reference" one after another.
        device: of a reward that holds a model.

    Raises:
        ArgumentError: the reward is none by text, or says that it reads other columns than "reference".
        LoadError: there is no reward of that name.
        RewardError: when called, the column holds something else than a list of references.
    """

    reward: RewardLike
    column: str = "accepted"
    device: str = "cpu"

    def __post_init__(self) -> None:
        _check("BestReference", self.reward)
        if callable(self.reward) and "reference" not in _columns([self.reward]):
            raise ArgumentError(f'BestReference needs a reward that compares with the column "reference", got {self.reward!r}.')

    @property
    def columns(self) -> tuple[str, ...]:
        """The column of the lists, and what the reward needs beside it."""
        return (self.column, *(name for name in _columns([self.reward]) if name not in (self.column, "reference")))

    def __call__(self, prompts: Sequence[str], completions: Sequence[str], **columns: Any) -> Scores:
        """Score n texts."""
        lists = columns[self.column]
        for prompt, references in zip(prompts, lists, strict=True):
            if not isinstance(references, list | tuple) or not references:
                raise RewardError(
                    f'The column "{self.column}" must hold lists of one or more references, got {references!r} for {prompt!r}.'
                )
        # A row for each reference of each text.
        rows = [row for row, references in enumerate(lists) for _ in references]
        own = {name: [values[row] for row in rows] for name, values in columns.items()}
        own["reference"] = [reference for references in lists for reference in references]
        reward = load_reward(self.reward, device=self.device)
        scored = call_reward(reward, [prompts[row] for row in rows], [completions[row] for row in rows], own)
        # The rows of each text stand together, with its best first.
        order = np.lexsort((-scored.scores, np.array(rows)))
        best = order[np.searchsorted(rows, np.arange(len(completions)))]
        return Scores(scored.scores[best], parts={name: values[best] for name, values in scored.parts.items()})


@dataclass(frozen=True)
class Clip:
    """A reward's score, moved into [low, high] where it lies outside.

    Args:
        reward: whose parts are passed on.
        low: least score.
        high: greatest score.
        device: of a reward that holds a model.

    Raises:
        ArgumentError: low is not below high, or the reward is none by text.
        LoadError: there is no reward of that name.
    """

    reward: RewardLike
    low: float = 0.0
    high: float = 1.0
    device: str = "cpu"

    def __post_init__(self) -> None:
        _number("Clip", "low", self.low)
        _number("Clip", "high", self.high)
        if self.low >= self.high:
            raise ArgumentError(f"Clip needs low below high, got low={self.low} and high={self.high}.")
        _check("Clip", self.reward)

    @property
    def columns(self) -> tuple[str, ...]:
        """What the reward needs beside prompts and completions."""
        return _columns([self.reward])

    def __call__(self, prompts: Sequence[str], completions: Sequence[str], **columns: Any) -> Scores:
        """Score n texts."""
        found = call_reward(load_reward(self.reward, device=self.device), prompts, completions, columns)
        return Scores(np.clip(found.scores, self.low, self.high), parts=found.parts)


@dataclass(frozen=True)
class Affine:
    """`gain` x score + `bias`; a negative gain turns the direction round.

    Args:
        reward: whose parts are passed on.
        gain: in units of the new score a unit of the old.
        bias: in units of the new score.
        device: of a reward that holds a model.

    Raises:
        ArgumentError: gain or bias is no finite number, or the reward is none by text.
        LoadError: there is no reward of that name.
    """

    reward: RewardLike
    gain: float = 1.0
    bias: float = 0.0
    device: str = "cpu"

    def __post_init__(self) -> None:
        _number("Affine", "gain", self.gain)
        _number("Affine", "bias", self.bias)
        _check("Affine", self.reward)

    @property
    def columns(self) -> tuple[str, ...]:
        """What the reward needs beside prompts and completions."""
        return _columns([self.reward])

    def __call__(self, prompts: Sequence[str], completions: Sequence[str], **columns: Any) -> Scores:
        """Score n texts."""
        found = call_reward(load_reward(self.reward, device=self.device), prompts, completions, columns)
        return Scores(self.gain * found.scores + self.bias, parts=found.parts)


def calibrated(reward: RewardLike, scores: ArrayLike) -> Affine:
    """Give a reward the mean 0 and the standard deviation 1 over some of its scores, as those of the reference policy's episodes.

    (score - mean) / sd, of Ziegler et al., "Fine-Tuning Language Models from Human Preferences", section 2,
    https://arxiv.org/abs/1909.08593: `calibrated(reward, textenv.collect(policy, envs, 256, seed=0).scores)`.

    Args:
        reward: as `Affine` takes it.
        scores: (n,) of the reward, n at least 2.

    Raises:
        ArgumentError: there are fewer than two finite scores, or they are all the same.
    """
    values = np.asarray(scores, dtype=np.float64)
    if values.ndim != 1 or len(values) < 2 or not np.isfinite(values).all() or np.ptp(values) == 0:
        raise ArgumentError(f"calibrated needs two or more finite scores that differ, got {np.array2string(values, threshold=6)}.")
    gain = float(1 / values.std())
    return Affine(reward, gain=gain, bias=float(-values.mean() * gain))
