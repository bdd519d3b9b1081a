"""TextSentiment-v0: continue the opening of a film review so that it reads as positive.

Description:
    The classic of RLHF: a language model trained on film reviews of both kinds learns to write the positive ones, while
    the KL to its reference keeps the text a text.

Prompts:
    211 openings of film reviews, written for this environment and neutral in tone.

Observation Space:
    `Box(-1, 4095, (40,), int32)`: 16 prompt and 24 response columns.

Action Space:
    `Discrete(4096)`: the tokens of `tiny-en`.

Rewards:
    At the end of the text: P(positive) of opening and continuation by `tiny-sentiment`, 0 to 1. A classifier from the
    hub takes its place with `reward="lvwerra/distilbert-imdb"`.

Episode End:
    The end-of-text token or the 24th token.

Arguments:
    The fields of `Task`, `kl_coef`, `reference`, `autoreset_mode`, `render_mode`. Another model takes the place of
    `tiny-en` with `tokenizer="openai-community/gpt2"` and a policy of the same name.

References:
    Ziegler et al., "Fine-Tuning Language Models from Human Preferences", section 3.1, https://arxiv.org/abs/1909.08593.
    Ramamurthy et al., "Is Reinforcement Learning (Not) for Natural Language Processing", section 4,
    https://arxiv.org/abs/2210.01241.

Version History:
    v0: first.
"""

from textenv.envs.task import Task
from textenv.models.hub import ASSETS

TASK = Task(
    prompts=str(ASSETS / "prompts" / "film-openings.txt"),
    reward="tiny-sentiment",
    judge="tiny-sentiment-judge",
    tokenizer="tiny-en",
    max_prompt_tokens=16,
    max_new_tokens=24,
)
