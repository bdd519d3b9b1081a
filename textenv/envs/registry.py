"""The table of environments: built-in ids, and `register` for everyone else's."""

import ast
import dataclasses
import importlib
import inspect
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import gymnasium
from gymnasium.envs.registration import parse_env_id

from textenv.envs.task import Task, check_names
from textenv.errors import ArgumentError, did_you_mean
from textenv.importing import import_from_user

BUILT_IN: Final = {
    "TextBias-v0": "textenv.envs.bias",
    "TextBias-v1": "textenv.envs.bias_v1",
    "TextCopy-v0": "textenv.envs.copying",
    "TextCount-v0": "textenv.envs.counting",
    "TextDetox-v0": "textenv.envs.detox",
    "TextDetox-v1": "textenv.envs.detox_v1",
    "TextGridWorld-v0": "textenv.envs.grid_world",
    "TextHaiku-v0": "textenv.envs.haiku",
    "TextHaiku-v1": "textenv.envs.haiku_v1",
    "TextInstruct-v0": "textenv.envs.instruct",
    "TextInstruct-v1": "textenv.envs.instruct_v1",
    "TextLength-v0": "textenv.envs.length",
    "TextLongForm-v0": "textenv.envs.long_form",
    "TextLongForm-v1": "textenv.envs.long_form_v1",
    "TextReverse-v0": "textenv.envs.reversing",
    "TextScope-v0": "textenv.envs.scope",
    "TextScope-v1": "textenv.envs.scope_v1",
    "TextSentiment-v0": "textenv.envs.sentiment",
    "TextSentimentZh-v0": "textenv.envs.sentiment_zh",
    "TextSummarize-v0": "textenv.envs.summarize",
    "TextSummarize-v1": "textenv.envs.summarize_v1",
    "TextToxicity-v0": "textenv.envs.toxicity",
    "TextToxicity-v1": "textenv.envs.toxicity_v1",
}
"""Id to the module that holds its card (the docstring) and its TASK, or a function `task` of the arguments it takes beside
those of every environment. Nothing is imported until an id is made."""

_registered: dict[str, Task] = {}


def task_of(task: str | Task, **fields: Any) -> Task:
    """Find the task of an id, with other values in some fields.

    Args:
        task: an id, or a task.
        **fields: of `Task`, and the arguments that the environment's own function `task` takes. Another reward does
            without the potential of the one that it replaces.

    Raises:
        ArgumentError: nothing is registered under the id, or an argument is unknown or out of range.
    """
    if isinstance(task, str) and task in BUILT_IN:
        module = importlib.import_module(BUILT_IN[task])
        if hasattr(module, "task"):
            own = tuple(inspect.signature(module.task).parameters)
            check_names(fields, own)
            task = module.task(**{name: fields.pop(name) for name in own if name in fields})
        else:
            task = module.TASK
    found = _registered.get(task, task) if isinstance(task, str) else task
    if not isinstance(found, Task):
        raise ArgumentError(f'There is no environment "{found}".{did_you_mean(found, registered_ids())}')
    if "reward" in fields and "potential" not in fields:
        fields["potential"] = None  # which belongs to the reward that goes
    return found.replace(**fields) if fields else found


def task_on(
    id: str,
    options: Mapping[str, Any],
    *,
    reward: Any = None,
    judge: Any = None,
    model: str | None = None,
    device: str = "cpu",
) -> Task:
    """Return the task in which a command lets a model play, with what scores it loaded onto a device.

    Args:
        id: of the environment.
        options: fields of `Task`, and arguments of the environment's own; they come before all else.
        reward: a name or a callable; None is the environment's own.
        judge: likewise.
        model: whose tokens are the actions; the prompts then take as many columns as they need, where neither the task cuts them
            nor the options say how many there are. None is the environment's own.
        device: such as "cuda".

    Raises:
        ArgumentError: an option is unknown or out of range.
        LoadError: a model cannot be loaded.
    """
    from textenv.rewards.loading import load_reward

    fields: dict[str, Any] = {name: value for name, value in (("reward", reward), ("judge", judge)) if value is not None}
    task = task_of(id, **{**fields, **options})
    scorers = {"reward": task.reward, "potential": task.potential, "judge": task.judge}
    fields = {name: load_reward(scorer, device=device) for name, scorer in scorers.items() if scorer is not None}
    if model is not None:
        fields["tokenizer"] = model
        if task.on_long_prompt != "truncate" and not {"max_prompt_tokens", "on_long_prompt"} & options.keys():
            fields["on_long_prompt"] = "widen"
    return task.replace(**fields)


def own_arguments(id: str) -> dict[str, Any]:
    """Return the arguments of an environment beside the fields of `Task`, with their defaults; its module is read, not imported."""
    if id not in BUILT_IN:
        return {}
    tree = ast.parse(source(id).read_text(encoding="utf-8"))
    makers = [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == "task"]
    names = {field.name for field in dataclasses.fields(Task)}
    return {
        argument.arg: ast.literal_eval(default)
        for maker in makers
        for argument, default in zip(maker.args.kwonlyargs, maker.args.kw_defaults, strict=True)
        if default is not None and argument.arg not in names
    }


def registered_ids() -> list[str]:
    """List the ids of textenv's environments, built-in and registered."""
    return sorted({*BUILT_IN, *_registered})


def find_id(id: str) -> str:
    """Find an id as Gymnasium writes it, with or without the module that registers it: "Haiku-v0" or "my_envs:Haiku-v0".

    Returns:
        The id without its module, which has been imported.

    Raises:
        ArgumentError: the module cannot be imported, or it registers nothing under the id.
    """
    module, _, name = id.rpartition(":")
    if not module:
        if name not in registered_ids():
            raise ArgumentError(
                f'There is no environment "{name}".{did_you_mean(name, registered_ids())}'
                f' One of your own is called with the module that registers it: "my_module:{name or "Name-v0"}".'
            )
        return name
    before = set() if module in sys.modules else set(registered_ids())
    import_from_user(module)
    if name not in registered_ids():
        own = ", ".join(sorted(set(registered_ids()) - before)) or "none"
        raise ArgumentError(f'The module "{module}" registers no environment "{name}" with textenv.register; those it registers: {own}.')
    return name


def card(id: str) -> str:
    """Return the card of an environment: its module's docstring, or one line for a registered task."""
    if id in BUILT_IN:
        return ast.get_docstring(ast.parse(source(id).read_text(encoding="utf-8")), clean=False) or ""
    task_of(id)
    return f"{id}: registered with textenv.register."


def source(id: str) -> Path:
    """Find the file of a built-in environment; who only reads it does not wait for torch."""
    return Path(__file__).with_name(BUILT_IN[id].rpartition(".")[2] + ".py")


def register(id: str, *, prompts: Any, reward: Any, **task_fields: Any) -> None:
    """Make an environment of prompts and a reward.

    >>> import gymnasium, textenv
    >>> textenv.register("Shout-v0", prompts=["Hello"], reward=lambda completions: [c.count("!") for c in completions])
    >>> gymnasium.make("Shout-v0", max_new_tokens=8).spec.id
    'Shout-v0'

    Args:
        id: such as "Haiku-v0" or "namespace/Haiku-v0".
        prompts: see `Task.prompts`.
        reward: see `Task.reward`.
        **task_fields: the other fields of `Task`.

    Raises:
        ArgumentError: the id belongs to another environment or is malformed, or a field is unknown or out of range.
    """
    task = Task(prompts=prompts, reward=reward).replace(**task_fields)
    if id in BUILT_IN or (id in gymnasium.registry and id not in _registered):
        raise ArgumentError(f'The id "{id}" is taken; choose another name or a new version, such as "-v1".')
    try:
        parse_env_id(id)
    except gymnasium.error.Error as error:
        raise ArgumentError(f'"{id}" is no environment id; use the form "Name-v0".') from error
    try:
        _tell_gymnasium(id)
    except gymnasium.error.Error as error:
        raise ArgumentError(f'The id "{id}" cannot be registered: {error}') from error
    _registered[id] = task


def register_built_in() -> None:
    """Tell Gymnasium the built-in ids."""
    for id in BUILT_IN:
        _tell_gymnasium(id)


def _tell_gymnasium(id: str) -> None:
    # Only the name goes into the spec: Gymnasium deep-copies what is registered at every make.
    gymnasium.registry.pop(id, None)
    gymnasium.register(
        id, entry_point="textenv.envs.single:TextEnv", vector_entry_point="textenv.envs.vector:TextVectorEnv", kwargs={"task": id}
    )
