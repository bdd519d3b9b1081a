"""TextSummarize-v1: sum up a short story in one sentence.

Description:
    The task of learning to summarise from feedback, at the size of a tiny model that can begin it: `tiny-assistant` says in one
    sentence what a story is about, and often it is another story, other people, or the first sentence again.

Prompts:
    160 stories of three to six sentences from the micro-world of `textenv.world`, with a request for a summary. Columns: `text`,
    `reference`, `accepted` with all wordings of a right summary, and `facts` for the judge.

Observation Space:
    `Box(-1, 2047, (96,), int32)`: 72 prompt and 24 response columns.

Action Space:
    `Discrete(2048)`: the tokens of `tiny-assistant`.

Rewards:
    The product of four parts, 0 to 1 each and reported apart: `content`; `length`, 1 for 5 to 18
    words; `novelty`, the share of runs of five words that are not copied from the text; and
    `fluency` under `tiny-assistant`. The content is a product too, of the reference that gives most:
    the F1 of the words (`WordF1`); whether people, places and things are those of the reference
    (`Cast`); and whether each person is said to do the same (`Roles`), so that a swap is not paid.
    Names are those of the micro-world: references of your own that hold none of them are refused, and
    need a reward of your own. A preference model takes its place with
    `reward="OpenAssistant/reward-model-deberta-v3-large-v2"`.
    The judge is exact: which share of the key facts (who, what, where, with whom) the summary states, and 0 for one of another
    plot or with a false fact.
    Before training: mean 0.43; ten bins from 0 to 1 in percent: 24 16 13 4 0 0 2 1 40 0.

Episode End:
    The end-of-turn token or the 24th token.

Arguments:
    The fields of `Task`, `kl_coef`, `reference`, `autoreset_mode`, `render_mode`.

References:
    Stiennon et al., "Learning to Summarize from Human Feedback", https://arxiv.org/abs/2009.01325.

Version History:
    v1: on `tiny-assistant`, with an exact judge. In v0 the model had read film reviews and answered with them.
    v0: first.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from textenv.envs.task import Task
from textenv.models.hub import ASSETS
from textenv.rewards.composition import BestReference, Product
from textenv.rewards.fluency import Fluency
from textenv.rewards.metrics import WordF1
from textenv.rewards.names import Cast, Roles
from textenv.rewards.novelty import Novelty
from textenv.rewards.rules import Length
from textenv.world.judging import sums_up
from textenv.world.tables import ANIMALS, BOYS, FOODS, GIRLS, NUMBERS, PLACES, THINGS

PEOPLE: Final = (*GIRLS, *BOYS)
NAMES: Final = (*PEOPLE, *(animal.name for animal in ANIMALS), *(thing.name for thing in THINGS))
FACTS: Final = (*NAMES, *PLACES, *(food.plural for food in FOODS), *NUMBERS)
CONTENT: Final = BestReference(Product({"words": WordF1(), "facts": Cast(FACTS, "reference"), "roles": Roles(PEOPLE)}))


def states_the_facts(completions: Sequence[str], facts: Sequence[Mapping[str, Any]]) -> list[float]:
    """Judge n summaries by the share, 0 to 1, of the key facts of the story that they state rightly."""
    return [sums_up(text, known["plot"], known["key"]) for text, known in zip(completions, facts, strict=True)]


TASK = Task(
    prompts=str(ASSETS / "prompts" / "summarize-v1.jsonl"),
    reward=Product(
        {
            "content": CONTENT,
            "length": Length(5, 18),
            "novelty": Novelty(5, of="text"),
            "fluency": Fluency("tiny-assistant"),
        }
    ),
    judge=states_the_facts,
    tokenizer="tiny-assistant",
    model="tiny-assistant",
    max_prompt_tokens=72,
    max_new_tokens=24,
)
