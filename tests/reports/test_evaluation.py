"""Evaluations on hand numbers, and the two baselines against what theory says of them."""

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch

from textenv.envs.exact import ExactMDP
from textenv.envs.vector import text_envs
from textenv.errors import ArgumentError
from textenv.models.loading import toy_causal_lm
from textenv.models.policy import LanguagePolicy
from textenv.reports.evaluation import (
    Measured,
    ask_judge,
    best_of_n,
    clusters,
    distinct,
    jackknife,
    measure,
    reweighted,
    standard_error,
    summarise,
)
from textenv.rollouts.collect import collect
from textenv.rollouts.divergence import Divergence
from textenv.types import Episodes


def measured(scores: Sequence[float], *, judge: Sequence[float] | None = None, prompt_index: Sequence[int] | None = None) -> Measured:
    """One-token episodes with these scores; the other numbers count up with the episode."""
    n = len(scores)
    steps = torch.arange(n, dtype=torch.float32)
    episodes = Episodes(
        tokens=torch.stack([torch.zeros(n), torch.ones(n), torch.full((n,), -1)], 1).long(),
        prompt_columns=1,
        log_probs=torch.zeros(n, 2),
        values=torch.zeros(n, 2),
        rewards=torch.zeros(n, 2),
        scores=torch.tensor(scores, dtype=torch.float64),
        prompt_index=torch.tensor(prompt_index or [0] * n),
        prompts=["p"] * n,
        completions=[f"a b {i}" for i in range(n)],
        finish_reasons=["eos"] * n,
    )
    ref_log_probs = torch.stack([-steps, torch.zeros(n)], 1)
    found = Divergence(steps, 2 * steps, 3 * steps, 4 * steps, ref_log_probs)
    return Measured(episodes, None if judge is None else np.array(judge), found)


@dataclasses.dataclass(frozen=True)
class Placed:
    """A judge that needs a device."""

    device: str = "cpu"

    def __call__(self, completions: Sequence[str]) -> list[float]:
        return [float(self.device == "cuda:1")] * len(completions)


def test_the_judge_is_loaded_where_it_is_asked_for() -> None:
    envs = gymnasium.make_vec("TextCopy-v0", num_envs=2, judge=Placed())
    episodes = collect(LanguagePolicy.for_rules(text_envs(envs).rules), envs, 2, seed=0)
    assert ask_judge(envs, episodes, "cuda:1") == pytest.approx(np.ones(2))
    assert ask_judge(envs, episodes) == pytest.approx(np.zeros(2))
    assert ask_judge(gymnasium.make_vec("TextCopy-v0", num_envs=2), episodes) is None


def test_distinct_by_hand() -> None:
    texts = ["the cat the cat", "the dog", "", "dog"]
    # the cat, cat the, the cat, the dog: 3 of 4
    assert distinct(texts) == 0.75
    assert distinct(texts, n=1) == 3 / 7
    assert distinct(["one two three"], n=3) == 1.0
    assert distinct(["one"]) == 0.0
    # 很好 twice, 好看, 好吃
    assert distinct(["很好看。", "很好吃"]) == 0.75


def test_summary_by_hand() -> None:
    row = summarise(measured([0.0, 1.0, 2.0, 3.0], judge=[1.0, 0.5, 0.0, 0.4]))
    error = math.sqrt(5 / 3) / 2  # of 0, 1, 2, 3
    expected = {"n": 4, "score": 1.5, "score_se": error, "judge": 0.475, "judge_se": math.sqrt(0.5075 / 3) / 2}
    expected |= {"positive": 0.5, "positive_se": math.sqrt(1 / 3) / 2}
    for factor, name in enumerate(("kl_k1", "kl_k2", "kl_k3", "kl_exact"), start=1):
        expected |= {name: 1.5 * factor, f"{name}_se": error * factor}
    expected |= {"distinct2": 5 / 8, "distinct2_se": 0.0, "perplexity": math.exp(6 / 4), "length": 1.0, "length_se": 0.0}
    without = np.exp(np.array([6, 5, 4, 3]) / 3)  # the perplexity of three of the four
    expected["perplexity_se"] = math.sqrt(3 / 4 * np.square(without - without.mean()).sum())
    assert row == pytest.approx(expected)


def test_summary_has_the_parts_of_the_score() -> None:
    whole = measured([0.0, 1.0])
    row = summarise(whole._replace(episodes=dataclasses.replace(whole.episodes, score_parts={"tone": torch.tensor([0.5, 1.5])})))
    assert (row["score_tone"], row["score_tone_se"]) == (1.0, 0.5)


def test_standard_error_over_clusters() -> None:
    values, groups = np.array([1.0, 2.0, 3.0, 6.0]), np.array([0, 0, 1, 1])
    assert standard_error(values, groups) == pytest.approx(1.5)  # cluster sums of -3 and 3: √(2 (9 + 9)) / 4
    assert standard_error(values, np.arange(4)) == pytest.approx(values.std(ddof=1) / 2)
    # The same episode ten times tells nothing new.
    assert standard_error(np.repeat(values, 10), np.repeat(np.arange(4), 10)) == pytest.approx(standard_error(values, np.arange(4)))
    assert math.isnan(standard_error(values, np.zeros(4, dtype=np.int64)))


def test_jackknife_of_a_mean_is_its_standard_error() -> None:
    values = np.array([1.0, 2.0, 3.0, 6.0])
    assert jackknife((values.sum() - values) / 3) == pytest.approx(values.std(ddof=1) / 2)


def test_episodes_of_a_prompt_are_one_cluster() -> None:
    base = measured([0.0] * 5, prompt_index=[7, 3, 7, 9, 3])
    assert clusters(base.episodes.prompt_index.numpy()).tolist() == [1, 0, 1, 2, 0]
    assert clusters(np.array([7, 7, 7])).tolist() == [0, 1, 2]


def test_errors_of_distinct_and_perplexity_are_those_of_the_jackknife() -> None:
    whole = measured([0.0] * 6, prompt_index=[4, 4, 2, 2, 2, 0])
    texts = ["the cat sat", "the cat ran", "a dog", "the cat", "a dog ran off", "one"]
    whole = whole._replace(episodes=dataclasses.replace(whole.episodes, completions=texts))
    row = summarise(whole)
    left = []
    for prompt in (0, 2, 4):
        keep = whole.episodes.prompt_index != prompt
        left.append(summarise(Measured(whole.episodes.select(keep), None, Divergence(*(values[keep] for values in whole.divergence)))))
    for name in ("distinct2", "perplexity"):
        without = np.array([other[name] for other in left])
        assert without.std() > 0
        assert row[f"{name}_se"] == pytest.approx(math.sqrt(2 / 3 * np.square(without - without.mean()).sum()))


def test_summary_of_one_episode_has_no_errors() -> None:
    row = summarise(measured([2.0]))
    assert row["score"] == 2.0
    assert all(math.isnan(row[f"{name}_se"]) for name in ("score", "kl_exact", "length", "distinct2", "perplexity"))
    assert not {"judge", "positive"} & set(row)


def test_best_of_n_by_hand() -> None:
    base = measured([0.1, 0.9, 0.5, 0.7, 0.2, 0.6], judge=[0, 1, 2, 3, 4, 5], prompt_index=[4, 4, 4, 2, 2, 2])
    row = best_of_n(base, 3)
    assert [row["n"], row["score"], row["judge"]] == pytest.approx([2, 0.8, 2.0])  # episodes 1 and 3
    assert row["perplexity"] == pytest.approx(math.exp((1 + 3) / 2))
    assert row["distinct2"] == 3 / 4  # "a b 1" and "a b 3"
    assert row["kl_exact"] == pytest.approx(math.log(3) - 2 / 3)
    assert math.isnan(row["kl_k1"])
    assert math.isnan(row["kl_exact_se"])


def test_reweighting_by_hand() -> None:
    # exp(score/β) is 1, 3 in the first group and equal in the second.
    scores = [0.0, 0.5 * math.log(3), 1.0, 1.0]
    row = reweighted(measured(scores, judge=[0.0, 1.0, 0.2, 0.4], prompt_index=[0, 0, 1, 1]), 2, 0.5)
    kl = math.log(2) + 0.25 * math.log(0.25) + 0.75 * math.log(0.75)
    expected = {"n": 4.0, "score": (0.75 * scores[1] + 1.0) / 2, "kl_exact": kl / 2, "judge": (0.75 + 0.3) / 2}
    # Of two prompts, the standard error is half their difference.
    expected |= {"score_se": (1.0 - 0.75 * scores[1]) / 2, "kl_exact_se": kl / 2, "judge_se": (0.75 - 0.3) / 2}
    assert row == pytest.approx(expected)


def test_reweighting_keeps_its_limits() -> None:
    base = measured([0.0, 1.0, 0.5, 0.25])
    cold, warm = reweighted(base, 4, 1e-4), reweighted(base, 4, 1e6)
    assert [cold["score"], cold["kl_exact"]] == pytest.approx([1.0, math.log(4)])  # best of 4
    assert [warm["score"], warm["kl_exact"]] == pytest.approx([0.4375, 0.0], abs=1e-5)  # the reference


@pytest.mark.parametrize(("n", "prompt_index"), [(4, None), (2, [0, 0, 0, 1, 1, 1])])
def test_rows_that_are_no_groups_are_refused(n: int, prompt_index: list[int] | None) -> None:
    base = measured([0.0] * 6, prompt_index=prompt_index)
    with pytest.raises(ArgumentError, match=f"in groups of {n} of the same prompt"):
        best_of_n(base, n)
    with pytest.raises(ArgumentError, match=f"in groups of {n} of the same prompt"):
        reweighted(base, n, 0.1)


def share_of_a(completions: Sequence[str], hint: Sequence[float]) -> list[float]:
    return [text.count("a") + value for text, value in zip(completions, hint, strict=True)]


def make(num_envs: int = 64, **fields: Any) -> tuple[Any, LanguagePolicy, LanguagePolicy]:
    rows = [{"prompt": "ab>", "hint": 0.25}, {"prompt": "cab>", "hint": 0.5}, {"prompt": "cc>", "hint": 0.0}]
    envs: Any = gymnasium.make_vec("TextCopy-v0", num_envs=num_envs, prompts=rows, **fields)
    rules = envs.unwrapped.rules
    one, two = (LanguagePolicy(toy_causal_lm(rules.tokenizer, rules.width, seed=seed), rules.tokenizer) for seed in (1, 2))
    return envs, one, two


def test_measure_asks_judge_and_reference() -> None:
    envs, policy, reference = make(judge=share_of_a)
    found = measure(policy, reference, envs, [2, 0, 1, 1], seed=0)
    assert found.episodes.prompts == ["cc>", "ab>", "cab>", "cab>"]
    assert found.judge is not None
    hints = [0.0, 0.25, 0.5, 0.5]
    assert found.judge.tolist() == [text.count("a") + hint for text, hint in zip(found.episodes.completions, hints, strict=True)]
    with torch.no_grad():
        ref_log_probs, _ = reference.response_log_probs(found.episodes.tokens, 4)
    assert torch.allclose(found.divergence.ref_log_probs, ref_log_probs, atol=1e-5)
    assert torch.allclose(found.divergence.k1, (found.episodes.log_probs - ref_log_probs).sum(1), atol=1e-5)
    row = summarise(found)
    tokens = int(found.episodes.lengths.sum())
    assert tokens > 4
    assert row["perplexity"] == pytest.approx(math.exp(-float(ref_log_probs.sum()) / tokens), rel=1e-4)
    assert row["length"] == pytest.approx(tokens / 4)
    again = measure(policy, reference, envs, [2, 0, 1, 1], seed=0)
    assert torch.equal(found.episodes.tokens, again.episodes.tokens)


def test_without_a_judge_there_is_none() -> None:
    envs, policy, reference = make()
    assert measure(policy, reference, envs, [0, 1], seed=0).judge is None


def test_reweighting_estimates_the_optimum() -> None:
    envs, _, reference = make(num_envs=256)
    optimum = ExactMDP(envs.unwrapped.rules, reference).solve(0.3).evaluation
    base = measure(reference, reference, envs, np.repeat([0, 1, 2], 600), seed=0)
    row = reweighted(base, 600, 0.3)
    assert optimum.score - summarise(base)["score"] > 0.1
    assert row["score"] == pytest.approx(optimum.score, abs=0.03)
    assert row["kl_exact"] == pytest.approx(optimum.kl, abs=0.05)
