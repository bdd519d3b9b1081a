"""`textenv compare`."""

import dataclasses
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
from rich.console import Console

from textenv.commands.output import hide_loading_bars, messages, print_json, results
from textenv.commands.players import Player, PlayerConfig, load_player
from textenv.errors import ArgumentError
from textenv.files import saving
from textenv.preferences.store import ComparisonStore, Item
from textenv.rollouts.collect import collect
from textenv.terminal import say

ROUNDS: Final = 4
"""Of drawing: a prompt that has too few different responses after a round is drawn for again."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class CompareConfig(PlayerConfig):
    """What to write, and where to."""

    out: Path
    """Comparison store; what it holds already stays."""
    responses: int = 4
    """Different responses to each prompt: 4 to 9 say most about a prompt for the time it takes to read it."""
    prompts: int = 64
    """Prompts of the environment, chosen at random; at most all it has."""
    num_envs: int = 256
    """Episodes played side by side."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, least in (("responses", 2), ("prompts", 1), ("num_envs", 1)):
            if getattr(self, name) < least:
                raise ArgumentError(f"{name} must be at least {least}, got {getattr(self, name)}.")


class Drawn(NamedTuple):
    """What went into the store."""

    items: int
    """New ones."""
    known: int
    """Items that the store had already."""
    short: int
    """Items with fewer responses than asked for, as the policy wrote no more different ones."""
    skipped: int
    """Prompts for which it wrote one response only."""


def compare(config: CompareConfig) -> Drawn:
    """Let a policy write responses to compare, as `textenv compare` does.

    Raises:
        ArgumentError: there is no such environment, the models do not fit it, or a column of the prompts is no plain data.
        LoadError: a model or the reward cannot be loaded, or the file is no store.
        SaveError: the store cannot be written.
    """
    player = load_player(config, min(config.num_envs, config.prompts * config.responses))
    with saving(config.out):
        config.out.parent.mkdir(parents=True, exist_ok=True)
    with ComparisonStore(config.out, create=True) as store:  # before anything is drawn
        items = _draw(player, config)
        drawn = [item for item in items if item is not None]
        new = store.add(drawn)
    short = sum(len(item.responses) < config.responses for item in drawn)
    return Drawn(new, len(drawn) - new, short, len(items) - len(drawn))


def _draw(player: Player, config: CompareConfig) -> list[Item | None]:
    """Draw the responses to each prompt; None stands for a prompt with fewer than two."""
    prompts = player.envs.unwrapped.rules.prompts
    order_seed, *seeds = (int(seed) for seed in np.random.SeedSequence(config.seed).generate_state(1 + ROUNDS))
    chosen = np.random.default_rng(order_seed).permutation(len(prompts.texts))[: config.prompts].tolist()
    responses: dict[int, dict[str, None]] = {index: {} for index in chosen}  # of each prompt, in the order in which they were drawn
    for seed in seeds:
        wanted = [index for index in chosen for _ in range(config.responses - len(responses[index]))]
        if not wanted:
            break
        episodes = collect(player.policy, player.envs, len(wanted), seed=seed, prompt_index=wanted)
        for index, completion in zip(wanted, episodes.completions, strict=True):
            responses[index][completion] = None
    return [
        None
        if len(different) < 2
        else Item(
            prompt=prompts.texts[index],
            responses=tuple(different),
            sources=(config.policy,) * len(different),
            columns={name: _plain(values[index]) for name, values in prompts.columns.items()},
        )
        for index, different in responses.items()
    ]


def _plain(value: Any) -> Any:
    """Turn numpy's numbers and arrays into Python's."""
    return value.tolist() if hasattr(value, "tolist") else value


def run(config: CompareConfig, *, json: bool) -> None:
    """Draw, and print what went into the store."""
    hide_loading_bars()
    drawn = compare(config)
    if json:
        print_json({"store": str(config.out), **drawn._asdict()})
        return
    _tell(drawn, config, messages())
    say(results(), f"{drawn.items} new items in {config.out}; textenv label {config.out} asks which responses are better.")


def _tell(drawn: Drawn, config: CompareConfig, console: Console) -> None:
    """Say what is not as it was asked for."""
    for count, what in (
        (drawn.known, "were there already"),
        (drawn.short, f"have fewer than {config.responses} responses: the policy wrote no more different ones"),
        (drawn.skipped, "prompts were skipped: the policy wrote the same response each time"),
    ):
        if count:
            say(console, f"{count} {what}.")
