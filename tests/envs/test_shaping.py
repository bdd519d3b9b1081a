"""KL shaping: on hand-computed numbers, and inside the env."""

from collections.abc import Callable, Sequence
from math import log
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from textenv.envs.exact import enumerate_texts
from textenv.envs.rules import Rules
from textenv.envs.shaping import KLShaping
from textenv.envs.single import TextEnv
from textenv.envs.task import Task
from textenv.errors import ArgumentError
from textenv.models.loading import toy_tokenizer
from textenv.models.policy import LanguagePolicy


class Table:
    """The same distribution in every state."""

    def __init__(self, *probs: float) -> None:
        self.log_probs = torch.tensor(probs).log()

    def next_log_probs(self, observations: NDArray[np.int32]) -> torch.Tensor:
        return self.log_probs.expand(len(observations), -1)


def pay(shaping: KLShaping, actions: Sequence[int]) -> list[float]:
    paid: list[float] = shaping(np.zeros((len(actions), 6), dtype=np.int32), np.array(actions)).tolist()
    return paid


def test_without_a_hook_it_pays_surprise_less_entropy() -> None:
    # H = .5 log 2 + .5 log 4 = 1.5 log 2
    paid = pay(KLShaping(Table(0.5, 0.25, 0.25), 2.0), [0, 1, 2])
    assert paid == pytest.approx([log(2), -log(2), -log(2)], abs=1e-6)
    assert 0.5 * paid[0] + 0.25 * paid[1] + 0.25 * paid[2] == pytest.approx(0, abs=1e-6)


def test_with_a_hook_it_pays_k1() -> None:
    shaping = KLShaping(Table(0.5, 0.25, 0.25), 2.0, policy=Table(0.25, 0.5, 0.25))
    paid = pay(shaping, [0, 1, 2])
    assert paid == pytest.approx([2 * log(2), -2 * log(2), 0.0], abs=1e-6)
    kl = 0.25 * log(0.25 / 0.5) + 0.5 * log(0.5 / 0.25)
    assert 0.25 * paid[0] + 0.5 * paid[1] + 0.25 * paid[2] == pytest.approx(-2 * kl, abs=1e-6)


def test_at_the_reference_the_hook_pays_nothing() -> None:
    assert pay(KLShaping(Table(0.7, 0.3), 1.0, policy=Table(0.7, 0.3)), [0, 1]) == [0.0, 0.0]


def test_a_forbidden_token_is_paid_as_the_least_probable_allowed_one() -> None:
    # H = .75 log(4/3) + .25 log 4
    entropy = 0.75 * log(4 / 3) + 0.25 * log(4)
    assert pay(KLShaping(Table(0.75, 0.25, 0.0), 1.0), [2, 1]) == pytest.approx([entropy - log(4)] * 2, abs=1e-6)
    both = KLShaping(Table(0.75, 0.25, 0.0), 1.0, policy=Table(0.5, 0.5, 0.0))
    assert pay(both, [2]) == pytest.approx([log(0.25) - log(0.5)], abs=1e-6)


def test_both_distributions_are_renormalised_over_the_allowed_tokens() -> None:
    allowed = np.array([[True, False, True]] * 3)
    # (.5, .25, .25) becomes (2/3, 0, 1/3), (.25, .5, .25) becomes (.5, 0, .5); the forbidden token counts as the last one
    observations, actions = np.zeros((3, 6), dtype=np.int32), np.array([0, 1, 2])
    shaping = KLShaping(Table(0.5, 0.25, 0.25), 2.0)
    entropy = 2 / 3 * log(3 / 2) + 1 / 3 * log(3)
    expected = [2 * (log(2 / 3) + entropy), 2 * (log(1 / 3) + entropy), 2 * (log(1 / 3) + entropy)]
    assert shaping(observations, actions, allowed).tolist() == pytest.approx(expected, abs=1e-6)
    shaping.policy = Table(0.25, 0.5, 0.25)
    expected = [2 * log(4 / 3), 2 * log(2 / 3), 2 * log(2 / 3)]
    assert shaping(observations, actions, allowed).tolist() == pytest.approx(expected, abs=1e-6)


def test_the_env_renormalises_over_its_action_masks(toy: Callable[..., Task]) -> None:
    table = Table(0.5, 0.25, 0.125, 0.125)
    paid, _ = play(TextEnv(toy(min_new_tokens=1), reference=table, kl_coef=1.0), [0, 3])
    early = [4 / 7, 2 / 7, 1 / 7]  # without the end of text
    entropy = [-sum(p * log(p) for p in early), 0.5 * log(2) + 0.25 * log(4) + 2 * 0.125 * log(8)]
    assert paid == pytest.approx([log(4 / 7) + entropy[0], 1.0 - log(8) + entropy[1]], abs=1e-6)


def test_a_reference_that_cannot_be_one_is_refused(toy: Callable[..., Task]) -> None:
    with pytest.raises(ArgumentError, match="reference must be a name, a path or a policy, got int"):
        TextEnv(toy(), reference=3, kl_coef=0.1)
    other = LanguagePolicy.for_rules(Rules(toy(tokenizer=toy_tokenizer("a"))))
    with pytest.raises(ArgumentError, match="The reference has 2 tokens, the environment 4"):
        TextEnv(toy(), reference=other, kl_coef=0.1)


def test_without_a_hook_the_mean_is_zero_in_every_state_of_a_task(toy: Callable[..., Task]) -> None:
    rules = Rules(toy())
    shaping = KLShaping.of(None, 0.3, rules)
    assert shaping is not None
    reference = LanguagePolicy.for_rules(rules)
    states = 0
    for level in enumerate_texts(rules):
        with torch.no_grad():
            probs = reference.next_log_probs(level.observations, cached=False).double().exp().numpy()  # (S, V)
        paid = np.stack([shaping(level.observations, np.full(len(probs), token)) for token in range(4)], axis=1)
        np.testing.assert_allclose((probs * paid).sum(1), 0, atol=1e-7)
        assert (np.abs(paid) > 1e-3).any(1).all()
        states += len(probs)
    assert states == 3 * (1 + 3 + 9)


def play(env: Any, actions: Sequence[int]) -> tuple[list[float], dict[str, Any]]:
    env.reset(seed=0, options={"prompt_index": 1})
    steps = [env.step(np.int64(action)) for action in actions]
    assert [step[2] for step in steps] == [False] * (len(steps) - 1) + [True]
    return [step[1] for step in steps], steps[-1][-1]


def test_the_env_pays_score_and_shaping() -> None:
    env: Any = gymnasium.make("TextCopy-v0", kl_coef=0.1)
    plain, info = play(gymnasium.make("TextCopy-v0"), [0, 0, 1, 4])
    assert "shaping" not in info
    paid, info = play(env, [0, 0, 1, 4])
    extra = np.subtract(paid, plain)
    assert info["score"] == sum(plain) > 0
    assert sum(paid) == pytest.approx(info["score"] + info["shaping"])
    observation = np.full((1, 8), -1, dtype=np.int32)
    observation[0, :4] = env.unwrapped.rules.prompts.tokens[1]
    reference = LanguagePolicy.for_rules(env.unwrapped.rules)
    for column, token in enumerate([0, 0, 1, 4], start=4):
        with torch.no_grad():
            log_probs = reference.next_log_probs(observation, cached=False)[0].double()
        expected = 0.1 * (log_probs[token] - (log_probs.exp() * log_probs).sum())
        assert extra[column - 4] == pytest.approx(expected.item(), abs=1e-5)
        observation[0, column] = token


def test_a_hook_that_is_set_later_counts(toy: Callable[..., Task]) -> None:
    env = TextEnv(toy(), reference=Table(0.5, 0.25, 0.125, 0.125), kl_coef=1.0)
    paid, info = play(env, [0, 3])
    entropy = 0.5 * log(2) + 0.25 * log(4) + 2 * 0.125 * log(8)
    assert paid == pytest.approx([entropy - log(2), 1.0 + entropy - log(8)], abs=1e-6)
    assert info["shaping"] == pytest.approx(2 * entropy - log(16), abs=1e-6)
    assert env.kl_shaping is not None
    env.kl_shaping.policy = Table(0.25, 0.25, 0.25, 0.25)
    paid, info = play(env, [0, 3])
    assert paid == pytest.approx([log(2), 1.0 - log(2)], abs=1e-6)
    assert info["shaping"] == pytest.approx(0.0, abs=1e-6)


@pytest.mark.parametrize("kl_coef", [-1, -0.1, float("nan"), float("inf"), "0.1", None, True])
@pytest.mark.parametrize("make", [gymnasium.make, gymnasium.make_vec])
def test_a_coefficient_that_is_none_is_refused(make: Callable[..., Any], kl_coef: Any) -> None:
    with pytest.raises(ArgumentError, match="kl_coef must be a number of at least 0"):
        make("TextCopy-v0", kl_coef=kl_coef)


def test_zero_asks_no_reference() -> None:
    env: Any = gymnasium.make("TextCopy-v0", kl_coef=0, reference="no-such-model")
    assert env.unwrapped.kl_shaping is None
