"""A transformers classifier gives each text the score that it has alone."""

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    GPT2Config,
    GPT2ForSequenceClassification,
    GPT2LMHeadModel,
    PreTrainedTokenizerFast,
    RobertaConfig,
    RobertaForSequenceClassification,
    XLNetConfig,
    XLNetForSequenceClassification,
)

from textenv.errors import ArgumentError, LoadError, RewardError
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


def by_hand(model: Any, ids: list[int]) -> float:
    """The probability of the last label for some ids."""
    with torch.no_grad():
        return float(model.eval()(input_ids=torch.tensor([ids])).logits[0].softmax(-1)[-1])


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("reads", ["both", "completion"])
def test_the_prompt_is_cut_before_the_completion(side: str, reads: str) -> None:
    model, tokenizer = make("bert")
    tokenizer.truncation_side = side
    classifier = Classifier(model, tokenizer, reads=reads)
    prompt, completions = "good film and plot " * 9, ["bad", "dull cast", "not bad not bad", "dull " * 30 + "good"]
    with pytest.warns(UserWarning, match="are longer and lose") as caught:
        scores = classifier([prompt] * 4, completions)
    asked: Any = tokenizer(completions if reads == "completion" else [prompt + text for text in completions], add_special_tokens=False)
    expected = [by_hand(model, [2, *ids[-(LIMIT - 2) :], 3]) for ids in asked["input_ids"]]  # [CLS] ... [SEP]
    assert scores == pytest.approx(expected, abs=1e-5)
    assert len({round(score, 4) for score in scores}) == 4
    assert str(caught[0].message) == (
        f"The classifier classifier reads {LIMIT} tokens: {4 if reads == 'both' else 1} of 4 texts are longer and lose their beginning,"
        " the prompt's before the completion's. This is said once."
    )
    assert classifier([prompt] * 4, completions) == scores  # without another warning, which would be an error


def test_a_decoder_reads_the_end_of_a_long_text() -> None:
    model, tokenizer = make("gpt2")
    classifier = Classifier(model, tokenizer)
    with pytest.warns(UserWarning, match=f"reads {LIMIT} tokens: 1 of 2 texts are longer"):
        scores = classifier(["a", "abcdefg" * 9], ["b", "cab"])
    kept = ("abcdefg" * 9 + "cab")[-LIMIT:]
    assert scores == pytest.approx([alone(model, tokenizer, text).softmax(-1)[2].item() for text in ("ab", kept)], abs=1e-5)


def test_roberta_keeps_two_positions_for_itself() -> None:
    tokenizer = bert_tokenizer()
    sizes: dict[str, Any] = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    model = RobertaForSequenceClassification(
        RobertaConfig(vocab_size=len(tokenizer), max_position_embeddings=LIMIT + 2, pad_token_id=1, initializer_range=0.5, **sizes)
    )
    ids: Any = tokenizer("good bad film " * LIMIT, add_special_tokens=False)["input_ids"]
    with pytest.warns(UserWarning, match=f"reads {LIMIT} tokens"):
        scores = score(Classifier(model, tokenizer), ["good bad film " * LIMIT])
    assert scores == pytest.approx([by_hand(model, [2, *ids[-(LIMIT - 2) :], 3])], abs=1e-5)


def test_a_beginning_in_a_rendered_prompt_stands_there_once() -> None:
    model, tokenizer = make("bert")
    scores = Classifier(model, tokenizer)(["[CLS] good film ", "good film "], ["bad"] * 2)
    assert scores == pytest.approx([by_hand(model, tokenizer("good film bad")["input_ids"])] * 2, abs=1e-5)


PADDING: dict[str, tuple[str | None, int | None]] = {
    "as it was": ("<|endoftext|>", 8),
    "no padding token": (None, 8),
    "no padding id": ("<|endoftext|>", None),
    "another id": ("g", 8),
    "an id that texts have": ("<|endoftext|>", 6),
    "no id of the model": ("<|endoftext|>", -1),
    "an id beyond the model": ("<|endoftext|>", 9),
    "neither": (None, None),
}


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("case", PADDING)
def test_padding_does_not_matter(case: str, side: str) -> None:
    model, tokenizer = make("gpt2")
    tokenizer.pad_token, model.config.pad_token_id = PADDING[case]
    tokenizer.padding_side = side
    texts = [*random_texts("gpt2", 8), "ab<|endoftext|>", "abgg", "gg"]
    expected = [alone(model, tokenizer, text).softmax(-1)[2].item() for text in texts]
    classifier = Classifier(model, tokenizer)
    assert score(classifier, texts) == pytest.approx(expected, abs=1e-5)
    assert [score(classifier, [text])[0] for text in texts] == pytest.approx(expected, abs=1e-5)


def test_a_model_that_reads_its_last_column_gets_no_padding() -> None:
    tokenizer = bert_tokenizer()
    with torch.random.fork_rng():
        torch.manual_seed(0)
        sizes: dict[str, Any] = {
            "vocab_size": len(tokenizer),
            "d_model": 16,
            "n_layer": 1,
            "n_head": 2,
            "d_inner": 16,
            "initializer_range": 0.5,
        }
        model = XLNetForSequenceClassification(XLNetConfig(**sizes))
    texts = random_texts("bert", 8)
    expected = [alone(model, tokenizer, text).softmax(-1)[1].item() for text in texts]
    assert score(Classifier(model, tokenizer), texts) == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("kind", ["bert", "gpt2"])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_scores_as_the_model_does(kind: str, dtype: torch.dtype) -> None:
    model, tokenizer = make(kind)
    texts = random_texts(kind, 12)
    expected = [alone(model, tokenizer, text).softmax(-1)[2].item() for text in texts]
    scores = score(Classifier(model.to(dtype), tokenizer), texts)
    assert scores == pytest.approx(expected, abs=0.05)
    assert scores == pytest.approx([alone(model, tokenizer, text).float().softmax(-1)[2].item() for text in texts], abs=0.02)


def test_an_adapted_model_scores_with_its_adapter() -> None:
    peft = pytest.importorskip("peft")
    model, tokenizer = make("gpt2")
    texts = random_texts("gpt2", 6)
    before = score(Classifier(model, tokenizer), texts)
    lora = peft.LoraConfig(task_type="SEQ_CLS", lora_dropout=0.5, init_lora_weights=False, fan_in_fan_out=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # peft asks transformers for what is deprecated
        adapted = peft.get_peft_model(model, lora)
    expected = [alone(adapted, tokenizer, text).softmax(-1)[2].item() for text in texts]
    assert np.abs(np.subtract(expected, before)).max() > 0.01
    assert score(Classifier(adapted.train(), tokenizer), texts) == pytest.approx(expected, abs=1e-5)


def test_what_is_no_classifier_is_refused_when_it_is_made() -> None:
    model, tokenizer = make("gpt2")
    with pytest.raises(
        ArgumentError, match=r"^critic is no sequence classifier: GPT2LMHeadModel does not answer with one number per label\.$"
    ):
        Classifier(GPT2LMHeadModel(model.config), tokenizer, name="critic")
    with pytest.raises(ArgumentError, match=r"^critic is no sequence classifier: GPT2Model does not answer"):
        Classifier(model.transformer, tokenizer, name="critic")


def test_a_model_that_is_trained_in_between_scores_without_dropout() -> None:
    model, tokenizer = make("gpt2", resid_pdrop=0.5)
    classifier, texts = Classifier(model, tokenizer), random_texts("gpt2", 6)
    scores = score(classifier, texts)
    model.train()
    assert score(classifier, texts) == scores


def test_half_a_character_is_refused() -> None:
    for reads in ("both", "completion"):
        with pytest.raises(RewardError, match=r"^The reward critic cannot read '.*a\\ud83d': .* is half a character"):
            Classifier(*make("bert"), name="critic", reads=reads)(["good"], ["a\ud83d"])


def test_tokens_beyond_the_embeddings_are_refused_where_they_stand() -> None:
    model, tokenizer = make("bert")
    plain = score(Classifier(model, tokenizer), ["good film"])
    tokenizer.add_special_tokens({"additional_special_tokens": ["<image>"]})
    classifier = Classifier(model, tokenizer, name="critic")
    assert score(classifier, ["good film"]) == plain
    with pytest.raises(RewardError, match=r"^The reward critic cannot read the token '<image>', of which its model has no embedding"):
        score(classifier, ["good film", "a <image>"])
    tokenizer.add_tokens(["great"])
    with pytest.raises(ArgumentError, match=r"^critic holds a tokenizer of another model: it has 14 tokens, and the model reads 12\.$"):
        Classifier(model, tokenizer, name="critic")


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
