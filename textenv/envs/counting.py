"""TextCount-v0: say how many a's a word has, then end.

Description:
    `abaa>` asks for `3` and then the end of the text. The answer stands nowhere in the prompt, it has to be found from all
    of it. Small enough to be solved exactly (`textenv.exact`).

Prompts:
    All words of one to four of the letters a, b, each with `>` after it: 30.

Observation Space:
    `Box(-1, 8, (8,), int32)`: 5 prompt and 3 response columns.

Action Space:
    `Discrete(9)`: a, b, >, the digits 0 to 4 and the end of text.

Rewards:
    At the end of the text: 1 less a quarter for each that the first digit is off, divided by the length of the answer; 0
    where it does not begin with a digit; 0 to 1.
    Before training: mean 0.07; ten bins from 0 to 1 in percent: 83 3 6 4 0 1 0 3 0 1.

Episode End:
    The end-of-text token or the third token.

Arguments:
    The fields of `Task`, `kl_coef`, `reference`, `autoreset_mode`, `render_mode`.

References:
    Counting as a test of what sequence models compute: Weiss, Goldberg and Yahav, "On the Practical Computational Power of
    Finite Precision RNNs for Language Recognition", https://arxiv.org/abs/1805.04908.

Version History:
    v0: first.
"""

from collections.abc import Sequence
from itertools import product

from textenv.envs.task import Task
from textenv.models.loading import toy_tokenizer

MOST = 4


def closeness(prompts: Sequence[str], completions: Sequence[str]) -> list[float]:
    """Compare the digit that each completion begins with to the number of a's in its prompt.

    >>> closeness(["abaa>", "abaa>", "abaa>", "b>"], ["3", "1", "33", "b0"])
    [1.0, 0.5, 0.5, 0.0]
    """
    return [
        (1 - abs(prompt.count("a") - int(text[0])) / MOST) / len(text) if text[:1].isdecimal() else 0.0
        for prompt, text in zip(prompts, completions, strict=True)
    ]


TASK = Task(
    prompts=["".join(letters) + ">" for length in range(1, MOST + 1) for letters in product("ab", repeat=length)],
    reward=closeness,
    tokenizer=toy_tokenizer("ab>01234"),
    max_prompt_tokens=5,
    max_new_tokens=3,
    model=None,
)
