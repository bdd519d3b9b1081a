"""A policy to be measured or sampled, its environment and its reference, by the names that a command is given."""

import dataclasses
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple

import gymnasium
import torch
from tyro.conf import Positional

from textenv.commands.output import messages
from textenv.envs.options import option_words, settle_task
from textenv.envs.registry import find_id, task_of, task_on
from textenv.errors import ArgumentError, LoadError
from textenv.files import read_json
from textenv.models.hub import locate
from textenv.models.policy import LanguagePolicy, Precision
from textenv.terminal import say


@dataclasses.dataclass(frozen=True, kw_only=True)
class PlayerConfig:
    """Which policy plays, where, and what judges it."""

    policy: Positional[str]
    """Folder of a run, whose model it is, or a model: an embedded name, a local folder or a hub id."""
    env: Positional[str]
    """Id of the environment."""
    reference: str | None = None
    """Reference of the KL: a model; by default what the run started from, and for a model that model itself."""
    reward: str | None = None
    """Reward: an embedded name, a local folder, a hub id, or module:function; by default the run's, or else the environment's."""
    task: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    """Options of the environment, by the names of the arguments of `gymnasium.make`; by default those of a run in this environment."""
    temperature: float | None = None
    """Of the distributions of policy and reference; by default the run's, or else 1."""
    seed: int = 0
    """Of the prompts and the draws."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where the models are."""
    precision: Precision = "fp32"
    """Of forward passes: fp32, or bf16 by autocast."""

    def __post_init__(self) -> None:
        if self.seed < 0:
            raise ArgumentError(f"seed must be at least 0, got {self.seed}.")
        if self.temperature is not None and not 0 < self.temperature < float("inf"):
            raise ArgumentError(f"temperature must be positive, got {self.temperature!r}.")
        if self.device == "cuda" and not torch.cuda.is_available():
            raise ArgumentError("device is cuda, but torch sees no GPU; use device=cpu.")
        settle_task(self)


class Player(NamedTuple):
    """What plays."""

    policy: LanguagePolicy
    reference: LanguagePolicy
    envs: Any
    """A `TextVectorEnv`."""


def load_player(config: PlayerConfig, num_envs: int, *, as_in_run: bool = True, **task_fields: Any) -> Player:
    """Load policy, reference and environments.

    Args:
        config: see `PlayerConfig`.
        num_envs: how many episodes are played side by side.
        as_in_run: whether the reward, the judge and the options of a run come before those of the environment.
        **task_fields: of `Task`, in place of the environment's and of a run's options.

    Raises:
        ArgumentError: there is no such environment, or the models do not fit it.
        LoadError: the run has no model yet, or a model or the reward cannot be loaded.
    """
    name = find_id(config.env)
    run, model = run_config(config.policy)
    started_from = config.policy if run is None else run["model"]  # None is the environment's own model
    if run is not None and started_from is None and not is_of(run, config.env):
        started_from = task_of(find_id(run["env"])).model  # whose tokens the policy writes elsewhere, too
    device = device_of(config.device)
    trained = (run or {}) if as_in_run else {}
    stored = {option: value for option, value in options_of(trained, config.env).items() if option not in {**config.task, **task_fields}}
    if stored:
        say(messages(), f"As in {config.policy}: {shlex.join(option_words(stored))}.")
    options, reward = {**stored, **config.task, **task_fields}, config.reward or trained.get("reward")
    task = task_on(name, options, reward=reward, judge=trained.get("judge"), model=started_from, device=device)
    envs: Any = gymnasium.make_vec(name, num_envs=num_envs, task=task)
    temperature = config.temperature or (run or {}).get("temperature", 1.0)
    settings = {"temperature": temperature, "precision": config.precision, "device": device}
    rules = envs.unwrapped.rules
    policy = LanguagePolicy.for_rules(rules, model, **settings)
    return Player(policy, LanguagePolicy.for_rules(rules, config.reference or started_from, **settings), envs)


def options_of(run: Mapping[str, Any], env: str) -> dict[str, Any]:
    """Return the options of an environment with which a run was trained; none where it was trained elsewhere."""
    return dict(run.get("task", {})) if is_of(run, env) else {}


def is_of(run: Mapping[str, Any], env: str) -> bool:
    """Return whether a run was trained in an environment, whose id may be written with or without its module.

    >>> is_of({"env": "own:Haiku-v0"}, "Haiku-v0"), is_of({"env": "Haiku-v0"}, "Haiku-v1")
    (True, False)
    """
    return str(run.get("env")).rpartition(":")[2] == env.rpartition(":")[2]


def device_of(device: Literal["auto", "cpu", "cuda"]) -> str:
    """Choose where models are: with "auto" on a GPU if there is one."""
    return ("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else device


def run_config(policy: str) -> tuple[dict[str, Any] | None, str]:
    """Return the configuration of a run, trained or fitted, or None for a model; and the name of the model.

    Raises:
        LoadError: the run is damaged, or has no model yet.
    """
    folder = Path(policy)
    try:
        config = read_json(folder / "config.json")
    except OSError:
        return None, policy
    except ValueError as error:
        raise LoadError(f"{folder / 'config.json'} is no JSON: {error}.") from error
    if not isinstance(config, dict) or not {"model", "versions"} <= set(config):
        return None, policy
    return config, locate(policy)
