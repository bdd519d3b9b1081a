"""Evaluations while a policy learns, and whether it over-optimises its reward."""

from typing import TYPE_CHECKING, Any, Final

import numpy as np
import torch
from numpy.typing import NDArray

from textenv.checkpoint import global_generators, set_global_generators
from textenv.errors import LoadError
from textenv.reports.alarm import have_parted
from textenv.reports.counters import check_kinds, is_count, is_number
from textenv.reports.evaluation import Measured, clusters, measure, summarise

if TYPE_CHECKING:
    from textenv.agents.learner import Learner

EPISODES: Final = 4
"""Of each prompt in each evaluation."""


class Watch:
    """Evaluates a policy again and again on the same prompts with the same draws, so that two evaluations differ by the policy.

    Nothing that training draws from is moved by it. The alarm rings when in two evaluations in a row score and judge
    `have_parted` since the judge's best: one may be a dip.

    Args:
        prompts: (G,) indices of prompts.
        seed: of the draws.
        every: updates from one evaluation to the next.
        stops: whether the alarm ends the training; then the weights of the judge's best are kept.
    """

    def __init__(self, prompts: NDArray[np.int64], seed: int, *, every: int, stops: bool = False) -> None:
        self.prompts, self.seed, self.every, self.stops = np.repeat(prompts, EPISODES), seed, every, stops
        self.best: dict[str, Any] | None = None
        """Of the evaluation in which the judge's mean was highest: update, and score and judge as means of each prompt."""
        self.weights: dict[str, torch.Tensor] = {}
        """Of the policy then, on the CPU, if they are kept."""
        self.parted = False
        """Whether score and judge had parted in the last evaluation."""
        self.over_optimised = False
        """Whether the alarm rang in the last evaluation."""

    @property
    def stopped(self) -> bool:
        """Whether the training is to end."""
        return self.stops and self.over_optimised

    def look(self, agent: "Learner", update: int) -> dict[str, Any]:
        """Evaluate the policy.

        Args:
            agent: learns.
            update: the number of updates so far.

        Returns:
            A row: update, episodes, what `summarise` tells, and alarm, a sentence or empty.
        """
        generators = global_generators()
        measured = measure(agent.policy, agent.reference, agent.envs, self.prompts, self.seed)
        set_global_generators(generators)
        row: dict[str, Any] = {"update": update, "episodes": float(agent.episodes), **summarise(measured), "alarm": ""}
        if measured.judge is not None:
            row["alarm"] = self.compare(update, **_by_prompt(measured, measured.judge))
            if self.stops and self.best is not None and self.best["update"] == update:
                self.weights = {name: value.cpu().clone() for name, value in agent.state_dict()["policy"].items()}
        return row

    def compare(self, update: int, *, score: NDArray[np.float64], judge: NDArray[np.float64]) -> str:
        """Take in an evaluation.

        Args:
            update: the number of updates so far.
            score: (G,) means of each prompt.
            judge: (G,) the same of the judge's.

        Returns:
            The alarm, a sentence without its full stop, or nothing.
        """
        if self.best is None or judge.mean() > np.mean(self.best["judge"]):
            self.best = {"update": update, "score": score.tolist(), "judge": judge.tolist()}
            self.parted = self.over_optimised = False
            return ""
        best_score, best_judge = np.array(self.best["score"]), np.array(self.best["judge"])
        parted = have_parted(score - best_score, judge - best_judge)
        self.parted, self.over_optimised = parted, parted and self.parted
        if not self.over_optimised:
            return ""
        return (
            f"over-optimisation: since update {self.best['update']} the score rose from {best_score.mean():.3f} to {score.mean():.3f}, "
            f"but the judge fell from {best_judge.mean():.3f} to {judge.mean():.3f}"
        )

    def restore_best(self, agent: "Learner") -> None:
        """Give the policy the weights of the judge's best, which must have been kept."""
        agent.policy.load_state_dict(self.weights, strict=False)  # the frozen weights that adapters are beside have not moved
        agent.policy.cache.clear()

    def state_dict(self) -> dict[str, Any]:
        """What later evaluations are compared with, for `textenv.checkpoint.save_state`."""
        return {"best": self.best, "weights": self.weights, "parted": self.parted, "over_optimised": self.over_optimised}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from `state_dict`.

        Raises:
            LoadError: it is none.
        """
        best = state["best"]
        if best is not None and not (
            is_count(best["update"]) and all(len(best[name]) and all(map(is_number, best[name])) for name in ("score", "judge"))
        ):
            raise LoadError(f"its best evaluation cannot be {str(best)[:80]!r}")
        check_kinds({"weights": {}, "parted": False, "over_optimised": False}, state)
        self.best, self.weights, self.parted, self.over_optimised = (
            state[name] for name in ("best", "weights", "parted", "over_optimised")
        )


def _by_prompt(measured: Measured, judge: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
    """Means of score and judge over the episodes of each prompt."""
    groups = clusters(measured.episodes.prompt_index.numpy())
    values = {"score": measured.episodes.scores.double().numpy(), "judge": judge}
    return {name: np.bincount(groups, of) / np.bincount(groups) for name, of in values.items()}
