"""TextLength-v0: write as many letters as the prompt says, then end.

Description:
    `6>` asks for six letters and then the end of the text; which letters is of no account. Texts are as long as they happen
    to be, one token or nine, and most of the score is what every text gets: an agent that takes a constant in the score
    for something learnt is slow here. Small enough to be solved exactly (`textenv.exact`).

Prompts:
    Every digit that a length can be, each with `>` after it: 8.

Observation Space:
    `Box(-1, 11, (11,), int32)`: 2 prompt and 9 response columns.

Action Space:
    `Discrete(12)`: a, b, the digits 1 to 8, > and the end of text. The action mask leaves a, b and the end of text.

Rewards:
    At the end of the text: 2 less a quarter for each letter too few or too many; 0 to 2.
    Before training: mean 1.26; ten bins from 0 to 2 in percent: 3 3 10 7 0 10 15 22 21 8.

Episode End:
    The end-of-text token or the ninth token.

Arguments:
    The fields of `Task`, `kl_coef`, `reference`, `autoreset_mode`, `render_mode`.

References:
    Length control as a test of instructions that can be checked: Zhou et al., "Instruction-Following Evaluation for Large
    Language Models", https://arxiv.org/abs/2311.07911.

Version History:
    v0: first.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from textenv.envs.task import Task
from textenv.models.loading import toy_tokenizer

SYMBOLS: Final = "ab12345678>"
_ALLOWED: Final = np.array([*(symbol in "ab" for symbol in SYMBOLS), True])  # (V,), the end of text last


def nearness(prompts: Sequence[str], completions: Sequence[str]) -> list[float]:
    """Compare the length of each completion to the number in its prompt.

    >>> nearness(["3>", "3>", "8>"], ["aba", "b", ""])
    [2.0, 1.5, 0.0]
    """
    wanted = [int(prompt.removesuffix(">")) for prompt in prompts]
    return [2 - abs(number - len(text)) / 4 for number, text in zip(wanted, completions, strict=True)]


def letters_alone(observation: NDArray[np.int32]) -> NDArray[np.bool_]:
    """Allow the two letters and the end of text."""
    return _ALLOWED


TASK = Task(
    prompts=[f"{number}>" for number in range(1, 9)],
    reward=nearness,
    tokenizer=toy_tokenizer(SYMBOLS),
    max_prompt_tokens=2,
    max_new_tokens=9,
    action_mask=letters_alone,
    model=None,
)
