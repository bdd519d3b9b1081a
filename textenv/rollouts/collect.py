"""Collect episodes: exactly as many as asked for, all of them to their end."""

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from gymnasium.vector import AutoresetMode
from numpy.typing import ArrayLike, NDArray

from textenv.envs.vector import TextVectorEnv, text_envs
from textenv.envs.wrappers.base import action_masks, restricted, rules_of
from textenv.errors import ArgumentError
from textenv.models.acting import Act, Actor
from textenv.models.contract import require_same
from textenv.models.policy import LanguagePolicy
from textenv.types import Episodes

if TYPE_CHECKING:
    from gymnasium.vector import VectorEnv


class _Buffer:
    """The tensors of n episodes while they grow."""

    def __init__(self, n: int, prompt_columns: int, response_columns: int, vocabulary: int, keep_allowed: bool) -> None:
        self.tokens = np.full((n, prompt_columns + response_columns), -1, dtype=np.int64)
        self.drawn: list[tuple[torch.Tensor, ...]] = []  # log-probabilities, values and who chose at each step, (N,) each
        self.places: list[tuple[NDArray[np.int64], NDArray[np.int64]]] = []  # of each step's rows: the row, episode * T + t
        self.rewards = np.zeros((n, response_columns))
        self.scores = np.zeros(n)
        self.parts: dict[str, NDArray[np.float64]] = {}
        self.length = np.zeros(n, dtype=np.int64)
        self.texts: list[tuple[str, str, str]] = [("", "", "")] * n
        packed = (n, response_columns, -(-vocabulary // 8))
        self.allowed = np.zeros(packed, dtype=np.uint8) if keep_allowed else None
        self.prompt_columns = prompt_columns

    def finish(self, episode: int, observation: Any, info: dict[str, Any], row: int) -> None:
        self.tokens[episode] = observation
        self.scores[episode] = info["score"][row]
        for name in (name for name in info if name.startswith("score_")):
            self.parts.setdefault(name.removeprefix("score_"), np.zeros(len(self.scores)))[episode] = info[name][row]
        self.texts[episode] = (info["prompt"][row], info["completion"][row], info["finish_reason"][row])
        if "token_scores" in info:  # step paid their sum with the last token
            self.rewards[episode] += info["token_scores"][row]
            self.rewards[episode, self.length[episode] - 1] -= info["score"][row]

    def add(self, act: Act, rows: NDArray[np.int64], episodes: NDArray[np.int64], rewards: NDArray[np.float64]) -> None:
        """Note a step of these rows; what is on a GPU stays there until the end."""
        at = self.length[episodes]
        self.drawn.append((act.log_probs, act.values, *(() if act.taken_over is None else (act.taken_over.float(),))))
        self.places.append((rows, episodes * self.rewards.shape[1] + at))
        self.rewards[episodes, at] = rewards
        self.length[episodes] += 1

    def _spread(self, which: int) -> torch.Tensor:
        """Put the log-probabilities (0), the values (1) or who chose (2) of all steps where they belong: (n, T)."""
        steps = torch.stack([step[which] for step in self.drawn]).cpu()  # (steps, N)
        step = np.repeat(np.arange(len(self.places)), [len(rows) for rows, _ in self.places])
        rows, places = (np.concatenate(part) for part in zip(*self.places, strict=True))
        flat = torch.zeros(self.rewards.size)
        flat[torch.from_numpy(places)] = steps[torch.from_numpy(step), torch.from_numpy(rows)]
        return flat.view(self.rewards.shape)

    def episodes(self, prompt_index: Any) -> Episodes:
        return Episodes(
            tokens=torch.from_numpy(self.tokens),
            prompt_columns=self.prompt_columns,
            log_probs=self._spread(0),
            values=self._spread(1),
            rewards=torch.from_numpy(self.rewards),
            scores=torch.from_numpy(self.scores),
            prompt_index=torch.as_tensor(prompt_index),
            prompts=[text[0] for text in self.texts],
            completions=[text[1] for text in self.texts],
            finish_reasons=[text[2] for text in self.texts],
            score_parts={name: torch.from_numpy(values) for name, values in self.parts.items()},
            allowed=None if self.allowed is None else torch.from_numpy(self.allowed),
            taken_over=self._spread(2).bool() if len(self.drawn[0]) > 2 else None,
        )


def _prompt_queue(envs: TextVectorEnv, n: int, seed: int | None, prompt_index: ArrayLike | None) -> NDArray[np.int64]:
    """Check what `collect` is asked for and choose the prompts."""
    if seed is not None and seed < 0:
        raise ArgumentError(f"seed must be at least 0, got {seed}.")
    if n < 1:
        raise ArgumentError(f"collect needs n of at least 1, got {n}.")
    if envs.autoreset_mode is AutoresetMode.DISABLED:
        raise ArgumentError("collect needs envs that reset by themselves; make them with autoreset_mode SAME_STEP or NEXT_STEP.")
    if prompt_index is None:
        prompt_index = np.random.default_rng(seed).integers(len(envs.prompts), size=n)
    queue = np.asarray(prompt_index)
    if queue.shape != (n,):
        raise ArgumentError(f"prompt_index must hold {n} indices, got the shape {queue.shape}.")
    return queue


def collect(
    policy: Actor,
    envs: "VectorEnv[Any, Any, Any]",
    n: int,
    *,
    seed: int | None = None,
    prompt_index: ArrayLike | None = None,
    generator: torch.Generator | None = None,
    greedy: bool = False,
) -> Episodes:
    """Play exactly n episodes and wait for all of them.

    Stopping at the first n that finish would favour short ones. A row that ends takes the next prompt at once; when no
    prompt is left it is parked and leaves the forward pass.

    Args:
        policy: acts; it is put into evaluation mode.
        envs: a `TextVectorEnv`, wrapped or not, that resets by itself and shows tokens.
        n: how many.
        seed: of the prompts and the draws; without one the prompts are new each time, and torch's global generator draws.
        prompt_index: (n,) prompts to play, by default drawn uniformly.
        generator: of the draws, in place of `seed`'s.
        greedy: take the most probable tokens.

    Returns:
        The episodes in the order of their prompts, on the CPU.

    Raises:
        ArgumentError: n is not positive, the prompts are not n, the envs are not textenv's or have autoreset disabled, their
            texts are longer than the policy's context, or their tokens are not the policy's.
        RewardError: the reward failed.
    """
    inner = text_envs(envs)
    queue = _prompt_queue(inner, n, seed, prompt_index)
    if generator is None and seed is not None:
        generator = torch.Generator(device=policy.device).manual_seed(seed)
    rules, limited = rules_of(envs), restricted(envs)
    policy.check_fits(rules.width)
    if isinstance(policy, LanguagePolicy):
        require_same(policy.contract, rules.contract)
    buffer = _Buffer(n, rules.prompt_columns, rules.response_columns, rules.vocabulary, limited)
    policy.eval()
    observations, infos = envs.reset(seed=seed, options={"prompt_queue": queue})
    playing = np.full(envs.num_envs, -1)  # the episode of each row, -1 for none
    started, finished = 0, 0
    while True:
        for row in np.flatnonzero(infos.get("_prompt_tokens_dropped", [])):
            playing[row] = started
            started += 1
        if finished == n:
            return buffer.episodes(queue)
        rows = np.flatnonzero(playing >= 0)
        episodes = playing[rows]
        masks = action_masks(envs) if limited else None
        if masks is not None and buffer.allowed is not None:
            buffer.allowed[episodes, buffer.length[episodes]] = np.packbits(masks[rows], axis=1)
        act = policy.act(observations, allowed=masks, generator=generator, greedy=greedy)
        observations, rewards, terminated, truncated, infos = envs.step(act.actions)
        buffer.add(act, rows, episodes, rewards[rows])
        final = infos.get("final_info", infos)
        for row in rows[(terminated | truncated)[rows]]:
            observation = infos["final_obs"][row] if "final_obs" in infos else observations[row]
            buffer.finish(int(playing[row]), observation, final, row)
            playing[row] = -1
            finished += 1
