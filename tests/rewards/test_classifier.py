"""A transformers classifier gives each text the score that it has alone."""

from pathlib import Path
from typing import Any

import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    GPT2Config,
    GPT2ForSequenceClassification,
    PreTrainedTokenizerFast,
    RobertaConfig,
    RobertaForSequenceClassification,
)

from textenv.errors import ArgumentError, LoadError
from textenv.models.loading import toy_tokenizer
from textenv.rewards import classifier as module
from textenv.rewards.classifier import Classifier

WORDS = ["good", "bad", "film", "cast", "plot", "not", "and", "dull"]
LABELS = {0: "Negative", 1: "Neutral", 2: "Positive"}
LIMIT = 24


def bert_tokenizer() -> PreTrainedTokenizerFast:
    names = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *WORDS]
    tokenizer = Tokenizer(models.WordLevel({name: index for index, name in enumerate(names)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)])
    special = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, **special)


def make(kind: str, **fields: Any) -> tuple[Any, Any]:
    """A small model with weights large enough that texts differ, and its tokenizer."""
    labels = fields.pop("labels", LABELS)
    named = {"id2label": labels, "label2id": {label: index for index, label in labels.items()}, "initializer_range": 0.5, **fields}
    with torch.random.fork_rng():
        torch.manual_seed(3)
        if kind == "bert":
            tokenizer: Any = bert_tokenizer()
            sizes: dict[str, Any] = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
            bert = BertConfig(vocab_size=len(tokenizer), max_position_embeddings=LIMIT, **sizes, **named)
            return BertForSequenceClassification(bert), tokenizer
        tokenizer = toy_tokenizer("abcdefg ")
        end = tokenizer.eos_token_id
        named = {"pad_token_id": end, "bos_token_id": end, "eos_token_id": end, **named}
        gpt2 = GPT2Config(vocab_size=len(tokenizer), n_positions=LIMIT, n_embd=16, n_layer=2, n_head=2, **named)
        return GPT2ForSequenceClassification(gpt2), tokenizer


def random_texts(kind: str, n: int) -> list[str]:
    generator = torch.Generator().manual_seed(0)
    symbols = [f"{word} " for word in WORDS] if kind == "bert" else list("abcdefg")
    lengths = torch.randint(1, 15, (n,), generator=generator).tolist()
    return ["".join(symbols[i] for i in torch.randint(len(symbols), (length,), generator=generator)) for length in lengths]


def alone(model: Any, tokenizer: Any, text: str) -> torch.Tensor:
    """The logits of one text, by the model's own means."""
    with torch.no_grad():
        logits: torch.Tensor = model.eval()(**tokenizer(text, return_tensors="pt")).logits[0]
    return logits


def score(classifier: Classifier, texts: list[str]) -> list[float]:
    return classifier([""] * len(texts), texts)


@pytest.mark.parametrize("kind", ["bert", "gpt2"])
def test_each_text_has_the_score_it_has_alone(kind: str) -> None:
    model, tokenizer = make(kind)
    texts = random_texts(kind, module.BATCH + 8)
    expected = [alone(model, tokenizer, text).softmax(-1)[2].item() for text in texts]
    assert max(expected) - min(expected) > 0.3
    assert score(Classifier(model.train(), tokenizer), texts) == pytest.approx(expected, abs=1e-5)


def test_prompts_and_completions_are_joined_in_their_order() -> None:
    model, tokenizer = make("gpt2")
    prompts, completions = ["abc", "g", "ddd"], ["de", "gfedcba", ""]
    whole = [alone(model, tokenizer, text).softmax(-1)[2].item() for text in ("abcde", "ggfedcba", "ddd")]
    assert Classifier(model, tokenizer)(prompts, completions) == pytest.approx(whole, abs=1e-5)
    assert Classifier(model, tokenizer)(prompts=prompts, completions=completions) == pytest.approx(whole, abs=1e-5)
    part = [alone(model, tokenizer, text).softmax(-1)[2].item() for text in ("de", "gfedcba", "<|endoftext|>")]
    assert Classifier(model, tokenizer, reads="completion")(prompts, completions) == pytest.approx(part, abs=1e-5)


def test_a_repeated_text_is_read_once() -> None:
    model, tokenizer = make("bert")
    classifier = Classifier(model, tokenizer)
    read: list[int] = []
    model.register_forward_pre_hook(lambda module, args, kwargs: read.append(len(kwargs["input_ids"])), with_kwargs=True)
    scores = score(classifier, ["good film", "bad", "good film", "bad", "good film"])
    assert read == [2]
    assert scores == [*score(classifier, ["good film", "bad"]) * 2, scores[0]]


def test_labels_by_name() -> None:
    model, tokenizer = make("bert")
    texts = random_texts("bert", 3)
    softmax = torch.stack([alone(model, tokenizer, text).softmax(-1) for text in texts])
    for label, index in (("negative", 0), ("Neutral", 1), ("POSITIVE", 2)):
        assert score(Classifier(model, tokenizer, label=label), texts) == pytest.approx(softmax[:, index].tolist(), abs=1e-5)
    model.config.id2label = {0: "positive", 1: "negative", 2: "mixed"}
    assert Classifier(model, tokenizer).label_index == 0
    model.config.id2label = {0: "LABEL_0", 1: "LABEL_1", 2: "LABEL_2"}
    assert Classifier(model, tokenizer).label_index == 2


def test_an_unknown_label_is_answered_with_the_nearest() -> None:
    model, tokenizer = make("bert")
    with pytest.raises(ArgumentError, match=r'The classifier critic has no label "Postive"\. Did you mean "Positive"\?'):
        Classifier(model, tokenizer, name="critic", label="Postive")


def test_outputs() -> None:
    texts = random_texts("gpt2", 4)
    model, tokenizer = make("gpt2")
    logits = torch.stack([alone(model, tokenizer, text) for text in texts])
    assert score(Classifier(model, tokenizer, output="logit", label="neutral"), texts) == pytest.approx(logits[:, 1].tolist(), abs=1e-5)
    model.config.problem_type = "multi_label_classification"  # labels that do not exclude each other
    assert score(Classifier(model, tokenizer), texts) == pytest.approx(logits[:, 2].sigmoid().tolist(), abs=1e-5)
    single, tokenizer = make("gpt2", labels={0: "LABEL_0"})
    raw = torch.cat([alone(single, tokenizer, text) for text in texts])
    assert score(Classifier(single, tokenizer, output="logit"), texts) == pytest.approx(raw.tolist(), abs=1e-5)
    assert score(Classifier(single, tokenizer), texts) == pytest.approx(raw.tolist(), abs=1e-5)  # a reward model
    assert score(Classifier(single, tokenizer, output="probability"), texts) == pytest.approx(raw.sigmoid().tolist(), abs=1e-5)
    single.config.reward_bias = -1.5
    assert score(Classifier(single, tokenizer), texts) == pytest.approx((raw - 1.5).tolist(), abs=1e-5)
    assert score(Classifier(single, tokenizer, output="probability"), texts) == pytest.approx((raw - 1.5).sigmoid().tolist(), abs=1e-5)


@pytest.mark.parametrize(("kind", "end"), [("bert", "[SEP]"), ("gpt2", "<|endoftext|>")])
def test_an_empty_text_is_an_end(kind: str, end: str) -> None:
    model, tokenizer = make(kind)
    expected = alone(model, tokenizer, end).softmax(-1)[2].item()
    texts = ["", *random_texts(kind, 3), ""]
    scores = score(Classifier(model, tokenizer), texts)
    assert scores[0] == scores[-1] == pytest.approx(expected, abs=1e-5)
    assert score(Classifier(model, tokenizer), []) == []


def test_long_texts_are_cut_at_the_models_last_position() -> None:
    model, tokenizer = make("gpt2")
    text = "abcdefg" * 9
    expected = alone(model, tokenizer, text[:LIMIT]).softmax(-1)[2].item()
    assert score(Classifier(model, tokenizer), ["a", text]) == pytest.approx(
        [score(Classifier(model, tokenizer), ["a"])[0], expected], abs=1e-5
    )


def test_roberta_keeps_two_positions_for_itself() -> None:
    tokenizer = bert_tokenizer()
    sizes: dict[str, Any] = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    model = RobertaForSequenceClassification(
        RobertaConfig(vocab_size=len(tokenizer), max_position_embeddings=LIMIT + 2, pad_token_id=1, initializer_range=0.5, **sizes)
    )
    text = "good bad film " * LIMIT
    with torch.no_grad():
        logits = model.eval()(**tokenizer(text, truncation=True, max_length=LIMIT, return_tensors="pt")).logits[0]
    assert score(Classifier(model, tokenizer), [text]) == pytest.approx([logits.softmax(-1)[1].item()], abs=1e-5)


@pytest.mark.parametrize("case", ["left padding", "no padding token", "no padding id"])
def test_padding_does_not_matter(case: str) -> None:
    model, tokenizer = make("gpt2")
    texts = random_texts("gpt2", 12)
    expected = [alone(model, tokenizer, text).softmax(-1)[2].item() for text in texts]
    if case == "left padding":
        tokenizer.padding_side = "left"
    elif case == "no padding token":
        tokenizer.pad_token = None
    else:
        model.config.pad_token_id = None
    assert score(Classifier(model, tokenizer), texts) == pytest.approx(expected, abs=1e-5)


def load(folder: Path, name: str = "critic") -> Classifier:
    return Classifier.from_pretrained(str(folder), name=name, label=None, output=None, reads="both", device="cpu")


@pytest.mark.parametrize("kind", ["bert", "gpt2"])
def test_folders_load_in_float32(kind: str, tmp_path: Path) -> None:
    model, tokenizer = make(kind)
    model.half().save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    loaded = load(tmp_path)
    assert {parameter.dtype for parameter in loaded.model.parameters()} == {torch.float32}
    texts = random_texts(kind, 5)
    expected = [alone(model.float(), tokenizer, text).softmax(-1)[2].item() for text in texts]
    assert score(loaded, texts) == pytest.approx(expected, abs=1e-5)


def test_a_folder_without_tokenizer_is_named(tmp_path: Path) -> None:
    make("gpt2")[0].save_pretrained(tmp_path)
    with pytest.raises(LoadError, match="holds no tokenizer; save one there"):
        load(tmp_path)


def test_a_tokenizer_of_another_model_is_named(tmp_path: Path) -> None:
    make("gpt2")[0].save_pretrained(tmp_path)
    toy_tokenizer("abcdefgh ").save_pretrained(tmp_path)
    with pytest.raises(LoadError, match=r"^critic holds a tokenizer of another model: it has 10 tokens, and the model reads 9\.$"):
        load(tmp_path)


def test_weights_of_another_model_are_named(tmp_path: Path) -> None:
    model, tokenizer = make("gpt2")
    model.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    make("gpt2", labels={0: "REWARD"})[0].config.save_pretrained(tmp_path)
    with pytest.raises(LoadError, match=r"^The reward critic cannot be loaded: "):
        load(tmp_path)
