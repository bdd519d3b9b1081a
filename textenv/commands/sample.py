"""`textenv sample`."""

import dataclasses
from typing import Any

import numpy as np
from tyro.conf import UseAppendAction

from textenv.commands.output import hide_loading_bars, print_json, results
from textenv.commands.players import PlayerConfig, load_player
from textenv.errors import ArgumentError
from textenv.reports.console import samples_table
from textenv.reports.evaluation import ask_judge
from textenv.rollouts.collect import collect


@dataclasses.dataclass(frozen=True, kw_only=True)
class SampleConfig(PlayerConfig):
    """What to write."""

    n: int = 8
    """Completions: of as many prompts of the environment, or of each --prompt."""
    prompt: UseAppendAction[tuple[str, ...]] = ()
    """A prompt of one's own, of any length unless --max-prompt-tokens or --on-long-prompt is given; may be given several times."""
    greedy: bool = False
    """Take the most probable tokens."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.n < 1:
            raise ArgumentError(f"n must be at least 1, got {self.n}.")
        if self.prompt and "prompts" in self.task:
            raise ArgumentError("Either --prompt or --prompts says what to continue; leave one out.")


def sample(config: SampleConfig) -> list[dict[str, Any]]:
    """Let a policy write as `textenv sample` does.

    Returns:
        A record per completion: prompt, completion, score, judge (None without one), finish_reason ("eos", "stop" or "length").

    Raises:
        ArgumentError: there is no such environment, or the models do not fit it.
        LoadError: a model or the reward cannot be loaded.
    """
    count = config.n * max(len(config.prompt), 1)
    own: dict[str, Any] = {"prompts": list(config.prompt)} if config.prompt else {}
    if config.prompt and not {"max_prompt_tokens", "on_long_prompt"} & config.task.keys():
        own["on_long_prompt"] = "widen"
    policy, _, envs = load_player(config, min(count, 256), **own)
    if config.prompt:
        prompts = np.repeat(np.arange(len(config.prompt)), config.n)
    else:
        prompts = np.resize(np.random.default_rng(config.seed).permutation(len(envs.unwrapped.prompts)), count)
    episodes = collect(policy, envs, count, seed=config.seed, prompt_index=prompts, greedy=config.greedy)
    judge = ask_judge(envs, episodes, str(policy.device))
    return [
        {"prompt": prompt, "completion": completion, "score": score, "judge": says, "finish_reason": reason}
        for prompt, completion, score, says, reason in zip(
            episodes.prompts,
            episodes.completions,
            episodes.scores.tolist(),
            [None] * count if judge is None else judge.tolist(),
            episodes.finish_reasons,
            strict=True,
        )
    ]


def run(config: SampleConfig, *, json: bool) -> None:
    """Write, and print a row per completion."""
    hide_loading_bars()
    samples = sample(config)
    if json:
        print_json(samples)
    else:
        results().print(samples_table(samples))
