"""`textenv duel`."""

import dataclasses
import difflib
import itertools
import os
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from tyro.conf import Positional

from textenv.commands.output import hide_loading_bars, messages, print_json, results
from textenv.commands.players import Player, PlayerConfig, device_of, is_of, load_player, options_of, run_config
from textenv.envs.options import option_words, settle_task
from textenv.envs.registry import find_id
from textenv.errors import ArgumentError
from textenv.models.policy import Precision
from textenv.preferences.comparison import Comparison
from textenv.preferences.store import ComparisonStore, Item
from textenv.preferences.win_rates import bradley_terry, outcomes, win_rate
from textenv.reports.console import strengths_table, win_rates_table
from textenv.reports.evaluation import ask_judge
from textenv.rewards.loading import load_reward
from textenv.rewards.protocol import call_reward, require_columns
from textenv.rollouts.collect import collect
from textenv.terminal import say
from textenv.types import Episodes


@dataclasses.dataclass(frozen=True, kw_only=True)
class DuelConfig:
    """Who plays against whom, where, and who says who won."""

    names: Positional[tuple[str, ...]]
    """Two or more folders of runs or models, and last the id of the environment; all are compared with the first."""
    by: str = "reward"
    """Who says which text is better: the environment's own "reward" or "judge", or another reward: an embedded name, a local folder, a
    hub id, or module:function."""
    people: Path | None = None
    """Comparison store: people say it. A new one is filled for `textenv label`; of one that is there the labels are counted."""
    task: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    """Options of the environment, by the names of the arguments of `gymnasium.make`; by default those of the runs, if they have the
    same."""
    episodes: int = 512
    """Episodes of each player, spread evenly over the prompts, which are the same for all."""
    num_envs: int = 256
    """Episodes played side by side."""
    temperature: float | None = None
    """Of all players' distributions; by default each run's own, or else 1."""
    seed: int = 0
    """Of the prompts and the draws."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where the models are."""
    precision: Precision = "fp32"
    """Of forward passes: fp32, or bf16 by autocast."""

    def __post_init__(self) -> None:
        if len(self.names) < 3:
            raise ArgumentError("duel needs two players or more and then the id of the environment: textenv duel A B TextSentiment-v0.")
        twice = [name for name in self.players if self.players.count(name) > 1]
        if twice:
            raise ArgumentError(f"{twice[0]} is named twice; a player does not play against itself.")
        if self.people is not None and self.by != "reward":
            raise ArgumentError("Either --by a scorer or --people say who won; leave one out.")
        for name in ("episodes", "num_envs"):
            if getattr(self, name) < 1:
                raise ArgumentError(f"{name} must be at least 1, got {getattr(self, name)}.")
        settle_task(self)
        close = difflib.get_close_matches(self.by, ("reward", "judge"), n=1)
        if close and self.by not in close and not os.path.exists(self.by):
            raise ArgumentError(f'There is no scorer "{self.by}". Did you mean "{close[0]}"?')
        for player in self.players:
            self.player(player)  # refuses the other fields as evaluation does

    @property
    def players(self) -> tuple[str, ...]:
        """Whoever plays, by names without a slash at the end."""
        return tuple(str(Path(name)) for name in self.names[:-1])

    @property
    def env(self) -> str:
        """Id of the environment."""
        return self.names[-1]

    def player(self, policy: str) -> PlayerConfig:
        """Configure one of them."""
        shared = {name: getattr(self, name) for name in ("env", "task", "temperature", "seed", "device", "precision")}
        return PlayerConfig(policy=policy, **shared)


class Meetings(NamedTuple):
    """Pairs of texts that were compared.

    Shapes: n pairs.
    """

    first: NDArray[np.int64]
    """(n,) indices of players."""
    second: NDArray[np.int64]
    """(n,) indices of players, greater than the first."""
    outcomes: NDArray[np.float64]
    """(n,) 1 where the first was better, 1/2 for a tie, 0 where the second was."""
    prompts: NDArray[np.int64]
    """(n,) numbers of prompts."""


def duel(config: DuelConfig) -> dict[str, Any]:
    """Let players write to the same prompts and say who won, as `textenv duel` does.

    Returns:
        env, by (a scorer, or the store), players, and pairs: records of first, second, wins, ties, losses, win_rate, low, high; with more
        than two players strengths: records of player, log_odds, low, high. With people also items, judged and cannot_tell, their
        numbers; and no pairs while nobody has ranked any but equal texts.

    Raises:
        ArgumentError: there is no such environment or judge, a player does not fit it, or the store is about others.
        LoadError: a model or the reward cannot be loaded, or the store is none.
        SaveError: the store cannot be written.
    """
    find_id(config.env)
    config = _with_options(config)
    told: dict[str, Any] = {"env": config.env, "by": str(config.people or config.by), "players": list(config.players)}
    if config.people is None:
        return told | _tally(config.players, _score(config))
    if not os.path.exists(config.people):
        _fill(config, config.people)
    with ComparisonStore(config.people) as store:
        labels = [label for label in store.comparisons() if _concerns(label, config.players) and len(set(label.responses)) > 1]
        items = [item for item in store.items() if _concerns(item, config.players)]
    if not items:
        raise ArgumentError(
            f"{config.people} holds no texts of {' and '.join(config.players)} to the same prompt; name a new store to have them written."
        )
    equal = [
        Comparison(prompt=item.prompt, responses=item.responses, sources=item.sources, ranks=(1,) * len(item.responses))
        for item in items
        if len(set(item.responses)) == 1
    ]
    judged = len({(label.prompt, label.responses) for label in labels}) + len(equal)
    told |= {"items": len(items), "judged": judged, "cannot_tell": sum(label.ranks is None for label in labels)}
    begun = judged == len(items) or any(label.ranks is not None for label in labels)
    return told | (_tally(config.players, _meetings([*labels, *equal], config.players)) if begun else {"pairs": []})


def _with_options(config: DuelConfig) -> DuelConfig:
    """Take over the options with which the runs were trained in this environment, if they have the same."""
    runs = [run for run in (run_config(player)[0] for player in config.players) if run is not None and is_of(run, config.env)]
    options = [options_of(run, config.env) for run in runs]
    if not options or not any(options):
        return config
    if any(other != options[0] for other in options):
        say(messages(), f"The runs were trained with different options of {config.env}, so none are taken over; give those that are meant.")
        return config
    stored = {name: value for name, value in options[0].items() if name not in config.task}
    if stored:
        say(messages(), f"As in the runs: {shlex.join(option_words(stored))}.")
    return dataclasses.replace(config, task={**stored, **config.task})


def _concerns(item: Item | Comparison, players: tuple[str, ...]) -> bool:
    """Whether at least two of the players wrote one of the responses."""
    return len(set(item.sources or ()) & set(players)) > 1


def _play(config: DuelConfig, index: int, scorer: Any = None) -> tuple[Player, Episodes]:
    """Let one player write, all with the same prompts and each with draws of its own."""
    name = config.players[index]
    try:
        player = load_player(config.player(name), min(config.num_envs, config.episodes), as_in_run=False)
    except ArgumentError as error:
        raise ArgumentError(f"{name} cannot play in {config.env}: {error}") from error
    rules = player.envs.unwrapped.rules
    if config.by == "judge" and rules.task.judge is None:
        raise ArgumentError(f"{config.env} has no judge; name a reward with --by.")
    if scorer is not None:
        require_columns(scorer, rules.prompts.columns)
    prompt_seed, *draw_seeds = (int(seed) for seed in np.random.SeedSequence(config.seed).generate_state(1 + len(config.players)))
    prompts = np.resize(np.random.default_rng(prompt_seed).permutation(len(rules.prompts.texts)), config.episodes)
    return player, collect(player.policy, player.envs, config.episodes, seed=draw_seeds[index], prompt_index=prompts)


def _score(config: DuelConfig) -> Meetings:
    """Let all write and a scorer say who won."""
    scorer = None if config.by in ("reward", "judge") else load_reward(config.by, device=device_of(config.device))
    scores: list[NDArray[np.float64]] = []
    prompts = np.zeros(0, dtype=np.int64)
    for index in range(len(config.players)):
        player, episodes = _play(config, index, scorer)
        prompts = episodes.prompt_index.numpy()
        judged = ask_judge(player.envs, episodes, str(player.policy.device)) if config.by == "judge" else episodes.scores.numpy()
        if scorer is not None:
            judged = call_reward(scorer, *player.envs.unwrapped.rules.asked(episodes.completions, prompts)).scores
        assert judged is not None
        scores.append(judged)
    pairs = list(itertools.combinations(range(len(scores)), 2))
    first, second = (np.repeat([pair[side] for pair in pairs], config.episodes) for side in (0, 1))
    won = np.concatenate([outcomes(scores[a], scores[b]) for a, b in pairs])
    return Meetings(first, second, won, np.tile(prompts, len(pairs)))


def _fill(config: DuelConfig, path: Path) -> None:
    """Let all write, and put what they wrote to each prompt beside each other into a new store."""
    if not os.path.isdir(path.parent):
        raise ArgumentError(f"There is no folder {path.parent} for the store {path.name}; make it first.")
    written = [_play(config, index)[1] for index in range(len(config.players))]
    responses = zip(*(episodes.completions for episodes in written), strict=True)
    items = [Item(prompt=prompt, responses=of, sources=config.players) for prompt, of in zip(written[0].prompts, responses, strict=True)]
    with ComparisonStore(path, create=True) as store:
        store.add(items)


def _meetings(labels: list[Comparison], players: tuple[str, ...]) -> Meetings:
    """Take the pairs of players out of judgements."""
    numbers: dict[str, int] = {}
    found: list[tuple[float, ...]] = []
    for label in labels:
        rank_of = dict(zip(label.sources or (), label.ranks or (), strict=False))  # of nobody if the annotator could not tell
        for a, b in itertools.combinations([player for player in players if player in rank_of], 2):
            better = 0.5 if rank_of[a] == rank_of[b] else float(rank_of[a] < rank_of[b])
            found.append((players.index(a), players.index(b), better, numbers.setdefault(label.prompt, len(numbers))))
    first, second, won, prompts = np.array(found).reshape(-1, 4).T
    return Meetings(first.astype(np.int64), second.astype(np.int64), won, prompts.astype(np.int64))


def _tally(players: tuple[str, ...], meetings: Meetings) -> dict[str, Any]:
    """Count and estimate."""
    told: dict[str, Any] = {"pairs": []}
    for a, b in itertools.combinations(range(len(players)), 2):
        rows = (meetings.first == a) & (meetings.second == b)
        if rows.any():
            found = win_rate(meetings.outcomes[rows], meetings.prompts[rows])
            record = {"wins": found.wins, "ties": found.ties, "losses": found.losses, "win_rate": found.rate}
            told["pairs"].append({"first": players[a], "second": players[b], **record, "low": found.low, "high": found.high})
    if len(players) > 2 and told["pairs"]:
        table = zip(players, *bradley_terry(*meetings, players), strict=True)
        told["strengths"] = [
            {"player": name, "log_odds": float(value), "low": float(low), "high": float(high)} for name, value, low, high in table
        ]
    return told


def run(config: DuelConfig, *, json: bool) -> None:
    """Play or count, and print a row per pair of players."""
    hide_loading_bars()
    told = duel(config)
    if json:
        print_json(told)
        return
    if config.people is not None:
        sentence = f'{config.people}: {told["judged"]} of {told["items"]} comparisons are judged, {told["cannot_tell"]} by "cannot tell".'
        advice = "" if told["judged"] == told["items"] else f" Judge with: textenv label {config.people}; then repeat this command."
        say(messages(), sentence + advice)
    if told["pairs"]:
        results().print(win_rates_table(told["pairs"], f"{config.env}, by {told['by']}"))
    if "strengths" in told:
        results().print(strengths_table(told["strengths"]))
