"""Fitting a model to rows: each row once a pass, gradients as one batch's, the schedule, and the best weights kept."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import nn

from textenv.agents.fitting import FittingConfig, Sums, check_trainable, fit, scheduled
from textenv.errors import ArgumentError, TrainingError

X = torch.randn(40, 3, generator=torch.Generator().manual_seed(0))
Y = X @ torch.tensor([1.0, -2.0, 0.5]) + 0.7
PLAIN = FittingConfig(epochs=2, batch_size=8, learning_rate=0.1, held_out=0.0)


def fresh() -> nn.Linear:
    module = nn.Linear(3, 1)
    nn.init.zeros_(module.weight)
    nn.init.zeros_(module.bias)
    return module


def squares(module: nn.Module) -> Callable[[torch.Tensor], Sums]:
    def loss(rows: torch.Tensor) -> Sums:
        error = (module(X[rows])[:, 0] - Y[rows]).square()
        return {"loss": error.sum(), "rows": torch.tensor(float(len(rows)))}

    return loss


def test_every_row_comes_once_a_pass_in_an_order_of_the_seed() -> None:
    def orders(seed: int) -> list[list[int]]:
        module, seen = fresh(), list[int]()

        def loss(rows: torch.Tensor) -> Sums:
            seen.extend(rows.tolist())
            return squares(module)(rows)

        fit(module, 40, loss, replace(PLAIN, seed=seed))
        return [seen[:40], seen[40:]]

    first, second = orders(0)
    assert sorted(first) == sorted(second) == list(range(40))
    assert first != second
    assert orders(0) == [first, second]
    assert orders(1) != [first, second]


def test_it_learns_and_says_how() -> None:
    module, told = fresh(), list[dict[str, float]]()
    found = fit(module, 40, squares(module), replace(PLAIN, epochs=40), on_row=told.append)
    assert torch.allclose(module.weight, torch.tensor([[1.0, -2.0, 0.5]]), atol=1e-2)
    assert module.bias.item() == pytest.approx(0.7, abs=1e-2)
    assert (found.steps, found.best_step, found.stopped_early) == (200, 200, False)
    assert told == found.history
    assert [row["step"] for row in told[:3]] == [2, 4, 6]  # two evaluations a pass of five steps, at the most
    assert told[0]["rows"] == 1.0  # a mean over rows
    assert told[1]["epoch"] == pytest.approx(0.8)
    assert told[-1]["loss"] < 1e-3 < told[0]["loss"]
    assert not module.training


def test_nothing_is_dropped_out() -> None:
    module = nn.Sequential(fresh(), nn.Dropout(0.5)).train()
    modes: list[bool] = []
    module.register_forward_hook(lambda *_: modes.append(any(part.training for part in module.modules())))
    loss = squares(module)
    fit(module, len(X), loss, FittingConfig(epochs=2, batch_size=4))
    assert modes
    assert not any(modes)


def test_the_rate_rises_and_falls() -> None:
    module, rates = fresh(), list[float]()
    config = replace(PLAIN, epochs=2, warmup=0.2, learning_rate=0.5, evaluations=5)
    fit(module, 40, squares(module), config, on_row=lambda row: rates.append(row["learning_rate"]))
    assert rates == pytest.approx([0.5 * scheduled(step, 10, 0.2) for step in range(10)])


def test_accumulated_gradients_are_those_of_the_whole_batch() -> None:
    found = []
    for micro in (None, 2):
        module = fresh()
        fit(module, 40, squares(module), replace(PLAIN, micro_batch_size=micro))
        found.append(torch.cat([module.weight.detach().flatten(), module.bias.detach()]))
    assert torch.allclose(found[0], found[1], atol=1e-6)


def test_the_gradient_is_divided_by_the_size() -> None:
    """One step by hand: the first of AdamW's is the learning rate times the sign, so the norm that is clipped tells the size."""
    gradients = []
    for size in (len, lambda rows: 10.0 * len(rows)):
        module = fresh()
        fit(module, 40, squares(module), replace(PLAIN, epochs=1, batch_size=40, max_grad_norm=1e9), size=size)
        assert module.weight.grad is not None
        gradients.append(module.weight.grad)
    by_hand = torch.stack([(-2 * Y[:, None] * X).mean(0)])
    assert torch.allclose(gradients[0], by_hand, atol=1e-5)
    assert torch.allclose(gradients[1], by_hand / 10, atol=1e-5)


def test_the_best_weights_are_kept_and_patience_ends_it() -> None:
    module, weights = fresh(), list[torch.Tensor]()
    losses = iter([5.0, 3.0, 4.0, 2.0, 2.5, 2.0, 7.0, 1.0])

    def evaluate() -> dict[str, float]:
        assert not module.training
        assert not torch.is_grad_enabled()
        weights.append(module.weight.detach().clone())
        return {"loss": next(losses), "other": 1.0}

    config = replace(PLAIN, epochs=9, evaluations=1, patience=3, held_out=0.1)
    found = fit(module, 40, squares(module), config, evaluate=evaluate)
    assert [row["held_out_loss"] for row in found.history] == [5, 3, 4, 2, 2.5, 2, 7]
    assert [row["step"] for row in found.history] == [0, 5, 10, 15, 20, 25, 30]
    assert "loss" not in found.history[0]
    assert found.history[1]["held_out_other"] == 1.0
    assert (found.steps, found.best_step, found.stopped_early) == (30, 15, True)
    assert torch.equal(module.weight, weights[3])
    assert not torch.equal(module.weight, weights[-1])


def test_what_only_gets_worse_is_left_as_it_was() -> None:
    module = fresh()
    losses = iter(range(100))
    found = fit(module, 40, squares(module), replace(PLAIN, held_out=0.1), evaluate=lambda: {"loss": float(next(losses))})
    assert found.best_step == 0
    assert not module.weight.any()


def test_a_held_out_loss_that_is_no_number_is_told() -> None:
    module, losses = fresh(), iter([5.0, float("nan")])
    with pytest.raises(TrainingError, match="The held-out loss is no number; lower learning_rate"):
        fit(module, 40, squares(module), replace(PLAIN, held_out=0.1), evaluate=lambda: {"loss": next(losses)})


def test_frozen_weights_stay_and_matrices_decay() -> None:
    module = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 1))
    module[0].requires_grad_(False)
    before = {name: value.clone() for name, value in module.state_dict().items()}
    config = replace(PLAIN, epochs=1, batch_size=40, weight_decay=0.5, warmup=0.0)
    fit(module, 40, lambda rows: {"loss": 0.0 * module(X[rows]).sum()}, config)
    after = module.state_dict()
    assert all(torch.equal(after[name], before[name]) for name in ("0.weight", "0.bias", "1.bias"))
    assert torch.allclose(after["1.weight"], before["1.weight"] * (1 - 0.1 * 0.5))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"epochs": 0}, r"epochs must be positive, got 0\."),
        ({"learning_rate": float("inf")}, r"learning_rate must be positive, got inf\."),
        ({"held_out": 1.0}, r"held_out must be at least 0 and below 1, got 1\.0\."),
        ({"warmup": 1.5}, r"warmup must be between 0 and 1, got 1\.5\."),
        ({"micro_batch_size": 5}, r"micro_batch_size=5 must divide batch_size=32\."),
        ({"patience": 0}, r"patience must be positive, got 0\."),
    ],
)
def test_bad_numbers_are_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        FittingConfig(**fields)


def test_weights_that_cannot_be_trained_are_refused_before_anything_is_asked() -> None:
    module = nn.Sequential(fresh(), fresh())

    def never(rows: torch.Tensor) -> Sums:
        raise AssertionError("asked")

    module[1].bfloat16()
    with pytest.raises(ArgumentError, match=r"weight 1\.weight is torch\.bfloat16, which rounds small steps of training away"):
        fit(module, 40, never, PLAIN)
    module[1].double()  # more precise ones can
    assert len(check_trainable(module)) == 4
    module[1].bfloat16()
    module[1].requires_grad_(False)
    assert check_trainable(module) == [module[0].weight, module[0].bias]
    module.requires_grad_(False)
    with pytest.raises(ArgumentError, match="No weight of the model requires a gradient"):
        fit(module, 40, never, PLAIN)
    headed = nn.Module()
    headed.model, headed.value_head = module, fresh()
    with pytest.raises(ArgumentError, match="No weight of the model requires a gradient"):
        check_trainable(headed)


def test_nothing_to_learn_from_and_what_is_not_finite_are_refused() -> None:
    module = fresh()
    with pytest.raises(ArgumentError, match="No rows are left to learn from beside the held-out part"):
        fit(module, 0, squares(module), PLAIN)
    with pytest.raises(TrainingError, match="The gradient is not finite; lower learning_rate or max_grad_norm"):
        fit(module, 40, lambda rows: {"loss": (module(X[rows]) * torch.nan).sum()}, PLAIN)
    assert not module.weight.any()
