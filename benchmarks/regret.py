"""Every agent in the toys against their exact optima: the tables and the pictures of docs/known_optimum.md.

Run: python -m benchmarks.regret [--toys TextCopy-v0] [--rows ppo dqn] [--seeds 5]

Toys and rows that are not named keep the results they have. All of it with five seeds takes about an hour and a half on one quiet core.
"""

import json
import os
import sys
import time
from pathlib import Path
from typing import Any, Final, NamedTuple

os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # before torch: idle threads sleep

import gymnasium
import numpy as np
import torch
import tyro

from benchmarks.harness import ROOT
from benchmarks.regret_page import write_page
from textenv import LanguagePolicy
from textenv.agents import agent_class
from textenv.agents.learner import Learner
from textenv.envs.exact import ExactMDP
from textenv.reports.run import versions

RESULTS: Final = ROOT / "benchmarks" / "results" / "regret.json"
PAGE: Final = ROOT / "docs" / "known_optimum.md"
TOYS: Final = ("TextCopy-v0", "TextReverse-v0", "TextCount-v0", "TextGridWorld-v0", "TextLength-v0")
KL_COEF: Final = 0.1
ASKED: Final = 0.95


class Row(NamedTuple):
    """How one row of the table is trained, alike in every toy."""

    agent: str
    """Name of the agent."""
    episodes: int
    """To learn from."""
    options: dict[str, Any]
    """Of its config, beside `kl_coef`."""
    kl_coef: float = KL_COEF
    """β, of the training and of the measurement."""
    greedy: bool = False
    """Measure the greedy policy, which is what the agent learns."""
    asked: bool = True
    """Whether `ASKED` is asked of it."""


ON_POLICY: Final = {"learning_rate": 3e-3, "episodes_per_update": 128}
ONE_STEP: Final = {**ON_POLICY, "value_coef": 1.0}
MINIBATCHES: Final = {"learning_rate": 2e-3, "episodes_per_update": 256, "minibatch_size": 64}
SETTINGS: Final = {
    "reinforce, value baseline": Row("reinforce", 65_536, {**ONE_STEP, "learning_rate": 1.5e-3, "baseline": "value"}),
    "reinforce, running mean": Row("reinforce", 49_152, ON_POLICY, asked=False),
    "actor_critic, advantage": Row("actor_critic", 49_152, ONE_STEP),
    "ppo, clip": Row("ppo", 49_152, {**MINIBATCHES, "advantage": "critic", "value_coef": 1.0}),
    "ppo, penalty": Row("ppo", 49_152, {**MINIBATCHES, "form": "penalty"}),
    "trpo": Row("trpo", 49_152, {"layers": None, "max_kl": 0.03, "fisher_episodes": 32}),
    "rloo": Row("rloo", 98_304, {**ON_POLICY, "learning_rate": 5e-4}),
    "scst": Row("scst", 49_152, ON_POLICY, asked=False),
    "grpo": Row("grpo", 49_152, {**MINIBATCHES, "learning_rate": 1e-3}),
    "grpo, KL in the loss": Row("grpo", 49_152, {**MINIBATCHES, "kl_in": "loss"}, asked=False),
    "grpo, Dr. GRPO, KL in the loss": Row("grpo", 49_152, {**MINIBATCHES, "dr_grpo": True, "kl_in": "loss"}, asked=False),
    "dqn": Row(
        "dqn",
        20_480,
        {"learning_rate": 2e-3, "softness": 0.03, "episodes_per_update": 128, "steps_per_update": 10},
        kl_coef=0.0,
        greedy=True,
    ),
    "actor_critic, Q": Row(
        "actor_critic",
        65_536,
        {"critic": "q", "learning_rate": 1e-3, "value_coef": 10.0, "entropy_coef": 0.08, "whiten_advantages": False},
        kl_coef=0.0,
    ),
}


def measure(toy: str, row: Row, seeds: int) -> dict[str, Any]:
    """Train in a toy `seeds` times, and tell the share of the attainable that each run reached, and how true its values are."""
    envs: Any = gymnasium.make_vec(toy, num_envs=256)
    rules = envs.unwrapped.rules
    mdp = ExactMDP(rules, LanguagePolicy.for_rules(rules))
    kind = agent_class(row.agent)
    runs = []
    for seed in range(seeds):
        policy = LanguagePolicy.for_rules(rules)
        agent = kind(policy, envs, kind.Config(kl_coef=row.kl_coef, **row.options), seed=seed)
        begun = time.perf_counter()
        agent.learn(row.episodes)
        seconds = time.perf_counter() - begun
        log_probs = most_probable(mdp.log_probs(policy)) if row.greedy else mdp.log_probs(policy)
        found = mdp.evaluate(log_probs, row.kl_coef)
        run = {"seed": seed, "share": mdp.normalised_return(log_probs, row.kl_coef), **found._asdict(), "seconds": seconds}
        if agent.uses_values:
            run |= compare_values(agent, mdp, log_probs, row.kl_coef)
        runs.append(run)
        print(toy, "  ".join(f"{name} {value:.4g}" for name, value in run.items() if not isinstance(value, list)), flush=True)
    return {"agent": row.agent, "options": row.options, "kl_coef": row.kl_coef, "episodes": row.episodes, "runs": runs}


def most_probable(log_probs: list[torch.Tensor]) -> list[torch.Tensor]:
    """The greedy policy of a policy, (S, V) a level."""
    return [torch.zeros_like(level).scatter(-1, level.argmax(-1, keepdim=True), 1.0).log() for level in log_probs]


@torch.no_grad()
def compare_values(agent: Learner, mdp: ExactMDP, log_probs: list[torch.Tensor], kl_coef: float) -> dict[str, Any]:
    """Hold learnt values against the exact ones of the policy that was learnt, in every state weighted by how often it is passed.

    Returns:
        value_error, the root of E[(V_learnt - V)²] in units of score; and the learnt values of the prompts.
    """
    exact = [values - level.paid for values, level in zip(mdp.values(log_probs, kl_coef), mdp.levels, strict=True)]
    learnt = [learnt_values(agent, level.observations, probs.exp()) for level, probs in zip(mdp.levels, log_probs, strict=True)]
    truth, guess, reach = (torch.cat(parts) for parts in (exact, learnt, mdp.reach(log_probs)))
    error = (reach * (guess - truth).square()).sum() / reach.sum()
    return {"value_error": float(error.sqrt()), "values": learnt[0].tolist()}


def learnt_values(agent: Learner, observations: "np.ndarray[Any, np.dtype[np.int32]]", probs: torch.Tensor) -> torch.Tensor:
    """What an agent takes states (S, W) for, given its policy's probabilities (S, V): (S,)."""
    found = []
    for rows in np.array_split(np.arange(len(observations)), -(-len(observations) // 256)):
        if "q_head" in agent.modules:
            q = agent.modules["q_head"](agent.policy.cache.last_hidden(observations[rows])).double()  # (n, V)
            found.append((probs[rows] * q).sum(-1))
        else:
            act = agent.critic.act(observations[rows], greedy=True)
            found.append((act.values + getattr(agent.config, "softness", 0.0) * act.log_probs).double())  # DQN's Q of its choice
    return torch.cat(found)


def describe(toy: str) -> dict[str, Any]:
    """Solve a toy at both β."""
    envs: Any = gymnasium.make_vec(toy, num_envs=1)
    rules = envs.unwrapped.rules
    mdp = ExactMDP(rules, LanguagePolicy.for_rules(rules))
    solved = {kl_coef: mdp.solve(kl_coef) for kl_coef in (0.0, KL_COEF)}
    return {
        "states": sum(len(level.observations) for level in mdp.levels),
        "optimum": {str(kl_coef): solution.evaluation._asdict() for kl_coef, solution in solved.items()},
        "reference": {str(kl_coef): mdp.evaluate(mdp.reference, kl_coef)._asdict() for kl_coef in solved},
        "values": dict(zip(rules.prompts.texts, solved[KL_COEF].values[0].tolist(), strict=True)),
    }


def main(
    toys: tuple[str, ...] = TOYS, rows: tuple[str, ...] = tuple(SETTINGS), seeds: int = 5, out: Path = RESULTS, page: Path = PAGE
) -> None:
    """Measure, print, and write the results and the page."""
    results = json.loads(out.read_text()) if out.is_file() else {"toys": {}, "rows": {}}
    for toy in toys:
        results["toys"][toy] = describe(toy)
        for row in rows:
            print(row, flush=True)
            results["rows"].setdefault(row, {})[toy] = {**measure(toy, SETTINGS[row], seeds), "versions": versions()}
            results["rows"] = {name: results["rows"][name] for name in SETTINGS if name in results["rows"]}
            out.parent.mkdir(parents=True, exist_ok=True)
            out.write_text(json.dumps(results, indent=2) + "\n")
    write_page(results, page)
    if missed := missing(results):
        sys.exit(f"Below {ASKED}: {'; '.join(missed)}.")


def missing(results: dict[str, Any]) -> list[str]:
    """Name the rows and toys whose mean share is below what is asked of them."""
    return [
        f"{row} in {toy}"
        for row, by_toy in results["rows"].items()
        for toy, found in by_toy.items()
        if SETTINGS[row].asked and sum(run["share"] for run in found["runs"]) / len(found["runs"]) < ASKED
    ]


if __name__ == "__main__":
    tyro.cli(main)
