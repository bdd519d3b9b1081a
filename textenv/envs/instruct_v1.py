"""TextInstruct-v1: do what an instruction asks for.

Description:
    Instructions of the ten use cases of InstructGPT in the micro-world of `textenv.world`, which `tiny-assistant` follows half of
    the time: the rest of its answers are mistakes, refusals, copies and other answers, as those of its demonstrators were.

Prompts:
    260 instructions as conversations, in the shares of the paper: generation 45.6 % (stories, descriptions), open QA 12.4,
    brainstorming 11.2, chat 8.4, rewrite 6.6, summarisation 4.2, classification 3.5, other 3.5, closed QA 2.6, extract 1.9.
    They are held out from what `tiny-assistant` is taught, but for 47 of the 59 descriptions and 24 of the 29 lists: of these few
    different ones are held out.
    Columns: `use_case`, `skill`, `request`, `question`, `reference`, `source`, `wanted`, `members`, `accepted`; `facts` for
    the judge.

Observation Space:
    `Box(-1, 2047, (136,), int32)`: 72 prompt and 64 response columns.

Action Space:
    `Discrete(2048)`: the tokens of `tiny-assistant`.

Rewards:
    At the end of the text, 0 to 1: what the answer is worth x its fluency under `tiny-assistant`. The worth is a rule of the
    skill: for questions, classes and extracts the F1 of the words beyond the question, of which those in a sentence with a
    denial of its own do not count (`WordF1`); for stories how far they are about those who were wanted and nobody else
    (`Cast`) x 25 to 60 words x distinct-3; for descriptions the F1 with all that is known of the
    animal; for lists the share of right items, in the singular or the plural (`ListOf`); for
    rewriting and chat ROUGE-L, politely with the nearest of the accepted answers, and 0 for a copy or
    for an order without a courtesy; for summaries the content as in `TextSummarize-v1`. A trained reward model takes its place with
    `reward="OpenAssistant/reward-model-deberta-v3-large-v2"`.
    The judge is exact, by another way: an answer is right when it is one that the generator of the exercise could have given, a
    story when it tells a plot of the micro-world from beginning to end, without a contradiction, about those who were wanted.
    Before training: mean 0.58; ten bins from 0 to 1 in percent: 12 4 3 5 6 15 12 4 37 2.

Episode End:
    The end-of-turn token or the 64th token.

Arguments:
    The fields of `Task`, `kl_coef`, `reference`, `autoreset_mode`, `render_mode`.

References:
    Ouyang et al., "Training Language Models to Follow Instructions with Human Feedback", table 1,
    https://arxiv.org/abs/2203.02155.

Version History:
    v1: on `tiny-assistant`, with exact judges. In v0 the model had read film reviews and answered with them.
    v0: first.
"""

from typing import Final

from textenv.envs.summarize_v1 import CONTENT, NAMES
from textenv.envs.task import Task
from textenv.models.hub import ASSETS
from textenv.rewards.answers import ListOf, changed, courteous
from textenv.rewards.composition import BestReference, ByColumn, Product
from textenv.rewards.fluency import Fluency
from textenv.rewards.metrics import RougeL, WordF1
from textenv.rewards.names import Cast
from textenv.rewards.rules import Distinct, Length
from textenv.world.judging import right

STORY: Final = Product({"wanted": Cast(NAMES), "length": Length(25, 60), "distinct": Distinct(3)})
REWRITE: Final = Product({"match": RougeL(), "changed": changed})
ANSWERED: Final = (
    *("animal_fact", "food_fact", "job_fact", "use", "cause", "opposite", "sums", "next_day"),
    *("reading", "feeling", "kind", "extract", "describe"),
)
WORTH: Final = ByColumn(
    "skill",
    {
        **dict.fromkeys(ANSWERED, WordF1(beyond="question")),
        **dict.fromkeys(("past", "shorter"), REWRITE),
        "polite": Product({"match": BestReference(RougeL()), "changed": changed, "courteous": courteous}),
        "chat": RougeL(),
        "summary": CONTENT,
        "ideas": ListOf(),
        "story": STORY,
    },
)

TASK = Task(
    prompts=str(ASSETS / "prompts" / "instruct-v1.jsonl"),
    reward=Product({"worth": WORTH, "fluency": Fluency("tiny-assistant")}),
    judge=right,
    tokenizer="tiny-assistant",
    model="tiny-assistant",
    max_prompt_tokens=72,
    max_new_tokens=64,
)
