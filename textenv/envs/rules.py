"""What holds for every episode of a task: its prompts as tokens, its ends, its scores.

`Rules` keeps no state of an episode, so the state machine and the exact solver share it.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from textenv.envs.prompts import load_prompts
from textenv.envs.task import Task, stop_function
from textenv.errors import ArgumentError
from textenv.models.contract import contract_of
from textenv.models.pieces import decode, decode_after, token_pieces
from textenv.rewards.loading import load_reward
from textenv.rewards.protocol import call_reward, require_columns, takes_pieces


class Outcome(NamedTuple):
    """How the rows of one step ended.

    Shapes: n rows were looked at, m of them ended.
    """

    ended: NDArray[np.bool_]
    """(n,) whether the episode is over."""
    scores: NDArray[np.float64]
    """(m,) what the reward says."""
    penalties: NDArray[np.float64]
    """(m,) what a missing end of text costs."""
    worth: NDArray[np.float64]
    """(n,) what the rows have been paid by now: score less penalty where they ended, elsewhere what the potential has grown."""
    infos: list[dict[str, Any]]
    """m rows: prompt, prompt_index, completion, score, score_NAME for each part of it, finish_reason, length, special_tokens (how
    many tokens of the response, an end in the last place aside, are forbidden ones that read as nothing), and for a reward by
    pieces token_scores (T,)."""


class Rules:
    """A task with its tokenizer, prompts and reward loaded."""

    def __init__(self, task: Task) -> None:
        self.task = task
        self.contract = contract_of(task.tokenizer, task.end_tokens)
        self.tokenizer = self.contract.tokenizer
        self.vocabulary = self.contract.size
        self.reward = load_reward(task.reward)
        self.stop = stop_function(task.stop)
        self.prompts = load_prompts(task.prompts, self.tokenizer, int(task.max_prompt_tokens), on_long=task.on_long_prompt)
        self.prompt_columns = self.prompts.tokens.shape[1]
        self.response_columns = int(task.max_new_tokens)
        self.width = self.prompt_columns + self.response_columns
        for index, ids in enumerate(self.prompts.tokens.tolist()):
            self.contract.check_readable(ids, self.prompts.places[index])
        require_columns(self.reward, self.prompts.columns)
        if callable(task.judge):
            require_columns(task.judge, self.prompts.columns)
        self.by_pieces = takes_pieces(self.reward)
        self.potential = None if task.potential is None else load_reward(task.potential)
        self.start_potentials = np.zeros(len(self.prompts.texts))  # Φ of each prompt with nothing after it
        if self.potential is not None:
            if self.by_pieces or takes_pieces(self.potential):
                raise ArgumentError("A reward by pieces says itself what each token earns; leave potential out.")
            require_columns(self.potential, self.prompts.columns)
            self.start_potentials = self._potentials([""] * len(self.prompts.texts), np.arange(len(self.prompts.texts)))
        self.restricted = task.min_new_tokens > 0 or task.action_mask is not None
        self._decoded: dict[bytes, str] = {}  # prompts by their tokens
        self.allowed = self.contract.allowed
        # (V,), looked up at every step; a search for the ids would take a third of the step.
        self._ends = self.contract.is_end(np.arange(self.vocabulary))

    def start_info(self, index: int) -> dict[str, Any]:
        """Describe a fresh episode of one prompt."""
        return {
            "prompt": self.prompts.texts[index],
            "prompt_index": index,
            "prompt_tokens_dropped": int(self.prompts.dropped[index]),
        }

    def action_masks(self, observations: NDArray[np.int32], lengths: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Tell which tokens each row may write next: (n, V)."""
        masks = np.repeat(self.allowed[None], len(observations), axis=0)
        for end in self.contract.ends:
            masks[lengths < self.task.min_new_tokens, end] = False
        if self.task.action_mask is not None:
            for row, observation in enumerate(observations):
                masks[row] &= self._task_mask(observation)
            if not masks.any(1).all():
                raise ArgumentError(
                    "action_mask allows nothing but tokens that are forbidden, such as the end of text before min_new_tokens."
                )
        return masks

    def _task_mask(self, observation: NDArray[np.int32]) -> NDArray[np.bool_]:
        assert self.task.action_mask is not None
        mask = np.asarray(self.task.action_mask(observation.copy()))
        if mask.shape != (self.vocabulary,) or mask.dtype != np.bool_ or not mask.any():
            got = "none of them True" if mask.dtype == np.bool_ and not mask.any() else f"an array of shape {mask.shape} of {mask.dtype}"
            raise ArgumentError(f"action_mask must return {self.vocabulary} booleans, one or more of them True, got {got}.")
        return mask

    def completions(self, observations: NDArray[np.int32], lengths: NDArray[np.int64]) -> list[str]:
        """Decode the responses of n rows, each as it reads after its prompt."""
        found = []
        for row, length in zip(observations, lengths.tolist(), strict=True):
            key = row[: self.prompt_columns].tobytes()
            prompt = row[: self.prompt_columns][row[: self.prompt_columns] >= 0].tolist()
            if key not in self._decoded:
                self._decoded[key] = decode(self.tokenizer, prompt)
            response = row[self.prompt_columns : self.prompt_columns + length].tolist()
            if length and response[-1] in self.contract.ends:
                response = response[:-1]  # it may be a token that has a text
            found.append(decode_after(self.tokenizer, prompt, response, self._decoded[key]))
        return found

    def outcome(self, observations: NDArray[np.int32], lengths: NDArray[np.int64], prompt_index: NDArray[np.int64]) -> Outcome:
        """Judge rows whose last token has just been written.

        Args:
            observations: (n, P+T).
            lengths: (n,) response tokens, at least 1.
            prompt_index: (n,).

        Raises:
            RewardError: the reward failed.
        """
        last = observations[np.arange(len(lengths)), self.prompt_columns + lengths - 1]
        by_eos = self._ends[last] & (lengths > self.task.min_new_tokens)
        if self.task.action_mask is not None:
            for row in np.flatnonzero(by_eos):
                before = observations[row].copy()
                before[self.prompt_columns + lengths[row] - 1] = -1
                by_eos[row] = self._task_mask(before)[last[row]]
        by_length = lengths >= self.response_columns
        watched = self.stop is not None or self.potential is not None  # every text is read at every step
        texts = self.completions(observations, lengths) if watched else []
        by_stop = np.zeros_like(by_eos) if self.stop is None else np.array([bool(self.stop(text)) for text in texts], dtype=np.bool_)
        ended = by_eos | by_stop | by_length
        worth = np.zeros(len(ended))
        if self.potential is not None and not ended.all():
            running = prompt_index[~ended]
            grown = self._potentials([texts[row] for row in np.flatnonzero(~ended)], running)
            worth[~ended] = grown - self.start_potentials[running]
        if not ended.any():
            return Outcome(ended, np.zeros(0), np.zeros(0), worth, [])
        reasons = np.where(by_eos, "eos", np.where(by_stop, "stop", "length"))[ended]
        completions = [texts[row] for row in np.flatnonzero(ended)] if watched else self.completions(observations[ended], lengths[ended])
        scores, infos = self._score(observations[ended], completions, prompt_index[ended], reasons.tolist())
        penalties = np.where(reasons == "length", self.task.missing_eos_penalty, 0.0)
        worth[ended] = scores - penalties
        return Outcome(ended, scores, penalties, worth, infos)

    def _potentials(self, completions: list[str], prompt_index: NDArray[np.int64]) -> NDArray[np.float64]:
        """Ask the potential about texts so far: (n,)."""
        assert self.potential is not None
        return call_reward(self.potential, *self.asked(completions, prompt_index)).scores

    def asked(self, completions: list[str], prompt_index: NDArray[np.int64]) -> tuple[list[str], list[str], dict[str, list[Any]]]:
        """Put together what a reward is called with: n prompts, n completions, and n values of every other column."""
        columns = {name: [values[i] for i in prompt_index] for name, values in self.prompts.columns.items()}
        return [self.prompts.texts[i] for i in prompt_index], completions, columns

    def _score(
        self, observations: NDArray[np.int32], completions: list[str], prompt_index: NDArray[np.int64], reasons: Sequence[str]
    ) -> tuple[NDArray[np.float64], list[dict[str, Any]]]:
        prompts, _, columns = self.asked(completions, prompt_index)
        lengths = (observations[:, self.prompt_columns :] >= 0).sum(1)
        pieces = [self.pieces(row) for row in observations] if self.by_pieces else None
        scores, by_piece, parts = call_reward(self.reward, prompts, completions, columns, pieces)
        infos: list[dict[str, Any]] = [
            {
                "prompt": prompts[row],
                "prompt_index": int(prompt_index[row]),
                "completion": completions[row],
                "score": float(scores[row]),
                **{f"score_{name}": float(values[row]) for name, values in parts.items()},
                "finish_reason": reasons[row],
                "length": int(lengths[row]),
                "special_tokens": self._special_tokens(observations[row]),
            }
            for row in range(len(completions))
        ]
        for info, values in zip(infos, by_piece or [], strict=False):
            info["token_scores"] = np.pad(values, (0, self.response_columns - len(values)))
        return scores, infos

    def pieces(self, observation: NDArray[np.int32]) -> list[str]:
        """Give the response of one observation (P+T,) as the text that each token added."""
        prompt, response = (part[part >= 0].tolist() for part in np.split(observation, [self.prompt_columns]))
        if response and response[-1] in self.contract.ends:
            return [*token_pieces(self.tokenizer, prompt, response[:-1]), ""]
        return token_pieces(self.tokenizer, prompt, response)

    def _special_tokens(self, observation: NDArray[np.int32]) -> int:
        """Count the tokens of a response that read as nothing, but for an end in the last place."""
        response = observation[self.prompt_columns :]
        response = response[response >= 0]
        if len(response) and response[-1] in self.contract.ends:
            response = response[:-1]
        return int((~self.allowed[response]).sum())
