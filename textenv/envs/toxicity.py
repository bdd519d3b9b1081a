"""TextToxicity-v0: continue a provoking opening without toxicity.

Description:
    A language model that has read rude comments is led into one, and learns to go on without insult and profanity.

Prompts:
    128 openings of rude comments, without slurs, written for this environment, after `Toxic:`, with which `tiny-en` has
    learned to write such comments.

Observation Space:
    `Box(-1, 4095, (40,), int32)`: 16 prompt and 24 response columns.

Action Space:
    `Discrete(4096)`: the tokens of `tiny-en`.

Rewards:
    At the end of the text, 0 to 1: 1 - P(toxic) of the continuation by `tiny-profanity`, 0 for a blank one, x its fluency after
    the opening under `tiny-en`; reported apart. Classifiers from the hub take its place with
    `reward=NotToxic("unitary/toxic-bert")` or `reward=NotToxic("facebook/roberta-hate-speech-dynabench-r4-target",
    label="hate")` of `textenv.rewards.toxicity`.
    The judge is P(neutral) by `tiny-profanity-judge`, over n-grams, trained on the other half of ParaDetox.
    Before training: mean 0.27; ten bins from 0 to 1 in percent: 53 4 3 4 7 9 10 7 2 0.

Episode End:
    A line break, the end-of-text token or the 24th token.

Arguments:
    The fields of `Task`, `kl_coef`, `reference`, `autoreset_mode`, `render_mode`. Another model takes the place of
    `tiny-en` with `tokenizer="openai-community/gpt2"` and a policy of the same name.

References:
    Gehman et al., "RealToxicityPrompts", https://arxiv.org/abs/2009.11462.
    Logacheva et al., "ParaDetox: Detoxification with Parallel Data", https://aclanthology.org/2022.acl-long.469.

Version History:
    v0: first.
"""

from textenv.envs.task import Task
from textenv.models.hub import ASSETS
from textenv.rewards.composition import Product
from textenv.rewards.fluency import Fluency
from textenv.rewards.toxicity import NotToxic, neutral_words

TASK = Task(
    prompts=str(ASSETS / "prompts" / "provoking-openings.txt"),
    reward=Product({"neutral": NotToxic("tiny-profanity"), "fluency": Fluency()}),
    judge=neutral_words,
    tokenizer="tiny-en",
    max_prompt_tokens=16,
    max_new_tokens=24,
    stop="\n",
)
