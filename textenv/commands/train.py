"""`textenv train`."""

from textenv.commands.output import hide_loading_bars, messages, print_json, results
from textenv.training import TrainConfig, for_agent, train

__all__ = ["for_agent", "run"]


def run(config: TrainConfig, *, json: bool) -> None:
    """Train; print the closing tables, or the summary as JSON."""
    hide_loading_bars()
    summary = train(config, messages(), results=None if json else results())
    if json:
        print_json(summary)
