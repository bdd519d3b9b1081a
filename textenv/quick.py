"""Train in one call."""

import dataclasses
import re
from pathlib import Path
from typing import Any, Final

import numpy as np

from textenv.agents import agent_class
from textenv.envs.inputs import brief
from textenv.envs.options import task_options
from textenv.envs.registry import find_id
from textenv.errors import ArgumentError, TextenvError, did_you_mean
from textenv.options import convert, named_hints, needs, takes_none
from textenv.reports.loading import LoadedRun, load_run
from textenv.terminal import safe_console, say
from textenv.training import TrainConfig, config_of, default_folder
from textenv.training import train as train_config

_OWN: Final = ("env", "agent", "algorithm", "task", "out")
_LISTS: Final = ("prompts", "stop", "end_tokens")
"""Options of the environment that may be more in Python than a command line can say, such as a list of prompts."""


def train(env: str, *, agent: str = "ppo", out: str | Path | None = None, **options: Any) -> LoadedRun:
    """Train an agent in an environment, as `textenv train` does, and read the run.

    >>> import textenv
    >>> run = textenv.train("TextSentiment-v0", target="negative", episodes=12_288, learning_rate=1e-4)  # doctest: +SKIP
    >>> run.summary["score_after"], run.metrics["kl_k1"]  # doctest: +SKIP

    Args:
        env: id of the environment, also with the module that registers it: "my_module:Name-v0".
        agent: a name in `textenv.agents.AGENTS`, or "module:Class" of a `Learner` of one's own.
        out: folder of the run, new or empty; by default runs/ID-agent-seed, or that with -2, -3 and so on behind where it is taken. With
            `resume=True` it is the folder to go on with, by default the last of these names.
        **options: fields of `textenv.training.TrainConfig`, such as `episodes`, `seed`, `model` and `resume`; of the agent's `Config`,
            such as `learning_rate`; and arguments of the environment that are plain data, such as `max_new_tokens`.

    Returns:
        The run, as `load_run` reads it; `LanguagePolicy.from_pretrained(run.folder)` is what has been learnt.

    Raises:
        ArgumentError: an option is unknown, out of range or of the wrong type, options do not fit together, or the folder is taken.
        LoadError: a model or the reward cannot be loaded, or the run to resume is damaged.
        SaveError: the run cannot be written; its last checkpoint is kept.
        TrainingError: the training has diverged; the batch is saved.
        KeyboardInterrupt: what has been learnt is saved; the message names the `out` with which `resume=True` goes on.
    """
    folder = Path()
    try:
        config = _config(env, agent, out, options)
        folder = config.out or default_folder(config)  # asked once: after training its name is taken
        if out is None:
            say(safe_console(stderr=True), f"The run's folder is {folder}/.")
        train_config(dataclasses.replace(config, out=folder))
    except TextenvError as error:
        error.args = (_as_keywords(str(error)), *error.args[1:])
        raise
    except SystemExit as stop:
        if stop.code != 130:
            raise
        raise KeyboardInterrupt(f'What has been learnt is saved; out="{folder}", resume=True goes on.') from None
    return load_run(folder)


def _config(env: str, agent: str, out: str | Path | None, options: dict[str, Any]) -> TrainConfig:
    """Sort options into those of the run, of the agent and of the environment, and check their types."""
    for name, value, kinds in (("env", env, (str,)), ("agent", agent, (str,)), ("out", out, (str, Path, type(None)))):
        if not isinstance(value, kinds):
            kind = "a path" if name == "out" else "a name"
            raise ArgumentError(f"{name} needs {kind}, got {brief(value)}.")
    settings = agent_class(agent).Config
    of_run = {name: hint for name, hint in named_hints(TrainConfig).items() if name not in _OWN}
    of_agent = named_hints(settings)
    of_env = named_hints(task_options(find_id(env), frozenset(of_run)))
    known = {**of_env, **of_agent, **of_run}
    for name in options:
        if name not in known:
            raise ArgumentError(f'train has no option "{name}" for {agent} in {env}.{did_you_mean(name, known)}')
    values = {name: _converted(name, value, known[name]) for name, value in options.items()}

    def chosen(names: dict[str, Any]) -> dict[str, Any]:
        return {name: value for name, value in values.items() if name in names}

    return config_of(
        env,
        agent,
        out=None if out is None else Path(out),
        algorithm=chosen(of_agent),
        task=chosen(of_env),
        **chosen(of_run),
    )


def _converted(name: str, value: Any, hint: Any) -> Any:
    """Return the value of an option as one of its type; those of NumPy and paths become Python's plain ones.

    Raises:
        ArgumentError: it is of none of its types.
    """
    value = _plain(value)
    if name in _LISTS or (value is None and takes_none(hint)):
        return value  # what is no plain data in it is refused with the environment's options
    if name in ("reward", "judge", "potential") and callable(value):
        raise ArgumentError(
            f"{name} is {brief(value)}, which the run's folder cannot hold; register an environment with it, by textenv.register, "
            f'or name it: {name}="module:function".'
        )
    try:
        return convert(value, hint)
    except ValueError:
        raise ArgumentError(f"{name} needs {needs(hint)}, got {brief(value)}.") from None


def _plain(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return [_plain(part) for part in value]
    if isinstance(value, np.generic):
        return value.item()
    return str(value) if isinstance(value, Path) else value


def _as_keywords(text: str) -> str:
    """Write the options of the command line in a message as arguments of Python.

    >>> _as_keywords("go on with --resume, or choose another --out")
    'go on with resume=True, or choose another out'
    >>> _as_keywords('./no--such-dir and "--resume" are no folders')
    './no--such-dir and "--resume" are no folders'
    """
    alone = r"(?<![^\s(])"  # no part of a path or of another word
    text = re.sub(rf"{alone}--resume\b", "resume=True", text)
    return re.sub(rf"{alone}--([a-z][a-z-]+)", lambda match: match[1].replace("-", "_"), text)
