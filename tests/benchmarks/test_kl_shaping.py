"""Where the black-box shaping leads: a fixed point of the agent's update, the optimum where nothing comes later."""

import json
from pathlib import Path

import pytest
import torch

from benchmarks import kl_shaping
from benchmarks.harness import END, START
from benchmarks.kl_shaping import KL_COEFS, has_an_a, main, measure, shaped_optimum, table, toys
from textenv import LanguagePolicy, Task
from textenv.envs.exact import ExactMDP
from textenv.envs.rules import Rules
from textenv.models.loading import toy_tokenizer


def toy(max_new_tokens: int) -> Task:
    return Task(
        prompts=["a", "b"], reward=has_an_a, tokenizer=toy_tokenizer("ab"), max_prompt_tokens=1, max_new_tokens=max_new_tokens, model=None
    )


def solve(task: Task) -> ExactMDP:
    rules = Rules(task)
    return ExactMDP(rules, LanguagePolicy.for_rules(rules))


@pytest.mark.parametrize("centred", [True, False])
def test_the_agents_update_is_zero_there(centred: bool) -> None:
    mdp, kl_coef = solve(toy(3)), 0.2
    logits = [log_probs.clone().requires_grad_() for log_probs in shaped_optimum(mdp, kl_coef, centred)]
    reach = torch.full((2,), 0.5, dtype=torch.float64)
    aim = torch.zeros((), dtype=torch.float64)
    for level, reference, scores in zip(mdp.levels, mdp.reference, logits, strict=True):
        probs = scores.softmax(-1)
        paid = kl_coef * (reference + centred * torch.special.entr(reference.exp()).sum(-1, keepdim=True)) + level.scores
        aim = aim + (reach[:, None] * probs * paid).sum()
        # The bonus raises the entropy where the agent is; that being there depends on the policy does not enter it.
        aim = aim + kl_coef * (reach.detach() * torch.special.entr(probs).sum(-1)).sum()
        reach = (reach[:, None] * probs)[level.child >= 0]
    gradients = torch.autograd.grad(aim, logits)
    assert max(gradient.abs().max().item() for gradient in gradients) < 1e-12


@pytest.mark.parametrize("centred", [True, False])
def test_with_one_token_it_is_the_optimum(centred: bool) -> None:
    mdp = solve(toy(1))
    torch.testing.assert_close(shaped_optimum(mdp, 0.3, centred)[0], mdp.solve(0.3).policy[0])


def test_no_shaping_beats_the_optimum() -> None:
    for row in measure(toy(3)):
        best = row["optimum"]["objective"]
        assert row["reference"]["objective"] < best
        assert row["uncentred"]["objective"] < row["centred"]["objective"] < best + 1e-12


def test_every_toy_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert {"TextCopy-v0", "TextReverse-v0", "TextCount-v0", "TextGridWorld-v0"} < set(toys())
    monkeypatch.setattr(kl_shaping, "toys", lambda: {"one": toy(1), "two": toy(2)})
    page = tmp_path / "page.md"
    page.write_text(f"before\n{START}\n{END}\nafter\n")
    main(out=tmp_path / "kl_shaping.json", page=page)
    found = json.loads((tmp_path / "kl_shaping.json").read_text())["toys"]
    assert list(found) == ["one", "two"]
    assert all([row["kl_coef"] for row in rows] == list(KL_COEFS) for rows in found.values())
    assert page.read_text() == f"before\n{START}\n\n{table(found)}\n\n{END}\nafter\n"
