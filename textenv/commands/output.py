"""Where a command writes: results to stdout, messages and progress to stderr."""

import json
import os
import sys
from typing import Any

from rich.console import Console

from textenv.terminal import safe_console, visible


def results() -> Console:
    """Make the console for what a command was asked for."""
    return safe_console()


def messages() -> Console:
    """Make the console for everything else; it is plain, without bars, when either stream is no terminal."""
    return safe_console(stderr=True, force_terminal=None if sys.stdout.isatty() else False)


def print_json(data: Any) -> None:
    """Print strict JSON, in which a number that is not finite is null."""
    strict = json.loads(json.dumps(data), parse_constant=lambda _: None)
    print(visible(json.dumps(strict, indent=2, ensure_ascii=False)))


def hide_loading_bars() -> None:
    """Keep transformers from drawing bars while it loads weights, and without a terminal downloads from drawing theirs."""
    if not (sys.stdout.isatty() and sys.stderr.isatty()):
        os.environ["HF_HUB_DISABLE_PROGRESS_BARS"] = "1"
    from transformers.utils import logging

    logging.disable_progress_bar()
