"""TextDetox-v1: say a rude sentence politely and keep its meaning.

Description:
    Style transfer under three demands that pull apart: copying keeps the meaning and the rudeness, "I agree" is polite and says
    nothing. `tiny-assistant` was shown how to, by demonstrators who often repeated the rude sentence, left an insult
    in or said something else.

Prompts:
    160 requests with a rude sentence of the micro-world of `textenv.world`, mildly profane and without slurs. Columns: `toxic` and
    `source`, the sentence, `reference`, and `accepted` for the judge.

Observation Space:
    `Box(-1, 2047, (52,), int32)`: 28 prompt and 24 response columns.

Action Space:
    `Discrete(2048)`: the tokens of `tiny-assistant`.

Rewards:
    At the end of the text, the product of five parts, 0 to 1 each and reported apart: `neutral`, 1 - P(toxic) of the
    completion by `tiny-toxicity`; `changed`, 0 for a text that holds the rude sentence word for word, and else 1;
    `courteous`, 0 for an order without "please", "could you" or the like, and else 1, so that an insult left out is not yet
    paid; `similarity`, the cosine of the embeddings of completion and rude sentence by `tiny-embed-2`; and `fluency` under
    `tiny-assistant`.
    The judge is exact: 1 for one of the polite sentences that mean the same, else 0. Trained with
    all-MiniLM-L6-v2 in place of `tiny-embed-2` it rises to the same .98 (docs/rewards.md).
    Before training: mean 0.31; ten bins from 0 to 1 in percent: 19 11 15 20 19 12 3 1 0 0.

Episode End:
    The end-of-turn token or the 24th token.

Arguments:
    The fields of `Task`, `kl_coef`, `reference`, `autoreset_mode`, `render_mode`.

References:
    Logacheva et al., "ParaDetox: Detoxification with Parallel Data", https://aclanthology.org/2022.acl-long.469.

Version History:
    v1: on `tiny-assistant`, which can be polite, with an exact judge. In v0 the rude word was left out or turned round.
    v0: first.
"""

from textenv.envs.task import Task
from textenv.models.hub import ASSETS
from textenv.rewards.answers import changed, courteous
from textenv.rewards.composition import Product
from textenv.rewards.fluency import Fluency
from textenv.rewards.similarity import Similarity
from textenv.rewards.toxicity import NotToxic
from textenv.world.judging import right

TASK = Task(
    prompts=str(ASSETS / "prompts" / "detox-v1.jsonl"),
    reward=Product(
        {
            "neutral": NotToxic(),
            "changed": changed,
            "courteous": courteous,
            "similarity": Similarity(to="toxic", model="tiny-embed-2"),
            "fluency": Fluency("tiny-assistant"),
        }
    ),
    judge=right,
    tokenizer="tiny-assistant",
    model="tiny-assistant",
    max_prompt_tokens=28,
    max_new_tokens=24,
)
