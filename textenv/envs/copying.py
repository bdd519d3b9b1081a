"""TextCopy-v0: copy a word, then end.

Description:
    The smallest task in which a policy has to read its prompt: `abc>` asks for `abc` and then the end of the text. Small
    enough to be solved exactly (`textenv.exact`).

Prompts:
    All words of two or three of the letters a, b, c, each with `>` after it: 36.

Observation Space:
    `Box(-1, 4, (8,), int32)`: 4 prompt and 4 response columns.

Action Space:
    `Discrete(5)`: a, b, c, > and the end of text.

Rewards:
    At the end of the text: the share of positions, counted over the longer of word and answer, in which both agree; 0
    to 1.
    Before training: mean 0.08; ten bins from 0 to 1 in percent: 77 0 15 3 0 4 1 0 0 0.

Episode End:
    The end-of-text token or the fourth token.

Arguments:
    The fields of `Task`, `kl_coef`, `reference`, `autoreset_mode`, `render_mode`.

References:
    The copy task of Graves, Wayne and Danihelka, "Neural Turing Machines", section 4.1, https://arxiv.org/abs/1410.5401.

Version History:
    v0: first.
"""

from collections.abc import Sequence
from itertools import product

from textenv.envs.task import Task
from textenv.models.loading import toy_tokenizer


def copied_share(prompts: Sequence[str], completions: Sequence[str]) -> list[float]:
    """Compare each completion with the word before the `>` of its prompt.

    >>> copied_share(["abc>", "abc>", "ab>"], ["abc", "acc", "abab"])
    [1.0, 0.6666666666666666, 0.5]
    """
    words = [prompt.removesuffix(">") for prompt in prompts]
    return [
        sum(a == b for a, b in zip(word, text, strict=False)) / max(len(word), len(text))
        for word, text in zip(words, completions, strict=True)
    ]


TASK = Task(
    prompts=["".join(letters) + ">" for length in (2, 3) for letters in product("abc", repeat=length)],
    reward=copied_share,
    tokenizer=toy_tokenizer("abc>"),
    max_prompt_tokens=4,
    max_new_tokens=4,
    model=None,
)
