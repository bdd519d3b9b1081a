"""What `examples/rlhf.py` led to: the table and the picture of docs/rlhf.md, after Figure 1 of InstructGPT.

Ouyang et al., "Training language models to follow instructions with human feedback", https://arxiv.org/abs/2203.02155.

Run: python -m benchmarks.rlhf [runs/rlhf] [--corpora DIR]
"""

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # before torch: idle threads sleep

import gymnasium
import matplotlib.pyplot as plt
import tyro

from benchmarks.harness import ROOT, machine, write_between_markers
from examples.rlhf import ANNOTATOR, ENV, JUDGE, PPO
from textenv import LanguagePolicy, collect
from textenv.agents.sft import context_of, evaluation
from textenv.build.corpora import load_reviews
from textenv.commands.duel import DuelConfig, duel
from textenv.commands.eval import EvalConfig, evaluate
from textenv.rollouts.examples import load_examples

if TYPE_CHECKING:
    from matplotlib.axes import Axes

RESULTS: Final = ROOT / "benchmarks" / "results" / "rlhf.json"
PAGE: Final = ROOT / "docs" / "rlhf.md"
BASE: Final = "tiny-en"
TRAINED: Final = {"sft": "sft", "ppo": PPO, "ppo-ptx": "ppo-ptx", "dpo": "dpo"}
"""Folders of the example."""
REVIEWS: Final = 400
TOKENS: Final = 24
"""Of a text in the environment at most; one of so many was cut off."""


def measure(folder: Path, corpora: Path | None, episodes: int) -> dict[str, Any]:
    """Hold every policy against the fine-tuned one, and measure its scores, its KL from that one and its bits per byte; tell the frontier.

    Args:
        folder: of the example.
        corpora: folder with imdb_reviews.parquet, of whose held-out part the bits per byte are too; None leaves them out.
        episodes: of each policy.
    """
    names = {name: str(folder / place) for name, place in TRAINED.items()} | {"base": BASE}
    others = [name for name in names if name != "sft"]
    texts = unseen_texts(corpora)
    policies: dict[str, dict[str, Any]] = {}
    for name, policy in names.items():
        row = evaluate(EvalConfig(policy=policy, env=ENV, reference=names["sft"], reward=ANNOTATOR, episodes=episodes))
        kept = {key: row[key] for key in ("score", "score_se", "judge", "judge_se", "kl_exact", "distinct2")}
        policies[name] = kept | {"bits_per_byte": {what: bits_per_byte(policy, of) for what, of in texts.items()}, "wins": {}}
    for by in (JUDGE, ANNOTATOR):
        told = duel(DuelConfig(names=(names["sft"], *(names[name] for name in others), ENV), by=by, episodes=episodes))
        for name, pair in zip(others, told["pairs"], strict=False):  # those of the first player come first
            policies[name]["wins"][by] = {"rate": 1 - pair["win_rate"], "low": 1 - pair["high"], "high": 1 - pair["low"]}
    reward = json.loads((folder / "reward" / "summary.json").read_text(encoding="utf-8"))
    return {**machine(), "episodes": episodes, "policies": policies, "frontier": frontier(folder, episodes), "reward": reward}


def frontier(folder: Path, episodes: int) -> list[dict[str, float]]:
    """Measure what the runs of the frontier came to, by rising KL."""
    points = []
    for run in (folder / "frontier" / "runs").iterdir():
        row = evaluate(
            EvalConfig(policy=str(run), env=ENV, reference=str(folder / "sft"), reward=str(folder / "reward"), episodes=episodes)
        )
        kept = {key: row[key] for key in ("score", "score_se", "judge", "judge_se", "kl_exact")}
        points.append({"beta": json.loads((run / "config.json").read_text(encoding="utf-8"))["algorithm"]["kl_coef"]} | kept)
    return sorted(points, key=lambda point: point["kl_exact"])


def unseen_texts(corpora: Path | None) -> dict[str, list[Any]]:
    """Texts that no policy has learnt from: what the base plays anew, as in the corpus of PPO-ptx, and whole reviews."""
    played = collect(LanguagePolicy.from_pretrained(BASE), gymnasium.make_vec(ENV, num_envs=256), 1024, seed=1)
    rows = [{"prompt": prompt, "response": completion} for prompt, completion in zip(played.prompts, played.completions, strict=True)]
    if corpora is None:
        return {"played": rows}
    reviews = load_reviews(corpora)
    return {"played": rows, "reviews": [str(text) for text in reviews.loc[reviews["split"] == "heldout", "text"].head(REVIEWS)]}


def bits_per_byte(policy: str, texts: list[Any]) -> float:
    """Measure how well a policy's model predicts texts."""
    loaded = LanguagePolicy.from_pretrained(policy)
    context = context_of(loaded, None)
    return evaluation(loaded, load_examples(texts, loaded.contract, context, TOKENS), 16, context)()["bits_per_byte"]


def table(results: Mapping[str, Any]) -> str:
    """Lay the policies out as a table."""

    def rate(wins: Mapping[str, Any]) -> str:
        return f"{wins['rate']:.3f} ({wins['low']:.3f} to {wins['high']:.3f})" if wins else ""

    heads = (
        "policy",
        "wins over SFT, by the judge",
        "by the annotator's reward",
        "annotator's reward",
        "judge",
        "KL from SFT",
        "distinct-2",
        *(f"bits per byte, {what}" for what in results["policies"]["base"]["bits_per_byte"]),
    )
    lines = [f"| {' | '.join(heads)} |", f"|{'---|' * len(heads)}"]
    for name in ("base", *TRAINED):
        row = results["policies"][name]
        scores = [f"{row[key]:.3f} ± {row[f'{key}_se']:.3f}" for key in ("score", "judge")]
        cells = [rate(row["wins"].get(JUDGE, {})), rate(row["wins"].get(ANNOTATOR, {})), *scores]
        cells += [f"{row['kl_exact']:.2f}", f"{row['distinct2']:.3f}", *(f"{bits:.3f}" for bits in row["bits_per_byte"].values())]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def frontier_table(points: Sequence[Mapping[str, float]]) -> str:
    """Lay the runs of the frontier out as a table."""
    lines = ["| β | score by the reward model | judge | KL from SFT |", "|---|---|---|---|"]
    for point in points:
        scores = [f"{point[key]:.3f} ± {point[f'{key}_se']:.3f}" for key in ("score", "judge")]
        lines.append(f"| {point['beta']:g} | {' | '.join(scores)} | {point['kl_exact']:.2f} |")
    return "\n".join(lines)


def draw(results: Mapping[str, Any], place: Path) -> None:
    """Draw the win rates over SFT with their intervals, and the judge against KL."""
    with plt.rc_context({"svg.fonttype": "none", "svg.hashsalt": "rlhf"}):
        figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.2), layout="constrained")
        _draw_wins(left, results)
        _draw_judge(right, results)
        figure.savefig(place, metadata={"Date": None})
        plt.close(figure)


def _draw_wins(axes: "Axes", results: Mapping[str, Any]) -> None:
    names = [name for name in ("base", *TRAINED) if name != "sft"]
    for index, (by, colour) in enumerate(((JUDGE, "C0"), (ANNOTATOR, "C1"))):
        wins = [results["policies"][name]["wins"][by] for name in names]
        ends = [[row["rate"] - row["low"] for row in wins], [row["high"] - row["rate"] for row in wins]]
        at = [position + 0.3 * index - 0.15 for position in range(len(names))]
        axes.bar(at, [row["rate"] for row in wins], width=0.28, yerr=ends, capsize=3, color=colour, label=f"by {by}")
    axes.axhline(0.5, color="grey", linewidth=0.8)
    axes.set(xticks=range(len(names)), xticklabels=names, ylabel="win rate over SFT", ylim=(0, 1))
    axes.legend(fontsize="small", frameon=False, ncols=2, loc="lower center", bbox_to_anchor=(0.5, 1))


def _draw_judge(axes: "Axes", results: Mapping[str, Any]) -> None:
    policies, points = results["policies"], results["frontier"]
    line = [policies["sft"], *points]
    axes.plot([row["kl_exact"] for row in line], [row["judge"] for row in line], "o-", color="C2", label="PPO, with β")
    for index, point in enumerate(points):
        offset = (4, -10) if index % 2 else (-16, 4)
        axes.annotate(f"{point['beta']:g}", (point["kl_exact"], point["judge"]), offset, textcoords="offset points", fontsize=8)
    for name, style in (("base", "C0s"), ("ppo-ptx", "C1v"), ("dpo", "C3D")):
        row = policies[name]
        axes.errorbar(row["kl_exact"], row["judge"], row["judge_se"], fmt=style, label=name)
    axes.set(xlabel="KL from SFT, nats a sequence", ylabel="score of the judge")
    axes.legend(fontsize="small", loc="lower right")


def main(
    folder: tyro.conf.Positional[Path] = Path("runs/rlhf"),
    corpora: Path | None = None,
    episodes: int = 1024,
    out: Path = RESULTS,
    page: Path = PAGE,
) -> None:
    """Measure what stands in a folder of `examples/rlhf.py`, and write the results, the table and the picture."""
    results = measure(folder, corpora, episodes)
    out.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
    tables = f"{table(results)}\n\n{frontier_table(results['frontier'])}"
    write_between_markers(page, tables)
    draw(results, page.with_suffix(".svg"))
    print(tables)


if __name__ == "__main__":
    tyro.cli(main)
