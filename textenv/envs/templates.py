"""The prompt formats that the embedded models know.

An environment fills a template up to the place where the policy writes on; the training corpus of
`tiny-en` (`textenv.build.corpora`) fills it up and appends the answer, so that both always agree.
Templates end where the answer begins. Answers to those that end in a colon or a role start with a space,
because byte-level BPE keeps the space with the word after it.
"""

from typing import Final

REVIEW: Final = "{opening}"
STORY: Final = "{opening}"
HAIKU: Final = "Haiku about {season_word}:\n"
DETOX: Final = "Toxic: {toxic}\nNeutral:"
SUMMARY: Final = "{text}\nTL;DR:"
QUESTION: Final = "Q: {question}\nA:"
TOPIC_QUESTION: Final = "Topic: {topic}\nQ: {question}\nA:"
INSTRUCTION: Final = "Instruction: {instruction}\nResponse:"
INSTRUCTION_WITH_INPUT: Final = "Instruction: {instruction}\nInput: {input}\nResponse:"
PLAIN: Final = "Question: {request}\nAnswer:"
CHAT_SYSTEM: Final = "<|system|> {system}<|end|>"
CHAT: Final = "<|user|> {request}<|end|><|assistant|>"
