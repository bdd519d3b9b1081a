"""DPO: its losses by hand and by brute force, what is told, and the optimum that it shares with PPO."""

import dataclasses
import itertools
import math
from typing import Any

import pytest
import torch

from tests.agents.enumerated import TINY, agreement, every_text
from textenv.agents.dpo import DPOConfig, Judged, ipo_loss, prefer, sigmoid_loss
from textenv.agents.ppo import PPO, PPOConfig
from textenv.envs.exact import ExactMDP
from textenv.envs.vector import TextVectorEnv
from textenv.errors import ArgumentError
from textenv.models.loading import toy_causal_lm, toy_tokenizer
from textenv.models.lora import add_lora
from textenv.models.policy import LanguagePolicy
from textenv.preferences.comparison import Comparison

PROMPTS = ["".join(letters) for letters in itertools.product("ab", repeat=4)]
BY_LENGTH = [Comparison(prompt=prompt, responses=("a", "ab", "", "bbb"), ranks=(3, 2, 4, 1)) for prompt in PROMPTS]
"""Longer responses are better."""


def toy(context: int = 8, seed: int = 0) -> LanguagePolicy:
    tokenizer = toy_tokenizer("ab")
    return LanguagePolicy(toy_causal_lm(tokenizer, context, seed=seed), tokenizer)


# Losses


def test_sigmoid_by_hand() -> None:
    margins = torch.tensor([2.0, -1.0, 0.0])
    by_hand = [math.log(1 + math.exp(-1.0)), math.log(1 + math.exp(0.5)), math.log(2)]  # β h of 1, -1/2 and 0
    assert sigmoid_loss(margins, 0.5).tolist() == pytest.approx(by_hand, rel=1e-6)
    turned = [math.log(1 + math.e), math.log(1 + math.exp(-0.5)), math.log(2)]
    smooth = [0.9 * right + 0.1 * wrong for right, wrong in zip(by_hand, turned, strict=True)]
    assert sigmoid_loss(margins, 0.5, 0.1).tolist() == pytest.approx(smooth, rel=1e-6)


def test_smoothed_labels_have_a_finite_optimum() -> None:
    """At σ(β h) = 1 - ε, whereas without smoothing the gradient always asks for more."""
    best = torch.tensor(math.log(0.9 / 0.1) / 0.5, requires_grad=True)
    (gradient,) = torch.autograd.grad(sigmoid_loss(best, 0.5, 0.1), best)
    assert gradient.item() == pytest.approx(0, abs=1e-7)
    (gradient,) = torch.autograd.grad(sigmoid_loss(best, 0.5), best)
    assert gradient.item() == pytest.approx(-0.5 * 0.1, rel=1e-5)  # -β σ(-β h)


def test_ipo_by_hand() -> None:
    assert ipo_loss(torch.tensor([2.0, -1.0, 1.0]), 0.5).tolist() == [1.0, 4.0, 0.0]


def by_hand(policy: LanguagePolicy, prompt: str, response: str, end: bool = True) -> float:
    """Log π of a response and its end, from the model's logits."""
    ids = policy.tokenizer(prompt + response)["input_ids"] + [policy.tokenizer.eos_token_id] * end
    with torch.no_grad():
        log_probs = policy.model(input_ids=torch.tensor([ids])).logits[0].double().log_softmax(-1)
    return sum(float(log_probs[at - 1, ids[at]]) for at in range(len(prompt), len(ids)))


def expected(loss: str, ratios: list[float], ranks: tuple[int, ...], beta: float, smoothing: float) -> float:
    """The loss of one comparison by the definitions, pair by pair or order by order."""
    if loss == "plackett_luce":
        orders = [order for order in itertools.permutations(range(len(ranks))) if [ranks[i] for i in order] == sorted(ranks)]
        worth = [math.exp(beta * ratio) for ratio in ratios]
        chances = [math.prod(worth[i] / sum(worth[j] for j in order[at:]) for at, i in enumerate(order)) for order in orders]
        return -math.log(sum(chances))
    losses = []
    for i, j in itertools.permutations(range(len(ranks)), 2):
        h = ratios[i] - ratios[j]
        if ranks[i] < ranks[j] and loss == "ipo":
            losses.append((h - 1 / (2 * beta)) ** 2)
        elif ranks[i] < ranks[j]:
            losses.append((1 - smoothing) * math.log(1 + math.exp(-beta * h)) + smoothing * math.log(1 + math.exp(beta * h)))
    return sum(losses) / len(losses)


CASES: list[tuple[Any, float]] = [("sigmoid", 0.0), ("sigmoid", 0.2), ("ipo", 0.0), ("plackett_luce", 0.0)]


@pytest.mark.parametrize(("loss", "smoothing"), CASES, ids=str)
def test_what_is_told_of_rankings_is_that_of_brute_force(loss: Any, smoothing: float) -> None:
    """Of a policy that is not its reference any more; four responses, ties, and fewer responses beside them."""
    comparisons = [
        Comparison(prompt="aba", responses=("a", "ab", "", "bbb"), ranks=(3, 2, 4, 1)),
        Comparison(prompt="b", responses=("", "bb", "a", "aa"), ranks=(2, 1, 2, 2)),
        Comparison(prompt="ab", responses=("aa", "b"), ranks=(2, 1)),
    ]
    policy, reference = toy(), toy()
    judged = Judged(policy, comparisons, DPOConfig(loss=loss, label_smoothing=smoothing, beta=0.3, batch_size=2), 8)
    with torch.no_grad():
        for parameter in policy.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(9)))
    ratios = [[by_hand(policy, c.prompt, text) - by_hand(reference, c.prompt, text) for text in c.responses] for c in comparisons]
    told = judged.measure()
    losses = [expected(loss, ratio, c.ranks or (), 0.3, smoothing) for ratio, c in zip(ratios, comparisons, strict=True)]
    assert told["loss"] == pytest.approx(sum(losses) / 3, rel=1e-4)
    better = [sum(0.3 * ratio[i] for i, _ in c.pairs) / len(c.pairs) for ratio, c in zip(ratios, comparisons, strict=True)]
    worse = [sum(0.3 * ratio[j] for _, j in c.pairs) / len(c.pairs) for ratio, c in zip(ratios, comparisons, strict=True)]
    right = [sum(ratio[i] > ratio[j] for i, j in c.pairs) / len(c.pairs) for ratio, c in zip(ratios, comparisons, strict=True)]
    assert told["reward_better"] == pytest.approx(sum(better) / 3, abs=1e-4)
    assert told["reward_worse"] == pytest.approx(sum(worse) / 3, abs=1e-4)
    assert told["margin"] == pytest.approx(sum(better) / 3 - sum(worse) / 3, abs=1e-4)
    assert told["accuracy"] == pytest.approx(sum(right) / 3)


# Fitting


@pytest.mark.parametrize("loss", ["sigmoid", "ipo", "plackett_luce"])
def test_it_learns_what_is_better_of_unseen_prompts(loss: Any) -> None:
    policy = toy()
    config = DPOConfig(loss=loss, held_out=0.5, epochs=30, batch_size=4, learning_rate=5e-3, evaluations=1, patience=None)
    found = prefer(policy, BY_LENGTH, config)
    first, *_, last = found.fitted.history
    start = {"sigmoid": math.log(2), "ipo": 25.0, "plackett_luce": math.log(24)}[loss]
    assert first["held_out_loss"] == pytest.approx(start, rel=1e-4)
    assert (first["held_out_margin"], first["held_out_accuracy"]) == (0.0, 0.5)
    assert last["accuracy"] > 0.9
    assert found.unseen["accuracy"] > 0.9
    assert found.unseen["reward_better"] > found.unseen["reward_worse"]
    assert (found.learnt, found.unsaid, found.prompts_cut) == (7, 0, 0)


def test_adapters_learn_and_the_reference_is_without_them() -> None:
    policy = toy()
    add_lora(policy, 4)
    frozen = {name: value.clone() for name, value in policy.model.state_dict().items() if "lora" not in name}
    found = prefer(policy, BY_LENGTH, DPOConfig(held_out=0.5, epochs=15, batch_size=4, learning_rate=2e-2, patience=None))
    assert found.fitted.history[0]["held_out_margin"] == 0.0
    assert found.unseen["accuracy"] > 0.8
    assert all(torch.equal(value, frozen[name]) for name, value in policy.model.state_dict().items() if "lora" not in name)


def test_micro_batches_and_a_second_run_are_the_same() -> None:
    policies = [toy(), toy(), toy()]
    for policy, micro in zip(policies, (None, None, 2), strict=True):
        prefer(policy, BY_LENGTH, DPOConfig(held_out=0.0, epochs=2, batch_size=8, micro_batch_size=micro))
    first, again, parts = (torch.cat([value.flatten() for value in policy.model.state_dict().values()]) for policy in policies)
    assert torch.equal(first, again)
    assert torch.allclose(first, parts, atol=1e-4)


def test_what_says_nothing_is_left_out() -> None:
    silent = [
        Comparison(prompt="a", responses=("a", "b"), ranks=(1, 1)),
        Comparison(prompt="b", responses=("a", "b")),
        Comparison(prompt="a", responses=("a", "b"), ratings=(2, None)),
    ]
    rated = Comparison(prompt="abababab", responses=("a", "b"), ratings=(2, 5))
    found = prefer(toy(), [*silent, rated], DPOConfig(held_out=0.0, epochs=1))
    assert (found.learnt, found.unsaid, found.prompts_cut, found.unseen) == (1, 3, 1, {})
    with pytest.raises(ArgumentError, match=r"None of the 3 comparisons says that one response is better than another\."):
        prefer(toy(), silent)
    with pytest.raises(ArgumentError, match=r"1 comparisons of 1 prompts are too few to hold out 0\.2 of them"):
        prefer(toy(), [rated])
    with pytest.raises(ArgumentError, match="A response to the prompt 'a': the tokenizer cannot write"):
        prefer(toy(), [Comparison(prompt="a", responses=("a", "xyz"), ranks=(1, 2))], DPOConfig(held_out=0.0))
    many = Comparison(prompt="a", responses=tuple("a" * i for i in range(13)), ranks=tuple(range(1, 14)))
    with pytest.raises(ArgumentError, match='The loss "plackett_luce" takes at most 12 responses a prompt, got 13; use "sigmoid"'):
        prefer(toy(), [many], DPOConfig(loss="plackett_luce", held_out=0.0))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"beta": 0.0}, r"beta must be positive, got 0\.0\."),
        ({"loss": "hinge"}, 'loss must be "sigmoid" or "ipo" or "plackett_luce", got'),
        ({"label_smoothing": 0.5}, r"label_smoothing must be at least 0 and below 0\.5, got 0\.5\."),
        ({"label_smoothing": 0.1, "loss": "ipo"}, 'label_smoothing is of the loss "sigmoid"; leave it out for "ipo"'),
        ({"max_new_tokens": 0}, "max_new_tokens must be positive, got 0"),
    ],
)
def test_bad_numbers_are_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        DPOConfig(**fields)


# The optimum

BETA = 0.5


def doubled(prompts: list[str], completions: list[str]) -> list[float]:
    return [2 * score for score in agreement(prompts, completions)]


def rewarded_envs() -> TextVectorEnv:
    return TextVectorEnv(dataclasses.replace(TINY, reward=doubled), 256)


class Truth:
    """All seven texts of both prompts: π_ref, rewards, π* ∝ π_ref exp(r/β)."""

    def __init__(self) -> None:
        self.rules = rewarded_envs().rules
        self.reference = LanguagePolicy.for_rules(self.rules)
        self.episodes, probability = every_text(self.rules, self.reference)
        self.start = 2 * probability.reshape(2, -1).double()  # (2, 7) given the prompt
        self.rewards = self.episodes.scores.reshape(2, -1)
        self.best = (self.start.log() + self.rewards / BETA).softmax(1)
        self.wins = torch.sigmoid(self.rewards[:, :, None] - self.rewards[:, None, :])  # (2, 7, 7) P(i better than j)

    def distance(self, policy: LanguagePolicy) -> float:
        """Total variation to π*, the mean over the prompts; it is printed for the page."""
        _, probability = every_text(self.rules, policy)
        found = float((2 * probability.reshape(2, -1) - self.best).abs().sum(1).mean() / 2)
        print(f"total variation {found:.4f}")
        return found


def test_the_optimum_is_that_of_the_score_less_the_kl() -> None:
    truth = Truth()
    solved = ExactMDP(truth.rules, truth.reference).solve(BETA).evaluation
    assert float((truth.best * truth.rewards).sum(1).mean()) == pytest.approx(solved.score, abs=1e-5)
    assert float((truth.best * (truth.best / truth.start).log()).sum(1).mean()) == pytest.approx(solved.kl, abs=1e-5)
    assert truth.distance(truth.reference) > 0.6


def test_the_expected_loss_leads_to_the_optimum() -> None:
    """Pairs of π_ref's own responses, each weighted by its probability, and the judgement by that of Bradley-Terry."""
    truth = Truth()
    policy = LanguagePolicy.for_rules(truth.rules)
    weights = truth.start[:, :, None] * truth.start[:, None, :]
    optimiser = torch.optim.Adam(policy.model.parameters(), lr=3e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, 120)
    for _ in range(120):
        log_probs, _ = policy.response_log_probs(truth.episodes.tokens, truth.rules.prompt_columns)
        ratios = log_probs.sum(1).reshape(2, -1) - truth.start.log()
        losses = sigmoid_loss(ratios[:, :, None] - ratios[:, None, :], BETA, 1 - truth.wins)
        optimiser.zero_grad()
        (losses * weights).sum().backward()
        optimiser.step()
        schedule.step()
    assert truth.distance(policy) <= 0.01


@pytest.mark.slow
def test_comparisons_lead_to_the_optimum() -> None:
    """Each pair as often as Bradley-Terry judges it so among 2,000 of π_ref's own of a prompt, fitted as `textenv dpo` does."""
    truth = Truth()
    counts = (2000 * truth.start[:, :, None] * truth.start[:, None, :] * truth.wins).round().int()
    comparisons = [
        Comparison(prompt=truth.episodes.prompts[7 * p], responses=tuple(truth.episodes.completions[7 * p + i] for i in pair), ranks=(1, 2))
        for p in range(2)
        for pair in itertools.permutations(range(7), 2)
        for _ in range(int(counts[p, pair[0], pair[1]]))
    ]
    policy = LanguagePolicy.for_rules(truth.rules)
    whole = len(comparisons)
    prefer(policy, comparisons, DPOConfig(beta=BETA, max_new_tokens=2, epochs=40, batch_size=whole, learning_rate=3e-3, held_out=0.0))
    assert truth.distance(policy) <= 0.02


@pytest.mark.slow
def test_ppo_reaches_the_same_optimum() -> None:
    truth = Truth()
    policy = LanguagePolicy.for_rules(truth.rules)
    config = PPOConfig(episodes_per_update=256, minibatch_size=256, kl_coef=BETA, learning_rate=3e-3, whiten_advantages=False)
    PPO(policy, rewarded_envs(), config).learn(32_768)
    assert truth.distance(policy) <= 0.02
