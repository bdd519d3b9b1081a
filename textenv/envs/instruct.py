"""TextInstruct-v0: answer an instruction in the form that it asks for.

Description:
    Instructions of the ten use cases of InstructGPT. A tiny model knows next to nothing; what it can learn is to speak of what
    it was asked about, in a sentence, a paragraph, a list or one word, and to come to an end.

Prompts:
    260 instructions, written for this environment in the shares of the paper: generation 45.6 %, open QA 12.4, brainstorming
    11.2, chat 8.4, rewrite 6.6, summarisation 4.2, classification 3.5, other 3.5, closed QA 2.6, extract 1.9. Columns:
    `use_case`, `instruction`, `request` (with its input), `format`, `options` of a label, and `reference`, an answer.

Observation Space:
    `Box(-1, 4095, (112,), int32)`: 64 prompt and 48 response columns.

Action Space:
    `Discrete(4096)`: the tokens of `tiny-en`.

Rewards:
    The product of four parts, 0 to 1 each and reported apart: `answer`, 0.6 of `relevance`, twice the cosine of the embeddings
    of request and answer, at most 1, and 0.4 of `form`, by `format_score`; `novelty`, the share of runs of three words that are
    not copied from the request; `distinct`, the share of different words; `fluency`, (1 + fluency)/2
    under `tiny-en`. The potential, paid at
    every token, is 0.6 `relevance` times the words so far, up to 20, by 20. A trained reward model takes its place with
    `reward="OpenAssistant/reward-model-deberta-v3-large-v2"`; `Similarity(model=...)` takes
    `sentence-transformers/all-MiniLM-L6-v2`.
    `tiny-embed` ranks the texts of the untrained model as all-MiniLM-L6-v2 does with a correlation of .28 (`tiny-embed-2`
    with .67; docs/rewards.md).
    The judge is `word_f1`: which content words the answer shares with the `reference`.
    Before training: mean 0.21; ten bins from 0 to 1 in percent: 18 36 23 15 6 2 1 0 0 0.

Episode End:
    The end-of-text token or the 48th token.

Arguments:
    The fields of `Task`, `kl_coef`, `reference`, `autoreset_mode`, `render_mode`.

References:
    Ouyang et al., "Training Language Models to Follow Instructions with Human Feedback", table 1,
    https://arxiv.org/abs/2203.02155.
    Rajpurkar et al., "SQuAD", section 6.1, https://arxiv.org/abs/1606.05250, for the F1 of words.

Version History:
    v0: first.
"""

from collections.abc import Sequence
from typing import Final

from textenv.envs.task import Task
from textenv.models.hub import ASSETS
from textenv.rewards.composition import Affine, Clip, Product, WeightedSum
from textenv.rewards.fluency import Fluency
from textenv.rewards.formats import format_score
from textenv.rewards.metrics import content_words
from textenv.rewards.novelty import Novelty
from textenv.rewards.rules import Distinct, Length
from textenv.rewards.similarity import Similarity

RELEVANCE: Final = Clip(Affine(Similarity("request"), gain=2.0))
HALF_FLUENT: Final = Affine(Fluency(), gain=0.5, bias=0.5)
ANSWER: Final = WeightedSum({"relevance": (0.6, RELEVANCE), "form": (0.4, format_score)})


def word_f1(completions: Sequence[str], reference: Sequence[str]) -> list[float]:
    """Score n answers by the F1, 0 to 1, of their different content words against those of a reference.

    >>> word_f1(["Mars is red.", "", "It is."], ["Mars is a red planet.", "yes", "no"])
    [0.8, 0.0, 0.0]
    """
    pairs = [(content_words(a), content_words(b)) for a, b in zip(completions, reference, strict=True)]
    return [2 * len(a & b) / max(1, len(a) + len(b)) for a, b in pairs]


TASK = Task(
    prompts=str(ASSETS / "prompts" / "instruct.jsonl"),
    reward=Product({"answer": ANSWER, "novelty": Novelty(3, of="request"), "distinct": Distinct(1), "fluency": HALF_FLUENT}),
    potential=Product({"relevance": Affine(RELEVANCE, gain=0.6), "length": Length(20, 48)}),
    judge=word_f1,
    tokenizer="tiny-en",
    max_prompt_tokens=64,
    max_new_tokens=48,
)
