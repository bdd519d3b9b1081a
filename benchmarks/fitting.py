"""Numbers of docs/sft.md and docs/dpo.md: packed against padded examples, and online DPO in a toy of known optimum.

Run: python -m benchmarks.fitting
"""

import time
from typing import Any

import gymnasium
import numpy as np

from textenv.agents import agent_class
from textenv.envs.exact import ExactMDP
from textenv.models.packing import Example, pack, packed_log_probs
from textenv.models.policy import LanguagePolicy

BETA = 0.1
ROWS: dict[str, tuple[str, dict[str, Any]]] = {
    "online_dpo, τ = 1": ("online_dpo", {}),
    "online_dpo, τ = 1, k = 8": ("online_dpo", {"group_size": 8}),
    "online_dpo, τ = 0.1": ("online_dpo", {"judge_temperature": 0.1}),
    "online_dpo, τ = 0": ("online_dpo", {"judge_temperature": 0.0}),
    "rloo": ("rloo", {}),
}


def packing(count: int = 40) -> dict[str, float]:
    """Tokens a second of forward and backward passes over examples of 4-30 and 4-60 tokens, the best of three."""
    policy, rng = LanguagePolicy.from_pretrained("tiny-en"), np.random.default_rng(0)
    parts = [[rng.integers(2, 4096, rng.integers(4, most)).tolist() for most in (30, 60)] for _ in range(count)]
    examples = [Example(*part) for part in parts]
    tokens, found = sum(len(given) + len(predicted) for given, predicted in examples), dict[str, float]()
    for name, together in (("packed", True), ("padded", False)):
        seconds = []
        for _ in range(3):
            started = time.perf_counter()
            log_probs, _ = packed_log_probs(policy, pack(examples, 256, together=together))
            (-log_probs.mean()).backward()
            policy.zero_grad()
            seconds.append(time.perf_counter() - started)
        found[name] = tokens / min(seconds)
    return found


def online(name: str, options: dict[str, Any], episodes: int = 16_384) -> dict[str, float]:
    """Train in TextCopy-v0 and hold against the optimum."""
    envs: Any = gymnasium.make_vec("TextCopy-v0", num_envs=256)
    policy = LanguagePolicy.for_rules(envs.unwrapped.rules)
    mdp, kind = ExactMDP(envs.unwrapped.rules, policy), agent_class(name)
    config = kind.Config(episodes_per_update=256, learning_rate=3e-3, kl_coef=BETA, **options)
    kind(policy, envs, config).learn(episodes)
    reached = mdp.evaluate(policy, BETA)
    return {"score": reached.score, "kl": reached.kl, "share": mdp.normalised_return(policy, BETA)}


if __name__ == "__main__":
    print({name: round(rate) for name, rate in packing().items()}, "tokens a second")
    for title, (agent, chosen) in ROWS.items():
        print(title, {name: round(value, 3) for name, value in online(agent, chosen).items()})
