"""TextGridWorld-v0: walk through a grid to where it pays most.

Description:
    The grid of the first lecture on reinforcement learning, as text: the prompt names a cell and the text is the walk from
    there, `D3: up up right`. The nearest end is not always the best: from D3, -2 is two moves away and +5 three. Small
    enough to be solved exactly (`textenv.exact`; cell by cell, `textenv.envs.grid.cell_values`).

           A   B   C   D   E
       1   .   .   .   .  +5
       2   .   #   #   .   .
       3  +4   .   .   .   #
       4   .   .   #   .  -2

Prompts:
    The 13 free cells, such as `D3:`.

Observation Space:
    `Box(-1, 14, (9,), int32)`: 3 prompt and 6 response columns.

Action Space:
    `Discrete(15)`: the columns A to E, the rows 1 to 4, :, up, down, left, right and the end of text. The action mask
    leaves the four moves, and at a terminal nothing but the end of text.

Rewards:
    At every token: -1 a move, also one against a wall or the edge, which leads nowhere, and at a terminal +5, +4 or -2
    besides. The score is their sum, -8 to 4. After a terminal nothing is charged.
    Before training: mean -3.08; ten bins from -7 to 4 in percent: 61 0 0 0 2 8 4 4 7 14.

Episode End:
    The end-of-text token, once at a terminal, or the sixth token.

Arguments:
    The fields of `Task`, `kl_coef`, `reference`, `autoreset_mode`, `render_mode`.

References:
    Russell and Norvig, "Artificial Intelligence: A Modern Approach", section 17.1, whose 4 x 3 world this is a cousin of.

Version History:
    v0: first.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from textenv.envs.grid import STARTS, TERMINALS, WAYS, walk
from textenv.envs.task import Task
from textenv.models.loading import toy_tokenizer

SYMBOLS: Final = (*"ABCDE1234:", *WAYS)
_MOVES: Final = np.array([*(symbol in WAYS for symbol in SYMBOLS), False])  # (V,), the end of text last
_END: Final = np.array([*(False for _ in SYMBOLS), True])


def payments(prompts: Sequence[str], completions: Sequence[str]) -> list[float]:
    """Add up what each walk is paid so far.

    >>> payments(["D3:", "D3:", "D3:"], [" up up right", " down right", " left"])
    [2.0, -4.0, -1.0]
    """
    walks = [walk(prompt.removesuffix(":"), text) for prompt, text in zip(prompts, completions, strict=True)]
    return [TERMINALS.get(cell, 0.0) - moves for cell, moves in walks]


def moves_until_a_terminal(observation: NDArray[np.int32]) -> NDArray[np.bool_]:
    """Allow the four moves, and at a terminal the end of text alone."""
    text = "".join(SYMBOLS[token] for token in observation.tolist() if 0 <= token < len(SYMBOLS))
    start, _, ways = text.partition(":")
    return _END if walk(start, ways)[0] in TERMINALS else _MOVES


TASK = Task(
    prompts=[f"{cell}:" for cell in STARTS],
    reward=payments,
    tokenizer=toy_tokenizer(SYMBOLS),
    max_prompt_tokens=3,
    max_new_tokens=6,
    action_mask=moves_until_a_terminal,
    potential=payments,
    model=None,
)
