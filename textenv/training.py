"""A whole training run: measure, learn, measure again, and say what came of it."""

import contextlib
import dataclasses
import functools
import math
import re
import shlex
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Literal, TypeVar

import gymnasium
import numpy as np
import torch
import tyro
from rich.console import Console

from textenv.agents import AGENTS, agent_class
from textenv.agents.best_of_n import BestOfN
from textenv.agents.config import LearnerConfig
from textenv.agents.learner import Learner
from textenv.agents.ppo import PPOConfig
from textenv.checkpoint import set_global_generators
from textenv.envs.options import option_word, option_words, settle_task
from textenv.envs.registry import find_id, task_on
from textenv.envs.rules import Rules
from textenv.envs.vector import text_envs
from textenv.errors import ArgumentError, SaveError, TrainingError
from textenv.files import TRY_AGAIN
from textenv.interrupts import Interrupted, Interrupts
from textenv.models.lora import add_lora
from textenv.models.policy import LanguagePolicy, Precision
from textenv.options import suited
from textenv.reports.alarm import collapse_signs
from textenv.reports.console import comparison_table, examples_table
from textenv.reports.counters import Counters
from textenv.reports.evaluation import Measured, best_of_n, distinct, measure, only_best, reweighted, summarise
from textenv.reports.html import write_report
from textenv.reports.progress import progress_of
from textenv.reports.run import Run, check_space, find_run, free_folder, last_folder, start_run
from textenv.reports.scale import scale_doubt
from textenv.reports.tables import check_metrics
from textenv.reports.watch import Watch
from textenv.rewards.protocol import reward_name
from textenv.terminal import safe_console, say
from textenv.types import Episodes

BEST_OF: Final = 16

Config = TypeVar("Config")


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """One training run."""

    env: tyro.conf.Positional[str]
    """Id of the environment."""
    agent: str = "ppo"
    """Algorithm: a name in `textenv.agents.AGENTS`, or module:Class of a `Learner` of one's own."""
    episodes: int = 6144
    """Episodes to learn from."""
    seed: int = 0
    """Of the draws, the prompts and the order of minibatches."""
    model: str | None = None
    """Policy: an embedded name, a local folder or a hub id; by default the environment's."""
    lora_rank: int | None = None
    """Rank of LoRA adapters, through peft; None trains all weights."""
    reward: str | None = None
    """Reward: an embedded name, a local folder, a hub id, or module:function; by default the environment's."""
    judge: str | None = None
    """Judge, which evaluations ask and training never does: as `reward`; by default the environment's."""
    task: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    """Options of the environment, by the names of the arguments of `gymnasium.make`."""
    out: Path | None = None
    """Folder of the run, new or empty; by default runs/ID-agent-seed, or with -2, -3 and so on behind where that is taken."""
    resume: bool = False
    """Go on with the run in `out`, by default the last that was begun under its name, to the same bits as without a break on a CPU; start
    it if there is none."""
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
    eval_every: int | None = None
    """Updates between evaluations during training, 4 episodes of each of these prompts; None makes none. They change nothing of what is
    learnt, and ring an alarm when the policy over-optimises its reward: the score rises and the judge falls."""
    stop_on_overoptimisation: bool = False
    """End the training at that alarm, and save the model as it was when the judge was best."""
    algorithm: LearnerConfig = dataclasses.field(default_factory=PPOConfig)
    """Options of the agent."""

    def __post_init__(self) -> None:
        wanted = agent_class(self.agent).Config
        if type(self.algorithm) is not wanted:
            raise ArgumentError(f'agent is "{self.agent}", so algorithm must be a {wanted.__name__}, got {type(self.algorithm).__name__}.')
        for name in ("episodes", "num_envs", "eval_prompts", "eval_every"):
            if getattr(self, name) is not None and getattr(self, name) < 1:
                raise ArgumentError(f"{name} must be at least 1, got {getattr(self, name)}.")
        if self.lora_rank is not None and self.lora_rank < 1:
            raise ArgumentError(f"lora_rank must be at least 1, got {self.lora_rank}; leave it out to train all weights.")
        if self.stop_on_overoptimisation and self.eval_every is None:
            raise ArgumentError("stop_on_overoptimisation needs evaluations during training; give eval_every too, such as 5.")
        if self.seed < 0:
            raise ArgumentError(f"seed must be at least 0, got {self.seed}.")
        if not 0 < self.temperature < math.inf:
            raise ArgumentError(f"temperature must be positive, got {self.temperature!r}.")
        if self.device == "cuda" and not torch.cuda.is_available():
            raise ArgumentError("device is cuda, but torch sees no GPU; use device=cpu.")
        settle_task(self)


def train(config: TrainConfig, console: Console | None = None, *, results: Console | None = None) -> dict[str, Any]:
    """Train as `textenv train` does.

    Args:
        config: what to train.
        console: for messages and progress, by default stderr.
        results: for the closing tables, by default `console`.

    Returns:
        What stands in `summary.json`.

    Raises:
        ArgumentError: the folder of the run cannot be taken, or the environment or model do not fit.
        LoadError: the run to resume is damaged.
        SaveError: the run cannot be written; its last checkpoint is kept.
        TrainingError: the training has diverged; the batch is saved.
        SystemExit: SIGINT or SIGTERM came; what has been learnt is saved, and the code is 128 and the signal's number.
    """
    console = console or safe_console(stderr=True)
    following = functools.partial(default_folder, config) if config.out is None else None
    out = config.out or default_folder(config)
    config = dataclasses.replace(config, out=out)
    device = ("cuda" if torch.cuda.is_available() else "cpu") if config.device == "auto" else config.device
    plain = {**plain_config(config), "device": device}
    finished = find_run(out, plain, resume=config.resume)
    if finished is not None:
        say(console, f"{out} is finished already.")
        if not (out / "report.html").exists():
            write_report([out], out / "report.html")
        return finished
    envs = _make_envs(config, device)
    policy = LanguagePolicy.for_rules(
        envs.unwrapped.rules, config.model, temperature=config.temperature, precision=config.precision, device=device
    )
    if config.lora_rank is not None:
        add_lora(policy, config.lora_rank, seed=config.seed)
    agent = agent_class(config.agent)(policy, envs, config.algorithm, seed=config.seed)
    _say_what_differs(config, envs.unwrapped.rules, console)
    check_space(out, *agent.modules.values(), keeps_best=config.stop_on_overoptimisation)
    run = start_run(out, plain, resume=config.resume, following=following)
    config = dataclasses.replace(config, out=run.folder)
    if following is not None:
        say(console, f"Writing to {run.folder}/.")
    try:
        with Interrupts() as interrupts:
            return _train(config, agent, run, (console, results or console), interrupts)
    except Interrupted as stop:
        say(console, f"Stopped by {stop.signal.name}; go on with: {command(config)} --resume")
        raise SystemExit(128 + stop.signal) from stop
    except TrainingError as error:
        if error.episodes is None:
            raise
        place = run.keep_failed(error.episodes)
        raise TrainingError(f"{str(error).removesuffix('.')}; its batch is in {place}", error.episodes) from error
    except SaveError as error:
        raise SaveError(str(error).replace(TRY_AGAIN, "; once it can, go on from the last checkpoint.")) from error
    finally:
        run.close()


def config_of(env: str, agent: str = "ppo", *, algorithm: Mapping[str, Any] | None = None, **options: Any) -> TrainConfig:
    """Configure a run as `textenv train ENV` does.

    What is not given is what the environment's `Task.training` says, else the general default.

    >>> config_of("TextCopy-v0", seed=3, algorithm={"kl_coef": 0.01}).algorithm.kl_coef
    0.01

    Args:
        env: id of the environment, also with the module that registers it.
        agent: as `TrainConfig.agent`.
        algorithm: options of the agent, by name.
        **options: other fields of `TrainConfig`.

    Raises:
        ArgumentError: there is no such environment or agent, or a value is out of range.
    """
    agent_options = agent_class(agent).Config
    usual = suited(env, agent_options)
    learner = agent_options(**{**usual.pop("algorithm"), **(algorithm or {})})
    return TrainConfig(env=env, agent=agent, algorithm=learner, **{**usual, **options})


def check_training(env: str) -> None:
    """Check the values in an environment's `Task.training`.

    Their types are checked for every agent, their ranges for PPO.

    Raises:
        ArgumentError: a value is of the wrong type or out of range, or two do not fit together.
    """
    for agent in AGENTS:
        suited(env, agent_class(agent).Config)
    try:
        config_of(env)
    except ArgumentError as error:
        raise ArgumentError(f"The training of {find_id(env)}: {error}") from error


def default_folder(config: TrainConfig) -> Path:
    """Return the folder of a run whose config names none: the first name that is free, or to resume the last that is taken.

    >>> default_folder(TrainConfig(env="haiku:MyHaiku-v0", seed=2)).name
    'haiku-MyHaiku-v0-ppo-2'
    """
    named = Path("runs") / re.sub("[/:]", "-", f"{config.env}-{config.agent}-{config.seed}")
    return last_folder(named) if config.resume else free_folder(named)


@functools.cache
def for_agent(config: type[Config], agent: str) -> type[Config]:
    """Make a dataclass with the fields `agent` and `algorithm` one of this agent, with its options and their defaults.

    Raises:
        ArgumentError: there is no such agent.
    """
    options = agent_class(agent).Config
    fields: list[Any] = [("agent", str, agent), ("algorithm", options, dataclasses.field(default_factory=options))]
    made: type[Config] = dataclasses.make_dataclass(config.__name__, fields, bases=(config,), frozen=True, kw_only=True)
    return made


def plain_config(config: TrainConfig) -> dict[str, Any]:
    """Write a configuration as plain data, without `resume`, which says nothing of what is learnt."""

    def plain(items: list[tuple[str, Any]]) -> dict[str, Any]:
        return {name: str(value) if isinstance(value, Path) else value for name, value in items if name != "resume"}

    return dataclasses.asdict(config, dict_factory=plain)


def command(config: TrainConfig) -> str:
    """Write the command line that gives a configuration.

    >>> command(TrainConfig(env="TextCopy-v0", seed=3, algorithm=PPOConfig(linear_decay=False, epochs=2)))
    'textenv train TextCopy-v0 --seed 3 --no-linear-decay --epochs 2'
    >>> command(for_agent(TrainConfig, "rloo")(env="TextCopy-v0"))
    'textenv train TextCopy-v0 --agent rloo'
    >>> command(TrainConfig(env="TextSentiment-v0", task={"target": "negative"}))
    'textenv train TextSentiment-v0 --target negative'
    """
    words = ["textenv", "train", config.env]
    usual = suited(config.env, type(config.algorithm))
    usual["agent"] = TrainConfig.agent  # a class for one agent has that one as its default
    for part, own in ((config, usual), (config.algorithm, usual["algorithm"])):
        for field in dataclasses.fields(part):
            value, option = getattr(part, field.name), field.name.replace("_", "-")
            default = own.get(field.name, field.default)
            if field.name in ("env", "resume", "algorithm", "task") or value == default:
                continue
            words += [f"--{option}" if value else f"--no-{option}"] if isinstance(value, bool) else option_word(option, value)
    words += option_words(config.task, taken=[field.name for part in (config, config.algorithm) for field in dataclasses.fields(part)])
    return shlex.join(words)


def _train(config: TrainConfig, agent: Learner, run: Run, consoles: tuple[Console, Console], interrupts: Interrupts) -> dict[str, Any]:
    """Measure, learn, measure again and write what came of it."""
    console, results = consoles
    # Streams of their own, so that the evaluations share no draws with the training.
    prompt_seed, before_seed, after_seed, watch_seed = (int(seed) for seed in np.random.SeedSequence(config.seed).generate_state(4))
    chosen = np.random.default_rng(prompt_seed).permutation(len(text_envs(agent.envs).prompts))[: config.eval_prompts]
    stops = config.stop_on_overoptimisation
    watch = None if config.eval_every is None else Watch(chosen, watch_seed, every=config.eval_every, stops=stops)
    at_start, present = run.restore(agent, watch)
    for sentence in run.warnings:
        say(console, sentence)
    if run.counters.updates:
        say(console, f"{run.folder}: going on after {run.counters.updates} updates, {agent.episodes} episodes.")

    picks = isinstance(agent, BestOfN)
    group = agent.group_size if picks else BEST_OF
    prompts = np.repeat(chosen, group)
    say(console, f"{config.env}: measuring the policy before training ({len(prompts)} episodes) …")
    # In a resumed run too the reference is what the policy was at the start, and so are the generators a reward may draw from.
    set_global_generators(at_start)
    before = measure(agent.reference, agent.reference, agent.envs, prompts, seed=before_seed)
    run.evaluation("before", before, agent.policy.tokenizer)
    doubt = scale_doubt(agent, before.episodes.scores)
    if doubt is not None:
        say(console, f"warning: {doubt}", "yellow")
    set_global_generators(present)
    _learn(config, agent, run, watch, console, interrupts)
    if watch is not None and watch.best is not None and watch.stopped:
        watch.restore_best(agent)
        say(console, f"Stopped for over-optimisation; the model is that of update {watch.best['update']}, where the judge was best.")
    after = measure(agent.policy, agent.reference, agent.envs, prompts, seed=after_seed)
    if not after.divergence.exact.isfinite().all():
        raise TrainingError("The trained policy is not finite; lower learning_rate or max_grad_norm.", after.episodes)
    after = only_best(after, group) if picks else after
    run.evaluation("after", after, agent.policy.tokenizer)

    rows = {"before": summarise(before), "after": best_of_n(after, group) if picks else summarise(after)}
    rows[f"best of {group}"] = best_of_n(before, group)
    if config.algorithm.kl_coef > 0:
        rows[f"exp(score/{config.algorithm.kl_coef:g})"] = reweighted(before, group, config.algorithm.kl_coef)
    summary = _summary(config, rows, run.counters, agent)
    if watch is not None and watch.best is not None:
        summary |= {"over_optimised": watch.over_optimised, "best_update": watch.best["update"]}
    run.finish(agent, summary)
    _report(results, before, after, rows, group)
    write_report([run.folder], run.folder / "report.html")
    tokens, seconds = run.counters.tokens, run.counters.seconds
    say(console, f"Trained on {agent.episodes} episodes, {tokens} tokens, in {seconds:.0f} s. Written to {run.folder}/.")
    return summary


def _make_envs(config: TrainConfig, device: str) -> Any:
    """Make the environments; an id that is not textenv's is refused."""
    name = find_id(config.env)
    task = task_on(name, config.task, reward=config.reward, judge=config.judge, model=config.model, device=device)
    envs: Any = gymnasium.make_vec(name, num_envs=config.num_envs, task=task)
    if config.stop_on_overoptimisation and envs.unwrapped.rules.task.judge is None:
        raise ArgumentError(f"{config.env} has no judge to tell over-optimisation by; name one with --judge.")
    if config.stop_on_overoptimisation and min(config.eval_prompts, len(text_envs(envs).prompts)) < 2:
        raise ArgumentError(
            "Over-optimisation is judged by the spread over prompts; let eval_prompts be 2 or more, in an environment of as many."
        )
    return envs


def _say_what_differs(config: TrainConfig, rules: Rules, console: Console) -> None:
    """Say what is not as the options and the environment have it: wider prompts, and whole updates."""
    if rules.prompt_columns > rules.task.max_prompt_tokens:
        whose = "" if config.model is None else f" of {config.model}"
        say(
            console,
            f"Prompts take up to {rules.prompt_columns} tokens{whose}, in place of the environment's {rules.task.max_prompt_tokens}.",
        )
    size, whole = config.algorithm.episodes_per_update, _whole_updates(config)
    if whole != config.episodes:
        say(console, f"An update takes {size} episodes, so {whole} are played in place of {config.episodes}; see --episodes-per-update.")


def _whole_updates(config: TrainConfig) -> int:
    """Return how many episodes are played, as an update is never cut."""
    size = config.algorithm.episodes_per_update
    return size * math.ceil(config.episodes / size)


def _learn(config: TrainConfig, agent: Learner, run: Run, watch: Watch | None, console: Console, interrupts: Interrupts) -> None:
    """Learn with a progress bar and the recorder, and end with a checkpoint.

    Raises:
        Interrupted: after the update in which a signal came.
    """
    counters, done, started = run.counters, run.counters.seconds, time.perf_counter()
    paused = _look(agent, run, watch, console) if watch is not None and counters.updates == 0 else 0.0
    # Whatever is drawn would stand in what a person types.
    progress_or_none = contextlib.nullcontext(None) if agent.interactive else progress_of(_whole_updates(config), agent.episodes, console)
    with progress_or_none as progress, interrupts.held():

        def after_update(metrics: dict[str, float], episodes: Episodes) -> bool:
            nonlocal paused
            check_metrics(config.agent, metrics)
            counters.tokens += int(episodes.lengths.sum())
            counters.seconds = done + time.perf_counter() - started - paused
            row: dict[str, Any] = {**metrics, "distinct2": distinct(episodes.completions), "seconds": round(counters.seconds, 3)}
            row["tokens_per_second"] = round(counters.tokens / counters.seconds, 1)
            for name in ("distinct2", "entropy", "kl_k1"):
                counters.first.setdefault(name, row[name])
            signs = collapse_signs(row, counters.first)
            for sign in signs:
                if sign.split()[0] not in counters.told:
                    counters.told.append(sign.split()[0])
                    say(console, f"collapse alarm: {sign}.", "yellow")
            run.record({**row, "alarm": "; ".join(signs)}, episodes, agent.policy.tokenizer)
            if watch is not None and counters.updates % watch.every == 0:
                paused += _look(agent, run, watch, console)
            if run.checkpoint_is_due or interrupts.received:
                run.checkpoint(agent, watch)
            interrupts.check()
            if progress is not None:
                progress(agent.episodes, row)
            return watch is not None and watch.stopped

        if agent.episodes < config.episodes and (watch is None or not watch.stopped):  # before the run was resumed
            agent.learn(config.episodes - agent.episodes, after_update)
        run.checkpoint(agent, watch)


def _look(agent: Learner, run: Run, watch: Watch, console: Console) -> float:
    """Evaluate during training and return the seconds that it took."""
    started = time.perf_counter()
    row = watch.look(agent, run.counters.updates)
    run.evaluated(row)
    name = row["alarm"].partition(":")[0]
    if name and name not in run.counters.told:
        run.counters.told.append(name)
        say(console, f"alarm: {row['alarm']}.", "yellow")
    return time.perf_counter() - started


def _summary(config: TrainConfig, rows: dict[str, dict[str, float]], counters: Counters, agent: Learner) -> dict[str, Any]:
    rules = text_envs(agent.envs).rules
    return {
        "env": config.env,
        "agent": config.agent,
        "model": config.model or rules.task.model or "toy",
        "reward": reward_name(rules.reward),
        "seed": config.seed,
        "episodes": agent.episodes,
        "tokens": counters.tokens,
        "train_seconds": round(counters.seconds, 1),
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
