"""`textenv frontier`."""

import dataclasses
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
from rich.console import Console
from tyro.conf import Positional

from textenv.agents.config import LearnerConfig
from textenv.agents.ppo import PPOConfig
from textenv.commands.output import hide_loading_bars, messages, print_json, results
from textenv.commands.players import PlayerConfig, load_player
from textenv.envs.options import settle_task
from textenv.envs.registry import find_id
from textenv.errors import ArgumentError
from textenv.files import own_folder, replacing
from textenv.models.policy import Precision
from textenv.options import suited
from textenv.reports.console import comparison_table
from textenv.reports.evaluation import measure, summarise
from textenv.reports.frontier import best_of_curve, draw_frontier, reweighted_curve, write_points
from textenv.reports.run import find_run
from textenv.terminal import say
from textenv.training import TrainConfig, for_agent, plain_config, train

__all__ = ["for_agent", "frontier", "run"]

EPISODES_A_PROMPT: Final = 16
BASE_SAMPLES: Final = 128
"""Of each prompt: twice the largest n of best of n, and log 128 = 4.9 nats for the re-weighted base."""
SIZES: Final = range(1, 65)


@dataclasses.dataclass(frozen=True, kw_only=True)
class FrontierConfig:
    """What to train and measure."""

    env: Positional[str]
    """Id of the environment."""
    agent: str = "ppo"
    """Algorithm: a name in `textenv.agents.AGENTS`, or module:Class of a `Learner` of one's own."""
    betas: tuple[float, ...] = (0.02, 0.035, 0.06, 0.1)
    """KL coefficients, in units of score a nat."""
    seeds: int = 3
    """Runs for each, of the seeds from 0 on."""
    episodes: int = 6144
    """Episodes that each learns from."""
    out: Path = Path("frontier")
    """Folder; runs that are finished in it are not repeated."""
    model: str | None = None
    """Policy and reference: an embedded name, a local folder or a hub id; by default the environment's."""
    reward: str | None = None
    """Reward: an embedded name, a local folder, a hub id, or module:function; by default the environment's."""
    task: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    """Options of the environment, by the names of the arguments of `gymnasium.make`."""
    num_envs: int = 256
    """Episodes played side by side."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where the models are."""
    precision: Precision = "fp32"
    """Of forward passes: fp32, or bf16 by autocast."""
    eval_prompts: int = 64
    """Prompts on which all are measured: 16 episodes each, 128 of the base."""
    algorithm: LearnerConfig = dataclasses.field(default_factory=PPOConfig)
    """Options of the agent, but for `kl_coef`."""

    def __post_init__(self) -> None:
        if not self.betas or not all(0 < beta < math.inf for beta in self.betas) or len(set(self.betas)) < len(self.betas):
            raise ArgumentError(f"betas must be positive and different, got {' '.join(f'{beta:g}' for beta in self.betas) or 'none'}.")
        if self.seeds < 1:
            raise ArgumentError(f"seeds must be at least 1, got {self.seeds}.")
        usual = suited(self.env, type(self.algorithm))["algorithm"]
        if self.algorithm.kl_coef != usual.get("kl_coef", type(self.algorithm).kl_coef):
            raise ArgumentError("kl_coef is what betas lists; give betas alone.")
        settle_task(self)
        self.run_of(self.betas[0], 0)  # refuses the other fields as training does

    def run_of(self, beta: float, seed: int) -> TrainConfig:
        """Configure one run."""
        names = ("env", "agent", "episodes", "model", "reward", "task", "num_envs", "device", "precision", "eval_prompts")
        shared = {name: getattr(self, name) for name in names}
        out = self.out / "runs" / f"beta-{beta:g}-seed-{seed}"
        return TrainConfig(**shared, seed=seed, out=out, algorithm=dataclasses.replace(self.algorithm, kl_coef=beta))


def frontier(config: FrontierConfig, console: Console) -> list[dict[str, Any]]:
    """Train what is not trained yet, measure all, and write `frontier.csv`, `frontier.png` and `frontier.svg`.

    Args:
        config: see `FrontierConfig`.
        console: for messages and progress.

    Returns:
        The points, see `reports.frontier.COLUMNS`.

    Raises:
        ArgumentError: there is no such environment, a model does not fit it, the folder holds runs of other options, or another
            process is writing there.
        LoadError: a model or the reward cannot be loaded, or a run is damaged.
    """
    find_id(config.env)
    with own_folder(config.out):
        return _frontier(config, console)


def _frontier(config: FrontierConfig, console: Console) -> list[dict[str, Any]]:
    """Do what `frontier` does in a folder of its own."""
    runs = {(beta, seed): config.run_of(beta, seed) for beta in config.betas for seed in range(config.seeds)}
    left = [run for run in runs.values() if find_run(run.out or Path(), plain_config(run), resume=True) is None]
    for number, run in enumerate(left, start=1):
        say(console, f"Run {number} of {len(left)}: β {run.algorithm.kl_coef:g}, seed {run.seed}.")
        train(dataclasses.replace(run, resume=True), console, results=Console(quiet=True))
    say(console, f"Measuring {len(runs)} policies and the base …")
    points = _points(config, runs)
    write_points(points, config.out / "frontier.csv")
    figure = draw_frontier(points, f"{config.env}: score against KL")
    for suffix in ("png", "svg"):
        with replacing(config.out / f"frontier.{suffix}") as new:
            figure.savefig(new, dpi=150, format=suffix)
    say(console, f"Written to {config.out / 'frontier.csv'}, .png and .svg.")
    return points


def _points(config: FrontierConfig, runs: dict[tuple[float, int], TrainConfig]) -> list[dict[str, Any]]:
    """Measure base and runs on the same prompts."""
    trained, base = [], None
    for (beta, seed), run in runs.items():
        player = PlayerConfig(policy=str(run.out), env=config.env, task=config.task, device=config.device, precision=config.precision)
        policy, reference, envs = load_player(player, config.num_envs)
        prompts = np.random.default_rng(0).permutation(len(envs.unwrapped.prompts))[: config.eval_prompts]
        measured = measure(policy, reference, envs, np.repeat(prompts, EPISODES_A_PROMPT), seed=seed)
        trained.append({"kind": "trained", "beta": beta, "seed": seed, **summarise(measured)})
        base = base or measure(reference, reference, envs, np.repeat(prompts, BASE_SAMPLES), seed=0)
    assert base is not None
    betas = {*config.betas, *np.geomspace(100 * max(config.betas), min(config.betas) / 4, 50).tolist()}
    return [
        {"kind": "base", **summarise(base)},
        *trained,
        *best_of_curve(base, BASE_SAMPLES, SIZES),
        *reweighted_curve(base, BASE_SAMPLES, sorted(betas)),
    ]


def run(config: FrontierConfig, *, json: bool) -> None:
    """Train and measure; print the points, without those that only make the curves smooth."""
    hide_loading_bars()
    points = frontier(config, messages())
    if json:
        print_json(points)
        return
    names = {"base": "base", "trained": "β {beta:g}, seed {seed}", "best_of_n": "best of {best_of}", "reweighted": "exp(score/{beta:g})"}
    told = [point for point in points if point.get("best_of", 1) in (1, 4, 16, 64) and point.get("beta", config.betas[0]) in config.betas]
    results().print(comparison_table({names[point["kind"]].format(**point): point for point in told if point.get("best_of") != 1}))
