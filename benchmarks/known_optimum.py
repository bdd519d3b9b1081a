"""PPO in the toys against their exact optima, several seeds each.

Run: python -m benchmarks.known_optimum [--toys TextCopy-v0] [--seeds 5]

Toys that are not named keep the results they have. All toys with five seeds take about six minutes on two quiet cores.
"""

import json
import os
import time
from pathlib import Path
from typing import Any, Final

os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # before torch: idle threads sleep

import gymnasium
import tyro

from benchmarks.harness import ROOT, write_between_markers
from textenv import LanguagePolicy
from textenv.agents import PPO, PPOConfig
from textenv.envs.exact import ExactMDP
from textenv.envs.grid import cell_values, draw
from textenv.reports.run import versions

RESULTS: Final = ROOT / "benchmarks" / "results" / "known_optimum.json"
PAGE: Final = ROOT / "docs" / "known_optimum.md"
TOYS: Final = ("TextCopy-v0", "TextReverse-v0", "TextCount-v0", "TextGridWorld-v0")
KL_COEF: Final = 0.1
CONFIG: Final = PPOConfig(episodes_per_update=512, minibatch_size=128, epochs=2, learning_rate=3e-3, kl_coef=KL_COEF)


def measure(toy: str, seeds: int, episodes: int) -> dict[str, Any]:
    """Solve a toy, train in it `seeds` times, and tell the share of the attainable that each run reached."""
    envs: Any = gymnasium.make_vec(toy, num_envs=256)
    rules = envs.unwrapped.rules
    reference = LanguagePolicy.for_rules(rules)
    mdp = ExactMDP(rules, reference)
    solution, start = mdp.solve(KL_COEF), mdp.evaluate(reference, KL_COEF)
    best = solution.evaluation
    print(
        f"{toy}: reference J {start.objective:.4f}, optimum J {best.objective:.4f} (score {best.score:.4f}, KL {best.kl:.3f}), β {KL_COEF}"
    )
    runs = []
    for seed in range(seeds):
        policy = LanguagePolicy.for_rules(rules)
        begun = time.perf_counter()
        PPO(policy, envs, CONFIG, seed=seed).learn(episodes)
        seconds = time.perf_counter() - begun
        run = {"seed": seed, "share": mdp.normalised_return(policy, KL_COEF), **mdp.evaluate(policy, KL_COEF)._asdict(), "seconds": seconds}
        runs.append(run)
        print("  ".join(f"{name} {value:.4g}" for name, value in run.items()), flush=True)
    return {
        "kl_coef": KL_COEF,
        "episodes": episodes,
        "states": sum(len(level.observations) for level in mdp.levels),
        "optimum": best._asdict(),
        "reference": start._asdict(),
        "values": dict(zip(rules.prompts.texts, solution.values[0].tolist(), strict=True)),
        "runs": runs,
        "versions": versions(),
    }


def table(results: dict[str, Any]) -> str:
    """One row a toy."""
    lines = [
        "| toy | prompts | states | J_ref | J* | score and KL at J* | seeds | episodes | share reached | seconds a seed |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for toy, found in results.items():
        best, runs = found["optimum"], found["runs"]
        shares, seconds = [run["share"] for run in runs], [run["seconds"] for run in runs]
        cells = [f"`{toy}`", len(found["values"]), found["states"], f"{found['reference']['objective']:.3f}", f"{best['objective']:.3f}"]
        cells += [f"{best['score']:.3f}, {best['kl']:.2f}", len(runs), f"{found['episodes']:,}"]
        cells += [f"{sum(shares) / len(shares):.3f} ({min(shares):.3f} to {max(shares):.3f})", f"{min(seconds):.0f} to {max(seconds):.0f}"]
        lines.append(f"| {' | '.join(map(str, cells))} |")
    return "\n".join(lines)


def pictures(grid_world: dict[str, Any]) -> str:
    """The grid, its exact values at β = 0, and those at the β of the table, beside each other."""
    soft = {prompt.removesuffix(":"): value for prompt, value in grid_world["values"].items()}
    drawn = {"the grid": draw(), "V, β 0, 6 moves left": draw(cell_values(6)), f"V, β {grid_world['kl_coef']}": draw(soft)}
    rows = zip(*(picture.splitlines() for picture in drawn.values()), strict=True)
    titles = "".join(f"{'':>6}{title:<34}" for title in drawn)
    return "\n".join(["```text", *(line.rstrip() for line in [titles, *("    ".join(row) for row in rows)]), "```"])


def main(toys: tuple[str, ...] = TOYS, seeds: int = 5, episodes: int = 24_576, out: Path = RESULTS, page: Path = PAGE) -> None:
    """Measure, print, and write the results and the page."""
    results = json.loads(out.read_text()) if out.is_file() else {}
    for toy in toys:
        results[toy] = measure(toy, seeds, episodes)
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(json.dumps(results, indent=2) + "\n")
    write_between_markers(
        page, "\n\n".join([table(results), *([pictures(results["TextGridWorld-v0"])] if "TextGridWorld-v0" in results else [])])
    )


if __name__ == "__main__":
    tyro.cli(main)
