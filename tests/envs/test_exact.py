"""The dynamic programme against brute force over every text."""

import itertools
import math
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch

from textenv.envs.exact import ExactMDP, enumerate_texts
from textenv.envs.rules import Rules
from textenv.envs.task import Task
from textenv.errors import ArgumentError
from textenv.models.loading import toy_causal_lm, toy_tokenizer
from textenv.models.policy import LanguagePolicy


def score(prompts: list[str], completions: list[str]) -> list[float]:
    return [text.count("a") - 0.5 * text.count(prompt[0]) + 0.1 * len(text) for prompt, text in zip(prompts, completions, strict=True)]


def make_rules(**fields: Any) -> Rules:
    task = Task(prompts=["b", "ab"], reward=score, tokenizer=toy_tokenizer("ab"), max_prompt_tokens=2, max_new_tokens=3, model=None)
    return Rules(task.replace(**fields))


def brute_force(rules: Rules, policy: LanguagePolicy) -> list[list[tuple[float, float]]]:
    """For each prompt, (log-probability, score) of every possible text, one token at a time and without any tree."""
    eos, least, most = rules.contract.end, rules.task.min_new_tokens, rules.response_columns
    found: list[list[tuple[float, float]]] = []
    for prompt, tokens in zip(rules.prompts.texts, rules.prompts.tokens, strict=True):
        texts = []
        for length in range(1, most + 1):
            for response in itertools.product(range(rules.vocabulary), repeat=length):
                ends = response[-1] == eos and length > least
                if eos in response[:-1] or (length < most and not ends) or (eos in response[:least]):
                    continue
                log_prob = 0.0
                for t, token in enumerate(response):
                    row = np.full((1, rules.width), -1, dtype=np.int32)
                    row[0, : len(tokens)] = tokens
                    row[0, len(tokens) : len(tokens) + t] = response[:t]
                    with torch.no_grad():
                        next_log_probs = policy.next_log_probs(row, cached=False)[0].double()
                    if t < least:
                        next_log_probs[eos] = -torch.inf
                    log_prob += float(torch.log_softmax(next_log_probs, -1)[token])
                text = "".join("ab"[token] for token in response if token != eos)
                penalty = rules.task.missing_eos_penalty * (not ends)
                texts.append((log_prob, score([prompt], [text])[0] - penalty))
        found.append(texts)
    return found


@pytest.mark.parametrize("fields", [{}, {"min_new_tokens": 2}, {"missing_eos_penalty": 0.7}])
def test_against_brute_force(fields: dict[str, Any]) -> None:
    rules = make_rules(**fields)
    reference = LanguagePolicy(toy_causal_lm(rules.tokenizer, 8, seed=1), rules.tokenizer)
    policy = LanguagePolicy(toy_causal_lm(rules.tokenizer, 8, seed=2), rules.tokenizer)
    mdp = ExactMDP(rules, reference)
    base, other = brute_force(rules, reference), brute_force(rules, policy)
    for texts in base:
        assert sum(math.exp(log_prob) for log_prob, _ in texts) == pytest.approx(1, abs=1e-6)

    found = mdp.evaluate(policy, 0.3)
    expected_score = np.mean([sum(math.exp(lp) * s for lp, s in texts) for texts in other])
    expected_kl = np.mean(
        [sum(math.exp(lp) * (lp - rp) for (lp, _), (rp, _) in zip(*pair, strict=True)) for pair in zip(other, base, strict=True)]
    )
    assert found.score == pytest.approx(expected_score, abs=1e-6)
    assert found.kl == pytest.approx(expected_kl, abs=1e-5)
    assert found.objective == pytest.approx(expected_score - 0.3 * expected_kl, abs=1e-5)

    for beta in (0.1, 0.5):
        # The optimum over whole texts: π*(y) ∝ π_ref(y) exp(score/β), J* = β log Σ π_ref(y) exp(score/β).
        solution = mdp.solve(beta)
        best = np.mean([beta * math.log(sum(math.exp(lp + s / beta) for lp, s in texts)) for texts in base])
        optimum = np.mean(
            [sum(math.exp(lp + s / beta) * s for lp, s in texts) / sum(math.exp(lp + s / beta) for lp, s in texts) for texts in base]
        )
        assert solution.evaluation.objective == pytest.approx(best, abs=1e-6)
        assert float(solution.values[0].mean()) == pytest.approx(best, abs=1e-6)
        assert solution.evaluation.score == pytest.approx(optimum, abs=1e-6)
    assert mdp.solve(0.0).evaluation.score == pytest.approx(np.mean([max(s for _, s in texts) for texts in base]), abs=1e-9)


def test_gradient_against_finite_differences() -> None:
    rules = make_rules()
    reference = LanguagePolicy(toy_causal_lm(rules.tokenizer, 8, seed=1), rules.tokenizer)
    policy = LanguagePolicy(toy_causal_lm(rules.tokenizer, 8, seed=2).double(), rules.tokenizer)
    mdp = ExactMDP(rules, reference)
    gradient = mdp.gradient(policy, 0.3)
    for name in ("transformer.h.0.mlp.c_fc.weight", "transformer.wte.weight", "transformer.ln_f.bias"):
        parameter = policy.model.get_parameter(name)
        index = tuple(int(i) for i in np.unravel_index(int(gradient[name].abs().argmax()), parameter.shape))
        values = []
        for step in (1e-4, -1e-4):
            with torch.no_grad():
                parameter[index] += step
                values.append(mdp.evaluate(policy, 0.3).objective)
                parameter[index] -= step
        # log_softmax is in float32, so differences have few digits
        assert (values[0] - values[1]) / 2e-4 == pytest.approx(float(gradient[name][index]), rel=2e-2)


def test_frontier_and_normalised_return() -> None:
    envs: Any = gymnasium.make_vec("TextCopy-v0", num_envs=1)
    rules = envs.unwrapped.rules
    reference = LanguagePolicy.for_rules(rules)
    mdp = ExactMDP(rules, reference)
    frontier = mdp.frontier([1.0, 0.3, 0.1, 0.03, 0.0])
    assert [point.score for point in frontier] == sorted(point.score for point in frontier)
    assert [point.kl for point in frontier] == sorted(point.kl for point in frontier)
    assert frontier[-1].score == pytest.approx(1)
    assert mdp.normalised_return(reference, 0.1) == pytest.approx(0)
    other = mdp.evaluate(LanguagePolicy(toy_causal_lm(rules.tokenizer, rules.width, seed=5), rules.tokenizer), 0.1)
    assert other.objective < mdp.solve(0.1).evaluation.objective


def test_too_large_is_refused() -> None:
    with pytest.raises(ArgumentError, match="too large to be solved exactly"):
        ExactMDP(make_rules(max_new_tokens=30), LanguagePolicy(toy_causal_lm(toy_tokenizer("ab"), 40), toy_tokenizer("ab")))


def test_values_of_a_policy_are_what_its_texts_still_bring() -> None:
    rules = make_rules()
    reference, policy = (LanguagePolicy(toy_causal_lm(rules.tokenizer, rules.width, seed=seed), rules.tokenizer) for seed in (0, 9))
    mdp = ExactMDP(rules, reference)
    values, reach = mdp.values(policy, 0.3), mdp.reach(policy)
    assert float(values[0].mean()) == pytest.approx(mdp.evaluate(policy, 0.3).objective)
    for prompt, texts in enumerate(brute_force(rules, policy)):
        assert float(mdp.values(policy, 0.0)[0][prompt]) == pytest.approx(sum(math.exp(log) * score for log, score in texts), abs=1e-6)
        ended = sum(math.exp(log) for log, _ in texts if log == texts[0][0])  # the empty text, the only one of one token
        assert float(reach[1].reshape(2, -1)[prompt].sum()) == pytest.approx((1 - ended) / 2, abs=1e-6)
    best = mdp.solve(0.3)
    assert all(torch.allclose(a, b) for a, b in zip(mdp.values(best.policy, 0.3), best.values, strict=True))


def test_what_a_potential_has_paid() -> None:
    levels = enumerate_texts(make_rules(potential=score))
    for level in levels:
        texts = ["".join("ab"[token] for token in row[2:] if token >= 0) for row in level.observations]
        prompts = ["".join("ab"[token] for token in row[:2] if token >= 0) for row in level.observations]
        assert level.paid.tolist() == pytest.approx(score(prompts, texts))
    assert len(levels[2].paid) == 2 * 4
    assert not any(float(level.paid.abs().max()) for level in enumerate_texts(make_rules()))
