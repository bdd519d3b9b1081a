"""What a command says that a user should not miss."""

from typing import Final

from rich.console import Console
from rich.text import Text

from textenv.agents.fitting import Fitted

UNFITTED: Final = "Fitting never lowered the held-out loss, so what is written is the model as it was before the first step."


def warn(console: Console, sentence: str) -> None:
    """Print a sentence that begins with "warning:"."""
    console.print(Text.assemble(("warning", "yellow"), f": {sentence}"), soft_wrap=True)


def warn_if_unfitted(console: Console, fitted: Fitted) -> None:
    """Print `UNFITTED` where the weights that were kept are those at the start."""
    if fitted.best_step == 0:
        warn(console, UNFITTED)
