"""`textenv list`."""

import dataclasses

from textenv.commands.output import print_json, results
from textenv.envs.registry import card, registered_ids


@dataclasses.dataclass(frozen=True, kw_only=True)
class ListConfig:
    """What `textenv list` is told: nothing."""


def run(config: ListConfig, *, json: bool) -> None:
    """Print the ids and what each asks for."""
    rows = {id: card(id).splitlines()[0].partition(": ")[2] for id in registered_ids()}
    if json:
        print_json([{"id": id, "task": task} for id, task in rows.items()])
        return
    from rich.table import Table

    table = Table("id", "what it asks for")
    for row in rows.items():
        table.add_row(*row)
    results().print(table)
