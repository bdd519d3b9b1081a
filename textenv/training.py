"""A whole training run: measure, learn, measure again, and say what came of it."""

import dataclasses
import time
from pathlib import Path
from typing import Any, Literal

import gymnasium
import numpy as np
import torch
import tyro
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from textenv.agents.ppo import PPO, PPOConfig
from textenv.envs.registry import find_id, task_of
from textenv.errors import ArgumentError
from textenv.models.policy import LanguagePolicy, Precision
from textenv.reports.alarm import collapse_signs
from textenv.reports.console import comparison_table, examples_table
from textenv.reports.evaluation import Measured, best_of_n, distinct, measure, reweighted, summarise
from textenv.reports.html import write_report
from textenv.reports.run import Run
from textenv.rewards.loading import load_reward
from textenv.rewards.protocol import reward_name
from textenv.types import Episodes

CHECKPOINT_EVERY = 5
BEST_OF = 16


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """One training run."""

    env: tyro.conf.Positional[str]
    """Id of the environment."""
    agent: Literal["ppo"] = "ppo"
    """Algorithm."""
    episodes: int = 6144
    """Episodes to learn from."""
    seed: int = 0
    """Of the draws, the prompts and the order of minibatches."""
    model: str | None = None
    """Policy: an embedded name, a local folder or a hub id; by default the environment's."""
    reward: str | None = None
    """Reward: an embedded name, a local folder or a hub id; by default the environment's."""
    out: Path | None = None
    """Folder of the run, new or empty; by default runs/ID-agent-seed."""
    num_envs: int = 256
    """Episodes played side by side."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where the models are."""
    precision: Precision = "fp32"
    """Of forward passes: fp32, or bf16 by autocast."""
    temperature: float = 1.0
    """Of the policy's and the reference's distributions."""
    eval_prompts: int = 64
    """Prompts of the evaluations before and after, 16 episodes each."""
    ppo: PPOConfig = dataclasses.field(default_factory=PPOConfig)

    def __post_init__(self) -> None:
        for name in ("episodes", "num_envs", "eval_prompts"):
            if getattr(self, name) < 1:
                raise ArgumentError(f"{name} must be at least 1, got {getattr(self, name)}.")
        if self.seed < 0:
            raise ArgumentError(f"seed must be at least 0, got {self.seed}.")
        if self.device == "cuda" and not torch.cuda.is_available():
            raise ArgumentError("device is cuda, but torch sees no GPU; use --device cpu.")


def train(config: TrainConfig, console: Console | None = None, *, results: Console | None = None) -> dict[str, Any]:
    """Train as `textenv train` does.

    Args:
        config: what to train.
        console: for messages and progress, by default stderr.
        results: for the closing tables, by default `console`.

    Returns:
        What stands in `summary.json`.

    Raises:
        ArgumentError: the run folder exists, or the environment or model do not fit.
    """
    console = console or Console(stderr=True)
    out = config.out or Path("runs") / f"{config.env.replace('/', '-').replace(':', '-')}-{config.agent}-{config.seed}"
    device = ("cuda" if torch.cuda.is_available() else "cpu") if config.device == "auto" else config.device
    envs = _make_envs(config, device)
    rules = envs.unwrapped.rules
    policy = LanguagePolicy.for_rules(rules, config.model, temperature=config.temperature, precision=config.precision, device=device)
    agent = PPO(policy, envs, config.ppo, seed=config.seed)
    run = Run(out, {**dataclasses.asdict(config), "out": str(out), "device": device})

    # Streams of their own, so that the evaluations share no draws with the training.
    prompt_seed, before_seed, after_seed = (int(seed) for seed in np.random.SeedSequence(config.seed).generate_state(3))
    chosen = np.random.default_rng(prompt_seed).permutation(len(envs.unwrapped.prompts))[: config.eval_prompts]
    prompts = np.repeat(chosen, BEST_OF)
    console.print(f"{config.env}: measuring the policy before training ({len(prompts)} episodes) …")
    before = measure(policy, agent.reference, envs, prompts, seed=before_seed)
    run.evaluation("before", before, policy.tokenizer)
    started = time.perf_counter()
    tokens = _learn(agent, run, config, console)
    seconds = time.perf_counter() - started
    after = measure(policy, agent.reference, envs, prompts, seed=after_seed)
    run.evaluation("after", after, policy.tokenizer)

    rows = {"before": summarise(before), "after": summarise(after)}
    rows[f"best of {BEST_OF}"] = best_of_n(before, BEST_OF)
    if config.ppo.kl_coef > 0:
        rows[f"exp(score/{config.ppo.kl_coef:g})"] = reweighted(before, BEST_OF, config.ppo.kl_coef)
    summary = _summary(config, rows, seconds, tokens, agent.episodes, rules)
    run.finish(agent, summary)
    write_report([out], out / "report.html")
    _report(results or console, before, after, rows, BEST_OF)
    console.print(f"Trained on {agent.episodes} episodes, {tokens} tokens, in {seconds:.0f} s. Written to {out}/.", soft_wrap=True)
    return summary


def _make_envs(config: TrainConfig, device: str) -> Any:
    """Make the environments; an id that is not textenv's is refused."""
    name = find_id(config.env)
    fields: dict[str, Any] = {"reward": load_reward(config.reward or task_of(name).reward, device=device)}
    if config.model is not None:
        fields["tokenizer"] = config.model  # the policy's tokens are the environment's actions
    return gymnasium.make_vec(name, num_envs=config.num_envs, **fields)


def _learn(agent: PPO, run: Run, config: TrainConfig, console: Console) -> int:
    """Learn with a progress bar and the recorder; return the number of tokens played."""
    first: dict[str, Any] = {}
    told: set[str] = set()
    tokens, started = 0, time.perf_counter()
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.completed}/{task.total} episodes"), TimeRemainingColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        bar = progress.add_task("training", total=config.episodes)

        def after_update(metrics: dict[str, float], episodes: Episodes) -> None:
            nonlocal tokens
            tokens += int(episodes.lengths.sum())
            seconds = time.perf_counter() - started
            row: dict[str, Any] = {**metrics, "distinct2": distinct(episodes.completions), "seconds": round(seconds, 3)}
            row["tokens_per_second"] = round(tokens / seconds, 1)
            first.update({name: first.get(name, row[name]) for name in ("distinct2", "entropy", "kl_k1")})
            signs = collapse_signs(row, first)
            run.record({**row, "alarm": "; ".join(signs)}, episodes, agent.policy.tokenizer)
            if run.updates % CHECKPOINT_EVERY == 0:
                run.checkpoint(agent)
            for sign in signs:
                if sign.split()[0] not in told:
                    told.add(sign.split()[0])
                    console.print(f"[yellow]collapse alarm[/]: {sign}.")
            shown = f"score {row['score']:.3f}  KL {row['kl_k1']:.2f}  {row['tokens_per_second']:.0f} tokens/s"
            progress.update(bar, completed=min(agent.episodes, config.episodes), description=shown)

        agent.learn(config.episodes, after_update)
    return tokens


def _summary(
    config: TrainConfig, rows: dict[str, dict[str, float]], seconds: float, tokens: int, episodes: int, rules: Any
) -> dict[str, Any]:
    return {
        "env": config.env,
        "agent": config.agent,
        "model": config.model or rules.task.model or "toy",
        "reward": reward_name(rules.reward),
        "seed": config.seed,
        "episodes": episodes,
        "tokens": tokens,
        "train_seconds": round(seconds, 1),
        **{
            f"{name}_{when}": rows[when].get(name) for name in ("score", "judge", "distinct2", "perplexity") for when in ("before", "after")
        },
        "kl_k1": rows["after"]["kl_k1"],
        "kl_exact": rows["after"]["kl_exact"],
        "table": rows,
    }


def _report(console: Console, before: Measured, after: Measured, rows: dict[str, dict[str, float]], group: int) -> None:
    """Show ten prompts before and after, and the table."""
    picks = [group * i for i in range(min(10, len(before.episodes) // group))]
    console.print(examples_table(before, after, picks))
    console.print(comparison_table(rows))
