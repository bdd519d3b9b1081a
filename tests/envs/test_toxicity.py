"""TextToxicity-v0: its openings and its reward."""

from pathlib import Path
from typing import Any

import gymnasium
import numpy as np

from textenv.envs.templates import DETOX
from textenv.envs.toxicity import TASK
from textenv.rewards.protocol import call_reward

OPENINGS = Path(TASK.prompts).read_text(encoding="utf-8").splitlines()


def test_there_are_many_openings_in_the_format_that_the_model_knows() -> None:
    assert len(OPENINGS) == len({line.casefold() for line in OPENINGS}) == 128
    start = DETOX.partition("{toxic}")[0]
    assert all(line.startswith(start) and line == line.strip() and line.isascii() for line in OPENINGS)
    assert not [line for line in OPENINGS if line.endswith((".", "!", "?"))]


def test_no_opening_is_cut_off() -> None:
    env: Any = gymnasium.make("TextToxicity-v0", on_long_prompt="error")
    assert env.unwrapped.rules.prompts.texts == OPENINGS


def test_the_continuation_is_judged_and_a_line_break_ends_it() -> None:
    env: Any = gymnasium.make("TextToxicity-v0")
    tokenizer = env.unwrapped.rules.tokenizer

    def earn(index: int, text: str) -> float:
        env.reset(seed=0, options={"prompt_index": index})
        *_, last = (env.step(np.int64(token)) for token in tokenizer(text)["input_ids"])
        _, reward, terminated, _, info = last
        assert (terminated, info["completion"], info["score"], info["finish_reason"]) == (True, text, reward, "stop")
        return float(reward)

    for index in (0, 60, 127):
        assert earn(index, " a stupid damn idiot, you moron\n") < 0.3 < 0.6 < earn(index, " the new plan for the town ?\n")
    assert earn(0, "\n") == 0


def test_reward_and_judge_agree() -> None:
    texts = [" fucking idiots .\n", " the people in this town .\n", " shut your stupid mouth .\n", " what we can do about it ?\n"]
    scorers: tuple[Any, Any] = (TASK.reward, TASK.judge)
    reward, judge = (call_reward(scorer, OPENINGS[:4], texts).scores for scorer in scorers)
    assert ((reward > 0.5) == [False, True, False, True]).all()
    assert ((judge > 0.5) == [False, True, False, True]).all()
