"""`textenv eval`."""

import dataclasses
from typing import Any

import numpy as np

from textenv.commands.output import hide_loading_bars, print_json, results
from textenv.commands.players import PlayerConfig, load_player
from textenv.errors import ArgumentError
from textenv.reports.console import measures_table
from textenv.reports.evaluation import measure, summarise


@dataclasses.dataclass(frozen=True, kw_only=True)
class EvalConfig(PlayerConfig):
    """What to measure."""

    episodes: int = 512
    """Episodes, spread evenly over the prompts."""
    num_envs: int = 256
    """Episodes played side by side."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("episodes", "num_envs"):
            if getattr(self, name) < 1:
                raise ArgumentError(f"{name} must be at least 1, got {getattr(self, name)}.")


def evaluate(config: EvalConfig) -> dict[str, float]:
    """Measure a policy as `textenv eval` does.

    Returns:
        See `reports.evaluation.summarise`.

    Raises:
        ArgumentError: there is no such environment, or the models do not fit it.
        LoadError: a model or the reward cannot be loaded.
    """
    policy, reference, envs = load_player(config, min(config.num_envs, config.episodes))
    prompt_seed, draw_seed = (int(seed) for seed in np.random.SeedSequence(config.seed).generate_state(2))
    prompts = np.random.default_rng(prompt_seed).permutation(len(envs.unwrapped.prompts))
    return summarise(measure(policy, reference, envs, np.resize(prompts, config.episodes), draw_seed))


def run(config: EvalConfig, *, json: bool) -> None:
    """Measure, and print a row per measure."""
    hide_loading_bars()
    row = evaluate(config)
    if json:
        named: dict[str, Any] = {"policy": config.policy, "env": config.env, "seed": config.seed, **row}
        print_json(named)
    else:
        results().print(measures_table(row, f"{config.policy} in {config.env}"))
