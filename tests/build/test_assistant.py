"""The two models of the micro-world: what is learnt of a conversation, and how answers are measured."""

import numpy as np
import pytest
import torch
from transformers import PreTrainedTokenizerFast

from textenv.build.assistant import END, PAD, ROLES, AssistantRecipe, accuracies, answers, chat_rows, train_tokenizer
from textenv.build.language_model import new_model
from textenv.build.lessons import Turn, demonstrations, documents
from textenv.models.policy import LanguagePolicy
from textenv.world.skills import SKILLS

RECIPE = AssistantRecipe(vocab_size=400, layers=1, width=16, heads=2, context=512)


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerFast:
    return train_tokenizer(documents(200, seed=0), RECIPE.vocab_size, RECIPE.context)


def test_roles_are_one_token_each_and_a_turn_ends_as_a_text_does(tokenizer: PreTrainedTokenizerFast) -> None:
    ids = tokenizer(f"<|user|>Hi{END}<|assistant|>")["input_ids"]
    assert [tokenizer.convert_ids_to_tokens(each) for each in (ids[0], ids[-2], ids[-1])] == [ROLES[1], END, ROLES[2]]
    assert (tokenizer.eos_token, tokenizer.pad_token) == (END, PAD)
    messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}]
    text = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    assert text == "<|system|> Be brief.<|end|><|user|> Hi<|end|><|assistant|>"


def test_answers_are_what_stands_after_the_assistant_up_to_its_end() -> None:
    end, user, assistant = 0, 3, 4
    row = [user, 7, end, assistant, 8, 9, end, user, 7, 8, end, assistant, end, 1, 1]
    expected = [0, 0, 0, 0, 1, 1, 1, 0, 0, 0, 0, 0, 1, 0, 0]
    rows = np.array([row, [assistant, 5, 5, end, 6, *[1] * 10]], dtype=np.uint16)
    found = answers(rows, assistant, [end, user, assistant])
    assert found[0].astype(int).tolist() == expected
    assert found[1].astype(int).tolist() == [0, 1, 1, 1] + [0] * 11


def test_rows_hold_every_demonstration_and_mark_its_answer(tokenizer: PreTrainedTokenizerFast) -> None:
    turns = demonstrations(48, seed=0)
    rows, wanted = chat_rows(turns, tokenizer, RECIPE)
    assert rows.shape == wanted.shape
    assert not wanted[rows == tokenizer.pad_token_id].any()
    learnt = str(tokenizer.decode(rows[wanted].astype(int).tolist())).split(END)
    assert sorted(learnt) == sorted(["", *(f" {turn.answer}" for turn in turns)])
    assert chat_rows([Turn("<|user|> a<|end|><|assistant|>", "b")], tokenizer, RECIPE)[1].sum() == len(tokenizer(" b")["input_ids"]) + 1


def test_a_blank_model_answers_nothing_rightly(tokenizer: PreTrainedTokenizerFast) -> None:
    torch.manual_seed(0)
    model = new_model(RECIPE, pad=1, eos=0)
    shares = accuracies(LanguagePolicy(model, tokenizer), 2, seed=0)
    assert shares == dict.fromkeys(SKILLS, 0.0)
