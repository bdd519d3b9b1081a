"""TextLongForm-v1: tell a long story about two people and a thing, and keep to them.

Description:
    Small language models drift: people come who were not there before, sentences return, an episode stays without its end. Here
    ten sentences about what was asked for are paid.

Prompts:
    128 requests such as "Write a long story about Tom, Lily and a kite." in the micro-world of `textenv.world`. Columns: `wanted`,
    the two names and the thing, `reference`, and `facts` for the judge.

Observation Space:
    `Box(-1, 2047, (152,), int32)`: 24 prompt and 128 response columns.

Action Space:
    `Discrete(2048)`: the tokens of `tiny-assistant`.

Rewards:
    The product of five parts, 0 to 1 each and reported apart: `length`, 1 for 60 to 100 words;
    `distinct` and `runs`, the shares of different triples and runs of eight words, so that half a
    story twice earns a quarter; `wanted`, how far it is about the wanted people and the thing and
    about no other (`Cast`); `fluency` under `tiny-assistant`. Names are those of the micro-world; prompts
    that want others need `Cast` with those.
    The judge is exact: the sentences that belong to a telling of one of the micro-world's plots, in its order and without a
    contradiction or a stranger, over all of them, or over eight where they are fewer, x the share of the wanted names that occur.
    Before training: mean 0.73; ten bins from 0 to 1 in percent: 1 1 1 4 3 7 8 19 57 0.

Episode End:
    The end-of-turn token or the 128th token.

Arguments:
    The fields of `Task`, `kl_coef`, `reference`, `autoreset_mode`, `render_mode`.

References:
    Holtzman et al., "The Curious Case of Neural Text Degeneration", https://arxiv.org/abs/1904.09751.
    Li et al., "A Diversity-Promoting Objective Function for Neural Conversation Models", section 5.3,
    https://arxiv.org/abs/1510.03055.

Version History:
    v1: on `tiny-assistant`, with an exact judge. In v0 the model had read film reviews, and no thread went through its texts.
    v0: first.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from textenv.envs.summarize_v1 import NAMES
from textenv.envs.task import Task
from textenv.models.hub import ASSETS
from textenv.rewards.composition import Product
from textenv.rewards.fluency import Fluency
from textenv.rewards.names import Cast
from textenv.rewards.rules import Distinct, Length
from textenv.world.judging import tells

SENTENCES: Final = 8


def keeps_the_thread(completions: Sequence[str], facts: Sequence[Mapping[str, Any]]) -> list[float]:
    """Judge n stories, 0 to 1: sentences that belong to a telling, about those who were wanted, and enough of them."""
    return [tells(text, known["wanted"], SENTENCES) for text, known in zip(completions, facts, strict=True)]


TASK = Task(
    prompts=str(ASSETS / "prompts" / "long-form-v1.jsonl"),
    reward=Product(
        {
            "length": Length(60, 100),
            "distinct": Distinct(3),
            "runs": Distinct(8),
            "wanted": Cast(NAMES),
            "fluency": Fluency("tiny-assistant"),
        }
    ),
    judge=keeps_the_thread,
    tokenizer="tiny-assistant",
    model="tiny-assistant",
    max_prompt_tokens=24,
    max_new_tokens=128,
    # Long texts: a third of the usual episodes take as long.
    training={"episodes": 3072},
)
