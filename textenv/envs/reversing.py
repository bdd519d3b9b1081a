"""TextReverse-v0: write a word backwards, then end.

Description:
    TextCopy from the other end: `aab>` asks for `baa` and then the end of the text. Each letter wanted stands farther back
    than the one before, and how long the word is shows only at its beginning. Small enough to be solved exactly
    (`textenv.exact`).

Prompts:
    All words of one to four of the letters a, b, each with `>` after it: 30.

Observation Space:
    `Box(-1, 3, (10,), int32)`: 5 prompt and 5 response columns.

Action Space:
    `Discrete(4)`: a, b, > and the end of text.

Rewards:
    At the end of the text: the share of positions, counted over the longer of word and answer, in which the answer agrees
    with the word read backwards; 0 to 1.
    Before training: mean 0.15; ten bins from 0 to 1 in percent: 55 0 25 5 7 6 1 1 0 1.

Episode End:
    The end-of-text token or the fifth token.

Arguments:
    The fields of `Task`, `kl_coef`, `reference`, `autoreset_mode`, `render_mode`.

References:
    The reverse task of Grefenstette et al., "Learning to Transduce with Unbounded Memory", section 4.1,
    https://arxiv.org/abs/1506.02516.

Version History:
    v0: first.
"""

from collections.abc import Sequence
from itertools import product

from textenv.envs.copying import copied_share
from textenv.envs.task import Task
from textenv.models.loading import toy_tokenizer


def reversed_share(prompts: Sequence[str], completions: Sequence[str]) -> list[float]:
    """Compare each completion with the word before the `>` of its prompt, read backwards.

    >>> reversed_share(["aabb>", "aabb>", "ab>"], ["bbaa", "bbba", "baba"])
    [1.0, 0.75, 0.5]
    """
    return copied_share([prompt.removesuffix(">")[::-1] for prompt in prompts], completions)


TASK = Task(
    prompts=["".join(letters) + ">" for length in (1, 2, 3, 4) for letters in product("ab", repeat=length)],
    reward=reversed_share,
    tokenizer=toy_tokenizer("ab>"),
    max_prompt_tokens=5,
    max_new_tokens=5,
    model=None,
)
