"""TextReverse-v0: write a word backwards, then end.

Description:
    TextCopy's word read from its end: `abc>` asks for `cba` and then the end of the text. The first letter wanted is the
    last one given, so a policy has to find the end of the word before it can begin. Small enough to be solved exactly
    (`textenv.exact`).

Prompts:
    All words of two or three of the letters a, b, c, each with `>` after it: 36.

Observation Space:
    `Box(-1, 4, (8,), int32)`: 4 prompt and 4 response columns.

Action Space:
    `Discrete(5)`: a, b, c, > and the end of text.

Rewards:
    At the end of the text: the share of positions, counted over the longer of word and answer, in which the answer agrees
    with the word read backwards; 0 to 1.

Episode End:
    The end-of-text token or the fourth token.

Arguments:
    The fields of `Task`, `kl_coef`, `reference`, `autoreset_mode`, `render_mode`.

References:
    The reverse task of Grefenstette et al., "Learning to Transduce with Unbounded Memory", section 4.1,
    https://arxiv.org/abs/1506.02516.

Version History:
    v0: first.
"""

from collections.abc import Sequence

from textenv.envs.copying import TASK as COPY
from textenv.envs.copying import copied_share


def reversed_share(prompts: Sequence[str], completions: Sequence[str]) -> list[float]:
    """Compare each completion with the word before the `>` of its prompt, read backwards.

    >>> reversed_share(["abc>", "abc>", "ab>"], ["cba", "cca", "baba"])
    [1.0, 0.6666666666666666, 0.5]
    """
    return copied_share([prompt.removesuffix(">")[::-1] for prompt in prompts], completions)


TASK = COPY.replace(reward=reversed_share)
