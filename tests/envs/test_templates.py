"""Prompt formats, letter by letter: `tiny-en` was trained on them, so they must not drift."""

import string

import pytest

from textenv.envs import templates

ALL = {name: value for name, value in vars(templates).items() if name.isupper()}
FILLED = {
    "REVIEW": ("I saw it", {"opening": "I saw it"}),
    "STORY": ("Once", {"opening": "Once"}),
    "HAIKU": ("Haiku about snow:\n", {"season_word": "snow"}),
    "DETOX": ("Toxic: what rot\nNeutral:", {"toxic": "what rot"}),
    "SUMMARY": ("A long post.\nTL;DR:", {"text": "A long post."}),
    "QUESTION": ("Q: Why?\nA:", {"question": "Why?"}),
    "TOPIC_QUESTION": ("Topic: tea\nQ: Why?\nA:", {"topic": "tea", "question": "Why?"}),
    "INSTRUCTION": ("Instruction: Add.\nResponse:", {"instruction": "Add."}),
    "INSTRUCTION_WITH_INPUT": ("Instruction: Add.\nInput: 1, 2\nResponse:", {"instruction": "Add.", "input": "1, 2"}),
    "PLAIN": ("Question: Why?\nAnswer:", {"request": "Why?"}),
    "CHAT_SYSTEM": ("<|system|> Be brief.<|end|>", {"system": "Be brief."}),
    "CHAT": ("<|user|> Why?<|end|><|assistant|>", {"request": "Why?"}),
}


def test_every_template_has_its_text() -> None:
    assert {name: template.format(**FILLED[name][1]) for name, template in ALL.items()} == {
        name: text for name, (text, _) in FILLED.items()
    }


@pytest.mark.parametrize("name", ALL)
def test_templates_end_where_the_answer_begins(name: str) -> None:
    """Byte-level BPE keeps a space with the word after it, so a prompt must not end in one."""
    assert not ALL[name].endswith(" ")
    fields = [field for _, field, _, _ in string.Formatter().parse(ALL[name]) if field]
    assert fields == list(FILLED[name][1])
