"""`textenv check`."""

import dataclasses
import math
import sys
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from tyro.conf import Positional

from textenv.commands.output import hide_loading_bars, results
from textenv.envs.options import settle_task
from textenv.envs.registry import BUILT_IN, find_id
from textenv.errors import ArgumentError
from textenv.terminal import plain, sentence

if TYPE_CHECKING:
    from rich.table import Table

    from textenv.reports.probe import Gaming

EPISODES: Final = 64
"""Of the default policy, from which the warnings are drawn."""
MANY_PROMPTS: Final = 100
HIGH_SCORE: Final = 0.9


@dataclasses.dataclass(frozen=True, kw_only=True)
class CheckConfig:
    """What to check."""

    env: Positional[str | None] = None
    """Id of the environment, also with the module that registers it: my_module:Name-v0."""
    all: bool = False
    """Check every environment that comes with textenv, a line each."""
    task: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    """Options of the environment, by the names of the arguments of `gymnasium.make`."""

    def __post_init__(self) -> None:
        settle_task(self)
        if (self.env is None) is not self.all:
            raise ArgumentError("check needs either the id of an environment or --all.")
        if self.all and self.task:
            raise ArgumentError(f"{next(iter(self.task))} is an option of one environment; leave it out, or name one in place of --all.")


def doubts(id: str, **arguments: Any) -> list[str]:
    """List what keeps the contract and yet is seldom meant, by a look at the prompts and at what the default policy writes.

    Args:
        id: of a registered environment.
        **arguments: of `gymnasium.make`.

    Returns:
        Sentences; empty when there is nothing to warn of.
    """
    import gymnasium

    from textenv.models.policy import LanguagePolicy
    from textenv.rollouts.collect import collect

    envs: Any = gymnasium.make_vec(id, num_envs=EPISODES, **arguments)
    rules = envs.unwrapped.rules
    task, count, dropped = rules.task, len(rules.prompts.texts), rules.prompts.dropped
    episodes = collect(LanguagePolicy.for_rules(rules), envs, EPISODES, seed=0)
    scores, by_stop = episodes.scores.numpy(), episodes.finish_reasons.count("stop")
    limit = rules.prompt_columns + int(dropped.max())
    toy = task.model is None  # so small that its prompts are all there are, and its score exact
    table = {
        f"{np.count_nonzero(dropped)} of {count} prompts lose their beginning; set max_prompt_tokens={limit}.": dropped.any(),
        f"Of {count} prompts a policy learns each by heart; give {MANY_PROMPTS} or more.": count < MANY_PROMPTS and not toy,
        "There is no judge to tell whether a better score is a better text; give judge another scorer.": task.judge is None and not toy,
        f"The default policy scores {scores.mean():.2f} of 1 before training, which leaves nothing to learn; ask for more.": (
            scores.min() >= 0 and scores.max() <= 1 and scores.mean() >= HIGH_SCORE
        ),
        f"All {EPISODES} texts of the default policy score {scores[0]:g}, so there is nothing to learn from; pay for small steps too.": (
            np.ptp(scores) == 0
        ),
        f"The stop rule ends none of {EPISODES} texts of the default policy; is it what these texts can hold?": (
            task.stop is not None and by_stop == 0
        ),
    }
    return [sentence for sentence, holds in table.items() if holds]


def run(config: CheckConfig) -> None:
    """Check, say that it went well, show what answers that game the reward earn, and warn."""
    hide_loading_bars()
    if config.env is None:
        _check_all()
        return
    name = find_id(config.env)
    from textenv.envs.checker import check
    from textenv.reports.probe import gaming
    from textenv.training import check_training

    check_training(name)
    check(name, **config.task)
    print(sentence(f"{config.env} keeps the contract."), flush=True)
    warnings = doubts(name, **config.task)
    probed = gaming(name, **config.task)
    print(sentence(probed.summary()))
    results().print(_games_table(probed))
    for warning in (*warnings, *probed.warnings()):
        print(sentence(f"Warning: {warning}"))


def _games_table(probed: "Gaming") -> "Table":
    """Put what answers earn under each other."""
    from rich.table import Table

    table = Table("answer", "earns", "±", "prompts", box=None, pad_edge=False, caption="± one standard error over prompts")
    for name, (mean, error, prompts) in probed.means().items():
        table.add_row(plain(name), f"{mean:.3f}", "" if math.isnan(error) else f"{error:.3f}", str(prompts))
    return table


def _check_all() -> None:
    from textenv.envs.checker import check
    from textenv.reports.probe import gaming
    from textenv.training import check_training

    failures = warnings = 0
    for id in BUILT_IN:
        begun = time.perf_counter()
        try:
            check_training(id)
            check(id)
            probed = gaming(id)
            found = [f"Warning: {warning}" for warning in (*doubts(id), *probed.warnings())]
            warnings += len(found)
            outcome = " ".join(["keeps the contract.", probed.summary(), *found])
        except Exception as error:  # of a library too: the other environments are still to be checked
            outcome = f"failure: {error}"
            failures += 1
        print(sentence(f"{id}: {outcome} ({time.perf_counter() - begun:.1f} s)"), flush=True)
    print(f"{len(BUILT_IN)} environments, {failures} failures, {warnings} warnings")
    if failures:
        sys.exit(1)
