"""KL shaping as a wrapper: what `make(id, kl_coef=...)` pays, by token and by sequence, with and without a hook."""

from collections.abc import Callable
from math import log
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium.vector import AutoresetMode
from numpy.typing import NDArray

from textenv import LanguagePolicy, wrappers
from textenv.envs.single import TextEnv
from textenv.envs.task import Task
from textenv.errors import ArgumentError


class Table:
    """The same distribution in every state."""

    def __init__(self, *probs: float) -> None:
        self.log_probs = torch.tensor(probs).log()

    def next_log_probs(self, observations: NDArray[np.int32]) -> torch.Tensor:
        return self.log_probs.expand(len(observations), -1)


def play(env: Any, *actions: int) -> tuple[list[float], dict[str, Any]]:
    env.reset(seed=0)
    steps = [env.step(np.int64(action)) for action in actions]
    assert [step[2] for step in steps] == [False] * (len(steps) - 1) + [True]
    return [step[1] for step in steps], steps[-1][-1]


@pytest.mark.parametrize("mode", AutoresetMode)
def test_it_pays_what_the_environment_itself_would(mode: AutoresetMode) -> None:
    inside: Any = gymnasium.make_vec("TextCopy-v0", num_envs=4, kl_coef=0.1, autoreset_mode=mode)
    around = wrappers.KLShaping(gymnasium.make_vec("TextCopy-v0", num_envs=4, autoreset_mode=mode), 0.1)
    generator = np.random.default_rng(0)
    for envs in (inside, around):
        envs.reset(seed=3)
    sums = []
    for _ in range(12):
        actions = generator.integers(5, size=4)
        (_, paid, ended, _, infos), (_, expected, _, _, wanted) = around.step(actions), inside.step(actions)
        np.testing.assert_array_equal(paid, expected)
        final, wanted = infos.get("final_info", infos), wanted.get("final_info", wanted)
        for row in np.flatnonzero(ended):
            assert final["shaping"][row] == wanted["shaping"][row]
            sums.append(final["shaping"][row])
        if mode is AutoresetMode.DISABLED and ended.any():
            for envs in (inside, around):
                envs.reset(options={"reset_mask": ended})
    assert len(set(sums)) > 4


def test_a_sequence_is_paid_at_its_last_token(toy: Callable[..., Task]) -> None:
    reference, policy = Table(0.5, 0.25, 0.125, 0.125), Table(0.25, 0.25, 0.25, 0.25)
    env = wrappers.KLShaping(TextEnv(toy()), 2.0, reference=reference, policy=policy, per="sequence")
    for _ in range(2):  # nothing is left over from the first episode
        paid, info = play(env, 0, 3)
        assert paid == [0.0, pytest.approx(1.0 - 2 * (log(1 / 16) - log(1 / 16)))]
        paid, info = play(env, 1, 0, 0)
        # log π(baa)/π_ref(baa) = log (1/64)/(1/16)
        assert paid == [0.0, 0.0, pytest.approx(2.0 - 2 * log(1 / 4))]
        assert info["shaping"] == pytest.approx(2 * log(4))


def test_a_hook_can_be_set_later(toy: Callable[..., Task]) -> None:
    env = wrappers.KLShaping(TextEnv(toy()), 1.0, reference=Table(0.5, 0.25, 0.125, 0.125))
    env.kl_shaping.policy = Table(0.25, 0.25, 0.25, 0.25)
    assert play(env, 0, 3)[0] == pytest.approx([log(2), 1.0 - log(2)], abs=1e-6)


def test_a_reset_in_the_middle_forgets_what_was_paid(toy: Callable[..., Task]) -> None:
    env = wrappers.KLShaping(TextEnv(toy()), 1.0, reference=Table(0.5, 0.25, 0.125, 0.125), per="sequence")
    whole = play(env, 0, 3)
    env.reset(seed=0)
    env.step(np.int64(1))
    assert play(env, 0, 3) == whole


def test_both_are_renormalised_over_the_mask_inside(toy: Callable[..., Task]) -> None:
    masked = wrappers.ActionMask(TextEnv(toy()), ban=["b"])
    reference, policy = Table(0.5, 0.25, 0.125, 0.125), Table(0.2, 0.4, 0.2, 0.2)
    env = wrappers.KLShaping(masked, 1.0, reference=reference, policy=policy)
    # without b: (2/3, 1/6, 1/6) and (1/3, 1/3, 1/3)
    assert play(env, 0, 3)[0] == pytest.approx([log(2), 1.0 - log(2)], abs=1e-6)


def test_two_shapings_add_up(toy: Callable[..., Task]) -> None:
    env = wrappers.KLShaping(TextEnv(toy(), kl_coef=0.2), 0.1)
    paid, info = play(env, 0, 0, 0)
    _, once = play(TextEnv(toy(), kl_coef=0.3), 0, 0, 0)
    assert info["shaping"] == pytest.approx(once["shaping"])
    assert sum(paid) == pytest.approx(info["score"] + info["shaping"])


def test_at_the_agents_own_reference_nothing_is_paid(toy: Callable[..., Task]) -> None:
    env = TextEnv(toy())
    reference, policy = LanguagePolicy.for_rules(env.rules), LanguagePolicy.for_rules(env.rules)
    assert play(wrappers.KLShaping(env, 1.0, reference=reference, policy=policy), 1, 1, 1)[0] == pytest.approx([0.0] * 3, abs=1e-6)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"kl_coef": 0}, "pays nothing"),
        ({"kl_coef": -1}, "at least 0"),
        ({"kl_coef": 0.1, "per": "text"}, '"token" or "sequence"'),
        ({"kl_coef": 0.1, "reference": 3}, "reference must be"),
    ],
)
def test_what_cannot_be_is_refused(toy: Callable[..., Task], arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        wrappers.KLShaping(TextEnv(toy()), **arguments)


def test_rows_that_wait_may_be_told_anything() -> None:
    envs: Any = gymnasium.make_vec("TextCopy-v0", num_envs=2, autoreset_mode="NEXT_STEP")
    policy = LanguagePolicy.for_rules(envs.unwrapped.rules)
    envs = wrappers.KLShaping(envs, kl_coef=0.1, policy=policy)
    envs.reset(seed=0)
    assert envs.step(np.array([4, 0]))[2].tolist() == [True, False]
    assert envs.step(np.array([-1, 0]))[1][0] == 0


@pytest.mark.parametrize("mode", AutoresetMode)
@pytest.mark.parametrize("inside", [0.0, 0.2])
def test_the_masks_of_a_queue_are_those_of_the_environment(mode: AutoresetMode, inside: float) -> None:
    made: Any = gymnasium.make_vec("TextCopy-v0", num_envs=3, autoreset_mode=mode, infos="numbers", kl_coef=inside)
    envs = wrappers.KLShaping(made, 0.1)
    envs.reset(seed=0, options={"prompt_queue": [0, 1, 2, 3]})
    parked = 0
    for _ in range(20):
        _, _, terminated, _, infos = envs.step(np.array([2, 3, 4]))
        for told in (infos, infos.get("final_info", infos)):
            np.testing.assert_array_equal(told["_shaping"], told["_length"])
        parked += int((~infos["_length"]).sum())
        if mode is AutoresetMode.DISABLED and terminated.any():
            envs.reset(options={"reset_mask": terminated})
    assert parked or mode is not AutoresetMode.SAME_STEP
