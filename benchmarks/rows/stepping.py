"""Rows: what surrounds the model: the environment, the reward, starting up."""

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import gymnasium
import numpy as np

import textenv
from benchmarks.harness import ROOT, Row, Side, alternate, timed
from benchmarks.rows.plan import Plan
from benchmarks.sides import iteration
from benchmarks.workloads import Workload, environments, language_policy, tokenizer


def environment(plan: Plan) -> list[Row]:
    """The environment alone, its reward a constant: µs of `step`, by row, by length of the episodes, by age."""
    work, rows = plan.tiny, 2 * plan.rows
    longer = replace(work, new=8 * work.new)
    aged = environments(work, rows)
    age = _steps(aged, work, statistics.median)
    for _ in range(10 * plan.rounds):
        age()
    sides = {"long": _steps(environments(longer, rows), longer, statistics.median), "aged": age}
    samples = alternate({"ours": _steps(environments(work, rows), work, statistics.median), **sides}, plan.rounds)
    by_row = {name: [step / rows for step in steps] for name, steps in samples.items()}
    name, ours = f"environment, a row a step, {rows} rows", by_row["ours"]
    return [
        Row(name=name, versus="", kind="value", ours=ours, unit="µs", target=0.1),
        _flat(f"{name}, episodes 8 times as long", by_row["long"], ours),
        _flat(f"{name}, after {10 * plan.rounds * rows:,} episodes", by_row["aged"], ours),
        *_beside_the_model(plan),
    ]


def _flat(name: str, later: list[float], ours: list[float]) -> Row:
    return Row(name=name, versus="the row above", kind="share", ours=later, theirs=ours, unit="µs", target=1.2)


def _beside_the_model(plan: Plan) -> list[Row]:
    """Whole episodes, their ends included, where texts are decoded."""
    work, rows = plan.tiny, plan.tiny.episodes
    ours = _steps(environments(work, rows), work, statistics.mean)
    single = gymnasium.vector.SyncVectorEnv([lambda: gymnasium.make("Benchmark-v0", disable_env_checker=True)] * rows)
    sides = {"ours": ours, "decode": _decode_step(work), "sync": _steps(single, work, statistics.mean)}
    samples = alternate(sides, plan.rounds)
    name, mean = f"environment, a step of {rows} rows, ends of episodes included", samples["ours"]
    decode, sync = "a decode step of the tiny GPT-2", "Gymnasium's SyncVectorEnv over the single env"
    return [
        Row(name=name, versus=decode, kind="share", ours=mean, theirs=samples["decode"], unit="µs", target=0.01),
        Row(name=name, versus=sync, kind="speed-up", ours=mean, theirs=samples["sync"], unit="µs"),
    ]


def _steps(envs: Any, work: Workload, reduce: Callable[[list[float]], float]) -> Side:
    """A side that plays one episode in every row and reduces the µs of its steps to one number."""
    end = tokenizer(work.vocabulary).eos_token_id
    actions = np.random.default_rng(0).integers(2, work.vocabulary - 1, size=(work.new, envs.num_envs))
    actions[actions == end] += 1
    envs.reset(seed=0)

    def side() -> float:
        microseconds = []
        for chosen in actions:
            begun = time.perf_counter()
            envs.step(chosen)
            microseconds.append(1e6 * (time.perf_counter() - begun))
        return reduce(microseconds)

    return side


def _decode_step(work: Workload) -> Side:
    """µs of one token of the policy in every row, over an episode."""
    policy, envs = language_policy(work), environments(work, work.episodes)

    def side() -> float:
        observations, _ = envs.reset(seed=0)
        spent = 0.0
        for _ in range(work.new):
            begun = time.perf_counter()
            actions = policy.act(observations).actions
            spent += time.perf_counter() - begun
            observations = envs.step(actions)[0]
        return 1e6 * spent / work.new

    return side


def reward(plan: Plan) -> list[Row]:
    """The embedded classifier on the texts of one iteration."""
    policy, envs = textenv.LanguagePolicy.from_pretrained("tiny-en"), gymnasium.make_vec("TextSentiment-v0", num_envs=8)
    episodes = textenv.collect(policy, envs, plan.tiny.episodes, seed=0)
    classifier: Any = textenv.load_reward("tiny-sentiment")
    sides = {
        "ours": timed(lambda: classifier(prompts=episodes.prompts, completions=episodes.completions)),
        "theirs": timed(iteration(plan.tiny, "critic")),
    }
    name = f"tiny-sentiment, {plan.tiny.episodes} texts"
    samples = alternate(sides, plan.rounds)
    return [Row(name=name, versus="one whole iteration", kind="share", ours=samples["ours"], theirs=samples["theirs"], target=0.15)]


def start_up(plan: Plan) -> list[Row]:
    """Fresh processes."""
    commands = {
        "import textenv": (["-c", "import textenv"], 0.3),
        "textenv --help": (["-m", "textenv", "--help"], 0.5),
        "textenv list": (["-m", "textenv", "list"], 0.6),
    }
    sides = {name: timed(_command(arguments)) for name, (arguments, _) in commands.items()}
    samples = alternate(sides, plan.rounds)
    return [Row(name=name, versus="", kind="value", ours=samples[name], target=commands[name][1]) for name in commands]


def _command(arguments: list[str]) -> Callable[[], object]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return lambda: subprocess.run([sys.executable, *arguments], cwd=ROOT, env=environment, check=True, stdout=subprocess.DEVNULL)
