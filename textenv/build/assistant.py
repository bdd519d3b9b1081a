"""Train `tiny-base` and `tiny-assistant`: two stages of one model, documents of the micro-world and then conversations."""

import itertools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from random import Random
from typing import Final, cast

import numpy as np
from numpy.typing import NDArray
from tokenizers import ByteLevelBPETokenizer
from transformers import PreTrainedTokenizerFast

from textenv.build.language_model import LanguageModelRecipe, pack_rows
from textenv.build.lessons import Turn, conversation, exercises
from textenv.envs.task import Task
from textenv.envs.vector import TextVectorEnv
from textenv.models.policy import LanguagePolicy
from textenv.rollouts.collect import collect
from textenv.world.exercise import Exercise
from textenv.world.judging import right
from textenv.world.skills import SKILLS

LONGEST_PROMPT: Final = 192
LONGEST_ANSWER: Final = 160
END: Final = "<|end|>"
PAD: Final = "<|pad|>"
ROLES: Final = ("<|system|>", "<|user|>", "<|assistant|>")
CHAT_TEMPLATE: Final = (
    "{% for message in messages %}<|{{ message['role'] }}|> {{ message['content'] }}<|end|>{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)


@dataclass(frozen=True, kw_only=True)
class BaseRecipe(LanguageModelRecipe):
    """What makes `tiny-base`."""

    vocab_size: int = 2048
    layers: int = 4
    width: int = 192
    heads: int = 6
    context: int = 384
    rows_per_step: int = 24
    documents: int = 270_000
    """Written by the generators of `textenv.world`."""


@dataclass(frozen=True, kw_only=True)
class AssistantRecipe(BaseRecipe):
    """What makes `tiny-assistant` of `tiny-base`."""

    muon_lr: float = 5e-3
    adamw_lr: float = 1e-3
    warmup_steps: int = 20
    demonstrations: int = 60_000
    """Written by the generators of `textenv.world`."""
    measured: int = 400
    """Held-out exercises of each skill that the accuracies on the card are means over."""


def train_tokenizer(texts: Iterable[str], vocab_size: int, context: int) -> PreTrainedTokenizerFast:
    """Train a byte-level BPE tokenizer with roles: one token ends a document, a turn of a conversation and an answer."""
    bpe = ByteLevelBPETokenizer()
    bpe.train_from_iterator(texts, vocab_size=vocab_size, special_tokens=[END, PAD, *ROLES], show_progress=False)
    return PreTrainedTokenizerFast(
        tokenizer_object=bpe._tokenizer,
        bos_token=END,
        eos_token=END,
        unk_token=END,
        pad_token=PAD,
        additional_special_tokens=list(ROLES),
        chat_template=CHAT_TEMPLATE,
        padding_side="left",
        model_max_length=context,
        clean_up_tokenization_spaces=False,
    )


def chat_rows(
    turns: Sequence[Turn], tokenizer: PreTrainedTokenizerFast, recipe: AssistantRecipe
) -> tuple[NDArray[np.uint16], NDArray[np.bool_]]:
    """Tokenise and pack demonstrations: (rows, context) token ids, and which of them belong to answers."""
    rng = np.random.default_rng(recipe.seed)
    texts = [f"{turn.prompt} {turn.answer}{END}" for turn in turns]
    rows = pack_rows(
        tokenizer(texts, verbose=False)["input_ids"],
        recipe.context,
        cast(int, tokenizer.pad_token_id),
        rng,
    )
    rows = rows[rng.permutation(len(rows))]
    ids = cast(list[int], tokenizer.convert_tokens_to_ids([*ROLES, END]))
    return rows, answers(rows, ids[ROLES.index("<|assistant|>")], ids)


def answers(rows: NDArray[np.uint16], assistant: int, markers: Sequence[int]) -> NDArray[np.bool_]:
    """Tell which tokens of (rows, context) stand between the mark of the assistant and the end of its turn, the end included."""
    columns = np.where(np.isin(rows, markers), np.arange(rows.shape[1]), 0)
    last = np.maximum.accumulate(columns, axis=1)  # column of the last marker at or before each
    before = np.pad(last[:, :-1], ((0, 0), (1, 0)))
    begun = np.take_along_axis(rows, before, axis=1) == assistant
    begun[:, 0] = False
    return cast(NDArray[np.bool_], begun)


def accuracies(policy: LanguagePolicy, count: int, seed: int, prompt: Callable[[Exercise], str] = conversation) -> dict[str, float]:
    """Measure which share of held-out exercises a model answers rightly, by skill, in samples at temperature 1.

    Args:
        policy: of the micro-world's tokens.
        count: exercises of each skill.
        seed: of exercises and samples.
        prompt: writes an exercise as the model is to read it.
    """
    shares = {}
    for skill in SKILLS:
        asked = list(itertools.islice(exercises(skill, Random(seed), held_out=True), count))
        rows = [
            {
                "prompt": prompt(each),
                "skill": skill,
                "accepted": list(each.accepted),
                "facts": each.facts,
            }
            for each in asked
        ]
        task = Task(
            prompts=rows,
            reward=right,
            tokenizer=policy.tokenizer,
            max_prompt_tokens=LONGEST_PROMPT,
            max_new_tokens=LONGEST_ANSWER,
        )
        envs = TextVectorEnv(task=task, num_envs=min(count, 64))
        shares[skill] = float(collect(policy, envs, count, seed=seed, prompt_index=np.arange(count)).scores.mean())
    return shares
