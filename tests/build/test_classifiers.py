from pathlib import Path
from random import Random
from typing import Any

import pytest
import torch
from transformers import AutoTokenizer, GPT2LMHeadModel, PreTrainedTokenizerFast

from textenv import checkpoint
from textenv.build import classifiers
from textenv.build.calibration import measure
from textenv.build.classifiers import (
    SENTIMENT,
    TOXICITY,
    ClassifierRecipe,
    SmallClassifierRecipe,
    batches,
    from_token_vectors,
    from_trunk,
    log_odds_of,
    padded,
    reading_through,
    reading_words,
    train_classifier,
)
from textenv.build.fragments import FragmentRecipe
from textenv.build.language_model import LanguageModelRecipe, new_model, save_tokenizer, train_tokenizer
from textenv.models.reading import reading

TRUNK = LanguageModelRecipe(vocab_size=300, layers=2, width=16, heads=2, context=32, seed=1)
SMALL = ClassifierRecipe(layers=1, inner=32, passes=2, tokens_per_step=512, lr=1e-2, fragments=FragmentRecipe(per_text=2, most=20))


def reviews() -> tuple[list[str], list[int]]:
    rng = Random(0)
    words = (["bad", "dull", "cold"], ["good", "warm", "fine"])
    labels = [rng.randint(0, 1) for _ in range(120)]
    neutral = "the film of a man and his dog".split()
    texts = [". ".join(" ".join(rng.choice([*neutral[:4], *words[label] * 2]) for _ in range(6)) for _ in range(5)) for label in labels]
    return texts, labels


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerFast:
    return reading(train_tokenizer(reviews()[0], TRUNK.vocab_size, TRUNK.context))


@pytest.fixture
def trunk() -> GPT2LMHeadModel:
    model = new_model(TRUNK, pad=1, eos=0)
    model.eval()
    return model


def test_from_trunk_without_pruning_is_the_trunk(trunk: GPT2LMHeadModel) -> None:
    model = from_trunk(trunk, ClassifierRecipe(layers=2, inner=64), SENTIMENT).eval()
    ids = torch.tensor([[5, 6, 7, 8]])
    assert torch.equal(model.transformer(ids).last_hidden_state, trunk.transformer(ids).last_hidden_state)
    assert model.config.id2label == {0: "NEGATIVE", 1: "POSITIVE"}
    assert model.config.pad_token_id == 1


def test_from_trunk_prunes_the_weakest_neurons(trunk: GPT2LMHeadModel) -> None:
    silent = torch.randperm(64, generator=torch.Generator().manual_seed(0))[:40]
    with torch.no_grad():
        for name, weights in trunk.named_parameters():
            if name.endswith("c_fc.bias"):
                weights.normal_()
            if name.endswith("mlp.c_proj.weight"):
                weights[silent] = 0
    model = from_trunk(trunk, ClassifierRecipe(layers=2, inner=24), TOXICITY).eval()
    assert model.state_dict()["transformer.h.0.mlp.c_fc.weight"].shape == (16, 24)
    ids = torch.tensor([[5, 6, 7, 8]])
    torch.testing.assert_close(model.transformer(ids).last_hidden_state, trunk.transformer(ids).last_hidden_state, atol=1e-5, rtol=0)


def test_small_classifier_keeps_the_leading_directions_of_the_token_vectors(trunk: GPT2LMHeadModel) -> None:
    recipe = SmallClassifierRecipe(layers=1, inner=8, width=4, heads=2)
    with torch.no_grad():
        flat = torch.randn(300, 4, generator=torch.Generator().manual_seed(0)) @ torch.randn(
            4, 16, generator=torch.Generator().manual_seed(1)
        )
        trunk.transformer.wte.weight.copy_(flat - flat.mean(dim=0))
    model = from_token_vectors(trunk, recipe, TOXICITY)
    vectors = model.transformer.wte.weight
    assert vectors.shape == (300, 4)
    assert vectors.std().item() == pytest.approx(0.02, rel=0.01)
    # Four directions are all there are: distances between tokens keep their proportions.
    before, after = torch.pdist(trunk.transformer.wte.weight[:40]), torch.pdist(vectors[:40])
    torch.testing.assert_close(after / after.mean(), before / before.mean(), atol=1e-4, rtol=0)
    assert model.config.id2label == {0: "NEUTRAL", 1: "TOXIC"}
    assert model.transformer.wpe.weight.shape == (TRUNK.context, 4)
    assert torch.equal(vectors, from_token_vectors(trunk, recipe, TOXICITY).transformer.wte.weight)


def test_batches_hold_the_budget_and_lose_nothing() -> None:
    lengths = [Random(0).randint(1, 40) for _ in range(200)] + [500]
    made = batches(lengths, 100, Random(0))
    assert sorted(index for batch in made for index in batch) == list(range(201))
    assert all(len(batch) * max(lengths[i] for i in batch) <= 100 for batch in made if len(batch) > 1)
    assert len(made) < sum(lengths) / 100 * 1.5
    assert made == batches(lengths, 100, Random(0))


def test_padded_by_hand() -> None:
    assert padded([[3, 4], [5]], 1, "cpu").tolist() == [[3, 4], [5, 1]]


def test_reading_ends_each_text_and_survives_the_disk(tokenizer: PreTrainedTokenizerFast, tmp_path: Path) -> None:
    save_tokenizer(tokenizer, tmp_path)
    loaded = AutoTokenizer.from_pretrained(tmp_path)
    for read in (tokenizer, loaded):
        assert read("")["input_ids"] == [0]
        start, end = read("good film")["input_ids"], read("good film " * 50, truncation=True)["input_ids"]
        assert start[-1] == end[-1] == 0
        assert len(end) == TRUNK.context
        assert read(["good", "good film"], padding=True)["input_ids"][0][-1] == 1
    assert loaded("a warm dog " * 20 + "!", truncation=True)["input_ids"][-2] == loaded("!")["input_ids"][0]


def test_reading_words_sees_neither_case_nor_punctuation(tokenizer: PreTrainedTokenizerFast, tmp_path: Path) -> None:
    save_tokenizer(reading_words(tokenizer), tmp_path)
    for read in (reading_words(tokenizer), AutoTokenizer.from_pretrained(tmp_path)):
        for text in ("Don’t, be a GOOD  man .", "“don 't be a good man”", "...don't be; a good man -"):
            assert read(text)["input_ids"] == read("don't be a good man")["input_ids"]
        assert read("good man!")["input_ids"] != read("good man")["input_ids"]
        assert read("g**d")["input_ids"] != read("g d")["input_ids"]
        assert read("")["input_ids"][-1] == 0
    assert tokenizer("A b,")["input_ids"] != tokenizer("a b")["input_ids"]


def test_log_odds_are_those_of_each_text_alone(trunk: GPT2LMHeadModel, tokenizer: PreTrainedTokenizerFast) -> None:
    model = from_trunk(trunk, SMALL, SENTIMENT).eval()
    texts = ["good film", reviews()[0][0] + " good", "", "dull"]
    together = log_odds_of(model, tokenizer, "cpu")(texts)
    for text, odds in zip(texts, together, strict=True):
        last = [*tokenizer(text, verbose=False, add_special_tokens=False)["input_ids"], 0][-TRUNK.context :]
        logits = model(torch.tensor([last])).logits[0]
        assert odds == pytest.approx((logits[1] - logits[0]).item(), abs=1e-5)


def test_classifier_learns_and_resumes(
    trunk: GPT2LMHeadModel, tokenizer: PreTrainedTokenizerFast, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts, labels = reviews()
    monkeypatch.setattr(classifiers, "CHECKPOINT_STEPS", 7)
    straight = train_classifier(from_trunk(trunk, SMALL, SENTIMENT), tokenizer, texts, labels, SMALL, tmp_path / "straight", "cpu")
    assert measure(log_odds_of(straight, tokenizer, "cpu"), texts, labels, SMALL.fragments, seed=1)["accuracy_fragments"] > 0.9

    real = checkpoint.save_state
    saved: list[tuple[int, int]] = []

    def save_and_stop(folder: Path, state: dict[str, Any]) -> None:
        real(folder, state)
        saved.append((state["pass"], state["step"]))
        if saved[-1] in ((0, 7), (1, 7)):
            raise KeyboardInterrupt

    monkeypatch.setattr(classifiers, "save_state", save_and_stop)
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            train_classifier(from_trunk(trunk, SMALL, SENTIMENT), tokenizer, texts, labels, SMALL, tmp_path / "resumed", "cpu")
    resumed = train_classifier(from_trunk(trunk, SMALL, SENTIMENT), tokenizer, texts, labels, SMALL, tmp_path / "resumed", "cpu")
    assert saved.count((0, 7)) == saved.count((1, 0)) == saved.count((1, 7)) == 1
    for name, weights in straight.state_dict().items():
        assert torch.equal(weights, resumed.state_dict()[name]), name


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("An 1diot!", " an idiot!"),
        ("c r u e l man", " cruel man"),
        ("c.r-u.e*l", " cruel"),
        ("a cru3l m@n", " a cruel man"),
        ("$tupid clas$", " stupid class"),
        ("Noooooo", " noo"),
        ("I have 3 dogs, 10 cats and $5", " i have 3 dogs 10 cats and $5"),
    ],
)
def test_disguised_words_are_read_as_the_words(tokenizer: PreTrainedTokenizerFast, written: str, read: str) -> None:
    reader = reading_through(tokenizer)
    assert reader(written)["input_ids"] == reading_words(tokenizer)(read)["input_ids"]
