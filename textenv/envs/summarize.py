"""TextSummarize-v0: sum up a short post, review or story in one line.

Description:
    The task of learning to summarise from feedback, at the size of a tiny model: the base model answers with a line that has
    little to do with the text, and learns to say what the text is about.

Prompts:
    `{text}`, a new line and `TL;DR:` for 104 texts of three to seven sentences, at most 80 tokens, written for this
    environment; columns `text` and `reference`, a summary.

Observation Space:
    `Box(-1, 4095, (128,), int32)`: 96 prompt and 32 response columns.

Action Space:
    `Discrete(4096)`: the tokens of `tiny-en`.

Rewards:
    The product of four parts, 0 to 1 each and reported apart: `content`, the sum, at most 1, of ROUGE-L to the reference and of
    the cosine of the embeddings of text and summary; `length`, 1 for 6 to 18 words; `novelty`, the share of runs of five words
    that are not copied from the text; `fluency` under `tiny-en`. Each token is paid what it adds to the product of the first
    three. A preference model takes its place with `reward="OpenAssistant/reward-model-deberta-v3-large-v2"`;
    `Similarity(model=...)` takes `sentence-transformers/all-MiniLM-L6-v2`.
    `tiny-embed` ranks the texts of the untrained model as all-MiniLM-L6-v2 does with a correlation of .24 (`tiny-embed-2`
    with .48; docs/rewards.md).
    The judge is the other family, over characters: chrF to the reference.
    Before training: mean 0.14; ten bins from 0 to 1 in percent: 45 28 15 7 3 1 0 0 0 0.

Episode End:
    A line break, the end-of-text token or the 32nd token.

Arguments:
    The fields of `Task`, `kl_coef`, `reference`, `autoreset_mode`, `render_mode`.

References:
    Stiennon et al., "Learning to Summarize from Human Feedback", https://arxiv.org/abs/2009.01325.

Version History:
    v0: first.
"""

from collections.abc import Callable
from typing import Any, Final

from textenv.envs.task import Task
from textenv.models.hub import ASSETS
from textenv.rewards.composition import Clip, Product, WeightedSum
from textenv.rewards.fluency import Fluency
from textenv.rewards.metrics import ChrF, RougeL
from textenv.rewards.novelty import Novelty
from textenv.rewards.rules import Length
from textenv.rewards.similarity import Similarity

CONTENT: Final = WeightedSum({"rouge": (1.0, RougeL()), "similarity": (1.0, Similarity("text"))})
SO_FAR: Final[dict[str, Callable[..., Any]]] = {"content": Clip(CONTENT), "length": Length(6, 18), "novelty": Novelty(5)}

TASK = Task(
    prompts=str(ASSETS / "prompts" / "summarize.jsonl"),
    reward=Product({**SO_FAR, "fluency": Fluency()}),
    potential=Product(SO_FAR),
    judge=ChrF(),
    tokenizer="tiny-en",
    max_prompt_tokens=96,
    max_new_tokens=32,
    stop="\n",
)
