"""Options of a command: a frozen dataclass, filled from a TOML file and the command line.

The names are the fields' own, `num_envs` in a file and `--num-envs` on the command line. A nested dataclass is a table
in a file; its options stand among the others on the command line.
"""

import contextlib
import dataclasses
import difflib
import io
import re
import tomllib
import types
import typing
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Final, Literal, TypeVar

import tyro

from textenv.agents import AGENTS, agent_class
from textenv.envs.options import task_options
from textenv.envs.registry import BUILT_IN, find_id, own_arguments, task_of
from textenv.errors import ArgumentError, did_you_mean
from textenv.terminal import visible

Config = TypeVar("Config")

COMMON: Final[dict[str, tuple[Any, Any]]] = {
    "config": (
        Annotated[Path | None, tyro.conf.arg(help="TOML file of options by their names; those of the command line come first.")],
        None,
    ),
    "print_config": (
        Annotated[bool, tyro.conf.FlagCreatePairsOff, tyro.conf.arg(help="Print the options as such a file and stop.")],
        False,
    ),
    "json": (Annotated[bool, tyro.conf.FlagCreatePairsOff, tyro.conf.arg(help="Print the results as JSON.")], False),
}
"""Options that are about a command's input and output: name to type and default."""

_NEEDS: Final = {bool: "true or false", int: "an integer", float: "a number", str: "a text", Path: "a path"}


def read_options(
    command: str, config: type[Config], arguments: Sequence[str], *, common: Sequence[str] = (), description: str = ""
) -> tuple[Config, dict[str, Any]]:
    """Fill a command's dataclass; `--help` prints and exits.

    Args:
        command: its name, for messages.
        config: a dataclass.
        arguments: what stands after the command's name.
        common: those of config, print_config and json that the command has.
        description: the head of its help.

    Returns:
        The dataclass, and the values of `common`.

    Raises:
        ArgumentError: an option or a key is unknown or of the wrong type, one is missing, or the dataclass refuses the values.
    """
    common_fields = {name: COMMON[name] for name in common}
    hints = {**_flat_hints(config), **{name: hint for name, (hint, _) in common_fields.items()}}
    _check_names(command, arguments, hints, getattr(config, "agent", ""))
    file = _last_value(arguments, "config") if "config" in common else None
    table = {} if file is None else _check_table(config, _load(Path(file)), file)
    table = _without_lists(table, {name for _, name, _ in _options(arguments)})
    env = env_of(arguments, hints) if "algorithm" in _hints(config) else None
    if env is not None:
        usual = suited(env, _hints(config)["algorithm"])
        table = {**usual, **table, "algorithm": {**usual["algorithm"], **table.get("algorithm", {})}}
    parsed = _parse(command, config, common_fields, table, arguments, hints, description)
    values = {field.name: getattr(parsed, field.name) for field in dataclasses.fields(typing.cast(Any, config))}
    return config(**values), {name: getattr(parsed, name) for name in common}


def given(arguments: Sequence[str], name: str) -> Any:
    """Look an option up before its command's dataclass is known: on the command line, else in the TOML file, else None.

    Raises:
        ArgumentError: the file cannot be read.
    """
    file = _last_value(arguments, "config")
    return _last_value(arguments, name) or (None if file is None else _load(Path(file)).get(name))


def env_of(arguments: Sequence[str], hints: Mapping[str, Any]) -> str | None:
    """Look up the id of the environment before its options are known: among the positional arguments, else in the TOML file.

    Args:
        arguments: what stands after the command's name.
        hints: option to type; an option that is none of them is taken to have one value.
    """
    values = _positionals(arguments, hints)
    if not values:
        named = given(arguments, "names") or given(arguments, "env")
        if isinstance(named, list) and named:
            named = named[-1]
        # What is no text is refused with its place, when the file's values are checked.
        return named if isinstance(named, str) and named else None
    if "names" in hints:
        return values[-1]
    return values[1] if "policy" in hints and len(values) > 1 else None if "policy" in hints else values[0]


def for_env(config: type[Config], arguments: Sequence[str]) -> type[Config]:
    """Make a dataclass whose field `task` holds the options of the environment that the arguments name.

    Raises:
        ArgumentError: there is no such environment.
    """
    hints = {name: hint for name, hint in _flat_hints(config).items() if name != "task"}
    env = env_of(arguments, hints)
    options = task_options(None if env is None else find_id(env), frozenset(hints))
    fields: list[Any] = [("task", options, dataclasses.field(default_factory=options))]
    made: type[Config] = dataclasses.make_dataclass(config.__name__, fields, bases=(config,), frozen=True, kw_only=True)
    made.__doc__ = config.__doc__
    return made


def suited(env: str, algorithm: Any) -> dict[str, Any]:
    """Return the options that an environment sets for its training.

    Args:
        env: id of the environment.
        algorithm: options of the agent, a dataclass. What it does not have is left out, and so is
            what it has its own default for, other than PPO's, as DQN has for `kl_coef`.

    Returns:
        Option to value, those of the agent in a mapping of their own under "algorithm".

    Raises:
        ArgumentError: there is no such environment, or a value is of the wrong type.
    """
    id = find_id(env)
    episodes: list[Any] = [("episodes", int, dataclasses.field(default=0))]
    options = dataclasses.make_dataclass("Training", episodes, bases=(algorithm,), frozen=True, kw_only=True)
    shared = {field.name: field.default for field in dataclasses.fields(agent_class("ppo").Config)}
    taken = {field.name for field in dataclasses.fields(options) if field.default == shared.get(field.name, field.default)}
    training = {name: value for name, value in task_of(id).training.items() if name in taken}
    values = _check_table(options, training, f"The training of {id}")
    run = {"episodes": values.pop("episodes")} if "episodes" in values else {}
    return {**run, "algorithm": values}


def as_options(text: str, arguments: Sequence[str], config: Any) -> str:
    """Write the names of fields in a message as the command line calls them.

    >>> as_options("max_new_tokens=3 must exceed min_new_tokens.", [], task_options(None))
    '--max-new-tokens 3 must exceed --min-new-tokens.'
    >>> as_options('stop must be a text; the column "max_new_tokens" is no option.', [], task_options(None))
    '--stop must be a text; the column "max_new_tokens" is no option.'

    Args:
        text: the message; what stands between quotation marks stays, and so does what is about a file of options.
        arguments: of the command.
        config: its dataclass.
    """
    file = _last_value(arguments, "config")
    if file is not None and text.startswith(f"{file}: "):
        return text
    names = sorted(set(_flat_hints(config)) - _POSITIONAL, key=len, reverse=True)
    option = f"({'|'.join(names)})"

    def dashed(match: re.Match[str]) -> str:
        return f"--{match[1].replace('_', '-')}"

    alone = r"(?<![\w.\-/=])"  # no part of a path or of another word
    parts = re.split(r'("[^"]*")', text)
    for index in range(0, len(parts), 2):
        part = re.sub(rf"{alone}(?:task|algorithm|fitting)\.{option}=", r"\1=", parts[index])  # tables of a run's config
        part = re.sub(rf"{alone}{option}=(?=[^\s,;]*\w)(?!None|True|False)", lambda match: f"{dashed(match)} ", part)
        part = re.sub(rf"{alone}{option}=True\b", dashed, part)
        part = re.sub(rf"{alone}{option}(?=[\s,;:.]|$)", lambda match: dashed(match) if "_" in match[1] else match[0], part)
        parts[index] = re.sub(rf"(?:(?<=^)|(?<=\. )){option}(?= (?:must|needs|is) )", dashed, part)
    return "".join(parts)


_POSITIONAL: Final = {"env", "policy", "names", "store", "data", "comparisons", "runs", "modules", "task"}


def to_toml(config: Any) -> str:
    """Write a dataclass as the file that `--config` reads back to an equal one; a field that is None is left out.

    >>> import dataclasses
    >>> @dataclasses.dataclass
    ... class Config:
    ...     episodes: int = 32
    ...     reward: str | None = None
    ...     betas: tuple[float, ...] = (0.1,)
    >>> print(to_toml(Config()), end="")
    episodes = 32
    betas = [
        0.1,
    ]
    """
    import tomli_w

    return visible(tomli_w.dumps(_plain(dataclasses.asdict(config))))


def _plain(node: Any) -> Any:
    if isinstance(node, dict):
        return {name: _plain(value) for name, value in node.items() if value is not None}
    if isinstance(node, tuple | list):
        return [_plain(value) for value in node]
    return str(node) if isinstance(node, Path) else node


# Types


def takes_none(hint: Any) -> bool:
    """Return whether None is among the values of a type.

    >>> takes_none(int | None), takes_none(int)
    (True, False)
    """
    return type(None) in typing.get_args(hint)


def _alternatives(hint: Any) -> list[Any]:
    """The types a value may have, None left out."""
    if typing.get_origin(hint) is Annotated:
        return _alternatives(typing.get_args(hint)[0])
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        return [found for option in typing.get_args(hint) for found in _alternatives(option) if found is not type(None)]
    return [hint]


def needs(hint: Any) -> str:
    """Say what a value must be.

    >>> needs(int | None), needs(Literal["fp32", "bf16"]), needs(tuple[float, ...])
    ('an integer', '"fp32" or "bf16"', 'a list, each a number')
    """
    words = []
    for option in _alternatives(hint):
        if typing.get_origin(option) is Literal:
            words += [f'"{choice}"' for choice in typing.get_args(option)]
        elif typing.get_origin(option) is tuple:
            words.append(f"a list, each {needs(typing.get_args(option)[0])}")
        else:
            words.append(_NEEDS[option])
    return " or ".join(words)


def convert(value: Any, hint: Any) -> Any:
    """Turn a value of a TOML file, or of Python, into one of the type of its field.

    >>> convert(1, float | None), convert([1, 2.5], tuple[float, ...])
    (1.0, (1.0, 2.5))

    Raises:
        ValueError: it is of none.
    """
    for option in _alternatives(hint):
        if typing.get_origin(option) is Literal:
            if value in typing.get_args(option):
                return value
        elif typing.get_origin(option) is tuple:
            if isinstance(value, list | tuple):
                return tuple(convert(item, typing.get_args(option)[0]) for item in value)
        elif option is Path and isinstance(value, str):
            return Path(value)
        elif option is float and type(value) is int:
            return float(value)
        elif type(value) is option or option not in _NEEDS:  # what else there is its dataclass must judge
            return value
    raise ValueError


def _hints(config: Any) -> dict[str, Any]:
    """Field to type."""
    hints = typing.get_type_hints(config)
    return {field.name: hints[field.name] for field in dataclasses.fields(config)}


def named_hints(config: Any) -> dict[str, Any]:
    """Return the types of a dataclass's fields by the names that a file and Python have for them."""
    hints = _hints(config)
    return {name: hints[field] for name, field in _by_name(config).items()}


def _by_name(config: Any) -> dict[str, str]:
    """Name in a file to field; they differ where the command line needs a prefix."""
    return {field.metadata.get("name", field.name): field.name for field in dataclasses.fields(config)}


def _flat_hints(config: Any) -> dict[str, Any]:
    """Option to type, those of nested dataclasses among the others."""
    flat: dict[str, Any] = {}
    for name, hint in _hints(config).items():
        flat |= _flat_hints(hint) if dataclasses.is_dataclass(hint) else {name: hint}
    return flat


# The file


def _load(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text(encoding="utf-8-sig"))  # with or without a byte order mark
    except OSError as error:
        raise ArgumentError(f"{file} cannot be read: {error.strerror}; give --config a TOML file.") from error
    except ValueError as error:  # of TOML or of UTF-8
        raise ArgumentError(f"{file} is no TOML: {error}.") from error


def _check_table(config: Any, table: Mapping[str, Any], file: str, prefix: str = "") -> dict[str, Any]:
    """Check names and types of a table, and return field to converted value."""
    fields = _by_name(config)
    hints = named_hints(config)
    values: dict[str, Any] = {}
    for name, value in table.items():
        if name not in hints:
            raise ArgumentError(f'{file}: there is no option "{prefix}{name}".{did_you_mean(name, hints)}')
        if dataclasses.is_dataclass(hints[name]):
            if not isinstance(value, dict):
                raise ArgumentError(f"{file}: {prefix}{name} needs a table, got {value!r}.")
            values[fields[name]] = _check_table(hints[name], value, file, f"{prefix}{name}.")
            continue
        try:
            values[fields[name]] = convert(value, hints[name])
        except ValueError:
            shown = f'"{value}"' if isinstance(value, str) else repr(value)
            raise ArgumentError(f"{file}: {prefix}{name} needs {needs(hints[name])}, got {shown}.") from None
    return values


def _without_lists(values: Mapping[str, Any], names: set[str]) -> dict[str, Any]:
    """Leave out the lists that the command line names: it replaces them, where tyro would add to them."""
    left: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, dict):
            left[name] = _without_lists(value, names)
        elif not (isinstance(value, tuple) and name in names):
            left[name] = value
    return left


# The command line


def _options(arguments: Sequence[str]) -> Iterator[tuple[str, str, list[str]]]:
    """List the options with dashes: as it is written, the name of its field, and the values after it."""
    for index, argument in enumerate(arguments):
        if argument.startswith("--") and len(argument) > 2:
            option, equals, value = argument.partition("=")
            end = next((i for i in range(index + 1, len(arguments)) if arguments[i].startswith("--")), len(arguments))
            yield option, option[2:].replace("-", "_"), [value] if equals else list(arguments[index + 1 : end])


def _positionals(arguments: Sequence[str], hints: Mapping[str, Any]) -> list[str]:
    """List the arguments that belong to no option."""
    values: list[str] = []
    left = 0.0  # values that the last option still takes
    hints = {**{name: hint for name, (hint, _) in COMMON.items()}, **hints}
    for argument in arguments:
        if argument == "-h":
            left = 0.0
        elif argument.startswith("--"):
            option, equals, _ = argument[2:].partition("=")
            left = 0.0 if equals else _arity(option.replace("-", "_"), hints)
        elif left > 0:
            left -= 1
        else:
            values.append(argument)
    return values


def _arity(name: str, hints: Mapping[str, Any]) -> float:
    """Return how many values an option takes; one that is not known takes one."""
    if name == "help" or "bool" in {getattr(kind, "__name__", "") for kind in _alternatives(hints.get(name.removeprefix("no_"), str))}:
        return 0
    repeated = name in hints and name != "prompt" and any(typing.get_origin(kind) is tuple for kind in _alternatives(hints[name]))
    return float("inf") if repeated else 1


def _last_value(arguments: Sequence[str], name: str) -> str | None:
    """The value of an option, None without one."""
    values = [values[0] for _, option, values in _options(arguments) if option == name and values]
    return values[-1] if values else None


def _check_names(command: str, arguments: Sequence[str], hints: Mapping[str, Any], agent: str) -> None:
    known = {*hints, "help"}
    known |= {f"no_{name}" for name, hint in hints.items() if _alternatives(hint) == [bool]}
    for option, name, _ in _options(arguments):
        if name not in known:
            owner = _owner(command, name.removeprefix("no_"), agent, arguments, hints)
            if owner:
                raise ArgumentError(f"{option} is an option of {owner}.")
            close = difflib.get_close_matches(option, [f"--{field.replace('_', '-')}" for field in hints], n=1)
            advice = f'. Did you mean "{close[0]}"?' if close else f"; see textenv {command} --help."
            raise ArgumentError(f'{command} has no option "{option}"{advice}')


def _owner(command: str, name: str, agent: str, arguments: Sequence[str], hints: Mapping[str, Any]) -> str:
    """Name the agents or the environments that have an option, and the one that lacks it; empty where none has it."""
    if agent:
        agents = [other for other in AGENTS if name in _flat_hints(agent_class(other).Config)]
        if agents:
            return f"{' and '.join(agents)}, not of {agent}"
    envs = [env for env in BUILT_IN if name in own_arguments(env)]
    if envs and "max_new_tokens" in hints:
        return f"{' and '.join(envs)}, not of {env_of(arguments, hints) or f'{command} without an environment'}"
    return ""


def _unfilled(config: Any, values: Mapping[str, Any]) -> Any:
    """An instance that holds values and defaults but has checked none: only what the command line makes of it must be valid."""
    instance = object.__new__(config)
    for field in dataclasses.fields(config):
        if dataclasses.is_dataclass(_hints(config)[field.name]):
            value = _unfilled(_hints(config)[field.name], values.get(field.name, {}))
        elif field.name in values:
            value = values[field.name]
        elif field.default_factory is not dataclasses.MISSING:
            value = field.default_factory()
        else:
            value = tyro.MISSING if field.default is dataclasses.MISSING else field.default
        object.__setattr__(instance, field.name, value)
    return instance


def _parse(
    command: str,
    config: Any,
    common: Mapping[str, tuple[Any, Any]],
    table: Mapping[str, Any],
    arguments: Sequence[str],
    hints: Mapping[str, Any],
    description: str,
) -> Any:
    """Run tyro over the dataclass and the common options, and put what it says into one sentence."""
    fields = [(name, hint, dataclasses.field(default=default)) for name, (hint, default) in common.items()]
    whole: Any = dataclasses.make_dataclass(config.__name__, fields, bases=(config,), frozen=True, kw_only=True)
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said):
            parsed, left = tyro.cli(
                whole,
                prog=f"textenv {command}",
                description=description,
                args=list(arguments),
                default=_unfilled(whole, table),
                return_unknown_args=True,
                config=(tyro.conf.OmitArgPrefixes, tyro.conf.PositionalMetavarFromFieldName, tyro.conf.DisallowNone),
            )
    except SystemExit as stopped:
        if not stopped.code:
            raise
        cause: BaseException | None = stopped
        while cause is not None:
            if isinstance(cause, ArgumentError):
                raise cause from None
            cause = cause.__context__
        raise ArgumentError(_sentence(command, said.getvalue(), arguments, hints)) from None
    if left:
        what = "has no option" if left[0].startswith("-") else "does not know what to do with"
        raise ArgumentError(f'{command} {what} "{left[0]}"; see textenv {command} --help.')
    return parsed


def _sentence(command: str, said: str, arguments: Sequence[str], hints: Mapping[str, Any]) -> str:
    """Make one sentence of the box in which tyro refuses an argument."""
    plain = re.sub(r"\x1b\[[0-9;]*m", "", said)
    lines = [line.strip(" │|") for line in plain.splitlines()[1:-1]]
    if lines and not lines[0].strip("─-"):  # where the box is drawn in ASCII, a rule below its title
        del lines[0]
    message = " ".join(lines[: next((i for i, line in enumerate(lines) if not line.strip("─-")), len(lines))])
    option = re.search(r"(?:Error parsing|argument) '?--([\w-]+)", message)
    if option:
        name = option[1].replace("-", "_")
        given = [" ".join(values) for _, found, values in _options(arguments) if found == name][-1:]
        got = f'"{given[0]}"' if given and given[0] else "nothing"
        return f"--{option[1]} needs {needs(hints[name])}, got {got}."
    if message.startswith("Missing from"):
        return f"{command} needs {message.partition(': ')[2].split()[0]}; see textenv {command} --help."
    return message
