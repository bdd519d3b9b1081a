"""`textenv check`."""

import dataclasses

from tyro.conf import Positional

from textenv.envs.registry import find_id


@dataclasses.dataclass(frozen=True, kw_only=True)
class CheckConfig:
    """What to check."""

    env: Positional[str]
    """Id of the environment."""


def run(config: CheckConfig) -> None:
    """Check, and say that it went well."""
    name = find_id(config.env)
    from textenv.envs.checker import check

    check(name)
    print(f"{config.env} keeps the contract.")
