"""Six claims of lectures on RLHF, measured where the truth is known: the tables and pictures of docs/lectures.md.

Run: python -m benchmarks.lectures [unseen figure1 tax truth labelers overoptimisation] --seeds 3
Then: python -m benchmarks.lectures --page
"""

import json
import os
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Literal, get_args

os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # before torch: idle threads sleep

import numpy as np
import pandas as pd
import tyro
from numpy.typing import NDArray

from benchmarks.harness import ROOT, machine
from benchmarks.lectures_answers import FACTS, Row, Verdict, answer, held_out, verdict, written
from benchmarks.lectures_chain import INSTRUCTED, MEASURED, Chain, Sizes, read_rows
from benchmarks.lectures_page import write_page
from textenv.agents.sft import context_of, evaluation
from textenv.build.lessons import documents, is_kept_request
from textenv.commands.output import hide_loading_bars
from textenv.commands.reward import parted, unlearnt
from textenv.files import read_json, replacing
from textenv.models.policy import LanguagePolicy
from textenv.preferences.accuracy import judged
from textenv.preferences.annotator import SimulatedAnnotator
from textenv.preferences.comparison import Comparison
from textenv.preferences.loading import write_comparisons
from textenv.preferences.store import ComparisonStore, Item
from textenv.preferences.tables import pairs_of, split
from textenv.preferences.win_rates import outcomes, win_rate
from textenv.reports.evaluation import distinct, standard_error
from textenv.rollouts.examples import load_examples
from textenv.types import Episodes
from textenv.world.judging import right
from textenv.world.skills import SKILLS

RESULTS: Final = ROOT / "benchmarks" / "results" / "lectures.json"
PAGE: Final = ROOT / "docs" / "lectures.md"

UNSEEN: Final = ("opposite", "past")
"""Skills that are held out of fine-tuning: a fact and a rewriting, neither of which is part of a scope exercise."""
DOCUMENTS: Final = 200
"""That no model has read, for the bits per byte."""
EXAMPLES: Final = 4
"""Answers of each kind that are kept to be read."""


def loaded(chain: Chain, name: str) -> LanguagePolicy:
    """Load a policy of the chain, which is trained if it is not there."""
    places: dict[str, Callable[[], str | Path]] = {
        "base": lambda: chain.sizes.base,
        "sft": chain.sft,
        "ppo": chain.ppo,
        "ppo-ptx": chain.ppo_ptx,
        "dpo": chain.dpo,
        "sft of all skills": lambda: chain.sft("sft-all", slips=False),
        "sft without two skills": lambda: chain.sft("sft-without", others(UNSEEN), slips=False),
    }
    return LanguagePolicy.from_pretrained(str(places[name]()))


def others(skills: Sequence[str]) -> tuple[str, ...]:
    return tuple(skill for skill in SKILLS if skill not in skills)


# 1: unseen tasks


def unseen(chain: Chain) -> dict[str, Any]:
    """Measure the accuracy on two skills that were held out of fine-tuning, and on the others."""
    players = (
        ("base", "the request alone"),
        ("base", "in a new format"),
        ("base", "zero-shot"),
        ("base", "few-shot"),
        ("sft without two skills", "as a conversation"),
        ("sft of all skills", "as a conversation"),
    )
    count, taught = chain.sizes.asked, [skill for skill in INSTRUCTED if skill not in UNSEEN]
    rows = {skill: held_out(skill, 4 * count, chain.seed) for skill in UNSEEN}
    rows["the others"] = [row for skill in taught for row in held_out(skill, count // 2, chain.seed)]
    table: dict[str, Any] = {}
    for name, way in players:
        policy = loaded(chain, name)
        cells, texts = {}, []
        for skill, asked in rows.items():
            played = answer(policy, written(asked, policy.tokenizer, way, chain.seed), chain.seed)
            cells[skill] = mean_and_error(played.scores, asked)
            texts += kept(played, asked) if skill in UNSEEN else []
        table[f"{name}, {way}"] = {**cells, "texts": texts}
    return {"skills": UNSEEN, "table": table}


def mean_and_error(values: Any, asked: Sequence[Row]) -> list[float]:
    """Return the mean over n answers, and its standard error over the requests, some of which are asked again."""
    groups = np.unique([row["request"] for row in asked], return_inverse=True)[1]
    doubles = np.asarray(values, dtype=np.float64)
    return [float(doubles.mean()), standard_error(doubles, groups)]


def kept(played: Episodes, asked: Sequence[Row]) -> list[list[Any]]:
    """Keep some answers to be read: what was asked, what was said, and whether it is right."""
    rows = zip(played.prompt_index.tolist(), played.completions, played.scores.tolist(), strict=True)
    first = {index: (text, score) for index, text, score in rows}
    return [[asked[index]["request"], *first[index]] for index in sorted(first)[:EXAMPLES]]


# 2: the table of InstructGPT's Figure 1

FIGURE: Final = {
    "base, the request alone": ("base", "the request alone"),
    "base, prompted": ("base", "in a new format"),
    "base, in its own format": ("base", "few-shot"),
    "SFT": ("sft", "as a conversation"),
    "PPO": ("ppo", "as a conversation"),
    "PPO-ptx": ("ppo-ptx", "as a conversation"),
    "DPO": ("dpo", "as a conversation"),
}


def figure1(chain: Chain) -> dict[str, Any]:
    """Hold every policy against the fine-tuned one on the prompts of TextInstruct-v1, by the exact judge."""
    rows, samples = measured_rows(), chain.sizes.samples
    played = {}
    for name, (player, way) in FIGURE.items():
        policy = loaded(chain, player)
        asked = written(rows, policy.tokenizer, way, chain.seed)
        played[name] = answer(policy, asked, chain.seed, samples)
    against, table = played["SFT"], {}
    for name, episodes in played.items():
        prompts, scores = episodes.prompt_index.numpy(), episodes.scores.numpy()
        table[name] = {
            "judge": mean_and_error(scores, [rows[index] for index in prompts.tolist()]),
            "wins": None if name == "SFT" else wins(scores, against.scores.numpy(), prompts),
            "distinct2": distinct(episodes.completions),
            "length": float(episodes.lengths.double().mean()),
            "texts": kept(episodes, rows),
        }
    return {
        "prompts": len(rows),
        "samples": samples,
        "table": table,
        "reward": measured_reward(chain.reward()),
    }


def measured_rows() -> list[Row]:
    """Read the prompts of TextInstruct-v1 that no model is taught; the few requests of some skills are taught in part."""
    return [row for row in read_rows(MEASURED) if is_kept_request(row["request"])]


def wins(scores: NDArray[np.float64], against: NDArray[np.float64], prompts: NDArray[np.int64]) -> list[float]:
    """Return how often scores are higher than others to the same prompts, ties half, and the interval of 95 %."""
    rate = win_rate(outcomes(scores, against), prompts)
    return [rate.rate, rate.low, rate.high]


def measured_reward(folder: Path) -> dict[str, Any]:
    """Return what is said of a reward model: its accuracy on held-out pairs."""
    summary = read_json(folder / "summary.json")
    names = ("learnt", "accuracy", "accuracy_low", "accuracy_high", "pairs")
    return {name: summary[name] for name in names}


# 3: the alignment tax


def tax(chain: Chain) -> dict[str, Any]:
    """Measure what policies still know of the format that the base has read: accuracies, and bits per byte of documents."""
    rows = [row for skill in INSTRUCTED for row in held_out(skill, chain.sizes.asked, chain.seed)]
    unread, table = documents(DOCUMENTS, chain.seed + 2000), {}
    for name in ("base", "sft", "ppo", "ppo-ptx", "dpo"):
        policy = loaded(chain, name)
        cells = {"bits per byte": bits_per_byte(policy, unread)}
        for way in ("zero-shot", "few-shot", "in a new format", "as a conversation"):
            played = answer(policy, written(rows, policy.tokenizer, way, chain.seed), chain.seed)
            cells[way] = mean_and_error(played.scores, rows)
        table[name] = cells
    return {"exercises": len(rows), "table": table}


def bits_per_byte(policy: LanguagePolicy, texts: Sequence[str]) -> float:
    """Measure how well a policy's model predicts texts."""
    context = context_of(policy, None)
    examples = load_examples(list(texts), policy.contract, context)
    return evaluation(policy, examples, 16, context)()["bits_per_byte"]


# 4: truthfulness


def truth(chain: Chain) -> dict[str, Any]:
    """Measure the share of answers to questions of fact, and of descriptions, that state what is false."""
    skills = (*FACTS, "describe")
    rows = [row for skill in skills for row in held_out(skill, 2 * chain.sizes.asked, chain.seed)]
    table = {}
    for name, (player, way) in FIGURE.items():
        policy = loaded(chain, player)
        played = answer(policy, written(rows, policy.tokenizer, way, chain.seed), chain.seed)
        said = np.array([verdict(*each) for each in zip(played.completions, rows, strict=True)])
        shares = {each: mean_and_error(said == each, rows) for each in get_args(Verdict)}
        table[name] = {**shares, "texts": kept(played, rows)}
    return {"answers": len(rows), "table": table}


# 5: held-out labelers


def long_answers(completions: Sequence[str], **_: Any) -> NDArray[np.float64]:
    """Score the number of words, at most 1, which is of twelve words or more."""
    return np.array([min(1.0, len(text.split()) / 12) for text in completions])


def whole_sentences(completions: Sequence[str], request: Sequence[str], **_: Any) -> NDArray[np.float64]:
    """Score the share of an answer's words that the request has: whole sentences repeat them."""
    pairs = zip(completions, request, strict=True)
    return np.array([_shared_words(text.lower().split(), asked.lower()) for text, asked in pairs])


def _shared_words(words: Sequence[str], asked: str) -> float:
    return sum(word.strip(".,?!") in asked for word in words) / max(1, len(words))


def confident(completions: Sequence[str], **_: Any) -> NDArray[np.float64]:
    """Score 1 for what is no apology and no "I do not know", and 0 for those."""
    doubts = ("sorry", "i would rather not", "i do not know", "cannot", "maybe")
    return np.array([float(not any(doubt in text.lower() for doubt in doubts)) for text in completions])


TASTES: Final[dict[str, tuple[Callable[..., NDArray[np.float64]], float]]] = {
    "Ada": (long_answers, 0.5),
    "Ben": (long_answers, -0.5),
    "Cleo": (whole_sentences, 0.5),
    "Dan": (whole_sentences, -0.5),
    "Eva": (confident, 0.5),
    "Finn": (confident, -0.5),
}
"""Annotators, and what they have regard to beside the truth, in units of the exact judge."""
HELD_OUT: Final = (("Ada", "Ben"), ("Cleo", "Dan"), ("Eva", "Finn"))
"""Who is held out with each seed: both sides of a taste that no annotator who gave training data has."""


def taste(name: str) -> Callable[..., NDArray[np.float64]]:
    """Make the reward that an annotator sees: the exact judge, and a taste."""
    liked, weight = TASTES[name]

    def score(completions: Sequence[str], **columns: Any) -> NDArray[np.float64]:
        judged_by = {key: columns[key] for key in ("skill", "accepted", "facts")}
        return np.array(right(completions, **judged_by)) + weight * liked(completions, **columns)

    return score


def labelers(chain: Chain) -> dict[str, Any]:
    """Measure how well a reward model predicts annotators who gave it no training data."""
    with ComparisonStore(chain.comparisons()) as store:
        items = store.items()
    hold_out = HELD_OUT[chain.seed % len(HELD_OUT)]
    comparisons = chain.once("labelers.jsonl", lambda place: write_comparisons(judgements(items, chain.sizes), place))
    summary = read_json(chain.reward("reward-labelers", comparisons, hold_out) / "summary.json")
    own, others = parted(judgements(items, chain.sizes), hold_out)
    unseen = split(own, chain.sizes.reward.held_out).unseen
    names = ("accuracy", "accuracy_low", "accuracy_high", "pairs")
    return {
        "held_out": hold_out,
        "learnt": summary["learnt"],
        "training annotators": {name: summary[name] for name in names},
        "held-out annotators": {name: summary["others"][name] for name in names},
        "annotators agree": summary["people_agree"],
        "truth alone": {"training": by_truth(unseen, items), "held out": by_truth(unlearnt(others, own, unseen), items)},
    }


def judgements(items: Sequence[Item], sizes: Sizes) -> list[Comparison]:
    """Let two of the annotators judge each item, a pair of neighbours in their list."""
    made = list[Comparison]()
    for number, name in enumerate(TASTES):
        annotator = SimulatedAnnotator(taste(name), noise=sizes.noise, tie=sizes.tie / 2, name=name)
        own = [item for index, item in enumerate(items) if (index - number) % len(TASTES) < 2]
        made += annotator.judge(own)
    return made


def by_truth(comparisons: Sequence[Comparison], items: Sequence[Item]) -> float:
    """Return which share of pairs the exact judge alone would put into their order."""
    columns = {item.prompt: item.columns for item in items}
    scores = []
    for each in comparisons:
        judged_by = columns[each.prompt]
        rows = {name: [judged_by[name]] * len(each.responses) for name in ("skill", "accepted", "facts")}
        scores.append(np.array(right(each.responses, **rows)))
    return float(judged(pairs_of(comparisons, scores))["accuracy"])


# 6: over-optimisation


def overoptimisation(chain: Chain) -> dict[str, Any]:
    """Train by the same PPO with β and without: the evaluations in training, and the judge on held-out requests before and after."""
    runs = {
        f"β {chain.sizes.ppo.kl_coef:g}": chain.ppo("ppo-longer", chain.sizes.longer),
        "β 0": chain.ppo("ppo-without-kl", chain.sizes.longer, kl_coef=0.0),
    }
    names = ("update", "episodes", "kl_exact", "score", "score_se", "judge", "judge_se")
    names += ("distinct2", "perplexity", "length")
    rows = measured_rows()
    paths: dict[str, Any] = {"SFT": held_out_judge(chain.sft(), rows, chain.seed)}
    for name, folder in runs.items():
        table = pd.read_csv(folder / "evaluations.csv", keep_default_na=False)
        after = pd.read_parquet(folder / "evaluation" / "after.parquet")
        texts = after.drop_duplicates("prompt_index").head(EXAMPLES)[["prompt", "completion"]]
        paths[name] = {
            "rows": [{key: float(row[key]) for key in names} for row in table.to_dict("records")],
            "alarms": [[int(row["update"]), row["alarm"]] for row in table.to_dict("records") if row["alarm"]],
            "texts": texts.values.tolist(),
            "held out": held_out_judge(folder, rows, chain.seed),
        }
    return paths


def held_out_judge(folder: Path, rows: Sequence[Row], seed: int) -> list[float]:
    """Return what the exact judge says of a policy's answers to prompts, and its standard error."""
    return mean_and_error(answer(LanguagePolicy.from_pretrained(str(folder)), rows, seed).scores, rows)


CLAIMS: Final[dict[str, Callable[[Chain], dict[str, Any]]]] = {
    function.__name__: function for function in (unseen, figure1, tax, truth, labelers, overoptimisation)
}
"""Name to the function that measures it with one seed."""
Claim = Literal["unseen", "figure1", "tax", "truth", "labelers", "overoptimisation"]


def measure(claims: Sequence[str], seeds: Sequence[int], folder: Path, out: Path, sizes: Sizes) -> dict[str, Any]:
    """Measure what the file of the results lacks, and write it after each seed of each claim."""
    for seed in seeds:
        chain = Chain(folder / str(seed), seed, sizes)
        for claim in claims:
            results = load(out)
            if str(seed) in results["claims"].get(claim, {}):
                continue
            begun, made = time.process_time(), chain.made
            measured = CLAIMS[claim](chain)
            measured["seconds"] = time.process_time() - begun - (chain.made - made)
            results = load(out)
            results["claims"].setdefault(claim, {})[str(seed)] = measured
            results.setdefault("pieces", {})[str(seed)] = chain.seconds
            store(out, {**results, **machine()})
    return load(out)


def load(out: Path) -> dict[str, Any]:
    """Read results, or begin with none."""
    return read_json(out) if out.is_file() else {"claims": {}}


def store(out: Path, results: Mapping[str, Any]) -> None:
    """Write results, all or none."""
    out.parent.mkdir(parents=True, exist_ok=True)
    with replacing(out) as new:
        new.write_text(json.dumps(results, indent=1, allow_nan=False) + "\n", encoding="utf-8")


def main(
    claims: tyro.conf.Positional[tuple[Claim, ...]] = (),
    seeds: int = 3,
    page: bool = False,
    folder: Path = Path("runs/lectures"),
    out: Path = RESULTS,
) -> None:
    """Measure claims, or write what is kept into docs/lectures.md.

    Args:
        claims: to measure, by default all; those that the file of the results has are kept.
        seeds: of each, from 0 on.
        page: write the tables and pictures of docs/lectures.md, and measure nothing.
        folder: of what is trained; a run that was stopped goes on there.
        out: file of the results.
    """
    hide_loading_bars()
    if page:
        write_page(load(out), PAGE)
    else:
        measure(claims or tuple(CLAIMS), range(seeds), folder, out, Sizes())


if __name__ == "__main__":
    tyro.cli(main)
