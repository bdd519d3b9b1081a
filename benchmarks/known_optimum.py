"""PPO in TextCopy-v0 against the exact optimum, several seeds.

Run: python benchmarks/known_optimum.py [--seeds 5]
"""

import json
import os
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # before torch: idle threads sleep

import gymnasium
import tyro

from textenv import LanguagePolicy
from textenv.agents import PPO, PPOConfig
from textenv.envs.exact import ExactMDP
from textenv.reports.run import versions

RESULTS = Path(__file__).parent / "results"
KL_COEF, EPISODES = 0.1, 24_576
CONFIG = PPOConfig(episodes_per_update=512, minibatch_size=128, epochs=2, learning_rate=3e-3, kl_coef=KL_COEF)


def main(seeds: int = 5, out: Path = RESULTS / "known_optimum.json") -> None:
    """Train `seeds` times, print and write the share of the attainable that each reached."""
    envs: Any = gymnasium.make_vec("TextCopy-v0", num_envs=256)
    reference = LanguagePolicy.for_rules(envs.unwrapped.rules)
    mdp = ExactMDP(envs.unwrapped.rules, reference)
    best, start = mdp.solve(KL_COEF).evaluation, mdp.evaluate(reference, KL_COEF)
    print(f"reference J {start.objective:.4f}, optimum J {best.objective:.4f} (score {best.score:.4f}, KL {best.kl:.3f}), β {KL_COEF}")
    runs = []
    for seed in range(seeds):
        policy = LanguagePolicy.for_rules(envs.unwrapped.rules)
        begun = time.perf_counter()
        PPO(policy, envs, CONFIG, seed=seed).learn(EPISODES)
        found = mdp.evaluate(policy, KL_COEF)
        run = {"seed": seed, "share": mdp.normalised_return(policy, KL_COEF), **found._asdict(), "seconds": time.perf_counter() - begun}
        runs.append(run)
        print("  ".join(f"{name} {value:.4g}" for name, value in run.items()), flush=True)
    out.parent.mkdir(parents=True, exist_ok=True)
    result = {"kl_coef": KL_COEF, "episodes": EPISODES, "optimum": best._asdict(), "reference": start._asdict(), "runs": runs}
    out.write_text(json.dumps({**result, "versions": versions()}, indent=2) + "\n")


if __name__ == "__main__":
    tyro.cli(main)
