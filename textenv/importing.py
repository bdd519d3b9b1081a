"""Import what users write: modules that register environments, and functions and classes named "module:name"."""

import importlib
import re
import traceback
from pathlib import Path
from typing import Any, Final

from textenv.errors import ArgumentError, did_you_mean

_IMPORTED: Final = re.compile(r"[^\W\d][\w.]*:[^\W\d]\w*")


def is_import(name: str) -> bool:
    """Return whether a name has the form "module:name".

    >>> is_import("my_rewards:brevity"), is_import("runs/rm"), is_import("https://example.org")
    (True, False, False)
    """
    return _IMPORTED.fullmatch(name) is not None


def resolve(name: str, what: str) -> Any:
    """Import what "module:name" stands for.

    Args:
        name: of the form that `is_import` accepts.
        what: it is to be, for messages, such as "agent".

    Raises:
        ArgumentError: the module cannot be imported, or has nothing of that name.
    """
    module, _, attribute = name.partition(":")
    imported = import_from_user(module)
    try:
        return getattr(imported, attribute)
    except AttributeError:
        public = [known for known in vars(imported) if not known.startswith("_")]
        raise ArgumentError(f'The module "{module}" has no {what} "{attribute}".{did_you_mean(attribute, public)}') from None


def import_from_user(module: str) -> Any:
    """Import a module that somebody else wrote.

    Raises:
        ArgumentError: it is not there, or it raises; the message names the file and the line.
    """
    start = f'The module "{module}" cannot be imported'
    try:
        return importlib.import_module(module)
    except (Exception, SystemExit) as error:
        if isinstance(error, ModuleNotFoundError) and f"{module}.".startswith(f"{error.name}."):
            advice = "; leave .py out" if module.endswith(".py") else ""
            raise ArgumentError(f"{start}: it is neither in this folder nor among the installed packages{advice}.") from error
        lines = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.name == "<module>"]
        where = f" ({Path(lines[-1].filename).name}, line {lines[-1].lineno})" if lines else ""
        raise ArgumentError(f"{start}: it raises {type(error).__name__}: {str(error).removesuffix('.')}{where}.") from error
