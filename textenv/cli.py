"""The command line: `textenv train`, `textenv list`, `textenv check`."""

import os
import sys
from typing import TYPE_CHECKING

# Before torch is imported: two spinning threads beside another busy process are up to 40 times slower.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import tyro
from rich.console import Console
from rich.table import Table

from textenv.envs.registry import card, find_id, registered_ids
from textenv.errors import TextenvError

if TYPE_CHECKING:
    from textenv.training import TrainConfig


def _list() -> None:
    """List the environments.

    Example: textenv list
    """
    table = Table("id", "what it asks for")
    for id in registered_ids():
        table.add_row(id, card(id).splitlines()[0].partition(": ")[2])
    Console().print(table)


def _check(id: tyro.conf.Positional[str]) -> None:
    """Test that an environment keeps the contract.

    Example: textenv check TextSentiment-v0

    Args:
        id: of the environment.
    """
    from textenv.envs.checker import check

    check(find_id(id))
    print(f"{id} keeps the contract.")


def _train(config: "TrainConfig") -> None:
    """Train an agent in an environment.

    Example: textenv train TextSentiment-v0 --agent ppo --out runs/demo
    """
    from transformers.utils import logging

    from textenv.training import train

    logging.disable_progress_bar()  # of loading weights, which takes no time
    train(config)


def main(arguments: list[str] | None = None) -> None:
    """Run the command line; bad input ends with one sentence and exit code 2."""
    arguments = sys.argv[1:] if arguments is None else arguments
    app = tyro.extras.SubcommandApp()
    app.command(name="list")(_list)
    app.command(name="check")(_check)
    if arguments[:1] != ["list"]:
        # The configuration needs the agents, which need torch; `list` does not wait for it.
        from textenv.training import TrainConfig

        _train.__annotations__["config"] = tyro.conf.OmitArgPrefixes[TrainConfig]
    app.command(name="train")(_train)
    try:
        app.cli(args=arguments, prog="textenv", description="Reinforcement learning environments for language models.")
    except TextenvError as error:
        print(f"textenv: {error}", file=sys.stderr)
        sys.exit(2)
