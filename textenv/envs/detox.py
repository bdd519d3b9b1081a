r"""TextDetox-v0: rewrite a rude sentence politely and keep its meaning.

Description:
    Style transfer under three demands that pull apart: copying keeps the meaning and the rudeness, "I agree" is polite and
    says nothing. `tiny-en` has read ParaDetox in this format and does it half well.

Prompts:
    120 rude sentences, mildly profane and without slurs, written for this environment, as `Toxic: ...\nNeutral:`.

Observation Space:
    `Box(-1, 4095, (56,), int32)`: 32 prompt and 24 response columns.

Action Space:
    `Discrete(4096)`: the tokens of `tiny-en`.

Rewards:
    At the end of the text: neutral x similarity x fluency, each 0 to 1 and reported apart: 1 - P(toxic) of the
    rewrite by `tiny-profanity`; cosine to the toxic sentence by `tiny-embed`; probability under `tiny-en`, see `Fluency`.
    With models from the hub: `reward=Product({"neutral": NotToxic("unitary/toxic-bert"), "similarity":
    Similarity(to="toxic", model="sentence-transformers/all-MiniLM-L6-v2"), "fluency": Fluency("openai-community/gpt2")})`.
    `tiny-embed` ranks the texts of the untrained model as all-MiniLM-L6-v2 does with a correlation of .72 (`tiny-embed-2`
    with .83; docs/rewards.md).
    The judge is P(neutral) by `tiny-profanity-judge`, over n-grams, times the share of the sentence's content words kept.
    Before training: mean 0.31; ten bins from 0 to 1 in percent: 20 15 15 14 16 11 7 2 0 0.

Episode End:
    The end-of-text token or the 24th token.

Arguments:
    The fields of `Task`, `kl_coef`, `reference`, `autoreset_mode`, `render_mode`. Another model takes the place of
    `tiny-en` with `tokenizer="openai-community/gpt2"` and a policy of the same name.

References:
    Logacheva et al., "ParaDetox: Detoxification with Parallel Data", section 5 for the product of the three,
    https://aclanthology.org/2022.acl-long.469.

Version History:
    v0: first.
"""

from textenv.envs.task import Task
from textenv.models.hub import ASSETS
from textenv.rewards.composition import Product
from textenv.rewards.fluency import Fluency
from textenv.rewards.metrics import WordOverlap
from textenv.rewards.similarity import Similarity
from textenv.rewards.toxicity import NotToxic, neutral_words

TASK = Task(
    prompts=str(ASSETS / "prompts" / "rude-sentences.jsonl"),
    reward=Product({"neutral": NotToxic("tiny-profanity"), "similarity": Similarity(to="toxic"), "fluency": Fluency()}),
    judge=Product({"neutral": neutral_words, "overlap": WordOverlap(column="toxic")}),
    tokenizer="tiny-en",
    max_prompt_tokens=32,
    max_new_tokens=24,
)
