"""TextLongForm-v0: go on for a hundred words without leaving the topic and without repeating.

Description:
    Small language models drift within a few sentences, and those that are pressed to be probable repeat themselves. Here a
    long continuation of a film review, of what a film tells or of a story for children is paid.

Prompts:
    110 openings, written for this environment, that name what the text is about; column `topic`, six words that a text about
    it may be expected to use.

Observation Space:
    `Box(-1, 4095, (152,), int32)`: 24 prompt and 128 response columns.

Action Space:
    `Discrete(4096)`: the tokens of `tiny-en`.

Rewards:
    The product of four parts, 0 to 1 each and reported apart: `length`, 1 for 80 to 110 words; `distinct`, the share of
    different pairs of words; `topic`, twice the cosine of the embeddings of opening and continuation, at most 1; `fluency`,
    how probable `tiny-en` finds the text (see `Fluency`). The potential, paid at every token, is the product of the first
    three, and the last token is paid what is missing of the score. From the hub, `Similarity(model=...)` takes
    `sentence-transformers/all-MiniLM-L6-v2` and `Fluency(...)` takes `openai-community/gpt2`.
    `tiny-embed` ranks the texts of the untrained model as all-MiniLM-L6-v2 does with a correlation of .59 (`tiny-embed-2`
    with .67; docs/rewards.md).
    The judge asks nothing of a model: the share of the `topic` words that occur, times distinct-3.
    Before training: mean 0.25; ten bins from 0 to 1 in percent: 35 16 15 11 7 5 3 7 1 0.

Episode End:
    The end-of-text token or the 128th token.

Arguments:
    The fields of `Task`, `kl_coef`, `reference`, `autoreset_mode`, `render_mode`.

References:
    Holtzman et al., "The Curious Case of Neural Text Degeneration", https://arxiv.org/abs/1904.09751.
    Li et al., "A Diversity-Promoting Objective Function for Neural Conversation Models", section 5.3,
    https://arxiv.org/abs/1510.03055.

Version History:
    v0: first.
"""

from collections.abc import Callable
from typing import Any, Final

from textenv.envs.task import Task
from textenv.models.hub import ASSETS
from textenv.rewards.composition import Affine, Clip, Product
from textenv.rewards.fluency import Fluency
from textenv.rewards.metrics import WordOverlap
from textenv.rewards.rules import Distinct, Length
from textenv.rewards.similarity import Similarity

SO_FAR: Final[dict[str, Callable[..., Any]]] = {
    "length": Length(80, 110),
    "distinct": Distinct(2),
    "topic": Clip(Affine(Similarity(), gain=2.0)),
}

TASK = Task(
    prompts=str(ASSETS / "prompts" / "long-form.jsonl"),
    reward=Product({**SO_FAR, "fluency": Fluency()}),
    potential=Product(SO_FAR),
    judge=Product({"topic": WordOverlap("topic"), "distinct": Distinct(3)}),
    tokenizer="tiny-en",
    max_prompt_tokens=24,
    max_new_tokens=128,
)
