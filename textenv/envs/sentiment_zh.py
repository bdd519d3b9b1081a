"""TextSentimentZh-v0: continue the opening of a Chinese product review so that it reads as positive.

Description:
    The best known Chinese lesson of RLHF: a language model of product reviews, praise and complaint alike, learns to
    praise. A token is a character. The published run rose from .776 to .841 under its own reward model.

Prompts:
    115 openings of reviews of goods and hotels, written for this environment and neutral in tone, such as 刚收到货，感觉
    (it has just arrived, and it feels), 这部电影很 (this film is very), 说实话，真的很 (to be honest, it really is very)
    and 这次购物总的来说很 (this purchase was, all in all, very).

Observation Space:
    `Box(-1, 3599, (40,), int32)`: 16 prompt and 24 response columns.

Action Space:
    `Discrete(3600)`: the characters of `tiny-zh`.

Rewards:
    At the end of the text: P(positive) of opening and continuation by `tiny-sentiment-zh`, 0 to 1. The model of the
    published run takes its place with `reward="uer/roberta-base-finetuned-jd-binary-chinese"`, whose last label, the one
    that counts by default, is the positive one.
    Before training: mean 0.51; ten bins from 0 to 1 in percent: 21 10 7 6 6 6 5 6 8 26.

Episode End:
    The end-of-text token or the 24th character.

Arguments:
    The fields of `Task`, `kl_coef`, `reference`, `autoreset_mode`, `render_mode`. The published run's model takes the place
    of `tiny-zh` with `tokenizer="uer/gpt2-chinese-cluecorpussmall"` and a policy of the same name. Its batch holds 128
    episodes.

References:
    The published run: HarderThenHarder, transformers_tasks,
    https://github.com/HarderThenHarder/transformers_tasks/tree/main/RLHF.

Version History:
    v0: first.
"""

from textenv.envs.task import Task
from textenv.models.hub import ASSETS

TASK = Task(
    prompts=str(ASSETS / "prompts" / "shop-openings-zh.txt"),
    reward="tiny-sentiment-zh",
    judge="tiny-sentiment-zh-judge",
    tokenizer="tiny-zh",
    model="tiny-zh",
    max_prompt_tokens=16,
    max_new_tokens=24,
)
