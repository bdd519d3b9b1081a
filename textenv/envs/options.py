"""What a command line and a file of options can say of an environment: fields of its task, and arguments of its own."""

import dataclasses
import functools
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import tyro

from textenv.envs.registry import own_arguments, task_of
from textenv.errors import ArgumentError

# Field of `Task` to its type and its help; the others need objects, or are said by options of a command such as --model.
_FIELDS: Final[dict[str, tuple[Any, str]]] = {
    "prompts": (str | None, "Prompts: a .txt, .csv, .tsv, .json, .jsonl or .parquet file (or .gz), or a hub id."),
    "reward": (str | None, "Reward: an embedded name, a local folder, a hub id, or module:function."),
    "judge": (str | None, "Judge, which evaluations ask: as --reward."),
    "potential": (str | None, "Potential of an unfinished text, which pays tokens early: as --reward."),
    "max_prompt_tokens": (int | None, "Tokens of a prompt, at most."),
    "max_new_tokens": (int | None, "Tokens of a response, at most."),
    "min_new_tokens": (int | None, "Tokens of a response before it may end."),
    "stop": (tyro.conf.UseAppendAction[tuple[str, ...]], "A text that ends a response; may be given several times."),
    "end_tokens": (tyro.conf.UseAppendAction[tuple[str, ...]], "A token that ends a response, by name; may be given several times."),
    "missing_eos_penalty": (float | None, "Subtracted from the score of a response that ends by its length."),
    "on_long_prompt": (Literal["error", "truncate", "widen"] | None, "What to do with prompts of more than --max-prompt-tokens."),
}
_MEANT_ALIKE: Final = ("reward", "judge")
"""Options of commands that mean what the field of the task means."""
_PLAIN: Final = (str, int, float, bool)


@dataclasses.dataclass(frozen=True, kw_only=True)
class TaskOptions:
    """Options of an environment."""

    def given(self) -> dict[str, Any]:
        """Return those that were given, by the names of the environment's arguments."""
        values = {field.metadata["name"]: getattr(self, field.name) for field in dataclasses.fields(self)}
        return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items() if value not in (None, ())}


@functools.cache
def task_options(id: str | None, taken: Collection[str] = ()) -> type[TaskOptions]:
    """Make the dataclass of an environment's options.

    Args:
        id: of a registered environment; without one the options are those that every environment has.
        taken: names of other options of the command. An option of the same name means the same if it is a reward or a judge,
            and is left out; any other gets the prefix "env_".

    Raises:
        ArgumentError: there is no such environment.
    """
    options = dict(_FIELDS)
    task = None if id is None else task_of(id)
    own = own_arguments(id or "")
    for name, value in own.items():
        options[name] = (type(value) | None, f"Argument of {id}.")
    fields: list[Any] = []
    for name, (hint, description) in options.items():
        if name in taken and name in _MEANT_ALIKE:
            continue
        present = own.get(name, getattr(task, name, None))
        usual = "the environment's"
        if present is not None and type(present) in _PLAIN:
            usual = Path(present).name if name == "prompts" else str(present).encode("unicode_escape").decode("ascii")
        default: Any = None if type(None) in getattr(hint, "__args__", ()) else ()
        annotated: Any = Annotated[hint, tyro.conf.arg(help=description, help_behavior_hint=f"(default: {usual})")]
        fields.append((f"env_{name}" if name in taken else name, annotated, dataclasses.field(default=default, metadata={"name": name})))
    made: type[TaskOptions] = dataclasses.make_dataclass("TaskOptions", fields, bases=(TaskOptions,), frozen=True, kw_only=True)
    made.__doc__ = f"Options of {id or 'the environment'}."
    return made


def settle_task(config: Any) -> None:
    """Turn the field `task` of a frozen config into a dictionary of plain data.

    Args:
        config: a dataclass whose `task` holds `TaskOptions` or a mapping.

    Raises:
        ArgumentError: a value is none that a file can hold.
    """
    task: Any = config.task
    if isinstance(task, TaskOptions):
        task = task.given()
    if not isinstance(task, Mapping):
        raise ArgumentError(f"task must map names of arguments of the environment to values, got {task!r}.")
    for name, value in task.items():
        if name in _MEANT_ALIKE and hasattr(config, name):
            raise ArgumentError(f"{name} is an option of its own, not one of task.")
        if value is None:
            raise ArgumentError(
                f"{name} is None, which no option can say; leave it out, or make an environment without it with textenv.register."
            )
        if not all(isinstance(part, _PLAIN) for part in (value if isinstance(value, list | tuple) else [value])):
            raise ArgumentError(
                f"{name} must be plain data, which the run's folder can hold, got {type(value).__name__}; make an environment of it with "
                "textenv.register."
            )
    object.__setattr__(config, "task", {name: list(value) if isinstance(value, tuple) else value for name, value in task.items()})


def option_words(task: Mapping[str, Any], taken: Collection[str] = ()) -> list[str]:
    """Write an environment's options as a command line gives them.

    >>> option_words({"target": "negative", "stop": ["!", "?"], "prompts": "own.txt"}, taken=["prompts"])
    ['--target', 'negative', '--stop', '!', '--stop', '?', '--env-prompts', 'own.txt']
    >>> option_words({"stop": ["--", "-"]})
    ['--stop=--', '--stop=-']
    """
    words = []
    for name, value in task.items():
        option = f"env-{name}" if name in taken else name
        for part in value if isinstance(value, list) else [value]:
            words += option_word(option, part)
    return words


def option_word(option: str, value: Any) -> list[str]:
    """Write an option and its value; a value that looks like an option is joined to it.

    >>> option_word("max_new_tokens", 8), option_word("model", "-tiny")
    (['--max-new-tokens', '8'], ['--model=-tiny'])
    """
    name = f"--{option.replace('_', '-')}"
    return [f"{name}={value}"] if str(value).startswith("-") else [name, str(value)]
