"""Reward models on judgements whose truth is known: a hidden score, and the noise of those who see it."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from transformers import AutoModelForSequenceClassification

from tests.models.test_scalar_head import KINDS, LETTERS
from textenv.agents.reward_model import RewardModel, RewardModelConfig, fit_reward_model, telling
from textenv.errors import ArgumentError
from textenv.models.scalar_head import load_scalar_model
from textenv.preferences.accuracy import judged
from textenv.preferences.calibration import calibration_slope
from textenv.preferences.comparison import Comparison
from textenv.preferences.losses import davidson, k_wise, plackett_luce
from textenv.preferences.tables import judgements, split
from textenv.rewards.loading import load_reward

VALUES = dict(zip(LETTERS, np.linspace(-1, 1, len(LETTERS)), strict=True))
QUICK = RewardModelConfig(epochs=1, batch_size=16, learning_rate=1e-3)


def hidden_score(text: str) -> float:
    return float(sum(VALUES[letter] for letter in text))


def simulated(n: int, k: int, noise: float, seed: int, length: int = 6, ties: float = 0.0) -> list[Comparison]:
    """Comparisons by Bradley-Terry noise of a scale over the hidden score; scores that are nearer than `ties` after it are equal."""
    rng = np.random.default_rng(seed)
    drawn = []
    for _ in range(n):
        prompt = "".join(rng.choice(list(LETTERS), 4))
        texts = tuple("".join(rng.choice(list(LETTERS), length)) for _ in range(k))
        seen = np.array([hidden_score(text) for text in texts]) + noise * rng.gumbel(size=k)
        ranks = tuple(int(1 + (seen > one + ties).sum()) for one in seen)
        ratings = tuple(float(np.clip(4 + score, 1, 7)) for score in seen)
        drawn.append(Comparison(prompt=prompt, responses=texts, ranks=ranks, ratings=ratings))
    return drawn


@pytest.fixture(scope="module")
def backbone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("backbone")
    KINDS["gpt2"](folder)
    return folder


def true_and_learnt(model: RewardModel) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Differences of the hidden score and of the model's log-odds, for pairs of new texts."""
    fresh = simulated(500, 2, 1.0, 99)
    truth = [hidden_score(one.responses[0]) - hidden_score(one.responses[1]) for one in fresh]
    return np.array(truth), np.array([found[0] - found[1] for found in model.scores(fresh)]) / model.gain


NOISE = 2.0
FULL = RewardModelConfig(epochs=3, batch_size=32, learning_rate=1e-3, patience=None)


@pytest.fixture(scope="module")
def learnt(backbone: Path) -> RewardModel:
    return fit_reward_model(simulated(1500, 4, NOISE, 1), backbone, FULL)


@pytest.mark.slow
def test_what_can_be_known_of_noisy_judgements_is_learnt(learnt: RewardModel) -> None:
    truth, found = true_and_learnt(learnt)
    chance = 1 / (1 + np.exp(-truth / NOISE))  # that a judge prefers the first
    attainable = np.maximum(chance, 1 - chance).mean()
    accuracy = np.where(found > 0, chance, 1 - chance).mean()
    assert attainable < 0.75  # of a judge who says the truth every time it would be 1
    assert accuracy >= 0.95 * attainable
    held_out = judged(learnt.pairs(learnt.unseen))
    assert held_out["accuracy_low"] < attainable < held_out["accuracy_high"]


@pytest.mark.slow
def test_the_scale_of_the_noise_is_within_its_interval(learnt: RewardModel) -> None:
    truth, found = true_and_learnt(learnt)
    slope = (truth @ found) / (truth @ truth)
    assert 0 < learnt.scale_error < 0.2
    assert abs(slope - 1 / NOISE) < 1.96 * learnt.scale_error * slope
    chosen = split(simulated(1500, 4, NOISE, 1), FULL.held_out).chosen  # to which the scale was fitted
    assert calibration_slope(*learnt.pairs(chosen)).value == pytest.approx(1, abs=1e-3)


@pytest.mark.slow
def test_a_gain_moves_no_log_odds(learnt: RewardModel) -> None:
    _, before = true_and_learnt(learnt)
    episodes = simulated(100, 3, 1.0, 7)
    learnt.set_mean_and_sd(np.concatenate(learnt.scores(episodes)))
    scores = np.concatenate(learnt.scores(episodes))
    assert (scores.mean(), scores.std()) == (pytest.approx(0, abs=1e-5), pytest.approx(1, abs=1e-5))
    _, after = true_and_learnt(learnt)
    np.testing.assert_allclose(after, before, atol=1e-4)


@pytest.mark.parametrize("loss", ["plackett_luce", "davidson", "regression"])
def test_every_loss_learns_the_order(backbone: Path, loss: Any) -> None:
    config = dataclasses.replace(FULL, loss=loss, epochs=2, held_out=0.3)
    model = fit_reward_model(simulated(300, 4, 0.3, 2, ties=0.5), backbone, config)
    truth, found = true_and_learnt(model)
    assert ((truth > 0) == (found > 0)).mean() > 0.85
    assert (model.nu is not None) == (loss == "davidson")
    start, *_, last = model.fitted.history
    assert last["held_out_loss"] < start["held_out_loss"]


def test_ties_are_learnt_to_be_as_likely_as_they_are(backbone: Path) -> None:
    rng = np.random.default_rng(0)
    nu, drawn = 3.0, []
    for number in range(600):
        texts = tuple("".join(rng.choice(list(LETTERS), 5)) for _ in range(2))
        apart = hidden_score(texts[0]) - hidden_score(texts[1])
        weights = np.array([np.exp(apart / 2), np.exp(-apart / 2), nu])
        ranks = [(1, 2), (2, 1), (1, 1)][rng.choice(3, p=weights / weights.sum())]
        drawn.append(Comparison(prompt=str(number), responses=texts, ranks=ranks))
    model = fit_reward_model(drawn, backbone, dataclasses.replace(FULL, loss="davidson", learning_rate=3e-3, epochs=2))
    assert model.nu == pytest.approx(nu, rel=0.25)
    fixed = fit_reward_model(drawn[:100], backbone, dataclasses.replace(QUICK, loss="davidson", nu=0.7, held_out=0.0))
    assert fixed.nu == pytest.approx(0.7)


@pytest.mark.parametrize("kind", KINDS)
def test_the_saved_folder_is_a_reward_anywhere(kind: str, tmp_path: Path) -> None:
    KINDS[kind](tmp_path / "backbone")
    model = fit_reward_model(simulated(80, 3, 1.0, 3), tmp_path / "backbone", QUICK)
    given = simulated(20, 2, 1.0, 4)
    model.set_mean_and_sd(np.concatenate(model.scores(given)))
    model.save(tmp_path / "model")
    expected = np.concatenate(model.scores(given))
    prompts, texts = [one.prompt for one in given for _ in one.responses], [text for one in given for text in one.responses]
    np.testing.assert_allclose(load_reward(tmp_path / "model")(prompts=prompts, completions=texts), expected, atol=1e-5)
    elsewhere: Any = AutoModelForSequenceClassification.from_pretrained(tmp_path / "model").eval()
    with torch.no_grad():
        whole = [prompt + text for prompt, text in zip(prompts, texts, strict=True)]
        raw = elsewhere(**model.tokenizer(whole, padding=True, return_tensors="pt")).logits[:, 0].numpy()
    np.testing.assert_allclose(raw + getattr(elsewhere.config, "reward_bias", 0.0), expected, atol=1e-5)


def test_two_runs_are_equal(backbone: Path) -> None:
    data = simulated(60, 3, 1.0, 5)
    one, two, other = (fit_reward_model(data, backbone, dataclasses.replace(QUICK, seed=seed)) for seed in (1, 1, 2))
    weights = [torch.cat([parameter.flatten() for parameter in model.model.parameters()]) for model in (one, two, other)]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


def test_the_first_held_out_loss_is_that_of_the_equation(backbone: Path) -> None:
    """Of the start, whose rewards transformers alone gives."""
    data = []
    for i, one in enumerate(simulated(40, 4, 1.0, 6, length=3)):
        k = 2 + i % 3
        texts = tuple(text[: 1 + (i + j) % 3] for j, text in enumerate(one.responses[:k]))  # of all lengths
        data.append(dataclasses.replace(one, responses=texts, ratings=(one.ratings or ())[:k], ranks=None))
    scalar, tokenizer = load_scalar_model(backbone)
    scalar.eval()
    losses: dict[Any, Any] = {
        "k_wise": k_wise,
        "plackett_luce": plackett_luce,
        "davidson": lambda rewards, ranks, mask: davidson(rewards, ranks, mask, torch.tensor(0.4).log()),
    }
    for name, loss in losses.items():
        config = dataclasses.replace(QUICK, loss=name, held_out=0.5, nu=0.4 if name == "davidson" else None)
        model = fit_reward_model(data, backbone, config)
        chosen = split(data, 0.5).chosen
        table = judgements(chosen)
        rewards = torch.zeros(table.ranks.shape)
        with torch.no_grad():
            for row, one in enumerate(chosen):
                for column, text in enumerate(one.responses):
                    rewards[row, column] = scalar(**tokenizer(one.prompt + text, return_tensors="pt")).logits.item()
        expected = loss(rewards, table.ranks, table.ranked).mean().item()
        assert model.fitted.history[0]["held_out_loss"] == pytest.approx(expected, abs=1e-5)


def test_micro_batches_change_nothing(backbone: Path) -> None:
    data = simulated(64, 3, 1.0, 8)
    whole, parts = (fit_reward_model(data, backbone, dataclasses.replace(QUICK, micro_batch_size=size)) for size in (None, 4))
    given = simulated(10, 2, 1.0, 9)
    np.testing.assert_allclose(np.concatenate(whole.scores(given)), np.concatenate(parts.scores(given)), atol=1e-3)


def test_a_margin_asks_for_more_where_the_ratings_are_far_apart(backbone: Path) -> None:
    data = simulated(60, 2, 0.1, 10)
    plain, margin = (fit_reward_model(data, backbone, dataclasses.replace(QUICK, margin_coef=coef)) for coef in (0.0, 1.0))
    assert margin.fitted.history[0]["held_out_loss"] > plain.fitted.history[0]["held_out_loss"] + 0.3
    unrated = [dataclasses.replace(one, ratings=None) for one in data]
    alike = fit_reward_model(unrated, backbone, dataclasses.replace(QUICK, margin_coef=1.0))
    assert alike.fitted.history == [{**row, "seconds": pytest.approx(row["seconds"], abs=60)} for row in plain.fitted.history]


def test_texts_lose_their_beginning(backbone: Path, tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match=r"^The reward model reads 5 tokens: 8 of 8 texts are longer and lose their beginning") as caught:
        model = fit_reward_model(simulated(40, 2, 1.0, 11), backbone, dataclasses.replace(QUICK, max_tokens=5))
    assert len(caught) == 1
    model.save(tmp_path / "model")
    reward = load_reward(tmp_path / "model")
    with pytest.warns(UserWarning, match="reads 5 tokens: 2 of 3 texts"):
        scores = reward(prompts=["aaaa", "hhhh", ""], completions=["abcdefg"[-4:], "defg", "defg"])
    assert scores[0] == pytest.approx(scores[1], abs=1e-6) == pytest.approx(scores[2], abs=1e-6)


def test_contradictions_are_learnt_from(backbone: Path) -> None:
    data = simulated(40, 2, 1.0, 12)
    both = [*data, *(dataclasses.replace(one, ranks=tuple(3 - rank for rank in one.ranks or ())) for one in data)]
    model = fit_reward_model(both, backbone, QUICK)
    assert judged(model.pairs(model.unseen))["accuracy"] == pytest.approx(0.5)


SAID_NOTHING = [Comparison(prompt=str(i), responses=("a", "b")) for i in range(3)]
TIED = [Comparison(prompt=str(i), responses=("a", "b"), ranks=(1, 1)) for i in range(3)]


@pytest.mark.parametrize(
    ("comparisons", "loss", "needed"),
    [
        ([], "k_wise", "one response that is better than another; none of the 0"),
        (SAID_NOTHING, "k_wise", "one response that is better than another; none of the 3"),
        (TIED, "plackett_luce", "one response that is better than another; none of the 3"),
        (SAID_NOTHING, "davidson", "a ranking; none of the 3"),
        (TIED, "regression", "a rating of a response; none of the 3"),
    ],
)
def test_comparisons_that_say_nothing_are_refused(comparisons: list[Comparison], loss: Any, needed: str) -> None:
    with pytest.raises(ArgumentError, match=f'^The loss "{loss}" needs comparisons with {needed} given has that\\.$'):
        fit_reward_model(comparisons, "nowhere", RewardModelConfig(loss=loss))


def test_what_says_nothing_is_left_out() -> None:
    judged_ones = simulated(3, 2, 1.0, 0)
    assert telling([*SAID_NOTHING, *judged_ones, *TIED], "k_wise") == judged_ones
    assert telling([*SAID_NOTHING, *TIED], "davidson") == TIED


def test_too_many_responses_for_plackett_luce() -> None:
    with pytest.raises(ArgumentError, match='"plackett_luce" takes at most 12 responses a prompt, got 13; use "k_wise"'):
        telling(simulated(1, 13, 1.0, 0), "plackett_luce")


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"loss": "hinge"}, 'loss must be "k_wise" or "plackett_luce" or "davidson" or "regression", got \'hinge\''),
        ({"margin_coef": -0.1}, "margin_coef must be at least 0, got -0.1"),
        ({"loss": "davidson", "margin_coef": 0.1}, 'margin_coef is of the loss "k_wise"; leave it out for "davidson"'),
        ({"nu": 0.5}, 'nu is of the loss "davidson"; leave it out for "k_wise"'),
        ({"loss": "davidson", "nu": 0.0}, "nu must be positive, got 0.0"),
        ({"max_tokens": 0}, "max_tokens must be positive, got 0"),
        ({"held_out": 1.0}, "held_out must be at least 0 and below 1, got 1.0"),
    ],
)
def test_configurations_are_checked(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        RewardModelConfig(**fields)
