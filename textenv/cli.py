"""The command line: `textenv COMMAND ...`, also as `python -m textenv`.

Results go to stdout, messages and progress to stderr. Exit codes: 0 success, 2 input that cannot be used (one sentence
on stderr), 1 any other failure, 130 after ctrl-C.
"""

import dataclasses
import errno
import importlib
import os
import sys
import traceback
import warnings
from types import ModuleType
from typing import Any, Final, NamedTuple, NoReturn, get_type_hints

from textenv.errors import ArgumentError, LoadError, TextenvError, did_you_mean
from textenv.terminal import sentence, visible

# Before torch is imported: two spinning threads beside another busy process are up to 40 times slower.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")


class Command(NamedTuple):
    """A command: `run` in the module of its name in `textenv.commands`, imported only when it is asked for."""

    does: str
    """One line for `--help`."""
    example: str
    """What one types after `textenv`."""
    common: tuple[str, ...] = ()
    """Which of the options of `textenv.options.COMMON` it has."""
    interrupted: str = "interrupted."
    """What is said after ctrl-C."""


_ALL: Final = ("config", "print_config", "json")
_LOST: Final = "interrupted; nothing has been saved."

COMMANDS: Final = {
    "list": Command("List the environments.", "list --json", ("json",)),
    "check": Command("Test that an environment keeps the contract.", "check TextSentiment-v0"),
    "train": Command("Train an agent in an environment.", "train TextSentiment-v0 --agent ppo --out runs/first", _ALL),
    "sft": Command("Fine-tune a model on responses or plain texts.", "sft answers.jsonl --model tiny-en --out runs/sft", _ALL, _LOST),
    "compare": Command(
        "Draw several responses to each prompt, to be compared.",
        "compare runs/first TextSentiment-v0 --responses 4 --prompts 64 --out comparisons.db",
        _ALL,
    ),
    "label": Command("Open a page that asks people which responses are better.", "label comparisons.db"),
    "comparisons": Command(
        "Show, import and export comparisons.", "comparisons comparisons.db --export pairs.jsonl --format trl", ("json",)
    ),
    "reward": Command("Fit a reward model to comparisons.", "reward comparisons.db --model tiny-en --out runs/rm", _ALL, _LOST),
    "dpo": Command("Fit a model to comparisons by DPO.", "dpo comparisons.db --model runs/sft --beta 0.1 --out runs/dpo", _ALL, _LOST),
    "eval": Command("Measure a policy in an environment.", "eval runs/first TextSentiment-v0 --episodes 512", _ALL),
    "sample": Command(
        "Show what a policy writes and how it is scored.", 'sample runs/first TextSentiment-v0 --n 4 --prompt "The film"', _ALL
    ),
    "duel": Command(
        "Let policies write to the same prompts and say who won.", "duel runs/first runs/second TextSentiment-v0 --by judge", _ALL
    ),
    "report": Command("Write an HTML report of one run or several.", "report runs/first runs/second --out report.html"),
    "frontier": Command(
        "Train with several KL coefficients and plot score against KL.",
        "frontier TextSentiment-v0 --betas 0.02 0.035 0.06 0.1 --seeds 3 --out frontier",
        _ALL,
    ),
}
"""Name to command."""


def main(arguments: list[str] | None = None) -> None:
    """Run the command line.

    Args:
        arguments: by default those of the process.
    """
    _prepare_streams()
    try:
        with warnings.catch_warnings():
            warnings.showwarning = _warn
            _run(sys.argv[1:] if arguments is None else arguments)
        sys.stdout.flush()
    except (ArgumentError, LoadError) as error:
        _stop(str(error), 2)
    except TextenvError as error:
        _stop(str(error), 1)
    except KeyboardInterrupt:
        command = COMMANDS.get(next(iter(sys.argv[1:] if arguments is None else arguments), ""))
        _stop("interrupted." if command is None else command.interrupted, 130)
    except OSError as error:
        if error.errno not in (errno.EPIPE, errno.ENOSPC):
            _fail()
        # Whoever read stdout has left, or its disk is full; Python must not complain of it again when it flushes.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if error.errno == errno.EPIPE:
            sys.exit(1)
        _stop(f"what was asked for cannot be written: {error.strerror}.", 1)
    except Exception:
        _fail()


def _prepare_streams() -> None:
    """Write UTF-8 whatever the locale says, and nowhere where a stream is closed."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115, as it stays open
        stream = getattr(sys, name)
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(encoding="utf-8", errors="backslashreplace")


def _warn(message: Warning | str, *_: Any, **__: Any) -> None:
    print(f"textenv: warning: {sentence(str(message))}", file=sys.stderr)


def _stop(message: str, code: int) -> NoReturn:
    print(f"textenv: {sentence(message)}", file=sys.stderr)
    sys.exit(code)


def _fail() -> NoReturn:
    """Print the traceback of what nobody foresaw; foreign code may have put any character into it."""
    print(visible(traceback.format_exc()), end="", file=sys.stderr)
    sys.exit(1)


def _run(arguments: list[str]) -> None:
    if arguments[:1] in (["-h"], ["--help"]):
        print(_help())
        return
    if not arguments:
        raise ArgumentError(f"Which command? {', '.join(COMMANDS)}; see textenv --help.")
    name, *rest = arguments
    if name not in COMMANDS:
        raise ArgumentError(f'There is no command "{name}".{did_you_mean(name, COMMANDS)}')
    # An id may name a module of the folder one is in; last, so that it hides no installed one.
    if os.getcwd() not in sys.path:
        sys.path.append(os.getcwd())
    if os.environ.get("NO_COLOR"):
        os.environ["PYTHON_TYRO_ANSI_CODES"] = "False"
    # Here, because it takes longer than `textenv --help` should.
    from textenv.options import as_options

    module = importlib.import_module(f"textenv.commands.{name}")
    config_class = _config_class(module, rest)
    try:
        _run_command(name, module, config_class, rest)
    except TextenvError as error:
        error.args = (as_options(str(error), rest, config_class), *error.args[1:])
        raise


def _config_class(module: ModuleType, arguments: list[str]) -> Any:
    """Find the dataclass of a command, with the options of the agent and of the environment that the arguments name."""
    from textenv.options import for_env, given

    config_class = get_type_hints(module.run)["config"]
    if hasattr(module, "for_agent"):
        config_class = module.for_agent(config_class, str(given(arguments, "agent") or config_class.agent))
    has_env = "task" in {field.name for field in dataclasses.fields(config_class)}
    return for_env(config_class, arguments) if has_env else config_class


def _run_command(name: str, module: ModuleType, config_class: Any, arguments: list[str]) -> None:
    from textenv.options import read_options, to_toml

    command = COMMANDS[name]
    description = f"{command.does}\n\nExample: textenv {command.example}"
    config, common = read_options(name, config_class, arguments, common=command.common, description=description)
    if common.get("print_config"):
        print(to_toml(config), end="")
        return
    module.run(config, **({"json": common["json"]} if "json" in command.common else {}))


def _help() -> str:
    width = max(map(len, COMMANDS))
    return "\n".join(
        [
            "usage: textenv COMMAND ...",
            "",
            "Reinforcement learning environments for language models.",
            "",
            *(f"  {name:{width}}  {command.does}" for name, command in COMMANDS.items()),
            "",
            "Example: textenv train TextSentiment-v0 --agent ppo --out runs/first",
            "Options: textenv COMMAND --help",
        ]
    )
