"""Odd values for `gymnasium.make`, `make_vec`, `reset` and `step`, and calls in any order."""

import random
from collections.abc import Callable, Iterator
from decimal import Decimal
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any, Final

import gymnasium
import numpy as np
import torch

import textenv
from benchmarks.attack.outcomes import Outcome, Row, Try, fault_of, outcome_of_call, plain

PROMPTS: Final = ["The film", "A cat", "I"]
CALLS: Final = 2000


def _ones(completions: list[str]) -> list[float]:
    return [1.0] * len(completions)


def named(*values: Any) -> dict[str, Any]:
    """Return values by what they look like."""
    return {repr(value): value for value in values}


ODD: Final[dict[str, Any]] = {
    **named(None, True, False, 0, 1, 2, 3, -1, -5, 1.5, 1.0, float("nan"), float("inf"), 10**30, -(10**30)),
    **named("", " ", "x", "1", "0", "\0", "a\nb", "\ud800", "../..", b"", b"1", 1j, Decimal(1), Fraction(1, 2)),
    **named([], [1], [0, 1], [1, "a"], [[1], [1, 2]], [None], [[]], (), (1,), {}, {5: 1}, {"x": 1}, set(), {1}),
    **named(range(3), slice(1), Ellipsis, NotImplemented, type, len, Path("x"), [float("nan")], [10**30], [True]),
    "an object": object(),
    "a function of nothing": lambda: 1,
    "an array of no numbers": np.array([]),
    "an array of a number and a half": np.array([1.5]),
    "an array of texts": np.array(["a", "b"]),
    "an array of 3": np.array([0, 1, 2]),
    "an array of uint8": np.array([1, 2, 255], dtype=np.uint8),
    "an array of complex numbers": np.array([1j, 1, 2]),
    "an array of 0 dimensions": np.array(1),
    "an array of objects": np.array([1, None, "a"], dtype=object),
    "an array of truth values": np.array([True, False, True]),
    "an array of 3 x 3": np.zeros((3, 3), dtype=int),
    "an array of dates": np.array(["2020-01-01"], dtype="datetime64[D]"),
    "np.int64(1)": np.int64(1),
    "np.float64(1.5)": np.float64(1.5),
    "np.bool_": np.bool_(True),
    "a tensor": torch.tensor([0, 1, 2]),
    "a tensor of 0 dimensions": torch.tensor(1),
    "10,000 letters": "x" * 10_000,
}

ARGUMENTS: Final = (
    *("prompts", "reward", "tokenizer", "end_tokens", "max_prompt_tokens", "max_new_tokens", "min_new_tokens", "stop"),
    *("missing_eos_penalty", "action_mask", "on_long_prompt", "potential", "judge", "kl_coef", "reference", "render_mode"),
    *("num_envs", "autoreset_mode", "no_such_argument"),
)


def _single(**changed: Any) -> Any:
    return gymnasium.make("TextSentiment-v0", **{"prompts": PROMPTS, "reward": _ones, "max_new_tokens": 4, **changed})


def _several(**changed: Any) -> Any:
    given = {"num_envs": 3, "prompts": PROMPTS, "reward": _ones, "max_new_tokens": 4, **changed}
    return gymnasium.make_vec("TextSentiment-v0", **given)


def usable(env: Any) -> str:
    """Tell why an environment cannot be used; empty if it can be reset and stepped."""

    def play() -> bool:
        observation, _ = env.reset(seed=1)
        env.action_space.seed(1)
        for _ in range(2):
            if observation not in env.observation_space:
                return False
            observation, reward, *_ = env.step(env.action_space.sample())
        return bool(np.isfinite(reward).all())

    fault = fault_of(outcome_of_call(play, 20), may=("taken",), right=bool)
    return f"afterwards: {fault}" if fault else ""


def make(folder: Path, seed: int) -> Iterator[Try]:
    """Give every argument every odd value; what is taken must play or say what is wrong."""
    for name in ARGUMENTS:
        for shown, value in ODD.items():
            if name in ("stop", "action_mask") and callable(value):
                continue  # what a function of the user's own raises is his
            build: Callable[..., Any] = _several if name in ("num_envs", "autoreset_mode") else _single

            def make_and_play(build: Callable[..., Any] = build, name: str = name, value: Any = value) -> None:
                env = build(**{name: value})
                env.reset(seed=0)
                env.step(env.action_space.sample())
                env.close()

            yield Try(f"{name}={shown}", fault_of(_refused_by_gymnasium(outcome_of_call(make_and_play, 20))))


def _refused_by_gymnasium(outcome: Outcome) -> Outcome:
    """Count what Gymnasium itself refuses, before textenv is asked, as refused."""
    package = Path(textenv.__file__).parent
    if outcome.kind != "traceback" or any(package in file.parents for file in outcome.value):
        return outcome
    return outcome._replace(kind="refused")


def _reset(env: Any, **given: Any) -> Any:
    return env.reset(**given)


def _step(action: Any, env: Any) -> Any:
    return env.step(action)


def _attempts(kind: str) -> Iterator[tuple[str, Callable[[Any], Any]]]:
    if kind == "reset":
        for key in (5, None, 1.5, b"a", (1,), ""):
            yield f"reset(options={{{key!r}: 1}})", partial(_reset, options={key: 1})
    for shown, value in ODD.items():
        if kind == "step":
            yield f"step({shown})", partial(_step, value)
            continue
        yield f"reset(seed={shown})", partial(_reset, seed=value)
        yield f"reset(options={shown})", partial(_reset, options=value)
        for name in ("prompt_index", "prompt_queue", "reset_mask", "no_such_option"):
            yield f"reset(options={{{name!r}: {shown}}})", partial(_reset, options={name: value})


def reset(folder: Path, seed: int) -> Iterator[Try]:
    """Reset with odd seeds and options."""
    yield from _all_attempts("reset")


def step(folder: Path, seed: int) -> Iterator[Try]:
    """Step with odd actions."""
    yield from _all_attempts("step")


def _all_attempts(kind: str) -> Iterator[Try]:
    for title, env in (("one", _single()), ("several", _several())):
        env.reset(seed=0)
        for shown, attempt in _attempts(kind):
            outcome = _refused_by_gymnasium(outcome_of_call(lambda env=env, attempt=attempt: attempt(env), 20))
            yield Try(f"{title}: {shown}", fault_of(outcome) or usable(env))
        env.close()


def random_calls(folder: Path, seed: int) -> Iterator[Try]:
    """Call in any order with any values: only textenv's errors come, and the environment can be used all along."""
    generator = random.Random(seed)
    modes = ("SAME_STEP", "NEXT_STEP", "DISABLED")
    environments = [_single(), *(_several(autoreset_mode=mode) for mode in modes)]
    for env in environments:
        env.action_space.seed(seed)
        attempts = [*_attempts("reset"), *_attempts("step")]
        for number in range(CALLS // len(environments)):
            if generator.random() < 0.5:
                shown, attempt = generator.choice(attempts)
            elif generator.random() < 0.7:
                shown, attempt = "step(a sample)", lambda env: env.step(env.action_space.sample())
            else:
                shown, attempt = "reset(seed=1)", lambda env: env.reset(seed=1)
            fault = fault_of(_refused_by_gymnasium(outcome_of_call(lambda env=env, attempt=attempt: attempt(env), 20)))
            if number % 25 == 0 and not fault:
                fault = usable(env)
            yield Try(f"call {number}: {plain(shown)}", fault)
        env.close()


ROWS: Final = (
    Row("arguments of `make` and `make_vec`", "taken and played, or refused by textenv's errors", make),
    Row("seeds and options of `reset`", "taken or refused, the environment stays usable", reset),
    Row("actions of `step`", "taken or refused, the environment stays usable", step),
    Row("random calls", "taken or refused, the environment stays usable", random_calls),
)
