"""Supervised fine-tuning: the loss by hand, packed as alone, the split, and that it learns what it is shown."""

import copy
import math
from itertools import product
from typing import Any

import pytest
import torch

from textenv.agents import sft
from textenv.agents.sft import SFTConfig, context_of, evaluation, fine_tune, split
from textenv.errors import ArgumentError
from textenv.models.contract import contract_of
from textenv.models.loading import toy_causal_lm, toy_tokenizer
from textenv.models.lora import add_lora
from textenv.models.packing import packs
from textenv.models.policy import LanguagePolicy
from textenv.preferences.comparison import is_held_out
from textenv.rollouts.examples import load_examples

TOKENIZER = toy_tokenizer("abc>")
WORDS = ["".join(letters) for letters in product("abc", repeat=3)]
COPIES = [{"prompt": f"{word}>", "response": word} for word in WORDS]
CONFIG = SFTConfig(epochs=25, evaluations=1, batch_size=4, learning_rate=1e-2, held_out=0.2, patience=None)


def toy(context: int = 16) -> LanguagePolicy:
    return LanguagePolicy(toy_causal_lm(TOKENIZER, context), TOKENIZER)


def mean_nats(policy: LanguagePolicy, rows: list[dict[str, str]]) -> float:
    """-log π a token of the responses and their ends, from logits of each row alone."""
    nats, count = 0.0, 0
    for row in rows:
        ids = TOKENIZER(row["prompt"] + row["response"])["input_ids"] + [4]
        start = len(row["prompt"])
        with torch.no_grad():
            log_probs = policy.model(input_ids=torch.tensor([ids])).logits[0].log_softmax(-1)
        nats -= sum(float(log_probs[at - 1, ids[at]]) for at in range(start, len(ids)))
        count += len(ids) - start
    return nats / count


def test_the_held_out_loss_is_that_of_the_responses_alone() -> None:
    policy, examples = toy(), load_examples(COPIES, contract_of(TOKENIZER), 16)
    expected = mean_nats(policy, COPIES)
    for batch_size in (3, 1000):
        told = evaluation(policy, examples, batch_size, 16)()
        assert told["loss"] == pytest.approx(expected, rel=1e-5)
        assert told["bits_per_byte"] == pytest.approx(expected * 4 / 3 / math.log(2), rel=1e-5)  # four tokens of three bytes


def test_packed_training_is_training_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """A step on all rows has the gradient of the mean over all tokens, however they are packed."""
    found = []
    for together in (True, False):
        monkeypatch.setattr(sft, "packs", lambda policy, packs=together: packs)
        policy = toy()
        config = SFTConfig(epochs=1, batch_size=1000, held_out=0.0, learning_rate=1e-9, max_grad_norm=1e9)
        done = fine_tune(policy, COPIES, config)
        assert done.rows == (14 if together else 27)  # two examples of eight tokens in a row of sixteen
        assert done.fitted.history[0]["loss"] == pytest.approx(mean_nats(toy(), COPIES), abs=1e-5)
        gradients = [parameter.grad for parameter in policy.model.parameters()]
        found.append(torch.cat([gradient.flatten() for gradient in gradients if gradient is not None]))
    assert torch.allclose(found[0], found[1], atol=1e-5)


def test_it_learns_to_copy_what_it_is_not_shown() -> None:
    policy = toy()
    done = fine_tune(policy, COPIES, CONFIG)
    told = done.fitted.outline()
    shown = set(done.learnt.names)
    assert shown.isdisjoint(done.held_out.names)
    assert shown | set(done.held_out.names) == {row["prompt"] for row in COPIES}
    unseen = [row for row in COPIES if row["prompt"] not in shown]
    assert told["held_out_loss_before"] == pytest.approx(mean_nats(toy(), unseen), rel=1e-4)
    assert told["held_out_loss_after"] == pytest.approx(mean_nats(policy, unseen), rel=1e-4)
    assert told["held_out_loss_after"] < 0.2 * told["held_out_loss_before"]


def test_what_overfits_is_stopped_and_the_best_weights_are_kept() -> None:
    policy = toy()
    answers = [{"prompt": row["prompt"], "response": WORDS[(7 * i) % 27]} for i, row in enumerate(COPIES)]  # nothing to be learnt
    done = fine_tune(policy, answers, SFTConfig(epochs=200, batch_size=4, learning_rate=1e-2, held_out=0.2, patience=2))
    assert done.fitted.stopped_early
    unseen = [row for row in answers if row["prompt"] in done.held_out.names]
    best = min(row["held_out_loss"] for row in done.fitted.history)
    assert mean_nats(policy, unseen) == pytest.approx(best, rel=1e-4)
    assert best < done.fitted.history[-1]["held_out_loss"]


def test_adapters_learn_alone() -> None:
    policy = toy()
    add_lora(policy, 4)
    before = {name: value.clone() for name, value in policy.model.state_dict().items() if "lora" not in name}
    done = fine_tune(policy, COPIES, CONFIG)
    assert all(torch.equal(value, before[name]) for name, value in policy.model.state_dict().items() if "lora" not in name)
    assert done.fitted.outline()["held_out_loss_after"] < 0.7 * done.fitted.outline()["held_out_loss_before"]


def test_two_runs_are_equal() -> None:
    policies = [toy(), toy()]
    for policy in policies:
        fine_tune(policy, COPIES, SFTConfig(epochs=2, batch_size=4, held_out=0.2))
    expected = policies[0].state_dict()
    assert all(torch.equal(value, expected[name]) for name, value in policies[1].state_dict().items())


def test_bf16_is_near_fp32() -> None:
    plain = toy()
    half = LanguagePolicy(copy.deepcopy(plain.model), TOKENIZER, precision="bf16")
    assert packs(half)
    examples = load_examples(COPIES, contract_of(TOKENIZER), 16)
    found = [evaluation(policy, examples, 27, 16)()["loss"] for policy in (plain, half)]
    assert found[0] != found[1]
    assert found[0] == pytest.approx(found[1], rel=2e-2)


def test_the_split_is_by_text() -> None:
    examples = load_examples(["abcabcabc"] * 3 + WORDS, contract_of(TOKENIZER), 4)
    learnt, held_out = split(examples, 0.3)
    assert len(learnt.examples) + len(held_out.examples) == len(examples.examples)
    assert all(is_held_out(name, 0.3) for name in held_out.names)
    assert not any(is_held_out(name, 0.3) for name in learnt.names)
    assert sum(learnt.sizes) + sum(held_out.sizes) == 27 + 81
    assert split(examples, 0.0)[1].examples == []
    for share in (0.3, 0.999):
        with pytest.raises(ArgumentError, match=f"3 examples of 1 texts are too few to hold out {share} of them"):
            split(load_examples(["abc"] * 3, contract_of(TOKENIZER), 8), share)


def test_the_context() -> None:
    assert context_of(toy(8), None) == context_of(toy(), 8) == 8
    for context in (1, 17):
        with pytest.raises(ArgumentError, match=f"context must be between 2 and the 16 tokens that the model reads, got {context}"):
            fine_tune(toy(), COPIES, SFTConfig(context=context))


@pytest.mark.parametrize(
    ("fields", "message"), [({"max_new_tokens": 0}, "max_new_tokens must be positive, got 0"), ({"epochs": 0}, "epochs")]
)
def test_bad_numbers_are_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        SFTConfig(**fields)
