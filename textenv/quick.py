"""Train in one call."""

import dataclasses
import re
from pathlib import Path
from typing import Any, Final

from textenv.agents import agent_class
from textenv.envs.options import task_options
from textenv.envs.registry import find_id
from textenv.errors import ArgumentError, TextenvError, did_you_mean
from textenv.reports.loading import LoadedRun, load_run
from textenv.training import TrainConfig, default_folder
from textenv.training import train as train_config

_OWN: Final = ("env", "agent", "algorithm", "task", "out")


def train(env: str, *, agent: str = "ppo", out: str | Path | None = None, **options: Any) -> LoadedRun:
    """Train an agent in an environment, as `textenv train` does, and read the run.

    >>> import textenv
    >>> run = textenv.train("TextSentiment-v0", target="negative", episodes=12_288, learning_rate=1e-4)  # doctest: +SKIP
    >>> run.summary["score_after"], run.metrics["kl_k1"]  # doctest: +SKIP

    Args:
        env: id of the environment, also with the module that registers it: "my_module:Name-v0".
        agent: a name in `textenv.agents.AGENTS`, or "module:Class" of a `Learner` of one's own.
        out: folder of the run, new or empty; by default runs/ID-agent-seed.
        **options: fields of `textenv.training.TrainConfig`, such as `episodes`, `seed`, `model` and `resume`; of the agent's `Config`,
            such as `learning_rate`; and arguments of the environment that are plain data, such as `max_new_tokens`.

    Returns:
        The run, as `load_run` reads it; `LanguagePolicy.from_pretrained(run.folder)` is what has been learnt.

    Raises:
        ArgumentError: an option is unknown or out of range, options do not fit together, or the folder is taken.
        LoadError: a model or the reward cannot be loaded, or the run to resume is damaged.
        SaveError: the run cannot be written; its last checkpoint is kept.
        TrainingError: the training has diverged; the batch is saved.
        KeyboardInterrupt: what has been learnt is saved; the same call with `resume=True` goes on.
    """
    try:
        config = _config(env, agent, out, options)
        train_config(config)
    except TextenvError as error:
        error.args = (_as_keywords(str(error)), *error.args[1:])
        raise
    except SystemExit as stop:
        if stop.code != 130:
            raise
        raise KeyboardInterrupt("What has been learnt is saved; resume=True goes on.") from None
    return load_run(config.out or default_folder(config))


def _config(env: str, agent: str, out: str | Path | None, options: dict[str, Any]) -> TrainConfig:
    """Sort options into those of the run, of the agent and of the environment."""
    settings = agent_class(agent).Config
    of_run = {field.name for field in dataclasses.fields(TrainConfig)} - set(_OWN)
    of_agent = {field.name for field in dataclasses.fields(settings)}
    of_env = {field.metadata["name"] for field in dataclasses.fields(task_options(find_id(env), frozenset(of_run)))}
    for name in options:
        if name not in of_run | of_agent | of_env:
            raise ArgumentError(f'train has no option "{name}" for {agent} in {env}.{did_you_mean(name, of_run | of_agent | of_env)}')

    def chosen(names: set[str]) -> dict[str, Any]:
        return {name: value for name, value in options.items() if name in names}

    return TrainConfig(
        env=env,
        agent=agent,
        out=None if out is None else Path(out),
        algorithm=settings(**chosen(of_agent)),
        task=chosen(of_env),
        **chosen(of_run),
    )


def _as_keywords(text: str) -> str:
    """Write the options of the command line in a message as arguments of Python.

    >>> _as_keywords("go on with --resume, or choose another --out")
    'go on with resume=True, or choose another out'
    """
    text = text.replace("--resume", "resume=True")
    return re.sub(r"--([a-z][a-z-]+)", lambda match: match[1].replace("-", "_"), text)
