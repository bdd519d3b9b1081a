"""One run of `benchmarks.time_to_score`: train one side until the target, the cap or the end of its episodes.

Run by it as a process of its own: python -m benchmarks.score_run JSON
"""

import copy
import dataclasses
import itertools
import json
import os
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # before torch: idle threads sleep

import gymnasium
import numpy as np

import textenv
from benchmarks.harness import machine
from textenv.agents import PPO, PPOConfig
from textenv.reports.evaluation import measure, summarise
from textenv.training import TrainConfig

TARGET: Final = 0.80
EVERY: Final = 512
"""Training episodes between evaluations: one update of ours."""
HELD: Final = 64
"""Prompts of an evaluation, 4 episodes each."""
EPISODES: Final = 24_576
"""Of every run at most, four times the default of `textenv train`; β and learning rates are set for such budgets."""

# Setting 0 of ours are the defaults of `textenv train`; the others are ours and the peers' alike. The peers' own defaults
# (learning rates of 1e-6 and 3e-6) are for models a thousand times larger and do not move this one. They get our defaults as a
# start (batches of 512, one epoch, 3e-4), a smaller batch with more reuse as TRL's examples have it, and the reward nearly
# without KL, which reaches a score soonest.
SETTINGS: Final[list[dict[str, Any]]] = [
    {"episodes": 512, "minibatch": 128, "epochs": 1, "learning_rate": 3e-4, "kl_coef": 0.035},
    {"episodes": 128, "minibatch": 64, "epochs": 4, "learning_rate": 1e-4, "kl_coef": 0.02},
    {"episodes": 256, "minibatch": 64, "epochs": 2, "learning_rate": 3e-4, "kl_coef": 0.005},
]


class Watch:
    """A clock that stops while the policy is evaluated, and what the evaluations found."""

    def __init__(self, policy: Any, envs: Any, prompt_index: Any, cap_seconds: float) -> None:
        self.policy, self.envs, self.prompt_index, self.cap = policy, envs, prompt_index, cap_seconds
        self.reference = copy.deepcopy(policy)
        self.points: list[dict[str, float]] = []
        self.seconds, self.episodes = 0.0, 0
        self.evaluate()
        self.begun = time.perf_counter()

    def after_update(self, episodes: int) -> bool:
        """Count an update; returns whether to stop: the target is reached or the time is over."""
        self.seconds += time.perf_counter() - self.begun
        due = (self.episodes + episodes) // EVERY > self.episodes // EVERY
        self.episodes += episodes
        if due or self.seconds > self.cap:
            self.evaluate()
        self.begun = time.perf_counter()
        return self.points[-1]["score"] >= TARGET or self.seconds > self.cap

    def evaluate(self) -> None:
        """Measure score and KL on the held prompts."""
        training = self.policy.model.training
        found = summarise(measure(self.policy, self.reference, self.envs, self.prompt_index, seed=1))
        self.policy.model.train(training)
        kept = {name: found[name] for name in ("score", "score_se", "kl_exact", "judge", "distinct2")}
        self.points.append({"seconds": self.seconds, "episodes": self.episodes, **kept})


def time_to(points: list[dict[str, float]], target: float) -> float | None:
    """Seconds at which the line through the evaluations first reaches the target, None if it never does.

    >>> time_to([{"seconds": 0, "score": 0.5}, {"seconds": 10, "score": 0.7}, {"seconds": 20, "score": 0.9}], 0.8)
    15.0
    """
    for before, after in itertools.pairwise(points):
        if after["score"] >= target:
            share = (target - before["score"]) / (after["score"] - before["score"])
            return float(before["seconds"] + max(0.0, share) * (after["seconds"] - before["seconds"]))
    return None


def run_one(peer: str, setting: int, seed: int, cap_seconds: float, episodes: int = EPISODES, held: int = HELD) -> dict[str, Any]:
    """Train one side; returns its settings, the evaluations and the time to the target."""
    envs: Any = gymnasium.make_vec("TextSentiment-v0", num_envs=256)
    prompts = list(envs.unwrapped.prompts)
    held_out = np.random.default_rng(0).permutation(len(prompts))[:held]
    texts = [text for index, text in enumerate(prompts) if index not in set(held_out.tolist())]
    watch = Watch(textenv.LanguagePolicy.from_pretrained("tiny-en"), envs, np.repeat(held_out, 4), cap_seconds)
    used = _train_ours(watch, setting, seed, texts) if peer == "ours" else _train_peer(watch, peer, setting, seed, texts, episodes)
    return {
        "peer": peer,
        "setting": setting,
        "seed": seed,
        "cap_seconds": cap_seconds,
        "settings": used,
        "seconds": watch.seconds,
        "seconds_to_target": time_to(watch.points, TARGET),
        "points": watch.points,
        "machine": machine(),
    }


def merge(out: Path, run: dict[str, Any]) -> list[dict[str, Any]]:
    """Write a run beside the others of a file, in the place of one of the same side, setting and seed."""
    kept = json.loads(out.read_text())["runs"] if out.is_file() else []
    same = ("peer", "setting", "seed")
    runs = [old for old in kept if any(old[name] != run[name] for name in same)] + [run]
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps({"target": TARGET, "runs": runs}, indent=2) + "\n")
    return runs


class _Enough(Exception):
    """Leaves a trainer's loop."""


def _train_ours(watch: Watch, setting: int, seed: int, texts: list[str]) -> dict[str, Any]:
    """Train as `textenv train` does, on the prompts that are not held out."""
    config = TrainConfig(env="TextSentiment-v0", seed=seed)
    if setting > 0:
        names = {"episodes": "episodes_per_update", "minibatch": "minibatch_size"}
        config = dataclasses.replace(
            config, algorithm=PPOConfig(**{names.get(name, name): value for name, value in SETTINGS[setting].items()})
        )
    envs = gymnasium.make_vec("TextSentiment-v0", num_envs=config.num_envs, prompts=texts)
    agent = PPO(watch.policy, envs, config.algorithm, seed=seed)

    def after_update(metrics: dict[str, float], episodes: Any) -> None:
        if watch.after_update(len(episodes)):
            raise _Enough

    _until_enough(lambda: agent.learn(config.episodes, after_update), watch)
    return {"episodes": config.episodes, **dataclasses.asdict(config.algorithm)}


def _train_peer(watch: Watch, peer: Any, setting: int, seed: int, texts: list[str], episodes: int) -> dict[str, Any]:
    from benchmarks.peers.trl_trainers import Settings, trainer

    chosen = SETTINGS[setting]
    settings = Settings(new=24, group=8, seed=seed, iterations=-(-episodes // chosen["episodes"]), **chosen)
    classifier: Any = watch.envs.unwrapped.rules.reward

    def reward(prompts: list[str], completions: list[str], **_: Any) -> list[float]:
        return [float(score) for score in classifier(prompts=prompts, completions=completions)]

    def after_iteration() -> None:
        if watch.after_update(settings.episodes):
            raise _Enough

    made = trainer(peer, settings, watch.policy.model, watch.policy.tokenizer, texts, reward, after_iteration)
    _until_enough(made.train, watch)
    return dataclasses.asdict(settings)


def _until_enough(train: Callable[[], object], watch: Watch) -> None:
    watch.begun = time.perf_counter()
    with suppress(_Enough):
        train()


if __name__ == "__main__":
    arguments = json.loads(sys.argv[1])
    merge(Path(arguments.pop("out")), run_one(**arguments))
