"""Steps that are interrupted, by ctrl-C, a time limit or an error, can be repeated: no row has changed."""

import inspect
from collections.abc import Callable
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium.vector import AutoresetMode
from numpy.typing import NDArray

from textenv import wrappers
from textenv.envs.single import TextEnv
from textenv.envs.task import Task
from textenv.envs.vector import TextVectorEnv
from textenv.errors import OrderError, RewardError
from textenv.models.policy import LanguagePolicy

EOS = 3
STATE = ("_tokens", "_length", "_prompt", "_done", "_score", "_worth", "_shaped")


class Interrupted:
    """A model or a function that is interrupted once it is told to be."""

    def __init__(self, call: Any) -> None:
        self.call = call
        self.by: BaseException | None = None
        self.__signature__ = inspect.signature(call)  # by which rewards are called

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        if self.by is not None:
            by, self.by = self.by, None
            raise by
        return self.call(*arguments, **named)


class Plain:
    """A reference that likes the lower ids."""

    def next_log_probs(self, observations: NDArray[np.int32]) -> torch.Tensor:
        lengths = torch.from_numpy((observations >= 0).sum(1, keepdims=True))
        return torch.log_softmax(-torch.arange(4.0) * lengths, -1)


def with_fault(toy: Callable[..., Task], where: str, many: bool, mode: AutoresetMode) -> tuple[Any, Interrupted]:
    """Make environments of which one part can be interrupted."""
    reference = Plain()
    parts: dict[str, Any] = {
        "reward": lambda completions: [float(len(text)) for text in completions],
        "potential": lambda completions: [len(text) / 2 for text in completions],
        "action_mask": lambda observation: np.ones(4, dtype=np.bool_),
        "stop": lambda text: text.endswith("bb"),
    }
    fault = Interrupted(parts.get(where, reference.next_log_probs))
    fields = parts | ({where: fault} if where in parts else {})
    if where in ("reference", "KLShaping", "RecordEpisodes"):
        reference.next_log_probs = fault  # type: ignore[method-assign]
    inner: dict[str, Any] = {"kl_coef": 0.1, "reference": reference} if where == "reference" else {}
    env: Any = TextVectorEnv(toy(**fields), 2, autoreset_mode=mode, **inner) if many else TextEnv(toy(**fields), **inner)
    if where == "KLShaping":
        env = wrappers.KLShaping(env, 0.1, reference=reference)
    if where == "RecordEpisodes":
        env = wrappers.RecordEpisodes(env, policy=reference)
    return env, fault


@pytest.mark.parametrize("by", [KeyboardInterrupt, SystemExit, TimeoutError])
@pytest.mark.parametrize("mode", [None, *AutoresetMode])
@pytest.mark.parametrize("where", ["reward", "potential", "action_mask", "stop", "reference", "KLShaping", "RecordEpisodes"])
def test_an_interrupted_step_changes_nothing(
    toy: Callable[..., Task], where: str, mode: AutoresetMode | None, by: type[BaseException]
) -> None:
    chosen = mode or AutoresetMode.DISABLED
    (broken, fault), (whole, _) = (with_fault(toy, where, mode is not None, chosen) for _ in range(2))
    plan = [[0, 1], [EOS, 0], [1, EOS], [EOS, EOS]]
    for env in (broken, whole):
        env.reset(seed=0)
        if mode is None:
            env.step(plan[0][0])
        else:
            env.step(np.array(plan[0]))
    repeated = 0
    for actions in plan[1:]:
        action = np.array(actions) if mode is not None else actions[0]
        rows = broken.unwrapped if mode is not None else broken.unwrapped._row
        before = {name: getattr(rows, name).copy() for name in STATE}
        fault.by = by()
        try:
            results = [broken.step(action)]  # not every step asks every part
        except (by, RewardError):
            for name in STATE:
                np.testing.assert_array_equal(before[name], getattr(rows, name))
            results = [broken.step(action)]
            repeated += 1
        fault.by = None
        results.append(whole.step(action))
        np.testing.assert_array_equal(results[0][0], results[1][0])
        np.testing.assert_allclose(results[0][1], results[1][1], atol=1e-12)
        np.testing.assert_array_equal(results[0][2], results[1][2])
        if mode in (None, AutoresetMode.DISABLED) and np.any(results[0][2]):
            options = {} if mode is None else {"reset_mask": results[0][2]}
            for env in (broken, whole):
                env.reset(options=options)
    assert repeated


WRAPPED: dict[str, Callable[[Any, Any], Any]] = {
    "KLShaping": lambda env, policy: wrappers.KLShaping(env, 0.1, reference=policy),
    "TopKActions": lambda env, policy: wrappers.TopKActions(env, 3, policy),
    "TopKActions(KLShaping)": lambda env, policy: wrappers.TopKActions(wrappers.KLShaping(env, 0.1, reference=policy), 3, policy),
    "TopKActions(ActionMask)": lambda env, policy: wrappers.TopKActions(wrappers.ActionMask(env, top_p=0.9, mask_model=policy), 3, policy),
    "TextObservation(TopKActions)": lambda env, policy: wrappers.TextObservation(wrappers.TopKActions(env, 3, policy)),
}


@pytest.mark.parametrize("make", [gymnasium.make, gymnasium.make_vec])
@pytest.mark.parametrize("wrapper", WRAPPED)
@pytest.mark.parametrize("early", [True, False])
def test_a_model_that_is_interrupted_while_it_reads(
    make: Callable[..., Any], wrapper: str, early: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = {} if make is gymnasium.make else {"num_envs": 3, "autoreset_mode": "SAME_STEP"}
    made = [make("TextCopy-v0", **options) for _ in range(2)]
    policies = [LanguagePolicy.for_rules(env.unwrapped.rules) for env in made]
    policies[1].load_state_dict(policies[0].state_dict())
    broken, whole = (WRAPPED[wrapper](env, policy) for env, policy in zip(made, policies, strict=True))
    for env in (broken, whole):
        env.reset(seed=0)
    store, interrupts = policies[0].cache._store, list[int]()

    def interrupted(*arguments: Any) -> None:
        if not early:
            store(*arguments)
        if not interrupts:
            interrupts.append(1)
            raise KeyboardInterrupt
        if early:
            store(*arguments)

    monkeypatch.setattr(policies[0].cache, "_store", interrupted)
    for action in (0, 1, 2, 0, 1):
        interrupts.clear()
        actions = action if make is gymnasium.make else np.array([action, 0, 1])
        try:
            ours = broken.step(actions)
        except KeyboardInterrupt:
            ours = broken.step(actions)
        interrupts.append(1)
        theirs = whole.step(actions)
        np.testing.assert_allclose(ours[1], theirs[1], atol=1e-6)
        np.testing.assert_array_equal(ours[2], theirs[2])
        shown = [step[0] if isinstance(step[0], dict) else {"observation": step[0]} for step in (ours, theirs)]
        for name, value in shown[1].items():
            if isinstance(value, str | tuple):
                assert shown[0][name] == value
            else:
                np.testing.assert_allclose(shown[0][name], value, atol=1e-5)
        if make is gymnasium.make and ours[2]:
            for env in (broken, whole):
                env.reset()


def test_an_interrupted_observation_is_gone_on_with_by_the_same_actions_only(monkeypatch: pytest.MonkeyPatch) -> None:
    env = wrappers.EmbeddingObservation(gymnasium.make("TextCopy-v0"))
    env.reset(seed=0)
    embed = env.rows.embed

    def interrupt(texts: list[str]) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(env.rows, "embed", interrupt)
    with pytest.raises(KeyboardInterrupt):
        env.step(1)
    monkeypatch.setattr(env.rows, "embed", embed)
    with pytest.raises(OrderError, match=r"interrupted when \[1\] was written already; repeat it with the same actions, or reset"):
        env.step(0)
    env.step(1)
    assert env.unwrapped._row._length.tolist() == [1]
    monkeypatch.setattr(env.rows, "embed", interrupt)
    with pytest.raises(KeyboardInterrupt):
        env.step(0)
    monkeypatch.setattr(env.rows, "embed", embed)
    env.reset(seed=1)
    env.step(1)
    assert env.unwrapped._row._length.tolist() == [1]


def test_an_array_of_actions_may_be_written_again(monkeypatch: pytest.MonkeyPatch) -> None:
    envs = wrappers.EmbeddingObservation(gymnasium.make_vec("TextCopy-v0", num_envs=2))
    envs.reset(seed=0)
    embed, actions = envs.rows.embed, np.array([1, 2])

    def interrupt(texts: list[str]) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(envs.rows, "embed", interrupt)
    with pytest.raises(KeyboardInterrupt):
        envs.step(actions)
    monkeypatch.setattr(envs.rows, "embed", embed)
    actions[:] = 0
    with pytest.raises(OrderError, match=r"interrupted when \[1, 2\] was written already"):
        envs.step(actions)
    envs.step([1, 2])


def test_what_was_half_read_is_not_taken_for_read(monkeypatch: pytest.MonkeyPatch) -> None:
    rules = gymnasium.make("TextCopy-v0").unwrapped.rules  # type: ignore[attr-defined]
    policy = LanguagePolicy.for_rules(rules)
    texts = np.full((2, rules.width), -1, dtype=np.int32)
    texts[:, :2] = [[0, 1], [1, 2]]
    longer = texts.copy()
    longer[:, 2] = [2, 0]
    before = policy.next_log_probs(texts).clone()
    store = policy.cache._store

    def interrupted(*arguments: Any) -> None:
        store(*arguments)
        raise KeyboardInterrupt

    monkeypatch.setattr(policy.cache, "_store", interrupted)
    with pytest.raises(KeyboardInterrupt):
        policy.next_log_probs(longer)
    monkeypatch.setattr(policy.cache, "_store", store)
    torch.testing.assert_close(policy.next_log_probs(texts), before)
